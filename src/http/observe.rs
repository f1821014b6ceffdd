//! Around every request: an id, a time limit, the security headers, a count, and one line in the log.
//!
//! The line names the route's template and never the path or the query, where a token could stand.

use std::time::Instant;

use axum::extract::{MatchedPath, Request, State};
use axum::http::header::{
    CONTENT_SECURITY_POLICY, REFERRER_POLICY, STRICT_TRANSPORT_SECURITY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use axum::http::{HeaderName, HeaderValue};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use vestibule_protocol::{OAuthError, hex};

use super::respond::{Refusal, Refused, name_metadata};
use crate::context::{Ctx, random};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

pub(super) async fn observe(State(cx): State<Ctx>, request: Request, next: Next) -> Response {
    let started = Instant::now();
    let method = request.method().clone();
    let route = request.extensions().get::<MatchedPath>().cloned();
    let request_id = request.headers().get(REQUEST_ID).filter(|id| is_plain(id)).cloned().unwrap_or_else(new_id);

    let limit = cx.settings.http.request_timeout;
    let mut response = tokio::time::timeout(limit, next.run(request))
        .await
        .unwrap_or_else(|_| Refusal(OAuthError::unavailable("The request took too long.", 5)).into_response());

    let headers = response.headers_mut();
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    // A page has policies of its own.
    headers.entry(REFERRER_POLICY).or_insert(HeaderValue::from_static("no-referrer"));
    headers
        .entry(CONTENT_SECURITY_POLICY)
        .or_insert(HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'"));
    if cx.settings.is_https() {
        headers.insert(STRICT_TRANSPORT_SECURITY, HeaderValue::from_static("max-age=31536000"));
    }
    headers.insert(REQUEST_ID, request_id.clone());
    name_metadata(&cx, &mut response);

    let route = route.as_ref().map_or("-", MatchedPath::as_str);
    let status = response.status().as_u16();
    let elapsed = started.elapsed();
    cx.metrics.answered(&method, route, status, elapsed.as_secs_f64());
    let request_id = request_id.to_str().unwrap_or_default();
    let ms = elapsed.as_secs_f64() * 1000.0;
    match response.extensions_mut().remove::<Refused>() {
        None => tracing::info!(method = method.as_str(), route, status, ms, request_id, "request"),
        Some(Refused(error)) => {
            let code = error.code.as_str();
            let reason = error.reason.map_or("", |reason| reason.as_str());
            let description = error.description.as_ref();
            let cause = error.causes();
            if status >= 500 {
                tracing::error!(
                    method = method.as_str(),
                    route,
                    status,
                    ms,
                    request_id,
                    error = code,
                    reason,
                    description,
                    cause,
                    "request"
                );
            } else {
                tracing::info!(
                    method = method.as_str(),
                    route,
                    status,
                    ms,
                    request_id,
                    error = code,
                    reason,
                    description,
                    cause,
                    "request"
                );
            }
        }
    }
    response
}

/// An id of somebody else's that can be kept: short, and of letters, digits, `-` and `_`.
fn is_plain(id: &HeaderValue) -> bool {
    let id = id.as_bytes();
    (1..=64).contains(&id.len()) && id.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
}

fn new_id() -> HeaderValue {
    HeaderValue::from_str(&hex(&random::<8>())).unwrap_or_else(|_| HeaderValue::from_static("0"))
}
