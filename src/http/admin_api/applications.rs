//! `/admin/api/applications`

use axum::Extension;
use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use vestibule_protocol::OAuthError;

use super::{Listing, answer, members};
use crate::admin::applications::WithSecret;
use crate::admin::{Actor, Area, applications};
use crate::context::Ctx;
use crate::http::respond::{self, ApiError};
use crate::registration::described;
use crate::settings::parse_duration;
use crate::store::application::{self, Listed};

pub(super) async fn list(
    State(cx): State<Ctx>,
    Extension(actor): Extension<Actor>,
    Query(listing): Query<Listing>,
) -> Result<Response, ApiError> {
    actor.must_see(Area::Applications)?;
    let listed = match listing.state.as_str() {
        "active" => Listed::Active,
        "disabled" => Listed::Disabled,
        _ => Listed::All,
    };
    let rows = application::page(&cx.db, listed, &listing.q, listing.before(), listing.rows()).await;
    Ok(listing.page("applications", rows.map_err(OAuthError::from)?, |application| application.id, described))
}

pub(super) async fn create(
    State(cx): State<Ctx>,
    Extension(actor): Extension<Actor>,
    body: Bytes,
) -> Result<Response, ApiError> {
    let created = applications::create(&cx, &actor, &members(&body)?).await?;
    Ok(with_secret(StatusCode::CREATED, created))
}

pub(super) async fn one(
    State(cx): State<Ctx>,
    Extension(actor): Extension<Actor>,
    Path(client_id): Path<String>,
) -> Result<Response, ApiError> {
    let found = applications::find(&cx, &actor, &client_id).await?;
    Ok(answer(StatusCode::OK, described(&found)))
}

pub(super) async fn change(
    State(cx): State<Ctx>,
    Extension(actor): Extension<Actor>,
    Path(client_id): Path<String>,
    body: Bytes,
) -> Result<Response, ApiError> {
    let changed = applications::change(&cx, &actor, &client_id, &members(&body)?).await?;
    Ok(with_secret(StatusCode::OK, changed))
}

pub(super) async fn delete(
    State(cx): State<Ctx>,
    Extension(actor): Extension<Actor>,
    Path(client_id): Path<String>,
) -> Result<Response, ApiError> {
    applications::delete(&cx, &actor, &client_id).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// `enable`, `disable`, and `rotate-secret` with `{"overlap": "24h"}`.
pub(super) async fn act(
    State(cx): State<Ctx>,
    Extension(actor): Extension<Actor>,
    Path((client_id, act)): Path<(String, String)>,
    body: Bytes,
) -> Result<Response, ApiError> {
    let members = members(&body)?;
    match act.as_str() {
        "enable" | "disable" => {
            let changed = applications::set_active(&cx, &actor, &client_id, act == "enable").await?;
            Ok(answer(StatusCode::OK, described(&changed)))
        }
        "rotate-secret" => {
            let overlap = members.get("overlap").and_then(|value| value.as_str()).unwrap_or("0s");
            let overlap = parse_duration(overlap)
                .map_err(|sentence| OAuthError::invalid_request(sentence).with_field("overlap"))?;
            let overlap = i64::try_from(overlap.as_secs()).unwrap_or(0);
            let rotated = applications::rotate_secret(&cx, &actor, &client_id, overlap).await?;
            Ok(with_secret(StatusCode::OK, rotated))
        }
        _ => Ok(respond::not_found().await),
    }
}

fn with_secret(status: StatusCode, (application, secret): WithSecret) -> Response {
    let mut body = described(&application);
    if let Some(secret) = secret {
        body["client_secret"] = secret.into();
    }
    answer(status, body)
}
