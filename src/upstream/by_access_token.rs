//! A person by an access token: who it is and for whom the token was made, asked at the same time.
//!
//! An access token says nothing by itself. That it works proves only that somebody's application got it; that it was made
//! for ours, the provider must say (`[audience]`), or anybody's application could sign in here as its own users.

use futures_util::future::try_join_all;
use reqwest::Method;
use serde_json::{Value, json};

use super::outbound::{self, Body, Call};
use super::{Identified, Provider, ProviderTokens, Upstream, keys, refuse};
use crate::protocol::profile::Profile;
use crate::protocol::provider::claims::Answer;
use crate::protocol::provider::{self, AudienceCheck, TokenPlace, template};
use crate::protocol::{OAuthError, Reason};

/// What the audience check says of a good token.
#[derive(Default)]
struct Proof {
    subject: Option<String>,
    expires_at: Option<i64>,
}

impl Upstream {
    pub(super) async fn by_access_token(&self, provider: &Provider, token: &str) -> Result<Identified, OAuthError> {
        let (profile, proof) = match &provider.entry.audience {
            Some(check) => {
                let (profile, proof) =
                    tokio::join!(self.profile(provider, token), self.prove_audience(provider, check, token));
                match (profile, proof) {
                    (Ok(profile), Ok(proof)) => (profile, proof),
                    (Err(one), Err(other)) => return Err(more_telling(one, other)),
                    (Err(error), _) | (_, Err(error)) => return Err(error),
                }
            }
            None if provider.settings.accept_unverified_audience => {
                (self.profile(provider, token).await?, Proof::default())
            }
            None => return Err(refuse::unproven_audience(provider)),
        };
        let asks_subject = provider.entry.audience.as_ref().is_some_and(|check| check.subject.is_some());
        if asks_subject && proof.subject.as_deref() != Some(profile.uid.as_str()) {
            return Err(refuse::two_people(provider));
        }
        let expires_at = proof.expires_at;
        let tokens = ProviderTokens { access_token: Some(token.to_owned()), expires_at, ..ProviderTokens::default() };
        Ok(Identified { profile, tokens, expires_at })
    }

    /// User info and every further request, at the same time.
    pub(super) async fn profile(&self, provider: &Provider, token: &str) -> Result<Profile, OAuthError> {
        let entry = &provider.entry;
        let variables = provider.variables(token);
        let userinfo = match &entry.endpoints.userinfo {
            Some(template) => template.url(&variables),
            None => {
                let found = keys::discovery(&self.outbound, provider, self.clock.now()).await;
                let document = found.map_err(|error| error.refusal(provider))?;
                let missing = || refuse::misconfigured(provider, "no user info endpoint is known".into());
                document.userinfo_endpoint.clone().ok_or_else(missing)?
            }
        };
        let further = try_join_all(entry.profile.iter().map(|request| async {
            let call = with_token(provider, request.url.url(&variables), token);
            let answer = self.ask(provider, call).await?;
            if request.optional && !answer.exhausted && matches!(answer.status, 401 | 403 | 404) {
                return Ok((request.name.clone(), Value::Null));
            }
            let value = accepted(provider, &answer)?;
            Ok::<_, OAuthError>((request.name.clone(), value))
        }));
        let root = async {
            let answer = self.ask(provider, with_token(provider, userinfo, token)).await?;
            let Value::Object(members) = accepted(provider, &answer)? else {
                return Err(refuse::bad_answer(provider, answer.excerpt()));
            };
            // Some refuse with status 200.
            if members.get("error").is_some_and(|error| error.is_string() || error.is_object()) {
                return Err(refusal(provider, &answer));
            }
            Ok((members, answer.excerpt()))
        };
        let ((members, excerpt), further) = tokio::try_join!(root, further)?;
        let answer = Answer::new(members, further);
        entry.claims.profile(&answer).map_err(|_| refuse::profile_incomplete(provider, excerpt))
    }

