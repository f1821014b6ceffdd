//! Authorization codes.

use vestibule_protocol::{Scope, TokenDigest};

use super::token::TokenContext;
use super::{Result, Row, Tx, args};

/// A code to be stored. No `Debug`, as [`Redemption`].
#[derive(Clone)]
pub struct NewCode {
    /// Of the code.
    pub digest: TokenDigest,
    /// Whose client it is for.
    pub application_id: i64,
    /// As it was when the request was judged.
    pub application_epoch: i64,
    /// Who signed in.
    pub user_id: i64,
    /// As it was then.
    pub user_epoch: i64,
    /// As the request named it; empty where it named none.
    pub redirect_uri: String,
    /// The stored form of the challenge; empty where there is none.
    pub code_challenge: String,
    /// The thumbprint of the DPoP key that must redeem it; empty: any may.
    pub bound_key: String,
    /// What was allowed.
    pub scope: Scope,
    /// What its tokens are bound to.
    pub context: TokenContext,
    /// `sid` of the browser session.
    pub session: Option<String>,
    /// The family that its tokens will be.
    pub family: i64,
    /// In seconds since 1970.
    pub redeemable_until: i64,
    /// Until when it is evidence of a replay, in seconds since 1970.
    pub expires_at: i64,
}

/// A code that was redeemed just now.
#[derive(Clone, Debug)]
pub struct RedeemedCode {
    /// As it was when the request was judged.
    pub application_epoch: i64,
    /// Who signed in.
    pub user_id: i64,
    /// As it was then.
    pub user_epoch: i64,
    /// What was allowed.
    pub scope: Scope,
    /// What its tokens are bound to.
    pub context: TokenContext,
    /// `sid` of the browser session.
    pub session: Option<String>,
    /// The family that its tokens are.
    pub family: i64,
}

/// What a presented code must match. No `Debug`: a plain challenge is the verifier.
#[derive(Clone)]
pub struct Redemption {
    /// Of the code.
    pub digest: TokenDigest,
    /// Who redeems.
    pub application_id: i64,
    /// As the request names it; empty where it names none.
    pub redirect_uri: String,
    /// The challenges that its verifier answers.
    pub challenges: [String; 2],
    /// The thumbprint of the key that came with the request; empty where none did.
    pub key: String,
}

impl RedeemedCode {
    /// Reads epoch, person, their epoch, scope, context, session and family, in this order.
    pub(super) fn from_row(row: &Row<'_>) -> Result<Self> {
        Ok(Self {
            application_epoch: row.int(0)?,
            user_id: row.int(1)?,
            user_epoch: row.int(2)?,
            scope: Scope::from_stored(&row.text(3)?),
            context: TokenContext::from_stored(row.optional_text(4)?)?.unwrap_or_default(),
            session: row.optional_text(5)?,
            family: row.int(6)?,
        })
    }
}

/// Stores a code.
pub async fn insert(tx: &mut Tx<'_>, new: NewCode) -> Result<()> {
    let sql = "INSERT INTO vestibule_code (digest, application_id, application_epoch, user_id, user_epoch, redirect_uri,
                      code_challenge, bound_key, scope, context, session_public_id, family, redeemable_until, expires_at)
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)";
    let args = args![
        new.digest,
        new.application_id,
        new.application_epoch,
        new.user_id,
        new.user_epoch,
        new.redirect_uri,
        new.code_challenge,
        new.bound_key,
        new.scope.to_string(),
        TokenContext::to_stored(Some(&new.context))?,
        new.session,
        new.family,
        new.redeemable_until,
        new.expires_at
    ];
    tx.execute(sql, args).await.map(|_| ())
}

/// Takes a code out of use and returns it, if everything about it is right: its application, redirect URI and challenge, its
/// time, and that neither person nor application was ended since. (The epochs are compared with scalar subqueries: of
/// `EXISTS` PostgreSQL may make a join that begins at the person and goes through all of their codes.)
pub async fn redeem(tx: &mut Tx<'_>, redemption: &Redemption, now: i64) -> Result<Option<RedeemedCode>> {
    let sql = "UPDATE vestibule_code SET consumed_at = $6
                WHERE digest = $1 AND application_id = $2 AND redirect_uri = $3 AND code_challenge IN ($4, $5)
                  AND bound_key IN ('', $7)
                  AND consumed_at IS NULL AND redeemable_until > $6
                  AND application_epoch = (SELECT a.token_epoch FROM vestibule_application a
                                            WHERE a.id = vestibule_code.application_id AND a.is_active)
                  AND user_epoch = (SELECT u.token_epoch FROM vestibule_user u
                                     WHERE u.id = vestibule_code.user_id AND u.is_active)
               RETURNING application_epoch, user_id, user_epoch, scope, context, session_public_id, family";
    let [one, other] = redemption.challenges.clone();
    let args = args![
        redemption.digest,
        redemption.application_id,
        redemption.redirect_uri.clone(),
        one,
        other,
        now,
        redemption.key.clone()
    ];
    tx.optional(sql, args, RedeemedCode::from_row).await
}

/// The family of a code of this application that was redeemed before. `None`: it was not.
pub async fn redeemed_before(tx: &mut Tx<'_>, digest: TokenDigest, application_id: i64) -> Result<Option<i64>> {
    let sql = "SELECT family FROM vestibule_code WHERE digest = $1 AND application_id = $2 AND consumed_at IS NOT NULL";
    tx.optional(sql, args![digest, application_id], |row| row.int(0)).await
}
