//! An export of the audit log as a file that a browser saves, sent as it is read.

use axum::body::Body;
use axum::http::header::{CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use vestibule_protocol::instant;

use crate::admin::audit::{Export, Format};
use crate::context::Context;

/// The answer that sends it. Where the database fails on the way it breaks off, so that nobody takes a part for the whole.
pub(super) fn audit(cx: &Context, export: Export) -> Response {
    let content_type = match export.format() {
        Format::Csv => "text/csv; charset=utf-8; header=present",
        Format::JsonLines => "application/jsonl; charset=utf-8",
    };
    let today = instant::write(cx.clock.now());
    let day = today.split('T').next().unwrap_or_default();
    let disposition = format!("attachment; filename=\"audit-{day}.{}\"", export.format().as_str());
    let pieces = stream::try_unfold(export, |mut export| async move {
        let piece = export.next().await.inspect_err(|error| tracing::error!(?error, "an export broke off"));
        Ok::<_, vestibule_protocol::OAuthError>(piece?.map(|piece| (piece, export)))
    });
    let headers = [
        (CONTENT_TYPE, content_type.to_owned()),
        (CONTENT_DISPOSITION, disposition),
        (CACHE_CONTROL, "no-store".to_owned()),
    ];
    (headers, Body::from_stream(pieces)).into_response()
}
