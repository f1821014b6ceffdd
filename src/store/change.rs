//! What was revoked lately, so that nothing of it is believed from a cache: on this node at once, on the others by
//! PostgreSQL's NOTIFY. (Of a SQLite file, what another process has written is found by `watch`.)
//!
//! A cache notes the tick at which it began to read an entry ([`Changes::tick`]) and asks at each hit whether anything
//! that the entry rests on was changed since ([`Changes::since`]). A node that lost its listener trusts no cache at all.
//! Whoever revokes is answered only when every node that listens has acknowledged it, so that "revoked" is true on all of
//! them; a node that does not answer is waited for no longer than [`ACKNOWLEDGE_TIMEOUT`].

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sqlx::Executor as _;
use sqlx::postgres::{PgListener, PgPool};
use tokio::sync::watch;

/// How long a cache may keep an entry; a change is remembered for longer than that.
pub const CACHE_TTL: Duration = Duration::from_secs(5);
const REMEMBERED: Duration = Duration::from_secs(15);
const ACKNOWLEDGE_TIMEOUT: Duration = Duration::from_millis(500);
const CHANNEL: &str = "vestibule";
const ACKNOWLEDGED: &str = "ack";
/// In place of more changes than can be named.
const EVERYTHING: &str = "*0";

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
    /// The signing keys were rotated.
    SigningKeys,
}

/// The changes that this node knows of.
#[derive(Clone)]
pub struct Changes(Arc<State>);

struct State {
    /// This node, in the payload of what it announces, so that it knows what was acknowledged.
    node: u64,
    tick: AtomicU64,
    /// The tick at which listening began: what was read before it may have missed a change.
    floor: AtomicU64,
    announced: AtomicU64,
    /// How often each of our announcements that is being waited for was acknowledged.
    acknowledged: Mutex<HashMap<u64, watch::Sender<usize>>>,
    marks: moka::sync::Cache<Change, u64>,
    listening: AtomicBool,
}

/// Changes that are told to every node within the transaction that makes them.
pub(super) struct Announcement {
    number: u64,
    pub payload: String,
    acknowledged: watch::Receiver<usize>,
}

