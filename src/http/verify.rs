//! `verify`: forward-auth for nginx, Traefik, Caddy and Envoy.
//!
//! The answer's headers come from the token alone; whatever `X-Auth-…` the visitor sent is never looked at. Only the
//! `scope` of the proxy's own call counts, not that of the visitor's address in `X-Forwarded-Uri`.

use axum::extract::RawQuery;
use axum::extract::State;
use axum::http::header::CACHE_CONTROL;
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use vestibule_protocol::{OAuthError, Params};

use super::bearer::require_scope;
use super::body::Caller;
use super::respond::ApiError;
use crate::context::Ctx;

const USER: HeaderName = HeaderName::from_static("x-auth-user");
const USER_ID: HeaderName = HeaderName::from_static("x-auth-user-id");
const EMAIL: HeaderName = HeaderName::from_static("x-auth-email");
const SCOPES: HeaderName = HeaderName::from_static("x-auth-scopes");
const CLIENT_ID: HeaderName = HeaderName::from_static("x-auth-client-id");

/// What a header cannot carry is percent-encoded, and so is the percent sign; everything else is as it is.
const ENCODED: &AsciiSet = &CONTROLS.add(b'%');

pub(super) async fn verify(
    State(_): State<Ctx>,
    RawQuery(query): RawQuery,
    Caller(identity): Caller,
) -> Result<HeaderMap, ApiError> {
    let query = Params::from_form(query.unwrap_or_default().as_bytes()).map_err(|error| {
        OAuthError::invalid_request("The query string of this call cannot be read.").with_cause(error)
    })?;
    require_scope(identity.scope(), query.get("scope").unwrap_or_default())?;
    let mut headers = HeaderMap::new();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    let mut add = |name: HeaderName, value: &str| {
        let encoded = utf8_percent_encode(value, ENCODED).to_string();
        if let Ok(value) = HeaderValue::from_str(&encoded) {
            headers.insert(name, value);
        }
    };
    if let Some(user) = identity.user() {
        add(USER, &user.username);
        add(USER_ID, &user.id.to_string());
        add(EMAIL, &user.email);
    }
    add(SCOPES, &identity.scope().to_string());
    if let Some(client_id) = identity.client_id() {
        add(CLIENT_ID, client_id);
    }
    Ok(headers)
}
