//! The admin API: what the console does, over JSON, below `/admin/api/`. This page is its route table and its gate; an area
//! is a file.
//!
//! A call has a token with the scope `admin:read` or `admin:write`; a call that writes may have an `Idempotency-Key`, with
//! which it can be sent again without being done twice (draft-ietf-httpapi-idempotency-key-header). A list has `limit` and
//! `before`, and answers with `next` for the page after it.
//! Not here: what may be done and what is noted of it (`admin`).

mod applications;
mod associations;
mod audit;
mod dashboard;
mod gate;
mod grants;
mod keys;
mod providers;
mod settings;
mod tokens;
mod users;

use axum::Json;
use axum::http::StatusCode;
use axum::http::header::CACHE_CONTROL;
use axum::middleware;
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, delete, get, post};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use vestibule_protocol::OAuthError;

use super::respond::ApiError;
use crate::context::Ctx;

/// Every endpoint, under its full path, behind the gate.
pub(super) fn endpoints(cx: &Ctx) -> Vec<(&'static str, MethodRouter<Ctx>)> {
    let all: Vec<(&'static str, MethodRouter<Ctx>)> = vec![
        ("/admin/api/applications", get(applications::list).post(applications::create)),
        (
            "/admin/api/applications/{client_id}",
            get(applications::one).patch(applications::change).delete(applications::delete),
        ),
        ("/admin/api/applications/{client_id}/{act}", post(applications::act)),
        ("/admin/api/dashboard", get(dashboard::dashboard)),
        ("/admin/api/users", get(users::list).post(users::create)),
        ("/admin/api/users/{id}", get(users::one).patch(users::change).delete(users::delete)),
        ("/admin/api/users/{id}/sessions", get(users::sessions)),
        ("/admin/api/users/{id}/sessions/{session_id}", delete(users::end_session)),
        ("/admin/api/users/{id}/associations", get(users::associations)),
        ("/admin/api/users/{id}/associations/{association_id}", delete(users::disconnect)),
        ("/admin/api/users/{id}/{act}", post(users::act)),
        ("/admin/api/tokens", get(tokens::list)),
        ("/admin/api/tokens/find", post(tokens::find)),
        ("/admin/api/tokens/revoke", post(tokens::revoke)),
        ("/admin/api/tokens/{id}", get(tokens::one)),
        ("/admin/api/grants", get(grants::list)),
        ("/admin/api/grants/{digest}", delete(grants::remove)),
        ("/admin/api/consents", get(grants::consents)),
        ("/admin/api/consents/{id}", delete(grants::withdraw)),
        ("/admin/api/associations", get(associations::list)),
        ("/admin/api/associations/{id}", get(associations::one).delete(associations::disconnect)),
        ("/admin/api/keys", get(keys::list)),
        ("/admin/api/keys/rotate", post(keys::rotate)),
        ("/admin/api/providers", get(providers::list)),
        ("/admin/api/providers/{name}", get(providers::one)),
        ("/admin/api/providers/{name}/test", post(providers::test)),
        ("/admin/api/audit", get(audit::list)),
        ("/admin/api/settings", get(settings::list)),
    ];
    let gated = |endpoint: MethodRouter<Ctx>| endpoint.layer(middleware::from_fn_with_state(cx.clone(), gate::gate));
    all.into_iter().map(|(path, endpoint)| (path, gated(endpoint))).collect()
}

/// The query of a list.
#[derive(Debug, Deserialize)]
#[serde(default)]
struct Listing {
    /// Rows with smaller numbers than this.
    before: Option<i64>,
    /// Rows on a page, 1 to 200.
    limit: i64,
    /// What is searched for.
    q: String,
    /// In which state.
    state: String,
    /// Of the person with this username.
    user: String,
    /// Of the application with this client id.
    client_id: String,
    /// With this word of a scope.
    scope: String,
    /// Of this provider.
    provider: String,
    /// With this identifier at a provider.
    uid: String,
}

impl Default for Listing {
    fn default() -> Self {
        Self {
            before: None,
            limit: 50,
            q: String::new(),
            state: String::new(),
            user: String::new(),
            client_id: String::new(),
            scope: String::new(),
            provider: String::new(),
            uid: String::new(),
        }
    }
}

impl Listing {
    fn before(&self) -> i64 {
        self.before.unwrap_or(i64::MAX)
    }

    /// So many rows are read: one more than are answered, to know whether there are more.
    fn rows(&self) -> i64 {
        self.limit.clamp(1, 200) + 1
    }

    /// The answer: the rows of one page under their name, and where the next page begins.
    fn page<T>(&self, name: &str, mut rows: Vec<T>, id: impl Fn(&T) -> i64, shown: impl Fn(&T) -> Value) -> Response {
        let limit = usize::try_from(self.rows() - 1).unwrap_or(1);
        let has_more = rows.len() > limit;
        rows.truncate(limit);
        let next = rows.last().filter(|_| has_more).map(&id);
        let all: Vec<Value> = rows.iter().map(shown).collect();
        answer(StatusCode::OK, json!({ name: all, "next": next }))
    }
}

/// An answer that no cache keeps.
fn answer(status: StatusCode, body: Value) -> Response {
    (status, [(CACHE_CONTROL, "no-store")], Json(body)).into_response()
}

/// The members of a body; nothing is an empty object.
fn members(body: &[u8]) -> Result<Map<String, Value>, ApiError> {
    if body.is_empty() {
        return Ok(Map::new());
    }
    let wrong = |error| OAuthError::invalid_request("The body must be one JSON object.").with_cause(error);
    let members: Map<String, Value> = serde_json::from_slice(body).map_err(wrong)?;
    // PostgreSQL holds no such text.
    if Value::from(members.clone()).to_string().contains("\\u0000") {
        return Err(OAuthError::invalid_request("The body holds a NUL.").into());
    }
    Ok(members)
}
