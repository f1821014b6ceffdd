//! Tokens that are bound: to a DPoP key (RFC 9449), to an API (RFC 8707); and tokens that are JWTs (RFC 9068).

use futures_util::future::join_all;
use serde_json::{Value, json};
use vestibule::protocol::ClientType;
use vestibule::protocol::GrantType::{AuthorizationCode, ClientCredentials, Password, RefreshToken};
use vestibule::protocol::jwt::Jwt;
use vestibule::protocol::key_set::{DEFAULT_ALGORITHMS, KeySet};
use vestibule::settings::AccessTokenFormat;

use crate::harness::guest::{CALLBACK, Guest, VERIFIER};
use crate::harness::key::{ClientKey, claims, encode, header};
use crate::harness::{Answer, App, Setup, Test, on_both_databases};

async fn with_proof(t: &Test, app: &App, proof: &str, form: &[(&str, &str)]) -> Answer {
    let mut all = vec![("client_id", app.client_id.as_str())];
    all.extend(app.secret.as_deref().map(|secret| ("client_secret", secret)));
    all.extend(form);
    Answer::of(t.http.post(t.url("token")).header("dpop", proof).form(&all)).await
}

async fn call(t: &Test, scheme: &str, token: &str, proof: Option<&str>) -> Answer {
    let request = t.http.get(t.url("verify")).header("authorization", format!("{scheme} {token}"));
    Answer::of(match proof {
        Some(proof) => request.header("dpop", proof),
        None => request,
    })
    .await
}

on_both_databases! {
    async fn a_token_bound_to_a_key_is_of_no_use_without_it(t: Test) { // attack 265
        let app = t.app(&[ClientCredentials]).await;
        let (key, thief) = (ClientKey::new(), ClientKey::new());
        let now = t.clock.now();
        let grant = [("grant_type", "client_credentials")];
        let tokens = with_proof(&t, &app, &key.proof("POST", &t.url("token"), now, None), &grant).await;
        assert_eq!((tokens.status, tokens.field("token_type").as_str()), (200, "DPoP"), "{tokens:?}");
        assert!(!tokens.header("dpop-nonce").is_empty());
        let token = tokens.access_token();
        let verify = t.url("verify");

        let good = key.proof("GET", &verify, now, Some(&token));
        assert_eq!(call(&t, "DPoP", &token, Some(&good)).await.status, 200);
        let replayed = call(&t, "DPoP", &token, Some(&good)).await;
        assert_eq!(replayed.outcome(), "401 invalid_dpop_proof");
        assert!(replayed.header("www-authenticate").starts_with("DPoP realm=\"api\", error=\"invalid_dpop_proof\""));
        let other_node = t.second_node_with(|settings| settings.public_url = Some(t.base.clone())).await;
        assert_eq!(call(&other_node, "DPoP", &token, Some(&good)).await.outcome(), "401 invalid_dpop_proof");
        assert_eq!(call(&t, "dpop", &token, Some(&key.proof("GET", &verify, now, Some(&token)))).await.status, 200);
        assert_eq!(call(&t, "Bearer", &token, None).await.outcome(), "401 invalid_token");
        assert_eq!(call(&t, "Bearer", &token, Some(&key.proof("GET", &verify, now, Some(&token)))).await.outcome(), "401 invalid_token");
        assert_eq!(call(&t, "DPoP", &token, None).await.outcome(), "401 invalid_dpop_proof");
        assert_eq!(call(&t, "DPoP", &token, Some(&thief.proof("GET", &verify, now, Some(&token)))).await.outcome(), "401 invalid_token");
        let unbound = t.call("token", &app, &grant).await.access_token();
        assert_eq!(call(&t, "DPoP", &unbound, Some(&key.proof("GET", &verify, now, Some(&unbound)))).await.outcome(), "401 invalid_token");

        let proof = |change: &dyn Fn(&mut Value)| {
            let mut claims = ClientKey::proof_claims("GET", &verify, now, Some(&token));
            change(&mut claims);
            key.proof_of(&claims)
        };
        for (what, bad) in [
            ("another method", proof(&|claims| claims["htm"] = "POST".into())),
            ("another address", proof(&|claims| claims["htu"] = t.url("userinfo").into())),
            ("another token", proof(&|claims| claims["ath"] = encode(&[0; 32]).into())),
            ("no token", proof(&|claims| drop(claims.as_object_mut().unwrap().remove("ath")))),
            ("no id", proof(&|claims| drop(claims.as_object_mut().unwrap().remove("jti")))),
            ("no time", proof(&|claims| drop(claims.as_object_mut().unwrap().remove("iat")))),
            ("old", proof(&|claims| claims["iat"] = (now - 120).into())),
            ("not yet", proof(&|claims| claims["iat"] = (now + 120).into())),
            ("expired", proof(&|claims| claims["exp"] = (now - 60).into())),
            ("nbf", proof(&|claims| claims["nbf"] = (now + 120).into())),
            ("an odd nonce", proof(&|claims| claims["nonce"] = 7.into())),
        ] {
            assert_eq!(call(&t, "DPoP", &token, Some(&bad)).await.outcome(), "401 invalid_dpop_proof", "{what}");
        }
        let body = ClientKey::proof_claims("GET", &verify, now, Some(&token));
        let mut private = key.jwk();
        private["d"] = "x".into();
        for (what, head) in [
            ("none", json!({ "typ": "dpop+jwt", "alg": "none", "jwk": key.jwk() })),
            ("HS256", json!({ "typ": "dpop+jwt", "alg": "HS256", "jwk": { "kty": "oct", "k": "AAAA" } })),
            ("typ", json!({ "typ": "JWT", "alg": "ES256", "jwk": key.jwk() })),
            ("no typ", json!({ "alg": "ES256", "jwk": key.jwk() })),
            ("no key", json!({ "typ": "dpop+jwt", "alg": "ES256" })),
            ("private key", json!({ "typ": "dpop+jwt", "alg": "ES256", "jwk": private })),
            ("another key", json!({ "typ": "dpop+jwt", "alg": "ES256", "jwk": thief.jwk() })),
        ] {
            assert_eq!(call(&t, "DPoP", &token, Some(&key.sign(&head, &body))).await.outcome(), "401 invalid_dpop_proof", "{what}");
        }
        for near in [-10, 10] {
            let near = proof(&|claims| claims["iat"] = (now + near).into());
            assert_eq!(call(&t, "DPoP", &token, Some(&near)).await.status, 200);
        }
    }
}

