//! Requests that were pushed (RFC 9126), sealed, used once.

use vestibule_protocol::TokenDigest;

use super::{Db, Result, args};

/// Stores a request until it expires.
pub async fn insert(
    db: &Db,
    digest: TokenDigest,
    application_id: i64,
    sealed_params: Vec<u8>,
    expires_at: i64,
) -> Result<()> {
    let sql = "INSERT INTO vestibule_pushed_request (digest, application_id, sealed_params, expires_at) VALUES ($1, $2, $3, $4)";
    db.execute(sql, args![digest, application_id, sealed_params, expires_at]).await.map(|_| ())
}

/// Takes a request of this application out and returns it. `None`: unknown, another's, used or expired.
pub async fn take(db: &Db, digest: TokenDigest, application_id: i64, now: i64) -> Result<Option<Vec<u8>>> {
    db.write(move |tx| {
        Box::pin(async move {
            let sql = "DELETE FROM vestibule_pushed_request
                        WHERE digest = $1 AND application_id = $2 AND expires_at > $3 RETURNING sealed_params";
            tx.optional(sql, args![digest, application_id, now], |row| row.optional_bytes(0)).await
        })
    })
    .await
    .map(Option::flatten)
}
