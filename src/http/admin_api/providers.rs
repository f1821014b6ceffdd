//! `/admin/api/providers`

use std::collections::BTreeMap;

use axum::Extension;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::{Value, json};
use vestibule_protocol::OAuthError;

use super::answer;
use crate::admin::Actor;
use crate::admin::providers::{self, Wanted, described};
use crate::context::Ctx;
use crate::http::respond::ApiError;
use crate::statistics;

/// The whole catalog, the enabled ones first; `q`, `protocol` and `state` choose of it.
pub(super) async fn list(
    State(cx): State<Ctx>,
    Extension(actor): Extension<Actor>,
    Query(query): Query<BTreeMap<String, String>>,
) -> Result<Response, ApiError> {
    let word = |name: &str| query.get(name).map_or("", String::as_str);
    let wanted = Wanted { text: word("q"), protocol: word("protocol"), state: word("state") };
    let all: Vec<Value> = providers::list(&cx, &actor, wanted)?.into_iter().map(|line| described(&cx, line)).collect();
    Ok(answer(StatusCode::OK, json!({ "providers": all })))
}

pub(super) async fn one(
    State(cx): State<Ctx>,
    Extension(actor): Extension<Actor>,
    Path(name): Path<String>,
) -> Result<Response, ApiError> {
    let mut one = described(&cx, providers::find(&cx, &actor, &name)?);
    let refusals = statistics::recent_refusals(&cx, &name).await.map_err(OAuthError::from)?;
    one["recent_errors"] = serde_json::to_value(refusals).unwrap_or_default();
    Ok(answer(StatusCode::OK, one))
}

pub(super) async fn test(
    State(cx): State<Ctx>,
    Extension(actor): Extension<Actor>,
    Path(name): Path<String>,
) -> Result<Response, ApiError> {
    Ok(answer(StatusCode::OK, providers::try_out(&cx, &actor, &name).await?.to_json()))
}