on_both_databases! {
    async fn of_many_with_one_proof_one_passes(t: Test) { // attack 265
        let app = t.app(&[ClientCredentials]).await;
        let key = ClientKey::new();
        let proof = key.proof("POST", &t.url("token"), t.clock.now(), None);
        let grant = [("grant_type", "client_credentials")];
        let answers = join_all((0..30).map(|_| with_proof(&t, &app, &proof, &grant))).await;
        assert_eq!(answers.iter().filter(|answer| answer.status == 200).count(), 1);
        assert!(answers.iter().filter(|answer| answer.status != 200).all(|answer| answer.outcome() == "400 invalid_dpop_proof"));
    }
}

on_both_databases! {
    async fn a_server_may_demand_its_nonce(setup: Setup) {
        let mut setup = setup;
        setup.settings.dpop.require_nonce = true;
        let t = setup.start().await;
        let app = t.app(&[ClientCredentials]).await;
        let key = ClientKey::new();
        let grant = [("grant_type", "client_credentials")];
        let ask = |nonce: Option<String>| {
            let mut claims = ClientKey::proof_claims("POST", &t.url("token"), t.clock.now(), None);
            if let Some(nonce) = nonce {
                claims["nonce"] = nonce.into();
            }
            let proof = key.proof_of(&claims);
            let (t, app) = (&t, &app);
            async move { with_proof(t, app, &proof, &grant).await }
        };
        let told = ask(None).await;
        assert_eq!(told.outcome(), "400 use_dpop_nonce");
        let nonce = told.header("dpop-nonce");
        assert_eq!(ask(Some("made-up".to_owned())).await.outcome(), "400 use_dpop_nonce");
        let tokens = ask(Some(nonce.clone())).await;
        assert_eq!(tokens.status, 200);
        let proof = key.proof("GET", &t.url("verify"), t.clock.now(), Some(&tokens.access_token()));
        let at_api = call(&t, "DPoP", &tokens.access_token(), Some(&proof)).await;
        assert_eq!(at_api.outcome(), "401 use_dpop_nonce");
        assert!(at_api.header("www-authenticate").starts_with("DPoP") && !at_api.header("dpop-nonce").is_empty());
        t.clock.advance(700);
        assert_eq!(ask(Some(nonce)).await.outcome(), "400 use_dpop_nonce");
    }
}

