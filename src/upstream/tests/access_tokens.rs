//! Access tokens: whose, and made for whom.

use aws_lc_rs::hmac;

use super::*;

fn proof(secret: &str, token: &str) -> String {
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes()), token.as_bytes());
    tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[tokio::test]
async fn a_google_token_of_ours_gives_the_person_keyed_by_sub() {
    let world = World::new().await;
    world.google();

    let identified = world.token("google-oauth2", "ya29.a&b=/c").await.unwrap();

    assert_eq!((identified.profile.uid.as_str(), identified.profile.username.as_deref()), ("110", Some("ada")));
    assert!(identified.profile.email_verified);
    assert_eq!(identified.tokens.access_token.as_deref(), Some("ya29.a&b=/c"));
    let lives = identified.expires_at.unwrap() - world.clock.now();
    assert!((3595..=3599).contains(&lives), "{lives}");
    let userinfo = &world.stand.seen(GOOGLE_USERINFO)[0];
    assert_eq!((userinfo.header("authorization"), userinfo.query.len()), ("Bearer ya29.a&b=/c", 0));
    assert_eq!(world.stand.seen(GOOGLE_TOKENINFO)[0].query["access_token"], "ya29.a&b=/c");
}

#[tokio::test]
async fn a_token_of_another_client_is_refused_whatever_else_is_wrong() {
    // attack 87
    let world = World::new().await;
    world.google();
    for (aud, azp) in [("evil", "evil"), ("Our-Google", "our-google "), ("our-google.evil", "")] {
        world.stand.json(GOOGLE_TOKENINFO, 200, json!({"aud": aud, "azp": azp, "expires_in": "3599"}));
        world.refused("google-oauth2", "ya29.x").await.is(400, Reason::ForeignAudience).says("client_ids");
    }
    for status in [401, 500] {
        world.stand.json(GOOGLE_USERINFO, status, json!({}));
        world.refused("google-oauth2", "ya29.x").await.is(400, Reason::ForeignAudience);
    }
}

#[tokio::test]
async fn a_token_of_a_further_client_of_ours_is_taken() {
    // attack 93
    let world = World::new().await;
    for (aud, azp) in [("our-ios", "our-ios"), ("another", "our-ios"), ("our-google", "another")] {
        world.google().json(GOOGLE_TOKENINFO, 200, json!({"aud": aud, "azp": azp}));
        assert!(world.token("google-oauth2", "ya29.x").await.is_ok(), "{aud} {azp}");
    }
}

#[tokio::test]
async fn what_the_provider_refuses_is_the_tokens_fault() {
    let world = World::new().await;
    for status in [400, 401, 403, 404] {
        world.google().json(GOOGLE_USERINFO, status, json!({"error": "invalid_token"}));
        world.refused("google-oauth2", "ya29.x").await.is(400, Reason::TokenRejected).says("Google does not accept");
    }
    world.google().json(GOOGLE_TOKENINFO, 400, json!({"error": "invalid_token"}));
    world.refused("google-oauth2", "ya29.x").await.is(400, Reason::TokenRejected);
    world.google().json(GOOGLE_USERINFO, 200, json!({"error": "invalid_token", "sub": "1"}));
    world.refused("google-oauth2", "ya29.x").await.is(400, Reason::TokenRejected);
    world.google().json(GOOGLE_TOKENINFO, 200, json!({"aud": "our-google", "expires_in": "0"}));
    world.refused("google-oauth2", "ya29.x").await.is(400, Reason::TokenExpired);
    world.google().json(GOOGLE_TOKENINFO, 200, json!({"expires_in": 10}));
    world.refused("google-oauth2", "ya29.x").await.is(400, Reason::UnprovenAudience);
}

#[tokio::test]
async fn an_answer_without_an_identifier_is_nobody() {
    let world = World::new().await;
    for nobody in [json!({}), json!({"sub": null}), json!({"sub": 1.0}), json!({"sub": ""}), json!({"id": "1"})] {
        world.google().json(GOOGLE_USERINFO, 200, nobody);
        world.refused("google-oauth2", "ya29.x").await.is(400, Reason::ProfileIncomplete);
    }
}

