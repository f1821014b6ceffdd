//! `GET backends`: which providers are enabled, and for somebody who is signed in which are connected.

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::http::header::{AUTHORIZATION, CACHE_CONTROL};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use vestibule_protocol::OAuthError;

use super::body::single;
use super::respond::ApiError;
use crate::authenticate::{self, Accept};
use crate::context::Ctx;
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
}

pub(super) async fn backends(State(cx): State<Ctx>, headers: HeaderMap) -> Result<Response, ApiError> {
    let associations: Option<Vec<Association>> = match single(&headers, AUTHORIZATION)? {
        None => None,
        header => match authenticate::bearer(&cx, header, Accept::Both).await?.user() {
            Some(user) => Some(association::of_user(&cx.db, user.id).await.map_err(OAuthError::from)?),
            None => None,
        },
    };
    let backends = cx
        .upstream
        .providers()
        .map(|provider| {
            let own = associations.as_ref().map(|all| {
                let own = all.iter().filter(|association| association.provider == provider.name());
                own.map(|association| Connected { association_id: association.id, uid: &association.uid })
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
