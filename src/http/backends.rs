//! `GET backends`: which providers are enabled, and for somebody who is signed in which are connected.

use axum::Json;
use axum::extract::{FromRequestParts, Request, State};
use axum::http::header::{AUTHORIZATION, CACHE_CONTROL};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::Value;
use vestibule_protocol::OAuthError;

use super::body::Caller;
use super::cookie;
use super::respond::ApiError;
use crate::context::Ctx;
use crate::session;
use crate::store::association::{self, Association};

#[derive(Serialize)]
struct Backends<'a> {
    backends: Vec<Backend<'a>>,
}

#[derive(Serialize)]
struct Backend<'a> {
    name: &'a str,
    title: &'a str,
    protocol: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    connected: Option<bool>,
    /// The first account there; most people have one.
    #[serde(skip_serializing_if = "Option::is_none")]
    association_id: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    associations: Option<Vec<Connected<'a>>>,
}

#[derive(Serialize)]
struct Connected<'a> {
    association_id: i64,
    uid: &'a str,
    /// What is kept of the provider's answer.
    extra: Value,
}

pub(super) async fn backends(State(cx): State<Ctx>, request: Request) -> Result<Response, ApiError> {
    let (mut parts, _) = request.into_parts();
    // By a token, or by the session of a browser.
    let user_id = if parts.headers.contains_key(AUTHORIZATION) {
        Caller::from_request_parts(&mut parts, &cx).await?.0.user().map(|user| user.id)
    } else if let Some(cookie) = cookie::read(&cx, &parts.headers, "session") {
        session::find(&cx, &cookie, "").await?.map(|session| session.user.id)
    } else {
        None
    };
    let associations: Option<Vec<Association>> = match user_id {
        Some(id) => Some(association::of_user(&cx.db, id).await.map_err(OAuthError::from)?),
        None => None,
    };
    let backends = cx
        .upstream
        .providers()
        .map(|provider| {
            let own = associations.as_ref().map(|all| {
                let own = all.iter().filter(|association| association.provider == provider.name());
                own.map(|association| Connected {
                    association_id: association.id,
                    uid: &association.uid,
                    extra: serde_json::from_str(&association.extra).unwrap_or_default(),
                })
                .collect::<Vec<_>>()
            });
            Backend {
                name: provider.name(),
                title: provider.title(),
                protocol: provider.protocol().as_str(),
                connected: own.as_ref().map(|own| !own.is_empty()),
                association_id: own.as_ref().and_then(|own| own.first()).map(|first| first.association_id),
                associations: own,
            }
        })
        .collect();
    Ok(([(CACHE_CONTROL, "no-store")], Json(Backends { backends })).into_response())
}