on_both_databases! {
    async fn codes_and_refresh_tokens_keep_their_key(t: Test) {
        t.person("ada").await;
        let public = t.app_with(|app| {
            app.grant_types = vec![AuthorizationCode, RefreshToken];
            app.client_type = ClientType::Public;
            app.redirect_uris = vec![CALLBACK.to_owned()];
        }).await;
        let (key, thief) = (ClientKey::new(), ClientKey::new());
        let guest = Guest::new(&t);
        let proof = |key: &ClientKey| key.proof("POST", &t.url("token"), t.clock.now(), None);
        let code = guest.code(&public, "ada", &[("scope", "read"), ("dpop_jkt", &key.thumbprint())]).await;
        let form = [("grant_type", "authorization_code"), ("code", code.as_str()), ("redirect_uri", CALLBACK), ("code_verifier", VERIFIER)];
        assert_eq!(with_proof(&t, &public, &proof(&thief), &form).await.outcome(), "400 invalid_grant");
        assert_eq!(t.call("token", &public, &form).await.outcome(), "400 invalid_grant");
        let tokens = with_proof(&t, &public, &proof(&key), &form).await;
        assert_eq!(tokens.field("token_type"), "DPoP", "{tokens:?}");

        let refresh = [("grant_type", "refresh_token"), ("refresh_token", &tokens.refresh_token())].map(|(a, b)| (a.to_owned(), b.to_owned()));
        let refresh: Vec<_> = refresh.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
        assert_eq!(t.call("token", &public, &refresh).await.outcome(), "400 invalid_dpop_proof");
        assert_eq!(with_proof(&t, &public, &proof(&thief), &refresh).await.outcome(), "400 invalid_dpop_proof");
        let next = with_proof(&t, &public, &proof(&key), &refresh).await;
        assert_eq!(next.field("token_type"), "DPoP", "{next:?}");
        // The same pair again within the grace, but not to the thief.
        assert_eq!(with_proof(&t, &public, &proof(&key), &refresh).await.access_token(), next.access_token());
        assert_eq!(with_proof(&t, &public, &proof(&thief), &refresh).await.outcome(), "400 invalid_dpop_proof");

        let bound_only = t.app_with(|app| {
            app.grant_types = vec![ClientCredentials];
            app.metadata.dpop_bound_access_tokens = true;
        }).await;
        let grant = [("grant_type", "client_credentials")];
        assert_eq!(t.call("token", &bound_only, &grant).await.outcome(), "400 invalid_dpop_proof");
        let two = Answer::of(t.http.post(t.url("token")).header("dpop", proof(&key)).header("dpop", proof(&key)).form(&[grant[0], ("client_id", bound_only.client_id.as_str())])).await;
        assert_eq!(two.outcome(), "400 invalid_dpop_proof");
    }
}

on_both_databases! {
    async fn a_jwt_access_token_is_read_by_anybody_and_revoked_like_any_other(t: Test) { // attacks 141, 145, 161
        let ada = t.person("ada").await;
        let app = t.app_with(|app| {
            app.grant_types = vec![Password];
            app.metadata.access_token_format = Some(AccessTokenFormat::Jwt);
            app.signing_algorithm = "ES256".to_owned();
        }).await;
        let tokens = t.password(&app, "ada").await;
        let token = tokens.access_token();
        let set = KeySet::parse(Answer::of(t.http.get(t.url("jwks"))).await.text.as_bytes()).unwrap();
        assert!(Jwt::parse(&token).unwrap().is_signed_by(&set, DEFAULT_ALGORITHMS));
        assert_eq!((header(&token)["typ"].as_str(), header(&token)["alg"].as_str()), (Some("at+jwt"), Some("ES256")));
        let told = claims(&token);
        assert_eq!((told["sub"].as_str(), told["client_id"].as_str(), told["scope"].as_str()), (Some(ada.id.to_string().as_str()), Some(app.client_id.as_str()), Some("read write")));
        assert_eq!((told["iss"].clone(), told["aud"].clone()), (json!(t.url("/auth")), json!(t.base)));
        assert_eq!(told["exp"].as_i64().unwrap() - told["iat"].as_i64().unwrap(), 36_000);
        assert!(t.accepts(&token).await && t.accepts(&token).await);
        assert_eq!(t.call("introspect", &app, &[("token", &token)]).await.json()["username"], "ada");

        let key = ClientKey::new();
        let own = |head: Value, body: &Value| key.sign(&head, body);
        let kid = header(&token)["kid"].clone();
        let mut parts: Vec<&str> = token.split('.').collect();
        let unsigned = format!("{}.{}.", parts[0], parts[1]);
        parts[2] = "AAAA";
        for bad in [
            own(json!({ "alg": "none", "typ": "at+jwt" }), &told),
            own(json!({ "alg": "ES256", "typ": "at+jwt", "kid": kid }), &told),
            own(json!({ "alg": "ES256", "typ": "at+jwt", "jwk": key.jwk() }), &told),
            unsigned,
            parts.join("."),
            format!("{token}x"),
            told["jti"].as_str().unwrap().to_owned(),
        ] {
            assert!(!t.accepts(&bad).await, "{bad}");
        }
        let refreshed = t.refresh(&app, &tokens.refresh_token()).await;
        let again = t.refresh(&app, &tokens.refresh_token()).await;
        assert_eq!(claims(&refreshed.access_token()), claims(&again.access_token()));
        assert!(t.accepts(&refreshed.access_token()).await && t.accepts(&again.access_token()).await && !t.accepts(&token).await);
        let second = t.second_node_with(|settings| settings.public_url = Some(t.base.clone())).await;
        assert!(second.accepts(&refreshed.access_token()).await);
        t.call("revoke-token", &app, &[("token", &refreshed.access_token())]).await;
        assert!(!t.accepts(&refreshed.access_token()).await && !second.accepts(&again.access_token()).await);
        t.clock.advance(36_001);
        assert!(!t.accepts(&t.password(&app, "ada").await.access_token().replace('a', "b")).await);
    }
}

