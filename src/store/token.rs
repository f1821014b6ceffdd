//! What the token endpoint gave: a row a pair, a family a sign-in.

use serde::{Deserialize, Serialize};
use vestibule_protocol::{GrantType, Scope, TokenDigest};

use super::change::Change;
use super::user::{self, User};
use super::{Db, Error, Result, Row, Tx, args};

/// A pair to be stored.
#[derive(Clone, Debug)]
pub struct NewToken {
    /// The sign-in that it belongs to.
    pub family: i64,
    /// 0 for the sign-in, one more at each refresh.
    pub generation: i64,
    /// The grant by which the family began.
    pub grant_type: GrantType,
    /// Whose client it was given to.
    pub application_id: i64,
    /// The epoch that was read when the application was authenticated.
    pub application_epoch: i64,
    /// Whom it speaks for; `None`: the application itself.
    pub user_id: Option<i64>,
    /// The epoch that was read when the person was authenticated.
    pub user_epoch: i64,
    /// What it is good for.
    pub scope: Scope,
    /// Of the access token.
    pub access_digest: TokenDigest,
    /// In seconds since 1970.
    pub access_expires_at: i64,
    /// Of the refresh token, and when that expires, in seconds since 1970.
    pub refresh: Option<(TokenDigest, i64)>,
    /// In seconds since 1970.
    pub created_at: i64,
    /// What it is bound to.
    pub context: Option<TokenContext>,
    /// `sid` of the browser session that it is issued in.
    pub session: Option<String>,
    /// The first characters of the access token behind its prefix, or of the id of one that is a JWT.
    pub access_hint: String,
}

/// What a code or a token is bound to, and what its ID tokens say beside the person's claims. Stored as JSON; a token with
/// nothing of it has none.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct TokenContext {
    /// The thumbprint of the key that must come with it (RFC 9449 §6).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jkt: Option<String>,
    /// The SHA-256 of the certificate that must come with it (RFC 8705 §3.1).
    #[serde(rename = "x5t", skip_serializing_if = "Option::is_none")]
    pub certificate: Option<String>,
    /// The APIs that it is for (RFC 8707); empty: this server's.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub resources: Vec<String>,
    /// When the person proved who they are, in seconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auth_time: Option<i64>,
    /// How they did: words of RFC 8176, between blanks.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub amr: String,
    /// Of the authorization request; in the first ID token only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nonce: Option<String>,
    /// Claims that the request named for the ID token.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub id_token_claims: Vec<String>,
    /// Claims that the request named for user info.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub userinfo_claims: Vec<String>,
    /// Who acts for the person (RFC 8693 §4.1).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub actor: Option<serde_json::Value>,
    /// When the access token must end at the latest, in seconds since 1970: where it was made of another.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_after: Option<i64>,
}

impl TokenContext {
    /// The stored form; `None` for a context that says nothing.
    pub(super) fn to_stored(context: Option<&Self>) -> Result<Option<String>> {
        let told = context.filter(|context| **context != Self::default());
        told.map(serde_json::to_string).transpose().map_err(Error::broken)
    }

    pub(super) fn from_stored(text: Option<String>) -> Result<Option<Self>> {
        text.map(|text| serde_json::from_str(&text)).transpose().map_err(Error::broken)
    }
}

/// An access token that is good, with what it rests on.
#[derive(Clone, Debug)]
pub struct AccessToken {
    /// The row.
    pub id: i64,
    /// The sign-in.
    pub family: i64,
    /// What it is good for.
    pub scope: Scope,
    /// In seconds since 1970.
    pub expires_at: i64,
    /// In seconds since 1970.
    pub created_at: i64,
    /// The application's number.
    pub application_id: i64,
    /// The application's public name.
    pub client_id: String,
    /// By which grant it was given.
    pub grant_type: GrantType,
    /// What it is bound to.
    pub context: Option<TokenContext>,
    /// `sid` of the browser session that it was issued in.
    pub session: Option<String>,
    /// The person; `None`: the application itself.
    pub user: Option<User>,
}

