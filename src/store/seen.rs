//! What may be presented once only: remembered until a copy of it would have expired.

use vestibule_protocol::TokenDigest;

use super::{Db, Result, args};

/// Whether this is seen for the first time; if so it is remembered until `expires_at`, in seconds since 1970. Of many at
/// once, on any node, one is the first.
pub async fn is_first(db: &Db, digest: TokenDigest, expires_at: i64) -> Result<bool> {
    let sql = "INSERT INTO vestibule_seen (digest, expires_at) VALUES ($1, $2) ON CONFLICT (digest) DO NOTHING";
    db.execute(sql, args![digest, expires_at]).await.map(|count| count > 0)
}
