//! `/admin/api/dashboard`

use axum::Extension;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;

use super::answer;
use crate::admin::{Actor, Area};
use crate::context::Ctx;
use crate::http::console;
use crate::http::respond::ApiError;
use crate::statistics::{By, Range};

/// `range` is `hour`, `day` or `month`, `by` is `provider` or `application`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Wanted {
    range: String,
    by: String,
}

pub(super) async fn dashboard(
    State(cx): State<Ctx>,
    Extension(actor): Extension<Actor>,
    Query(wanted): Query<Wanted>,
) -> Result<Response, ApiError> {
    actor.must_see(Area::Dashboard)?;
    let range = Range::of(&wanted.range).unwrap_or(Range::Day);
    let by = if wanted.by == "application" { By::Application } else { By::Provider };
    Ok(answer(StatusCode::OK, console::dashboard::as_json(&cx, range, by).await?))
}
