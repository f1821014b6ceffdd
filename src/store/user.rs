//! People.

use super::change::Change;
use super::{Db, Error, Result, Row, Tx, args, session};

/// A person. `Debug` does not show the password's encoding.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct User {
    /// A 64-bit integer, because API databases that exist point at Django's.
    pub id: i64,
    /// Unique, compared as it is written.
    pub username: String,
    /// Empty where there is none.
    pub email: String,
    /// Whether somebody proved that the address is this person's.
    pub email_verified: bool,
    /// Given name.
    pub first_name: String,
    /// Family name.
    pub last_name: String,
    /// The encoding of the password; `None` where the person has none.
    pub password: Option<String>,
    /// Whether the person may enter at all.
    pub is_active: bool,
    /// Django's mark for people who may use its console.
    pub is_staff: bool,
    /// Whether every permission is theirs.
    pub is_superuser: bool,
    /// When the account was made, in seconds since 1970.
    pub date_joined: i64,
    /// The last sign-in, in seconds since 1970.
    pub last_login: Option<i64>,
    /// Tokens of an older epoch are dead.
    pub token_epoch: i64,
    /// Standard claims that have no column of their own: a JSON object (OpenID Connect Core §5.1).
    pub claims: String,
}

impl std::fmt::Debug for User {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("User").field("id", &self.id).field("username", &self.username).finish_non_exhaustive()
    }
}

/// What a new account is made of; everything else has its default.
#[derive(Clone, Default)]
pub struct NewUser {
    /// See [`User`].
    pub username: String,
    /// See [`User`].
    pub email: String,
    /// See [`User`].
    pub email_verified: bool,
    /// See [`User`].
    pub first_name: String,
    /// See [`User`].
    pub last_name: String,
    /// See [`User`].
    pub password: Option<String>,
    /// Makes the person staff too.
    pub is_superuser: bool,
    /// See [`User`]; empty is none.
    pub claims: String,
}

macro_rules! columns {
    () => {
        "u.id, u.username, u.email, u.email_verified, u.first_name, u.last_name, u.password, u.is_active, u.is_staff, \
         u.is_superuser, u.date_joined, u.last_login, u.token_epoch, u.claims"
    };
}
pub(super) use columns;

/// The same columns behind `RETURNING`, where SQLite knows no alias.
macro_rules! returning {
    () => {
        "id, username, email, email_verified, first_name, last_name, password, is_active, is_staff, is_superuser, \
         date_joined, last_login, token_epoch, claims"
    };
}

impl User {
    /// Whether a password lets this person in; Django writes `!` where none does.
    pub fn has_password(&self) -> bool {
        self.password.as_deref().is_some_and(|encoded| !encoded.is_empty() && !encoded.starts_with('!'))
    }

    /// Reads the columns of `columns!` from the first place on.
    pub(super) fn from_row(row: &Row<'_>) -> Result<Self> {
        Self::from_row_at(row, 0)
    }

    pub(super) fn from_row_at(row: &Row<'_>, at: usize) -> Result<Self> {
        Ok(Self {
            id: row.int(at)?,
            username: row.text(at + 1)?,
            email: row.text(at + 2)?,
            email_verified: row.bool(at + 3)?,
            first_name: row.text(at + 4)?,
            last_name: row.text(at + 5)?,
            password: row.optional_text(at + 6)?,
            is_active: row.bool(at + 7)?,
            is_staff: row.bool(at + 8)?,
            is_superuser: row.bool(at + 9)?,
            date_joined: row.int(at + 10)?,
            last_login: row.optional_int(at + 11)?,
            token_epoch: row.int(at + 12)?,
            claims: row.text(at + 13)?,
        })
    }
}

/// How an address is looked up: the same for every way of writing its letters.
pub fn email_key(email: &str) -> String {
    email.trim().to_lowercase()
}

/// A person by username, written exactly so.
pub async fn find_by_username(db: &Db, username: &str) -> Result<Option<User>> {
    let sql = concat!("SELECT ", columns!(), " FROM vestibule_user u WHERE u.username = $1");
    db.optional(sql, args![username], User::from_row).await
}

