//! `/admin/api/keys`

use axum::Extension;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::{Value, json};

use super::answer;
use crate::admin::{Actor, keys};
use crate::context::Ctx;
use crate::http::respond::ApiError;

pub(super) async fn list(State(cx): State<Ctx>, Extension(actor): Extension<Actor>) -> Result<Response, ApiError> {
    let all: Vec<Value> =
        keys::list(&cx, &actor).await?.iter().map(|(key, state)| keys::described(key, *state)).collect();
    Ok(answer(StatusCode::OK, json!({ "keys": all })))
}

/// Answers with the keys as they are then.
pub(super) async fn rotate(cx: State<Ctx>, actor: Extension<Actor>) -> Result<Response, ApiError> {
    keys::rotate(&cx, &actor).await?;
    list(cx, actor).await
}
