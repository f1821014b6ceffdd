//! Browser sessions, and the applications that each was used for.

use vestibule_protocol::TokenDigest;

use super::user::{self, User};
use super::{Db, Result, Row, Tx, args};

/// A session to be stored.
#[derive(Clone, Debug)]
pub struct NewSession {
    /// Of the cookie's value.
    pub digest: TokenDigest,
    /// `sid`.
    pub public_id: String,
    /// Whose it is.
    pub user_id: i64,
    /// As it was when the person proved who they are.
    pub user_epoch: i64,
    /// How they did: words of RFC 8176, between blanks.
    pub amr: String,
    /// Its absolute end, in seconds since 1970.
    pub expires_at: i64,
    /// The address that it was begun from.
    pub address: String,
    /// The browser's name for itself.
    pub user_agent: String,
}

/// A session that is good, with whose it is.
#[derive(Clone, Debug)]
pub struct Session {
    /// Our number.
    pub id: i64,
    /// `sid`.
    pub public_id: String,
    /// When the person last proved who they are, in seconds since 1970.
    pub auth_time: i64,
    /// How: words of RFC 8176, between blanks.
    pub amr: String,
    /// In seconds since 1970.
    pub created_at: i64,
    /// In seconds since 1970.
    pub last_seen_at: i64,
    /// In seconds since 1970.
    pub expires_at: i64,
    /// The address that it was begun from.
    pub address: String,
    /// The address that it was used from last; empty where that is not known.
    pub last_address: String,
    /// The browser's name for itself.
    pub user_agent: String,
    /// Whose it is.
    pub user: User,
}

macro_rules! select {
    () => {
        concat!(
            "SELECT s.id, s.public_id, s.auth_time, s.amr, s.created_at, s.last_seen_at, s.expires_at, s.address, s.last_address, s.user_agent, ",
            user::columns!(),
            " FROM vestibule_session s JOIN vestibule_user u ON u.id = s.user_id AND u.is_active AND u.token_epoch = s.user_epoch"
        )
    };
}

impl Session {
    fn from_row(row: &Row<'_>) -> Result<Self> {
        Ok(Self {
            id: row.int(0)?,
            public_id: row.text(1)?,
            auth_time: row.int(2)?,
            amr: row.text(3)?,
            created_at: row.int(4)?,
            last_seen_at: row.int(5)?,
            expires_at: row.int(6)?,
            address: row.text(7)?,
            last_address: row.text(8)?,
            user_agent: row.text(9)?,
            user: User::from_row_at(row, 10)?,
        })
    }
}

/// Stores a session that begins now, in place of the one before it in this browser.
pub async fn begin(db: &Db, new: NewSession, before: Option<i64>, now: i64) -> Result<()> {
    db.write(move |tx| {
        Box::pin(async move {
            if let Some(id) = before {
                tx.execute("DELETE FROM vestibule_session WHERE id = $1", args![id]).await?;
            }
            let sql =
                "INSERT INTO vestibule_session (digest, public_id, user_id, user_epoch, auth_time, amr, created_at,
                              last_seen_at, expires_at, address, last_address, user_agent)
                       VALUES ($1, $2, $3, $4, $5, $6, $5, $5, $7, $8, $8, $9)";
            let args = args![
                new.digest,
                new.public_id,
                new.user_id,
                new.user_epoch,
                now,
                new.amr,
                new.expires_at,
                new.address,
                new.user_agent
            ];
            tx.execute(sql, args).await.map(|_| ())
        })
    })
    .await
}

/// A session that is good now: not past its end, seen since `seen_since`, of an active person in the epoch in which it began.
pub async fn find(db: &Db, digest: TokenDigest, now: i64, seen_since: i64) -> Result<Option<Session>> {
    let sql = concat!(select!(), " WHERE s.digest = $1 AND s.expires_at > $2 AND s.last_seen_at >= $3");
    db.optional(sql, args![digest, now, seen_since], Session::from_row).await
}

/// Notes that the session was used, and from where; empty: not known.
pub async fn touch(db: &Db, id: i64, now: i64, address: &str) -> Result<()> {
    let sql =
        "UPDATE vestibule_session SET last_seen_at = $2, last_address = CASE WHEN $3 = '' THEN last_address ELSE $3 END
                WHERE id = $1";
    db.execute(sql, args![id, now, address]).await.map(|_| ())
}

