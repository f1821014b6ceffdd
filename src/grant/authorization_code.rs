//! `grant_type=authorization_code` (RFC 6749 §4.1.3, RFC 7636 §4.5).

use vestibule_protocol::{OAuthError, pkce};

use super::TokenRequest;
use crate::context::Context;
use crate::issue::{self, TokenResponse};

pub(super) async fn run(cx: &Context, request: TokenRequest<'_>) -> Result<TokenResponse, OAuthError> {
    let code = request.params.required("code")?;
    let redirect_uri = request.params.get("redirect_uri").unwrap_or_default();
    let challenges = pkce::answered_by(request.params.get("code_verifier"))?;
    issue::redeem(cx, request.application, code, redirect_uri, challenges, &request.resources, &request.sender).await
}
