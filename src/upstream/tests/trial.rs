//! Trying a provider out without a person, renewing tokens and ending them.

use super::*;
use crate::upstream::{CheckOutcome, ProviderTokens, Trial};

const REDIRECT_URI: &str = "https://api.example/auth/complete/x/";
const GITHUB_AUTHORIZE: &str = "GET /github.com/login/oauth/authorize";

async fn trial(world: &World, name: &str) -> Trial {
    world.upstream.try_out(world.provider(name), REDIRECT_URI).await
}

/// How a check came out, and what it says.
#[track_caller]
fn found(trial: &Trial, what: &str) -> (CheckOutcome, String) {
    let check = trial.checks.iter().find(|check| check.what == what).unwrap_or_else(|| panic!("{trial:#?}"));
    (check.outcome, format!("{} {}", check.detail, check.advice))
}

/// GitHub as it answers to somebody whose credentials are right.
fn github(world: &World) -> &StandIn {
    world
        .stand
        .text(GITHUB_AUTHORIZE, 302, "")
        .json(GITHUB_TOKEN, 200, json!({"error": "bad_verification_code", "error_description": "…"}))
        .json(GITHUB_CHECK, 404, json!({"message": "Not Found"}))
        .json(GITHUB_USER, 401, json!({"message": "Requires authentication"}))
}

#[tokio::test]
async fn right_credentials_are_told_by_what_is_refused() {
    let world = World::new().await;
    github(&world);

    let trial = trial(&world, "github").await;

    assert!(trial.is_good() && trial.redirect_uri == REDIRECT_URI, "{trial:#?}");
    let whats: Vec<_> = trial.checks.iter().map(|check| check.what).collect();
    assert_eq!(whats, ["authorization endpoint", "token endpoint", "audience check", "user info", "clock"]);
    assert!(trial.checks.iter().all(|check| check.outcome == CheckOutcome::Good), "{trial:#?}");
    let sent = world.stand.seen(GITHUB_TOKEN)[0].form();
    assert_eq!((sent["client_id"].as_str(), sent["redirect_uri"].as_str()), ("our-github", REDIRECT_URI));
    assert_eq!(world.stand.seen(GITHUB_AUTHORIZE)[0].query["client_id"], "our-github");
}

#[tokio::test]
async fn wrong_credentials_are_told_from_a_wrong_code() {
    let world = World::new().await;
    github(&world)
        .json(GITHUB_TOKEN, 200, json!({"error": "incorrect_client_credentials"}))
        .json(GITHUB_CHECK, 401, json!({"message": "Bad credentials"}))
        .text(GITHUB_AUTHORIZE, 404, "<h1>Application not found</h1>");
    world.corp().json(CORP_TOKEN, 401, json!({"error": "invalid_client"}));

    let trial_of_github = trial(&world, "github").await;
    for what in ["token endpoint", "authorization endpoint"] {
        let (outcome, says) = found(&trial_of_github, what);
        assert!(outcome == CheckOutcome::Bad && says.contains("providers.github.client_id"), "{says}");
    }
    assert!(!trial_of_github.is_good());
    let corp = trial(&world, "corp").await;
    assert_eq!(found(&corp, "token endpoint").0, CheckOutcome::Bad);
    assert_eq!(found(&corp, "discovery document").0, CheckOutcome::Good);
    assert_eq!(found(&corp, "signing keys").0, CheckOutcome::Bad);
}

#[tokio::test]
async fn what_cannot_be_told_is_said_to_be_unknown() {
    let world = World::new().await;
    world.corp().json(CORP_TOKEN, 400, json!({"error": "invalid_request"}));
    github(&world).json(GITHUB_USER, 502, json!({})).text(GITHUB_AUTHORIZE, 403, "are you a robot?");

    assert_eq!(found(&trial(&world, "corp").await, "token endpoint").0, CheckOutcome::Unknown);
    let github = trial(&world, "github").await;
    assert_eq!(found(&github, "authorization endpoint").0, CheckOutcome::Unknown);
    assert_eq!(found(&github, "user info").0, CheckOutcome::Bad);
}

