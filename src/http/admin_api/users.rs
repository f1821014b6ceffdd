//! `/admin/api/users`

use axum::Extension;
use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use vestibule_protocol::OAuthError;

use super::{Listing, answer, members};
use crate::admin::users::{described, described_with_claims, words};
use crate::admin::{Actor, Area, Permission, users};
use crate::context::{Context, Ctx};
use crate::http::respond::{self, ApiError};
use crate::session;
use crate::store::association;
use crate::store::user::{self, Listed, User};

/// Whoever is searched for is among so many, or the search says more of them.
const FOUND: usize = 50;

pub(super) async fn list(
    State(cx): State<Ctx>,
    Extension(actor): Extension<Actor>,
    Query(listing): Query<Listing>,
) -> Result<Response, ApiError> {
    actor.must_see(Area::Users)?;
    let listed = match listing.state.as_str() {
        "active" => Listed::Active,
        "deactivated" => Listed::Deactivated,
        "staff" => Listed::Staff,
        "superusers" => Listed::Superusers,
        _ => Listed::All,
    };
    if listing.q.trim().is_empty() {
        let rows = user::page(&cx.db, listed, listing.before(), listing.rows()).await;
        return Ok(listing.page("users", rows.map_err(OAuthError::from)?, |user| user.id, described));
    }
    let limit = usize::try_from(listing.rows() - 1).unwrap_or(FOUND).min(FOUND);
    let found = user::search(&cx.db, listed, listing.q.trim(), limit).await;
    let (found, has_more) = found.map_err(OAuthError::from)?;
    let all: Vec<Value> = found.iter().map(described).collect();
    Ok(answer(StatusCode::OK, json!({ "users": all, "next": null, "has_more": has_more })))
}

pub(super) async fn create(
    State(cx): State<Ctx>,
    Extension(actor): Extension<Actor>,
    body: Bytes,
) -> Result<Response, ApiError> {
    let created = users::create(&cx, &actor, &members(&body)?).await?;
    whole(&cx, StatusCode::CREATED, &created).await
}

pub(super) async fn one(
    State(cx): State<Ctx>,
    Extension(actor): Extension<Actor>,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let found = users::find(&cx, &actor, number(&id)).await?;
    whole(&cx, StatusCode::OK, &found).await
}

pub(super) async fn change(
    State(cx): State<Ctx>,
    Extension(actor): Extension<Actor>,
    Path(id): Path<String>,
    body: Bytes,
) -> Result<Response, ApiError> {
    let changed = users::change(&cx, &actor, number(&id), &members(&body)?).await?;
    whole(&cx, StatusCode::OK, &changed).await
}

pub(super) async fn delete(
    State(cx): State<Ctx>,
    Extension(actor): Extension<Actor>,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    users::delete(&cx, &actor, number(&id)).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// `activate`, `deactivate`, `end-sessions`, `end-everything`, `set-password` with `{"password": "…"}`, or `null` to take it
/// away, `remove-factors`, and `rights` with `{"is_staff", "is_superuser", "permissions"}`.
pub(super) async fn act(
    State(cx): State<Ctx>,
    Extension(actor): Extension<Actor>,
    Path((id, act)): Path<(String, String)>,
    body: Bytes,
) -> Result<Response, ApiError> {
    let (id, members) = (number(&id), members(&body)?);
    let changed = match act.as_str() {
        "activate" | "deactivate" => users::set_active(&cx, &actor, id, act == "activate").await?,
        "set-password" => {
            let password = match members.get("password") {
                Some(Value::String(password)) => Some(password.as_str()),
                Some(Value::Null) => None,
                _ => {
                    let sentence = "`password` is required: a text, or null to take the password away.";
                    return Err(OAuthError::invalid_request(sentence).with_field("password").into());
                }
            };
            users::set_password(&cx, &actor, id, password).await?
        }
        "remove-factors" => users::remove_factors(&cx, &actor, id).await?,
        "rights" => users::set_rights(&cx, &actor, id, &members).await?,
        "end-sessions" => {
            users::end_sessions(&cx, &actor, id).await?;
            return Ok(StatusCode::NO_CONTENT.into_response());
        }
        "end-everything" => {
            users::end_everything(&cx, &actor, id).await?;
            return Ok(StatusCode::NO_CONTENT.into_response());
        }
        _ => return Ok(respond::not_found().await),
    };
    whole(&cx, StatusCode::OK, &changed).await
}

pub(super) async fn sessions(
    State(cx): State<Ctx>,
    Extension(actor): Extension<Actor>,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let user = users::find(&cx, &actor, number(&id)).await?;
    let all = session::of_user(&cx, user.id).await?;
    let shown = all.iter().map(|session| {
        json!({
            "id": session.id,
            "auth_time": session.auth_time,
            "amr": session.amr.split_whitespace().collect::<Vec<_>>(),
            "created_at": session.created_at,
            "last_seen_at": session.last_seen_at,
            "expires_at": session.expires_at,
            "address": session.address,
            "user_agent": session.user_agent,
        })
    });
    Ok(answer(StatusCode::OK, json!({ "sessions": shown.collect::<Vec<_>>() })))
}

pub(super) async fn end_session(
    State(cx): State<Ctx>,
    Extension(actor): Extension<Actor>,
    Path((id, session)): Path<(String, String)>,
) -> Result<Response, ApiError> {
    users::end_session(&cx, &actor, number(&id), number(&session)).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

pub(super) async fn associations(
    State(cx): State<Ctx>,
    Extension(actor): Extension<Actor>,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let user = users::find(&cx, &actor, number(&id)).await?;
    let all = association::of_user(&cx.db, user.id).await.map_err(OAuthError::from)?;
    let shown = all
        .iter()
        .map(|own| json!({ "id": own.id, "provider": own.provider, "uid": own.uid, "created_at": own.created_at }));
    Ok(answer(StatusCode::OK, json!({ "associations": shown.collect::<Vec<_>>() })))
}

pub(super) async fn disconnect(
    State(cx): State<Ctx>,
    Extension(actor): Extension<Actor>,
    Path((id, association)): Path<(String, String)>,
) -> Result<Response, ApiError> {
    users::disconnect(&cx, &actor, number(&id), number(&association)).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// A person with claims and permissions.
async fn whole(cx: &Context, status: StatusCode, user: &User) -> Result<Response, ApiError> {
    let permissions = user::permissions(&cx.db, user.id).await.map_err(OAuthError::from)?;
    let mut body = described_with_claims(user);
    body["permissions"] = words(&Permission::of_stored(&permissions)).into();
    Ok(answer(status, body))
}

/// A number in an address; what is none is nobody's.
fn number(text: &str) -> i64 {
    text.parse().unwrap_or_default()
}
