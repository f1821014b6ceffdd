//! The newest refusals of each provider.

use std::collections::BTreeSet;

use super::{Db, Result, Row, args};

/// How many of each provider are kept.
pub const KEPT: i64 = 100;

/// A refusal. There is no token, code or secret in it.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Refusal {
    /// When, in seconds since 1970.
    pub at: i64,
    /// The provider's name; empty: none.
    pub provider: String,
    /// The application's number; 0: none.
    pub application_id: i64,
    /// One word.
    pub reason: String,
    /// What was told.
    pub description: String,
    /// What was logged beside.
    pub cause: String,
}

impl Refusal {
    fn from_row(row: &Row<'_>) -> Result<Self> {
        Ok(Self {
            at: row.int(0)?,
            provider: row.text(1)?,
            application_id: row.int(2)?,
            reason: row.text(3)?,
            description: row.text(4)?,
            cause: row.text(5)?,
        })
    }
}

/// Stores refusals until `expires_at`, and forgets what is more than the newest [`KEPT`] of their providers.
pub async fn insert(db: &Db, refusals: Vec<Refusal>, expires_at: i64) -> Result<()> {
    let insert = "INSERT INTO vestibule_refusal (at, provider, application_id, reason, description, cause, expires_at)
                  VALUES ($1, $2, $3, $4, $5, $6, $7)";
    let forget = "DELETE FROM vestibule_refusal
                   WHERE provider = $1
                     AND id <= (SELECT id FROM vestibule_refusal WHERE provider = $1 ORDER BY id DESC LIMIT 1 OFFSET $2)";
    db.write(move |tx| {
        Box::pin(async move {
            // Two nodes that forget the same rows at once would wait for one another.
            tx.lock("refusals").await?;
            let providers: BTreeSet<String> = refusals.iter().map(|refusal| refusal.provider.clone()).collect();
            for refusal in refusals {
                let Refusal { at, provider, application_id, reason, description, cause } = refusal;
                let values = args![at, provider, application_id, reason, description, cause, expires_at];
                tx.execute(insert, values).await?;
            }
            for provider in providers {
                tx.execute(forget, args![provider, KEPT]).await?;
            }
            Ok(())
        })
    })
    .await
}

/// The newest refusals of a provider, the last first.
pub async fn recent(db: &Db, provider: &str, limit: i64) -> Result<Vec<Refusal>> {
    let sql = "SELECT at, provider, application_id, reason, description, cause FROM vestibule_refusal
                WHERE provider = $1 ORDER BY id DESC LIMIT $2";
    db.all(sql, args![provider, limit], Refusal::from_row).await
}