/// A person by id.
pub async fn find(db: &Db, id: i64) -> Result<Option<User>> {
    let sql = concat!("SELECT ", columns!(), " FROM vestibule_user u WHERE u.id = $1");
    db.optional(sql, args![id], User::from_row).await
}

/// The people from `after` on, in the order of their ids, at most `limit`.
pub async fn list(db: &Db, after: i64, limit: i64) -> Result<Vec<User>> {
    let sql = concat!("SELECT ", columns!(), " FROM vestibule_user u WHERE u.id > $1 ORDER BY u.id LIMIT $2");
    db.all(sql, args![after, limit], User::from_row).await
}

/// Which people a page lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listed {
    /// All.
    All,
    /// Those who may enter.
    Active,
    /// Those who were deactivated.
    Deactivated,
    /// Those who may use the console.
    Staff,
    /// Those who may do everything.
    Superusers,
}

impl Listed {
    fn takes(self, user: &User) -> bool {
        match self {
            Self::All => true,
            Self::Active => user.is_active,
            Self::Deactivated => !user.is_active,
            Self::Staff => user.is_staff,
            Self::Superusers => user.is_superuser,
        }
    }
}

/// People with smaller ids than `before`, the newest first, at most `limit`.
pub async fn page(db: &Db, listed: Listed, before: i64, limit: i64) -> Result<Vec<User>> {
    macro_rules! page {
        ($more:literal) => {
            concat!(
                "SELECT ",
                columns!(),
                " FROM vestibule_user u WHERE u.id < $1",
                $more,
                " ORDER BY u.id DESC LIMIT $2"
            )
        };
    }
    let sql = match listed {
        Listed::All => page!(""),
        Listed::Active => page!(" AND u.is_active"),
        Listed::Deactivated => page!(" AND NOT u.is_active"),
        Listed::Staff => page!(" AND u.is_staff"),
        Listed::Superusers => page!(" AND u.is_superuser"),
    };
    db.all(sql, args![before, limit], User::from_row).await
}

/// So many who begin with what is searched for are looked at of each column, however many there are.
const LOOKED_AT: usize = 200;

/// Those whose username, address or last name begins with `text`, in any letter case, or whose id it is, in the order of
/// their usernames, at most `limit`; and whether there may be more.
pub async fn search(db: &Db, listed: Listed, text: &str, limit: usize) -> Result<(Vec<User>, bool)> {
    // Each range is read from its index alone and no further than its limit.
    let sql = concat!(
        "SELECT ",
        columns!(),
        " FROM vestibule_user u WHERE u.id IN (
            SELECT id FROM (SELECT id FROM vestibule_user WHERE search_username >= $1 AND search_username < $2
                             ORDER BY search_username LIMIT $3) by_username
            UNION
            SELECT id FROM (SELECT id FROM vestibule_user WHERE search_email >= $1 AND search_email < $2
                             ORDER BY search_email LIMIT $3) by_email
            UNION
            SELECT id FROM (SELECT id FROM vestibule_user WHERE search_name >= $1 AND search_name < $2
                             ORDER BY search_name LIMIT $3) by_name
            UNION
            SELECT id FROM vestibule_user WHERE id = $4)
          ORDER BY u.search_username, u.id"
    );
    let begin = text.to_lowercase();
    // No text has this character, so that everything which begins with `text` stands before it.
    let end = format!("{begin}\u{10ffff}");
    let args = args![begin, end, LOOKED_AT as i64, text.parse::<i64>().unwrap_or_default()];
    let mut all = db.all(sql, args, User::from_row).await?;
    let is_full = all.len() >= LOOKED_AT;
    all.retain(|user| listed.takes(user));
    let has_more = is_full || all.len() > limit;
    all.truncate(limit);
    Ok((all, has_more))
}

