//! Applications that register themselves (RFC 7591, 7592), documents as client ids, pushed and signed requests.

use serde_json::{Value, json};
use vestibule::client;
use vestibule::protocol::GrantType::{AuthorizationCode, RefreshToken};
use vestibule::settings::{Hidden, RegistrationMode};
use vestibule::store::application;

use crate::authorize::{redeem, web_app};
use crate::harness::guest::{CALLBACK, CHALLENGE, Guest, VERIFIER};
use crate::harness::key::{ClientKey, claims, unique};
use crate::harness::{Answer, App, Setup, Test, on_both_databases};

async fn register(t: &Test, token: Option<&str>, metadata: &Value) -> Answer {
    let request = t.http.post(t.url("register")).json(metadata);
    Answer::of(match token {
        Some(token) => request.bearer_auth(token),
        None => request,
    })
    .await
}

fn metadata() -> Value {
    json!({ "client_name": "Its name", "redirect_uris": [CALLBACK], "grant_types": ["authorization_code", "refresh_token"], "logo_uri": "https://app.example/logo.png", "policy_uri": "https://app.example/policy", "tos_uri": "https://app.example/tos" })
}

fn app_of(t: &Test, answer: &Answer) -> App {
    let _ = t;
    let row = vestibule::store::application::Application::new(
        answer.field("client_id"),
        String::new(),
        vestibule::protocol::ClientType::Confidential,
    );
    App {
        client_id: answer.field("client_id"),
        secret: Some(answer.field("client_secret")).filter(|secret| !secret.is_empty()),
        row,
    }
}

on_both_databases! {
    async fn registration_is_off_until_it_is_opened(setup: Setup) {
        let mut setup = setup;
        setup.settings.registration.initial_access_token = Some(Hidden::new("the-initial-access-token"));
        let t = setup.start().await;
        assert_eq!(register(&t, None, &metadata()).await.status, 403);
        let by_token = t.second_node_with(|settings| settings.registration.mode = RegistrationMode::Token).await;
        assert_eq!(register(&by_token, None, &metadata()).await.outcome(), "401 invalid_token");
        assert_eq!(register(&by_token, Some("another-access-token"), &metadata()).await.outcome(), "401 invalid_token");
        assert_eq!(register(&by_token, Some("the-initial-access-token"), &metadata()).await.status, 201);
        let discovered = Answer::of(by_token.http.get(by_token.url("/.well-known/openid-configuration"))).await.json();
        assert_eq!(discovered["registration_endpoint"], by_token.url("register"));
    }
}

on_both_databases! {
    async fn whoever_registers_signs_people_in_and_looks_after_the_registration(setup: Setup) {
        let mut setup = setup;
        setup.settings.registration.mode = RegistrationMode::Open;
        let t = setup.start().await;
        t.person("ada").await;

        let registered = register(&t, None, &metadata()).await;

        assert_eq!((registered.status, registered.header("cache-control").as_str()), (201, "no-store"), "{registered:?}");
        let told = registered.json();
        assert_eq!((told["client_name"].as_str(), told["token_endpoint_auth_method"].as_str()), (Some("Its name"), Some("client_secret_basic")));
        assert_eq!((told["response_types"].clone(), told["client_secret_expires_at"].clone()), (json!(["code"]), json!(0)));
        assert_eq!(told["logo_uri"], "https://app.example/logo.png");
        let app = app_of(&t, &registered);
        let guest = Guest::new(&t);
        let page = guest.authorize(&app, &[("scope", "openid")]).await;
        let consent = guest.sign_in(&page, "ada").await;
        // Nobody has checked its name, and its links lead where it says.
        assert!(consent.text.contains("class=\"warning\"") && consent.text.replace("&#x2f;", "/").contains("https://app.example/policy"), "{consent:?}");
        let code = guest.allow(&consent).await.sent("code");
        let request = t.http.post(t.url("token")).basic_auth(&app.client_id, app.secret.as_deref()).form(&[("grant_type", "authorization_code"), ("code", &code), ("redirect_uri", CALLBACK), ("code_verifier", VERIFIER)]);
        assert_eq!(Answer::of(request).await.status, 200);

        let uri = registered.field("registration_client_uri");
        let token = registered.field("registration_access_token");
        assert_eq!(uri, format!("{}/{}", t.url("register"), app.client_id));
        let read = Answer::of(t.http.get(&uri).bearer_auth(&token)).await;
        assert_eq!((read.status, read.field("client_name").as_str(), read.field("client_secret").as_str()), (200, "Its name", ""));
        let other = register(&t, None, &metadata()).await;
        for wrong in ["garbage", other.field("registration_access_token").as_str(), app.secret.as_deref().unwrap()] {
            for request in [t.http.get(&uri), t.http.delete(&uri), t.http.put(&uri).json(&metadata())] {
                assert_eq!(Answer::of(request.bearer_auth(wrong)).await.outcome(), "401 invalid_token", "{wrong}");
            }
        }
        let mut changed = metadata();
        changed["client_id"] = app.client_id.clone().into();
        changed["client_name"] = "Another name".into();
        let replaced = Answer::of(t.http.put(&uri).bearer_auth(&token).json(&changed)).await;
        assert_eq!((replaced.status, replaced.field("client_name").as_str()), (200, "Another name"), "{replaced:?}");
        changed["client_id"] = "another".into();
        assert_eq!(Answer::of(t.http.put(&uri).bearer_auth(&token).json(&changed)).await.outcome(), "400 invalid_client_metadata");
        let stored = t.stored().await;
        assert!(!stored.windows(token.len()).any(|window| window == token.as_bytes()));
        assert_eq!(Answer::of(t.http.delete(&uri).bearer_auth(&token)).await.status, 204);
        assert_eq!(Answer::of(t.http.get(&uri).bearer_auth(&token)).await.outcome(), "401 invalid_token");
        assert!(guest.authorize(&app, &[]).await.is_error_page());
    }
}

