//! `POST introspect` (RFC 7662): a confidential client asks about an access token of its own, a resource server about
//! anybody's. Whatever it may not know is `{"active": false}`.

use axum::Json;
use axum::extract::State;
use axum::http::header::CACHE_CONTROL;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use vestibule_protocol::{ClientType, OAuthError};

use super::body::ClientCall;
use super::respond::Refusal;
use crate::authenticate;
use crate::client;
use crate::context::Ctx;

#[derive(Serialize)]
struct Active<'a> {
    active: bool,
    scope: String,
    client_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    username: Option<&'a str>,
    token_type: &'static str,
    exp: i64,
    iat: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    sub: Option<String>,
    iss: String,
}

#[derive(Serialize)]
struct Inactive {
    active: bool,
}

pub(super) async fn introspect(State(cx): State<Ctx>, call: ClientCall) -> Result<Response, Refusal> {
    let application = client::authenticate(&cx, &call.credentials).await?;
    if application.client_type == ClientType::Public {
        return Err(
            OAuthError::invalid_client("A public application cannot introspect: it cannot prove who it is.").into()
        );
    }
    let presented = call.params.required("token")?;
    let token = authenticate::access_token(&cx, presented).await?;
    let token = token.filter(|token| token.application_id == application.id || application.is_resource_server);
    let no_store = [(CACHE_CONTROL, "no-store")];
    Ok(match token {
        None => (no_store, Json(Inactive { active: false })).into_response(),
        Some(token) => {
            let active = Active {
                active: true,
                scope: token.scope.to_string(),
                client_id: &token.client_id,
                username: token.user.as_ref().map(|user| user.username.as_str()),
                token_type: "Bearer",
                exp: token.expires_at,
                iat: token.created_at,
                sub: token.user.as_ref().map(|user| user.id.to_string()),
                iss: cx.issuer(),
            };
            (no_store, Json(active)).into_response()
        }
    })
}
