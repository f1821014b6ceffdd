//! `POST register` (RFC 7591) and `GET`/`PUT`/`DELETE register/{client_id}` (RFC 7592).

use axum::Json;
use axum::extract::{Path, Request, State};
use axum::http::header::{AUTHORIZATION, CACHE_CONTROL};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};
use vestibule_protocol::{Bearer, OAuthError};

use super::body::{bounded, single};
use super::respond::{ApiError, Refusal};
use super::visitor::address;
use crate::context::{Context, Ctx};
use crate::registration::{self, Registered};
use crate::store::application;

/// A refusal of either kind: of the token, or of what was sent.
fn refuse(error: OAuthError) -> Response {
    match error.status() {
        401 => ApiError(error).into_response(),
        _ => Refusal(error).into_response(),
    }
}

fn bearer(headers: &HeaderMap) -> Result<Option<String>, OAuthError> {
    let header = single(headers, AUTHORIZATION)?;
    Ok(match Bearer::parse(header) {
        Ok(Bearer::Own(token)) => Some(token.to_owned()),
        _ => None,
    })
}

fn object(body: &[u8]) -> Result<Map<String, Value>, OAuthError> {
    serde_json::from_slice(body).map_err(|error| {
        OAuthError::invalid_request("The body must be one JSON object (RFC 7591 §3.1).").with_cause(error)
    })
}

pub(super) async fn register(State(cx): State<Ctx>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let registered = async {
        let body = bounded(&cx, &parts.headers, body).await?;
        let token = bearer(&parts.headers)?;
        registration::register(&cx, token.as_deref(), &address(&cx, &parts), &object(&body)?).await
    };
    match registered.await {
        Ok(registered) => answer(&cx, StatusCode::CREATED, registered),
        Err(error) => refuse(error),
    }
}

pub(super) async fn get(State(cx): State<Ctx>, Path(client_id): Path<String>, headers: HeaderMap) -> Response {
    let found = async { registration::managed(&cx, &client_id, bearer(&headers)?.as_deref()).await };
    match found.await {
        Ok(application) => {
            answer(&cx, StatusCode::OK, Registered { application, client_secret: None, registration_token: None })
        }
        Err(error) => refuse(error),
    }
}

pub(super) async fn put(
    State(cx): State<Ctx>,
    Path(client_id): Path<String>,
    headers: HeaderMap,
    body: axum::body::Body,
) -> Response {
    let replaced = async {
        let body = bounded(&cx, &headers, body).await?;
        let before = registration::managed(&cx, &client_id, bearer(&headers)?.as_deref()).await?;
        registration::replace(&cx, before, &object(&body)?).await
    };
    match replaced.await {
        Ok(registered) => answer(&cx, StatusCode::OK, registered),
        Err(error) => refuse(error),
    }
}

pub(super) async fn delete(State(cx): State<Ctx>, Path(client_id): Path<String>, headers: HeaderMap) -> Response {
    let deleted = async {
        let found = registration::managed(&cx, &client_id, bearer(&headers)?.as_deref()).await?;
        Ok(application::delete(&cx.db, found.id).await?)
    };
    match deleted.await {
        Ok(_) => StatusCode::NO_CONTENT.into_response(),
        Err(error) => refuse(error),
    }
}

/// RFC 7591 §3.2.1
fn answer(cx: &Context, status: StatusCode, registered: Registered) -> Response {
    let mut members = registration::as_json(cx, &registered.application);
    if let Some(secret) = registered.client_secret {
        members.insert("client_secret".to_owned(), secret.into());
        members.insert("client_secret_expires_at".to_owned(), json!(0));
    }
    if let Some(token) = registered.registration_token {
        members.insert("registration_access_token".to_owned(), token.reveal().into());
    }
    (status, [(CACHE_CONTROL, "no-store")], Json(Value::Object(members))).into_response()
}
