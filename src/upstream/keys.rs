//! What a provider publishes, kept: its discovery document (OpenID Connect Discovery) and its signing keys (RFC 7517).
//!
//! Fetched by one request for all that wait. Fresh for an hour; for a day they serve on if the provider does not answer.
//! A `kid` that is not among the keys is a reason to fetch again, but not more than once in half a minute: whoever sends
//! made-up `kid`s costs the provider two calls a minute.

use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};

use serde::Deserialize;

use super::outbound::{Answer, Call, Failure, Outbound};
use super::{Provider, refuse};
use crate::protocol::OAuthError;
use crate::protocol::key_set::KeySet;

const FRESH: i64 = 3_600;
const KEPT: i64 = 86_400;
const PAUSE: i64 = 30;

/// A fetched value and the state of its fetching.
pub(super) struct Cached<T> {
    state: Mutex<State<T>>,
    /// Held by whoever fetches.
    flight: tokio::sync::Mutex<()>,
}

struct State<T> {
    value: Option<(Arc<T>, i64)>,
    /// When the last fetch ended, and how if badly.
    last: Option<(i64, Option<Unusable>)>,
    /// When it was last fetched because something was missing in it.
    refetched_at: Option<i64>,
    fetches: u64,
}

/// Why what a provider publishes is of no use.
#[derive(Clone, Debug, thiserror::Error)]
pub(super) enum Unusable {
    #[error(transparent)]
    Failed(#[from] Failure),
    /// It answered with a status of its own.
    #[error("{1}")]
    Status(u16, String),
    /// Something else arrived.
    #[error("{0}")]
    NotThat(String),
    /// The entry does not say where it is.
    #[error("{0}")]
    Misconfigured(String),
}

impl<T> Default for Cached<T> {
    fn default() -> Self {
        let state = State { value: None, last: None, refetched_at: None, fetches: 0 };
        Self { state: Mutex::new(state), flight: tokio::sync::Mutex::new(()) }
    }
}

impl<T> Cached<T> {
    /// The value, fetched if it must be.
    pub async fn get<F>(&self, now: i64, fetch: impl FnOnce() -> F) -> Result<Arc<T>, Unusable>
    where
        F: Future<Output = Result<T, Unusable>>,
    {
        match self.kept(now) {
            Some((value, at)) if now - at < FRESH => Ok(value),
            // Old, and somebody is at it, or it just failed: nobody else waits.
            Some((value, _)) if self.flight.try_lock().is_err() || self.just_tried(now) => Ok(value),
            Some((value, _)) => Ok(self.fetch(now, fetch).await.unwrap_or(value)),
            None => self.fetch(now, fetch).await,
        }
    }

    /// The value, fetched anew unless that was done in the last half minute.
    pub async fn refetch<F>(&self, now: i64, fetch: impl FnOnce() -> F) -> Result<Arc<T>, Unusable>
    where
        F: Future<Output = Result<T, Unusable>>,
    {
        let paused = self.with(|state| state.refetched_at.is_some_and(|at| now - at < PAUSE));
        match (paused, self.last_failure(), self.kept(now)) {
            (true, Some(failure), _) => Err(failure),
            (true, None, Some((value, _))) => Ok(value),
            _ => {
                // Marked afterwards: whoever comes while it is under way waits for it.
                let fetched = self.fetch(now, fetch).await;
                self.with(|state| state.refetched_at = Some(now));
                fetched
            }
        }
    }

    /// Fetches, or shares what the one brought that fetched while we waited, good or bad.
    async fn fetch<F>(&self, now: i64, fetch: impl FnOnce() -> F) -> Result<Arc<T>, Unusable>
    where
        F: Future<Output = Result<T, Unusable>>,
    {
        let before = self.with(|state| state.fetches);
        let _flight = self.flight.lock().await;
        if self.with(|state| state.fetches) != before {
            return match (self.last_failure(), self.kept(now)) {
                (Some(failure), _) => Err(failure),
                (None, Some((value, _))) => Ok(value),
                (None, None) => Err(Unusable::NotThat("nothing was fetched".into())),
            };
        }
        let fetched = fetch().await.map(Arc::new);
        self.with(|state| {
            state.fetches += 1;
            state.last = Some((now, fetched.as_ref().err().cloned()));
            if let Ok(value) = &fetched {
                state.value = Some((Arc::clone(value), now));
            }
        });
        fetched
    }

