//! Tokens of providers that were verified a moment ago, so that an API that is called with `Bearer <backend> <token>` does
//! not ask the provider at every request. Many at once with the same token make one call. Refusals are not kept.

use std::sync::Arc;
use std::time::Duration;

use moka::future::Cache;

use super::{Credential, Identified, Presented, Provider, Upstream};
use crate::protocol::{OAuthError, TokenDigest};

/// How many tokens are remembered.
const CAPACITY: u64 = 10_000;

type Key = (String, TokenDigest);

/// The memory. Its own time to live only frees space: `until` decides.
pub(super) struct Remembered {
    cache: Cache<Key, Outcome>,
    ttl: i64,
}

#[derive(Clone)]
enum Outcome {
    Good {
        identified: Arc<Identified>,
        until: i64,
    },
    /// For those who waited for the same call.
    Refused(Arc<OAuthError>),
}

impl Remembered {
    pub fn new(ttl: Duration) -> Self {
        let cache = Cache::builder().max_capacity(CAPACITY).time_to_live(ttl.max(Duration::from_secs(1))).build();
        Self { cache, ttl: i64::try_from(ttl.as_secs()).unwrap_or(i64::MAX) }
    }
}

impl Upstream {
    /// Like [`Upstream::identify`] for a token, remembered for `tokens.provider_token_ttl` and never past its own expiry.
    ///
    /// # Errors
    /// As [`Upstream::identify`].
    pub async fn identify_remembered(&self, provider: &Provider, token: &str) -> Result<Arc<Identified>, OAuthError> {
        let key = (provider.name().to_owned(), TokenDigest::of(token));
        let presented = Presented { credential: Credential::Token(token.to_owned()), nonce: None };
        let asked = async {
            match self.identify(provider, &presented).await {
                Ok(identified) => {
                    let until = self.clock.now().saturating_add(self.remembered.ttl);
                    let until = identified.expires_at.map_or(until, |end| end.min(until));
                    Outcome::Good { identified: Arc::new(identified), until }
                }
                Err(error) => Outcome::Refused(Arc::new(error)),
            }
        };
        let now = self.clock.now();
        let stale = |outcome: &Outcome| match outcome {
            Outcome::Good { until, .. } => *until <= now,
            Outcome::Refused(_) => true,
        };
        let entry = self.remembered.cache.entry_by_ref(&key).or_insert_with_if(asked, stale).await;
        let fresh = entry.is_fresh();
        match entry.into_value() {
            Outcome::Good { identified, .. } => Ok(identified),
            Outcome::Refused(error) => {
                if fresh {
                    self.remembered.cache.invalidate(&key).await;
                }
                Err(again(&error))
            }
        }
    }
}

/// The same refusal for another of those who waited.
fn again(error: &OAuthError) -> OAuthError {
    OAuthError {
        code: error.code,
        description: error.description.clone(),
        reason: error.reason,
        field: error.field,
        dpop_nonce: None,
        basic_challenge: false,
        retry_after: error.retry_after,
        status: error.status,
        cause: error.cause.as_ref().map(|cause| cause.to_string().into()),
    }
}
