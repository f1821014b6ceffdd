//! `verify`: forward-auth for nginx, Traefik, Caddy and Envoy.
//!
//! The answer's headers come from the token alone; whatever `X-Auth-…` the visitor sent is never looked at. Only the
//! `scope` of the proxy's own call counts, not that of the visitor's address in `X-Forwarded-Uri`.

use axum::extract::{FromRequestParts, RawQuery, State};
use axum::http::header::{AUTHORIZATION, CACHE_CONTROL};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use vestibule_protocol::{OAuthError, Params};

use super::bearer::require_scope;
use super::body::{presented_at_api, single};
use super::respond::ApiError;
use crate::authenticate::{self, Accept, Identity};
use crate::context::Ctx;

const USER: HeaderName = HeaderName::from_static("x-auth-user");
const USER_ID: HeaderName = HeaderName::from_static("x-auth-user-id");
const EMAIL: HeaderName = HeaderName::from_static("x-auth-email");
const SCOPES: HeaderName = HeaderName::from_static("x-auth-scopes");
const CLIENT_ID: HeaderName = HeaderName::from_static("x-auth-client-id");

/// What a header cannot carry is percent-encoded, and so is the percent sign; everything else is as it is.
const ENCODED: &AsciiSet = &CONTROLS.add(b'%');

/// Whoever makes the request that the proxy asks about. A DPoP proof is made for that request, not for this call.
pub(super) struct Guarded(Identity);

impl FromRequestParts<Ctx> for Guarded {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, cx: &Ctx) -> Result<Self, ApiError> {
        let mut presented = presented_at_api(cx, parts)?;
        let text = |name: &str| parts.headers.get(name).and_then(|value| value.to_str().ok());
        if let Some(method) = text("x-forwarded-method").or_else(|| text("x-original-method")) {
            presented.method = method.to_owned();
        }
        if let Some(url) = text("x-original-url").filter(|url| url.starts_with("http")) {
            presented.url = url.to_owned();
        } else if let (Some(host), Some(uri)) = (text("x-forwarded-host"), text("x-forwarded-uri")) {
            presented.url = format!("{}://{host}{uri}", text("x-forwarded-proto").unwrap_or("https"));
        }
        let header = single(&parts.headers, AUTHORIZATION)?;
        Ok(Self(authenticate::bearer(cx, header, &presented, Accept::Both).await?))
    }
}

pub(super) async fn verify(
    State(cx): State<Ctx>,
    RawQuery(query): RawQuery,
    Guarded(identity): Guarded,
) -> Result<HeaderMap, ApiError> {
    let query = Params::from_form(query.unwrap_or_default().as_bytes()).map_err(|error| {
        OAuthError::invalid_request("The query string of this call cannot be read.").with_cause(error)
    })?;
    identity.must_be_for(&cx.settings, query.all("resource").next())?;
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