/// What a member of staff may do: words between blanks. Empty for whoever is not there.
pub async fn permissions(db: &Db, id: i64) -> Result<String> {
    let sql = "SELECT permissions FROM vestibule_user WHERE id = $1";
    db.optional(sql, args![id], |row| row.text(0)).await.map(Option::unwrap_or_default)
}

/// As [`permissions`], as part of a decision.
pub async fn permissions_in(tx: &mut Tx<'_>, id: i64) -> Result<String> {
    let sql = "SELECT permissions FROM vestibule_user WHERE id = $1";
    tx.optional(sql, args![id], |row| row.text(0)).await.map(Option::unwrap_or_default)
}

/// Whether somebody else is an active superuser.
pub async fn has_other_superuser(tx: &mut Tx<'_>, id: i64) -> Result<bool> {
    // As a plain condition `is_active` would lead SQLite to the index of all who are.
    let sql = "SELECT id FROM vestibule_user
                WHERE is_superuser AND CASE WHEN is_active THEN id <> $1 ELSE FALSE END LIMIT 1";
    tx.optional(sql, args![id], |row| row.int(0)).await.map(|id| id.is_some())
}

/// Makes a person staff or a superuser or neither, with these permissions: words between blanks. `false`: no such person.
pub async fn set_rights(
    tx: &mut Tx<'_>,
    id: i64,
    is_staff: bool,
    is_superuser: bool,
    permissions: &str,
) -> Result<bool> {
    let sql = "UPDATE vestibule_user SET is_staff = $2, is_superuser = $3, permissions = $4 WHERE id = $1";
    tx.changed(Change::User(id));
    tx.execute(sql, args![id, is_staff, is_superuser, permissions]).await.map(|count| count > 0)
}

/// A person by id, held against changes by others until the transaction ends (by [`Tx::lock`]'s means where needed).
pub async fn find_in(tx: &mut Tx<'_>, id: i64) -> Result<Option<User>> {
    let sql = concat!("SELECT ", columns!(), " FROM vestibule_user u WHERE u.id = $1");
    tx.optional(sql, args![id], User::from_row).await
}

/// Everybody with this address, in any letter case; the caller decides what several mean.
pub async fn with_email(tx: &mut Tx<'_>, email: &str) -> Result<Vec<User>> {
    let sql = concat!("SELECT ", columns!(), " FROM vestibule_user u WHERE u.email_key = $1 ORDER BY u.id LIMIT 2");
    tx.all(sql, args![email_key(email)], User::from_row).await
}

/// As [`with_email`], the first ten, by themselves.
pub async fn all_with_email(db: &Db, email: &str) -> Result<Vec<User>> {
    let sql = concat!("SELECT ", columns!(), " FROM vestibule_user u WHERE u.email_key = $1 ORDER BY u.id LIMIT 10");
    db.all(sql, args![email_key(email)], User::from_row).await
}

/// Whether somebody has this address, in any letter case.
pub async fn has_email(db: &Db, email: &str) -> Result<bool> {
    let sql = "SELECT id FROM vestibule_user WHERE email_key = $1 LIMIT 1";
    db.optional(sql, args![email_key(email)], |row| row.int(0)).await.map(|id| id.is_some())
}

/// Makes an account, unless the username is taken (`None`).
pub async fn insert(tx: &mut Tx<'_>, new: &NewUser, now: i64) -> Result<Option<User>> {
    let sql = concat!(
        "INSERT INTO vestibule_user (username, email, email_key, email_verified, first_name, last_name, password,
                is_staff, is_superuser, date_joined, claims, search_username, search_email, search_name)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $8, $9, $10, $11, $3, $12) ON CONFLICT (username) DO NOTHING RETURNING ",
        returning!()
    );
    let args = args![
        new.username.clone(),
        new.email.clone(),
        email_key(&new.email),
        new.email_verified,
        new.first_name.clone(),
        new.last_name.clone(),
        new.password.clone(),
        new.is_superuser,
        now,
        if new.claims.is_empty() { "{}".to_owned() } else { new.claims.clone() },
        new.username.to_lowercase(),
        new.last_name.to_lowercase()
    ];
    tx.optional(sql, args, User::from_row).await
}

