//! Sign-outs that applications must still be told of.

use super::{Db, Result, Row, args};

/// A notice that is due.
#[derive(Clone, Debug)]
pub struct Notice {
    /// Our number.
    pub id: i64,
    /// Whom to tell.
    pub application_id: i64,
    /// Who signed out.
    pub user_id: i64,
    /// `sid`.
    pub session: String,
    /// How often it was tried.
    pub tries: i64,
}

impl Notice {
    fn from_row(row: &Row<'_>) -> Result<Self> {
        Ok(Self {
            id: row.int(0)?,
            application_id: row.int(1)?,
            user_id: row.int(2)?,
            session: row.text(3)?,
            tries: row.int(4)?,
        })
    }
}

/// Stores a notice that is due now, and gives its number.
pub async fn insert(
    db: &Db,
    application_id: i64,
    user_id: i64,
    session: &str,
    now: i64,
    expires_at: i64,
) -> Result<i64> {
    let session = session.to_owned();
    db.write(move |tx| {
        Box::pin(async move {
            let sql =
                "INSERT INTO vestibule_logout_notice (application_id, user_id, session_public_id, due_at, expires_at)
                       VALUES ($1, $2, $3, $4, $5) RETURNING id";
            let id =
                tx.optional(sql, args![application_id, user_id, session, now, expires_at], |row| row.int(0)).await?;
            Ok(id.unwrap_or_default())
        })
    })
    .await
}

/// Takes up to ten notices that are due; nobody else has them before `again_at`.
pub async fn take_due(db: &Db, now: i64, again_at: i64) -> Result<Vec<Notice>> {
    db.write(move |tx| {
        Box::pin(async move {
            tx.lock("logout notices").await?;
            let sql = "UPDATE vestibule_logout_notice SET tries = tries + 1, due_at = $2
                        WHERE id IN (SELECT id FROM vestibule_logout_notice WHERE due_at <= $1 AND expires_at > $1 ORDER BY due_at LIMIT 10)
                       RETURNING id, application_id, user_id, session_public_id, tries";
            tx.all(sql, args![now, again_at], Notice::from_row).await
        })
    })
    .await
}

/// Puts a notice off.
pub async fn put_off(db: &Db, id: i64, due_at: i64) -> Result<()> {
    db.execute("UPDATE vestibule_logout_notice SET due_at = $2 WHERE id = $1", args![id, due_at]).await.map(|_| ())
}

/// Forgets a notice: it was delivered, or nobody is there to hear it.
pub async fn delete(db: &Db, id: i64) -> Result<()> {
    db.execute("DELETE FROM vestibule_logout_notice WHERE id = $1", args![id]).await.map(|_| ())
}
