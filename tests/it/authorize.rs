//! The authorize endpoint: who may be sent where, with what, and what the person is asked before.

use vestibule::protocol::GrantType::{AuthorizationCode, Hybrid, Implicit, RefreshToken};
use vestibule::protocol::client_metadata::PkceRule;

use crate::harness::guest::{CALLBACK, CHALLENGE, Guest, VERIFIER, request_url};
use crate::harness::key::{claims, header};
use crate::harness::{App, Setup, Test, on_both_databases};

/// An application that signs people in, at the usual address.
pub async fn web_app(t: &Test) -> App {
    t.app_with(|app| {
        app.grant_types = vec![AuthorizationCode, RefreshToken];
        app.redirect_uris = vec![CALLBACK.to_owned()];
    })
    .await
}

/// What the token endpoint gives for a code.
pub async fn redeem(t: &Test, app: &App, code: &str) -> crate::harness::Answer {
    let form =
        [("grant_type", "authorization_code"), ("code", code), ("redirect_uri", CALLBACK), ("code_verifier", VERIFIER)];
    t.call("token", app, &form).await
}

on_both_databases! {
    async fn a_person_signs_in_agrees_and_comes_back_with_a_code(t: Test) { // attack 35
        t.person("ada").await;
        let app = web_app(&t).await;
        let guest = Guest::new(&t);

        let asked = guest.authorize(&app, &[("scope", "openid read"), ("nonce", "its-nonce"), ("login_hint", "ada")]).await;
        assert_eq!(asked.status, 200, "{asked:?}");
        assert!(asked.text.contains("value=\"ada\"") && asked.text.contains(&app.row.name));
        let form = asked.form();
        let posted = guest.submit_only(&form, &[("username", "ada"), ("password", crate::harness::PASSWORD)]).await;
        assert_eq!(posted.status, 303); // never 307 or 308, which would post the password on
        let consent = guest.follow(posted).await;
        assert!(consent.text.contains("name=\"decision\"") && consent.text.contains("Reading scope"), "{consent:?}");
        let back = guest.allow(&consent).await;

        assert_eq!(back.status, 303);
        assert!(back.header("location").starts_with("https://app.example/cb?code=vac_"), "{}", back.header("location"));
        assert_eq!((back.sent("state").as_str(), back.sent("iss")), ("its-state", t.url("/auth")));
        let tokens = redeem(&t, &app, &back.sent("code")).await;
        assert_eq!(tokens.status, 200, "{tokens:?}");
        assert_eq!(tokens.header("cache-control"), "no-store");
        let id_token = claims(&tokens.field("id_token"));
        assert_eq!((id_token["nonce"].as_str(), id_token["aud"].as_str()), (Some("its-nonce"), Some(app.client_id.as_str())));
        assert!(t.accepts(&tokens.access_token()).await);
        assert_eq!(t.refresh(&app, &tokens.refresh_token()).await.status, 200);
    }
}

on_both_databases! {
    async fn consent_is_remembered_by_application_and_scope(t: Test) {
        t.person("ada").await;
        let (app, other) = (web_app(&t).await, web_app(&t).await);
        let guest = Guest::new(&t);
        guest.code(&app, "ada", &[("scope", "read")]).await;

        assert!(guest.authorize(&app, &[("scope", "read")]).await.sent("code").starts_with("vac_"));
        let wider = guest.authorize(&app, &[("scope", "read write")]).await;
        assert!(wider.text.contains("name=\"decision\"") && wider.text.contains("class=\"badge\""), "{wider:?}");
        assert!(guest.authorize(&other, &[("scope", "read")]).await.text.contains("name=\"decision\""));
        assert!(guest.authorize(&app, &[("scope", "read"), ("prompt", "consent")]).await.text.contains("name=\"decision\""));

        let denied = guest.submit(&wider.form(), &[("decision", "deny")]).await;
        assert_eq!((denied.sent("error").as_str(), denied.sent("state").as_str()), ("access_denied", "its-state"));
        assert_eq!(denied.sent("iss"), t.url("/auth"));
        guest.allow(&wider).await;
        assert!(guest.authorize(&app, &[("scope", "write")]).await.sent("code").starts_with("vac_"));
    }
}

