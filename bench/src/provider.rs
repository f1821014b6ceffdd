//! A stand-in for Google: user info, tokeninfo and keys, as fast as axum answers.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use axum::routing::get;
use axum::{Json, Router};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

/// The one access token there is.
pub const ACCESS_TOKEN: &str = "ya29.bench";
const CLIENT_ID: &str = "bench-client";

/// A running stand-in.
pub struct Provider {
    /// An ID token for the client of [`Provider::configuration`].
    pub id_token: String,
    base: String,
}

impl Provider {
    /// What makes a server know it.
    pub fn configuration(&self) -> String {
        let map: String = ["www.googleapis.com", "oauth2.googleapis.com", "accounts.google.com"]
            .iter()
            .map(|host| format!("\"https://{host}\" = \"{}\"\n", self.base))
            .collect();
        format!(
            "[providers.google-oauth2]\nclient_id = \"{CLIENT_ID}\"\nclient_secret = \"bench\"\n[outbound.origin_map]\n{map}"
        )
    }
}

/// As Google tells it: the seconds that are left grow fewer, so that the end stays where it is.
fn told() -> Value {
    let left = EXPIRES_AT - vestibule::clock::Clock::default().now();
    json!({"aud": CLIENT_ID, "azp": CLIENT_ID, "sub": "1001", "expires_in": left.to_string()})
}

const EXPIRES_AT: i64 = 4_102_444_800;

/// Starts it on a free port.
pub async fn start() -> Provider {
    let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
    let point = key.public_key().as_ref();
    let part = |range: std::ops::Range<usize>| URL_SAFE_NO_PAD.encode(&point[range]);
    let keys = json!({"keys": [{"kty": "EC", "crv": "P-256", "kid": "1", "alg": "ES256", "use": "sig", "x": part(1..33), "y": part(33..65)}]});
    let person = json!({"sub": "1001", "email": "grace@example.com", "email_verified": true, "given_name": "Grace", "family_name": "Hopper"});
    let fixed = |answer: Value| get(move || std::future::ready(Json(answer)));
    let router = Router::new()
        .route("/oauth2/v3/userinfo", fixed(person.clone()))
        .route("/oauth2/v3/certs", fixed(keys))
        .route("/tokeninfo", get(|| std::future::ready(Json(told()))));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    let mut claims = person;
    claims["iss"] = "https://accounts.google.com".into();
    claims["aud"] = CLIENT_ID.into();
    claims["exp"] = EXPIRES_AT.into();
    let signed =
        [json!({"alg": "ES256", "kid": "1"}), claims].map(|part| URL_SAFE_NO_PAD.encode(part.to_string())).join(".");
    let signature = key.sign(&SystemRandom::new(), signed.as_bytes()).unwrap();
    Provider { id_token: format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature.as_ref())), base }
}