/// Makes an account in a transaction of its own, unless the username is taken (`None`).
pub async fn create(db: &Db, new: NewUser, now: i64) -> Result<Option<User>> {
    db.write(move |tx| Box::pin(async move { insert(tx, &new, now).await })).await
}

/// Notes a sign-in.
pub async fn note_login(tx: &mut Tx<'_>, id: i64, now: i64) -> Result<()> {
    tx.execute("UPDATE vestibule_user SET last_login = $2 WHERE id = $1", args![id, now]).await.map(|_| ())
}

/// Whether somebody has this username, written exactly so.
pub async fn has_username(tx: &mut Tx<'_>, username: &str) -> Result<bool> {
    let sql = "SELECT id FROM vestibule_user WHERE username = $1";
    tx.optional(sql, args![username], |row| row.int(0)).await.map(|id| id.is_some())
}

/// Writes username, names, address and claims as they are in `user`.
pub async fn update_details(tx: &mut Tx<'_>, user: &User) -> Result<()> {
    let sql =
        "UPDATE vestibule_user SET email = $2, email_key = $3, email_verified = $4, first_name = $5, last_name = $6,
                username = $7, claims = $8, search_username = $9, search_email = $3, search_name = $10 WHERE id = $1";
    let args = args![
        user.id,
        user.email.clone(),
        email_key(&user.email),
        user.email_verified,
        user.first_name.clone(),
        user.last_name.clone(),
        user.username.clone(),
        user.claims.clone(),
        user.username.to_lowercase(),
        user.last_name.to_lowercase()
    ];
    tx.execute(sql, args).await?;
    tx.changed(Change::User(user.id));
    Ok(())
}

/// Notes a sign-in by password, and the password's new encoding where it was outdated; but only if the password is still
/// the one that was checked.
pub async fn note_password_login(db: &Db, user: &User, encoded: Option<String>, now: i64) -> Result<()> {
    let sql =
        "UPDATE vestibule_user SET last_login = $2, password = COALESCE($3, password) WHERE id = $1 AND password = $4";
    db.execute(sql, args![user.id, now, encoded, user.password.clone()]).await.map(|_| ())
}

/// Sets or takes away a password, and ends the person's browser sessions: whoever had the old one is out. `false`: no such
/// person.
pub async fn set_password(db: &Db, id: i64, encoded: Option<String>) -> Result<bool> {
    change_password(db, id, encoded, 0).await
}

/// As [`set_password`]; the session with this number stays (0: none).
pub async fn change_password(db: &Db, id: i64, encoded: Option<String>, keep: i64) -> Result<bool> {
    db.write(move |tx| {
        Box::pin(async move {
            session::end_others_in(tx, id, keep).await?;
            set_password_in(tx, id, encoded).await
        })
    })
    .await
}

/// Sets a password for somebody who has proven the address by a mail: it is theirs, and everything that was issued before
/// ends.
pub async fn reset_password_in(tx: &mut Tx<'_>, id: i64, encoded: String) -> Result<()> {
    let sql = "UPDATE vestibule_user SET password = $2, email_verified = TRUE WHERE id = $1";
    tx.execute(sql, args![id, encoded]).await?;
    end_everything_in(tx, id, 0).await
}

/// Ends every token of a person, and every session but the one with this number (0: none).
pub async fn end_everything(db: &Db, id: i64, keep: i64) -> Result<()> {
    db.write(move |tx| Box::pin(async move { end_everything_in(tx, id, keep).await })).await
}

async fn end_everything_in(tx: &mut Tx<'_>, id: i64, keep: i64) -> Result<()> {
    end_tokens_in(tx, id).await?;
    session::end_others_in(tx, id, keep).await?;
    session::carry_over_in(tx, id, keep).await
}