/// A refresh token's row, whatever its state.
#[derive(Clone, Debug)]
pub struct RefreshToken {
    /// The row.
    pub id: i64,
    /// The sign-in.
    pub family: i64,
    /// How many refreshes came before.
    pub generation: i64,
    /// The grant by which the family began.
    pub grant_type: GrantType,
    /// Whose client it was given to.
    pub application_id: i64,
    /// As it was at issue.
    pub application_epoch: i64,
    /// Whom it speaks for.
    pub user_id: Option<i64>,
    /// As it was at issue.
    pub user_epoch: i64,
    /// What it is good for.
    pub scope: Scope,
    /// In seconds since 1970.
    pub refresh_expires_at: i64,
    /// In seconds since 1970.
    pub access_expires_at: i64,
    /// When it was used, in seconds since 1970.
    pub consumed_at: Option<i64>,
    /// When it was ended on purpose or by a replay, in seconds since 1970.
    pub revoked_at: Option<i64>,
    /// What it is bound to.
    pub context: Option<TokenContext>,
    /// `sid` of the browser session that it was issued in.
    pub session: Option<String>,
    /// In seconds since 1970.
    pub created_at: i64,
}

impl AccessToken {
    fn from_row(row: &Row<'_>) -> Result<Self> {
        let user = match row.optional_int(USER_AT)? {
            Some(_) => Some(User::from_row_at(row, USER_AT)?),
            None => None,
        };
        Ok(Self {
            id: row.int(0)?,
            family: row.int(1)?,
            scope: Scope::from_stored(&row.text(2)?),
            expires_at: row.int(3)?,
            created_at: row.int(4)?,
            application_id: row.int(5)?,
            client_id: row.text(6)?,
            grant_type: row.text(7)?.parse().map_err(|error: String| Error::broken(error))?,
            context: TokenContext::from_stored(row.optional_text(8)?)?,
            session: row.optional_text(9)?,
            user,
        })
    }
}

/// Where the person's columns begin in [`find_access`].
const USER_AT: usize = 10;

/// An access token that is good now: neither expired, spent nor revoked, of an active application and, if it speaks for a
/// person, of an active one.
pub async fn find_access(db: &Db, digest: TokenDigest, now: i64) -> Result<Option<AccessToken>> {
    let sql = concat!(
        "SELECT t.id, t.family, t.scope, t.access_expires_at, t.created_at, a.id, a.client_id, t.grant_type, t.context, t.session_public_id, ",
        user::columns!(),
        " FROM vestibule_token t
          JOIN vestibule_application a
            ON a.id = t.application_id AND a.is_active AND a.token_epoch = t.application_epoch
          LEFT JOIN vestibule_user u ON u.id = t.user_id
         WHERE t.access_digest = $1 AND t.access_expires_at > $2 AND t.consumed_at IS NULL AND t.revoked_at IS NULL
           AND (t.user_id IS NULL OR (u.is_active AND u.token_epoch = t.user_epoch))"
    );
    db.optional(sql, args![digest, now], AccessToken::from_row).await
}

/// The statement that stores a pair; the benchmark runs it bare.
pub const INSERT: &str =
    "INSERT INTO vestibule_token (family, generation, grant_type, application_id, application_epoch, user_id,
        user_epoch, scope, access_digest, access_expires_at, refresh_digest, refresh_expires_at, created_at, expires_at, context,
        session_public_id, access_hint)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)";

impl NewToken {
    fn into_args(self) -> Result<Vec<super::Value>> {
        let context = TokenContext::to_stored(self.context.as_ref())?;
        let refresh_expires_at = self.refresh.map(|(_, at)| at);
        let expires_at = refresh_expires_at.unwrap_or(i64::MIN).max(self.access_expires_at);
        Ok(args![
            self.family,
            self.generation,
            self.grant_type.as_str(),
            self.application_id,
            self.application_epoch,
            self.user_id,
            self.user_epoch,
            self.scope.to_string(),
            self.access_digest,
            self.access_expires_at,
            self.refresh.map(|(digest, _)| digest),
            refresh_expires_at,
            self.created_at,
            expires_at,
            context,
            self.session,
            self.access_hint
        ])
    }
}

/// Stores a pair.
pub async fn insert(db: &Db, new: NewToken) -> Result<()> {
    db.execute(INSERT, new.into_args()?).await.map(|_| ())
}

/// Stores a pair as part of a decision.
pub async fn insert_in(tx: &mut Tx<'_>, new: NewToken) -> Result<()> {
    tx.execute(INSERT, new.into_args()?).await.map(|_| ())
}

/// What a refresh token's row must be to be used: good itself, of an active application and of an active person, each in the
/// epoch that it was issued under.
macro_rules! usable_refresh {
    () => {
        "refresh_digest = $1 AND application_id = $2 AND refresh_expires_at > $3 \
         AND consumed_at IS NULL AND revoked_at IS NULL AND refresh_revoked_at IS NULL \
         AND application_epoch = (SELECT a.token_epoch FROM vestibule_application a \
                                    WHERE a.id = vestibule_token.application_id AND a.is_active) \
         AND (user_id IS NULL OR user_epoch = (SELECT u.token_epoch FROM vestibule_user u \
                                    WHERE u.id = vestibule_token.user_id AND u.is_active))"
    };
}

