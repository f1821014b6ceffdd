//! `POST revoke-token` (RFC 7009). Every token that is not this client's gets the same answer: done.

use axum::extract::State;
use axum::http::StatusCode;
use vestibule_protocol::jwt::Jwt;
use vestibule_protocol::{OAuthError, TokenDigest, secret};

use super::body::ClientCall;
use super::respond::Refusal;
use crate::client;
use crate::context::Ctx;
use crate::store::token;

/// An access token takes its refresh token along, and the reverse: what ends is the sign-in. `token_type_hint` is only a
/// hint (RFC 7009 §2.1), and one look-up finds both kinds.
pub(super) async fn revoke(State(cx): State<Ctx>, call: ClientCall) -> Result<StatusCode, Refusal> {
    let application = client::authenticate(&cx, &call.credentials, &call.presented).await?;
    let presented = call.params.required("token")?;
    // A JWT access token is stored under its id.
    let digest = match secret::is_ours(presented) {
        true => Some(TokenDigest::of(presented)),
        false => Jwt::parse(presented).and_then(|jwt| jwt.text("jti").map(TokenDigest::of)),
    };
    if let Some(digest) = digest {
        token::revoke(&cx.db, digest, application.id, cx.clock.now()).await.map_err(OAuthError::from)?;
    }
    Ok(StatusCode::OK)
}
