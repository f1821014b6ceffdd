//! What waits for somebody, sealed, until they come back with its secret or it expires.

use vestibule_protocol::TokenDigest;

use super::{Db, Result, Tx, args};

/// Stores something, over what is there under this digest.
pub async fn put(tx: &mut Tx<'_>, digest: TokenDigest, kind: &str, sealed: Vec<u8>, expires_at: i64) -> Result<()> {
    let sql = "INSERT INTO vestibule_pending (digest, kind, sealed, expires_at) VALUES ($1, $2, $3, $4)
               ON CONFLICT (digest) DO UPDATE SET kind = $2, sealed = $3, expires_at = $4";
    tx.execute(sql, args![digest, kind, sealed, expires_at]).await.map(|_| ())
}

/// As [`put`], in a transaction of its own.
pub async fn insert(db: &Db, digest: TokenDigest, kind: &'static str, sealed: Vec<u8>, expires_at: i64) -> Result<()> {
    db.write(move |tx| Box::pin(async move { put(tx, digest, kind, sealed, expires_at).await })).await
}

const FIND: &str = "SELECT sealed FROM vestibule_pending WHERE digest = $1 AND kind = $2 AND expires_at > $3";

/// What waits under this digest. `None`: unknown, of another kind, taken or expired.
pub async fn find(db: &Db, digest: TokenDigest, kind: &str, now: i64) -> Result<Option<Vec<u8>>> {
    db.optional(FIND, args![digest, kind, now], |row| row.optional_bytes(0)).await.map(Option::flatten)
}

/// As [`find`], as part of a decision.
pub async fn find_in(tx: &mut Tx<'_>, digest: TokenDigest, kind: &str, now: i64) -> Result<Option<Vec<u8>>> {
    tx.optional(FIND, args![digest, kind, now], |row| row.optional_bytes(0)).await.map(Option::flatten)
}

/// Takes out what waits under this digest. `None`: as [`find`]; of two who take it one has it.
pub async fn take_in(tx: &mut Tx<'_>, digest: TokenDigest, kind: &str, now: i64) -> Result<Option<Vec<u8>>> {
    let sql = "DELETE FROM vestibule_pending WHERE digest = $1 AND kind = $2 AND expires_at > $3 RETURNING sealed";
    tx.optional(sql, args![digest, kind, now], |row| row.optional_bytes(0)).await.map(Option::flatten)
}

/// As [`take_in`], in a transaction of its own.
pub async fn take(db: &Db, digest: TokenDigest, kind: &'static str, now: i64) -> Result<Option<Vec<u8>>> {
    db.write(move |tx| Box::pin(async move { take_in(tx, digest, kind, now).await })).await
}
