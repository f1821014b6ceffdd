//! `POST introspect` (RFC 7662): a confidential client asks about an access token of its own, a resource server about
//! anybody's. Whatever it may not know is `{"active": false}`.

use axum::Json;
use axum::extract::State;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
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
    let told = match &token {
        None => Told::Inactive { active: false },
        Some(token) => Told::Active(active(&cx, &application, token).await?),
    };
    let wants_jwt = call.wants("application/token-introspection+jwt");
    let algorithm = application.metadata.introspection_signed_response_alg.as_deref();
    if wants_jwt || algorithm.is_some() {
        return signed(&cx, &application, algorithm.unwrap_or("RS256"), &told).await;
    }
    Ok(([(CACHE_CONTROL, "no-store")], Json(told)).into_response())
}

/// RFC 7662 §2.2
#[derive(Serialize)]
#[serde(untagged)]
#[expect(clippy::large_enum_variant, reason = "there is one, for one answer")]
enum Told<'a> {
    Active(Active<'a>),
    Inactive { active: bool },
}

/// What is told of a token that is good.
#[derive(Serialize)]
struct Active<'a> {
    active: bool,
    scope: String,
    client_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    username: Option<&'a str>,
    token_type: &'static str,
    exp: i64,
    iat: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    sub: Option<String>,
    iss: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    cnf: Option<Value>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    aud: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    auth_time: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    act: Option<&'a Value>,
}

async fn active<'a>(cx: &Ctx, asks: &Application, token: &'a AccessToken) -> Result<Active<'a>, OAuthError> {
    // Who the person is to whom the token was given, which mostly is who asks.
    let sub = match &token.user {
        Some(user) if token.application_id == asks.id => Some(claims::subject(cx, asks, user.id).await?),
        Some(user) => match client::find(cx, &token.client_id).await? {
            Some(application) => Some(claims::subject(cx, &application, user.id).await?),
            None => None,
        },
        None => None,
    };
    let context = token.context.as_ref();
    let is_dpop = context.is_some_and(|context| context.jkt.is_some());
    Ok(Active {
        active: true,
        scope: token.scope.to_string(),
        client_id: &token.client_id,
        username: token.user.as_ref().map(|user| user.username.as_str()),
        token_type: if is_dpop { "DPoP" } else { "Bearer" },
        exp: token.expires_at,
        iat: token.created_at,
        sub,
        iss: cx.issuer(),
        cnf: context.and_then(issue::confirmation),
        aud: context.map(|context| context.resources.as_slice()).unwrap_or_default(),
        auth_time: context.and_then(|context| context.auth_time),
        act: context.and_then(|context| context.actor.as_ref()),
    })
}

/// The same as a JWT for whoever asked (RFC 9701 §5).
async fn signed(cx: &Ctx, application: &Application, algorithm: &str, told: &Told<'_>) -> Result<Response, Refusal> {
    let claims = json!({
        "iss": cx.issuer(),
        "aud": application.client_id,
        "iat": cx.clock.now(),
        "token_introspection": told,
    });
    let jwt = issue::sign_for(cx, application, algorithm, "token-introspection+jwt", &claims).await?;
    let headers = [(CACHE_CONTROL, "no-store"), (CONTENT_TYPE, "application/token-introspection+jwt")];
    Ok((headers, jwt).into_response())
}
