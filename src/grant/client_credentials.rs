//! `grant_type=client_credentials` (RFC 6749 §4.4): an application that speaks for itself.

use vestibule_protocol::{ClientType, ErrorCode, GrantType, OAuthError};

use super::TokenRequest;
use crate::context::Context;
use crate::issue::{self, TokenResponse};

pub(super) async fn run(cx: &Context, request: TokenRequest<'_>) -> Result<TokenResponse, OAuthError> {
    if request.application.client_type == ClientType::Public {
        return Err(OAuthError::new(
            ErrorCode::UnauthorizedClient,
            "A public application cannot speak for itself (RFC 6749 §4.4).",
        ));
    }
    issue::tokens(cx, request.approve(cx, None, GrantType::ClientCredentials)).await
}