on_both_databases! {
    async fn what_cannot_be_registered_is_refused_with_its_word(setup: Setup) { // attack 17
        let mut setup = setup;
        setup.settings.registration.mode = RegistrationMode::Open;
        let t = setup.start().await;
        let key = ClientKey::new();
        let mut private = key.jwks();
        private["keys"][0]["d"] = "x".into();
        for (name, value, error) in [
            ("redirect_uris", json!(["https://app.example/cb#fragment"]), "invalid_redirect_uri"),
            ("redirect_uris", json!(["http://app.example/cb"]), "invalid_redirect_uri"),
            ("redirect_uris", json!(["javascript:alert(1)"]), "invalid_redirect_uri"),
            ("redirect_uris", json!(["https://*.app.example/cb"]), "invalid_redirect_uri"),
            ("redirect_uris", json!([]), "invalid_redirect_uri"),
            ("redirect_uris", json!("https://app.example/cb"), "invalid_client_metadata"),
            ("grant_types", json!(["password"]), "invalid_client_metadata"),
            ("grant_types", json!(["urn:ietf:params:oauth:grant-type:jwt-bearer"]), "invalid_client_metadata"),
            ("grant_types", json!(["nonsense"]), "invalid_client_metadata"),
            ("grant_types", json!(["client_credentials"]), "invalid_client_metadata"),
            ("grant_types", json!(["authorization_code", "urn:ietf:params:oauth:grant-type:token-exchange"]), "invalid_client_metadata"),
            ("scope", json!("nonsense only"), "invalid_client_metadata"),
            // A superuser alone lets an application ask for these.
            ("scope", json!("admin:read admin:write"), "invalid_client_metadata"),
            ("response_types", json!(["nonsense"]), "invalid_client_metadata"),
            ("token_endpoint_auth_method", json!("nonsense"), "invalid_client_metadata"),
            ("token_endpoint_auth_method", json!("private_key_jwt"), "invalid_client_metadata"),
            ("id_token_signed_response_alg", json!("RS512"), "invalid_client_metadata"),
            ("userinfo_signed_response_alg", json!("none"), "invalid_client_metadata"),
            ("jwks", private, "invalid_client_metadata"),
            ("jwks", json!({ "keys": [] }), "invalid_client_metadata"),
            ("jwks_uri", json!("http://app.example/jwks"), "invalid_client_metadata"),
            ("sector_identifier_uri", json!("https://169.254.169.254/sector.json"), "invalid_client_metadata"),
            ("subject_type", json!("nonsense"), "invalid_client_metadata"),
            ("client_uri", json!("javascript:alert(1)"), "invalid_client_metadata"),
            ("backchannel_logout_uri", json!("ftp://app.example/"), "invalid_client_metadata"),
            ("client_name", json!(7), "invalid_client_metadata"),
            ("client_name", json!("x".repeat(3_000)), "invalid_client_metadata"),
            ("default_max_age", json!(-1), "invalid_client_metadata"),
        ] {
            let mut bad = metadata();
            bad[name] = value.clone();
            assert_eq!(register(&t, None, &bad).await.outcome(), format!("400 {error}"), "{name}: {value}");
        }
        for odd in ["[]", "null", "7", "{", ""] {
            let request = t.http.post(t.url("register")).header("content-type", "application/json").body(odd);
            assert_eq!(Answer::of(request).await.status, 400, "{odd}");
        }
        let public = json!({ "redirect_uris": [CALLBACK], "token_endpoint_auth_method": "none" });
        let registered = register(&t, None, &public).await;
        assert_eq!((registered.status, registered.field("client_secret").as_str()), (201, ""));
        let mut hs256 = public;
        hs256["id_token_signed_response_alg"] = "HS256".into();
        assert_eq!(register(&t, None, &hs256).await.outcome(), "400 invalid_client_metadata");
    }
}

