//! Removing what has expired, in batches so small that no request waits for one.

use crate::context::{Context, Ctx};
use crate::store::{self, token};

/// Rows a batch: a few milliseconds of a writer's time.
const BATCH: i64 = 500;

/// Deletes everything that is of no more use and says how many rows that were. A token that was used or revoked stays
/// until it would have expired: it is the evidence by which a replay is seen.
///
/// # Errors
/// What the database says; what was deleted before stays deleted.
pub async fn run(cx: &Context) -> store::Result<u64> {
    let mut total = 0;
    loop {
        let deleted = token::delete_expired(&cx.db, cx.clock.now(), BATCH).await?;
        cx.metrics.deleted(deleted);
        total += deleted;
        if deleted < BATCH.unsigned_abs() {
            return Ok(total);
        }
        tokio::task::yield_now().await;
    }
}

/// Runs for as long as the server does; a failure is logged and tried again at the next turn.
pub async fn run_forever(cx: Ctx) {
    loop {
        tokio::time::sleep(cx.settings.database.cleanup_interval).await;
        match run(&cx).await {
            Ok(0) => {}
            Ok(rows) => tracing::info!(rows, "removed expired rows"),
            Err(error) => tracing::warn!(error = ?error, "could not remove expired rows; trying again later"),
        }
    }
}
