//! `GET`/`POST userinfo` (OpenID Connect Core §5.3): the claims of the person, by the scopes of the token and by what its
//! request named.

use axum::Json;
use axum::extract::{FromRequest, FromRequestParts, Request, State};
use axum::http::header::{AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderValue, Method};
use axum::response::{IntoResponse, Response};
use serde_json::Value;
use vestibule_protocol::OAuthError;

use super::bearer::{person, require_scope};
use super::body::{Body, Caller};
use super::respond::ApiError;
use crate::authenticate::Identity;
use crate::context::Ctx;
use crate::{claims, client, issue};

pub(super) async fn userinfo(State(cx): State<Ctx>, request: Request) -> Result<Response, ApiError> {
    let Caller(identity) = caller(&cx, request).await?;
    require_scope(identity.scope(), "openid")?;
    let user = person(&identity)?;
    let application = match identity.client_id() {
        Some(client_id) => client::find(&cx, client_id).await?,
        None => None,
    };
    let context = match &identity {
        Identity::Own(token) => token.context.as_ref(),
        Identity::Provider { .. } => None,
    };
    let named = context.map(|context| context.userinfo_claims.as_slice()).unwrap_or_default();
    let mut told = claims::of_person(user, identity.scope(), named);
    let subject = match &application {
        Some(application) => claims::subject(&cx, application, user.id).await?,
        None => user.id.to_string(),
    };
    told.insert("sub".to_owned(), subject.into());
    let signed = application.as_ref().and_then(|application| {
        application.metadata.userinfo_signed_response_alg.as_ref().map(|alg| (application, alg))
    });
    if let Some((application, algorithm)) = signed {
        // §5.3.2: a signed answer says who it is of and for whom.
        told.insert("iss".to_owned(), cx.issuer().into());
        told.insert("aud".to_owned(), application.client_id.clone().into());
        let jwt = issue::sign_for(&cx, application, algorithm, "JWT", &Value::Object(told)).await?;
        return Ok(([(CACHE_CONTROL, "no-store"), (CONTENT_TYPE, "application/jwt")], jwt).into_response());
    }
    Ok(([(CACHE_CONTROL, "no-store")], Json(Value::Object(told))).into_response())
}

/// By the header, or by a form of the body (RFC 6750 §2.2), never by both.
async fn caller(cx: &Ctx, request: Request) -> Result<Caller, ApiError> {
    let (mut parts, body) = request.into_parts();
    if parts.method == Method::POST && !parts.headers.contains_key(AUTHORIZATION) {
        let whole = Request::from_parts(parts.clone(), body);
        let Body(params) = Body::from_request(whole, cx).await.map_err(|refusal| ApiError(refusal.0))?;
        if let Some(token) = params.get("access_token") {
            let header = HeaderValue::from_str(&format!("Bearer {token}"))
                .map_err(|_| OAuthError::invalid_token("The token holds characters that no token has."))?;
            parts.headers.insert(AUTHORIZATION, header);
        }
    }
    Caller::from_request_parts(&mut parts, cx).await
}