/// Sets an address that the person has proven.
pub async fn set_email_in(tx: &mut Tx<'_>, id: i64, email: &str) -> Result<()> {
    tx.changed(Change::User(id));
    let sql =
        "UPDATE vestibule_user SET email = $2, email_key = $3, search_email = $3, email_verified = TRUE WHERE id = $1";
    tx.execute(sql, args![id, email, email_key(email)]).await.map(|_| ())
}

/// Sets given and family name. `false`: no such person.
pub async fn set_names(db: &Db, id: i64, first_name: String, last_name: String) -> Result<bool> {
    db.write(move |tx| {
        Box::pin(async move {
            tx.changed(Change::User(id));
            let sql = "UPDATE vestibule_user SET first_name = $2, last_name = $3, search_name = $4 WHERE id = $1";
            let search_name = last_name.to_lowercase();
            tx.execute(sql, args![id, first_name, last_name, search_name]).await.map(|count| count > 0)
        })
    })
    .await
}

/// Gives a person another username. `false`: somebody has it.
pub async fn rename(db: &Db, id: i64, username: String) -> Result<bool> {
    let renamed = db.write(move |tx| {
        Box::pin(async move {
            tx.changed(Change::User(id));
            let sql = "UPDATE vestibule_user SET username = $2, search_username = $3 WHERE id = $1";
            let search_username = username.to_lowercase();
            tx.execute(sql, args![id, username, search_username]).await.map(|_| ())
        })
    });
    match renamed.await {
        Ok(()) => Ok(true),
        Err(Error::Conflict(_)) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Sets or takes away a password, and nothing else. `false`: no such person.
pub async fn set_password_in(tx: &mut Tx<'_>, id: i64, encoded: Option<String>) -> Result<bool> {
    let sql = "UPDATE vestibule_user SET password = $2 WHERE id = $1";
    tx.execute(sql, args![id, encoded]).await.map(|count| count > 0)
}

/// Sets the standard claims that have no column, a JSON object. `false`: no such person.
pub async fn set_claims(db: &Db, id: i64, claims: String) -> Result<bool> {
    db.write(move |tx| {
        Box::pin(async move {
            tx.changed(Change::User(id));
            let sql = "UPDATE vestibule_user SET claims = $2 WHERE id = $1";
            tx.execute(sql, args![id, claims]).await.map(|count| count > 0)
        })
    })
    .await
}

/// Deactivates or activates a person. Deactivating ends every token of theirs for good. `false`: no such person.
pub async fn set_active(db: &Db, id: i64, active: bool) -> Result<bool> {
    db.write(move |tx| Box::pin(async move { set_active_in(tx, id, active).await })).await
}

/// As [`set_active`], as part of a decision.
pub async fn set_active_in(tx: &mut Tx<'_>, id: i64, active: bool) -> Result<bool> {
    let sql = "UPDATE vestibule_user SET is_active = $2, token_epoch = token_epoch + CASE WHEN $2 THEN 0 ELSE 1 END WHERE id = $1";
    tx.changed(Change::User(id));
    tx.execute(sql, args![id, active]).await.map(|count| count > 0)
}

/// Ends everything that was issued to this person: tokens, codes and browser sessions. `false`: no such person.
pub async fn end_tokens_in(tx: &mut Tx<'_>, id: i64) -> Result<bool> {
    tx.changed(Change::User(id));
    let sql = "UPDATE vestibule_user SET token_epoch = token_epoch + 1 WHERE id = $1";
    tx.execute(sql, args![id]).await.map(|count| count > 0)
}

/// Deletes a person with all tokens and associations. `false`: no such person.
pub async fn delete(db: &Db, id: i64) -> Result<bool> {
    db.write(move |tx| Box::pin(async move { delete_in(tx, id).await })).await
}

/// As [`delete`], as part of a decision.
pub async fn delete_in(tx: &mut Tx<'_>, id: i64) -> Result<bool> {
    tx.changed(Change::User(id));
    tx.execute("DELETE FROM vestibule_user WHERE id = $1", args![id]).await.map(|count| count > 0)
}
