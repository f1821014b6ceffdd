//! `grant_type=urn:ietf:params:oauth:grant-type:jwt-bearer` (RFC 7523 §2.1): an assertion that the client signs itself, with
//! a key that it has registered, and that says for whom.
//!
//! Such a client is trusted with every account that it may name, so the grant is given to confidential applications that
//! the operator registers, never by dynamic registration.

use vestibule_protocol::jwt::Jwt;
use vestibule_protocol::{ClientType, ErrorCode, GrantType, OAuthError};

use super::TokenRequest;
use crate::client;
use crate::context::Context;
use crate::issue::{self, TokenResponse};
use crate::store::user;

pub(super) async fn run(cx: &Context, request: TokenRequest<'_>) -> Result<TokenResponse, OAuthError> {
    let refuse = |sentence: &'static str| OAuthError::invalid_grant(sentence);
    let application = request.application;
    if application.client_type == ClientType::Public {
        let sentence = "A public application cannot vouch for people.";
        return Err(OAuthError::new(ErrorCode::UnauthorizedClient, sentence));
    }
    let jwt = Jwt::parse(request.params.required("assertion")?)
        .ok_or_else(|| refuse("The assertion is not a signed JWT."))?;
    if !client::is_signed_by_client(cx, application, &jwt, None).await? {
        return Err(refuse("The assertion's signature is not of a key that this client has registered."));
    }
    let subject = jwt.text("sub").ok_or_else(|| refuse("The assertion has no `sub`."))?;
    // By our number, or by username.
    let user = match subject.parse::<i64>() {
        Ok(id) => user::find(&cx.db, id).await?,
        Err(_) => user::find_by_username(&cx.db, subject).await?,
    };
    let user =
        user.filter(|user| user.is_active).ok_or_else(|| refuse("The assertion's `sub` is nobody who may come in."))?;
    // Last, so that a refusal for another reason does not use it up.
    client::holds_once(cx, application, &jwt, "bearer assertion", "").await?.map_err(refuse)?;
    issue::tokens(cx, request.approve(cx, Some(&user), GrantType::JwtBearer)).await
}
