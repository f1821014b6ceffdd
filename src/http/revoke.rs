//! `POST revoke-token` (RFC 7009). Every token that is not this client's gets the same answer: done.

use axum::extract::State;
use axum::http::StatusCode;
use vestibule_protocol::{OAuthError, TokenDigest, secret};

use super::body::ClientCall;
use super::respond::Refusal;
use crate::client;
use crate::context::Ctx;
use crate::store::token;

/// An access token takes its refresh token along, and the reverse: what ends is the sign-in. `token_type_hint` is only a
/// hint (RFC 7009 §2.1), and one look-up finds both kinds.
pub(super) async fn revoke(State(cx): State<Ctx>, call: ClientCall) -> Result<StatusCode, Refusal> {
    let application = client::authenticate(&cx, &call.credentials).await?;
    let presented = call.params.required("token")?;
    if secret::is_ours(presented) {
        token::revoke(&cx.db, TokenDigest::of(presented), application.id, cx.clock.now())
            .await
            .map_err(OAuthError::from)?;
    }
    Ok(StatusCode::OK)
}
