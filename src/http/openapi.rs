//! `GET /openapi.json`: what this server answers, for programs that write clients. Anybody may read it, from any origin.

use axum::http::header::{ACCESS_CONTROL_ALLOW_ORIGIN, CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use vestibule_protocol::hex;

use crate::context::Context;
use crate::openapi;
use crate::upstream::Provider;

/// The document with its tag, written once: it follows from the settings.
#[derive(Clone)]
pub(super) struct Document {
    text: Bytes,
    tag: HeaderValue,
}

impl Document {
    /// Of this server.
    pub fn of(cx: &Context) -> Self {
        let backends: Vec<&str> = cx.upstream.providers().map(Provider::name).collect();
        let text = Bytes::from(openapi::document(&cx.settings, &backends).to_string());
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &text);
        let tag = format!("\"{}\"", hex(digest.as_ref()));
        Self { text, tag: HeaderValue::from_str(&tag).unwrap_or(HeaderValue::from_static("\"\"")) }
    }

    /// The answer to a request with these headers (RFC 9110 §13.1.2).
    pub fn answer(self, headers: &HeaderMap) -> Response {
        let public = [
            (ETAG, self.tag.clone()),
            (CACHE_CONTROL, HeaderValue::from_static("no-cache")),
            (ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*")),
        ];
        let known = headers.get_all(IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
        let mut known = known.flat_map(|line| line.split(',')).map(|tag| tag.trim().trim_start_matches("W/"));
        match known.any(|tag| tag == "*" || tag.as_bytes() == self.tag.as_bytes()) {
            true => (StatusCode::NOT_MODIFIED, public).into_response(),
            false => (public, [(CONTENT_TYPE, "application/json")], self.text).into_response(),
        }
    }
}
