//! `grant_type=refresh_token` (RFC 6749 §6, RFC 9700 §4.14).
//!
//! A refresh token is used once. A second use means that it was copied, and ends the whole family; but for the moment in
//! which a client that lost the answer asks again (`issue::refresh`).

use vestibule_protocol::OAuthError;

use super::TokenRequest;
use crate::context::Context;
use crate::issue::{self, Refresh, TokenResponse};

pub(super) async fn run(cx: &Context, request: TokenRequest<'_>) -> Result<TokenResponse, OAuthError> {
    let presented = request.params.required("refresh_token")?;
    let wanted = Refresh { scope: request.scope, resources: request.resources, sender: request.sender };
    issue::refresh(cx, request.application, presented, wanted).await
}
