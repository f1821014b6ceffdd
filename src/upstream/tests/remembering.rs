//! Tokens in a header, verified a moment ago.

use futures_util::future::join_all;

use super::*;

async fn remembered(world: &World, token: &str) -> Result<Arc<Identified>, OAuthError> {
    world.upstream.identify_remembered(world.provider("google-oauth2"), token).await
}

#[tokio::test]
async fn a_hundred_at_once_make_one_call_and_so_they_do_when_it_is_old() {
    let world = World::new().await;
    world.google();
    for round in 1..=3 {
        let all = join_all((0..100).map(|_| remembered(&world, "ya29.x"))).await;
        assert!(all.iter().all(Result::is_ok));
        assert!(remembered(&world, "ya29.x").await.is_ok());
        assert_eq!(world.stand.seen(GOOGLE_USERINFO).len(), round);
        assert_eq!(world.stand.seen(GOOGLE_TOKENINFO).len(), round);
        world.clock.advance(61);
    }
    assert!(remembered(&world, "ya29.another").await.is_ok());
    assert_eq!(world.stand.seen(GOOGLE_USERINFO).len(), 4);
}

#[tokio::test]
async fn a_token_is_not_remembered_past_its_own_end() {
    let world = World::new().await;
    world.google().json(GOOGLE_TOKENINFO, 200, json!({"aud": "our-google", "expires_in": 10}));
    assert!(remembered(&world, "ya29.x").await.is_ok());
    world.stand.json(GOOGLE_TOKENINFO, 400, json!({}));

    world.clock.advance(11);

    Refusal(remembered(&world, "ya29.x").await.unwrap_err()).is(400, Reason::TokenRejected);
}

#[tokio::test]
async fn a_refusal_is_shared_by_those_who_wait_and_then_forgotten() {
    let world = World::new().await;
    world.google().text(GOOGLE_USERINFO, 503, "down");
    for result in join_all((0..100).map(|_| remembered(&world, "ya29.x"))).await {
        Refusal(result.unwrap_err()).is(503, Reason::ProviderUnreachable);
    }
    assert_eq!(world.stand.seen(GOOGLE_USERINFO).len(), 1);

    world.google();

    assert!(remembered(&world, "ya29.x").await.is_ok());
}

#[tokio::test]
async fn nothing_is_remembered_for_no_time() {
    let world = World::with(PROVIDERS, "tokens.provider_token_ttl = '0s'").await;
    world.google();
    for _ in 0..3 {
        assert!(remembered(&world, "ya29.x").await.is_ok());
    }
    assert_eq!(world.stand.seen(GOOGLE_USERINFO).len(), 3);
}
