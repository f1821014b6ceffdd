//! What was read lately, kept in memory for as long as it can be believed.
//!
//! Only while changes by other nodes are heard, and only until something that the value rests on has changed. On SQLite,
//! where another process can write at any time and a read takes microseconds, nothing is kept at all.

use std::future::Future;
use std::hash::Hash;
use std::sync::Arc;

use super::Result;
use super::change::{CACHE_TTL, Change, Changes};

/// Values by key, bounded in number and age.
pub struct Cache<K, V>(moka::sync::Cache<K, (Arc<V>, u64)>);

impl<K: Hash + Eq + Send + Sync + Clone + 'static, V: Send + Sync + 'static> Cache<K, V> {
    /// A cache of at most so many values.
    pub fn new(capacity: u64) -> Self {
        Self(moka::sync::Cache::builder().max_capacity(capacity).time_to_live(CACHE_TTL).build())
    }

    /// The value of this key: the kept one if it can be believed and `is_good`, else what `read` finds. `None`, which is
    /// not kept: there is none.
    pub async fn get<const N: usize>(
        &self,
        changes: &Changes,
        key: K,
        is_good: impl FnOnce(&V) -> bool,
        rests_on: impl FnOnce(&V) -> [Change; N],
        read: impl Future<Output = Result<Option<V>>>,
    ) -> Result<Option<Arc<V>>> {
        let tick = changes.tick();
        if changes.heard()
            && let Some((value, read_at)) = self.0.get(&key)
            && is_good(&value)
            && !changes.since(read_at, &rests_on(&value))
        {
            return Ok(Some(value));
        }
        let Some(value) = read.await?.map(Arc::new) else { return Ok(None) };
        if changes.heard() {
            self.0.insert(key, (value.clone(), tick));
        }
        Ok(Some(value))
    }
}
