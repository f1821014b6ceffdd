//! `GET`/`POST userinfo` (OpenID Connect Core §5.3): the claims of the person, by the scopes of the token.

use axum::Json;
use axum::extract::State;
use axum::http::header::CACHE_CONTROL;
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value};

use super::bearer::{person, require_scope};
use super::body::Caller;
use super::respond::ApiError;
use crate::context::Ctx;

pub(super) async fn userinfo(State(_): State<Ctx>, Caller(identity): Caller) -> Result<Response, ApiError> {
    require_scope(identity.scope(), "openid")?;
    let user = person(&identity)?;
    let mut claims = Map::new();
    claims.insert("sub".to_owned(), user.id.to_string().into());
    // §5.3.2: a claim without a value is left out.
    let mut add = |name: &str, value: &str| {
        if !value.is_empty() {
            claims.insert(name.to_owned(), Value::from(value));
        }
    };
    if identity.scope().contains("profile") {
        add("preferred_username", &user.username);
        add("given_name", &user.first_name);
        add("family_name", &user.last_name);
        add("name", [user.first_name.as_str(), user.last_name.as_str()].join(" ").trim());
    }
    if identity.scope().contains("email") && !user.email.is_empty() {
        add("email", &user.email);
        claims.insert("email_verified".to_owned(), user.email_verified.into());
    }
    Ok(([(CACHE_CONTROL, "no-store")], Json(Value::Object(claims))).into_response())
}
