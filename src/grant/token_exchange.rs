//! Token exchange (RFC 8693): one of our access tokens for a narrower one, or for one by which somebody acts for its person;
//! a provider's token for one of ours, under the rules of `convert_token`.

use std::sync::Arc;

use serde_json::{Map, Value, json};
use vestibule_protocol::scope::is_admin_scope;
use vestibule_protocol::{ErrorCode, GrantType, OAuthError, Reason, Scope};

use super::{TokenRequest, convert_token};
use crate::authenticate;
use crate::claims;
use crate::client;
use crate::context::Context;
use crate::issue::{self, Approval, TokenResponse};
use crate::store::application::Application;
use crate::store::token::{AccessToken, TokenContext};
use crate::upstream::Credential;

const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";
const ID_TOKEN: &str = "urn:ietf:params:oauth:token-type:id_token";
const JWT: &str = "urn:ietf:params:oauth:token-type:jwt";

pub(super) async fn run(cx: &Context, request: TokenRequest<'_>) -> Result<TokenResponse, OAuthError> {
    let params = request.params;
    let subject_token = params.required("subject_token")?;
    let subject_type = params.required("subject_token_type")?;
    if !matches!(params.get("requested_token_type"), None | Some(ACCESS_TOKEN)) {
        return Err(OAuthError::invalid_request("`requested_token_type` can be an access token only."));
    }
    if params.all("audience").next().is_some() {
        let sentence = "Name the API by `resource`; there is no `audience` by other names here.";
        return Err(OAuthError::new(ErrorCode::InvalidTarget, sentence));
    }
    if !matches!(subject_type, ACCESS_TOKEN | ID_TOKEN | JWT) {
        let sentence = "`subject_token_type` is not one that is taken here: access_token, id_token or jwt.";
        return Err(OAuthError::invalid_request(sentence));
    }
    if params.get("backend").is_some() {
        return from_provider(cx, request, subject_token).await;
    }
    if subject_type == ID_TOKEN {
        let sentence = "An ID token is taken from a provider only: name it by `backend`.";
        return Err(OAuthError::invalid_request(sentence).with_field("backend"));
    }
    let subject = own_token(cx, subject_token, "subject_token").await?;
    let actor = match params.get("actor_token") {
        None if params.get("actor_token_type").is_some() => return Err(OAuthError::missing("actor_token")),
        None => None,
        Some(actor_token) => {
            if !matches!(params.required("actor_token_type")?, ACCESS_TOKEN | JWT) {
                return Err(OAuthError::invalid_request("`actor_token_type` can be an access token only."));
            }
            Some(own_token(cx, actor_token, "actor_token").await?)
        }
    };
    from_own(cx, request, &subject, actor.as_deref()).await
}

/// A token of ours that is good, and bound to nobody: whoever exchanges a bound one could shed the binding.
async fn own_token(cx: &Context, presented: &str, field: &'static str) -> Result<Arc<AccessToken>, OAuthError> {
    let refuse = |sentence: &'static str| OAuthError::invalid_request(sentence).with_field(field);
    let token = authenticate::access_token(cx, presented).await?.ok_or_else(|| {
        // RFC 8693 §2.2.2
        refuse("The token is not an access token of this server that is good now. A provider's token needs `backend`.")
    })?;
    let is_bound = token.context.as_ref().is_some_and(|context| context.jkt.is_some() || context.certificate.is_some());
    if is_bound { Err(refuse("A token that is bound to a key cannot be exchanged.")) } else { Ok(token) }
}

async fn from_own(
    cx: &Context,
    request: TokenRequest<'_>,
    subject: &AccessToken,
    actor: Option<&AccessToken>,
) -> Result<TokenResponse, OAuthError> {
    let application = request.application;
    // Whom a token was given to may exchange it; others only if they are an API that tokens are sent to.
    if subject.application_id != application.id && !application.is_resource_server {
        let sentence = "This token was given to another client; a resource server may exchange it.";
        return Err(OAuthError::invalid_grant(sentence).with_reason(Reason::ForeignAudience));
    }
    let user = subject.user.as_ref().ok_or_else(|| {
        OAuthError::invalid_request("The subject token speaks for an application, not for a person.")
            .with_field("subject_token")
    })?;
    let own = request.context();
    let scope = match &request.scope {
        None => within(&subject.scope, application),
        Some(scope) if scope.is_within(&subject.scope) => scope.clone(),
        Some(_) => return Err(OAuthError::invalid_scope("The scope asks for more than the subject token has.")),
    };
    let before = subject.context.as_ref();
    let resources_before = before.map(|context| context.resources.as_slice()).unwrap_or_default();
    if !resources_before.is_empty() && !request.resources.iter().all(|wanted| resources_before.contains(wanted)) {
        let sentence = "The subject token is not for this `resource`.";
        return Err(OAuthError::new(ErrorCode::InvalidTarget, sentence));
    }
    let resources = if own.resources.is_empty() { resources_before.to_vec() } else { own.resources.clone() };
    let acting = match actor {
        Some(actor) => Some(act(cx, actor, before).await?),
        None => before.and_then(|context| context.actor.clone()),
    };
    let context = TokenContext {
        resources,
        actor: acting,
        auth_time: before.and_then(|context| context.auth_time),
        amr: before.map(|context| context.amr.clone()).unwrap_or_default(),
        // What is made of a token does not outlive it.
        not_after: Some(actor.map_or(subject.expires_at, |actor| actor.expires_at.min(subject.expires_at))),
        ..own
    };
    let approval = Approval { application, user: Some(user), scope, grant_type: GrantType::TokenExchange, context };
    answer(issue::exchanged(cx, approval, subject).await?)
}

/// What of this scope an application may have.
fn within(scope: &Scope, application: &Application) -> Scope {
    let may_have =
        |word: &&str| application.scopes.contains(word) || application.scopes.is_empty() && !is_admin_scope(word);
    scope.iter().filter(may_have).collect()
}

/// Who acts, around who acted before (RFC 8693 §4.1).
async fn act(cx: &Context, actor: &AccessToken, before: Option<&TokenContext>) -> Result<Value, OAuthError> {
    let mut members = Map::new();
    let application = client::find(cx, &actor.client_id).await?;
    let subject = match (&actor.user, &application) {
        (Some(user), Some(application)) => claims::subject(cx, application, user.id).await?,
        _ => actor.client_id.clone(),
    };
    members.insert("sub".to_owned(), subject.into());
    members.insert("client_id".to_owned(), actor.client_id.clone().into());
    if let Some(inner) = before.and_then(|context| context.actor.clone()) {
        members.insert("act".to_owned(), inner);
    }
    Ok(json!(members))
}

async fn from_provider(cx: &Context, request: TokenRequest<'_>, token: &str) -> Result<TokenResponse, OAuthError> {
    if request.params.get("actor_token").is_some() {
        return Err(OAuthError::invalid_request("Nobody acts for a provider's account: send no `actor_token`."));
    }
    let provider = convert_token::provider(cx, request.params)?;
    let credential = Credential::Token(token.to_owned());
    let identified = convert_token::identify_by(cx, provider, credential, request.params.get("nonce")).await?;
    let user = convert_token::person(cx, provider, &identified).await?;
    answer(issue::tokens(cx, request.approve(cx, Some(&user), GrantType::TokenExchange)).await?)
}

fn answer(response: TokenResponse) -> Result<TokenResponse, OAuthError> {
    Ok(TokenResponse { issued_token_type: Some(ACCESS_TOKEN), ..response })
}
