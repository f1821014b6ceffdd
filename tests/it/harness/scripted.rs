//! A host of the outside world that answers what a test's function says.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use axum::extract::Request;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

/// What was asked, as it came over the wire.
#[derive(Clone, Debug)]
pub struct Asked {
    pub method: String,
    pub host: String,
    pub path: String,
    pub query: String,
    pub authorization: String,
    pub body: String,
}

impl Asked {
    pub fn pairs(text: &str) -> Vec<(String, String)> {
        url::form_urlencoded::parse(text.as_bytes()).into_owned().collect()
    }

    pub fn query(&self, name: &str) -> String {
        value(&Self::pairs(&self.query), name)
    }
}

pub fn value(pairs: &[(String, String)], name: &str) -> String {
    pairs.iter().find(|(own, _)| own == name).map(|(_, value)| value.clone()).unwrap_or_default()
}

/// Status, headers and body.
pub type Told = (u16, Vec<(&'static str, String)>, String);

/// A plain answer.
pub fn told(status: u16, body: impl Into<String>) -> Told {
    (status, Vec::new(), body.into())
}

type Script = Box<dyn FnMut(&Asked) -> Told + Send>;

#[derive(Clone)]
pub struct Scripted {
    pub base: String,
    pub asked: Arc<Mutex<Vec<Asked>>>,
    script: Arc<Mutex<Script>>,
}

impl Scripted {
    pub async fn start(script: impl FnMut(&Asked) -> Told + Send + 'static) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let this = Self { base, asked: Arc::default(), script: Arc::new(Mutex::new(Box::new(script))) };
        let shared = this.clone();
        let answer = move |request: Request| {
            let shared = shared.clone();
            async move { shared.answer(request).await }
        };
        let router = axum::Router::new().fallback(answer);
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        this
    }

    /// From now on it answers so.
    pub fn turn(&self, script: impl FnMut(&Asked) -> Told + Send + 'static) {
        *self.script.lock().unwrap() = Box::new(script);
    }

    pub fn origin_map(&self, origins: &[&str]) -> BTreeMap<String, String> {
        let host = |origin: &str| origin.split_once("://").unwrap().1.to_owned();
        origins.iter().map(|origin| ((*origin).to_owned(), format!("{}/{}", self.base, host(origin)))).collect()
    }

    async fn answer(&self, request: Request) -> Response {
        let (parts, body) = request.into_parts();
        let body = axum::body::to_bytes(body, 1_000_000).await.unwrap();
        let path = parts.uri.path().trim_start_matches('/');
        let (host, path) = path.split_once('/').unwrap_or((path, ""));
        let authorization =
            parts.headers.get("authorization").and_then(|value| value.to_str().ok()).unwrap_or_default();
        let asked = Asked {
            method: parts.method.to_string(),
            host: host.to_owned(),
            path: format!("/{path}"),
            query: parts.uri.query().unwrap_or_default().to_owned(),
            authorization: authorization.to_owned(),
            body: String::from_utf8_lossy(&body).into_owned(),
        };
        self.asked.lock().unwrap().push(asked.clone());
        let (status, headers, body) = (self.script.lock().unwrap())(&asked);
        // 0: never.
        if status == 0 {
            tokio::time::sleep(std::time::Duration::from_secs(30)).await;
        }
        let mut response = (StatusCode::from_u16(status).unwrap_or_default(), body).into_response();
        for (name, value) in headers {
            response.headers_mut().insert(name, value.parse().unwrap());
        }
        response
    }
}
