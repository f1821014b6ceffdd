//! Clients that prove who they are by a signature or a certificate (RFC 7523, RFC 8705), and assertions as a grant.

use futures_util::future::join_all;
use serde_json::{Value, json};
use vestibule::client;
use vestibule::protocol::ClientAuthenticationMethod as Method;
use vestibule::protocol::GrantType::{ClientCredentials, JwtBearer};

use crate::harness::key::{ClientKey, unique};
use crate::harness::{Answer, App, Setup, Test, on_both_databases};

const TYPE: (&str, &str) = ("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer");

fn claims(t: &Test, app: &App) -> Value {
    let now = t.clock.now();
    json!({ "iss": app.client_id, "sub": app.client_id, "aud": t.url("/auth"), "exp": now + 60, "iat": now, "jti": unique() })
}

async fn signed_app(t: &Test, key: &ClientKey) -> App {
    t.app_with(|app| {
        app.grant_types = vec![ClientCredentials];
        app.token_endpoint_auth_method = Some(Method::PrivateKeyJwt);
        app.jwks = Some(key.jwks().to_string());
    })
    .await
}

async fn present(t: &Test, assertion: &str) -> Answer {
    t.post("token", &[("grant_type", "client_credentials"), TYPE, ("client_assertion", assertion)]).await
}

on_both_databases! {
    async fn a_client_proves_itself_by_its_key_and_each_assertion_counts_once(t: Test) { // attack 15
        let key = ClientKey::new();
        let app = signed_app(&t, &key).await;
        let second = t.second_node_with(|settings| settings.public_url = Some(t.base.clone())).await;
        let once = key.jwt(&claims(&t, &app));

        assert_eq!(present(&t, &once).await.status, 200);
        assert_eq!(present(&second, &once).await.outcome(), "401 invalid_client");
        let many = key.jwt(&claims(&t, &app));
        let answers = join_all((0..50).map(|n| present(if n % 2 == 0 { &t } else { &second }, &many))).await;
        assert_eq!(answers.iter().filter(|answer| answer.status == 200).count(), 1);
        for audience in [json!(t.url("token")), json!([t.url("/auth"), "https://other.example"])] {
            let mut good = claims(&t, &app);
            good["aud"] = audience;
            assert_eq!(present(&t, &key.jwt(&good)).await.status, 200);
        }
        for near in [-8, 8] {
            let mut good = claims(&t, &app);
            good["nbf"] = (t.clock.now() + near).into();
            assert_eq!(present(&t, &key.jwt(&good)).await.status, 200);
        }
    }
}

on_both_databases! {
    async fn an_assertion_that_is_wrong_in_one_point_is_refused(t: Test) {
        let key = ClientKey::new();
        let app = signed_app(&t, &key).await;
        let now = t.clock.now();
        let changes: [(&str, Value); 12] = [
            ("iss", json!("somebody")), ("sub", json!("somebody")), ("sub", Value::Null), ("aud", json!("https://other.example")),
            ("aud", Value::Null), ("exp", json!(now - 300)), ("exp", Value::Null), ("exp", json!("soon")), ("exp", json!(now + 7_200)),
            ("nbf", json!(now + 90)), ("jti", Value::Null), ("iat", json!(now + 300)),
        ];
        for (name, value) in changes {
            let mut bad = claims(&t, &app);
            match value.is_null() {
                true => drop(bad.as_object_mut().unwrap().remove(name)),
                false => bad[name] = value.clone(),
            }
            assert_eq!(present(&t, &key.jwt(&bad)).await.outcome(), "401 invalid_client", "{name} {value}");
        }
        let good = claims(&t, &app);
        assert_eq!(present(&t, &ClientKey::new().jwt(&good)).await.outcome(), "401 invalid_client");
        for header in [json!({ "alg": "none" }), json!({ "alg": "HS256" }), json!({ "alg": "RS256" }), json!({ "alg": "ES256", "crit": ["x"] })] {
            assert_eq!(present(&t, &key.sign(&header, &good)).await.outcome(), "401 invalid_client", "{header}");
        }
        assert_eq!(present(&t, "garbage").await.outcome(), "401 invalid_client");
        let both = [("grant_type", "client_credentials"), TYPE, ("client_assertion", &key.jwt(&good)), ("client_secret", "x")];
        assert_eq!(t.post("token", &both).await.outcome(), "400 invalid_request");
        let other = [("grant_type", "client_credentials"), TYPE, ("client_assertion", &key.jwt(&good)), ("client_id", "x")];
        assert_eq!(t.post("token", &other).await.outcome(), "401 invalid_client");
        // Nor by its secret, once it has said how it proves itself.
        assert_eq!(t.call("token", &app, &[("grant_type", "client_credentials")]).await.outcome(), "401 invalid_client");
        assert_eq!(present(&t, &key.jwt(&good)).await.status, 200);
    }
}

