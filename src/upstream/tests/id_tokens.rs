//! ID tokens, and the keys that verify them.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as B64;
use futures_util::future::join_all;

use super::*;
use crate::upstream::CheckOutcome;

pub(super) struct Signer {
    kid: String,
    pair: EcdsaKeyPair,
}

impl Signer {
    pub fn new(kid: &str) -> Self {
        Self { kid: kid.to_owned(), pair: EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap() }
    }

    pub fn jwks(&self) -> Value {
        let point = self.pair.public_key().as_ref();
        let (x, y) = (B64.encode(&point[1..33]), B64.encode(&point[33..]));
        json!({"keys": [{"kty": "EC", "crv": "P-256", "kid": self.kid, "use": "sig", "x": x, "y": y}]})
    }

    pub fn sign(&self, claims: &Value) -> String {
        let header = json!({"alg": "ES256", "kid": self.kid});
        let message = format!("{}.{}", B64.encode(header.to_string()), B64.encode(claims.to_string()));
        let signature = self.pair.sign(&SystemRandom::new(), message.as_bytes()).unwrap();
        format!("{message}.{}", B64.encode(signature))
    }
}

/// Claims of a token for us, with these changed.
pub(super) fn claims(world: &World, issuer: &str, audience: &str, change: Value) -> Value {
    let exp = world.clock.now() + 3600;
    let mut claims = json!({"iss": issuer, "aud": audience, "sub": "110", "exp": exp, "email_verified": true});
    claims.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
    claims
}

fn google(world: &World, change: Value) -> Value {
    claims(world, "https://accounts.google.com", "our-google", change)
}

#[tokio::test]
async fn an_id_token_is_verified_here_with_keys_fetched_once() {
    let world = World::new().await;
    let signer = Signer::new("k1");
    world.stand.json(GOOGLE_JWKS, 200, signer.jwks());
    let change = json!({"email": "ada@example.com", "email_verified": true, "given_name": "Ada"});

    for issuer in ["https://accounts.google.com", "accounts.google.com"] {
        let token = signer.sign(&claims(&world, issuer, "our-ios", change.clone()));
        let identified = world.token("google-oauth2", &token).await.unwrap();
        assert_eq!((identified.profile.uid.as_str(), identified.profile.email_verified), ("110", true));
        assert_eq!(identified.tokens.id_token.as_deref(), Some(token.as_str()));
        assert_eq!(identified.expires_at, Some(world.clock.now() + 3600));
    }

    assert_eq!(world.stand.calls(), 1);
}