on_both_databases! {
    async fn whoever_registers_gets_no_more_than_that_and_keeps_what_the_operator_decided(setup: Setup) {
        let mut setup = setup;
        setup.settings.registration.mode = RegistrationMode::Open;
        let t = setup.start().await;
        let mut wanted = metadata();
        wanted["token_endpoint_auth_method"] = "client_secret_post".into();
        let registered = register(&t, None, &wanted).await;
        let app = app_of(&t, &registered);
        t.stand_in.issue("github", "good-token", "7");
        assert_eq!(t.convert(&app, "github", "good-token").await.outcome(), "400 unauthorized_client");
        let cx = t.vestibule.context();
        let row = application::find(&cx.db, &app.client_id).await.unwrap().unwrap();
        let limited = application::Application { scopes: "read".split(' ').collect(), skip_authorization: true, ..row };
        application::update(&cx.db, &limited, t.clock.now()).await.unwrap();
        let mut same = wanted;
        same["client_id"] = app.client_id.clone().into();
        let put = t.http.put(registered.field("registration_client_uri")).bearer_auth(registered.field("registration_access_token")).json(&same);
        assert_eq!(Answer::of(put).await.status, 200);
        let after = application::find(&cx.db, &app.client_id).await.unwrap().unwrap();
        assert_eq!((after.scopes.to_string().as_str(), after.skip_authorization), ("read", true));
    }
}

on_both_databases! {
    async fn nobody_fills_the_database_with_registrations(setup: Setup) {
        let mut setup = setup;
        setup.settings.registration.mode = RegistrationMode::Open;
        let t = setup.start().await;
        for _ in 0..60 {
            assert_eq!(register(&t, None, &metadata()).await.status, 201);
        }
        let limited = register(&t, None, &metadata()).await;
        assert_eq!((limited.status, limited.header("retry-after").is_empty()), (429, false));
        t.clock.advance(3_601);
        assert_eq!(register(&t, None, &metadata()).await.status, 201);
    }
}

on_both_databases! {
    async fn an_application_of_a_sector_names_every_redirect_uri(setup: Setup) {
        let mut setup = setup;
        setup.settings.registration.mode = RegistrationMode::Open;
        let document = serve(&mut setup, "https://sector.example").await;
        let t = setup.start().await;
        let mut wanted = metadata();
        wanted["redirect_uris"] = json!([CALLBACK, "https://other.example/cb"]);
        wanted["subject_type"] = "pairwise".into();
        assert_eq!(register(&t, None, &wanted).await.outcome(), "400 invalid_client_metadata");
        wanted["sector_identifier_uri"] = "https://sector.example/list.json".into();
        *document.lock().unwrap() = json!([CALLBACK]);
        assert_eq!(register(&t, None, &wanted).await.outcome(), "400 invalid_client_metadata");
        *document.lock().unwrap() = json!([CALLBACK, "https://other.example/cb"]);
        assert_eq!(register(&t, None, &wanted).await.status, 201);
    }
}

/// A site that answers every request with one document.
async fn serve(setup: &mut Setup, origin: &str) -> std::sync::Arc<std::sync::Mutex<Value>> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    setup.settings.outbound.origin_map.insert(origin.to_owned(), format!("http://{}", listener.local_addr().unwrap()));
    let document: std::sync::Arc<std::sync::Mutex<Value>> = std::sync::Arc::default();
    let answering = document.clone();
    let router = axum::Router::new().fallback(move || {
        let document = answering.lock().unwrap().clone();
        async move { axum::Json(document) }
    });
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    document
}

