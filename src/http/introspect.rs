//! `POST introspect` (RFC 7662): a confidential client asks about an access token of its own, a resource server about
//! anybody's. Whatever it may not know is `{"active": false}`.

use axum::Json;
use axum::extract::State;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use vestibule_protocol::{ClientType, OAuthError};

use super::body::ClientCall;
use super::respond::Refusal;
use crate::context::Ctx;
use crate::store::application::Application;
use crate::store::token::AccessToken;
use crate::{authenticate, claims, client, issue};

pub(super) async fn introspect(State(cx): State<Ctx>, call: ClientCall) -> Result<Response, Refusal> {
    let application = client::authenticate(&cx, &call.credentials, &call.presented).await?;
    if application.client_type == ClientType::Public {
        return Err(
            OAuthError::invalid_client("A public application cannot introspect: it cannot prove who it is.").into()
        );
    }
    let presented = call.params.required("token")?;
    let token = authenticate::access_token(&cx, presented).await?;
    let token = token.filter(|token| token.application_id == application.id || application.is_resource_server);
    let members = match &token {
        None => json!({ "active": false }),
        Some(token) => active(&cx, token).await?,
    };
    let wants_jwt = call.wants("application/token-introspection+jwt");
    let algorithm = application.metadata.introspection_signed_response_alg.as_deref();
    if wants_jwt || algorithm.is_some() {
        return signed(&cx, &application, algorithm.unwrap_or("RS256"), members).await;
    }
    Ok(([(CACHE_CONTROL, "no-store")], Json(members)).into_response())
}

/// What is told of a token that is good (RFC 7662 §2.2).
async fn active(cx: &Ctx, token: &AccessToken) -> Result<Value, OAuthError> {
    let mut members = json!({
        "active": true,
        "scope": token.scope.to_string(),
        "client_id": token.client_id,
        "token_type": "Bearer",
        "exp": token.expires_at,
        "iat": token.created_at,
        "iss": cx.issuer(),
    });
    if let Some(user) = &token.user {
        members["username"] = user.username.clone().into();
        if let Some(application) = client::find(cx, &token.client_id).await? {
            members["sub"] = claims::subject(cx, &application, user.id).await?.into();
        }
    }
    if let Some(context) = &token.context {
        if let Some(confirmation) = issue::confirmation(context) {
            if context.jkt.is_some() {
                members["token_type"] = "DPoP".into();
            }
            members["cnf"] = confirmation;
        }
        if !context.resources.is_empty() {
            members["aud"] = json!(context.resources);
        }
        if let Some(auth_time) = context.auth_time {
            members["auth_time"] = auth_time.into();
        }
        if let Some(actor) = &context.actor {
            members["act"] = actor.clone();
        }
    }
    Ok(members)
}

/// The same as a JWT for whoever asked (RFC 9701 §5).
async fn signed(cx: &Ctx, application: &Application, algorithm: &str, members: Value) -> Result<Response, Refusal> {
    let claims = json!({
        "iss": cx.issuer(),
        "aud": application.client_id,
        "iat": cx.clock.now(),
        "token_introspection": members,
    });
    let jwt = issue::sign_for(cx, application, algorithm, "token-introspection+jwt", &claims).await?;
    let headers = [(CACHE_CONTROL, "no-store"), (CONTENT_TYPE, "application/token-introspection+jwt")];
    Ok((headers, jwt).into_response())
}
