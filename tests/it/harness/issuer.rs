//! An OpenID Connect provider of an operator's own: discovery, keys that can be changed, user info, codes, and ID tokens
//! of any kind, also such as no honest one would sign. At its sign-in page everybody is `grace`, at once.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use vestibule::settings::{Hidden, ProviderSettings};

#[derive(Clone)]
pub struct Issuer {
    pub url: String,
    state: Arc<Shared>,
}

struct Shared {
    keys: Mutex<Vec<(String, EcdsaKeyPair)>>,
    /// What a redeemed code gives.
    code: Mutex<Option<(String, Value)>>,
    discovery_issuer: Mutex<Option<String>>,
    key_fetches: AtomicUsize,
    other_calls: AtomicUsize,
    down: AtomicBool,
}

pub const CLIENT_ID: &str = "our-client";

impl Issuer {
    pub async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let state = Arc::new(Shared {
            keys: Mutex::new(vec![new_key("key-1")]),
            code: Mutex::default(),
            discovery_issuer: Mutex::default(),
            key_fetches: AtomicUsize::new(0),
            other_calls: AtomicUsize::new(0),
            down: AtomicBool::new(false),
        });
        let issuer = Self { url, state };
        let router = Router::new()
            .route("/.well-known/openid-configuration", get(discovery))
            .route("/jwks", get(jwks))
            .route("/userinfo", get(userinfo))
            .route("/authorize", get(authorize))
            .route("/token", post(token))
            .fallback(anything_else)
            .with_state(issuer.clone());
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        issuer
    }

    /// The provider as an operator writes it into the configuration.
    pub fn settings(&self) -> ProviderSettings {
        let entry = format!("protocol = 'oidc'\nissuer = '{}'", self.url);
        ProviderSettings {
            client_id: Some(CLIENT_ID.to_owned()),
            client_secret: Some(Hidden::new("our-secret")),
            ..toml::from_str(&entry).unwrap()
        }
    }

    /// Claims of a good ID token.
    pub fn claims(&self, sub: &str) -> Value {
        json!({
            "iss": self.url, "aud": CLIENT_ID, "sub": sub, "exp": 4_102_444_800i64, "iat": 1_700_000_000,
            "email": format!("{sub}@example.com"), "email_verified": true, "preferred_username": sub, "name": "Grace Hopper",
        })
    }

    /// A good ID token.
    pub fn id_token(&self, sub: &str) -> String {
        self.sign(&self.claims(sub))
    }

    pub fn sign(&self, claims: &Value) -> String {
        let kid = self.state.keys.lock().unwrap().last().unwrap().0.clone();
        self.sign_as(&json!({"alg": "ES256", "typ": "JWT", "kid": kid}), claims)
    }

    /// Signed by the newest key, whatever the header says.
    pub fn sign_as(&self, header: &Value, claims: &Value) -> String {
        let keys = self.state.keys.lock().unwrap();
        let (_, key) = keys.last().unwrap();
        let signed = unsigned(header, claims);
        let signature = key.sign(&SystemRandom::new(), signed.as_bytes()).unwrap();
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature.as_ref()))
    }

    /// New keys; the old ones are gone.
    pub fn rotate(&self, kid: &str) {
        *self.state.keys.lock().unwrap() = vec![new_key(kid)];
    }

    pub fn code(&self, code: &str, answer: Value) {
        *self.state.code.lock().unwrap() = Some((code.to_owned(), answer));
    }

    pub fn down(&self, down: bool) {
        self.state.down.store(down, Ordering::Relaxed);
    }

    pub fn claim_to_be(&self, issuer: &str) {
        *self.state.discovery_issuer.lock().unwrap() = Some(issuer.to_owned());
    }

    pub fn key_fetches(&self) -> usize {
        self.state.key_fetches.load(Ordering::Relaxed)
    }

    pub fn other_calls(&self) -> usize {
        self.state.other_calls.load(Ordering::Relaxed)
    }
}

