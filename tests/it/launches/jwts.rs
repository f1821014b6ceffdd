//! Providers whose word is a JWT that something in the settings verifies: our consumer secret, the realm's public key.

use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use vestibule::protocol::GrantType;

use super::{CLIENT_ID, SECRET, depart, hmac_sha256, is_signed_in, owner, posted, query, refuses, with};
use crate::harness::guest::Guest;
use crate::harness::key::{ClientKey, encode};
use crate::harness::scripted::{Asked, Told, told};
use crate::harness::{Answer, Setup, Test, on_both_databases};

fn hs256(secret: &str, claims: &Value) -> String {
    let header = json!({ "alg": "HS256", "typ": "JWT" });
    let text = format!("{}.{}", encode(header.to_string().as_bytes()), encode(claims.to_string().as_bytes()));
    format!("{text}.{}", encode(&hmac_sha256(secret, &text)))
}

fn unsigned(claims: &Value) -> String {
    format!("{}.{}.", encode(br#"{"alg":"none"}"#), encode(claims.to_string().as_bytes()))
}

type Identity = Arc<Mutex<String>>;

fn mediawiki(identity: &Identity, asked: &Asked) -> Told {
    match asked.query("title").as_str() {
        "Special:OAuth/initiate" if asked.authorization.contains(r#"oauth_callback="oob""#) => {
            told(200, "oauth_token=request&oauth_token_secret=rs&oauth_callback_confirmed=true")
        }
        "Special:Oauth/token" if asked.authorization.contains(r#"oauth_verifier="yes""#) => {
            told(200, "oauth_token=adas-token&oauth_token_secret=ts")
        }
        "Special:OAuth/identify" if asked.authorization.contains(r#"oauth_token="adas-token""#) => {
            told(200, identity.lock().unwrap().clone())
        }
        _ => told(401, "no"),
    }
}

/// What the wiki says of Ada, with one claim changed.
fn of_ada(t: &Test, name: &str, value: Value) -> Value {
    let now = t.clock.now();
    let mut claims = json!({
        "iss": "https://meta.wikimedia.org", "sub": "1000001", "aud": CLIENT_ID, "exp": now + 100, "iat": now,
        "username": "Ada", "email": "ada@example.com", "confirmed_email": true,
    });
    claims[name] = value;
    claims
}

/// Goes to the wiki and back.
async fn round_trip(guest: &Guest<'_>) -> Answer {
    let there = depart(guest, "login/mediawiki/").await;
    assert!(there.starts_with("https://meta.wikimedia.org/w/index.php?title=Special:Oauth/authenticate&"), "{there}");
    assert_eq!(
        (query(&there, "oauth_token").as_str(), query(&there, "oauth_consumer_key").as_str()),
        ("request", CLIENT_ID)
    );
    guest.get("complete/mediawiki/?oauth_token=request&oauth_verifier=yes").await
}

on_both_databases! {
    async fn a_wiki_says_who_it_is_signed_with_our_consumer_secret(setup: Setup) {
        let identity = Identity::default();
        let shared = identity.clone();
        let (t, _host) =
            with(setup, "mediawiki", &[], &["https://meta.wikimedia.org"], move |asked| mediawiki(&shared, asked)).await;
        let now = t.clock.now();
        let good = of_ada(&t, "nonce", "x".into());
        let app = t.app(&[GrantType::ConvertToken]).await;
        let pair = "oauth_token=adas-token&oauth_token_secret=ts";
        for (case, status, word, said) in [
            ("another secret", 502, "provider_unreachable", hs256("another", &good)),
            ("no secret", 502, "provider_unreachable", hs256("", &good)),
            ("unsigned", 502, "provider_unreachable", unsigned(&good)),
            ("no JWT", 502, "provider_unreachable", good.to_string()),
            ("past", 502, "provider_unreachable", hs256(SECRET, &of_ada(&t, "exp", (now - 600).into()))),
            ("of tomorrow", 502, "provider_unreachable", hs256(SECRET, &of_ada(&t, "iat", (now + 86_400).into()))),
            ("another consumer", 400, "foreign_audience", hs256(SECRET, &of_ada(&t, "aud", "another".into()))),
            ("no audience", 400, "foreign_audience", hs256(SECRET, &of_ada(&t, "aud", Value::Null))),
            ("another wiki", 400, "wrong_token_kind", hs256(SECRET, &of_ada(&t, "iss", "https://evil.example".into()))),
            ("no wiki", 400, "wrong_token_kind", hs256(SECRET, &of_ada(&t, "iss", Value::Null))),
        ] {
            *identity.lock().unwrap() = said;
            refuses(&round_trip(&Guest::new(&t)).await, status, word, case);
            let converted = t.convert(&app, "mediawiki", pair).await;
            assert_eq!((converted.status, converted.field("reason").as_str()), (status, word), "{case}: {converted:?}");
        }
        assert!(t.people().await.is_empty());
        *identity.lock().unwrap() = hs256(SECRET, &good);
        let guest = Guest::new(&t);
        assert_eq!(round_trip(&guest).await.status, 303);
        assert!(is_signed_in(&guest).await && owner(&t, "mediawiki", "1000001").await.is_some());
        assert_eq!(t.convert(&app, "mediawiki", pair).await.status, 200);
        assert_eq!(t.people().await.len(), 1);
    }
}

/// A P-256 key as a SubjectPublicKeyInfo (RFC 5480), in base64 as Keycloak shows it.
fn public_key(key: &ClientKey) -> String {
    const BEFORE_THE_POINT: [u8; 27] = [
        0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48,
        0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00, 0x04,
    ];
    let jwk = key.jwk();
    let part = |name: &str| URL_SAFE_NO_PAD.decode(jwk[name].as_str().unwrap()).unwrap();
    STANDARD.encode([BEFORE_THE_POINT.to_vec(), part("x"), part("y")].concat())
}

/// An access token's claims, with one changed.
fn of_realm(t: &Test, name: &str, value: Value) -> Value {
    let now = t.clock.now();
    let mut claims = json!({
        "iss": "https://sso.example.com/realms/example", "sub": "0ee0eeb8", "aud": [CLIENT_ID, "account"], "azp": "our-app",
        "typ": "Bearer", "preferred_username": "ada", "email": "ada@example.com", "email_verified": true,
        "exp": now + 300, "iat": now,
    });
    claims[name] = value;
    claims
}

async fn with_keycloak(setup: Setup, public_key: &str, token: &Identity) -> Test {
    let shared = token.clone();
    let own = [
        ("authorization_url", "https://sso.example.com/a"),
        ("access_token_url", "https://sso.example.com/t"),
        ("public_key", public_key),
        ("algorithm", "ES256"),
    ];
    let script =
        move |asked: &Asked| match posted(asked, "code") == "its-code" && posted(asked, "client_secret") == SECRET {
            true => told(200, json!({ "access_token": *shared.lock().unwrap(), "token_type": "Bearer" }).to_string()),
            false => told(400, r#"{"error": "invalid_grant"}"#),
        };
    with(setup, "keycloak", &own, &["https://sso.example.com"], script).await.0
}

on_both_databases! {
    async fn an_access_token_of_keycloaks_counts_by_the_realms_key(setup: Setup) {
        let key = ClientKey::new();
        let (public, token) = (public_key(&key), Identity::default());
        let t = with_keycloak(setup, &public, &token).await;
        let now = t.clock.now();
        let app = t.app(&[GrantType::ConvertToken]).await;
        let good = of_realm(&t, "groups", json!(["/staff"]));
        let by_default = json!({ "alg": "RS256" });
        for (case, word, jwt) in [
            ("another realm's key", "token_rejected", ClientKey::new().jwt(&good)),
            ("the public key as a secret", "token_rejected", hs256(&public, &good)),
            ("unsigned", "token_rejected", unsigned(&good)),
            ("another algorithm in the header", "token_rejected", key.sign(&by_default, &good)),
            ("another application's", "foreign_audience", key.jwt(&of_realm(&t, "aud", json!(["account"])))),
            ("past", "token_expired", key.jwt(&of_realm(&t, "exp", (now - 1).into()))),
            ("without an end", "token_expired", key.jwt(&of_realm(&t, "exp", Value::Null))),
            ("not yet", "token_rejected", key.jwt(&of_realm(&t, "nbf", (now + 3_600).into()))),
        ] {
            assert_eq!(t.convert(&app, "keycloak", &jwt).await.refusal(), format!("400 invalid_grant {word}"), "{case}");
            // Nor by a code that the realm answered so to.
            *token.lock().unwrap() = jwt;
            let guest = Guest::new(&t);
            let there = depart(&guest, "login/keycloak/").await;
            let back = format!("complete/keycloak/?code=its-code&state={}", query(&there, "state"));
            refuses(&guest.get(&back).await, 400, word, case);
        }
        assert!(t.people().await.is_empty());

        let answer = t.convert(&app, "keycloak", &key.jwt(&good)).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        // Keycloak names the key, under a name that is nowhere in the settings.
        let named = key.sign(&json!({ "alg": "ES256", "typ": "JWT", "kid": "FJ86GcF3jTbNLOco4NvZkUCIUmfYCqoqtOQeMfbhNlE" }), &good);
        assert_eq!(t.convert(&app, "keycloak", &named).await.status, 200);
        // `azp` is an audience too.
        let by_us = key.jwt(&json!({ "sub": "0ee0eeb8", "aud": "account", "azp": CLIENT_ID, "typ": "Bearer", "exp": now + 300 }));
        assert_eq!(t.convert(&app, "keycloak", &by_us).await.status, 200);
        // Whoever it is for, an ID token is no access token.
        let id_token = key.jwt(&of_realm(&t, "typ", "ID".into()));
        assert_eq!(t.convert(&app, "keycloak", &id_token).await.refusal(), "400 invalid_grant wrong_token_kind");
        *token.lock().unwrap() = key.jwt(&good);
        let guest = Guest::new(&t);
        let there = depart(&guest, "login/keycloak/").await;
        assert!(there.starts_with("https://sso.example.com/a?"), "{there}");
        let back = format!("complete/keycloak/?code=its-code&state={}", query(&there, "state"));
        assert_eq!(guest.get(&back).await.status, 303);
        assert!(is_signed_in(&guest).await && owner(&t, "keycloak", "0ee0eeb8").await.is_some());

        // The key with lines around it is the same key.
        let lines = format!("-----BEGIN PUBLIC KEY-----\n{public}\n-----END PUBLIC KEY-----\n");
        let other = t.second_node_with(|settings| {
            settings.providers.get_mut("keycloak").unwrap().entry.insert("public_key".into(), lines.into());
        }).await;
        assert_eq!(other.convert(&app, "keycloak", &key.jwt(&good)).await.status, 200);
        assert_eq!(t.people().await.len(), 1);
    }
}