#[tokio::test]
async fn every_call_to_the_graph_carries_its_proof() {
    let world = World::new().await;
    world.facebook();

    let identified = world.token("facebook", "EAAG").await.unwrap();

    assert_eq!((identified.profile.uid.as_str(), identified.expires_at), ("7", None));
    assert_eq!(identified.profile.last_name.as_deref(), Some("Lovelace"));
    let me = &world.stand.seen(FACEBOOK_ME)[0];
    assert_eq!(me.query["access_token"], "EAAG");
    assert_eq!(me.query["appsecret_proof"], proof("hush-facebook", "EAAG"));
    assert_eq!(me.query["fields"], "id,name,email,first_name,last_name");
    let debug = &world.stand.seen(FACEBOOK_DEBUG)[0];
    assert_eq!((&*debug.query["input_token"], &*debug.query["access_token"]), ("EAAG", "1234|hush-facebook"));
    assert_eq!(debug.query["appsecret_proof"], proof("hush-facebook", "1234|hush-facebook"));
    assert_eq!(world.stand.calls(), 2);
}

#[tokio::test]
async fn facebook_tells_foreign_expired_invalid_and_misconfigured_apart() {
    let world = World::new().await;
    let good = json!({"app_id": "1234", "is_valid": true, "user_id": "7", "expires_at": 0});
    let past = world.clock.now() - 1;
    for (change, reason) in [
        (json!({"app_id": "999"}), Reason::ForeignAudience),
        (json!({"app_id": "999", "is_valid": false}), Reason::ForeignAudience),
        (json!({"app_id": null, "is_valid": false, "error": {"code": 100}}), Reason::ForeignAudience),
        (json!({"expires_at": past, "is_valid": false}), Reason::TokenExpired),
        (json!({"app_id": null, "is_valid": false, "error": {"code": 190}}), Reason::TokenRejected),
        (json!({"is_valid": "yes"}), Reason::TokenRejected),
        (json!({"is_valid": null}), Reason::TokenRejected),
        (json!({"app_id": null}), Reason::UnprovenAudience),
        (json!({"user_id": "8"}), Reason::TokenRejected),
        (json!({"user_id": null}), Reason::TokenRejected),
    ] {
        let mut data = good.clone();
        data.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        world.facebook().json(FACEBOOK_DEBUG, 200, json!({ "data": data }));
        world.refused("facebook", "EAAG").await.is(400, reason);
    }
    world.facebook().json(
        FACEBOOK_DEBUG,
        400,
        json!({"error": {"code": 190, "message": "Invalid OAuth access token"}}),
    );
    world.refused("facebook", "EAAG").await.is(502, Reason::ProviderMisconfigured).says("operator");
    world.facebook().json(FACEBOOK_DEBUG, 400, json!({"error": {"code": 4}}));
    world.refused("facebook", "EAAG").await.is(503, Reason::ProviderUnreachable);
    world.facebook().json(FACEBOOK_ME, 400, json!({"error": {"code": 190, "error_subcode": 463}}));
    world.refused("facebook", "EAAG").await.is(400, Reason::TokenExpired);
    world.facebook().text(FACEBOOK_ME, 200, "false");
    world.refused("facebook", "EAAG").await.is(502, Reason::ProviderUnreachable);
}

#[tokio::test]
async fn a_github_token_is_checked_with_our_credentials() {
    let world = World::new().await;
    world.github();

    let identified = world.token("github", "gho_1").await.unwrap();

    assert_eq!((identified.profile.uid.as_str(), identified.profile.email_verified), ("583231", true));
    for line in [GITHUB_USER, GITHUB_EMAILS] {
        let seen = &world.stand.seen(line)[0];
        assert_eq!(seen.header("authorization"), "token gho_1");
        assert!(seen.header("accept").contains("application/vnd.github+json"));
        assert!(seen.header("user-agent").starts_with("vestibule/"));
    }
    let check = &world.stand.seen(GITHUB_CHECK)[0];
    assert_eq!(check.header("authorization"), "Basic b3VyLWdpdGh1YjpodXNoJTNBZ2l0aHVi"); // our-github:hush%3Agithub
    assert_eq!(serde_json::from_slice::<Value>(&check.body).unwrap(), json!({"access_token": "gho_1"}));
}