    async fn prove_audience(
        &self,
        provider: &Provider,
        check: &AudienceCheck,
        token: &str,
    ) -> Result<Proof, OAuthError> {
        let answer = self.ask(provider, audience_call(provider, check, token)).await?;
        let members = answer.object();
        let read = members.map(|members| Answer::new(members, []));
        let means = |rule: &Option<provider::Expression>| {
            read.as_ref().is_some_and(|read| rule.as_ref().is_some_and(|rule| rule.is_true(read)))
        };
        if check.foreign_statuses.contains(&answer.status) || means(&check.foreign) {
            return Err(refuse::foreign_audience(provider));
        }
        if !answer.is_success() {
            if answer.exhausted || means(&provider.entry.errors.busy) {
                return Err(refuse::provider_down(provider, answer.excerpt()));
            }
            if means(&provider.entry.errors.expired) {
                return Err(refuse::token_expired(provider));
            }
            return Err(match answer.status {
                status if check.misconfigured_statuses.contains(&status) => {
                    refuse::misconfigured(provider, answer.excerpt())
                }
                status if check.rejected_statuses.contains(&status) => {
                    refuse::token_rejected(provider, answer.excerpt())
                }
                500.. => refuse::provider_down(provider, answer.excerpt()),
                _ => refuse::bad_answer(provider, answer.excerpt()),
            });
        }
        let read = read.ok_or_else(|| refuse::bad_answer(provider, answer.excerpt()))?;
        let now = self.clock.now();
        let audiences = check.audience.identifiers(&read);
        if !audiences.is_empty() && !audiences.iter().any(|audience| provider.client_ids.contains(audience)) {
            return Err(refuse::foreign_audience(provider));
        }
        let number = |path: &Option<provider::Expression>| path.as_ref().and_then(|path| path.number(&read));
        let at = number(&check.expires_at).filter(|at| *at != 0);
        let expires_at = at.or_else(|| number(&check.expires_in).map(|seconds| now.saturating_add(seconds)));
        if expires_at.is_some_and(|at| at <= now) {
            return Err(refuse::token_expired(provider));
        }
        if check.valid.as_ref().is_some_and(|valid| !valid.is_true(&read)) {
            return Err(refuse::token_rejected(provider, answer.excerpt()));
        }
        if audiences.is_empty() {
            return Err(match answer.json().and_then(|json| json.get("error").cloned()) {
                Some(Value::String(_) | Value::Object(_)) => refuse::token_rejected(provider, answer.excerpt()),
                _ => refuse::unproven_audience(provider).with_cause(answer.excerpt()),
            });
        }
        Ok(Proof { subject: check.subject.as_ref().and_then(|subject| subject.identifier(&read)), expires_at })
    }

    async fn ask(&self, provider: &Provider, call: Call) -> Result<outbound::Answer, OAuthError> {
        self.outbound.call(&provider.lane, call).await.map_err(|failure| refuse::failed(provider, failure))
    }
}

/// The JSON of an answer that is neither a refusal nor an outage.
fn accepted(provider: &Provider, answer: &outbound::Answer) -> Result<Value, OAuthError> {
    if !answer.is_success() {
        return Err(refusal(provider, answer));
    }
    answer.json().ok_or_else(|| refuse::bad_answer(provider, answer.excerpt()))
}

/// What a refusal at user info means.
fn refusal(provider: &Provider, answer: &outbound::Answer) -> OAuthError {
    let rules = &provider.entry.errors;
    let read = answer.object().map(|members| Answer::new(members, []));
    let means = |rule: &Option<provider::Expression>| {
        read.as_ref().is_some_and(|read| rule.as_ref().is_some_and(|rule| rule.is_true(read)))
    };
    let excerpt = answer.excerpt();
    if answer.exhausted || means(&rules.busy) {
        return refuse::provider_down(provider, excerpt);
    }
    if means(&rules.expired) {
        return refuse::token_expired(provider);
    }
    if means(&rules.misconfigured) {
        return refuse::misconfigured(provider, excerpt);
    }
    match answer.status {
        200..300 | 400 | 401 | 403 | 404 => refuse::token_rejected(provider, excerpt),
        500.. => refuse::provider_down(provider, excerpt),
        _ => refuse::bad_answer(provider, excerpt),
    }
}

/// A GET with the token where the entry wants it.
fn with_token(provider: &Provider, url: String, token: &str) -> Call {
    let rule = &provider.entry.access_token;
    let mut headers = provider.headers();
    let url = match rule.place {
        TokenPlace::Header => {
            headers.push(("authorization".into(), format!("{} {token}", rule.scheme)));
            url
        }
        TokenPlace::Query => template::with_query(&url, &rule.name, token),
    };
    Call { headers, secrets: provider.secrets(token), ..Call::get(url) }
}

fn audience_call(provider: &Provider, check: &AudienceCheck, token: &str) -> Call {
    let variables = provider.variables(token);
    let body = match (&check.json, &check.form) {
        (Some(json), _) => {
            Body::Json(json.iter().map(|(name, value)| (name.clone(), json!(value.plain(&variables)))).collect())
        }
        (None, Some(form)) => {
            Body::Form(form.iter().map(|(name, value)| (name.clone(), value.plain(&variables))).collect())
        }
        (None, None) => Body::None,
    };
    Call {
        method: match check.method {
            provider::Method::Get => Method::GET,
            provider::Method::Post => Method::POST,
        },
        url: check.url.url(&variables),
        headers: provider.headers(),
        basic: check.basic.then(|| (provider.client_id().to_owned(), provider.secret().unwrap_or_default().to_owned())),
        body,
        secrets: provider.secrets(token),
    }
}

/// Of two refusals the one that tells more: a foreign token is a foreign token also while user info is down.
fn more_telling(one: OAuthError, other: OAuthError) -> OAuthError {
    let rank = |error: &OAuthError| match error.reason {
        Some(Reason::ForeignAudience) => 0,
        Some(Reason::ProviderMisconfigured) => 1,
        Some(Reason::TokenExpired) => 2,
        Some(Reason::TokenRejected) => 3,
        Some(Reason::ProviderUnreachable) => 5,
        _ => 4,
    };
    if rank(&other) < rank(&one) { other } else { one }
}
