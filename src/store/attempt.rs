//! Tries at something that can be guessed, counted within a window that begins with the first.

use super::{Db, Result, args};

/// Counts a try and says how many there were in its window, this one included, and when the window ends.
pub async fn count(db: &Db, digest: [u8; 32], now: i64, window: i64) -> Result<(i64, i64)> {
    let sql = "INSERT INTO vestibule_attempt (digest, tries, expires_at) VALUES ($1, 1, $3)
               ON CONFLICT (digest) DO UPDATE
                  SET tries = CASE WHEN vestibule_attempt.expires_at > $2 THEN vestibule_attempt.tries + 1 ELSE 1 END,
                      expires_at = CASE WHEN vestibule_attempt.expires_at > $2 THEN vestibule_attempt.expires_at ELSE $3 END
               RETURNING tries, expires_at";
    let digest = digest.to_vec();
    db.write(move |tx| {
        Box::pin(async move {
            let row = tx.optional(sql, args![digest, now, now + window], |row| Ok((row.int(0)?, row.int(1)?))).await?;
            Ok(row.unwrap_or((1, now + window)))
        })
    })
    .await
}

/// Takes a try back that was right.
pub async fn take_back(db: &Db, digest: [u8; 32]) -> Result<()> {
    let sql = "UPDATE vestibule_attempt SET tries = tries - 1 WHERE digest = $1 AND tries > 0";
    db.execute(sql, args![digest.to_vec()]).await.map(|_| ())
}

/// How many tries there were in the window that is open, and when it ends.
pub async fn so_far(db: &Db, digest: [u8; 32], now: i64) -> Result<(i64, i64)> {
    let sql = "SELECT tries, expires_at FROM vestibule_attempt WHERE digest = $1 AND expires_at > $2";
    let row = db.optional(sql, args![digest.to_vec(), now], |row| Ok((row.int(0)?, row.int(1)?))).await?;
    Ok(row.unwrap_or((0, now)))
}