macro_rules! refresh_columns {
    () => {
        "id, family, generation, grant_type, application_id, application_epoch, user_id, user_epoch, scope, \
         refresh_expires_at, access_expires_at, consumed_at, COALESCE(revoked_at, refresh_revoked_at), \
         context, session_public_id, created_at"
    };
}

impl RefreshToken {
    fn from_row(row: &Row<'_>) -> Result<Self> {
        Ok(Self {
            id: row.int(0)?,
            family: row.int(1)?,
            generation: row.int(2)?,
            grant_type: row.text(3)?.parse().map_err(|error: String| Error::broken(error))?,
            application_id: row.int(4)?,
            application_epoch: row.int(5)?,
            user_id: row.optional_int(6)?,
            user_epoch: row.int(7)?,
            scope: Scope::from_stored(&row.text(8)?),
            refresh_expires_at: row
                .optional_int(9)?
                .ok_or_else(|| Error::broken("a refresh token without an expiry"))?,
            access_expires_at: row.int(10)?,
            consumed_at: row.optional_int(11)?,
            revoked_at: row.optional_int(12)?,
            context: TokenContext::from_stored(row.optional_text(13)?)?,
            session: row.optional_text(14)?,
            created_at: row.int(15)?,
        })
    }
}

/// Takes a refresh token out of use and returns it. `None`: unknown, another application's, expired, revoked, used before,
/// or its person or application is not active any more. Both tokens of its row are spent with it.
pub async fn consume_refresh(
    tx: &mut Tx<'_>,
    digest: TokenDigest,
    application_id: i64,
    now: i64,
) -> Result<Option<RefreshToken>> {
    let sql = concat!(
        "UPDATE vestibule_token SET consumed_at = $3 WHERE ",
        usable_refresh!(),
        " RETURNING ",
        refresh_columns!()
    );
    let token = tx.optional(sql, args![digest, application_id, now], RefreshToken::from_row).await?;
    if let Some(token) = &token {
        tx.changed(Change::Rotated(token.family));
    }
    Ok(token)
}

/// As [`consume_refresh`], but leaves it in use: for operators who do not rotate. The row is held, so that a revocation
/// waits for what is made of it.
pub async fn hold_refresh(
    tx: &mut Tx<'_>,
    digest: TokenDigest,
    application_id: i64,
    now: i64,
) -> Result<Option<RefreshToken>> {
    let sql = concat!(
        "UPDATE vestibule_token SET generation = generation WHERE ",
        usable_refresh!(),
        " RETURNING ",
        refresh_columns!()
    );
    tx.optional(sql, args![digest, application_id, now], RefreshToken::from_row).await
}

/// Holds a row against revocation until the transaction ends. `false`: it was spent or revoked before.
pub async fn hold(tx: &mut Tx<'_>, id: i64) -> Result<bool> {
    let sql = "UPDATE vestibule_token SET generation = generation WHERE id = $1 AND consumed_at IS NULL AND revoked_at IS NULL";
    tx.execute(sql, args![id]).await.map(|count| count > 0)
}

/// A refresh token in whatever state, of this application.
pub async fn find_refresh(tx: &mut Tx<'_>, digest: TokenDigest, application_id: i64) -> Result<Option<RefreshToken>> {
    let sql = concat!(
        "SELECT ",
        refresh_columns!(),
        " FROM vestibule_token WHERE refresh_digest = $1 AND application_id = $2"
    );
    tx.optional(sql, args![digest, application_id], RefreshToken::from_row).await
}

/// Whether what these tokens rest on still stands: the application and the person are active and of the same epoch.
pub async fn still_stands(tx: &mut Tx<'_>, token: &RefreshToken) -> Result<bool> {
    let sql = "SELECT 1 FROM vestibule_application a LEFT JOIN vestibule_user u ON u.id = $3
                WHERE a.id = $1 AND a.is_active AND a.token_epoch = $2
                  AND ($3 IS NULL OR (u.is_active AND u.token_epoch = $4))";
    let args = args![token.application_id, token.application_epoch, token.user_id, token.user_epoch];
    tx.optional(sql, args, |_| Ok(())).await.map(|row| row.is_some())
}

/// Ends a whole sign-in: every pair that came of it.
pub async fn revoke_family(tx: &mut Tx<'_>, family: i64, now: i64) -> Result<()> {
    tx.changed(Change::Family(family));
    let sql = "UPDATE vestibule_token SET revoked_at = $2 WHERE family = $1 AND revoked_at IS NULL";
    // A refresh that was under way held the old row: the pair that it has made meanwhile is seen by the next statement.
    while tx.execute(sql, args![family, now]).await? > 0 {}
    Ok(())
}