on_both_databases! {
    async fn keys_at_an_address_are_read_again_when_they_change_and_never_from_inside(setup: Setup) { // attack 17
        let mut setup = setup;
        setup.settings.outbound.origin_map.insert("https://client.example".to_owned(), String::new());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let origin = format!("http://{}", listener.local_addr().unwrap());
        setup.settings.outbound.origin_map.insert("https://client.example".to_owned(), origin.clone());
        let published = std::sync::Arc::new(std::sync::Mutex::new((Value::Null, 0)));
        let answering = published.clone();
        let router = axum::Router::new().fallback(move || {
            let answering = answering.clone();
            async move {
                let mut published = answering.lock().unwrap();
                published.1 += 1;
                axum::Json(published.0.clone())
            }
        });
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        let t = setup.start().await;
        let with = |uri: String| {
            let t = &t;
            async move {
                t.app_with(|app| {
                    app.grant_types = vec![ClientCredentials];
                    app.token_endpoint_auth_method = Some(Method::PrivateKeyJwt);
                    app.jwks_uri = Some(uri);
                }).await
            }
        };
        let app = with("https://client.example/jwks".to_owned()).await;
        let (old, new) = (ClientKey::new(), ClientKey::new());
        published.lock().unwrap().0 = old.jwks();
        for _ in 0..3 {
            assert_eq!(present(&t, &old.jwt(&claims(&t, &app))).await.status, 200);
        }
        assert_eq!(published.lock().unwrap().1, 1);
        published.lock().unwrap().0 = new.jwks();
        assert_eq!(present(&t, &new.jwt(&claims(&t, &app))).await.status, 200);
        for inside in ["https://169.254.169.254/jwks", "https://10.0.0.1/jwks", "https://localhost/jwks", &format!("{origin}/jwks").replace("http:", "https:")] {
            let before = published.lock().unwrap().1;
            let app = with(inside.to_owned()).await;
            let refused = present(&t, &new.jwt(&claims(&t, &app))).await;
            assert_eq!((refused.outcome().as_str(), published.lock().unwrap().1), ("401 invalid_client", before), "{inside}");
        }
    }
}

on_both_databases! {
    async fn a_secret_can_sign_too(t: Test) {
        let cx = t.vestibule.context();
        let secret = "a-secret-that-signs-0123456789";
        let app = t.app_with(|app| {
            app.grant_types = vec![ClientCredentials];
            app.token_endpoint_auth_method = Some(Method::ClientSecretJwt);
            client::set_secret(cx, app, secret).unwrap();
        }).await;
        let sign = |secret: &str| vestibule::signing::sign_with_secret(secret, "JWT", &claims(&t, &app));
        assert_eq!(present(&t, &sign(secret)).await.status, 200);
        assert_eq!(present(&t, &sign("another")).await.outcome(), "401 invalid_client");
        assert_eq!(present(&t, &sign("")).await.outcome(), "401 invalid_client");
        // attack 99: the published keys of nobody verify an HMAC
        let stored = t.stored().await;
        assert!(!stored.windows(secret.len()).any(|window| window == secret.as_bytes()));
    }
}

