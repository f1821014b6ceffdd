//! `/admin/api/tokens`

use axum::Extension;
use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::{Value, json};
use vestibule_protocol::OAuthError;

use super::{Listing, answer, members};
use crate::admin::{Actor, Area, tokens};
use crate::context::Ctx;
use crate::http::respond::ApiError;
use crate::store::token_list::{self, Filter, Listed};

pub(super) async fn list(
    State(cx): State<Ctx>,
    Extension(actor): Extension<Actor>,
    Query(listing): Query<Listing>,
) -> Result<Response, ApiError> {
    actor.must_see(Area::Tokens)?;
    let filter = Filter {
        user_id: tokens::user_named(&cx, &listing.user).await?.map(|user| user.id),
        application_id: tokens::application_named(&cx, &listing.client_id).await?.map(|application| application.id),
        scope: listing.scope.clone(),
        state: listing.state.clone(),
        hint: tokens::hint(&listing.q)?,
    };
    let page = token_list::page(&cx.db, &filter, (listing.before(), listing.rows() - 1), cx.clock.now()).await;
    let (rows, next) = page.map_err(OAuthError::from)?;
    let rows: Vec<Value> = rows.iter().map(described).collect();
    Ok(answer(StatusCode::OK, json!({ "tokens": rows, "next": next })))
}

pub(super) async fn one(
    State(cx): State<Ctx>,
    Extension(actor): Extension<Actor>,
    Path(id): Path<i64>,
) -> Result<Response, ApiError> {
    Ok(answer(StatusCode::OK, described(&tokens::find(&cx, &actor, id).await?)))
}

/// `{"token": "vat_…"}`
pub(super) async fn find(
    State(cx): State<Ctx>,
    Extension(actor): Extension<Actor>,
    body: Bytes,
) -> Result<Response, ApiError> {
    let members = members(&body)?;
    let token = members.get("token").and_then(Value::as_str).unwrap_or_default();
    Ok(answer(StatusCode::OK, described(&tokens::find_by_token(&cx, &actor, token).await?)))
}

/// `{"ids": [1, 2]}`, or `user`, `client_id` or both.
pub(super) async fn revoke(
    State(cx): State<Ctx>,
    Extension(actor): Extension<Actor>,
    body: Bytes,
) -> Result<Response, ApiError> {
    let members = members(&body)?;
    let text = |name: &str| members.get(name).and_then(Value::as_str).unwrap_or_default();
    if let Some(ids) = members.get("ids") {
        let bad = || OAuthError::invalid_request("`ids` must be a list of numbers.").with_field("ids");
        let ids: Option<Vec<i64>> = ids.as_array().and_then(|all| all.iter().map(Value::as_i64).collect());
        let sign_ins = tokens::revoke(&cx, &actor, ids.ok_or_else(bad)?).await?;
        return Ok(answer(StatusCode::OK, json!({ "sign_ins": sign_ins })));
    }
    actor.must_change(Area::Tokens)?;
    let whose = tokens::Whose::named(&cx, text("user"), text("client_id")).await?;
    tokens::revoke_all(&cx, &actor, whose).await?;
    Ok(answer(StatusCode::OK, json!({ "all": true })))
}

/// A row as it is told; nothing of it is a secret.
fn described(row: &Listed) -> Value {
    json!({
        "id": row.id,
        "sign_in": row.family.to_string(),
        "generation": row.generation,
        "grant_type": row.grant_type.as_str(),
        "client_id": row.client_id,
        "user": row.user.as_ref().map(|(_, username)| username),
        "user_id": row.user.as_ref().map(|(id, _)| id),
        "scope": row.scope.to_string(),
        "state": row.state,
        "access_hint": row.access_hint,
        "issued_at": row.created_at,
        "access_expires_at": row.access_expires_at,
        "refresh_expires_at": row.refresh_expires_at,
        "had_id_token": row.had_id_token(),
        "consumed_at": row.consumed_at,
        "revoked_at": row.revoked_at,
        "refresh_revoked_at": row.refresh_revoked_at,
        "context": row.context,
        "session": row.session,
    })
}