#[tokio::test]
async fn github_tells_foreign_misconfigured_and_busy_apart() {
    let world = World::new().await;
    world.github().json(GITHUB_CHECK, 404, json!({"message": "Not Found"}));
    world.refused("github", "gho_1").await.is(400, Reason::ForeignAudience); // attack 89
    for status in [401, 403] {
        world.github().json(GITHUB_CHECK, status, json!({"message": "Bad credentials"}));
        world.refused("github", "gho_1").await.is(502, Reason::ProviderMisconfigured);
    }
    world.github().json(GITHUB_CHECK, 200, json!({"app": {"client_id": "our-github"}, "user": {"id": 1}}));
    world.refused("github", "gho_1").await.is(400, Reason::TokenRejected).says("one and the same person");
    let spent = vec![("x-ratelimit-remaining", "0".to_owned())];
    world.github().on(GITHUB_USER, Reply::Answer(403, spent, Bytes::new()));
    world.refused("github", "gho_1").await.is(503, Reason::ProviderUnreachable);
}

#[tokio::test]
async fn an_optional_answer_may_be_refused_but_not_fail() {
    let world = World::new().await;
    world.github().json(GITHUB_EMAILS, 404, json!({}));
    assert_eq!(world.token("github", "gho_1").await.unwrap().profile.email, None);
    world.github().json(GITHUB_EMAILS, 500, json!({}));
    world.refused("github", "gho_1").await.is(503, Reason::ProviderUnreachable);
}

#[tokio::test]
async fn what_is_no_token_is_refused_without_a_call() {
    // attack 129
    let world = World::new().await;
    let long = "x".repeat(16 * 1024 + 1);
    for bad in ["", "a\r\nX-Evil: 1", "a\0", "a b", "tökен", "\u{7f}", &long, &"x".repeat(1 << 20)] {
        let error = world.token("google-oauth2", bad).await.unwrap_err();
        assert_eq!((error.status(), error.code, error.field), (400, ErrorCode::InvalidRequest, Some("token")));
    }
    assert_eq!(world.stand.calls(), 0);
}

#[tokio::test]
async fn a_token_of_the_wrong_kind_is_explained_without_a_call() {
    // attack 125
    let world = World::new().await;
    let ours = crate::protocol::PlainToken::new(crate::protocol::TokenKind::AccessToken, &[3; 32]);
    let jwt = "eyJhbGciOiJSUzI1NiIsImtpZCI6IjEifQ.eyJpc3MiOiJodHRwczovL2FjY291bnRzLmdvb2dsZS5jb20ifQ.c2ln";
    for (provider, token, words) in [
        ("google-oauth2", ours.reveal(), "this server's own"),
        ("google-oauth2", "4/0AX4XfWh", "code=…&redirect_uri=…"),
        ("google-oauth2", "4%2F0AX4XfWh", "code=…&redirect_uri=…"),
        ("facebook", jwt, "Facebook issues none"),
        ("github", jwt, "GitHub issues none"),
        ("corp", jwt, "somebody else"),
        ("corp", "eyJhbGciOiJSU0EtT0FFUCJ9.a.b.c.d", "not a signed ID token"),
    ] {
        world.refused(provider, token).await.is(400, Reason::WrongTokenKind).says(words);
    }
    assert_eq!(world.stand.calls(), 0);
}

#[tokio::test]
async fn a_provider_that_does_not_tell_the_audience_is_not_asked() {
    let world = World::new().await;
    world.corp();

    world
        .refused("corp", "opaque")
        .await
        .is(400, Reason::UnprovenAudience)
        .says("`providers.corp.accept_unverified_audience`")
        .says("an ID token or a `code`");

    assert_eq!(world.stand.calls(), 0);
}