on_both_databases! {
    async fn an_application_can_be_let_through_without_consent(t: Test) {
        t.person("ada").await;
        let app = t.app_with(|app| {
            app.grant_types = vec![AuthorizationCode];
            app.redirect_uris = vec![CALLBACK.to_owned()];
            app.skip_authorization = true;
        }).await;
        let guest = Guest::new(&t);
        guest.enter("ada").await;

        let back = guest.authorize(&app, &[]).await;

        assert!(back.sent("code").starts_with("vac_"));
        let tokens = redeem(&t, &app, &back.sent("code")).await;
        assert_eq!(tokens.field("scope"), "read write");
        assert!(guest.authorize(&app, &[("prompt", "consent")]).await.text.contains("name=\"decision\""));
    }
}

on_both_databases! {
    async fn nobody_is_sent_to_an_address_that_is_not_registered(t: Test) { // attacks 21, 23, 27, 33
        t.person("ada").await;
        let app = web_app(&t).await;
        let guest = Guest::new(&t);
        for odd in [
            "https://app.example/cb/",
            "https://app.example/cb?x=1",
            "https://app.example/cb#x",
            "https://app.example/CB",
            "https://APP.example/cb",
            "https://app.example.evil.com/cb",
            "https://app.example@evil.com/cb",
            "javascript:alert(1)",
            "//app.example/cb",
        ] {
            for prompt in ["", "none"] {
                let answer = guest.authorize(&app, &[("redirect_uri", odd), ("prompt", prompt)]).await;
                assert!(answer.is_error_page(), "{odd}: {answer:?}");
                assert!(!answer.text.contains("evil.com"), "{odd}");
            }
        }
        for (client_id, expected) in [("unknown", true), ("", true), ("x\u{1F600}", true)] {
            let answer = guest.authorize(&app, &[("client_id", client_id)]).await;
            assert_eq!(answer.is_error_page(), expected, "{client_id}: {answer:?}");
        }
        let twice = guest.get(&format!("{}&state=other", request_url(&app, &[]))).await;
        assert!(twice.is_error_page(), "{twice:?}");
        vestibule::store::application::update(
            &t.vestibule.context().db,
            &vestibule::store::application::Application { is_active: false, ..app.row.clone() },
            t.clock.now(),
        ).await.unwrap();
        assert!(guest.authorize(&app, &[]).await.is_error_page());
    }
}

on_both_databases! {
    async fn a_redirect_uri_may_be_left_out_only_where_there_is_one(t: Test) { // attack 29
        t.person("ada").await;
        let one = web_app(&t).await;
        let two = t.app_with(|app| {
            app.grant_types = vec![AuthorizationCode];
            app.redirect_uris = vec![CALLBACK.to_owned(), "https://app.example/other".to_owned()];
        }).await;
        let guest = Guest::new(&t);
        guest.enter("ada").await;

        assert!(guest.authorize(&two, &[("redirect_uri", "")]).await.is_error_page());
        assert!(guest.authorize(&one, &[("redirect_uri", ""), ("scope", "openid")]).await.is_error_page());
        let consent = guest.authorize(&one, &[("redirect_uri", ""), ("scope", "read")]).await;
        let back = guest.allow(&consent).await;
        assert!(back.header("location").starts_with("https://app.example/cb?code="));
        let form = [("grant_type", "authorization_code"), ("code", &back.sent("code")), ("code_verifier", VERIFIER)];
        assert_eq!(t.call("token", &one, &form).await.status, 200);
    }
}

on_both_databases! {
    async fn a_registered_query_is_kept_and_no_other_is_taken(t: Test) { // attack 21
        t.person("ada").await;
        let app = t.app_with(|app| {
            app.grant_types = vec![AuthorizationCode];
            app.redirect_uris = vec!["https://app.example/cb?tenant=1".to_owned()];
            app.skip_authorization = true;
        }).await;
        let guest = Guest::new(&t);
        guest.enter("ada").await;
        let back = guest.authorize(&app, &[("redirect_uri", "https://app.example/cb?tenant=1")]).await;
        assert!(back.header("location").starts_with("https://app.example/cb?tenant=1&code=vac_"));
        for other in ["https://app.example/cb", "https://app.example/cb?tenant=2", "https://app.example/cb?tenant=1&x=2", "https://app.example/cb?"] {
            assert!(guest.authorize(&app, &[("redirect_uri", other)]).await.is_error_page(), "{other}");
        }
    }
}

