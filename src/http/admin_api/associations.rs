//! `/admin/api/associations`

use axum::Extension;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use vestibule_protocol::OAuthError;

use super::{Listing, answer};
use crate::admin::{Actor, Area, associations, tokens};
use crate::context::Ctx;
use crate::http::disconnect;
use crate::http::respond::ApiError;
use crate::store::association::{self, Association, Filter};
use crate::store::user::User;

pub(super) async fn list(
    State(cx): State<Ctx>,
    Extension(actor): Extension<Actor>,
    Query(listing): Query<Listing>,
) -> Result<Response, ApiError> {
    actor.must_see(Area::Associations)?;
    let filter = Filter {
        provider: listing.provider.clone(),
        user_id: tokens::user_named(&cx, &listing.user).await?.map(|user| user.id),
        uid: listing.uid.clone(),
    };
    let rows = association::page(&cx.db, &filter, listing.before(), listing.rows()).await;
    Ok(listing.page("associations", rows.map_err(OAuthError::from)?, |(own, _)| own.id, described))
}

pub(super) async fn one(
    State(cx): State<Ctx>,
    Extension(actor): Extension<Actor>,
    Path(id): Path<i64>,
) -> Result<Response, ApiError> {
    let found = associations::find(&cx, &actor, id).await?;
    let mut body = described(&found);
    body["extra"] = associations::extra(&found.0).into();
    Ok(answer(StatusCode::OK, body))
}

/// Also where it is the person's last way in.
pub(super) async fn disconnect(
    State(cx): State<Ctx>,
    Extension(actor): Extension<Actor>,
    Path(id): Path<i64>,
) -> Result<Response, ApiError> {
    disconnect::as_staff(&cx, &actor, id).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

fn described((own, user): &(Association, User)) -> Value {
    json!({
        "id": own.id,
        "provider": own.provider,
        "uid": own.uid,
        "user": user.username,
        "user_id": user.id,
        "created_at": own.created_at,
        "updated_at": own.updated_at,
        "keeps_tokens": own.sealed_tokens.is_some(),
    })
}
