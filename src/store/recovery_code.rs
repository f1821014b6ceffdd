//! Recovery codes, by their digests; one that was used is gone.

use vestibule_protocol::TokenDigest;

use super::{Db, Result, Tx, args};

/// Gives a person these codes in place of all that they have.
pub async fn replace(db: &Db, user_id: i64, digests: Vec<TokenDigest>, now: i64) -> Result<()> {
    db.write(move |tx| {
        Box::pin(async move {
            tx.execute("DELETE FROM vestibule_recovery_code WHERE user_id = $1", args![user_id]).await?;
            for digest in digests {
                let sql = "INSERT INTO vestibule_recovery_code (digest, user_id, created_at) VALUES ($1, $2, $3)";
                tx.execute(sql, args![digest, user_id, now]).await?;
            }
            Ok(())
        })
    })
    .await
}

/// Takes a person's code, once. `false`: it is none of theirs, or was used.
pub async fn take(db: &Db, user_id: i64, digest: TokenDigest) -> Result<bool> {
    let sql = "DELETE FROM vestibule_recovery_code WHERE digest = $1 AND user_id = $2";
    db.execute(sql, args![digest, user_id]).await.map(|count| count > 0)
}

/// How many a person has left.
pub async fn count(db: &Db, user_id: i64) -> Result<i64> {
    let sql = "SELECT COUNT(*) FROM vestibule_recovery_code WHERE user_id = $1";
    db.optional(sql, args![user_id], |row| row.int(0)).await.map(Option::unwrap_or_default)
}

/// Removes a person's codes where nothing is left that they could stand in for.
pub async fn delete_unneeded(tx: &mut Tx<'_>, user_id: i64) -> Result<()> {
    let sql = "DELETE FROM vestibule_recovery_code WHERE user_id = $1
                  AND NOT EXISTS (SELECT 1 FROM vestibule_passkey WHERE user_id = $1)
                  AND NOT EXISTS (SELECT 1 FROM vestibule_totp WHERE user_id = $1)";
    tx.execute(sql, args![user_id]).await.map(|_| ())
}

/// Removes all of a person's codes, and says how many.
pub async fn delete_all_in(tx: &mut Tx<'_>, user_id: i64) -> Result<u64> {
    tx.execute("DELETE FROM vestibule_recovery_code WHERE user_id = $1", args![user_id]).await
}
