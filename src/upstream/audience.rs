//! For whom an access token was made (`[audience]`).
//!
//! An access token says nothing by itself. That it works proves only that somebody's application got it; that it was made
//! for ours, the provider must say, or anybody's application could sign in here as its own users.

use reqwest::Method;
use serde_json::Value;

use super::keys::{keys, newer_keys};
use super::outbound::{Body, Call};
use super::person::{Known, with_token};
use super::token_endpoint::filled;
use super::{Provider, Upstream, refuse};
use crate::protocol::OAuthError;
use crate::protocol::jose::LEEWAY;
use crate::protocol::jwt::Jwt;
use crate::protocol::provider::{self, Answer, AudienceCheck, AudienceSource};

/// What the audience check says of a good token.
#[derive(Default)]
pub(super) struct Proof {
    pub subject: Option<String>,
    pub expires_at: Option<i64>,
    /// The claims of a token that is a JWT.
    pub claims: serde_json::Map<String, Value>,
}

impl Upstream {
    /// Asks for whom a token was made, or reads it in the token. What stands in the answers about the person comes later
    /// ([`Upstream::audience_in`]).
    pub(super) async fn prove_audience(
        &self,
        provider: &Provider,
        check: &AudienceCheck,
        token: &str,
    ) -> Result<Proof, OAuthError> {
        match check.source {
            AudienceSource::Request => self.ask_audience(provider, check, token).await,
            AudienceSource::Jwt => self.read_audience(provider, check, token).await,
            AudienceSource::Profile | AudienceSource::Calls => Ok(Proof::default()),
        }
    }

    /// For whom a token was made, in what the provider said of it.
    pub(super) fn audience_in(
        &self,
        provider: &Provider,
        check: &AudienceCheck,
        read: &Answer,
        cause: impl Fn() -> String,
    ) -> Result<Proof, OAuthError> {
        let now = self.clock.now();
        let audiences = check.audience.as_ref().map(|path| path.identifiers(read)).unwrap_or_default();
        let is_ours = |audience: &String| match &check.is_setting {
            Some(setting) => audience == provider.value(setting),
            None => provider.client_ids.contains(audience),
        };
        if !audiences.is_empty() && !audiences.iter().any(is_ours) {
            return Err(refuse::foreign_audience(provider));
        }
        let number = |path: &Option<provider::Expression>| path.as_ref().and_then(|path| path.number(read));
        let at = number(&check.expires_at).filter(|at| *at != 0);
        let expires_at = at.or_else(|| number(&check.expires_in).map(|seconds| now.saturating_add(seconds)));
        if expires_at.is_some_and(|at| at <= now) {
            return Err(refuse::token_expired(provider));
        }
        if check.valid.as_ref().is_some_and(|valid| !valid.is_true(read)) {
            return Err(refuse::token_rejected(provider, cause()));
        }
        // Where no client is named, the question was one that only our own tokens pass.
        if audiences.is_empty() && check.audience.is_some() {
            return Err(refuse::unproven_audience(provider).with_cause(cause()));
        }
        let subject = check.subject.as_ref().and_then(|subject| subject.identifier(read));
        Ok(Proof { subject, expires_at, ..Proof::default() })
    }

    async fn ask_audience(&self, provider: &Provider, check: &AudienceCheck, token: &str) -> Result<Proof, OAuthError> {
        let answer = self.ask(provider, audience_call(provider, check, token)?).await?;
        let means = answer.meaning();
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
        let members = answer.object().ok_or_else(|| refuse::bad_answer(provider, answer.excerpt()))?;
        let refused = members.get("error").is_some_and(|error| error.is_string() || error.is_object());
        let proof = self.audience_in(provider, check, &Answer::new(members, []), || answer.excerpt());
        match proof {
            // No audience, and an error in its place.
            Err(error) if refused && error.reason == Some(crate::protocol::Reason::UnprovenAudience) => {
                Err(refuse::token_rejected(provider, answer.excerpt()))
            }
            other => other,
        }
    }