on_both_databases! {
    async fn a_native_application_listens_on_any_port_and_a_preview_has_any_name(setup: Setup) { // attack 25
        let mut setup = setup;
        setup.settings.authorization.allow_uri_wildcards = true;
        let t = setup.start().await;
        t.person("ada").await;
        let native = t.app_with(|app| {
            app.grant_types = vec![AuthorizationCode];
            app.client_type = vestibule::protocol::ClientType::Public;
            app.redirect_uris = vec!["http://127.0.0.1/cb".to_owned(), "com.example.app:/cb".to_owned(), "https://*.preview.example.com/cb".to_owned()];
        }).await;
        let guest = Guest::new(&t);
        guest.code(&native, "ada", &[("redirect_uri", "http://127.0.0.1:51004/cb")]).await;

        for good in ["http://127.0.0.1:1/cb", "com.example.app:/cb", "https://pr-7.preview.example.com/cb"] {
            let back = guest.authorize(&native, &[("redirect_uri", good)]).await;
            assert!(back.header("location").starts_with(good), "{good}: {back:?}");
        }
        for bad in ["http://127.0.0.1.evil.com/cb", "http://127.0.0.1:1/other", "https://a.b.preview.example.com/cb"] {
            assert!(guest.authorize(&native, &[("redirect_uri", bad)]).await.is_error_page(), "{bad}");
        }
    }
}

