//! `/admin/api/settings`

use axum::Extension;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::json;

use super::{Listing, answer};
use crate::admin::{Actor, settings};
use crate::context::Ctx;
use crate::http::respond::ApiError;

/// All of them: `q` is all that counts of the query.
pub(super) async fn list(
    State(cx): State<Ctx>,
    Extension(actor): Extension<Actor>,
    Query(listing): Query<Listing>,
) -> Result<Response, ApiError> {
    let lines = settings::list(&cx, &actor, &listing.q)?;
    Ok(answer(StatusCode::OK, json!({ "settings": lines })))
}
