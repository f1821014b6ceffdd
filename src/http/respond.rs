//! Error → response, once.
//!
//! OAuth endpoints answer with RFC 6749 §5.2's object; a protected API adds RFC 6750 §3's header and the `detail` that
//! clients of Django REST Framework look for. What is only for the log travels in the response's extensions to `observe`.

use std::sync::Arc;

use axum::Json;
use axum::http::header::{CACHE_CONTROL, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};
use vestibule_protocol::{ErrorCode, OAuthError};

use crate::context::Context;

/// The nonce for the next DPoP proof (RFC 9449 §8).
pub(super) const DPOP_NONCE: HeaderName = HeaderName::from_static("dpop-nonce");

/// A refusal of an OAuth endpoint, as a response.
#[derive(Debug)]
pub struct Refusal(pub OAuthError);

/// A refusal of a protected API, as a response: 401 and 403 with `WWW-Authenticate: Bearer`.
#[derive(Debug)]
pub struct ApiError(pub OAuthError);

/// What `observe` logs of a refusal.
#[derive(Clone)]
pub(super) struct Refused(pub Arc<OAuthError>);

impl From<OAuthError> for Refusal {
    fn from(error: OAuthError) -> Self {
        Self(error)
    }
}

impl From<OAuthError> for ApiError {
    fn from(error: OAuthError) -> Self {
        Self(error)
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let challenge = self.0.basic_challenge.then(|| "Basic realm=\"api\"".to_owned());
        respond(self.0, challenge, None)
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let error = &self.0;
        let challenge = match (error.status(), error.code) {
            // RFC 9449 §7.1
            (401, ErrorCode::InvalidDpopProof | ErrorCode::UseDpopNonce) => {
                Some(format!("DPoP realm=\"api\", error=\"{}\", algs=\"ES256 EdDSA PS256 RS256\"", error.code.as_str()))
            }
            (401 | 403, ErrorCode::InvalidToken | ErrorCode::InsufficientScope) => {
                let sentence: String =
                    error.description.chars().filter(|c| c.is_ascii() && !matches!(c, '"' | '\\')).collect();
                Some(format!(
                    "Bearer realm=\"api\", error=\"{}\", error_description=\"{sentence}\"",
                    error.code.as_str()
                ))
            }
            // RFC 6750 §3.1: whoever sent nothing that can be judged is told no error code.
            (401, _) => Some("Bearer realm=\"api\"".to_owned()),
            _ => None,
        };
        let detail = error.description.to_string();
        respond(self.0, challenge, Some(detail))
    }
}

fn respond(error: OAuthError, challenge: Option<String>, detail: Option<String>) -> Response {
    let mut body = Map::new();
    body.insert("error".to_owned(), error.code.as_str().into());
    body.insert("error_description".to_owned(), error.description.clone().into());
    if let Some(reason) = error.reason {
        body.insert("reason".to_owned(), reason.as_str().into());
    }
    if let Some(field) = error.field {
        // Django REST Framework's way of naming a field.
        let sentence = if error.description.contains("is required") {
            "This field is required."
        } else {
            error.description.as_ref()
        };
        body.insert(field.to_owned(), json!([sentence]));
    }
    if let Some(detail) = detail {
        body.insert("detail".to_owned(), detail.into());
    }
    let status = StatusCode::from_u16(error.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = (status, [(CACHE_CONTROL, "no-store")], Json(Value::Object(body))).into_response();
    if let Some(challenge) = challenge.and_then(|text| HeaderValue::from_str(&text).ok()) {
        response.headers_mut().insert(WWW_AUTHENTICATE, challenge);
    }
    if let Some(nonce) = error.dpop_nonce.as_deref().and_then(|nonce| HeaderValue::from_str(nonce).ok()) {
        response.headers_mut().insert(DPOP_NONCE, nonce);
    }
    if let Some(seconds) = error.retry_after {
        response.headers_mut().insert(RETRY_AFTER, seconds.into());
    }
    response.extensions_mut().insert(Refused(Arc::new(error)));
    response
}

/// Tells whoever was refused for want of a token where to learn who issues some (RFC 9728 §5.1).
pub(super) fn name_metadata(cx: &Context, response: &mut Response) {
    if response.status() != StatusCode::UNAUTHORIZED {
        return;
    }
    let Some(challenge) = response.headers().get(WWW_AUTHENTICATE).and_then(|value| value.to_str().ok()) else {
        return;
    };
    if !challenge.starts_with("Bearer") || challenge.contains("resource_metadata") {
        return;
    }
    let address = format!("{}/.well-known/oauth-protected-resource", cx.settings.public_url());
    if let Ok(named) = HeaderValue::from_str(&format!("{challenge}, resource_metadata=\"{address}\"")) {
        response.headers_mut().insert(WWW_AUTHENTICATE, named);
    }
}

/// 404, for a path that is none.
pub(super) async fn not_found() -> Response {
    plain(StatusCode::NOT_FOUND, "not_found", "There is nothing at this path.")
}

/// 405; the router adds `Allow`.
pub(super) async fn method_not_allowed() -> Response {
    plain(
        StatusCode::METHOD_NOT_ALLOWED,
        "invalid_request",
        "This path does not take this method; `Allow` names those that it takes.",
    )
}

fn plain(status: StatusCode, error: &str, sentence: &str) -> Response {
    let body = json!({ "error": error, "error_description": sentence, "detail": sentence });
    (status, [(CACHE_CONTROL, "no-store")], Json(body)).into_response()
}