on_both_databases! {
    async fn a_client_id_may_be_the_address_of_a_document(setup: Setup) {
        let mut setup = setup;
        setup.settings.registration.client_id_metadata_documents = true;
        let document = serve(&mut setup, "https://client.example").await;
        let t = setup.start().await;
        t.person("ada").await;
        let id = "https://client.example/client.json";
        let row = vestibule::store::application::Application::new(id.to_owned(), String::new(), vestibule::protocol::ClientType::Public);
        let app = App { row, client_id: id.to_owned(), secret: None };
        let guest = Guest::new(&t);
        let good = json!({ "client_id": id, "client_name": "By document", "redirect_uris": [CALLBACK], "grant_types": ["authorization_code", "refresh_token"] });
        for (name, value) in [
            ("client_id", json!("https://client.example/other.json")),
            ("client_secret", json!("x")),
            ("token_endpoint_auth_method", json!("client_secret_post")),
            ("redirect_uris", json!(["https://elsewhere.example/cb"])),
            ("redirect_uris", json!([])),
            ("grant_types", json!(["password"])),
        ] {
            let mut bad = good.clone();
            bad[name] = value;
            *document.lock().unwrap() = bad;
            assert!(guest.authorize(&app, &[]).await.is_error_page(), "{name}");
            t.clock.advance(3_601);
        }
        *document.lock().unwrap() = Value::Null;
        assert!(guest.authorize(&app, &[]).await.is_error_page());
        *document.lock().unwrap() = good;

        let page = guest.authorize(&app, &[("scope", "read")]).await;
        let consent = guest.sign_in(&page, "ada").await;
        assert!(consent.text.contains("By document") && consent.text.contains("class=\"warning\""), "{consent:?}");
        let code = guest.allow(&consent).await.sent("code");
        let tokens = redeem(&t, &app, &code).await;
        assert_eq!(tokens.status, 200, "{tokens:?}");
        assert_eq!(t.refresh(&app, &tokens.refresh_token()).await.status, 200);
        for inside in ["https://169.254.169.254/client.json", "https://localhost/client.json", "http://client.example/client.json"] {
            let app = App { client_id: inside.to_owned(), ..app.clone() };
            assert!(guest.authorize(&app, &[]).await.is_error_page(), "{inside}");
        }
        let off = t.second_node_with(|settings| settings.registration.client_id_metadata_documents = false).await;
        assert!(Guest::new(&off).authorize(&app, &[]).await.is_error_page());
        assert_eq!(off.refresh(&app, &tokens.refresh_token()).await.outcome(), "401 invalid_client");
    }
}

async fn push(t: &Test, app: &App, params: &[(&str, &str)]) -> Answer {
    let usual = [
        ("response_type", "code"),
        ("redirect_uri", CALLBACK),
        ("state", "its-state"),
        ("code_challenge", CHALLENGE),
        ("code_challenge_method", "S256"),
    ];
    let mut all: Vec<(&str, &str)> =
        usual.into_iter().filter(|(name, _)| !params.iter().any(|(own, _)| own == name)).collect();
    all.extend(params.iter().filter(|(_, value)| !value.is_empty()));
    t.call("par", app, &all).await
}

