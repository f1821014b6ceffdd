//! `grant_type=password` (RFC 6749 §4.3), for an organisation's own applications.

use vestibule_protocol::{GrantType, OAuthError};

use super::TokenRequest;
use crate::context::Context;
use crate::identity::sign_in;
use crate::issue::{self, TokenResponse};

pub(super) async fn run(cx: &Context, request: TokenRequest<'_>) -> Result<TokenResponse, OAuthError> {
    let username = request.params.required("username")?;
    let password = request.params.required("password")?;
    // One answer for "no such user", "wrong password" and "inactive": nobody learns which names exist.
    let user =
        sign_in::by_password(cx, username, password, request.address).await?.ok_or_else(sign_in::wrong_credentials)?;
    issue::tokens(cx, request.approve(cx, Some(&user), GrantType::Password)).await
}
