//! What a person has allowed an application.

use vestibule_protocol::Scope;

use super::{Db, Result, Row, Tx, args, token};

/// What somebody has allowed, with the application's name.
#[derive(Clone, Debug)]
pub struct Consent {
    /// Our number.
    pub id: i64,
    /// Which application.
    pub application_id: i64,
    /// Its public name.
    pub client_id: String,
    /// Its name for people.
    pub name: String,
    /// What it was allowed.
    pub scope: Scope,
    /// When it last was, in seconds since 1970.
    pub updated_at: i64,
}

impl Consent {
    fn from_row(row: &Row<'_>) -> Result<Self> {
        Ok(Self {
            id: row.int(0)?,
            application_id: row.int(1)?,
            client_id: row.text(2)?,
            name: row.text(3)?,
            scope: Scope::from_stored(&row.text(4)?),
            updated_at: row.int(5)?,
        })
    }
}

/// What this person has allowed this application; empty: nothing.
pub async fn find(db: &Db, user_id: i64, application_id: i64) -> Result<Scope> {
    let sql = "SELECT scope FROM vestibule_consent WHERE user_id = $1 AND application_id = $2";
    let stored = db.optional(sql, args![user_id, application_id], |row| row.text(0)).await?;
    Ok(stored.map(|text| Scope::from_stored(&text)).unwrap_or_default())
}

/// Adds to what this person has allowed this application.
pub async fn add(db: &Db, user_id: i64, application_id: i64, scope: &Scope, now: i64) -> Result<()> {
    let scope = scope.clone();
    db.write(move |tx| {
        Box::pin(async move {
            tx.lock(&format!("consent {user_id} {application_id}")).await?;
            let sql = "SELECT scope FROM vestibule_consent WHERE user_id = $1 AND application_id = $2";
            let before = tx.optional(sql, args![user_id, application_id], |row| row.text(0)).await?.unwrap_or_default();
            let before = Scope::from_stored(&before);
            let all: Scope = before.iter().chain(scope.iter()).collect();
            let sql = "INSERT INTO vestibule_consent (user_id, application_id, scope, created_at, updated_at)
                       VALUES ($1, $2, $3, $4, $4)
                       ON CONFLICT (user_id, application_id) DO UPDATE SET scope = $3, updated_at = $4";
            tx.execute(sql, args![user_id, application_id, all.to_string(), now]).await.map(|_| ())
        })
    })
    .await
}

/// Everything that this person has allowed, the latest first.
pub async fn of_user(db: &Db, user_id: i64) -> Result<Vec<Consent>> {
    let sql = "SELECT c.id, c.application_id, a.client_id, a.name, c.scope, c.updated_at
                 FROM vestibule_consent c JOIN vestibule_application a ON a.id = c.application_id
                WHERE c.user_id = $1 ORDER BY c.updated_at DESC, c.id DESC LIMIT 500";
    db.all(sql, args![user_id], Consent::from_row).await
}

/// Takes a consent back, and with it every token and code that the application has for this person. `None`: there is none.
pub async fn withdraw(db: &Db, id: i64, user_id: i64, now: i64) -> Result<Option<()>> {
    db.write(move |tx| {
        Box::pin(async move {
            let sql = "DELETE FROM vestibule_consent WHERE id = $1 AND user_id = $2 RETURNING application_id";
            let Some(application_id) = tx.optional(sql, args![id, user_id], |row| row.int(0)).await? else {
                return Ok(None);
            };
            end_everything(tx, user_id, application_id, now).await?;
            Ok(Some(()))
        })
    })
    .await
}

/// As [`withdraw`], whoever's it is, as part of a decision. Gives person and application.
pub async fn withdraw_in(tx: &mut Tx<'_>, id: i64, now: i64) -> Result<Option<(i64, i64)>> {
    let sql = "DELETE FROM vestibule_consent WHERE id = $1 RETURNING user_id, application_id";
    let found = tx.optional(sql, args![id], |row| Ok((row.int(0)?, row.int(1)?))).await?;
    if let Some((user_id, application_id)) = found {
        end_everything(tx, user_id, application_id, now).await?;
    }
    Ok(found)
}

/// The application is left with nothing of this person's: no token, and no code that could become one.
pub async fn end_everything(tx: &mut Tx<'_>, user_id: i64, application_id: i64, now: i64) -> Result<()> {
    let sql =
        "UPDATE vestibule_code SET consumed_at = $3 WHERE user_id = $1 AND application_id = $2 AND consumed_at IS NULL";
    tx.execute(sql, args![user_id, application_id, now]).await?;
    let sql = "DELETE FROM vestibule_device_code WHERE user_id = $1 AND application_id = $2";
    tx.execute(sql, args![user_id, application_id]).await?;
    token::revoke_all_in(tx, user_id, application_id, now).await
}
