//! Keys that sign, their private halves sealed.

use super::change::Change;
use super::{Db, Error, Result, Row, Tx, args};

/// A key to be stored.
#[derive(Clone)]
pub struct NewKey {
    /// Its name.
    pub kid: String,
    /// What it signs with.
    pub algorithm: String,
    /// The private half, sealed.
    pub sealed_key: Vec<u8>,
    /// The public half, as JSON.
    pub public_jwk: String,
    /// From when on it signs, in seconds since 1970.
    pub active_at: i64,
}

/// A stored key.
#[derive(Clone)]
pub struct StoredKey {
    /// Its name.
    pub kid: String,
    /// What it signs with.
    pub algorithm: String,
    /// The private half, sealed.
    pub sealed_key: Vec<u8>,
    /// When it was made, in seconds since 1970.
    pub created_at: i64,
    /// From when on it signs, in seconds since 1970.
    pub active_at: i64,
    /// When nothing that it signed counts any more, in seconds since 1970; `None` while it signs or is to sign.
    pub expires_at: Option<i64>,
}

impl StoredKey {
    fn from_row(row: &Row<'_>) -> Result<Self> {
        Ok(Self {
            kid: row.text(0)?,
            algorithm: row.text(1)?,
            sealed_key: row.optional_bytes(2)?.ok_or_else(|| Error::broken("a signing key without its bytes"))?,
            created_at: row.int(3)?,
            active_at: row.int(4)?,
            expires_at: row.optional_int(5)?,
        })
    }
}

/// Every key of which something may still count.
pub async fn living(db: &Db, now: i64) -> Result<Vec<StoredKey>> {
    let sql = "SELECT kid, algorithm, sealed_key, created_at, active_at, expires_at FROM vestibule_signing_key
                WHERE expires_at IS NULL OR expires_at > $1 ORDER BY algorithm, active_at";
    db.all(sql, args![now], StoredKey::from_row).await
}

async fn insert(tx: &mut Tx<'_>, key: &NewKey, now: i64) -> Result<()> {
    let sql = "INSERT INTO vestibule_signing_key (kid, algorithm, sealed_key, public_jwk, created_at, active_at)
               VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (kid) DO NOTHING";
    let args = args![
        key.kid.clone(),
        key.algorithm.clone(),
        Some(key.sealed_key.clone()),
        key.public_jwk.clone(),
        now,
        key.active_at
    ];
    tx.execute(sql, args).await.map(|_| ())
}

/// Stores these keys, but of an algorithm that another node has provided for meanwhile none.
pub async fn insert_missing(db: &Db, new: Vec<NewKey>, now: i64) -> Result<()> {
    db.write(move |tx| {
        Box::pin(async move {
            tx.lock("signing keys").await?;
            let sql = "SELECT algorithm FROM vestibule_signing_key
                        WHERE expires_at IS NULL AND (active_at > $1 OR algorithm = 'HS256')";
            let provided = tx.all(sql, args![now], |row| row.text(0)).await?;
            for key in new.iter().filter(|key| !provided.contains(&key.algorithm)) {
                insert(tx, key, now).await?;
            }
            tx.changed(Change::SigningKeys);
            Ok(())
        })
    })
    .await
}

/// Lets every key that waits sign from now on, stores new ones that wait, and gives the names of those that sign now.
pub async fn rotate_in(tx: &mut Tx<'_>, new: &[NewKey], now: i64) -> Result<Vec<String>> {
    tx.lock("signing keys").await?;
    let sql = "UPDATE vestibule_signing_key SET active_at = $1 WHERE active_at > $1 RETURNING kid";
    let signing = tx.all(sql, args![now], |row| row.text(0)).await?;
    for key in new {
        insert(tx, key, now).await?;
    }
    tx.changed(Change::SigningKeys);
    Ok(signing)
}

/// Gives every key that has been followed by another its end, and deletes those whose end is past.
pub async fn retire(db: &Db, now: i64, longest_use: i64) -> Result<()> {
    let sql = "UPDATE vestibule_signing_key SET expires_at = $2
                WHERE expires_at IS NULL AND EXISTS (
                    SELECT 1 FROM vestibule_signing_key younger
                     WHERE younger.algorithm = vestibule_signing_key.algorithm AND younger.active_at <= $1
                       AND (younger.active_at > vestibule_signing_key.active_at
                            OR younger.active_at = vestibule_signing_key.active_at AND younger.kid > vestibule_signing_key.kid))";
    db.execute(sql, args![now, now + longest_use]).await?;
    db.execute("DELETE FROM vestibule_signing_key WHERE expires_at <= $1", args![now]).await.map(|_| ())
}
