//! The providers, as far as their endpoints are called: Google, Facebook and GitHub, on one socket of this machine.
//!
//! A test says which tokens there are and to whom they were issued; the endpoints answer as the real ones do, also when
//! they refuse.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_lc_rs::hmac;
use axum::Json;
use axum::body::Bytes;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use base64::Engine as _;
use serde_json::{Value, json};

/// A token that a provider issued.
#[derive(Clone, Debug, Default)]
pub struct Issued {
    /// The client that it was issued to.
    pub client_id: String,
    /// The person.
    pub uid: String,
    pub username: String,
    pub email: Option<String>,
    pub email_verified: bool,
    pub first_name: String,
    pub last_name: String,
    /// Further members of the profile.
    pub more: Option<Value>,
}

/// How a provider misbehaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mood {
    Good,
    /// Takes the connection and never answers.
    Hanging,
    /// 500.
    Broken,
    /// 200 with HTML.
    Html,
    /// JSON that is cut off.
    Malformed,
    /// JSON of two megabytes.
    Huge,
    /// Sends whoever calls to an address of this machine's network.
    Redirecting,
}

#[derive(Clone)]
pub struct StandIn {
    pub base: String,
    state: Arc<Shared>,
}

struct Shared {
    tokens: Mutex<HashMap<(String, String), Issued>>,
    codes: Mutex<HashMap<String, (String, Option<String>)>>,
    calls: Mutex<Vec<String>>,
    mood: Mutex<Mood>,
}

const HOSTS: [&str; 8] = [
    "accounts.google.com",
    "oauth2.googleapis.com",
    "www.googleapis.com",
    "openidconnect.googleapis.com",
    "graph.facebook.com",
    "www.facebook.com",
    "github.com",
    "api.github.com",
];

impl StandIn {
    pub async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let state = Arc::new(Shared {
            tokens: Mutex::default(),
            codes: Mutex::default(),
            calls: Mutex::default(),
            mood: Mutex::new(Mood::Good),
        });
        let router = axum::Router::new().fallback(answer).with_state(state.clone());
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { base, state }
    }

    pub fn origin_map(&self) -> BTreeMap<String, String> {
        HOSTS.iter().map(|host| (format!("https://{host}"), format!("{}/{host}", self.base))).collect()
    }

    /// Lets a provider have issued a token to our client.
    pub fn issue(&self, provider: &str, token: &str, uid: &str) -> Issued {
        let issued = Issued {
            client_id: format!("{provider}-id"),
            uid: uid.to_owned(),
            username: format!("user{uid}"),
            email: Some(format!("user{uid}@example.com")),
            email_verified: true,
            first_name: "Grace".to_owned(),
            last_name: "Hopper".to_owned(),
            more: None,
        };
        self.put(provider, token, issued.clone());
        issued
    }

    pub fn put(&self, provider: &str, token: &str, issued: Issued) {
        self.state.tokens.lock().unwrap().insert((provider.to_owned(), token.to_owned()), issued);
    }

    /// Lets a provider have given a code for this token, bound to a verifier, or to a challenge (`S256:…`).
    pub fn code(&self, code: &str, token: &str, verifier: Option<&str>) {
        self.state.codes.lock().unwrap().insert(code.to_owned(), (token.to_owned(), verifier.map(str::to_owned)));
    }

    pub fn mood(&self, mood: Mood) {
        *self.state.mood.lock().unwrap() = mood;
    }

    /// `METHOD /host/path` of every call, in order.
    pub fn calls(&self) -> Vec<String> {
        self.state.calls.lock().unwrap().clone()
    }

    pub fn calls_to(&self, part: &str) -> usize {
        self.calls().iter().filter(|call| call.contains(part)).count()
    }
}

struct Call {
    method: String,
    host: String,
    path: String,
    query: HashMap<String, String>,
    form: HashMap<String, String>,
    authorization: String,
    body: Bytes,
}

