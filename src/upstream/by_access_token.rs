//! An access token: whom it speaks for is asked at the provider, and to whom it was issued at the same time.

use reqwest::Method;
use serde_json::Value;
use vestibule_protocol::Profile;
use vestibule_protocol::provider::{self, Audience, ProfileRequest, TokenPassing};

use super::outbound::{Body, Call};
use super::refuse::Trouble;
use super::{Identified, Provider, ProviderTokens, Upstream, excerpt, object};

pub(super) async fn identify(upstream: &Upstream, provider: &Provider, token: &str) -> Result<Identified, Trouble> {
    let Some(audience) = &provider.entry.audience else {
        if !provider.settings.accept_unverified_audience {
            return Err(Trouble::UnprovenAudience);
        }
        let profile = profile(upstream, provider, token).await?;
        return Ok(identified(profile, token, None));
    };
    let (profile, proof) = tokio::join!(profile(upstream, provider, token), proof(upstream, provider, audience, token));
    let (profile, proof) = match (profile, proof) {
        (Ok(profile), Ok(proof)) => (profile, proof),
        (Err(first), Err(second)) => return Err(if second.outranks(&first) { second } else { first }),
        (Err(trouble), Ok(_)) | (Ok(_), Err(trouble)) => return Err(trouble),
    };
    // Both questions were about one token; that both answers are about one person is checked all the same.
    if proof.subject.as_ref().is_some_and(|subject| *subject != profile.uid) {
        return Err(Trouble::Rejected("the profile and the audience check name two people".to_owned()));
    }
    Ok(identified(profile, token, proof.expires_at))
}

fn identified(profile: Profile, token: &str, expires_at: Option<i64>) -> Identified {
    let tokens = ProviderTokens { access_token: Some(token.to_owned()), ..ProviderTokens::default() };
    Identified { profile, tokens, expires_at }
}

/// Whom the token speaks for.
pub(super) async fn profile(upstream: &Upstream, provider: &Provider, token: &str) -> Result<Profile, Trouble> {
    let mut root = Value::Null;
    for request in &provider.entry.profile {
        let answer = match ask_profile(upstream, provider, request, token).await {
            Ok(answer) => answer,
            Err(Trouble::Rejected(_) | Trouble::BadAnswer(_)) if request.optional => continue,
            Err(trouble) => return Err(trouble),
        };
        match (&request.name, root.as_object_mut()) {
            (Some(name), Some(root)) => drop(root.insert(name.clone(), answer)),
            // The first answer is the person's own; an empty one, or one that is no object, says nothing.
            _ if answer.as_object().is_some_and(|members| !members.is_empty()) => root = answer,
            _ => return Err(Trouble::BadAnswer("the profile is no JSON object".to_owned())),
        }
    }
    if root.get("error").is_some_and(|error| !error.is_null() && error != "") {
        return Err(Trouble::Rejected("an error with status 200".to_owned()));
    }
    provider.entry.claims.profile(&root).map_err(|_| Trouble::NoIdentifier)
}

async fn ask_profile(
    upstream: &Upstream,
    provider: &Provider,
    request: &ProfileRequest,
    token: &str,
) -> Result<Value, Trouble> {
    let variables = provider.variables(token);
    let url = match &request.url {
        Some(template) => template.url(&variables),
        None => {
            let discovery = upstream.discovery(provider).await?;
            discovery
                .userinfo_endpoint
                .clone()
                .ok_or(Trouble::Misconfigured("the discovery document names no user info endpoint".into()))?
        }
    };
    let mut call = Call::get(url);
    call.query = request.query.iter().map(|(name, template)| (name.as_str(), template.plain(&variables))).collect();
    match provider.entry.token_passing {
        TokenPassing::Bearer => call.authorization = Some(format!("Bearer {token}")),
        TokenPassing::Token => call.authorization = Some(format!("token {token}")),
        TokenPassing::Query => call.query.push(("access_token", token.to_owned())),
    }
    let answer = upstream.ask(provider, call).await?;
    match answer.status {
        200..=299 => serde_json::from_slice(&answer.body)
            .map_err(|_| Trouble::BadAnswer(format!("no JSON: {}", excerpt(&answer.body)))),
        status => Err(Trouble::Rejected(format!("status {status}: {}", excerpt(&answer.body)))),
    }
}

/// To whom the token was issued; only a token of one of our clients gets past this.
async fn proof(
    upstream: &Upstream,
    provider: &Provider,
    audience: &Audience,
    token: &str,
) -> Result<provider::Proof, Trouble> {
    let variables = provider.variables(token);
    let mut call = Call::get(audience.url.url(&variables));
    call.query = audience.query.iter().map(|(name, template)| (name.as_str(), template.plain(&variables))).collect();
    call.basic = audience.basic.then(|| (provider.client_id(), provider.client_secret()));
    if audience.method == provider::Method::Post {
        call.method = Method::POST;
        let members = audience.json.iter().map(|(name, template)| (name.clone(), template.plain(&variables).into()));
        call.body = Body::Json(Value::Object(members.collect()));
    }
    let answer = upstream.ask(provider, call).await?;
    match answer.status {
        200..=299 => {}
        status if audience.foreign_status.contains(&status) => {
            return Err(Trouble::ForeignAudience(format!("the audience check answered {status}")));
        }
        status if audience.misconfigured_status.contains(&status) => {
            return Err(Trouble::Misconfigured(format!(
                "the audience check answered {status}: {}",
                excerpt(&answer.body)
            )));
        }
        status => {
            return Err(Trouble::Rejected(format!("the audience check answered {status}: {}", excerpt(&answer.body))));
        }
    }
    let now = upstream.clock.now();
    let proof = audience.proof(&object(&answer.body)?, now);
    if !proof.valid {
        return Err(Trouble::Rejected("the audience check says that it is not valid".to_owned()));
    }
    if !proof.audiences.iter().any(|id| provider.is_our_client(id)) {
        return Err(match proof.audiences.is_empty() {
            true => Trouble::Rejected("the audience check names no client".to_owned()),
            false => Trouble::ForeignAudience("the audience check names another client".to_owned()),
        });
    }
    if proof.expires_at.is_some_and(|at| at <= now) {
        return Err(Trouble::Expired);
    }
    Ok(proof)
}
