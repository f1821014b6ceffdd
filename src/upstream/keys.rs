//! A provider's published keys and discovery document, fetched once for everybody and kept.
//!
//! Keys count for a day, are fetched anew after an hour, and stay in use when that fails. A token that names a key which
//! is not among them is worth one more fetch, but no more than one in half a minute: nobody can make us flood a provider
//! by inventing names. Whoever comes while a fetch runs waits for it and takes its outcome.

use std::sync::Arc;

use serde_json::Value;
use tokio::sync::Mutex;
use vestibule_protocol::jose::KeySet;

use super::Upstream;
use super::refuse::Trouble;
use super::{Provider, outbound::Call};

/// Seconds for which what was fetched counts.
const KEPT: i64 = 86_400;
/// Seconds after which it is fetched anew while the old stays in use.
const FRESH: i64 = 3_600;
/// Seconds between two fetches that a token's unknown `kid` can cause.
const REFETCH_PAUSE: i64 = 30;

/// What is known of a provider from its own documents.
#[derive(Default)]
pub(super) struct Known {
    discovery: Mutex<Option<(Arc<Discovery>, i64)>>,
    keys: Mutex<Option<Kept>>,
}

struct Kept {
    keys: Arc<KeySet>,
    fetched_at: i64,
    tried_at: i64,
}

/// The part of a discovery document that we use (OpenID Connect Discovery §3).
#[derive(Debug, serde::Deserialize)]
pub(super) struct Discovery {
    pub issuer: String,
    pub token_endpoint: Option<String>,
    pub userinfo_endpoint: Option<String>,
    pub jwks_uri: Option<String>,
    #[serde(default)]
    pub token_endpoint_auth_methods_supported: Option<Vec<String>>,
}

/// Why keys are asked for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted {
    /// To verify with.
    Any,
    /// Those at hand lacked the token's.
    NewerThan(i64),
}

impl Upstream {
    /// The discovery document of the provider's first issuer, whose `issuer` must be that one, letter by letter (§4.3).
    pub(super) async fn discovery(&self, provider: &Provider) -> Result<Arc<Discovery>, Trouble> {
        let issuer = provider
            .entry
            .issuer
            .first()
            .ok_or(Trouble::Misconfigured("no issuer, so no discovery document".into()))?;
        let mut known = provider.known.discovery.lock().await;
        let now = self.clock.now();
        if let Some((document, fetched_at)) = &*known
            && now - fetched_at < KEPT
        {
            return Ok(document.clone());
        }
        let url = format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/'));
        let answer = self.ask(provider, Call::get(url)).await?;
        if answer.status != 200 {
            return Err(Trouble::BadAnswer(format!("discovery answered {}", answer.status)));
        }
        let document: Discovery = serde_json::from_slice(&answer.body)
            .map_err(|error| Trouble::BadAnswer(format!("discovery is no such document: {error}")))?;
        if &document.issuer != issuer {
            return Err(Trouble::Misconfigured(
                "the discovery document names another issuer than the configured one".into(),
            ));
        }
        let document = Arc::new(document);
        *known = Some((document.clone(), now));
        Ok(document)
    }

    /// The keys to verify ID tokens with, and when they were fetched.
    pub(super) async fn keys(&self, provider: &Provider, wanted: Wanted) -> Result<(Arc<KeySet>, i64), Trouble> {
        let mut kept = provider.known.keys.lock().await;
        let now = self.clock.now();
        if let Some(kept) = &mut *kept {
            let good = now - kept.fetched_at < KEPT;
            let paused = now - kept.tried_at < REFETCH_PAUSE;
            let worth_a_fetch = match wanted {
                // Somebody else's fetch since then is the one more that an unknown key is worth.
                Wanted::NewerThan(at) => kept.fetched_at <= at,
                Wanted::Any => now - kept.fetched_at >= FRESH,
            };
            if good && (paused || !worth_a_fetch) {
                return Ok((kept.keys.clone(), kept.fetched_at));
            }
            kept.tried_at = now;
        }
        match (self.fetch_keys(provider).await, &mut *kept) {
            (Ok(keys), slot) => {
                let keys = Arc::new(keys);
                // One more than before, so that a fetch within the same second counts as newer.
                let fetched_at = slot.as_ref().map_or(now, |old| now.max(old.fetched_at + 1));
                *slot = Some(Kept { keys: keys.clone(), fetched_at, tried_at: now });
                Ok((keys, fetched_at))
            }
            (Err(trouble), Some(kept)) if now - kept.fetched_at < KEPT => {
                tracing::warn!(provider = provider.name(), %trouble, "could not fetch keys anew; the old ones stay in use");
                Ok((kept.keys.clone(), kept.fetched_at))
            }
            (Err(trouble), _) => Err(trouble),
        }
    }

    async fn fetch_keys(&self, provider: &Provider) -> Result<KeySet, Trouble> {
        if let Some(template) = &provider.entry.endpoints.jwks {
            let answer = self.ask(provider, Call::get(template.url(&provider.variables("")))).await?;
            if answer.status == 200 {
                return read(&answer.body);
            }
            if provider.entry.issuer.is_empty() || answer.status != 404 {
                return Err(Trouble::BadAnswer(format!("the keys' address answered {}", answer.status)));
            }
        }
        let discovery = self.discovery(provider).await?;
        let url =
            discovery.jwks_uri.clone().ok_or(Trouble::BadAnswer("the discovery document names no jwks_uri".into()))?;
        let answer = self.ask(provider, Call::get(url)).await?;
        match answer.status {
            200 => read(&answer.body),
            other => Err(Trouble::BadAnswer(format!("the keys' address answered {other}"))),
        }
    }
}

fn read(body: &[u8]) -> Result<KeySet, Trouble> {
    KeySet::parse(body).map_err(|error| Trouble::BadAnswer(error.to_string()))
}

/// The document as JSON, for a provider that has no more to say than an object.
pub(super) fn object(body: &[u8]) -> Option<Value> {
    serde_json::from_slice::<Value>(body)
        .ok()
        .filter(|value| value.as_object().is_some_and(|members| !members.is_empty()))
}
