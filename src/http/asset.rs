//! What pages load: our style sheet and scripts, or the operator's in their place.

use axum::extract::State;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};

use super::{page, passkey};
use crate::context::{Context, Ctx};

/// `GET style.css`.
pub(super) async fn style(State(cx): State<Ctx>) -> Response {
    serve(&cx, "style.css", "text/css; charset=utf-8", include_str!("../../assets/style.css"))
}

/// `GET console.js`.
pub(super) async fn console_script(State(cx): State<Ctx>) -> Response {
    serve(&cx, "console.js", SCRIPT, include_str!("../../assets/console.js"))
}

/// `GET passkeys.js`.
pub(super) async fn passkeys(State(cx): State<Ctx>) -> Response {
    serve(&cx, passkey::SCRIPT, SCRIPT, include_str!("../../assets/passkeys.js"))
}

const SCRIPT: &str = "text/javascript; charset=utf-8";

fn serve(cx: &Context, name: &str, content_type: &'static str, built_in: &'static str) -> Response {
    let headers = [(CONTENT_TYPE, content_type), (CACHE_CONTROL, "public, max-age=300")];
    match cx.settings.pages.folder.as_deref().and_then(|folder| page::read(folder, name)) {
        Some(theirs) => (headers, theirs).into_response(),
        None => (headers, built_in).into_response(),
    }
}
