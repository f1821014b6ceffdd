//! `grant_type=urn:ietf:params:oauth:grant-type:jwt-bearer` (RFC 7523 §2.1): an assertion that the client signs itself, with
//! a key that it has registered, and that says for whom.
//!
//! Such a client is trusted with every account that it may name, so the grant is given to confidential applications that
//! the operator registers, never by dynamic registration.

use vestibule_protocol::jwt::Jwt;
use vestibule_protocol::{ClientType, ErrorCode, GrantType, OAuthError, TokenDigest};

use super::TokenRequest;
use crate::client::{self, LEEWAY};
use crate::context::Context;
use crate::issue::{self, TokenResponse};
use crate::store::seen;
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
    if jwt.text("iss") != Some(&application.client_id) {
        return Err(refuse("The assertion's `iss` must be the client id."));
    }
    let issuer = cx.issuer();
    let token_endpoint = format!("{issuer}/token");
    if !jwt.is_for(&[&issuer, &token_endpoint]) {
        return Err(refuse("The assertion's `aud` is not this server."));
    }
    let now = cx.clock.now();
    if !jwt.is_current(now, LEEWAY) {
        return Err(refuse("The assertion is expired, not valid yet, or has no `exp`."));
    }
    let expires_at = jwt.instant("exp").ok().flatten().unwrap_or(now);
    if expires_at > now + 3_600 {
        return Err(refuse("The assertion's `exp` is more than an hour ahead; make a new one for each request."));
    }
    let subject = jwt.text("sub").ok_or_else(|| refuse("The assertion has no `sub`."))?;
    // By our number, or by username.
    let user = match subject.parse::<i64>() {
        Ok(id) => user::find(&cx.db, id).await?,
        Err(_) => user::find_by_username(&cx.db, subject).await?,
    };
    let user =
        user.filter(|user| user.is_active).ok_or_else(|| refuse("The assertion's `sub` is nobody who may come in."))?;
    if let Some(id) = jwt.text("jti") {
        let digest = TokenDigest::of(&format!("bearer assertion {} {id}", application.client_id));
        if !seen::is_first(&cx.db, digest, expires_at + LEEWAY + 1).await? {
            return Err(refuse("The assertion was used before; make a new one for each request."));
        }
    }
    issue::tokens(cx, request.approve(cx, Some(&user), GrantType::JwtBearer)).await
}