#[tokio::test]
async fn each_flaw_of_an_id_token_has_its_reason() {
    let world = World::new().await;
    let signer = Signer::new("k1");
    world.stand.json(GOOGLE_JWKS, 200, signer.jwks());
    let now = world.clock.now();
    for (change, reason) in [
        (json!({"aud": "evil"}), Reason::ForeignAudience), // attack 91
        (json!({"aud": "our-google "}), Reason::ForeignAudience),
        (json!({"exp": now - 61}), Reason::TokenExpired), // attack 101
        (json!({"exp": "never"}), Reason::TokenRejected),
        (json!({"nbf": now + 600}), Reason::TokenRejected),
        (json!({"iss": "https://accounts.google.com.evil.com"}), Reason::WrongTokenKind), // attack 95
        (json!({"sub": null}), Reason::ProfileIncomplete),
    ] {
        world.refused("google-oauth2", &signer.sign(&google(&world, change))).await.is(400, reason);
    }
    let forged = Signer::new("k1").sign(&google(&world, json!({})));
    world.refused("google-oauth2", &forged).await.is(400, Reason::TokenRejected).says("signature");
    let unsigned =
        format!("{}.{}.", B64.encode(r#"{"alg":"none"}"#), B64.encode(google(&world, json!({})).to_string()));
    world.refused("google-oauth2", &unsigned).await.is(400, Reason::TokenRejected); // attack 97

    let token = signer.sign(&google(&world, json!({"nonce": "n1"})));
    let with = async |nonce| world.token_with_nonce("google-oauth2", &token, nonce).await;
    assert!(with(Some("n1")).await.is_ok() && with(None).await.is_ok());
    Refusal(with(Some("n2")).await.unwrap_err()).is(400, Reason::NonceMismatch); // attack 107
}

#[tokio::test]
async fn made_up_kids_cost_one_refetch() {
    // attack 103
    let world = World::new().await;
    world.stand.json(GOOGLE_JWKS, 200, Signer::new("k1").jwks());
    let tokens: Vec<_> =
        (0..100).map(|n| Signer::new(&format!("made-up-{n}")).sign(&google(&world, json!({})))).collect();

    for result in join_all(tokens.iter().map(|token| world.token("google-oauth2", token))).await {
        Refusal(result.unwrap_err()).is(400, Reason::TokenRejected);
    }
    for token in &tokens {
        world.refused("google-oauth2", token).await.is(400, Reason::TokenRejected);
    }

    let fetches = world.stand.seen(GOOGLE_JWKS).len();
    assert!(fetches <= 2, "{fetches}");
    world.clock.advance(31);
    world.refused("google-oauth2", &tokens[0]).await.is(400, Reason::TokenRejected);
    assert_eq!(world.stand.seen(GOOGLE_JWKS).len(), fetches + 1);
}

#[tokio::test]
async fn a_changed_key_is_fetched_once_for_two_hundred() {
    // attack 263
    let world = World::new().await;
    let (old, new) = (Signer::new("old"), Signer::new("new"));
    world.stand.json(GOOGLE_JWKS, 200, old.jwks());
    assert!(world.token("google-oauth2", &old.sign(&google(&world, json!({})))).await.is_ok());
    world.stand.json(GOOGLE_JWKS, 200, new.jwks());
    let token = new.sign(&google(&world, json!({})));

    let all = join_all((0..200).map(|_| world.token("google-oauth2", &token))).await;

    assert!(all.iter().all(Result::is_ok));
    assert_eq!(world.stand.seen(GOOGLE_JWKS).len(), 2);
}

#[tokio::test]
async fn keys_serve_on_for_a_day_while_their_endpoint_is_down() {
    // attack 257
    let world = World::new().await;
    let signer = Signer::new("k1");
    let token = signer.sign(&google(&world, json!({"exp": world.clock.now() + 10 * 86_400})));
    world.stand.json(GOOGLE_JWKS, 200, signer.jwks());
    assert!(world.token("google-oauth2", &token).await.is_ok());
    world.stand.text(GOOGLE_JWKS, 503, "down");

    world.clock.advance(2 * 3600);
    for _ in 0..10 {
        assert!(world.token("google-oauth2", &token).await.is_ok());
    }
    assert_eq!(world.stand.seen(GOOGLE_JWKS).len(), 2);

    world.clock.advance(23 * 3600);
    world.refused("google-oauth2", &token).await.is(503, Reason::ProviderUnreachable);

    world.stand.json(GOOGLE_JWKS, 200, signer.jwks());
    assert!(world.token("google-oauth2", &token).await.is_ok());
}

#[tokio::test]
async fn while_keys_hang_all_wait_for_one_call() {
    let world = World::with(PROVIDERS, "outbound.timeout = '300ms'").await;
    world.stand.on(GOOGLE_JWKS, Reply::Hang);
    let token = Signer::new("k1").sign(&google(&world, json!({})));
    let start = std::time::Instant::now();

    for result in join_all((0..50).map(|_| world.token("google-oauth2", &token))).await {
        Refusal(result.unwrap_err()).is(504, Reason::ProviderUnreachable);
    }

    assert!(start.elapsed() < std::time::Duration::from_secs(3));
    assert_eq!(world.stand.seen(GOOGLE_JWKS).len(), 1);
}

#[tokio::test]
async fn discovery_finds_the_keys_also_where_the_entrys_own_address_is_gone() {
    let world = World::new().await;
    let signer = Signer::new("k1");
    world.corp().json(CORP_JWKS, 200, signer.jwks());
    let token = signer.sign(&claims(&world, "https://login.corp.example", "our-corp", json!({"sub": "c1"})));
    assert_eq!(world.token("corp", &token).await.unwrap().profile.uid, "c1");
    assert_eq!((world.stand.seen(CORP_DISCOVERY).len(), world.stand.seen(CORP_JWKS).len()), (1, 1));

    let line = "GET /accounts.google.com/.well-known/openid-configuration";
    let document = json!({"issuer": "https://accounts.google.com", "jwks_uri": "https://keys.corp.example/jwks"});
    world.stand.json(line, 200, document);
    assert!(world.token("google-oauth2", &signer.sign(&google(&world, json!({})))).await.is_ok());
}

#[tokio::test]
async fn another_issuers_discovery_document_is_refused() {
    // attack 237
    for issuer in ["https://login.corp.example/", "https://evil.example", "http://login.corp.example"] {
        let world = World::new().await;
        let signer = Signer::new("k1");
        let document = json!({"issuer": issuer, "jwks_uri": "https://keys.corp.example/jwks"});
        world.stand.json(CORP_DISCOVERY, 200, document).json(CORP_JWKS, 200, signer.jwks());
        let token = signer.sign(&claims(&world, "https://login.corp.example", "our-corp", json!({})));

        world.refused("corp", &token).await.is(502, Reason::ProviderMisconfigured);

        assert!(world.stand.seen(CORP_JWKS).is_empty());
        let trial = world.upstream.try_out(world.provider("corp"), "https://api.example/complete/corp/").await;
        let discovery = trial.checks.iter().find(|check| check.what == "discovery document").unwrap();
        assert!(discovery.outcome == CheckOutcome::Bad && discovery.detail.contains("another issuer"));
    }
}

#[tokio::test]
async fn a_discovery_document_cannot_lead_into_the_private_network() {
    // attack 237
    let world = World::new().await;
    let document = json!({"issuer": "https://login.corp.example", "jwks_uri": "http://169.254.169.254/latest"});
    world.stand.json(CORP_DISCOVERY, 200, document);
    let token = Signer::new("k1").sign(&claims(&world, "https://login.corp.example", "our-corp", json!({})));

    world.refused("corp", &token).await.is(503, Reason::ProviderUnreachable).says("not a public one");
}
