//! What waits to become tokens, and what people have allowed, as staff look through it.

use vestibule_protocol::{Scope, TokenDigest};

use super::{Db, Result, Row, Tx, args};

/// Rows that a list of codes looks at, the youngest: what waits is among them.
const WINDOW: i64 = 20_000;

/// A code that waits.
#[derive(Clone, Debug)]
pub struct WaitingCode {
    /// Of the code.
    pub digest: TokenDigest,
    /// The application's number.
    pub application_id: i64,
    /// Its public name.
    pub client_id: String,
    /// The person's number and username; `None`: nobody has typed the device's code.
    pub user: Option<(i64, String)>,
    /// What it asks for, or what was allowed.
    pub scope: Scope,
    /// Of a device: what was decided, if anything was.
    pub is_approved: Option<bool>,
    /// In seconds since 1970.
    pub expires_at: i64,
}

/// What somebody has allowed an application.
#[derive(Clone, Debug)]
pub struct ListedConsent {
    /// The row.
    pub id: i64,
    /// Who.
    pub user_id: i64,
    /// Their username.
    pub username: String,
    /// The application's public name.
    pub client_id: String,
    /// What.
    pub scope: Scope,
    /// In seconds since 1970.
    pub created_at: i64,
    /// In seconds since 1970.
    pub updated_at: i64,
}

/// Whose codes and consents are listed; `None` takes all.
#[derive(Clone, Copy, Debug, Default)]
pub struct Filter {
    /// Of this person.
    pub user_id: Option<i64>,
    /// Of this application.
    pub application_id: Option<i64>,
}

impl WaitingCode {
    fn from_row(row: &Row<'_>) -> Result<Self> {
        let digest = row.optional_bytes(0)?.as_deref().and_then(TokenDigest::from_bytes);
        Ok(Self {
            digest: digest.ok_or_else(|| super::Error::broken("a code without a digest"))?,
            application_id: row.int(1)?,
            client_id: row.text(2)?,
            user: row.optional_int(3)?.zip(row.optional_text(4)?),
            scope: Scope::from_stored(&row.text(5)?),
            is_approved: row.optional_bool(6)?,
            expires_at: row.int(7)?,
        })
    }
}

/// Authorization codes that nobody has redeemed yet, the youngest first, at most `limit`.
pub async fn codes(db: &Db, filter: Filter, limit: i64, now: i64) -> Result<Vec<WaitingCode>> {
    let sql = "SELECT c.digest, c.application_id, a.client_id, c.user_id, u.username, c.scope, CAST(NULL AS BOOLEAN),
                      c.redeemable_until
                 FROM (SELECT * FROM vestibule_code WHERE expires_at > $2 ORDER BY expires_at DESC LIMIT $3) c
                 JOIN vestibule_application a ON a.id = c.application_id JOIN vestibule_user u ON u.id = c.user_id
                WHERE c.consumed_at IS NULL AND c.redeemable_until > $2
                  AND ($4 IS NULL OR c.user_id = $4) AND ($5 IS NULL OR c.application_id = $5)
                ORDER BY c.redeemable_until DESC, c.family LIMIT $1";
    db.all(sql, args![limit, now, WINDOW, filter.user_id, filter.application_id], WaitingCode::from_row).await
}

/// Devices that have no tokens yet, the youngest first, at most `limit`.
pub async fn device_codes(db: &Db, filter: Filter, limit: i64, now: i64) -> Result<Vec<WaitingCode>> {
    let sql =
        "SELECT c.digest, c.application_id, a.client_id, c.user_id, u.username, c.scope, c.is_approved, c.expires_at
                 FROM (SELECT * FROM vestibule_device_code WHERE expires_at > $2 ORDER BY expires_at DESC LIMIT $3) c
                 JOIN vestibule_application a ON a.id = c.application_id LEFT JOIN vestibule_user u ON u.id = c.user_id
                WHERE c.consumed_at IS NULL
                  AND ($4 IS NULL OR c.user_id = $4) AND ($5 IS NULL OR c.application_id = $5)
                ORDER BY c.expires_at DESC, c.family LIMIT $1";
    db.all(sql, args![limit, now, WINDOW, filter.user_id, filter.application_id], WaitingCode::from_row).await
}

/// Whose code or device code this is, as far as somebody is known.
pub async fn whose_code(tx: &mut Tx<'_>, digest: TokenDigest) -> Result<Option<i64>> {
    let sql = "SELECT user_id FROM vestibule_code WHERE digest = $1
               UNION ALL SELECT user_id FROM vestibule_device_code WHERE digest = $1";
    tx.optional(sql, args![digest], |row| row.optional_int(0)).await.map(Option::flatten)
}

/// Whose consent this is.
pub async fn whose_consent(tx: &mut Tx<'_>, id: i64) -> Result<Option<i64>> {
    tx.optional("SELECT user_id FROM vestibule_consent WHERE id = $1", args![id], |row| row.int(0)).await
}

/// Removes a code or a device code that waits, and says whose it is: the person's and the application's number. One that was
/// used stays, as evidence of a replay.
pub async fn delete_code(tx: &mut Tx<'_>, digest: TokenDigest) -> Result<Option<(Option<i64>, i64)>> {
    let map = |row: &Row<'_>| Ok((row.optional_int(0)?, row.int(1)?));
    let sql = "DELETE FROM vestibule_code WHERE digest = $1 AND consumed_at IS NULL RETURNING user_id, application_id";
    if let Some(found) = tx.optional(sql, args![digest], map).await? {
        return Ok(Some(found));
    }
    let sql =
        "DELETE FROM vestibule_device_code WHERE digest = $1 AND consumed_at IS NULL RETURNING user_id, application_id";
    tx.optional(sql, args![digest], map).await
}

/// Consents with smaller numbers than `before`, the youngest first, at most `limit`.
pub async fn consents(db: &Db, filter: Filter, before: i64, limit: i64) -> Result<Vec<ListedConsent>> {
    macro_rules! page {
        ($more:literal) => {
            concat!(
                "SELECT c.id, c.user_id, u.username, a.client_id, c.scope, c.created_at, c.updated_at
                   FROM vestibule_consent c JOIN vestibule_user u ON u.id = c.user_id
                   JOIN vestibule_application a ON a.id = c.application_id
                  WHERE c.id < $1 AND ($3 IS NULL OR c.user_id = $3) AND ($4 IS NULL OR c.application_id = $4)",
                $more,
                " ORDER BY c.id DESC LIMIT $2"
            )
        };
    }
    let sql = match (filter.user_id, filter.application_id) {
        (Some(_), _) => page!(" AND c.user_id = $3"),
        (_, Some(_)) => page!(" AND c.application_id = $4"),
        _ => page!(""),
    };
    db.all(sql, args![before, limit, filter.user_id, filter.application_id], ListedConsent::from_row).await
}

impl ListedConsent {
    fn from_row(row: &Row<'_>) -> Result<Self> {
        Ok(Self {
            id: row.int(0)?,
            user_id: row.int(1)?,
            username: row.text(2)?,
            client_id: row.text(3)?,
            scope: Scope::from_stored(&row.text(4)?),
            created_at: row.int(5)?,
            updated_at: row.int(6)?,
        })
    }
}
