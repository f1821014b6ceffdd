//! Scripts on other origins (Fetch): they may call an endpoint for an application that names their origin, and read what
//! this server says of itself where any application does. Cookies are never taken from them.

use std::sync::{Arc, OnceLock};

use axum::extract::{Request, State};
use axum::http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_METHOD, ORIGIN, VARY,
};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::client;
use crate::context::Ctx;
use crate::store::application;

/// Which client a request turned out to be of.
#[derive(Clone, Default)]
pub(super) struct CalledBy(Arc<OnceLock<String>>);

impl CalledBy {
    /// Notes who calls.
    pub fn note(&self, client_id: &str) {
        let _ = self.0.set(client_id.to_owned());
    }
}

/// Around the endpoints that scripts may call.
pub(super) async fn cors(State(cx): State<Ctx>, mut request: Request, next: Next) -> Response {
    let origin = request.headers().get(ORIGIN).cloned().filter(|origin| origin.len() <= 255);
    let Some(origin) = origin else { return next.run(request).await };
    let Ok(text) = origin.to_str().map(str::to_owned) else { return next.run(request).await };
    let is_known = application::has_origin(&cx.db, &text).await.unwrap_or(false);
    let is_preflight =
        request.method() == Method::OPTIONS && request.headers().contains_key(ACCESS_CONTROL_REQUEST_METHOD);
    if is_known && is_preflight {
        let mut response = StatusCode::NO_CONTENT.into_response();
        let headers = response.headers_mut();
        allow(headers, origin);
        headers.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET, POST"));
        headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static("Authorization, Content-Type, DPoP"));
        headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("600"));
        return response;
    }
    let called_by = CalledBy::default();
    request.extensions_mut().insert(called_by.clone());
    let mut response = next.run(request).await;
    let is_allowed = match called_by.0.get() {
        Some(client_id) => matches!(
            client::find(&cx, client_id).await,
            Ok(Some(application)) if application.allowed_origins.contains(&text)
        ),
        None => is_known,
    };
    if is_allowed {
        allow(response.headers_mut(), origin);
    }
    response.headers_mut().append(VARY, HeaderValue::from_static("Origin"));
    response
}

fn allow(headers: &mut HeaderMap, origin: HeaderValue) {
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    headers
        .insert(ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static("DPoP-Nonce, WWW-Authenticate, Retry-After"));
}
