//! `grant_type=password` (RFC 6749 §4.3), for an organisation's own applications.

use vestibule_protocol::{GrantType, OAuthError};

use super::TokenRequest;
use crate::context::Context;
use crate::identity::{second_factor, sign_in};
use crate::issue::{self, TokenResponse};

pub(super) async fn run(cx: &Context, request: TokenRequest<'_>) -> Result<TokenResponse, OAuthError> {
    let username = request.params.required("username")?;
    let password = request.params.required("password")?;
    // One answer for "no such user", "wrong password" and "inactive": nobody learns which names exist.
    let user =
        sign_in::by_password(cx, username, password, request.address).await?.ok_or_else(sign_in::wrong_credentials)?;
    // Told only now: whoever has a second factor is nobody else's business.
    if second_factor::has_one(cx, user.id).await? {
        let code = request.params.get("otp").ok_or_else(|| {
            let sentence = "The password is right, but this person has a second factor: send a code of their authenticator app, or a recovery code, as `otp`.";
            OAuthError::invalid_grant(sentence).with_field("otp")
        })?;
        if !second_factor::take_code(cx, user.id, code).await? {
            let sentence = "The password is right, but the code in `otp` is not, or was used before.";
            return Err(OAuthError::invalid_grant(sentence).with_field("otp"));
        }
    }
    issue::tokens(cx, request.approve(cx, Some(&user), GrantType::Password)).await
}
