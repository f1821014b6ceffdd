//! Authorization codes, redeemed by us.

use super::id_tokens::{Signer, claims};
use super::*;

async fn redeem(world: &World, provider: &str, nonce: Option<&str>) -> Result<Identified, OAuthError> {
    let credential = Credential::Code {
        code: "4/c&d".into(),
        redirect_uri: Some("https://app.example/cb?a=b".into()),
        code_verifier: Some("verifier".into()),
        beside: serde_json::Map::new(),
    };
    let presented = Presented { credential, nonce: nonce.map(str::to_owned) };
    world.upstream.identify(world.provider(provider), &presented).await
}

async fn refused(world: &World, provider: &str) -> Refusal {
    Refusal(redeem(world, provider, None).await.unwrap_err())
}

#[tokio::test]
async fn a_code_with_an_id_token_in_the_answer_needs_no_further_call() {
    let world = World::new().await;
    let signer = Signer::new("k1");
    let id_token = signer.sign(&claims(&world, "https://accounts.google.com", "our-google", json!({"nonce": "n1"})));
    world.stand.json(GOOGLE_JWKS, 200, signer.jwks()).json(
        GOOGLE_TOKEN,
        200,
        json!({
            "access_token": "ya29.a", "refresh_token": "1//r", "token_type": "Bearer", "expires_in": 3599,
            "scope": "openid email", "id_token": id_token,
        }),
    );

    let identified = redeem(&world, "google-oauth2", Some("n1")).await.unwrap();

    assert_eq!(identified.profile.uid, "110");
    assert_eq!(identified.tokens.refresh_token.as_deref(), Some("1//r"));
    assert!(identified.expires_at.unwrap() > world.clock.now() + 3590);
    let form = world.stand.seen(GOOGLE_TOKEN)[0].form();
    for (name, value) in [
        ("grant_type", "authorization_code"),
        ("code", "4/c&d"),
        ("redirect_uri", "https://app.example/cb?a=b"),
        ("code_verifier", "verifier"),
        ("client_id", "our-google"),
        ("client_secret", "hush-google"),
    ] {
        assert_eq!(form[name], value);
    }
    assert_eq!(world.stand.calls(), 2);
    Refusal(redeem(&world, "google-oauth2", Some("n2")).await.unwrap_err()).is(400, Reason::NonceMismatch);
}

#[tokio::test]
async fn an_id_token_in_the_answer_is_verified_like_any_other() {
    let world = World::new().await;
    let forged = Signer::new("k1").sign(&claims(&world, "https://accounts.google.com", "our-google", json!({})));
    world.stand.json(GOOGLE_JWKS, 200, Signer::new("k1").jwks());
    world.stand.json(GOOGLE_TOKEN, 200, json!({"access_token": "ya29.a", "id_token": forged}));

    refused(&world, "google-oauth2").await.is(400, Reason::TokenRejected);
}

#[tokio::test]
async fn facebook_is_asked_by_get_and_the_person_by_the_token() {
    let world = World::new().await;
    world.facebook().json(
        FACEBOOK_TOKEN,
        200,
        json!({"access_token": "EAAG", "token_type": "bearer", "expires_in": 5}),
    );

    let identified = redeem(&world, "facebook", None).await.unwrap();

    assert_eq!((identified.profile.uid.as_str(), identified.tokens.access_token.as_deref()), ("7", Some("EAAG")));
    let query = &world.stand.seen(FACEBOOK_TOKEN)[0].query;
    assert_eq!((&*query["code"], &*query["client_id"], &*query["client_secret"]), ("4/c&d", "1234", "hush-facebook"));
    assert!(world.stand.seen(FACEBOOK_ME)[0].query.contains_key("appsecret_proof"));
    Refusal(redeem(&world, "facebook", Some("n")).await.unwrap_err()).is(400, Reason::NonceMismatch);

    world.stand.json(
        FACEBOOK_TOKEN,
        400,
        json!({"error": {"code": 100, "message": "This authorization code has been used."}}),
    );
    refused(&world, "facebook").await.is(400, Reason::CodeRejected);
    world.stand.json(FACEBOOK_TOKEN, 400, json!({"error": {"code": 1, "message": "Error validating client secret."}}));
    refused(&world, "facebook").await.is(502, Reason::ProviderMisconfigured);
    world.stand.json(FACEBOOK_TOKEN, 400, json!({"error": {"code": 101, "message": "Missing client_id parameter."}}));
    refused(&world, "facebook").await.is(502, Reason::ProviderMisconfigured);
}

#[tokio::test]
async fn github_refuses_with_status_200() {
    // attack 127
    let world = World::new().await;
    world.github().json(GITHUB_TOKEN, 200, json!({"access_token": "gho_1", "scope": "user:email"}));
    assert_eq!(redeem(&world, "github", None).await.unwrap().profile.uid, "583231");
    assert_eq!(world.stand.seen(GITHUB_TOKEN)[0].header("accept"), "application/json");

    for error in ["bad_verification_code", "redirect_uri_mismatch", "unverified_user_email"] {
        world.stand.json(GITHUB_TOKEN, 200, json!({ "error": error }));
        refused(&world, "github").await.is(400, Reason::CodeRejected).says("`redirect_uri`");
    }
    world.stand.json(GITHUB_TOKEN, 200, json!({"error": "incorrect_client_credentials"}));
    refused(&world, "github").await.is(502, Reason::ProviderMisconfigured);
}

