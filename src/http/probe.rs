//! For whoever operates the server: is it alive, is it ready, what has it counted.

use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};

use crate::context::Ctx;

/// The process answers. It stays 200 when the database is gone: a restart would not bring that back.
pub(super) async fn healthz() -> &'static str {
    "ok\n"
}

/// The process can do its work: 503 while the database is gone.
pub(super) async fn readyz(State(cx): State<Ctx>) -> Response {
    match tokio::time::timeout(Duration::from_secs(2), cx.db.ping()).await {
        Ok(Ok(())) => (StatusCode::OK, "ready\n").into_response(),
        _ => (StatusCode::SERVICE_UNAVAILABLE, "the database is not available\n").into_response(),
    }
}

/// Prometheus.
pub(super) async fn metrics(State(cx): State<Ctx>) -> Response {
    let content_type = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(CONTENT_TYPE, content_type)], cx.metrics.text(cx.hasher.waiting())).into_response()
}
