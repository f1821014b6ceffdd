//! What was revoked lately, so that nothing of it is believed from a cache: on this node at once, on the others by
//! PostgreSQL's NOTIFY.
//!
//! A cache notes the tick at which it began to read an entry ([`Changes::tick`]) and asks at each hit whether anything
//! that the entry rests on was changed since ([`Changes::since`]). A node that lost its listener trusts no cache at all.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use sqlx::postgres::{PgListener, PgPool};
use tokio::sync::watch;

/// How long a cache may keep an entry, in seconds; a change is remembered for longer than that.
pub const CACHE_TTL: Duration = Duration::from_secs(5);
const REMEMBERED: Duration = Duration::from_secs(15);
/// How long a revocation waits for its own echo, which reaches the other nodes at about the same time.
const ECHO_TIMEOUT: Duration = Duration::from_millis(100);
const CHANNEL: &str = "vestibule";

/// Something that cached knowledge may rest on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Change {
    /// One sign-in's tokens were revoked.
    Family(i64),
    /// One sign-in's tokens were rotated: told to this node only, for nobody is harmed by a spent access token that
    /// another node believes for [`CACHE_TTL`].
    Rotated(i64),
    /// A person was deactivated, changed, deleted, or signed out.
    User(i64),
    /// An application was disabled, changed or deleted.
    Application(i64),
}

/// The changes that this node knows of.
#[derive(Clone)]
pub struct Changes(Arc<State>);

struct State {
    /// This node, in the payload of what it announces, so that it knows its own echo.
    node: u64,
    tick: AtomicU64,
    /// The tick at which listening began: what was read before it may have missed a change.
    floor: AtomicU64,
    announced: AtomicU64,
    heard: watch::Sender<u64>,
    marks: moka::sync::Cache<Change, u64>,
    listening: AtomicBool,
}

impl Default for Changes {
    fn default() -> Self {
        // The address of a fresh allocation, mixed with the process id, would do; hashing with fresh keys is simpler.
        let node =
            std::hash::BuildHasher::hash_one(&std::collections::hash_map::RandomState::new(), std::process::id());
        let marks = moka::sync::Cache::builder().max_capacity(1_000_000).time_to_live(REMEMBERED).build();
        Self(Arc::new(State {
            node,
            tick: AtomicU64::new(1),
            floor: AtomicU64::new(0),
            announced: AtomicU64::new(0),
            heard: watch::Sender::new(0),
            marks,
            listening: AtomicBool::new(false),
        }))
    }
}

impl Changes {
    /// The present tick: note it before reading what is to be cached.
    pub fn tick(&self) -> u64 {
        self.0.tick.load(Ordering::Acquire)
    }

    /// Whether any of these was changed, or could have been without our hearing of it, since `tick`.
    pub fn since(&self, tick: u64, changes: &[Change]) -> bool {
        tick < self.0.floor.load(Ordering::Acquire)
            || changes.iter().any(|change| self.0.marks.get(change).is_some_and(|at| at > tick))
    }

    /// Whether a cache may be believed: only while changes by other nodes are heard.
    pub fn heard(&self) -> bool {
        self.0.listening.load(Ordering::Acquire)
    }

    fn mark(&self, change: Change) {
        let tick = self.0.tick.fetch_add(1, Ordering::AcqRel) + 1;
        self.0.marks.insert(change, tick);
    }

    /// What to tell the other nodes of these changes, within the transaction that makes them.
    pub(super) fn announcement(&self, changes: &[Change]) -> Option<String> {
        let words: Vec<String> = changes
            .iter()
            .filter_map(|change| match change {
                Change::Family(id) => Some(format!("f{id}")),
                Change::User(id) => Some(format!("u{id}")),
                Change::Application(id) => Some(format!("a{id}")),
                Change::Rotated(_) => None,
            })
            .collect();
        if words.is_empty() {
            return None;
        }
        let number = self.0.announced.fetch_add(1, Ordering::AcqRel) + 1;
        Some(format!("{:x} {number} {}", self.0.node, words.join(" ")))
    }

    /// Takes note of this node's own changes after their commit, and waits until they came round.
    pub(super) async fn note_own(&self, changes: &[Change]) {
        changes.iter().for_each(|&change| self.mark(change));
        if self.heard() && changes.iter().any(|change| !matches!(change, Change::Rotated(_))) {
            let number = self.0.announced.load(Ordering::Acquire);
            let mut heard = self.0.heard.subscribe();
            let _ = tokio::time::timeout(ECHO_TIMEOUT, heard.wait_for(|last| *last >= number)).await;
        }
    }

    /// Listens for other nodes' changes for as long as the database is used.
    pub(super) fn listen(&self, pool: PgPool) {
        let state = Arc::downgrade(&self.0);
        tokio::spawn(async move {
            while let Some(state) = state.upgrade() {
                let outcome = Self(state.clone()).listen_once(&pool).await;
                state.listening.store(false, Ordering::Release);
                if pool.is_closed() {
                    return;
                }
                if let Err(error) = outcome {
                    tracing::warn!(error = %error, "lost the database's notifications; caching is off until they are back");
                }
                drop(state);
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        });
    }

    async fn listen_once(&self, pool: &PgPool) -> Result<(), sqlx::Error> {
        let mut listener = PgListener::connect_with(pool).await?;
        listener.listen(CHANNEL).await?;
        let tick = self.0.tick.fetch_add(1, Ordering::AcqRel) + 1;
        self.0.floor.store(tick, Ordering::Release);
        self.0.listening.store(true, Ordering::Release);
        // `try_recv` gives None where the connection was lost and made anew: a gap in which changes went unheard.
        while let Some(notification) = listener.try_recv().await? {
            self.hear(notification.payload());
        }
        Ok(())
    }

    fn hear(&self, payload: &str) {
        let mut words = payload.split(' ');
        let (Some(node), Some(number)) = (words.next(), words.next()) else { return };
        for word in words {
            let Some(id) = word.get(1..).and_then(|id| id.parse().ok()) else { continue };
            match word.as_bytes().first() {
                Some(b'f') => self.mark(Change::Family(id)),
                Some(b'u') => self.mark(Change::User(id)),
                Some(b'a') => self.mark(Change::Application(id)),
                _ => {}
            }
        }
        if node == format!("{:x}", self.0.node)
            && let Ok(number) = number.parse()
        {
            self.0.heard.send_modify(|last| *last = (*last).max(number));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Change, Changes};

    #[test]
    fn an_entry_read_before_a_change_is_stale_and_one_read_after_it_is_not() {
        let changes = Changes::default();
        let before = changes.tick();

        changes.hear("0 1 u7 f9");

        assert!(changes.since(before, &[Change::User(7)]));
        assert!(changes.since(before, &[Change::User(1), Change::Family(9)]));
        assert!(!changes.since(before, &[Change::User(8)]));
        assert!(!changes.since(changes.tick(), &[Change::User(7)]));
        for odd in ["", "x", "0 x y", "0 1 u", "0 1 é1 u99999999999999999999"] {
            changes.hear(odd);
        }
    }
}