/// The good sessions of a person, the youngest first.
pub async fn of_user(db: &Db, user_id: i64, now: i64, seen_since: i64) -> Result<Vec<Session>> {
    let sql = concat!(
        select!(),
        " WHERE s.user_id = $1 AND s.expires_at > $2 AND s.last_seen_at >= $3 ORDER BY s.last_seen_at DESC, s.id DESC LIMIT 200"
    );
    db.all(sql, args![user_id, now, seen_since], Session::from_row).await
}

/// Ends a session of this person and gives its `sid`. `None`: there is none with this number.
pub async fn end(db: &Db, id: i64, user_id: i64) -> Result<Option<String>> {
    db.write(move |tx| Box::pin(async move { end_in(tx, id, user_id).await })).await
}

/// As [`end`], as part of a decision.
pub async fn end_in(tx: &mut Tx<'_>, id: i64, user_id: i64) -> Result<Option<String>> {
    let sql = "DELETE FROM vestibule_session WHERE id = $1 AND user_id = $2 RETURNING public_id";
    tx.optional(sql, args![id, user_id], |row| row.text(0)).await
}

/// Ends every session of this person and gives each one's `sid`.
pub async fn end_all_in(tx: &mut Tx<'_>, user_id: i64) -> Result<Vec<String>> {
    let sql = "DELETE FROM vestibule_session WHERE user_id = $1 RETURNING public_id";
    tx.all(sql, args![user_id], |row| row.text(0)).await
}

/// Notes that a session was used for an application: whom a sign-out is told.
pub async fn note_application(
    tx: &mut Tx<'_>,
    public_id: &str,
    application_id: i64,
    user_id: i64,
    expires_at: i64,
) -> Result<()> {
    let sql = "INSERT INTO vestibule_session_application (session_public_id, application_id, user_id, expires_at)
               VALUES ($1, $2, $3, $4) ON CONFLICT (session_public_id, application_id) DO NOTHING";
    tx.execute(sql, args![public_id, application_id, user_id, expires_at]).await.map(|_| ())
}

/// The applications that a session was used for; they are forgotten with this.
pub async fn take_applications(db: &Db, public_id: &str) -> Result<Vec<i64>> {
    let public_id = public_id.to_owned();
    db.write(move |tx| {
        Box::pin(async move {
            let sql = "DELETE FROM vestibule_session_application WHERE session_public_id = $1 RETURNING application_id";
            tx.all(sql, args![public_id], |row| row.int(0)).await
        })
    })
    .await
}

/// Ends every session of a person but this one (0: all).
pub async fn end_others_in(tx: &mut Tx<'_>, user_id: i64, keep: i64) -> Result<()> {
    tx.execute("DELETE FROM vestibule_session WHERE user_id = $1 AND id <> $2", args![user_id, keep]).await.map(|_| ())
}

/// Lets a session live on in the person's present epoch.
pub async fn carry_over_in(tx: &mut Tx<'_>, user_id: i64, id: i64) -> Result<()> {
    let sql = "UPDATE vestibule_session SET user_epoch = (SELECT token_epoch FROM vestibule_user WHERE id = $1)
                WHERE user_id = $1 AND id = $2";
    tx.execute(sql, args![user_id, id]).await.map(|_| ())
}

/// The `sid`s of a person's sessions, also of former ones, that applications were used in and have not been told of.
pub async fn used_of(db: &Db, user_id: i64) -> Result<Vec<String>> {
    let sql = "SELECT DISTINCT session_public_id FROM vestibule_session_application WHERE user_id = $1";
    db.all(sql, args![user_id], |row| row.text(0)).await
}

/// Which applications a person's sessions were used for: `sid` and the application's name.
pub async fn applications_of(db: &Db, user_id: i64) -> Result<Vec<(String, String)>> {
    let sql = "SELECT s.session_public_id, a.name
                 FROM vestibule_session_application s JOIN vestibule_application a ON a.id = s.application_id
                WHERE s.user_id = $1 ORDER BY a.name, a.id LIMIT 1000";
    db.all(sql, args![user_id], |row| Ok((row.text(0)?, row.text(1)?))).await
}