on_both_databases! {
    async fn a_pushed_request_is_used_once_by_its_client_within_its_time(t: Test) { // attack 47
        t.person("ada").await;
        let (app, other) = (web_app(&t).await, web_app(&t).await);
        let guest = Guest::new(&t);
        guest.code(&app, "ada", &[("scope", "read")]).await;
        let request_of = |client_id: &str, uri: &str| format!("authorize?client_id={client_id}&request_uri={uri}");

        let pushed = push(&t, &app, &[("scope", "read")]).await;
        assert_eq!((pushed.status, pushed.json()["expires_in"].as_i64()), (201, Some(90)), "{pushed:?}");
        let uri = pushed.field("request_uri");
        assert!(guest.open(&request_of(&other.client_id, &uri)).await.is_error_page());
        let back = guest.open(&request_of(&app.client_id, &uri)).await;
        assert_eq!(redeem(&t, &app, &back.sent("code")).await.status, 200);
        assert!(guest.open(&request_of(&app.client_id, &uri)).await.is_error_page());
        let late = push(&t, &app, &[("scope", "read")]).await.field("request_uri");
        t.clock.advance(91);
        assert!(guest.open(&request_of(&app.client_id, &late)).await.is_error_page());
        assert!(guest.open(&request_of(&app.client_id, "urn:ietf:params:oauth:request_uri:garbage")).await.is_error_page());
        for (params, error) in [
            (vec![("request_uri", "urn:x")], "invalid_request"),
            (vec![("redirect_uri", "https://evil.example/")], "invalid_request"),
            (vec![("code_challenge", ""), ("code_challenge_method", "")], "invalid_request"),
            (vec![("code_challenge_method", "plain")], "invalid_request"),
            (vec![("scope", "nonsense")], "invalid_scope"),
            (vec![("response_type", "code id_token"), ("scope", "openid"), ("nonce", "n")], "unauthorized_client"),
            (vec![("response_type", "token")], "unauthorized_client"),
            (vec![("client_id", "x")], "invalid_request"),
        ] {
            assert_eq!(push(&t, &app, &params).await.outcome(), format!("400 {error}"), "{params:?}");
        }
        let wrong = t.post("par", &[("client_id", &app.client_id), ("client_secret", "wrong"), ("response_type", "code")]).await;
        assert_eq!(wrong.outcome(), "401 invalid_client");
        assert_eq!(guest.get("par").await.status, 405);
        // Sign-in and consent may take their time, as long as the request was taken out in time.
        let slow = Guest::new(&t);
        let uri = push(&t, &app, &[("scope", "read write")]).await.field("request_uri");
        let page = slow.open(&request_of(&app.client_id, &uri)).await;
        t.clock.advance(600);
        let consent = slow.sign_in(&page, "ada").await;
        assert!(slow.allow(&consent).await.sent("code").starts_with("vac_"));
    }
}

on_both_databases! {
    async fn an_application_may_have_to_push_and_a_push_may_bind_its_code_to_a_key(t: Test) {
        t.person("ada").await;
        let app = t.app_with(|app| {
            app.grant_types = vec![AuthorizationCode, RefreshToken];
            app.redirect_uris = vec![CALLBACK.to_owned()];
            app.skip_authorization = true;
            app.metadata.require_pushed_authorization_requests = true;
        }).await;
        let guest = Guest::new(&t);
        guest.enter("ada").await;
        assert_eq!(guest.authorize(&app, &[]).await.sent("error"), "invalid_request");
        let (key, thief) = (ClientKey::new(), ClientKey::new());
        let proof = |key: &ClientKey, path: &str| key.proof("POST", &t.url(path), t.clock.now(), None);
        let form = [("client_id", app.client_id.as_str()), ("client_secret", app.secret.as_deref().unwrap()), ("response_type", "code"), ("redirect_uri", CALLBACK), ("code_challenge", CHALLENGE), ("code_challenge_method", "S256"), ("scope", "read")];
        let pushed = Answer::of(t.http.post(t.url("par")).header("dpop", proof(&key, "par")).form(&form)).await;
        let mismatched = [form.as_slice(), &[("dpop_jkt", thief.thumbprint().leak() as &str)]].concat();
        assert_eq!(Answer::of(t.http.post(t.url("par")).header("dpop", proof(&key, "par")).form(&mismatched)).await.outcome(), "400 invalid_dpop_proof");
        let back = guest.open(&format!("authorize?client_id={}&request_uri={}", app.client_id, pushed.field("request_uri"))).await;
        let code = back.sent("code");
        let redemption = [("client_id", app.client_id.as_str()), ("client_secret", app.secret.as_deref().unwrap()), ("grant_type", "authorization_code"), ("code", &code), ("redirect_uri", CALLBACK), ("code_verifier", VERIFIER)];
        let by = |key: &ClientKey| Answer::of(t.http.post(t.url("token")).header("dpop", proof(key, "token")).form(&redemption));
        assert_eq!(by(&thief).await.outcome(), "400 invalid_grant");
        assert_eq!(by(&key).await.field("token_type"), "DPoP");
    }
}

