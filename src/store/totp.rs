//! What people's authenticator apps share with us.

use super::{Db, Result, Tx, args, recovery_code};

/// A person's authenticator app.
#[derive(Clone)]
pub struct Totp {
    /// The secret, sealed.
    pub sealed_secret: Vec<u8>,
    /// In seconds since 1970.
    pub created_at: i64,
    /// In seconds since 1970; `None`: not since it was set up.
    pub last_used_at: Option<i64>,
}

/// Stores a secret whose code of `step` was right. `false`: the person has one already.
pub async fn insert(db: &Db, user_id: i64, sealed_secret: Vec<u8>, step: i64, now: i64) -> Result<bool> {
    let sql = "INSERT INTO vestibule_totp (user_id, sealed_secret, last_step, created_at) VALUES ($1, $2, $3, $4)
               ON CONFLICT (user_id) DO NOTHING";
    db.execute(sql, args![user_id, sealed_secret, step, now]).await.map(|count| count > 0)
}

/// A person's app.
pub async fn find(db: &Db, user_id: i64) -> Result<Option<Totp>> {
    let sql = "SELECT sealed_secret, created_at, last_used_at FROM vestibule_totp WHERE user_id = $1";
    db.optional(sql, args![user_id], |row| {
        let sealed_secret = row.optional_bytes(0)?.unwrap_or_default();
        Ok(Totp { sealed_secret, created_at: row.int(1)?, last_used_at: row.optional_int(2)? })
    })
    .await
}

/// Takes the code of a time step. `false`: it, or a later one, was taken before, or the secret is another by now.
pub async fn take_step(db: &Db, user_id: i64, sealed_secret: Vec<u8>, step: i64, now: i64) -> Result<bool> {
    let sql = "UPDATE vestibule_totp SET last_step = $3, last_used_at = $4
                WHERE user_id = $1 AND sealed_secret = $2 AND last_step < $3";
    db.execute(sql, args![user_id, sealed_secret, step, now]).await.map(|count| count > 0)
}

/// Takes the app away from a person. `false`: there was none.
pub async fn delete(db: &Db, user_id: i64) -> Result<bool> {
    db.write(move |tx| {
        Box::pin(async move {
            let is_gone = delete_in(tx, user_id).await?;
            recovery_code::delete_unneeded(tx, user_id).await?;
            Ok(is_gone)
        })
    })
    .await
}

/// As [`delete`], as part of a decision that also says what becomes of recovery codes.
pub async fn delete_in(tx: &mut Tx<'_>, user_id: i64) -> Result<bool> {
    tx.execute("DELETE FROM vestibule_totp WHERE user_id = $1", args![user_id]).await.map(|count| count > 0)
}
