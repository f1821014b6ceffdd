//! What a running server does by itself: it removes what has expired, in batches so small that no request waits for one,
//! changes signing keys when their time has come, tells applications of sign-outs that they have not heard of yet, and sends mails that have not left.

use crate::context::{Context, Ctx};
use crate::store::{self, expired};
use crate::{hooks, logout, outbox, signing};

/// Rows a batch: a few milliseconds of a writer's time.
const BATCH: i64 = 500;

/// Deletes everything that is of no more use and says how many rows that were. A token or a code that was used or revoked stays
/// until it would have expired: it is the evidence by which a replay is seen.
///
/// # Errors
/// What the database says; what was deleted before stays deleted.
pub async fn run(cx: &Context) -> store::Result<u64> {
    let mut total = 0;
    for table in 0..expired::TABLES {
        loop {
            let deleted = expired::delete(&cx.db, table, cx.clock.now(), BATCH).await?;
            cx.metrics.deleted(deleted);
            total += deleted;
            if deleted < BATCH.unsigned_abs() {
                break;
            }
            tokio::task::yield_now().await;
        }
    }
    Ok(total)
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
        if let Err(error) = signing::maintain(&cx).await {
            tracing::warn!(error = ?error, "could not look after the signing keys; trying again later");
        }
        if let Err(error) = outbox::deliver_due(&cx).await {
            tracing::warn!(error = ?error, "mails could not be looked after; trying again later");
        }
        if let Err(error) = hooks::deliver_due(&cx).await {
            tracing::warn!(error = ?error, "could not tell webhooks; trying again later");
        }
        if let Err(error) = logout::deliver_due(&cx).await {
            tracing::warn!(error = ?error, "could not tell applications of sign-outs; trying again later");
        }
    }
}