impl Default for Changes {
    fn default() -> Self {
        // A number that no other node has; the keys of a new hasher are random.
        let node =
            std::hash::BuildHasher::hash_one(&std::collections::hash_map::RandomState::new(), std::process::id());
        let marks = moka::sync::Cache::builder().max_capacity(1_000_000).time_to_live(REMEMBERED).build();
        Self(Arc::new(State {
            node,
            tick: AtomicU64::new(1),
            floor: AtomicU64::new(0),
            announced: AtomicU64::new(0),
            acknowledged: Mutex::default(),
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

    /// Whether changes by other nodes are heard (PostgreSQL).
    pub fn heard(&self) -> bool {
        self.0.listening.load(Ordering::Acquire)
    }

    /// Nothing that was read before now is to be believed: anything may have changed.
    pub(super) fn forget_all(&self) {
        let tick = self.0.tick.fetch_add(1, Ordering::AcqRel) + 1;
        self.0.floor.fetch_max(tick, Ordering::AcqRel);
    }

    fn mark(&self, change: Change) {
        let tick = self.0.tick.fetch_add(1, Ordering::AcqRel) + 1;
        self.0.marks.insert(change, tick);
    }

    /// What to tell the other nodes of these changes.
    pub(super) fn announcement(&self, changes: &[Change]) -> Option<Announcement> {
        let words: Vec<String> = changes
            .iter()
            .filter_map(|change| match change {
                Change::Family(id) => Some(format!("f{id}")),
                Change::User(id) => Some(format!("u{id}")),
                Change::Application(id) => Some(format!("a{id}")),
                Change::SigningKeys => Some("k0".to_owned()),
                Change::Rotated(_) => None,
            })
            .collect();
        if words.is_empty() {
            return None;
        }
        // A notification holds no more than 8000 bytes.
        let words = if words.len() > 300 { vec![EVERYTHING.to_owned()] } else { words };
        let number = self.0.announced.fetch_add(1, Ordering::AcqRel) + 1;
        let (count, acknowledged) = watch::channel(0);
        self.pending().insert(number, count);
        Some(Announcement { number, payload: format!("{:x} {number} {}", self.0.node, words.join(" ")), acknowledged })
    }

    /// Takes note of this node's own changes after their commit.
    pub(super) fn note(&self, changes: &[Change]) {
        changes.iter().for_each(|&change| self.mark(change));
    }

    /// Waits until every node that listens has taken note, or for [`ACKNOWLEDGE_TIMEOUT`].
    pub(super) async fn settle(&self, pool: &PgPool, mut announcement: Announcement) {
        let all_have = async {
            // PostgreSQL itself knows who listens: their connections say so in their names.
            let sql = "SELECT COUNT(*) FROM pg_stat_activity
                        WHERE datname = current_database() AND application_name = 'vestibule listener'";
            let listeners: i64 = sqlx::query_scalar(sql).fetch_one(pool).await?;
            let listeners = usize::try_from(listeners).unwrap_or_default();
            let _ = announcement.acknowledged.wait_for(|count| *count >= listeners).await;
            Ok::<_, sqlx::Error>(())
        };
        let settled = tokio::time::timeout(ACKNOWLEDGE_TIMEOUT, all_have).await;
        self.pending().remove(&announcement.number);
        if !matches!(settled, Ok(Ok(()))) {
            tracing::warn!("not every node has acknowledged a revocation in time");
        }
    }

    /// Waits for this node's own listener, without which nobody's acknowledgement is heard.
    pub(super) async fn listening(&self) {
        let up = async {
            while !self.heard() {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        let _ = tokio::time::timeout(ACKNOWLEDGE_TIMEOUT, up).await;
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
        listener.execute("SET application_name = 'vestibule listener'").await?;
        self.forget_all();
        self.0.listening.store(true, Ordering::Release);
        // `try_recv` gives None where the connection was lost: a gap in which changes went unheard.
        while let Some(notification) = listener.try_recv().await? {
            if let Some(acknowledgement) = self.hear(notification.payload()) {
                sqlx::query("SELECT pg_notify('vestibule', $1)").bind(acknowledgement).execute(&mut listener).await?;
            }
        }
        Ok(())
    }

    /// Takes note of what was announced, and says what to answer.
    fn hear(&self, payload: &str) -> Option<String> {
        let mut words = payload.split(' ');
        if let (Some(ACKNOWLEDGED), Some(node), Some(number)) = (words.next(), words.next(), words.next()) {
            if node == format!("{:x}", self.0.node)
                && let Ok(number) = number.parse()
                && let Some(count) = self.pending().get(&number)
            {
                count.send_modify(|count| *count += 1);
            }
            return None;
        }
        let mut words = payload.split(' ');
        let (node, number) = (words.next()?, words.next()?);
        for word in words {
            let Some(id) = word.get(1..).and_then(|id| id.parse().ok()) else { continue };
            match word.as_bytes().first() {
                Some(b'f') => self.mark(Change::Family(id)),
                Some(b'u') => self.mark(Change::User(id)),
                Some(b'a') => self.mark(Change::Application(id)),
                Some(b'k') => self.mark(Change::SigningKeys),
                Some(b'*') => self.forget_all(),
                _ => {}
            }
        }
        Some(format!("{ACKNOWLEDGED} {node} {number}"))
    }

    fn pending(&self) -> std::sync::MutexGuard<'_, HashMap<u64, watch::Sender<usize>>> {
        self.0.acknowledged.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::{Change, Changes};

    #[test]
    fn an_entry_read_before_a_change_is_stale_and_one_read_after_it_is_not() {
        let changes = Changes::default();
        let before = changes.tick();

        assert_eq!(changes.hear("0 1 u7 f9").as_deref(), Some("ack 0 1"));

        assert!(changes.since(before, &[Change::User(7)]));
        assert!(changes.since(before, &[Change::User(1), Change::Family(9)]));
        assert!(!changes.since(before, &[Change::User(8)]));
        assert!(!changes.since(changes.tick(), &[Change::User(7)]));
        for odd in ["", "x", "0 x y", "0 1 u", "0 1 é1 u99999999999999999999", "ack", "ack x", "ack x y"] {
            changes.hear(odd);
        }
    }

    #[test]
    fn more_changes_than_can_be_named_are_everything() {
        let changes = Changes::default();
        let many: Vec<_> = (0..10_000).map(|number| Change::Family(i64::MAX - number)).collect();

        let announcement = changes.announcement(&many).unwrap();

        assert!(announcement.payload.len() < 8_000);
        let before = changes.tick();
        changes.hear(&announcement.payload);
        assert!(changes.since(before, &[Change::Family(i64::MAX - 9_999)]));
    }

    #[test]
    fn an_announcement_counts_its_own_acknowledgements() {
        let changes = Changes::default();
        let announcement = changes.announcement(&[Change::User(7), Change::Rotated(1)]).unwrap();
        let acknowledgement = changes.hear(&announcement.payload).unwrap();

        assert_eq!(changes.hear(&acknowledgement), None);
        changes.hear("ack 1 1");

        assert_eq!(*announcement.acknowledged.borrow(), 1);
        assert!(changes.announcement(&[Change::Rotated(1)]).is_none());
    }
}
