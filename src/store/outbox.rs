//! Mails that must still leave, sealed.

use super::{Db, Result, Row, args};

/// A mail that is due.
#[derive(Clone)]
pub struct Due {
    /// Our number.
    pub id: i64,
    /// The mail.
    pub sealed: Vec<u8>,
    /// How often it was tried.
    pub tries: i64,
}

impl Due {
    fn from_row(row: &Row<'_>) -> Result<Self> {
        Ok(Self { id: row.int(0)?, sealed: row.optional_bytes(1)?.unwrap_or_default(), tries: row.int(2)? })
    }
}

/// Stores a mail that is due now.
pub async fn insert(db: &Db, sealed: Vec<u8>, now: i64, expires_at: i64) -> Result<()> {
    let sql = "INSERT INTO vestibule_mail (sealed, due_at, expires_at) VALUES ($1, $2, $3)";
    db.execute(sql, args![sealed, now, expires_at]).await.map(|_| ())
}

/// Takes up to ten mails that are due, oldest first; nobody else has them before `again_at`.
pub async fn take_due(db: &Db, now: i64, again_at: i64) -> Result<Vec<Due>> {
    db.write(move |tx| {
        Box::pin(async move {
            tx.lock("mails").await?;
            let sql = "UPDATE vestibule_mail SET tries = tries + 1, due_at = $2
                        WHERE id IN (SELECT id FROM vestibule_mail WHERE due_at <= $1 AND expires_at > $1 ORDER BY due_at, id LIMIT 10)
                       RETURNING id, sealed, tries";
            tx.all(sql, args![now, again_at], Due::from_row).await
        })
    })
    .await
}

/// Puts a mail off.
pub async fn put_off(db: &Db, id: i64, due_at: i64) -> Result<()> {
    db.execute("UPDATE vestibule_mail SET due_at = $2 WHERE id = $1", args![id, due_at]).await.map(|_| ())
}

/// Forgets a mail: it was taken, or nobody ever will.
pub async fn delete(db: &Db, id: i64) -> Result<()> {
    db.execute("DELETE FROM vestibule_mail WHERE id = $1", args![id]).await.map(|_| ())
}
