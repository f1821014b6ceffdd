//! `POST par` (RFC 9126): a client hands in its authorization request before it sends the browser.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CACHE_CONTROL;
use axum::response::{IntoResponse, Response};
use serde_json::json;

use super::body::ClientCall;
use super::respond::Refusal;
use crate::context::Ctx;
use crate::{authorize, client, sender};

pub(super) async fn par(State(cx): State<Ctx>, call: ClientCall) -> Result<Response, Refusal> {
    let application = client::authenticate(&cx, &call.credentials, &call.presented).await?;
    let sender = sender::check(&cx, &call.presented, None).await?;
    let (request_uri, expires_in) = authorize::push(&cx, &application, call.params, sender.jkt).await?;
    let answer = json!({ "request_uri": request_uri, "expires_in": expires_in });
    Ok((StatusCode::CREATED, [(CACHE_CONTROL, "no-store")], Json(answer)).into_response())
}
