//! Deleting what has expired, table by table.

use super::{Db, Result, args};

/// One statement a table: deletes up to `$2` rows that are of no more use at `$1`, not even as evidence of a replay.
const STATEMENTS: &[&str] = &[
    "DELETE FROM vestibule_token WHERE id IN (SELECT id FROM vestibule_token WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2)",
    "DELETE FROM vestibule_code WHERE digest IN (SELECT digest FROM vestibule_code WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2)",
    "DELETE FROM vestibule_session WHERE id IN (SELECT id FROM vestibule_session WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2)",
    "DELETE FROM vestibule_session_application WHERE session_public_id IN (SELECT session_public_id FROM vestibule_session_application WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2) AND expires_at <= $1",
    "DELETE FROM vestibule_pushed_request WHERE digest IN (SELECT digest FROM vestibule_pushed_request WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2)",
    "DELETE FROM vestibule_pending WHERE digest IN (SELECT digest FROM vestibule_pending WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2)",
    "DELETE FROM vestibule_device_code WHERE digest IN (SELECT digest FROM vestibule_device_code WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2)",
    "DELETE FROM vestibule_seen WHERE digest IN (SELECT digest FROM vestibule_seen WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2)",
    "DELETE FROM vestibule_attempt WHERE digest IN (SELECT digest FROM vestibule_attempt WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2)",
    "DELETE FROM vestibule_logout_notice WHERE id IN (SELECT id FROM vestibule_logout_notice WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2)",
    "DELETE FROM vestibule_hook_notice WHERE id IN (SELECT id FROM vestibule_hook_notice WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2)",
    "DELETE FROM vestibule_idempotency WHERE digest IN (SELECT digest FROM vestibule_idempotency WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2)",
    "DELETE FROM vestibule_statistic WHERE (kind, size, starts_at, provider, application_id, detail) IN (SELECT kind, size, starts_at, provider, application_id, detail FROM vestibule_statistic WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2)",
    "DELETE FROM vestibule_refusal WHERE id IN (SELECT id FROM vestibule_refusal WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2)",
    "DELETE FROM vestibule_mail WHERE id IN (SELECT id FROM vestibule_mail WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2)",
];

/// How many tables have rows that expire.
pub const TABLES: usize = STATEMENTS.len();

/// Deletes up to `limit` rows of one table, by its number below [`TABLES`], and says how many.
pub async fn delete(db: &Db, table: usize, now: i64, limit: i64) -> Result<u64> {
    match STATEMENTS.get(table) {
        Some(sql) => db.execute(sql, args![now, limit]).await,
        None => Ok(0),
    }
}
