//! What the dashboard shows: sign-ins, conversions, refusals, tokens and how long providers take, counted on every node and
//! summed up in the database.
//!
//! Counted in memory, under a lock that is held for a look into a map, and written every few seconds. What was counted since
//! then is lost where a process is killed. Only words that we know are counted apart, so no client makes a row of its own.
//! Not here: what Prometheus reads, of one node (`metrics`); how it is read back (`read`).

mod read;
mod refused;

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use vestibule_protocol::GrantType;

use crate::context::{Context, Ctx};
use crate::store::refusal::Refusal;
use crate::store::statistic::{self, Bucket, Key, Tally};
use crate::store::{self, refusal};

pub use crate::store::statistic::{By, Kind};
pub use read::{
    Gauge, GaugeSeries, Gauges, Group, Line, Range, Reason, Series, Slow, gauge_series, gauges, reasons,
    recent_refusals, series, slowest,
};
pub use refused::{refused, refused_for};

/// How often a running server writes down what it has counted.
const FLUSH_EVERY: Duration = Duration::from_secs(5);
/// The most that is counted apart between two flushes. Past that, applications are counted as none; past twice that, which
/// takes a database that is away, what is not counted yet is not counted at all.
const MOST_COUNTS: usize = 10_000;
/// The most refusals that are kept between two flushes, and the most of them for one reason at one provider.
const MOST_REFUSALS: usize = 50;
const MOST_OF_A_KIND: usize = 10;
/// Rows of counts a transaction, each in three buckets.
const BATCH: usize = 100;
/// How long refusals are kept, in seconds.
const KEEP_REFUSALS: i64 = 62 * DAY;

const MINUTE: i64 = 60;
const HOUR: i64 = 3_600;
const DAY: i64 = 86_400;
/// The buckets' sizes, and for how long after their end they are kept, in seconds.
const SIZES: [(i64, i64); 3] = [(MINUTE, 3 * HOUR), (HOUR, 62 * DAY), (DAY, 3 * 366 * DAY)];

/// What a node has counted and not yet written.
#[derive(Default)]
pub struct Statistics {
    pending: Mutex<Pending>,
    /// Held while it is written, so that whoever waits for it knows that nothing is on its way.
    flushing: tokio::sync::Mutex<()>,
    /// The minute whose gauges this node has asked for last.
    sampled: AtomicI64,
}

#[derive(Default)]
struct Pending {
    /// By minute.
    counts: HashMap<(i64, Key), Tally>,
    refusals: Vec<Refusal>,
}

impl Pending {
    fn add(&mut self, minute: i64, mut key: Key, tally: Tally) {
        if self.counts.len() >= MOST_COUNTS && !self.counts.contains_key(&(minute, key.clone())) {
            key.application_id = 0;
            if self.counts.len() >= 2 * MOST_COUNTS && !self.counts.contains_key(&(minute, key.clone())) {
                return;
            }
        }
        self.counts.entry((minute, key)).or_default().add(tally);
    }

    fn note(&mut self, refusal: Refusal) {
        let same = |other: &&Refusal| other.provider == refusal.provider && other.reason == refusal.reason;
        let is_full = self.refusals.len() >= MOST_REFUSALS;
        if !is_full && self.refusals.iter().filter(same).count() < MOST_OF_A_KIND {
            self.refusals.push(refusal);
        }
    }
}

impl Statistics {
    fn pending(&self) -> MutexGuard<'_, Pending> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many counts and how many refusals wait to be written.
    pub fn waiting(&self) -> (usize, usize) {
        let pending = self.pending();
        (pending.counts.len(), pending.refusals.len())
    }
}

/// Somebody has come in: by a browser (`way` is `browser`), or by the password grant (`password`). `provider` is empty for our
/// own password; `application_id` is 0 where none waits.
pub fn signed_in(cx: &Context, provider: &str, application_id: i64, way: &'static str) {
    once(cx, Kind::SignIn, provider, application_id, way);
}

/// The token endpoint has taken a provider's token or code, by `convert_token` or by token exchange.
pub fn converted(cx: &Context, provider: &str, application_id: i64) {
    once(cx, Kind::Conversion, provider, application_id, "");
}

/// Somebody who was signed in has connected an account at a provider.
pub fn connected(cx: &Context, provider: &str) {
    once(cx, Kind::Connection, provider, 0, "");
}

/// A pair was issued.
pub fn issued(cx: &Context, application_id: i64, grant_type: GrantType) {
    cx.metrics.issued(grant_type);
    once(cx, Kind::Token, "", application_id, grant_type.as_str());
}

