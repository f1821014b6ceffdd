//! What was read lately, kept in memory for as long as it can be believed.
//!
//! Only while changes by others are heard of, and only until something that the value rests on has changed.

use std::future::Future;
use std::hash::Hash;
use std::sync::Arc;

use super::change::{CACHE_TTL, Change};
use super::{Db, Result};

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
        db: &Db,
        key: K,
        is_good: impl FnOnce(&V) -> bool,
        rests_on: impl FnOnce(&V) -> [Change; N],
        read: impl Future<Output = Result<Option<V>>>,
    ) -> Result<Option<Arc<V>>> {
        let changes = db.changes();
        let believed = db.can_be_believed();
        let tick = changes.tick();
        if believed
            && let Some((value, read_at)) = self.0.get(&key)
            && is_good(&value)
            && !changes.since(read_at, &rests_on(&value))
        {
            return Ok(Some(value));
        }
        let Some(value) = read.await?.map(Arc::new) else { return Ok(None) };
        if believed {
            self.0.insert(key, (value.clone(), tick));
        }
        Ok(Some(value))
    }
}