on_both_databases! {
    async fn an_id_token_or_an_expired_one_is_no_access_token(t: Test) { // attack 161
        t.person("ada").await;
        let app = t.app_with(|app| {
            app.grant_types = vec![AuthorizationCode, Password];
            app.redirect_uris = vec![CALLBACK.to_owned()];
            app.metadata.access_token_format = Some(AccessTokenFormat::Jwt);
        }).await;
        let guest = Guest::new(&t);
        let code = guest.code(&app, "ada", &[("scope", "openid")]).await;
        let tokens = crate::authorize::redeem(&t, &app, &code).await;
        assert!(!t.accepts(&tokens.field("id_token")).await);
        assert_eq!(t.get_as("userinfo", &format!("Bearer {}", tokens.access_token())).await.status, 200);
        t.clock.advance(36_001);
        assert!(!t.accepts(&tokens.access_token()).await);
    }
}

on_both_databases! {
    async fn a_token_for_one_api_is_of_no_use_at_another(setup: Setup) { // attack 161
        let mut setup = setup;
        let (first, second) = ("https://api.example/mcp", "https://other.example/");
        setup.settings.authorization.resources = vec![first.to_owned(), second.to_owned()];
        let t = setup.start().await;
        let app = t.app_with(|app| {
            app.grant_types = vec![ClientCredentials];
            app.metadata.access_token_format = Some(AccessTokenFormat::Jwt);
        }).await;
        let ask = |resources: Vec<&'static str>| {
            let mut form = vec![("grant_type", "client_credentials")];
            form.extend(resources.into_iter().map(|resource| ("resource", resource)));
            let (t, app) = (&t, &app);
            async move { t.call("token", app, &form).await }
        };
        let here = ask(vec![first]).await.access_token();
        let there = ask(vec!["https://other.example"]).await.access_token();
        let both = ask(vec![first, second]).await.access_token();
        assert_eq!((claims(&here)["aud"].clone(), claims(&there)["aud"].clone()), (json!(first), json!(second)));
        assert_eq!(claims(&both)["aud"], json!([first, second]));
        assert!(t.accepts(&here).await && t.accepts(&both).await && !t.accepts(&there).await);
        assert_eq!(t.get_as("verify?resource=https://other.example/", &format!("Bearer {there}")).await.status, 200);
        assert_eq!(t.get_as("verify?resource=https://other.example/", &format!("Bearer {here}")).await.outcome(), "401 invalid_token");
        assert_eq!(t.call("introspect", &app, &[("token", &there)]).await.json()["aud"], json!([second]));
        assert_eq!(ask(vec!["https://nowhere.example"]).await.outcome(), "400 invalid_target");
        t.person("ada").await;
        let web = crate::authorize::web_app(&t).await;
        let guest = Guest::new(&t);
        for (resource, outcome) in [(first, "200"), (second, "400 invalid_target")] {
            let code = guest.code(&web, "ada", &[("scope", "read"), ("resource", first)]).await;
            let form = [("grant_type", "authorization_code"), ("code", code.as_str()), ("redirect_uri", CALLBACK), ("code_verifier", VERIFIER), ("resource", resource)];
            assert_eq!(t.call("token", &web, &form).await.outcome(), outcome);
        }

        let metadata = Answer::of(t.http.get(t.url("/.well-known/oauth-protected-resource/mcp"))).await.json();
        assert_eq!((metadata["resource"].as_str(), metadata["authorization_servers"][0].as_str()), (Some(first), Some(t.url("/auth").as_str())));
        assert_eq!(Answer::of(t.http.get(t.url("/.well-known/oauth-protected-resource/nothing"))).await.status, 404);
    }
}