/// A provider was waited for, whatever it said.
pub fn waited(cx: &Context, provider: &str, time: Duration) {
    let ms = i64::try_from(time.as_millis()).unwrap_or(i64::MAX / 1_000_000);
    count(cx, Kind::ProviderCall, provider, 0, "", Tally { count: 1, ms_sum: ms, ms_max: ms });
}

fn once(cx: &Context, kind: Kind, provider: &str, application_id: i64, detail: &'static str) {
    count(cx, kind, provider, application_id, detail, Tally { count: 1, ..Tally::default() });
}

fn count(cx: &Context, kind: Kind, provider: &str, application_id: i64, detail: &'static str, tally: Tally) {
    let key = Key { kind, provider: known(cx, provider).to_owned(), application_id, detail };
    cx.statistics.pending().add(start(cx.clock.now(), MINUTE), key, tally);
}

/// The name of a provider that there is; what else a client may have written is none.
fn known<'a>(cx: &Context, provider: &'a str) -> &'a str {
    if cx.upstream.provider(provider).is_some() { provider } else { "" }
}

/// When the bucket of this size began that an instant is in.
fn start(at: i64, size: i64) -> i64 {
    at - at.rem_euclid(size)
}

fn bucket(at: i64, (size, keep): (i64, i64)) -> Bucket {
    let starts_at = start(at, size);
    Bucket { size, starts_at, expires_at: starts_at + size + keep }
}

/// Writes down what was counted since the last time.
///
/// # Errors
/// What the database says; what was not written then is written the next time.
pub async fn flush(cx: &Context) -> store::Result<()> {
    let _alone = cx.statistics.flushing.lock().await;
    let Pending { counts, refusals } = std::mem::take(&mut *cx.statistics.pending());
    let mut counts: Vec<_> = counts.into_iter().collect();
    let mut outcome = Ok(());
    while outcome.is_ok() && !counts.is_empty() {
        let rest = counts.len().saturating_sub(BATCH);
        let mut rows: BTreeMap<(Bucket, Key), Tally> = BTreeMap::new();
        for ((minute, key), tally) in counts.iter().skip(rest) {
            for size in SIZES {
                rows.entry((bucket(*minute, size), key.clone())).or_default().add(*tally);
            }
        }
        outcome = statistic::add(&cx.db, rows.into_iter().collect()).await;
        if outcome.is_ok() {
            counts.truncate(rest);
        }
    }
    let kept = match &outcome {
        Ok(()) if !refusals.is_empty() => {
            outcome = refusal::insert(&cx.db, refusals.clone(), cx.clock.now() + KEEP_REFUSALS).await;
            if outcome.is_ok() { Vec::new() } else { refusals }
        }
        _ => refusals,
    };
    let mut pending = cx.statistics.pending();
    counts.into_iter().for_each(|((minute, key), tally)| pending.add(minute, key, tally));
    kept.into_iter().for_each(|refusal| pending.note(refusal));
    outcome
}

/// Counts the gauges of this minute, unless another node has, and says whether it did.
///
/// # Errors
/// What the database says; then this minute has no gauges.
pub async fn sample(cx: &Context) -> store::Result<bool> {
    let now = cx.clock.now();
    let [minute, hour, day] = SIZES.map(|size| bucket(now, size));
    let asked_before = cx.statistics.sampled.swap(minute.starts_at, Ordering::Relaxed) == minute.starts_at;
    if asked_before || !statistic::claim(&cx.db, minute).await? {
        return Ok(false);
    }
    let db = cx.db.clone();
    let idle = i64::try_from(cx.settings.sessions.idle_ttl.as_secs()).unwrap_or(i64::MAX / 4);
    // On SQLite a read holds the thread that it runs on, and this one may take some tens of milliseconds.
    let runtime = tokio::runtime::Handle::current();
    let counting = move || runtime.block_on(statistic::live(&db, now, now - idle));
    let live = tokio::task::spawn_blocking(counting).await.map_err(store::Error::broken)??;
    statistic::set(&cx.db, [minute, hour, day], live).await?;
    Ok(true)
}

/// Runs for as long as the server does; a failure is logged and tried again at the next turn.
pub async fn run_forever(cx: Ctx) {
    loop {
        tokio::time::sleep(FLUSH_EVERY).await;
        if let Err(error) = flush(&cx).await {
            tracing::warn!(error = ?error, "could not write down what was counted; trying again later");
        }
        if let Err(error) = sample(&cx).await {
            tracing::warn!(error = ?error, "could not count people, tokens and sessions of this minute");
        }
    }
}

#[cfg(test)]
mod tests;