#[tokio::test]
async fn an_error_that_a_redirect_carries_is_seen() {
    let world = World::new().await;
    let sent_on = |location: &str| Reply::Answer(302, vec![("location", location.to_owned())], Bytes::new());
    for (location, outcome) in [
        ("https://github.com/error?error=redirect_uri_mismatch".to_owned(), CheckOutcome::Bad),
        (format!("{REDIRECT_URI}?error=unauthorized_client"), CheckOutcome::Bad),
        (format!("{REDIRECT_URI}?error=login_required"), CheckOutcome::Good),
        ("https://github.com/login?client_id=our-github".to_owned(), CheckOutcome::Good),
    ] {
        github(&world).on(GITHUB_AUTHORIZE, sent_on(&location));
        assert_eq!(found(&trial(&world, "github").await, "authorization endpoint").0, outcome, "{location}");
    }
}

#[tokio::test]
async fn a_clock_that_is_wrong_is_told_and_a_cached_answer_tells_nothing() {
    let world = World::new().await;
    github(&world);
    world.clock.advance(300);

    let (outcome, says) = found(&trial(&world, "github").await, "clock");
    assert!(outcome == CheckOutcome::Bad && says.contains("s ahead of that of") && says.contains("NTP"), "{says}");

    let old = |status| Reply::Answer(status, vec![("age", "300".to_owned())], Bytes::from_static(b"{}"));
    world.stand.on(GITHUB_AUTHORIZE, old(200)).on(GITHUB_TOKEN, old(400)).on(GITHUB_USER, old(401));
    assert_eq!(found(&trial(&world, "github").await, "clock").0, CheckOutcome::Unknown);
}

fn tokens() -> ProviderTokens {
    ProviderTokens {
        access_token: Some("old-access".into()),
        refresh_token: Some("old-refresh".into()),
        id_token: Some("old-id".into()),
        scope: Some("read".into()),
        expires_at: Some(5),
        ..ProviderTokens::default()
    }
}

#[tokio::test]
async fn a_refresh_keeps_what_the_answer_does_not_replace() {
    let world = World::new().await;
    world.corp().json(CORP_TOKEN, 200, json!({"access_token": "new-access", "expires_in": "60"}));

    let fresh = world.upstream.refresh(world.provider("corp"), &tokens()).await.unwrap();

    assert_eq!(
        (fresh.access_token.as_deref(), fresh.refresh_token.as_deref()),
        (Some("new-access"), Some("old-refresh"))
    );
    assert_eq!((fresh.scope.as_deref(), fresh.id_token.as_deref()), (Some("read"), Some("old-id")));
    assert!(fresh.expires_at.unwrap() >= world.clock.now() + 59);
    let form = world.stand.seen(CORP_TOKEN)[0].form();
    assert_eq!((form["grant_type"].as_str(), form["refresh_token"].as_str()), ("refresh_token", "old-refresh"));
    assert!(!form.contains_key("scope") && !form.contains_key("redirect_uri"));
}

#[tokio::test]
async fn a_refresh_tells_ended_from_down_and_from_our_fault() {
    let world = World::new().await;
    let refuse = async |status, body| {
        world.corp().json(CORP_TOKEN, status, body);
        Refusal(world.upstream.refresh(world.provider("corp"), &tokens()).await.unwrap_err())
    };

    refuse(400, json!({"error": "invalid_grant"})).await.is(400, Reason::TokenRejected).says("sign in with it again");
    refuse(401, json!({"error": "invalid_client"})).await.is(502, Reason::ProviderMisconfigured);
    refuse(503, json!({})).await.is(503, Reason::ProviderUnreachable);
    let none = ProviderTokens { refresh_token: None, ..tokens() };
    Refusal(world.upstream.refresh(world.provider("corp"), &none).await.unwrap_err()).is(400, Reason::TokenExpired);
}

#[tokio::test]
async fn tokens_are_ended_as_the_entry_says() {
    let world = World::new().await;
    let revoke = "GET /accounts.google.com/o/oauth2/revoke";
    world.stand.json(revoke, 200, json!({}));

    assert!(world.upstream.revoke(world.provider("google-oauth2"), &tokens()).await.unwrap());
    assert_eq!(world.stand.seen(revoke)[0].query["token"], "old-refresh");
    world.stand.json(revoke, 400, json!({"error": "invalid_token"}));
    let refused = world.upstream.revoke(world.provider("google-oauth2"), &tokens()).await.unwrap_err();
    assert_eq!(refused.reason, Some(Reason::TokenRejected));
    assert!(!world.upstream.revoke(world.provider("corp"), &tokens()).await.unwrap(), "its entry says nothing of it");
}
