//! `POST connect-backend` and `POST disconnect-backend`: a person who is signed in ties an account at a provider to their
//! own, or takes it away.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CACHE_CONTROL;
use axum::response::{IntoResponse, Response};
use serde_json::json;
use vestibule_protocol::OAuthError;

use super::bearer::person;
use super::body::{Body, Caller};
use super::disconnect;
use super::respond::ApiError;
use crate::context::Ctx;
use crate::entrance;
use crate::grant::convert_token;
use crate::identity::disconnect::Disconnected;
use crate::statistics;

pub(super) async fn connect(State(cx): State<Ctx>, Caller(identity): Caller, body: Body) -> Result<Response, ApiError> {
    let user = person(&identity)?;
    let connected = async {
        let (provider, identified) = convert_token::identify(&cx, &body.0).await?;
        let linked = entrance::connect(&cx, provider, &identified, user).await?;
        statistics::connected(&cx, provider.name());
        Ok((provider, identified, linked))
    };
    let (provider, identified, linked) = connected.await.inspect_err(|error| {
        statistics::refused(&cx, body.0.get("backend").unwrap_or_default(), 0, error, &body.0);
    })?;
    let association = json!({
        "association_id": linked.association_id,
        "backend": provider.name(),
        "uid": identified.profile.uid,
    });
    Ok(([(CACHE_CONTROL, "no-store")], Json(association)).into_response())
}

pub(super) async fn take_away(
    State(cx): State<Ctx>,
    Caller(identity): Caller,
    body: Body,
) -> Result<StatusCode, ApiError> {
    let user = person(&identity)?;
    let backend = body.0.required("backend")?;
    let association_id = body.0.required("association_id")?;
    let not_theirs =
        || OAuthError::invalid_request("There is no such association of yours.").with_field("association_id");
    let association_id: i64 = association_id.parse().map_err(|_| not_theirs())?;
    match disconnect::carry_out(&cx, user.id, backend, Some(association_id)).await? {
        Disconnected::Done => Ok(StatusCode::NO_CONTENT),
        Disconnected::NotTheirs => Err(not_theirs().into()),
        Disconnected::LastWayIn => {
            let sentence = "This is the last way in to this account: set a password or connect another backend first.";
            Err(OAuthError::invalid_request(sentence).with_field("association_id").into())
        }
    }
}