    /// A token that is a JWT (RFC 9068 and what there was before it), by the provider's published keys.
    async fn read_audience(
        &self,
        provider: &Provider,
        check: &AudienceCheck,
        token: &str,
    ) -> Result<Proof, OAuthError> {
        let rejected = |why: &str| refuse::token_rejected(provider, why.to_owned());
        // Some of a provider's tokens are JWTs and some are not: of those nobody knows for whom they are.
        let Some(jwt) = Jwt::parse(token) else { return Err(refuse::unproven_audience(provider)) };
        let now = self.clock.now();
        match &provider.given_key {
            // Whose key it is, the operator has said: no issuer has to.
            Some((key, algorithms)) if jwt.is_signed_by(key, algorithms) => {}
            Some(_) => return Err(rejected("the key in `public_key` did not sign it")),
            None => self.must_be_signed(provider, &jwt, token, now).await?,
        }
        let expires_at = jwt.instant("exp").ok().flatten();
        if expires_at.is_none_or(|at| at <= now) {
            return Err(refuse::token_expired(provider));
        }
        if !jwt.is_current(now, LEEWAY) {
            return Err(rejected("it is not valid yet"));
        }
        let read = Answer::new(jwt.claims.clone(), []);
        let proof = self.audience_in(provider, check, &read, || "no audience in the JWT".to_owned())?;
        Ok(Proof { expires_at, claims: jwt.claims, ..proof })
    }

    /// By a key that the provider publishes.
    async fn must_be_signed(
        &self,
        provider: &Provider,
        jwt: &Jwt<'_>,
        token: &str,
        now: i64,
    ) -> Result<(), OAuthError> {
        let rejected = |why: &str| refuse::token_rejected(provider, why.to_owned());
        let issuers = self.issuers(provider, token).await?;
        if !jwt.text("iss").is_some_and(|issuer| issuers.iter().any(|known| known == issuer)) {
            return Err(refuse::other_issuer(provider));
        }
        let allowed = &provider.entry.id_token.algorithms;
        let known = keys(&self.outbound, provider, now).await.map_err(|error| error.refusal(provider))?;
        if !jwt.is_signed_by(&known, allowed) {
            // The provider may have changed its keys a moment ago.
            let newer = newer_keys(&self.outbound, provider, now).await.map_err(|error| error.refusal(provider))?;
            if !jwt.is_signed_by(&newer, allowed) {
                return Err(rejected("no key of the provider's signed it"));
            }
        }
        Ok(())
    }
}

fn audience_call(provider: &Provider, check: &AudienceCheck, token: &str) -> Result<Call, OAuthError> {
    let answer = Known::default().answer(provider, token);
    let variables = provider.variables(token, &answer);
    let unfilled = |error: provider::NothingThere| refuse::misconfigured(provider, error.to_string());
    let body = match (&check.json, &check.form) {
        (Some(json), _) => Body::json(filled(json, &variables).map_err(unfilled)?),
        (None, Some(form)) => Body::Form(filled(form, &variables).map_err(unfilled)?),
        (None, None) => Body::None,
    };
    let url = check.url.as_ref().ok_or_else(|| refuse::misconfigured(provider, "no `audience.url`".into()))?;
    let mut headers = provider.headers(&variables);
    headers.extend(filled(&check.headers, &variables).map_err(unfilled)?);
    let basic = || (provider.client_id().to_owned(), provider.secret().unwrap_or_default().to_owned());
    let mut call = Call {
        method: match check.method {
            provider::Method::Get => Method::GET,
            provider::Method::Post => Method::POST,
            provider::Method::Delete => Method::DELETE,
        },
        url: provider.endpoint(url, &variables)?,
        headers,
        basic: check.basic.then(basic),
        body,
        secrets: provider.secrets(token),
    };
    if check.bearer {
        with_token(&provider.entry.access_token, &mut call, token);
    }
    Ok(call)
}
