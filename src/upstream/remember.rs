//! A provider's token in a header is asked about once and then remembered: for a short, set time, and never past its own
//! expiry. A hundred requests with it at once make one call. Refusals are not kept.

use std::sync::Arc;
use std::time::Duration;

use vestibule_protocol::{OAuthError, TokenDigest};

use super::refuse::Trouble;
use super::{Identified, Provider, Upstream};

/// Tokens that were found good, by provider and digest.
pub(super) struct Remembered {
    found: moka::future::Cache<(String, TokenDigest), Found>,
    ttl: i64,
}

#[derive(Clone)]
struct Found {
    identified: Arc<Identified>,
    /// In seconds since 1970, by our clock.
    good_until: i64,
}

impl Remembered {
    pub(super) fn new(ttl: Duration) -> Self {
        let found = moka::future::Cache::builder()
            .max_capacity(100_000)
            .time_to_live(ttl.max(Duration::from_millis(1)))
            .build();
        Self { found, ttl: i64::try_from(ttl.as_secs()).unwrap_or(i64::MAX) }
    }
}

impl Upstream {
    /// Whom this token speaks for, as it was found lately or is found now.
    ///
    /// # Errors
    /// As [`Upstream::identify`].
    pub async fn identify_remembered(&self, provider: &Provider, token: &str) -> Result<Arc<Identified>, OAuthError> {
        let key = (provider.name().to_owned(), TokenDigest::of(token));
        let now = self.clock.now();
        if let Some(found) = self.remembered.found.get(&key).await {
            if found.good_until > now {
                return Ok(found.identified);
            }
            self.remembered.found.invalidate(&key).await;
        }
        let ask = async {
            let identified = Arc::new(self.by_token(provider, token, None).await?);
            let good_until = identified.expires_at.unwrap_or(i64::MAX).min(now.saturating_add(self.remembered.ttl));
            Ok(Found { identified, good_until })
        };
        let found = self.remembered.found.try_get_with(key, ask).await;
        found.map(|found| found.identified).map_err(|trouble: Arc<Trouble>| trouble.refusal(provider))
    }
}
