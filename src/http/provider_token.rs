//! `POST provider-token`: an application that the operator trusts fetches a person's token of a provider, fresh if need be.

use axum::Json;
use axum::extract::State;
use axum::http::header::{CACHE_CONTROL, PRAGMA};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use vestibule_protocol::{ClientType, OAuthError};

use super::body::ClientCall;
use super::respond::Refusal;
use crate::client;
use crate::context::Ctx;
use crate::provider_token;

#[derive(Serialize)]
struct Answer<'a> {
    access_token: &'a str,
    token_type: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_in: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    scope: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    token_secret: Option<&'a str>,
    association_id: i64,
}

pub(super) async fn fetch(State(cx): State<Ctx>, call: ClientCall) -> Result<Response, Refusal> {
    let application = client::authenticate(&cx, &call.credentials, &call.presented).await?;
    if application.client_type == ClientType::Public {
        let sentence = "A public application cannot fetch providers' tokens: it cannot prove who it is.";
        return Err(OAuthError::invalid_client(sentence).into());
    }
    let fetched = provider_token::fetch(&cx, &application, &call.params).await?;
    let answer = Answer {
        access_token: &fetched.access_token,
        token_type: &fetched.token_type,
        expires_in: fetched.expires_in,
        scope: fetched.scope.as_deref(),
        token_secret: fetched.token_secret.as_deref(),
        association_id: fetched.association_id,
    };
    Ok(([(CACHE_CONTROL, "no-store"), (PRAGMA, "no-cache")], Json(answer)).into_response())
}
