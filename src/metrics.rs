//! What is counted, and how it is written for Prometheus (OpenMetrics).
//!
//! A label takes only words that we know: route templates, grant types, enabled providers, reasons. No input of a
//! client's becomes a label, so the memory stays flat.

use std::fmt::Write as _;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;
use vestibule_protocol::{GrantType, OAuthError};

/// The counters of one server.
pub struct Metrics {
    registry: Registry,
    requests: Family<RequestLabels, Counter>,
    durations: Family<RouteLabels, Histogram>,
    tokens_issued: Family<GrantLabels, Counter>,
    conversions: Family<ConversionLabels, Counter>,
    people_created: Family<ProviderLabels, Counter>,
    refresh_replays: Counter,
    code_replays: Counter,
    expired_deleted: Counter,
    hashes_waiting: Gauge,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    method: &'static str,
    route: String,
    status: u16,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RouteLabels {
    route: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct GrantLabels {
    grant_type: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ConversionLabels {
    provider: String,
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ProviderLabels {
    provider: String,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("vestibule");
        let metrics = Self {
            requests: Family::default(),
            durations: Family::new_with_constructor(|| Histogram::new(exponential_buckets(0.0005, 2.0, 16))),
            tokens_issued: Family::default(),
            conversions: Family::default(),
            people_created: Family::default(),
            refresh_replays: Counter::default(),
            code_replays: Counter::default(),
            expired_deleted: Counter::default(),
            hashes_waiting: Gauge::default(),
            registry: Registry::default(),
        };
        registry.register("http_requests", "Requests answered", metrics.requests.clone());
        registry.register("http_request_duration_seconds", "Time to answer, in seconds", metrics.durations.clone());
        registry.register("tokens_issued", "Pairs of tokens issued", metrics.tokens_issued.clone());
        registry.register(
            "conversions",
            "Provider tokens and codes presented, by outcome",
            metrics.conversions.clone(),
        );
        registry.register("people_created", "Accounts made at a first sign-in", metrics.people_created.clone());
        registry.register(
            "refresh_replays",
            "Refresh tokens used twice; each ended a family",
            metrics.refresh_replays.clone(),
        );
        registry.register(
            "code_replays",
            "Authorization codes redeemed twice; each ended a family",
            metrics.code_replays.clone(),
        );
        registry.register("expired_rows_deleted", "Rows removed by the clean-up", metrics.expired_deleted.clone());
        registry.register("password_hashes_waiting", "Sign-ins that wait for a hash", metrics.hashes_waiting.clone());
        Self { registry, ..metrics }
    }
}

impl Metrics {
    /// A request was answered. `route` is the template, never the path.
    pub fn answered(&self, method: &http::Method, route: &str, status: u16, seconds: f64) {
        let method = match method.as_str() {
            "GET" => "GET",
            "POST" => "POST",
            "HEAD" => "HEAD",
            "OPTIONS" => "OPTIONS",
            _ => "other",
        };
        self.requests.get_or_create(&RequestLabels { method, route: route.to_owned(), status }).inc();
        self.durations.get_or_create(&RouteLabels { route: route.to_owned() }).observe(seconds);
    }

    /// A pair was issued.
    pub fn issued(&self, grant_type: GrantType) {
        self.tokens_issued.get_or_create(&GrantLabels { grant_type: grant_type.as_str() }).inc();
    }

    /// A provider's token or code was taken, or refused.
    pub fn converted(&self, provider: &str, refused: Option<&OAuthError>) {
        let outcome = refused.map_or("accepted", OAuthError::word);
        self.conversions.get_or_create(&ConversionLabels { provider: provider.to_owned(), outcome }).inc();
    }

    /// A provider's account was found or connected.
    pub fn linked(&self, provider: &str, is_new: bool) {
        if is_new {
            self.people_created.get_or_create(&ProviderLabels { provider: provider.to_owned() }).inc();
        }
    }

    /// A refresh token was used twice.
    pub fn refresh_replayed(&self) {
        self.refresh_replays.inc();
    }

    /// An authorization code was redeemed twice.
    pub fn code_replayed(&self) {
        self.code_replays.inc();
    }

    /// The clean-up removed rows.
    pub fn deleted(&self, rows: u64) {
        self.expired_deleted.inc_by(rows);
    }

    /// Everything, as OpenMetrics text.
    pub fn text(&self, hashes_waiting: usize) -> String {
        self.hashes_waiting.set(i64::try_from(hashes_waiting).unwrap_or(i64::MAX));
        let mut text = String::new();
        if encode(&mut text, &self.registry).is_err() {
            text.clear();
            let _ = write!(text, "# EOF");
        }
        text
    }
}