async fn answer(State(state): State<Arc<Shared>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, 1_000_000).await.unwrap();
    let pairs = |text: &[u8]| url::form_urlencoded::parse(text).into_owned().collect::<HashMap<_, _>>();
    let path = parts.uri.path().trim_start_matches('/');
    let (host, path) = path.split_once('/').unwrap_or((path, ""));
    state.calls.lock().unwrap().push(format!("{} /{host}/{path}", parts.method));
    let call = Call {
        method: parts.method.to_string(),
        host: host.to_owned(),
        path: path.to_owned(),
        query: pairs(parts.uri.query().unwrap_or_default().as_bytes()),
        form: pairs(&body),
        authorization: parts.headers.get("authorization").and_then(|v| v.to_str().ok()).unwrap_or_default().to_owned(),
        body,
    };
    let mood = *state.mood.lock().unwrap();
    match mood {
        Mood::Good => {}
        Mood::Hanging => tokio::time::sleep(Duration::from_secs(60)).await,
        Mood::Broken => return (StatusCode::INTERNAL_SERVER_ERROR, "a secret stack trace").into_response(),
        Mood::Html => return "<html>hello</html>".into_response(),
        Mood::Malformed => {
            return ([("content-type", "application/json")], "{\"access_token\": \"good-to").into_response();
        }
        Mood::Huge => {
            return Json(json!({ "access_token": "good-token", "padding": "x".repeat(2_000_000) })).into_response();
        }
        Mood::Redirecting => return Redirect::temporary("http://169.254.169.254/latest/meta-data").into_response(),
    }
    // As the real ones: only these paths take a POST, and they take nothing else; Facebook's code is redeemed by GET.
    let posts = ["o/oauth2/token", "applications/github-id/token", "login/oauth/access_token"];
    if (call.method == "POST") != posts.contains(&call.path.as_str()) {
        return StatusCode::METHOD_NOT_ALLOWED.into_response();
    }
    match call.host.as_str() {
        "www.googleapis.com" | "oauth2.googleapis.com" | "accounts.google.com" => google(&state, &call),
        "graph.facebook.com" => facebook(&state, &call),
        "api.github.com" | "github.com" => github(&state, &call),
        _ => StatusCode::NOT_FOUND.into_response(),
    }
}

fn find(state: &Shared, provider: &str, token: Option<&str>) -> Option<Issued> {
    state.tokens.lock().unwrap().get(&(provider.to_owned(), token?.to_owned())).cloned()
}

fn refuse(status: u16, body: Value) -> Response {
    (StatusCode::from_u16(status).unwrap(), Json(body)).into_response()
}

/// The token of a code, which is good once.
fn redeem(state: &Shared, code: Option<&String>, verifier: Option<&String>) -> Option<String> {
    let (token, wanted) = state.codes.lock().unwrap().remove(code?)?;
    let good = match &wanted {
        Some(challenge) if challenge.starts_with("S256:") => {
            let answered = vestibule::protocol::pkce::answered_by(verifier.map(String::as_str));
            answered.is_ok_and(|answered| answered.contains(challenge))
        }
        wanted => wanted.as_ref() == verifier,
    };
    good.then_some(token)
}

fn google(state: &Shared, call: &Call) -> Response {
    match call.path.as_str() {
        "oauth2/v3/userinfo" => match find(state, "google-oauth2", call.authorization.strip_prefix("Bearer ")) {
            Some(issued) => Json(profile(
                &issued,
                json!({
                    "sub": issued.uid, "email": issued.email, "email_verified": issued.email_verified,
                    "name": format!("{} {}", issued.first_name, issued.last_name),
                    "given_name": issued.first_name, "family_name": issued.last_name,
                }),
            ))
            .into_response(),
            None => refuse(401, json!({"error": "invalid_request", "error_description": "Invalid Credentials"})),
        },
        "tokeninfo" => match find(state, "google-oauth2", call.query.get("access_token").map(String::as_str)) {
            Some(issued) => Json(json!({
                "azp": issued.client_id, "aud": issued.client_id, "sub": issued.uid, "scope": "openid email profile",
                "exp": "4102444800", "expires_in": "3599", "access_type": "online",
            }))
            .into_response(),
            None => refuse(400, json!({"error": "invalid_token", "error_description": "Invalid Value"})),
        },
        "o/oauth2/revoke" => {
            let key = ("google-oauth2".to_owned(), call.query.get("token").cloned().unwrap_or_default());
            match state.tokens.lock().unwrap().remove(&key) {
                Some(_) => Json(json!({})).into_response(),
                None => refuse(400, json!({"error": "invalid_token", "error_description": "Token expired or revoked"})),
            }
        }
        "o/oauth2/token" => match redeem(state, call.form.get("code"), call.form.get("code_verifier")) {
            Some(token) => Json(
                json!({"access_token": token, "expires_in": 3599, "token_type": "Bearer", "scope": "openid email"}),
            )
            .into_response(),
            None => refuse(400, json!({"error": "invalid_grant", "error_description": "Malformed auth code."})),
        },
        _ => StatusCode::NOT_FOUND.into_response(),
    }
}