/// Ends the sign-in that this access or refresh token belongs to, if it is this application's (RFC 7009 §2.1).
pub async fn revoke(db: &Db, digest: TokenDigest, application_id: i64, now: i64) -> Result<()> {
    db.write(move |tx| {
        Box::pin(async move {
            let sql = "SELECT family FROM vestibule_token WHERE (access_digest = $1 OR refresh_digest = $1) AND application_id = $2";
            match tx.optional(sql, args![digest, application_id], |row| row.int(0)).await? {
                Some(family) => revoke_family(tx, family, now).await,
                None => Ok(()),
            }
        })
    })
    .await
}

/// Ends every token that this person has for this application.
pub async fn revoke_all(db: &Db, user_id: i64, application_id: i64, now: i64) -> Result<()> {
    db.write(move |tx| Box::pin(async move { revoke_all_in(tx, user_id, application_id, now).await })).await
}

/// As [`revoke_all`], as part of a decision.
pub async fn revoke_all_in(tx: &mut Tx<'_>, user_id: i64, application_id: i64, now: i64) -> Result<()> {
    let sql = "UPDATE vestibule_token SET revoked_at = $3
                WHERE user_id = $1 AND application_id = $2 AND revoked_at IS NULL RETURNING family";
    loop {
        // Again until nothing is left, as in `revoke_family`.
        let families = tx.all(sql, args![user_id, application_id, now], |row| row.int(0)).await?;
        if families.is_empty() {
            return Ok(());
        }
        families.into_iter().for_each(|family| tx.changed(Change::Family(family)));
    }
}

/// Ends every token that this person has for this application out of this browser session.
pub async fn revoke_session(db: &Db, user_id: i64, application_id: i64, session: &str, now: i64) -> Result<()> {
    let session = session.to_owned();
    db.write(move |tx| {
        Box::pin(async move {
            let sql = "SELECT DISTINCT family FROM vestibule_token
                        WHERE user_id = $1 AND application_id = $2 AND session_public_id = $3 AND revoked_at IS NULL";
            for family in tx.all(sql, args![user_id, application_id, session], |row| row.int(0)).await? {
                revoke_family(tx, family, now).await?;
            }
            Ok(())
        })
    })
    .await
}

/// Ends every refresh token that this person has for this application; the access tokens live on.
pub async fn revoke_refresh_tokens(db: &Db, user_id: i64, application_id: i64, now: i64) -> Result<()> {
    let sql = "UPDATE vestibule_token SET refresh_revoked_at = $3
                WHERE user_id = $1 AND application_id = $2 AND refresh_digest IS NOT NULL AND refresh_revoked_at IS NULL";
    db.execute(sql, args![user_id, application_id, now]).await.map(|_| ())
}

/// What is stored of a token beside its secrets.
#[derive(Clone, Debug)]
pub struct Described {
    /// The application's public name.
    pub client_id: String,
    /// By which grant it was given.
    pub grant_type: String,
    /// What it is good for.
    pub scope: String,
    /// In seconds since 1970, as those that follow.
    pub created_at: i64,
    /// When the access token ends.
    pub access_expires_at: i64,
    /// When the refresh token does, if there is one.
    pub refresh_expires_at: Option<i64>,
    /// When it was refreshed.
    pub consumed_at: Option<i64>,
    /// When it was ended.
    pub revoked_at: Option<i64>,
    /// `sid` of the browser session that it was issued in.
    pub session: Option<String>,
}

/// What is stored of a person's tokens, the latest first, at most 10,000.
pub async fn of_user(db: &Db, user_id: i64) -> Result<Vec<Described>> {
    let sql =
        "SELECT a.client_id, t.grant_type, t.scope, t.created_at, t.access_expires_at, t.refresh_expires_at, t.consumed_at,
                t.revoked_at, t.session_public_id
           FROM vestibule_token t JOIN vestibule_application a ON a.id = t.application_id
          WHERE t.user_id = $1 ORDER BY t.id DESC LIMIT 10000";
    let read = |row: &Row<'_>| {
        Ok(Described {
            client_id: row.text(0)?,
            grant_type: row.text(1)?,
            scope: row.text(2)?,
            created_at: row.int(3)?,
            access_expires_at: row.int(4)?,
            refresh_expires_at: row.optional_int(5)?,
            consumed_at: row.optional_int(6)?,
            revoked_at: row.optional_int(7)?,
            session: row.optional_text(8)?,
        })
    };
    db.all(sql, args![user_id], read).await
}
