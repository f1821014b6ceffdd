//! `/admin/api/grants` (codes that wait) and `/admin/api/consents`

use axum::Extension;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use vestibule_protocol::{OAuthError, hex};

use super::{Listing, answer};
use crate::admin::{Actor, Area, tokens};
use crate::context::Ctx;
use crate::http::respond::ApiError;
use crate::store::grant_list::{self, Filter, WaitingCode};

async fn filter(cx: &Ctx, actor: &Actor, listing: &Listing) -> Result<Filter, OAuthError> {
    actor.must_see(Area::Tokens)?;
    Ok(Filter {
        user_id: tokens::user_named(cx, &listing.user).await?.map(|user| user.id),
        application_id: tokens::application_named(cx, &listing.client_id).await?.map(|application| application.id),
    })
}

/// The youngest of each kind; they live for minutes, so there is no next page.
pub(super) async fn list(
    State(cx): State<Ctx>,
    Extension(actor): Extension<Actor>,
    Query(listing): Query<Listing>,
) -> Result<Response, ApiError> {
    let (filter, now) = (filter(&cx, &actor, &listing).await?, cx.clock.now());
    let read = async {
        let codes = grant_list::codes(&cx.db, filter, listing.rows() - 1, now).await?;
        Ok((codes, grant_list::device_codes(&cx.db, filter, listing.rows() - 1, now).await?))
    };
    let (codes, devices) = read.await.map_err(|error: crate::store::Error| OAuthError::from(error))?;
    let told = |all: &[WaitingCode]| all.iter().map(described).collect::<Vec<Value>>();
    Ok(answer(StatusCode::OK, json!({ "codes": told(&codes), "device_codes": told(&devices) })))
}

pub(super) async fn remove(
    State(cx): State<Ctx>,
    Extension(actor): Extension<Actor>,
    Path(digest): Path<String>,
) -> Result<Response, ApiError> {
    let deleted = match tokens::digest_of(&digest) {
        Some(digest) => tokens::delete_codes(&cx, &actor, vec![digest]).await?,
        None => 0,
    };
    gone_or(deleted)
}

pub(super) async fn consents(
    State(cx): State<Ctx>,
    Extension(actor): Extension<Actor>,
    Query(listing): Query<Listing>,
) -> Result<Response, ApiError> {
    let filter = filter(&cx, &actor, &listing).await?;
    let rows = grant_list::consents(&cx.db, filter, listing.before(), listing.rows()).await;
    let shown = |consent: &grant_list::ListedConsent| {
        json!({
            "id": consent.id,
            "user": consent.username,
            "client_id": consent.client_id,
            "scope": consent.scope.to_string(),
            "created_at": consent.created_at,
            "updated_at": consent.updated_at,
        })
    };
    Ok(listing.page("consents", rows.map_err(OAuthError::from)?, |consent| consent.id, shown))
}

pub(super) async fn withdraw(
    State(cx): State<Ctx>,
    Extension(actor): Extension<Actor>,
    Path(id): Path<i64>,
) -> Result<Response, ApiError> {
    gone_or(tokens::withdraw(&cx, &actor, vec![id]).await?)
}

fn gone_or(deleted: usize) -> Result<Response, ApiError> {
    match deleted {
        0 => Err(OAuthError::invalid_request("There is no such grant.").with_status(404).into()),
        _ => Ok(StatusCode::NO_CONTENT.into_response()),
    }
}

fn described(code: &WaitingCode) -> Value {
    json!({
        "id": hex(code.digest.as_bytes()),
        "client_id": code.client_id,
        "user": code.user.as_ref().map(|(_, username)| username),
        "scope": code.scope.to_string(),
        "is_approved": code.is_approved,
        "expires_at": code.expires_at,
    })
}