#[tokio::test]
async fn the_operator_may_accept_tokens_of_any_audience() {
    let world = World::with(&format!("{PROVIDERS}accept_unverified_audience = true"), "").await;
    world.corp();
    let at_jwt = "eyJhbGciOiJSUzI1NiIsInR5cCI6ImF0K2p3dCJ9.e30.c2ln";

    for token in ["opaque", at_jwt] {
        assert_eq!(world.token("corp", token).await.unwrap().profile.uid, "c1");
    }
}

#[tokio::test]
async fn an_operators_own_audience_check_is_asked() {
    let introspection = r#"
        [providers.corp.audience]
        method = "POST"
        url = "https://login.corp.example/introspect"
        basic = true
        form = { token = "{token}" }
        audience = "client_id"
        subject = "sub"
        valid = "active"
        expires_at = "exp"
    "#;
    let world = World::with(&format!("{PROVIDERS}{introspection}"), "").await;
    let line = "POST /login.corp.example/introspect";
    let exp = world.clock.now() + 50;
    world.corp().json(line, 200, json!({"active": true, "client_id": "our-corp", "sub": "c1", "exp": exp}));
    assert_eq!(world.token("corp", "op&aque").await.unwrap().expires_at, Some(exp));
    assert_eq!(world.stand.seen(line)[0].form()["token"], "op&aque");

    world.stand.json(line, 200, json!({"active": false}));
    world.refused("corp", "opaque").await.is(400, Reason::TokenRejected);
}

#[tokio::test]
async fn an_access_token_has_no_nonce_to_match() {
    let world = World::new().await;
    world.google();

    let error = world.token_with_nonce("google-oauth2", "ya29.x", Some("n")).await.unwrap_err();

    Refusal(error).is(400, Reason::NonceMismatch);
}

#[tokio::test]
async fn what_the_provider_said_is_logged_without_tokens_and_never_told() {
    let world = World::new().await;
    let said =
        "token ya29.short is bad, says Mallory <script> secret hush-google, also ya29.a0AfH6SMBxxxxxxxxxxxxxxxxxxxx";
    world.google().text(GOOGLE_USERINFO, 401, said);

    let refusal = world.refused("google-oauth2", "ya29.short").await;

    assert!(!refusal.0.description.contains("Mallory"));
    assert!(refusal.cause().contains("www.googleapis.com") || refusal.cause().contains("127.0.0.1"));
    assert!(refusal.cause().contains("answered 401: token … is bad, says Mallory"), "{}", refusal.cause());
    for hidden in ["ya29", "hush"] {
        assert!(!refusal.cause().contains(hidden), "{}", refusal.cause());
    }
}

#[tokio::test]
async fn debug_shows_no_token() {
    let world = World::new().await;
    world.google();
    let identified = world.token("google-oauth2", "ya29.secret").await.unwrap();
    let presented = Presented { credential: Credential::Token("ya29.secret".into()), nonce: None };

    assert!(!format!("{identified:?} {presented:?}").contains("secret"));
}

#[tokio::test]
async fn a_question_that_only_our_own_tokens_pass_names_no_client() {
    let entry = "[providers.yes]\nprotocol = 'oauth2'\nclient_id = 'ours'\nendpoints.userinfo = 'https://login.corp.example/userinfo'\n\
                 claims.uid = 'sub'\nsettings.key.optional = true\naudience.valid = 'good'\naudience.only_with = 'key'\n\
                 audience.url = 'https://login.corp.example/check?token={token}'\n";
    let world = World::with(&format!("{entry}key = 'k'"), "").await;
    world.stand.json(CORP_USERINFO, 200, json!({"sub": "1"}));
    let check = "GET /login.corp.example/check";

    world.stand.json(check, 200, json!({"good": true}));
    assert_eq!(world.token("yes", "t").await.unwrap().profile.uid, "1");
    for bad in [json!({"good": false}), json!({}), json!({"error": {"error_code": 15}})] {
        world.stand.json(check, 200, bad.clone());
        world.refused("yes", "t").await.is(400, Reason::TokenRejected);
    }
    let world = World::with(entry, "").await;
    world.refused("yes", "t").await.is(400, Reason::UnprovenAudience);
    assert_eq!(world.stand.calls(), 0);
}