pub fn unsigned(header: &Value, claims: &Value) -> String {
    format!("{}.{}", URL_SAFE_NO_PAD.encode(header.to_string()), URL_SAFE_NO_PAD.encode(claims.to_string()))
}

fn new_key(kid: &str) -> (String, EcdsaKeyPair) {
    (kid.to_owned(), EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap())
}

async fn discovery(State(issuer): State<Issuer>) -> Response {
    if issuer.state.down.load(Ordering::Relaxed) {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    }
    let url = &issuer.url;
    let says = issuer.state.discovery_issuer.lock().unwrap().clone().unwrap_or_else(|| url.clone());
    Json(json!({
        "issuer": says, "jwks_uri": format!("{url}/jwks"), "token_endpoint": format!("{url}/token"),
        "userinfo_endpoint": format!("{url}/userinfo"), "authorization_endpoint": format!("{url}/authorize"),
    }))
    .into_response()
}

async fn jwks(State(issuer): State<Issuer>) -> Response {
    issuer.state.key_fetches.fetch_add(1, Ordering::Relaxed);
    if issuer.state.down.load(Ordering::Relaxed) {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    }
    let keys = issuer.state.keys.lock().unwrap();
    let keys: Vec<Value> = keys
        .iter()
        .map(|(kid, key)| {
            let point = key.public_key().as_ref();
            let part = |range: std::ops::Range<usize>| URL_SAFE_NO_PAD.encode(&point[range]);
            json!({"kty": "EC", "crv": "P-256", "kid": kid, "use": "sig", "alg": "ES256", "x": part(1..33), "y": part(33..65)})
        })
        .collect();
    Json(json!({ "keys": keys })).into_response()
}

async fn userinfo(State(issuer): State<Issuer>, headers: HeaderMap) -> Response {
    issuer.state.other_calls.fetch_add(1, Ordering::Relaxed);
    match headers
        .get("authorization")
        .and_then(|value| value.to_str().ok())
        .and_then(|text| text.strip_prefix("Bearer access-of-"))
    {
        Some(sub) => Json(issuer.claims(sub)).into_response(),
        None => StatusCode::UNAUTHORIZED.into_response(),
    }
}

/// Sends the browser straight back, with the issuer's name (RFC 9207).
async fn authorize(State(issuer): State<Issuer>, Query(asked): Query<HashMap<String, String>>) -> Redirect {
    let mut claims = issuer.claims("grace");
    claims["nonce"] = asked["nonce"].as_str().into();
    let answer = json!({
        "access_token": "access-of-grace", "token_type": "Bearer", "expires_in": 3600, "id_token": issuer.sign(&claims),
    });
    issuer.code("code-of-grace", answer);
    let mut back = url::Url::parse(&asked["redirect_uri"]).unwrap();
    back.query_pairs_mut()
        .append_pair("code", "code-of-grace")
        .append_pair("state", &asked["state"])
        .append_pair("iss", &issuer.url);
    Redirect::to(back.as_str())
}

async fn token(State(issuer): State<Issuer>, headers: HeaderMap, body: String) -> Response {
    let form: Vec<(String, String)> = url::form_urlencoded::parse(body.as_bytes()).into_owned().collect();
    let get = |name: &str| form.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str());
    let basic = base64::engine::general_purpose::STANDARD.encode(format!("{CLIENT_ID}:our-secret"));
    if headers.get("authorization").and_then(|value| value.to_str().ok()) != Some(&format!("Basic {basic}")) {
        return (StatusCode::UNAUTHORIZED, Json(json!({"error": "invalid_client"}))).into_response();
    }
    let mut code = issuer.state.code.lock().unwrap();
    match code.take_if(|(code, _)| Some(code.as_str()) == get("code")) {
        Some((_, answer)) => Json(answer).into_response(),
        None => (StatusCode::BAD_REQUEST, Json(json!({"error": "invalid_grant"}))).into_response(),
    }
}

async fn anything_else(State(issuer): State<Issuer>) -> StatusCode {
    issuer.state.other_calls.fetch_add(1, Ordering::Relaxed);
    StatusCode::NOT_FOUND
}
