//! `GET metadata/{backend}`: what an identity provider is told of us (SAML Metadata §2.4.4).

use axum::extract::{Path, State};
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use vestibule_protocol::{OAuthError, Reason};

use super::login::redirect_uri;
use super::respond::ApiError;
use crate::context::Ctx;

pub(super) async fn metadata(State(cx): State<Ctx>, Path(backend): Path<String>) -> Result<Response, ApiError> {
    let unknown = || {
        OAuthError::invalid_request("No enabled provider of this name reads metadata.")
            .with_reason(Reason::UnknownBackend)
            .with_status(404)
    };
    let provider = cx.upstream.provider(&backend).ok_or_else(unknown)?;
    let document = provider.metadata(&redirect_uri(&cx, &backend))?.ok_or_else(unknown)?;
    Ok(([(CONTENT_TYPE, "application/samlmetadata+xml")], document).into_response())
}
