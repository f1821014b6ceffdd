//! The room against a provider that answers what a test tells it to, on port 0, reached by `outbound.origin_map`.
//!
//! The stand-in sees `https://HOST/PATH` as `/HOST/PATH`, keeps every request, and never answers by itself.

mod access_tokens;
mod catalog;
mod codes;
mod id_tokens;
mod limits;
mod remembering;
mod trial;

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::{Credential, Identified, Presented, Provider, Upstream};
use crate::clock::Clock;
use crate::protocol::{ErrorCode, OAuthError, Reason};
use crate::settings::Settings;

const GOOGLE_USERINFO: &str = "GET /www.googleapis.com/oauth2/v3/userinfo";
const GOOGLE_TOKENINFO: &str = "GET /oauth2.googleapis.com/tokeninfo";
const GOOGLE_JWKS: &str = "GET /www.googleapis.com/oauth2/v3/certs";
const GOOGLE_TOKEN: &str = "POST /accounts.google.com/o/oauth2/token";
const FACEBOOK_ME: &str = "GET /graph.facebook.com/v24.0/me";
const FACEBOOK_DEBUG: &str = "GET /graph.facebook.com/debug_token";
const FACEBOOK_TOKEN: &str = "GET /graph.facebook.com/v24.0/oauth/access_token";
const GITHUB_USER: &str = "GET /api.github.com/user";
const GITHUB_EMAILS: &str = "GET /api.github.com/user/emails";
const GITHUB_CHECK: &str = "POST /api.github.com/applications/our-github/token";
const GITHUB_TOKEN: &str = "POST /github.com/login/oauth/access_token";
const CORP_DISCOVERY: &str = "GET /login.corp.example/.well-known/openid-configuration";
const CORP_JWKS: &str = "GET /keys.corp.example/jwks";
const CORP_USERINFO: &str = "GET /login.corp.example/userinfo";
const CORP_TOKEN: &str = "POST /login.corp.example/token";

const PROVIDERS: &str = r#"
[providers.google-oauth2]
client_id = "our-google"
client_secret = "hush-google"
client_ids = ["our-ios"]
[providers.facebook]
client_id = "1234"
client_secret = "hush-facebook"
[providers.github]
client_id = "our-github"
client_secret = "hush:github"
[providers.corp]
protocol = "oidc"
issuer = "https://login.corp.example"
client_id = "our-corp"
client_secret = "hush-corp"
"#;

/// What the stand-in does for one method and path.
#[derive(Clone)]
enum Reply {
    Answer(u16, Vec<(&'static str, String)>, Bytes),
    /// Headers, and then bytes without end.
    Endless,
    /// Nothing at all.
    Hang,
}

#[derive(Clone, Debug)]
struct Seen {
    line: String,
    query: HashMap<String, String>,
    headers: HeaderMap,
    body: Bytes,
}

impl Seen {
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map(|value| value.to_str().unwrap()).unwrap_or_default()
    }

    fn form(&self) -> HashMap<String, String> {
        url::form_urlencoded::parse(&self.body).into_owned().collect()
    }
}

#[derive(Clone, Default)]
struct StandIn {
    replies: Arc<Mutex<HashMap<String, Reply>>>,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl StandIn {
    fn on(&self, line: &str, reply: Reply) -> &Self {
        self.replies.lock().unwrap().insert(line.to_owned(), reply);
        self
    }

    fn json(&self, line: &str, status: u16, body: Value) -> &Self {
        self.on(line, Reply::Answer(status, vec![], body.to_string().into()))
    }

    fn text(&self, line: &str, status: u16, body: &'static str) -> &Self {
        self.on(line, Reply::Answer(status, vec![], body.into()))
    }

    fn seen(&self, line: &str) -> Vec<Seen> {
        self.seen.lock().unwrap().iter().filter(|seen| seen.line == line).cloned().collect()
    }

    fn calls(&self) -> usize {
        self.seen.lock().unwrap().len()
    }

    /// Listens, and returns the origin.
    async fn listen(&self) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let origin = format!("http://{}", listener.local_addr().unwrap());
        let app = axum::Router::new().fallback(answer).with_state(self.clone());
        tokio::spawn(async move { axum::serve(listener, app).await });
        origin
    }
}

async fn answer(State(stand): State<StandIn>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let line = format!("{} {}", head.method, head.uri.path());
    let query = url::form_urlencoded::parse(head.uri.query().unwrap_or_default().as_bytes()).into_owned().collect();
    let body = axum::body::to_bytes(body, 1 << 20).await.unwrap();
    stand.seen.lock().unwrap().push(Seen { line: line.clone(), query, headers: head.headers, body });
    let reply = stand.replies.lock().unwrap().get(&line).cloned();
    match reply.unwrap_or_else(|| Reply::Answer(404, vec![], Bytes::from_static(b"{}"))) {
        Reply::Answer(status, headers, body) => {
            let mut response = Response::builder().status(StatusCode::from_u16(status).unwrap());
            for (name, value) in headers {
                response = response.header(name, value);
            }
            response.body(Body::from(body)).unwrap()
        }
        Reply::Endless => {
            let chunk = Bytes::from_static(&[b' '; 16 * 1024]);
            let chunks = futures_util::stream::repeat_with(move || Ok::<_, std::io::Error>(chunk.clone()));
            Response::new(Body::from_stream(chunks))
        }
        Reply::Hang => std::future::pending().await,
    }
}

struct World {
    upstream: Arc<Upstream>,
    stand: StandIn,
    clock: Clock,
}

impl World {
    async fn new() -> Self {
        Self::with(PROVIDERS, "").await
    }