on_both_databases! {
    async fn what_is_wrong_with_a_request_is_told_the_client(t: Test) { // attacks 37, 39, 49, 55, 57, 61
        t.person("ada").await;
        let app = t.app_with(|app| {
            app.grant_types = vec![AuthorizationCode, Hybrid];
            app.redirect_uris = vec![CALLBACK.to_owned()];
            app.scopes = "openid read".split(' ').collect();
        }).await;
        let guest = Guest::new(&t);
        guest.enter("ada").await;
        for (params, error) in [
            (vec![("response_type", "")], "invalid_request"),
            (vec![("response_type", "codes")], "unsupported_response_type"),
            (vec![("response_type", "code id_token"), ("scope", "openid")], "invalid_request"),
            (vec![("response_type", "token")], "unauthorized_client"),
            (vec![("response_mode", "pigeon")], "invalid_request"),
            (vec![("response_type", "code token"), ("response_mode", "query")], "invalid_request"),
            (vec![("scope", "nonsense")], "invalid_scope"),
            (vec![("scope", "read write")], "invalid_scope"),
            (vec![("scope", "re\"ad")], "invalid_scope"),
            (vec![("scope", "re\\ad")], "invalid_scope"),
            (vec![("scope", "read\u{7}")], "invalid_scope"),
            (vec![("code_challenge", ""), ("code_challenge_method", "")], "invalid_request"),
            (vec![("code_challenge", "")], "invalid_request"),
            (vec![("code_challenge_method", "plain")], "invalid_request"),
            (vec![("code_challenge_method", "s256")], "invalid_request"),
            (vec![("code_challenge_method", "")], "invalid_request"),
            (vec![("code_challenge", "short")], "invalid_request"),
            (vec![("max_age", "soon")], "invalid_request"),
            (vec![("prompt", "none login")], "invalid_request"),
            (vec![("claims", "[]")], "invalid_request"),
            (vec![("resource", "https://elsewhere.example/")], "invalid_target"),
            (vec![("request_uri", "https://app.example/request.jwt")], "request_uri_not_supported"),
            (vec![("request", "x.y.z")], "invalid_request_object"),
            (vec![("id_token_hint", "x.y.z")], "invalid_request"),
            (vec![("claims", r#"{"id_token":{"acr":{"essential":true,"values":["gold"]}}}"#)], "unmet_authentication_requirements"),
        ] {
            let answer = guest.authorize(&app, &params).await;
            assert_eq!((answer.status, answer.sent("error").as_str()), (303, error), "{params:?}: {answer:?}");
            assert_eq!((answer.sent("state").as_str(), answer.sent("iss")), ("its-state", t.url("/auth")), "{params:?}");
            assert_eq!(answer.sent("code"), "", "{params:?}");
            assert!(!answer.sent("error_description").contains(['"', '\\', '\u{7}']), "{params:?}");
        }
    }
}

on_both_databases! {
    async fn an_application_may_be_allowed_plain_challenges_or_none(t: Test) { // attacks 59, 61
        t.person("ada").await;
        let with = |rule: PkceRule| {
            let t = &t;
            async move {
                t.app_with(|app| {
                    app.grant_types = vec![AuthorizationCode];
                    app.redirect_uris = vec![CALLBACK.to_owned()];
                    app.metadata.pkce = rule;
                    app.skip_authorization = true;
                }).await
            }
        };
        let guest = Guest::new(&t);
        let plain = with(PkceRule::Plain).await;
        let code = guest.code(&plain, "ada", &[("code_challenge", VERIFIER), ("code_challenge_method", "plain")]).await;
        assert_eq!(redeem(&t, &plain, &code).await.status, 200);

        let free = with(PkceRule::Optional).await;
        let none = [("code_challenge", ""), ("code_challenge_method", "")];
        let code = guest.code(&free, "ada", &none).await;
        assert_eq!(redeem(&t, &free, &code).await.outcome(), "400 invalid_grant"); // a verifier that answers nothing
        let code = guest.code(&free, "ada", &none).await;
        let form = [("grant_type", "authorization_code"), ("code", &code), ("redirect_uri", CALLBACK)];
        assert_eq!(t.call("token", &free, &form).await.status, 200);
        let code = guest.code(&free, "ada", &[]).await;
        let form = [("grant_type", "authorization_code"), ("code", &code), ("redirect_uri", CALLBACK)];
        assert_eq!(t.call("token", &free, &form).await.outcome(), "400 invalid_grant"); // no verifier for a challenge

        let public = t.app_with(|app| {
            app.grant_types = vec![AuthorizationCode];
            app.client_type = vestibule::protocol::ClientType::Public;
            app.redirect_uris = vec![CALLBACK.to_owned()];
            app.metadata.pkce = PkceRule::Optional;
        }).await;
        assert_eq!(guest.authorize(&public, &none).await.sent("error"), "invalid_request");
    }
}

on_both_databases! {
    async fn prompt_none_shows_no_page(t: Test) { // attacks 33, 41
        t.person("ada").await;
        let app = web_app(&t).await;
        let guest = Guest::new(&t);
        let silently = [("prompt", "none"), ("scope", "openid read")];

        assert_eq!(guest.authorize(&app, &silently).await.sent("error"), "login_required");
        guest.enter("ada").await;
        assert_eq!(guest.authorize(&app, &silently).await.sent("error"), "consent_required");
        let code = guest.code(&app, "ada", &[("scope", "openid read")]).await;
        let id_token = redeem(&t, &app, &code).await.field("id_token");
        assert!(guest.authorize(&app, &silently).await.sent("code").starts_with("vac_"));

        let hinted = |hint: &str| [silently[0], silently[1], ("id_token_hint", hint)].map(|(a, b)| (a.to_owned(), b.to_owned()));
        let own = hinted(&id_token);
        let own: Vec<_> = own.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
        assert!(guest.authorize(&app, &own).await.sent("code").starts_with("vac_"));
        t.person("grace").await;
        let other = Guest::new(&t);
        other.code(&app, "grace", &[("scope", "openid read")]).await;
        assert_eq!(other.authorize(&app, &own).await.sent("error"), "login_required");
    }
}

on_both_databases! {
    async fn prompt_and_max_age_ask_again_and_then_go_on(t: Test) { // attack 43
        t.person("ada").await;
        let app = web_app(&t).await;
        let guest = Guest::new(&t);
        let code = guest.code(&app, "ada", &[("scope", "openid")]).await;
        let first = claims(&redeem(&t, &app, &code).await.field("id_token"))["auth_time"].as_i64().unwrap();
        t.clock.advance(5);

        assert!(guest.authorize(&app, &[("scope", "openid"), ("max_age", "10000")]).await.sent("code").starts_with("vac_"));
        for again in [("max_age", "1"), ("max_age", "0"), ("prompt", "login")] {
            let page = guest.authorize(&app, &[("scope", "openid"), again]).await;
            assert!(page.text.contains("name=\"password\"") && !page.text.contains("name=\"continue\""), "{again:?} {page:?}");
            let back = guest.sign_in(&page, "ada").await;
            let id_token = claims(&redeem(&t, &app, &back.sent("code")).await.field("id_token"));
            assert!(id_token["auth_time"].as_i64().unwrap() >= first + 5, "{again:?}");
            t.clock.advance(5);
        }
        let page = guest.authorize(&app, &[("scope", "openid"), ("prompt", "select_account")]).await;
        assert!(page.text.contains("name=\"continue\""));
        let going_on = guest.submit(&page.forms()[0], &[("continue", "1")]).await;
        assert!(going_on.sent("code").starts_with("vac_"), "{going_on:?}");
    }
}

on_both_databases! {
    async fn every_response_type_and_mode_carries_what_it_names(t: Test) { // attack 55
        t.person("ada").await;
        let app = t.app_with(|app| {
            app.grant_types = vec![AuthorizationCode, Implicit, Hybrid];
            app.redirect_uris = vec![CALLBACK.to_owned()];
            app.skip_authorization = true;
        }).await;
        let guest = Guest::new(&t);
        guest.enter("ada").await;
        for response_type in ["code", "token", "id_token", "id_token token", "code id_token", "code token", "code id_token token"] {
            for mode in ["", "query", "fragment", "form_post", "jwt", "query.jwt", "fragment.jwt", "form_post.jwt"] {
                if mode == "query" && response_type != "code" {
                    continue;
                }
                let params = [("response_type", response_type), ("response_mode", mode), ("scope", "openid read email"), ("nonce", "n")];
                let answer = guest.authorize(&app, &params).await;
                let members = match mode.ends_with("jwt") {
                    true => claims(&answer.sent("response")),
                    false => ["code", "access_token", "id_token", "state", "iss"].iter()
                        .map(|name| ((*name).to_owned(), serde_json::Value::from(answer.sent(name))))
                        .collect(),
                };
                let has = |name: &str| members[name].as_str().is_some_and(|text| !text.is_empty());
                let wants = |word: &str| response_type.split(' ').any(|own| own == word);
                assert_eq!((has("code"), has("access_token"), has("id_token")), (wants("code"), wants("token"), wants("id_token")), "{response_type} {mode}: {answer:?}");
                assert_eq!((members["state"].as_str(), members["iss"].as_str()), (Some("its-state"), Some(t.url("/auth").as_str())), "{response_type} {mode}");
                if let Some(id_token) = members["id_token"].as_str().filter(|text| !text.is_empty()) {
                    let id_token = claims(id_token);
                    assert_eq!((id_token["at_hash"].is_string(), id_token["c_hash"].is_string()), (wants("token"), wants("code")));
                    assert!(!id_token["preferred_username"].is_string());
                }
                if wants("token") {
                    assert!(t.accepts(members["access_token"].as_str().unwrap()).await);
                }
                if mode.starts_with("form_post") {
                    assert_eq!(answer.status, 200);
                    assert!(answer.text.contains("action=\"https:&#x2f;&#x2f;app.example&#x2f;cb\"") || answer.text.contains("action=\"https://app.example/cb\""), "{answer:?}");
                    assert!(answer.header("content-security-policy").contains("form-action 'self' https:"));
                }
                if mode.ends_with("jwt") {
                    assert_eq!(members["aud"].as_str(), Some(app.client_id.as_str()));
                }
            }
        }
    }
}

on_both_databases! {
    async fn a_request_by_post_goes_on_as_one_by_get(t: Test) {
        t.person("ada").await;
        let app = web_app(&t).await;
        let guest = Guest::new(&t);
        guest.code(&app, "ada", &[("scope", "read")]).await;

        let posted = guest.post("authorize", &[
            ("response_type", "code"), ("client_id", &app.client_id), ("redirect_uri", CALLBACK), ("scope", "read"),
            ("code_challenge", CHALLENGE), ("code_challenge_method", "S256"), ("state", "its-state"),
        ]).await;

        assert_eq!(posted.status, 303);
        assert!(guest.follow(posted).await.sent("code").starts_with("vac_"));
    }
}

on_both_databases! {
    async fn odd_and_long_parameters_come_back_as_they_are(t: Test) { // attack 221
        t.person("ada").await;
        let app = web_app(&t).await;
        let guest = Guest::new(&t);
        guest.code(&app, "ada", &[("scope", "openid")]).await;
        let long = "s".repeat(1000);
        for state in ["a\r\nSet-Cookie: x=y", "ö ü & = + %", long.as_str()] {
            let back = guest.authorize(&app, &[("scope", "openid"), ("state", state), ("nonce", state), ("unknown", "x"), ("display", "popup"), ("acr_values", "1 2"), ("claims_locales", "se")]).await;
            assert_eq!(back.sent("state"), state);
            assert!(back.headers.get("set-cookie").is_none());
            let tokens = redeem(&t, &app, &back.sent("code")).await;
            assert_eq!(claims(&tokens.field("id_token"))["nonce"].as_str(), Some(state));
        }
    }
}

on_both_databases! {
    async fn a_consent_form_is_taken_only_from_the_browser_it_was_shown_to(t: Test) { // attack 51
        t.person("ada").await;
        t.person("eve").await;
        let app = web_app(&t).await;
        let (ada, eve) = (Guest::new(&t), Guest::new(&t));
        ada.enter("ada").await;
        eve.enter("eve").await;
        let page = ada.authorize(&app, &[("scope", "read")]).await;
        let of_eve = eve.authorize(&app, &[("scope", "read")]).await;
        let token_of = |page: &crate::harness::Answer| page.form().fields.iter().find(|(name, _)| name == "form_token").unwrap().1.clone();

        let refused = |answer: crate::harness::Answer| {
            assert_eq!(answer.status, 403, "{answer:?}");
            assert!(answer.header("location").is_empty());
        };
        refused(ada.submit_only(&page.form(), &[("decision", "allow"), ("form_token", "")]).await);
        refused(ada.submit_only(&page.form(), &[("decision", "allow"), ("form_token", &token_of(&of_eve))]).await);
        refused(Guest::new(&t).submit_only(&page.form(), &[("decision", "allow")]).await);
        for foreign in ["https://evil.example", "null"] {
            *ada.headers.lock().unwrap() = vec![("origin", foreign.to_owned())];
            refused(ada.submit_only(&page.form(), &[("decision", "allow")]).await);
        }
        *ada.headers.lock().unwrap() = vec![("sec-fetch-site", "cross-site".to_owned())];
        refused(ada.submit_only(&page.form(), &[("decision", "allow")]).await);
        *ada.headers.lock().unwrap() = vec![("origin", t.base.clone()), ("sec-fetch-site", "same-origin".to_owned())];
        assert!(ada.submit(&page.form(), &[("decision", "allow")]).await.sent("code").starts_with("vac_"));
        assert_eq!(ada.get("consent").await.status, 405);
    }
}

on_both_databases! {
    async fn a_request_that_waits_is_sealed_and_ends_after_an_hour(t: Test) {
        t.person("ada").await;
        let app = web_app(&t).await;
        let guest = Guest::new(&t);
        let to_sign_in = guest.get(&request_url(&app, &[("scope", "read")])).await.header("location");
        let next: String = url::form_urlencoded::parse(to_sign_in.split_once('?').unwrap().1.as_bytes()).find(|(name, _)| name == "next").unwrap().1.into_owned();
        assert!(!next.contains("app.example"));

        let mut changed = next.clone();
        let last = changed.pop().unwrap();
        changed.push(if last == 'A' { 'B' } else { 'A' });
        assert!(guest.get(&changed).await.is_error_page());
        t.clock.advance(3_601);
        assert!(guest.get(&next).await.is_error_page());
    }
}

on_both_databases! {
    async fn what_a_form_says_is_signed_by_the_algorithm_of_the_application(t: Test) {
        t.person("ada").await;
        let app = t.app_with(|app| {
            app.grant_types = vec![AuthorizationCode];
            app.redirect_uris = vec![CALLBACK.to_owned()];
            app.skip_authorization = true;
            app.metadata.authorization_signed_response_alg = Some("ES256".to_owned());
        }).await;
        let guest = Guest::new(&t);
        guest.enter("ada").await;

        let answer = guest.authorize(&app, &[("response_mode", "jwt")]).await;

        assert_eq!(header(&answer.sent("response"))["alg"], "ES256");
        let refused = guest.authorize(&app, &[("response_mode", "jwt"), ("scope", "nonsense")]).await;
        assert_eq!(claims(&refused.sent("response"))["error"], "invalid_scope");
    }
}
