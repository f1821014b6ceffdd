//! `POST token` (RFC 6749 §3.2) and `POST convert-token`, the same with its grant type fixed.

use axum::Json;
use axum::extract::State;
use axum::http::header::{CACHE_CONTROL, PRAGMA};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use vestibule_protocol::{ErrorCode, GrantType, OAuthError};

use super::body::ClientCall;
use super::respond::Refusal;
use crate::context::Ctx;
use crate::grant;
use crate::issue::TokenResponse;
use crate::store::user;

pub(super) async fn token(State(cx): State<Ctx>, call: ClientCall) -> Result<Response, Refusal> {
    let tokens = grant::run(&cx, &call.credentials, &call.params).await?;
    respond(&cx, tokens).await
}

pub(super) async fn convert(State(cx): State<Ctx>, call: ClientCall) -> Result<Response, Refusal> {
    if call.params.required("grant_type")? != GrantType::ConvertToken.wire() {
        let sentence = "This endpoint takes `grant_type=convert_token` only; POST every other grant to `token`.";
        return Err(OAuthError::new(ErrorCode::UnsupportedGrantType, sentence).into());
    }
    let tokens = grant::run(&cx, &call.credentials, &call.params).await?;
    respond(&cx, tokens).await
}

/// RFC 6749 §5.1, in the order in which django-oauth-toolkit writes it.
#[derive(Serialize)]
struct Answer<'a> {
    access_token: &'a str,
    expires_in: i64,
    token_type: &'static str,
    scope: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    refresh_token: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<Person>,
}

/// drf-social-oauth2's `user`.
#[derive(Serialize)]
struct Person {
    email: String,
    first_name: String,
    last_name: String,
}

async fn respond(cx: &Ctx, tokens: TokenResponse) -> Result<Response, Refusal> {
    let user = match tokens.user_id {
        Some(id) if cx.settings.tokens.user_in_response => user::find(&cx.db, id).await.map_err(OAuthError::from)?,
        _ => None,
    };
    let answer = Answer {
        access_token: tokens.access_token.reveal(),
        expires_in: tokens.expires_in,
        token_type: "Bearer",
        scope: tokens.scope.to_string(),
        refresh_token: tokens.refresh_token.as_ref().map(|token| token.reveal()),
        user: user.map(|user| Person { email: user.email, first_name: user.first_name, last_name: user.last_name }),
    };
    Ok(([(CACHE_CONTROL, "no-store"), (PRAGMA, "no-cache")], Json(answer)).into_response())
}
