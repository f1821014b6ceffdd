//! `GET style.css`: our style sheet, or the operator's in its place.

use axum::extract::State;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};

use super::page;
use crate::context::Ctx;

pub(super) async fn style(State(cx): State<Ctx>) -> Response {
    let headers = [(CONTENT_TYPE, "text/css; charset=utf-8"), (CACHE_CONTROL, "public, max-age=300")];
    match cx.settings.pages.folder.as_deref().and_then(|folder| page::read(folder, "style.css")) {
        Some(theirs) => (headers, theirs).into_response(),
        None => (headers, page::STYLE).into_response(),
    }
}
