//! Devices that wait for somebody to type their code (RFC 8628).

use vestibule_protocol::{Scope, TokenDigest};

use super::code::RedeemedCode;
use super::token::TokenContext;
use super::{Db, Result, Row, Tx, args};

/// A device code to be stored.
#[derive(Clone, Debug)]
pub struct NewDeviceCode {
    /// Of the code that the device polls with.
    pub digest: TokenDigest,
    /// Of the code that is typed, under a key.
    pub user_code: [u8; 32],
    /// Whose client the device is.
    pub application_id: i64,
    /// As it was when it asked.
    pub application_epoch: i64,
    /// What it asks for.
    pub scope: Scope,
    /// What its tokens are bound to.
    pub context: TokenContext,
    /// The family that its tokens will be.
    pub family: i64,
    /// Seconds between two polls.
    pub poll_interval: i64,
    /// In seconds since 1970.
    pub expires_at: i64,
}

/// A device that waits, as the person sees it who typed its code.
#[derive(Clone, Debug)]
pub struct Waiting {
    /// Which application.
    pub application_id: i64,
    /// What it asks for.
    pub scope: Scope,
    /// What its tokens are bound to.
    pub context: TokenContext,
}

/// What a poll finds.
#[derive(Clone, Debug)]
pub enum Poll {
    /// No such code of this application.
    Unknown,
    /// Past its end.
    Expired,
    /// Polled before its time; the interval has grown to so many seconds.
    TooSoon(i64),
    /// Nobody has decided.
    Pending,
    /// Somebody said no.
    Denied,
    /// Its tokens were given before.
    Spent,
    /// Somebody said yes: here it is, and it is spent with that.
    Approved(Box<RedeemedCode>),
}

/// Stores a device code, unless the code to be typed is another device's (`false`).
pub async fn insert(db: &Db, new: NewDeviceCode, now: i64) -> Result<bool> {
    let sql = "INSERT INTO vestibule_device_code (digest, user_code_digest, application_id, application_epoch, scope, context,
                      family, poll_interval, polled_at, expires_at)
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) ON CONFLICT (user_code_digest) DO NOTHING";
    let args = args![
        new.digest,
        new.user_code.to_vec(),
        new.application_id,
        new.application_epoch,
        new.scope.to_string(),
        TokenContext::to_stored(Some(&new.context))?,
        new.family,
        new.poll_interval,
        now - new.poll_interval,
        new.expires_at
    ];
    db.execute(sql, args).await.map(|count| count > 0)
}

/// Ties a device that waits to the person who typed its code. `None`: no such device, or somebody else typed it before.
pub async fn claim(db: &Db, user_code: [u8; 32], user_id: i64, user_epoch: i64, now: i64) -> Result<Option<Waiting>> {
    db.write(move |tx| {
        Box::pin(async move {
            let sql = "UPDATE vestibule_device_code SET user_id = $2, user_epoch = $3
                        WHERE user_code_digest = $1 AND expires_at > $4 AND is_approved IS NULL AND consumed_at IS NULL
                          AND (user_id IS NULL OR user_id = $2)
                       RETURNING application_id, scope, context";
            tx.optional(sql, args![user_code.to_vec(), user_id, user_epoch, now], |row| {
                Ok(Waiting {
                    application_id: row.int(0)?,
                    scope: Scope::from_stored(&row.text(1)?),
                    context: TokenContext::from_stored(row.optional_text(2)?)?.unwrap_or_default(),
                })
            })
            .await
        })
    })
    .await
}

/// Decides for a device that this person has claimed. `false`: there is none to decide.
pub async fn decide(
    db: &Db,
    user_code: [u8; 32],
    user_id: i64,
    is_approved: bool,
    context: &TokenContext,
    now: i64,
) -> Result<bool> {
    let sql = "UPDATE vestibule_device_code SET is_approved = $3, context = $5
                WHERE user_code_digest = $1 AND user_id = $2 AND expires_at > $4 AND is_approved IS NULL";
    let context = TokenContext::to_stored(Some(context))?;
    let args = args![user_code.to_vec(), user_id, is_approved, now, context];
    db.execute(sql, args).await.map(|count| count > 0)
}

struct Polled {
    interval: i64,
    polled_at: i64,
    is_approved: Option<bool>,
    is_spent: bool,
    expires_at: i64,
}

/// A device asks. Asking before its time makes the interval five seconds longer (RFC 8628 §3.5).
pub async fn poll(tx: &mut Tx<'_>, digest: TokenDigest, application_id: i64, now: i64) -> Result<Poll> {
    let sql = "SELECT poll_interval, polled_at, is_approved, consumed_at IS NOT NULL, expires_at
                 FROM vestibule_device_code WHERE digest = $1 AND application_id = $2";
    let map = |row: &Row<'_>| {
        Ok(Polled {
            interval: row.int(0)?,
            polled_at: row.int(1)?,
            is_approved: row.optional_bool(2)?,
            is_spent: row.bool(3)?,
            expires_at: row.int(4)?,
        })
    };
    let Some(polled) = tx.optional(sql, args![digest, application_id], map).await? else { return Ok(Poll::Unknown) };
    if polled.is_spent {
        return Ok(Poll::Spent);
    }
    if polled.expires_at <= now {
        return Ok(Poll::Expired);
    }
    if now - polled.polled_at < polled.interval {
        let sql =
            "UPDATE vestibule_device_code SET poll_interval = poll_interval + 5, polled_at = $2 WHERE digest = $1";
        tx.execute(sql, args![digest, now]).await?;
        return Ok(Poll::TooSoon(polled.interval + 5));
    }
    match polled.is_approved {
        Some(false) => Ok(Poll::Denied),
        None => {
            let sql = "UPDATE vestibule_device_code SET polled_at = $2 WHERE digest = $1";
            tx.execute(sql, args![digest, now]).await?;
            Ok(Poll::Pending)
        }
        Some(true) => {
            let sql = "UPDATE vestibule_device_code SET consumed_at = $2
                        WHERE digest = $1 AND consumed_at IS NULL AND is_approved
                          AND application_epoch = (SELECT a.token_epoch FROM vestibule_application a
                                                    WHERE a.id = vestibule_device_code.application_id AND a.is_active)
                          AND user_epoch = (SELECT u.token_epoch FROM vestibule_user u
                                             WHERE u.id = vestibule_device_code.user_id AND u.is_active)
                       RETURNING application_epoch, user_id, user_epoch, scope, context, CAST(NULL AS TEXT), family";
            let taken = tx.optional(sql, args![digest, now], RedeemedCode::from_row).await?;
            Ok(taken.map_or(Poll::Spent, |code| Poll::Approved(Box::new(code))))
        }
    }
}