#[tokio::test]
async fn discovery_says_where_a_code_is_redeemed_and_how() {
    let world = World::new().await;
    world.corp().json(CORP_TOKEN, 200, json!({"access_token": "opaque"}));

    assert_eq!(redeem(&world, "corp", None).await.unwrap().profile.uid, "c1");

    let seen = &world.stand.seen(CORP_TOKEN)[0];
    assert_eq!(seen.header("authorization"), "Basic b3VyLWNvcnA6aHVzaC1jb3Jw"); // our-corp:hush-corp
    assert!(!seen.form().contains_key("client_secret") && seen.form()["code_verifier"] == "verifier");
    assert_eq!(world.stand.seen(CORP_USERINFO)[0].header("authorization"), "Bearer opaque");
    Refusal(redeem(&world, "corp", Some("n")).await.unwrap_err()).is(400, Reason::NonceMismatch);
}

#[tokio::test]
async fn a_refusal_says_whether_it_is_the_code_or_the_set_up_or_an_outage() {
    let world = World::new().await;
    for (status, body, wanted) in [
        (400, json!({"error": "invalid_grant"}), (400, Reason::CodeRejected)),
        (400, json!({"error": "invalid_request"}), (400, Reason::CodeRejected)),
        (401, json!({"error": "invalid_client"}), (502, Reason::ProviderMisconfigured)),
        (400, json!({"error": "unauthorized_client"}), (502, Reason::ProviderMisconfigured)),
        (401, json!({}), (502, Reason::ProviderMisconfigured)),
        (429, json!({}), (503, Reason::ProviderUnreachable)),
        (500, json!({}), (503, Reason::ProviderUnreachable)),
        (400, json!({"error": "temporarily_unavailable"}), (503, Reason::ProviderUnreachable)),
        (302, json!({}), (502, Reason::ProviderUnreachable)),
        (200, json!([]), (502, Reason::ProviderUnreachable)),
        (200, json!({"token_type": "Bearer"}), (502, Reason::ProviderUnreachable)),
        (200, json!({"access_token": "a\r\nb"}), (502, Reason::ProviderUnreachable)),
        (200, json!({"access_token": 7}), (502, Reason::ProviderUnreachable)),
    ] {
        world.corp().json(CORP_TOKEN, status, body);
        refused(&world, "corp").await.is(wanted.0, wanted.1);
    }
    world.corp().json(
        CORP_TOKEN,
        400,
        json!({"error": "invalid_grant", "error_description": "Mallory 4/c&d hush-corp"}),
    );
    let refusal = refused(&world, "corp").await;
    assert!(
        !refusal.0.description.contains("Mallory") && refusal.cause().contains("Mallory … …"),
        "{}",
        refusal.cause()
    );
}

#[tokio::test]
async fn what_is_no_code_is_refused_without_a_call() {
    let world = World::new().await;
    for (code, redirect_uri, code_verifier, field) in [
        ("", None, None, "code"),
        ("a b", None, None, "code"),
        ("a\r\nb", None, None, "code"),
        ("a", Some("https://x/\r\n"), None, "redirect_uri"),
        ("a", None, Some("é"), "code_verifier"),
    ] {
        let own = |text: Option<&str>| text.map(str::to_owned);
        let credential = Credential::Code {
            code: code.into(),
            redirect_uri: own(redirect_uri),
            code_verifier: own(code_verifier),
            beside: serde_json::Map::new(),
        };
        let presented = Presented { credential, nonce: None };
        let error = world.upstream.identify(world.provider("github"), &presented).await.unwrap_err();
        assert_eq!((error.code, error.field), (ErrorCode::InvalidRequest, Some(field)));
    }
    assert_eq!(world.stand.calls(), 0);
}

#[tokio::test]
async fn a_person_is_asked_for_in_json_and_the_token_ended_that_the_provider_takes() {
    let graph = r#"
[providers.graph]
protocol = "oauth2"
client_id = "our-graph"
client_secret = "hush-graph"
accept_unverified_audience = true
endpoints.userinfo = "https://login.corp.example/graphql"
userinfo.json.query = "{{ me {{ id }} }}"
claims.uid = "data.me.id"
revoke.url = "https://login.corp.example/revoke"
revoke.json = { token = "{token}" }
"#;
    let world = World::with(graph, "").await;
    let (asked, ended) = ("POST /login.corp.example/graphql", "POST /login.corp.example/revoke");
    world.stand.json(asked, 200, json!({"data": {"me": {"id": "g1"}}})).json(ended, 200, json!({}));
    let body =
        |seen: &Seen| (seen.header("content-type").to_owned(), serde_json::from_slice::<Value>(&seen.body).unwrap());
    let json = |value: Value| ("application/json".to_owned(), value);

    assert_eq!(world.token("graph", "opaque").await.unwrap().profile.uid, "g1");
    assert_eq!(body(&world.stand.seen(asked)[0]), json(json!({"query": "{ me { id } }"})));
    assert_eq!(world.stand.seen(asked)[0].header("authorization"), "Bearer opaque");

    let tokens = crate::upstream::ProviderTokens {
        access_token: Some("a".into()),
        refresh_token: Some("r".into()),
        ..Default::default()
    };
    let by_access_token = World::with(&format!("{graph}revoke.by = \"access_token\"\n"), "").await;
    by_access_token.stand.json(ended, 200, json!({}));
    for (world, token) in [(&world, "r"), (&by_access_token, "a")] {
        assert!(world.upstream.revoke(world.provider("graph"), &tokens).await.unwrap());
        assert_eq!(body(&world.stand.seen(ended)[0]), json(json!({ "token": token })));
    }
    let none = crate::upstream::ProviderTokens { access_token: None, ..tokens };
    let by = by_access_token.provider("graph");
    assert!(!by_access_token.upstream.revoke(by, &none).await.unwrap());
}
