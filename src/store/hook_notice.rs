//! Events that webhooks must still be told of.

use super::{Db, Result, Row, args};

/// A notice that is due.
#[derive(Clone, Debug)]
pub struct Notice {
    /// Our number.
    pub id: i64,
    /// `webhook-id`.
    pub public_id: String,
    /// Which hook is told.
    pub hook: String,
    /// What it is told.
    pub payload: String,
    /// How often it was tried.
    pub tries: i64,
}

impl Notice {
    fn from_row(row: &Row<'_>) -> Result<Self> {
        Ok(Self {
            id: row.int(0)?,
            public_id: row.text(1)?,
            hook: row.text(2)?,
            payload: row.text(3)?,
            tries: row.int(4)?,
        })
    }
}

/// Stores notices that are due now: of each the hook's name, the public id and the payload.
pub async fn insert(db: &Db, notices: Vec<(String, String, String)>, now: i64, expires_at: i64) -> Result<()> {
    db.write(move |tx| {
        Box::pin(async move {
            for (hook, public_id, payload) in notices {
                let sql = "INSERT INTO vestibule_hook_notice (hook, public_id, payload, due_at, expires_at)
                           VALUES ($1, $2, $3, $4, $5)";
                tx.execute(sql, args![hook, public_id, payload, now, expires_at]).await?;
            }
            Ok(())
        })
    })
    .await
}

/// Takes up to ten notices that are due, oldest first; nobody else has them before `again_at`.
pub async fn take_due(db: &Db, now: i64, again_at: i64) -> Result<Vec<Notice>> {
    db.write(move |tx| {
        Box::pin(async move {
            tx.lock("hook notices").await?;
            let sql = "UPDATE vestibule_hook_notice SET tries = tries + 1, due_at = $2
                        WHERE id IN (SELECT id FROM vestibule_hook_notice WHERE due_at <= $1 AND expires_at > $1 ORDER BY due_at, id LIMIT 10)
                       RETURNING id, public_id, hook, payload, tries";
            tx.all(sql, args![now, again_at], Notice::from_row).await
        })
    })
    .await
}

/// Puts a notice off.
pub async fn put_off(db: &Db, id: i64, due_at: i64) -> Result<()> {
    db.execute("UPDATE vestibule_hook_notice SET due_at = $2 WHERE id = $1", args![id, due_at]).await.map(|_| ())
}

/// Forgets a notice: it was delivered, or nobody is there to hear it.
pub async fn delete(db: &Db, id: i64) -> Result<()> {
    db.execute("DELETE FROM vestibule_hook_notice WHERE id = $1", args![id]).await.map(|_| ())
}