fn facebook(state: &Shared, call: &Call) -> Response {
    let access_token = call.query.get("access_token").map(String::as_str);
    let proof =
        hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, b"facebook-secret"), access_token.unwrap_or_default().as_bytes());
    let proof: String = proof.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    if call.path != "v24.0/oauth/access_token" && call.query.get("appsecret_proof") != Some(&proof) {
        return refuse(
            400,
            json!({"error": {"message": "Invalid appsecret_proof provided in the API argument", "type": "GraphMethodException", "code": 100}}),
        );
    }
    match call.path.as_str() {
        "v24.0/me" => match find(state, "facebook", access_token) {
            Some(issued) => Json(profile(&issued, json!({
                "id": issued.uid, "name": format!("{} {}", issued.first_name, issued.last_name), "email": issued.email,
                "first_name": issued.first_name, "last_name": issued.last_name,
            })))
            .into_response(),
            None => refuse(400, json!({"error": {"message": "Error validating access token", "type": "OAuthException", "code": 190}})),
        },
        "debug_token" if access_token == Some("facebook-id|facebook-secret") => {
            match find(state, "facebook", call.query.get("input_token").map(String::as_str)) {
                Some(issued) => Json(json!({"data": {
                    "app_id": issued.client_id, "type": "USER", "is_valid": true, "user_id": issued.uid, "expires_at": 4_102_444_800i64,
                }}))
                .into_response(),
                None => Json(json!({"data": {"is_valid": false, "error": {"code": 190, "message": "Invalid OAuth access token."}, "scopes": []}})).into_response(),
            }
        }
        "v24.0/oauth/access_token" => match redeem(state, call.query.get("code"), call.query.get("code_verifier")) {
            Some(token) => Json(json!({"access_token": token, "token_type": "bearer", "expires_in": 5_183_944})).into_response(),
            None => refuse(400, json!({"error": {"message": "Invalid verification code format.", "type": "OAuthException", "code": 100}})),
        },
        _ => refuse(400, json!({"error": {"message": "Invalid OAuth access token.", "type": "OAuthException", "code": 190}})),
    }
}

fn github(state: &Shared, call: &Call) -> Response {
    let basic = base64::engine::general_purpose::STANDARD.encode("github-id:github-secret");
    let token = call.authorization.strip_prefix("token ").or_else(|| call.authorization.strip_prefix("Bearer "));
    match call.path.as_str() {
        "user" => match find(state, "github", token) {
            Some(issued) => Json(profile(&issued, json!({
                "id": issued.uid.parse::<i64>().unwrap_or_default(), "login": issued.username,
                "email": null, "name": format!("{} {}", issued.first_name, issued.last_name),
            })))
            .into_response(),
            None => refuse(401, json!({"message": "Bad credentials"})),
        },
        "user/emails" => match find(state, "github", token) {
            Some(issued) => {
                let address = issued.email.map(|email| json!({"email": email, "primary": true, "verified": issued.email_verified}));
                Json(json!([{"email": "old@example.org", "primary": false, "verified": true}, address])).into_response()
            }
            None => refuse(401, json!({"message": "Bad credentials"})),
        },
        "applications/github-id/token" if call.authorization == format!("Basic {basic}") => {
            let body: Value = serde_json::from_slice(&call.body).unwrap_or_default();
            match find(state, "github", body["access_token"].as_str()).filter(|issued| issued.client_id == "github-id") {
                Some(issued) => Json(json!({
                    "app": {"client_id": issued.client_id}, "token": "", "scopes": [],
                    "user": {"id": issued.uid.parse::<i64>().unwrap_or_default(), "login": issued.username},
                }))
                .into_response(),
                None => refuse(404, json!({"message": "Not Found"})),
            }
        }
        "login/oauth/access_token" => match redeem(state, call.form.get("code"), call.form.get("code_verifier")) {
            Some(token) => Json(json!({"access_token": token, "token_type": "bearer", "scope": "user:email"})).into_response(),
            None => Json(json!({"error": "bad_verification_code", "error_description": "The code passed is incorrect or expired."})).into_response(),
        },
        _ => refuse(401, json!({"message": "Bad credentials"})),
    }
}

fn profile(issued: &Issued, mut answer: Value) -> Value {
    if let (Some(answer), Some(more)) = (answer.as_object_mut(), issued.more.as_ref().and_then(Value::as_object)) {
        answer.extend(more.clone());
    }
    answer
}