on_both_databases! {
    async fn a_certificate_counts_only_where_the_proxy_is_believed(setup: Setup) {
        let mut setup = setup;
        setup.settings.mutual_tls.certificate_header = Some("X-Client-Cert".to_owned());
        setup.settings.mutual_tls.subject_header = Some("X-Client-Subject".to_owned());
        let t = setup.start().await;
        let dn = "CN=client,O=Example";
        let by_name = t.app_with(|app| {
            app.grant_types = vec![ClientCredentials];
            app.token_endpoint_auth_method = Some(Method::TlsClientAuth);
            app.metadata.tls_client_auth_subject_dn = Some(dn.to_owned());
            app.metadata.tls_client_certificate_bound_access_tokens = true;
        }).await;
        let der = "MIIBdjCCAR2gAwIBAgIUAAAAAAAAAAA";
        let by_self = t.app_with(|app| {
            app.grant_types = vec![ClientCredentials];
            app.token_endpoint_auth_method = Some(Method::SelfSignedTlsClientAuth);
            app.jwks = Some(json!({ "keys": [{ "kty": "EC", "x5c": [format!("{der}=")] }] }).to_string());
        }).await;
        let ask = |app: &App, headers: Vec<(&'static str, String)>| {
            let form = [("grant_type", "client_credentials"), ("client_id", app.client_id.as_str())];
            let request = headers.iter().fold(t.http.post(t.url("token")).form(&form), |request, (name, value)| request.header(*name, value));
            Answer::of(request)
        };
        let certificate = ("x-client-cert", format!("-----BEGIN CERTIFICATE-----%0A{der}=%0A-----END CERTIFICATE-----"));
        let subject = ("x-client-subject", dn.to_owned());

        let bound = ask(&by_name, vec![subject.clone(), certificate.clone()]).await;
        assert_eq!(bound.status, 200, "{bound:?}");
        assert_eq!(ask(&by_self, vec![certificate.clone()]).await.status, 200);
        assert_eq!(ask(&by_name, vec![]).await.outcome(), "401 invalid_client");
        assert_eq!(ask(&by_name, vec![("x-client-subject", "CN=other".to_owned())]).await.outcome(), "401 invalid_client");
        assert_eq!(ask(&by_self, vec![("x-client-cert", "AAAA".to_owned())]).await.outcome(), "401 invalid_client");
        // Bound to the certificate (RFC 8705 §3).
        let token = format!("Bearer {}", bound.access_token());
        let call = |certificate: Option<&str>| {
            let request = t.http.get(t.url("verify")).header("authorization", &token);
            Answer::of(match certificate {
                Some(certificate) => request.header("x-client-cert", certificate),
                None => request,
            })
        };
        assert_eq!(call(Some(&certificate.1)).await.status, 200);
        assert_eq!(call(Some("AAAA")).await.outcome(), "401 invalid_token");
        assert_eq!(call(None).await.outcome(), "401 invalid_token");
        let off = t.second_node_with(|settings| settings.mutual_tls = vestibule::settings::MutualTlsSettings::default()).await;
        let form = [("grant_type", "client_credentials"), ("client_id", by_name.client_id.as_str())];
        let refused = Answer::of(off.http.post(off.url("token")).header("x-client-subject", dn).form(&form)).await;
        assert_eq!(refused.outcome(), "401 invalid_client");
    }
}

on_both_databases! {
    async fn a_trusted_application_vouches_for_a_person(t: Test) {
        let ada = t.person("ada").await;
        let key = ClientKey::new();
        let app = t.app_with(|app| {
            app.grant_types = vec![JwtBearer];
            app.jwks = Some(key.jwks().to_string());
        }).await;
        let now = t.clock.now();
        let good = || json!({ "iss": app.client_id, "sub": "ada", "aud": t.url("token"), "exp": now + 60, "jti": unique() });
        let grant = |assertion: String| {
            let (t, app) = (&t, &app);
            async move {
                let form = [("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer"), ("assertion", assertion.as_str())];
                t.call("token", app, &form).await
            }
        };
        let once = key.jwt(&good());
        let tokens = grant(once.clone()).await;
        assert_eq!(tokens.status, 200, "{tokens:?}");
        assert!(tokens.refresh_token().is_empty());
        assert_eq!(t.get_as("verify", &format!("Bearer {}", tokens.access_token())).await.header("x-auth-user"), "ada");
        assert_eq!(grant(once).await.outcome(), "400 invalid_grant");
        let mut by_id = good();
        by_id["sub"] = ada.id.to_string().into();
        assert_eq!(grant(key.jwt(&by_id)).await.status, 200);
        for (name, value) in [("sub", json!("nobody")), ("sub", Value::Null), ("iss", json!("x")), ("aud", json!("x")), ("exp", json!(now - 60)), ("exp", json!(now + 9_999))] {
            let mut bad = good();
            bad[name] = value;
            assert_eq!(grant(key.jwt(&bad)).await.outcome(), "400 invalid_grant", "{bad}");
        }
        assert_eq!(grant(ClientKey::new().jwt(&good())).await.outcome(), "400 invalid_grant");
        vestibule::store::user::set_active(&t.vestibule.context().db, ada.id, false).await.unwrap();
        assert_eq!(grant(key.jwt(&good())).await.outcome(), "400 invalid_grant");
    }
}
