//! `/admin/api/audit`

use std::collections::BTreeMap;

use axum::Extension;
use axum::extract::{Query, State};
use axum::http::HeaderMap;
use axum::http::header::ACCEPT;
use axum::response::Response;
use serde_json::Value;
use vestibule_protocol::OAuthError;

use super::Listing;
use crate::admin::Actor;
use crate::admin::audit::{self, Format};
use crate::context::Ctx;
use crate::http::download;
use crate::http::respond::ApiError;

/// A page of it; or, asked for by `format` or by `Accept`, everything that the filters take, as a file.
pub(super) async fn list(
    State(cx): State<Ctx>,
    Extension(actor): Extension<Actor>,
    headers: HeaderMap,
    Query(listing): Query<Listing>,
    Query(query): Query<BTreeMap<String, String>>,
) -> Result<Response, ApiError> {
    let filter = audit::filter(|name| query.get(name).map_or("", String::as_str))?;
    let format = match query.get("format").map(String::as_str) {
        None | Some("json") => accepted(&headers).filter(|_| !query.contains_key("format")),
        Some(name) => Some(Format::from_name(name).ok_or_else(|| {
            OAuthError::invalid_request("`format` is `json`, `csv` or `jsonl`.").with_field("format")
        })?),
    };
    if let Some(format) = format {
        return Ok(download::audit(&cx, audit::export(&cx, &actor, filter, format).await?));
    }
    let rows = audit::list(&cx, &actor, &filter, listing.before(), listing.rows()).await?;
    Ok(listing.page("entries", rows, |row| row.id, |row| serde_json::to_value(row).unwrap_or(Value::Null)))
}

/// The format that `Accept` names, if it is one of an export.
fn accepted(headers: &HeaderMap) -> Option<Format> {
    let accept = headers.get(ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    accept.split(',').find_map(|range| match range.split(';').next().unwrap_or_default().trim() {
        "text/csv" => Some(Format::Csv),
        "application/jsonl" | "application/x-ndjson" => Some(Format::JsonLines),
        _ => None,
    })
}
