//! `POST invalidate-sessions` and `POST invalidate-refresh-tokens`: a person ends what an application holds of theirs.

use axum::extract::State;
use axum::http::StatusCode;
use vestibule_protocol::{OAuthError, Params};

use super::bearer::person;
use super::body::{Body, Caller};
use super::respond::ApiError;
use crate::client;
use crate::context::Ctx;
use crate::store::application::Application;
use crate::store::token;

/// Every access token, and with it every refresh token.
pub(super) async fn sessions(
    State(cx): State<Ctx>,
    Caller(identity): Caller,
    body: Body,
) -> Result<StatusCode, ApiError> {
    let application = application(&cx, &body.0).await?;
    let user = person(&identity)?;
    token::revoke_all(&cx.db, user.id, application.id, cx.clock.now()).await.map_err(OAuthError::from)?;
    Ok(StatusCode::NO_CONTENT)
}

/// Every refresh token; the access tokens live on until they expire.
pub(super) async fn refresh_tokens(
    State(cx): State<Ctx>,
    Caller(identity): Caller,
    body: Body,
) -> Result<StatusCode, ApiError> {
    let application = application(&cx, &body.0).await?;
    let user = person(&identity)?;
    token::revoke_refresh_tokens(&cx.db, user.id, application.id, cx.clock.now()).await.map_err(OAuthError::from)?;
    Ok(StatusCode::NO_CONTENT)
}

async fn application(cx: &Ctx, params: &Params) -> Result<std::sync::Arc<Application>, OAuthError> {
    let client_id = params.required("client_id")?;
    client::find(cx, client_id).await?.ok_or_else(|| {
        OAuthError::invalid_request("The application linked to the provided client_id could not be found.")
    })
}
