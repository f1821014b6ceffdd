//! `grant_type=client_credentials` (RFC 6749 §4.4): an application that speaks for itself.

use vestibule_protocol::{ClientType, ErrorCode, GrantType, OAuthError};

use super::{TokenRequest, scope_or_default};
use crate::context::Context;
use crate::issue::{self, Approval, TokenResponse};

pub(super) async fn run(cx: &Context, mut request: TokenRequest<'_>) -> Result<TokenResponse, OAuthError> {
    if request.application.client_type == ClientType::Public {
        return Err(OAuthError::new(
            ErrorCode::UnauthorizedClient,
            "A public application cannot speak for itself (RFC 6749 §4.4).",
        ));
    }
    let scope = scope_or_default(cx, &mut request);
    issue::tokens(
        cx,
        Approval { application: request.application, user: None, scope, grant_type: GrantType::ClientCredentials },
    )
    .await
}