    /// These providers, and these keys of `[outbound]` and `[tokens]` (dotted).
    async fn with(providers: &str, more: &str) -> Self {
        let stand = StandIn::default();
        let origin = stand.listen().await;
        let hosts = [
            "www.googleapis.com",
            "oauth2.googleapis.com",
            "accounts.google.com",
            "graph.facebook.com",
            "github.com",
            "api.github.com",
            "login.corp.example",
            "keys.corp.example",
        ];
        let map: String = hosts.map(|host| format!("\"https://{host}\" = \"{origin}/{host}\"\n")).concat();
        let settings =
            settings(&format!("outbound.max_answer_bytes = 65536\n{more}\n[outbound.origin_map]\n{map}\n{providers}"));
        let clock = Clock::default();
        let upstream = Arc::new(Upstream::new(&settings, clock.clone()).unwrap());
        Self { upstream, stand, clock }
    }

    fn provider(&self, name: &str) -> &Provider {
        self.upstream.provider(name).unwrap()
    }

    async fn token(&self, provider: &str, token: &str) -> Result<Identified, OAuthError> {
        self.token_with_nonce(provider, token, None).await
    }

    async fn token_with_nonce(
        &self,
        provider: &str,
        token: &str,
        nonce: Option<&str>,
    ) -> Result<Identified, OAuthError> {
        let presented = Presented { credential: Credential::Token(token.to_owned()), nonce: nonce.map(str::to_owned) };
        self.upstream.identify(self.provider(provider), &presented).await
    }

    async fn refused(&self, provider: &str, token: &str) -> Refusal {
        Refusal(self.token(provider, token).await.unwrap_err())
    }

    /// A person whom Google knows, by a token of ours.
    fn google(&self) -> &StandIn {
        self.stand
            .json(GOOGLE_USERINFO, 200, json!({"sub": "110", "email": "ada@example.com", "email_verified": true}))
            .json(GOOGLE_TOKENINFO, 200, json!({"aud": "our-google", "azp": "our-google", "expires_in": "3599"}))
    }

    fn facebook(&self) -> &StandIn {
        let debug = json!({"data": {"app_id": "1234", "is_valid": true, "user_id": "7", "expires_at": 0}});
        self.stand.json(FACEBOOK_ME, 200, json!({"id": "7", "name": "Ada Lovelace", "email": "ada@example.com"})).json(
            FACEBOOK_DEBUG,
            200,
            debug,
        )
    }

    fn github(&self) -> &StandIn {
        self.stand
            .json(GITHUB_USER, 200, json!({"id": 583_231, "login": "octocat", "email": null}))
            .json(GITHUB_EMAILS, 200, json!([{"email": "o@example.com", "primary": true, "verified": true}]))
            .json(GITHUB_CHECK, 200, json!({"app": {"client_id": "our-github"}, "user": {"id": 583_231}}))
    }

    fn corp(&self) -> &StandIn {
        let document = json!({
            "issuer": "https://login.corp.example", "jwks_uri": "https://keys.corp.example/jwks",
            "token_endpoint": "https://login.corp.example/token",
            "userinfo_endpoint": "https://login.corp.example/userinfo",
        });
        self.stand.json(CORP_DISCOVERY, 200, document).json(
            CORP_USERINFO,
            200,
            json!({"sub": "c1", "preferred_username": "ada"}),
        )
    }
}

fn settings(toml: &str) -> Settings {
    toml::from_str(toml).unwrap()
}

struct Refusal(OAuthError);

impl Refusal {
    fn cause(&self) -> String {
        self.0.cause.as_ref().map(|cause| cause.to_string()).unwrap_or_default()
    }

    #[track_caller]
    fn is(&self, status: u16, reason: Reason) -> &Self {
        assert_eq!((self.0.status(), self.0.reason), (status, Some(reason)), "{} ({})", self.0, self.cause());
        let code = match (status, reason) {
            (400, _) => ErrorCode::InvalidGrant,
            (_, Reason::ProviderMisconfigured) => ErrorCode::ServerError,
            _ => ErrorCode::TemporarilyUnavailable,
        };
        assert_eq!(self.0.code, code);
        assert_eq!(self.0.retry_after.is_some(), reason == Reason::ProviderUnreachable);
        self
    }

    #[track_caller]
    fn says(&self, words: &str) -> &Self {
        assert!(self.0.description.contains(words), "{}", self.0.description);
        self
    }
}