    fn kept(&self, now: i64) -> Option<(Arc<T>, i64)> {
        self.with(|state| {
            state.value.as_ref().filter(|(_, at)| now - at < KEPT).map(|(value, at)| (Arc::clone(value), *at))
        })
    }

    fn just_tried(&self, now: i64) -> bool {
        self.with(|state| state.last.as_ref().is_some_and(|(at, _)| now - at < PAUSE))
    }

    fn last_failure(&self) -> Option<Unusable> {
        self.with(|state| state.last.as_ref().and_then(|(_, failure)| failure.clone()))
    }

    fn with<R>(&self, work: impl FnOnce(&mut State<T>) -> R) -> R {
        work(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// What we use of a discovery document.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Discovery {
    pub issuer: String,
    pub authorization_endpoint: Option<String>,
    pub token_endpoint: Option<String>,
    pub userinfo_endpoint: Option<String>,
    jwks_uri: Option<String>,
    #[serde(default)]
    pub token_endpoint_auth_methods_supported: Option<Vec<String>>,
}

/// A provider's discovery document.
pub(super) async fn discovery(outbound: &Outbound, provider: &Provider, now: i64) -> Result<Arc<Discovery>, Unusable> {
    provider.discovery.get(now, || fetch_discovery(outbound, provider)).await
}

/// A provider's keys, from memory if they are there.
pub(super) async fn keys(outbound: &Outbound, provider: &Provider, now: i64) -> Result<Arc<KeySet>, Unusable> {
    provider.keys.get(now, || fetch_keys(outbound, provider, now)).await
}

/// A provider's keys, asked for again because a `kid` is not among those in memory.
pub(super) async fn newer_keys(outbound: &Outbound, provider: &Provider, now: i64) -> Result<Arc<KeySet>, Unusable> {
    provider.keys.refetch(now, || fetch_keys(outbound, provider, now)).await
}

async fn fetch_discovery(outbound: &Outbound, provider: &Provider) -> Result<Discovery, Unusable> {
    let missing = || Unusable::Misconfigured("the entry has neither the endpoint nor an issuer".into());
    let url = provider.discovery_url().ok_or_else(missing)?;
    let answer = outbound.call(&provider.lane, provider.plain_get(url)).await?;
    let answer = successful(answer)?;
    let document: Discovery = serde_json::from_slice(&answer.body)
        .map_err(|_| Unusable::NotThat(format!("no discovery document: {}", answer.excerpt())))?;
    if !provider.is_own_document(&document.issuer) {
        return Err(Unusable::Misconfigured("the discovery document is another issuer's".into()));
    }
    Ok(document)
}

async fn fetch_keys(outbound: &Outbound, provider: &Provider, now: i64) -> Result<KeySet, Unusable> {
    if let Some(endpoint) = &provider.entry.endpoints.jwks {
        let url = provider.fixed(endpoint).map_err(|error| Unusable::Misconfigured(error.to_string()))?;
        match fetch_key_set(outbound, provider, url).await {
            Err(Unusable::Status(404, _)) => {}
            other => return other,
        }
    }
    let document = discovery(outbound, provider, now).await?;
    let url = document.jwks_uri.clone();
    let url = url.ok_or_else(|| Unusable::Misconfigured("the discovery document has no `jwks_uri`".into()))?;
    fetch_key_set(outbound, provider, url).await
}

async fn fetch_key_set(outbound: &Outbound, provider: &Provider, url: String) -> Result<KeySet, Unusable> {
    let answer = successful(outbound.call(&provider.lane, provider.plain_get(url)).await?)?;
    KeySet::parse(&answer.body).map_err(|error| Unusable::NotThat(format!("{error}: {}", answer.excerpt())))
}

fn successful(answer: Answer) -> Result<Answer, Unusable> {
    if answer.is_success() { Ok(answer) } else { Err(Unusable::Status(answer.status, answer.excerpt())) }
}

impl Provider {
    fn plain_get(&self, url: String) -> Call {
        Call { headers: self.plain_headers(), ..Call::get(url) }
    }
}

impl Unusable {
    /// The refusal for somebody whose token or code could not be checked for want of it.
    pub fn refusal(self, provider: &Provider) -> OAuthError {
        match self {
            Self::Failed(failure) => refuse::failed(provider, failure),
            Self::Status(status, excerpt) if status == 429 || status >= 500 => refuse::provider_down(provider, excerpt),
            Self::Status(_, excerpt) | Self::NotThat(excerpt) => refuse::bad_answer(provider, excerpt),
            Self::Misconfigured(why) => refuse::misconfigured(provider, why),
        }
    }
}
