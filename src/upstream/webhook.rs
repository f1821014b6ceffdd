//! Calls to the operator's own webhooks. Their addresses stand in the configuration, so they may be private ones.

use std::time::Duration;

use reqwest::Method;
use tokio::sync::Semaphore;

use super::outbound::{Body, Call};
use super::{Undelivered, Upstream};

/// How many calls to webhooks run at once, all together.
const LANE: usize = 64;

/// The places of calls that run.
pub(super) struct Webhooks(Semaphore);

impl Default for Webhooks {
    fn default() -> Self {
        Self(Semaphore::new(LANE))
    }
}

/// What a webhook answered.
pub struct WebhookAnswer {
    /// The status.
    pub status: u16,
    /// The body, bounded as every answer.
    pub body: Vec<u8>,
    /// Host, status and the beginning of the body, for the log.
    pub excerpt: String,
}

impl Upstream {
    /// Posts JSON to a webhook, and gives whatever it answers.
    ///
    /// # Errors
    /// That there is no answer, for the log.
    pub async fn call_webhook(
        &self,
        url: &str,
        headers: Vec<(String, String)>,
        payload: String,
        timeout: Duration,
    ) -> Result<WebhookAnswer, Undelivered> {
        let call = Call {
            method: Method::POST,
            headers,
            body: Body::Text("application/json", payload),
            ..Call::get(url.to_owned())
        };
        let answer = self.outbound.call_operators(&self.webhooks.0, call, timeout).await;
        let answer = answer.map_err(|failure| Undelivered::new(failure.to_string()))?;
        Ok(WebhookAnswer { status: answer.status, excerpt: answer.excerpt(), body: answer.body })
    }
}
