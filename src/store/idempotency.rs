//! Answers that are kept for a request that is sent again with the same `Idempotency-Key`.

use vestibule_protocol::TokenDigest;

use super::{Db, Result, args};

/// What is known of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Known {
    /// Nothing: the request is this caller's to answer.
    New,
    /// Another request came with it.
    Other,
    /// The same request is being answered.
    UnderWay,
    /// The same request was answered so.
    Answered(Vec<u8>),
}

/// Takes the key for this request, unless it is known.
pub async fn begin(db: &Db, key: TokenDigest, request: TokenDigest, now: i64, expires_at: i64) -> Result<Known> {
    db.write(move |tx| {
        Box::pin(async move {
            tx.execute("DELETE FROM vestibule_idempotency WHERE digest = $1 AND expires_at <= $2", args![key, now]).await?;
            let sql = "INSERT INTO vestibule_idempotency (digest, request, expires_at) VALUES ($1, $2, $3) ON CONFLICT (digest) DO NOTHING";
            if tx.execute(sql, args![key, request, expires_at]).await? == 1 {
                return Ok(Known::New);
            }
            let sql = "SELECT request, sealed_answer FROM vestibule_idempotency WHERE digest = $1";
            let found = tx.optional(sql, args![key], |row| Ok((row.optional_bytes(0)?, row.optional_bytes(1)?))).await?;
            Ok(match found {
                Some((Some(same), answer)) if same == request.as_bytes() => match answer {
                    Some(answer) => Known::Answered(answer),
                    None => Known::UnderWay,
                },
                _ => Known::Other,
            })
        })
    })
    .await
}

/// Keeps the answer until `expires_at`.
pub async fn finish(db: &Db, key: TokenDigest, sealed_answer: Vec<u8>, expires_at: i64) -> Result<()> {
    let sql = "UPDATE vestibule_idempotency SET sealed_answer = $2, expires_at = $3 WHERE digest = $1";
    db.execute(sql, args![key, sealed_answer, expires_at]).await.map(|_| ())
}

/// Gives the key back: the request failed in a way that may succeed when it is sent again.
pub async fn forget(db: &Db, key: TokenDigest) -> Result<()> {
    db.execute("DELETE FROM vestibule_idempotency WHERE digest = $1", args![key]).await.map(|_| ())
}
