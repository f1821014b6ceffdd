//! `POST token` (RFC 6749 §3.2) and `POST convert-token`, the same with its grant type fixed.

use axum::Json;
use axum::extract::State;
use axum::http::HeaderValue;
use axum::http::header::{CACHE_CONTROL, PRAGMA};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use vestibule_protocol::{ErrorCode, GrantType, OAuthError};

use super::body::ClientCall;
use super::respond::{DPOP_NONCE, Refusal};
use crate::context::Ctx;
use crate::grant;
use crate::issue::TokenResponse;
use crate::sender;
use crate::store::user;

pub(super) async fn token(State(cx): State<Ctx>, call: ClientCall) -> Result<Response, Refusal> {
    let tokens = grant::run(&cx, call.grant()).await?;
    respond(&cx, call.presented.proof.is_some(), tokens).await
}

pub(super) async fn convert(State(cx): State<Ctx>, call: ClientCall) -> Result<Response, Refusal> {
    if call.params.required("grant_type")? != GrantType::ConvertToken.wire() {
        let sentence = "This endpoint takes `grant_type=convert_token` only; POST every other grant to `token`.";
        return Err(OAuthError::new(ErrorCode::UnsupportedGrantType, sentence).into());
    }
    let tokens = grant::run(&cx, call.grant()).await?;
    respond(&cx, call.presented.proof.is_some(), tokens).await
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
    id_token: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    issued_token_type: Option<&'static str>,
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

impl ClientCall {
    fn grant(&self) -> grant::Call<'_> {
        grant::Call { credentials: &self.credentials, params: &self.params, presented: &self.presented }
    }
}

async fn respond(cx: &Ctx, proves: bool, tokens: TokenResponse) -> Result<Response, Refusal> {
    let user = match tokens.user_id {
        Some(id) if cx.settings.tokens.user_in_response => user::find(&cx.db, id).await.map_err(OAuthError::from)?,
        _ => None,
    };
    let answer = Answer {
        access_token: tokens.access_token.reveal(),
        expires_in: tokens.expires_in,
        token_type: if tokens.is_dpop { "DPoP" } else { "Bearer" },
        scope: tokens.scope.to_string(),
        refresh_token: tokens.refresh_token.as_ref().map(|token| token.reveal()),
        id_token: tokens.id_token.as_ref().map(|token| token.reveal()),
        issued_token_type: tokens.issued_token_type,
        user: user.map(|user| Person { email: user.email, first_name: user.first_name, last_name: user.last_name }),
    };
    let mut response = ([(CACHE_CONTROL, "no-store"), (PRAGMA, "no-cache")], Json(answer)).into_response();
    // RFC 9449 §8.2: whoever proves a key is told the nonce of the next proof.
    if proves && let Ok(nonce) = HeaderValue::from_str(&sender::nonce(cx)) {
        response.headers_mut().insert(DPOP_NONCE, nonce);
    }
    Ok(response)
}