on_both_databases! {
    async fn a_signed_request_says_everything_and_a_wrong_one_nothing(t: Test) { // attack 45
        t.person("ada").await;
        let key = ClientKey::new();
        let app = t.app_with(|app| {
            app.grant_types = vec![AuthorizationCode];
            app.redirect_uris = vec![CALLBACK.to_owned()];
            app.skip_authorization = true;
            app.jwks = Some(key.jwks().to_string());
        }).await;
        let other = t.app_with(|app| {
            app.grant_types = vec![AuthorizationCode];
            app.redirect_uris = vec![CALLBACK.to_owned()];
        }).await;
        let guest = Guest::new(&t);
        guest.enter("ada").await;
        let now = t.clock.now();
        let object = || json!({
            "iss": app.client_id, "aud": t.url("/auth"), "exp": now + 60, "client_id": app.client_id, "response_type": "code", "redirect_uri": CALLBACK,
            "scope": "openid", "state": "the-signed-state", "nonce": "the-signed-nonce", "code_challenge": CHALLENGE, "code_challenge_method": "S256", "max_age": 1000,
            "claims": { "id_token": { "email": null } }, "jti": unique()
        });
        let signed = key.jwt(&object());

        let back = guest.authorize(&app, &[("request", &signed), ("state", "around-it"), ("scope", "read")]).await;

        assert_eq!(back.sent("state"), "the-signed-state");
        let tokens = redeem(&t, &app, &back.sent("code")).await;
        assert_eq!((tokens.field("scope").as_str(), claims(&tokens.field("id_token"))["nonce"].as_str()), ("openid", Some("the-signed-nonce")));
        for (name, value) in [("aud", json!("https://other.example")), ("exp", json!(now - 300)), ("nbf", json!(now + 300)), ("iss", json!("somebody")), ("client_id", json!("somebody")), ("request", json!("x")), ("request_uri", json!("x"))] {
            let mut bad = object();
            bad[name] = value;
            assert_eq!(guest.authorize(&app, &[("request", &key.jwt(&bad))]).await.sent("error"), "invalid_request_object", "{name}");
        }
        for bad in [
            key.sign(&json!({ "alg": "none" }), &object()),
            format!("{}.", key.sign(&json!({ "alg": "none" }), &object()).rsplit_once('.').unwrap().0),
            ClientKey::new().jwt(&object()),
            key.sign(&json!({ "alg": "HS256" }), &object()),
        ] {
            let refused = guest.authorize(&app, &[("request", &bad)]).await;
            assert_eq!((refused.sent("error").as_str(), refused.sent("code").as_str()), ("invalid_request_object", ""));
        }
        assert_eq!(guest.authorize(&other, &[("request", &signed)]).await.sent("error"), "invalid_request_object");
        let without = guest.get(&format!("authorize?client_id={}&request={signed}", app.client_id)).await;
        assert!(without.sent("code").starts_with("vac_"), "{without:?}");
        let pushed = push(&t, &app, &[("request", &signed)]).await;
        assert_eq!(pushed.status, 201, "{pushed:?}");
        assert_eq!(push(&t, &app, &[("request", "garbage")]).await.outcome(), "400 invalid_request_object");

        let strict = t.app_with(|app| {
            app.grant_types = vec![AuthorizationCode];
            app.redirect_uris = vec![CALLBACK.to_owned()];
            app.metadata.require_signed_request_object = true;
        }).await;
        assert_eq!(guest.authorize(&strict, &[]).await.sent("error"), "invalid_request");
    }
}

on_both_databases! {
    async fn a_request_signed_with_the_secret_counts_where_that_was_registered(t: Test) {
        t.person("ada").await;
        let cx = t.vestibule.context();
        let secret = "a-secret-that-signs-0123456789";
        let app = t.app_with(|app| {
            app.grant_types = vec![AuthorizationCode];
            app.redirect_uris = vec![CALLBACK.to_owned()];
            app.skip_authorization = true;
            app.metadata.request_object_signing_alg = Some("HS256".to_owned());
            client::set_secret(cx, app, secret).unwrap();
        }).await;
        let guest = Guest::new(&t);
        guest.enter("ada").await;
        let object = json!({ "client_id": app.client_id, "response_type": "code", "redirect_uri": CALLBACK, "code_challenge": CHALLENGE, "code_challenge_method": "S256" });
        let sign = |secret: &str| vestibule::signing::sign_with_secret(secret, "JWT", &object);
        assert!(guest.authorize(&app, &[("request", &sign(secret))]).await.sent("code").starts_with("vac_"));
        assert_eq!(guest.authorize(&app, &[("request", &sign("another"))]).await.sent("error"), "invalid_request_object");
    }
}
