//! What clients publish and where they are told something: their keys, documents about them, sign-outs. Any address here
//! was given by a client, so every call goes through the guard like a provider's.

use std::sync::Arc;
use std::time::Duration;

use reqwest::Method;
use tokio::sync::Semaphore;

use super::Upstream;
use super::keys::{Cached, Unusable};
use super::outbound::{Answer, Body, Call};
use crate::protocol::OAuthError;
use crate::protocol::key_set::KeySet;

/// How many calls to clients run at once, all clients together.
const LANE: usize = 16;

/// The key sets of clients that were asked for lately.
pub(super) struct ClientDocuments {
    lane: Semaphore,
    keys: moka::sync::Cache<String, Arc<Cached<KeySet>>>,
}

impl Default for ClientDocuments {
    fn default() -> Self {
        let keys = moka::sync::Cache::builder().max_capacity(1_000).time_to_idle(Duration::from_secs(86_400)).build();
        Self { lane: Semaphore::new(LANE), keys }
    }
}

/// Something could not be delivered; for the log.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Undelivered(String);

impl Undelivered {
    pub(super) fn new(why: String) -> Self {
        Self(why)
    }
}

impl Upstream {
    /// The keys at a client's `jwks_uri`; `newer`: asked for again because one is not among those in memory.
    ///
    /// # Errors
    /// `invalid_client` where they cannot be had.
    pub async fn client_keys(&self, url: &str, newer: bool) -> Result<Arc<KeySet>, OAuthError> {
        let cached = self.clients.keys.get_with(url.to_owned(), Arc::default);
        let now = self.clock.now();
        let fetch = || async {
            let answer = self.fetch_client(url).await?;
            KeySet::parse(&answer.body).map_err(|error| Unusable::NotThat(format!("{error}: {}", answer.excerpt())))
        };
        let keys = if newer { cached.refetch(now, fetch).await } else { cached.get(now, fetch).await };
        keys.map_err(|error| {
            OAuthError::invalid_client("The keys at this client's `jwks_uri` could not be read.").with_cause(error)
        })
    }

    /// A JSON document that a client names: one about itself, or the redirect URIs of its sector.
    ///
    /// # Errors
    /// What went wrong, for the log.
    pub async fn client_document(&self, url: &str) -> Result<serde_json::Value, Undelivered> {
        let answer = self.fetch_client(url).await.map_err(|error| Undelivered(error.to_string()))?;
        answer.json().ok_or_else(|| Undelivered(answer.excerpt()))
    }

    /// Tells a client of a sign-out (OpenID Connect Back-Channel Logout §2.5).
    ///
    /// # Errors
    /// What went wrong, for the log.
    pub async fn send_logout_token(&self, url: &str, logout_token: &str) -> Result<(), Undelivered> {
        let call = Call {
            method: Method::POST,
            body: Body::Form(vec![("logout_token".to_owned(), logout_token.to_owned())]),
            secrets: vec![logout_token.to_owned()],
            ..Call::get(url.to_owned())
        };
        let sent = self.outbound.call(&self.clients.lane, call).await;
        match sent.map_err(|failure| Undelivered(failure.to_string()))? {
            answer if answer.is_success() => Ok(()),
            answer => Err(Undelivered(answer.excerpt())),
        }
    }

    /// Whether the operator has mapped this address's origin, so that it may be plain http.
    pub fn is_mapped(&self, url: &str) -> bool {
        self.outbound.is_mapped(url)
    }

    async fn fetch_client(&self, url: &str) -> Result<Answer, Unusable> {
        let answer = self.outbound.call(&self.clients.lane, Call::get(url.to_owned())).await?;
        if answer.is_success() { Ok(answer) } else { Err(Unusable::Status(answer.status, answer.excerpt())) }
    }
}
