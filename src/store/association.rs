//! Which account at a provider is whose.

use super::change::Change;
use super::user::{self, User};
use super::{Db, Result, Row, Tx, args};

/// An account at a provider that belongs to one of our people. `Debug` does not show its tokens.
#[derive(Clone, PartialEq, Eq)]
pub struct Association {
    /// Our own number.
    pub id: i64,
    /// Whose it is.
    pub user_id: i64,
    /// The provider's name.
    pub provider: String,
    /// The provider's identifier for the person.
    pub uid: String,
    /// The provider's tokens, sealed.
    pub sealed_tokens: Option<Vec<u8>>,
    /// In seconds since 1970.
    pub created_at: i64,
    /// What the operator keeps of the provider's answer: a JSON object.
    pub extra: String,
    /// Until when somebody asks the provider for fresh tokens, in seconds since 1970.
    pub refreshing_until: Option<i64>,
    /// When the provider last gave something of it, in seconds since 1970.
    pub updated_at: i64,
}

impl std::fmt::Debug for Association {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Association").field("id", &self.id).field("provider", &self.provider).finish_non_exhaustive()
    }
}

macro_rules! columns {
    () => {
        "s.id, s.user_id, s.provider, s.uid, s.sealed_tokens, s.created_at, s.extra, s.refreshing_until, s.updated_at"
    };
}

const COLUMNS: usize = 9;

impl Association {
    fn from_row(row: &Row<'_>) -> Result<Self> {
        Ok(Self {
            id: row.int(0)?,
            user_id: row.int(1)?,
            provider: row.text(2)?,
            uid: row.text(3)?,
            sealed_tokens: row.optional_bytes(4)?,
            created_at: row.int(5)?,
            extra: row.text(6)?,
            refreshing_until: row.optional_int(7)?,
            updated_at: row.int(8)?,
        })
    }

    fn with_user(row: &Row<'_>) -> Result<(Self, User)> {
        Ok((Self::from_row(row)?, User::from_row_at(row, COLUMNS)?))
    }
}

const FIND: &str = concat!(
    "SELECT ",
    columns!(),
    ", ",
    user::columns!(),
    " FROM vestibule_association s JOIN vestibule_user u ON u.id = s.user_id WHERE s.provider = $1 AND s.uid = $2"
);

/// The association of this account, and whose it is.
pub async fn find(db: &Db, provider: &str, uid: &str) -> Result<Option<(Association, User)>> {
    db.optional(FIND, args![provider, uid], Association::with_user).await
}

/// As [`find`], as part of a decision.
pub async fn find_in(tx: &mut Tx<'_>, provider: &str, uid: &str) -> Result<Option<(Association, User)>> {
    tx.optional(FIND, args![provider, uid], Association::with_user).await
}

const FIND_BY_ID: &str = concat!(
    "SELECT ",
    columns!(),
    ", ",
    user::columns!(),
    " FROM vestibule_association s JOIN vestibule_user u ON u.id = s.user_id WHERE s.id = $1"
);

/// The association of this number, and whose it is.
pub async fn find_by_id(db: &Db, id: i64) -> Result<Option<(Association, User)>> {
    db.optional(FIND_BY_ID, args![id], Association::with_user).await
}

/// As [`find_by_id`], as part of a decision.
pub async fn find_by_id_in(tx: &mut Tx<'_>, id: i64) -> Result<Option<(Association, User)>> {
    tx.optional(FIND_BY_ID, args![id], Association::with_user).await
}

/// Which associations are listed; what is empty takes all.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Of this provider.
    pub provider: String,
    /// Of this person.
    pub user_id: Option<i64>,
    /// With this identifier, written exactly so.
    pub uid: String,
}

/// Associations with smaller numbers than `before`, the youngest first, at most `limit`.
pub async fn page(db: &Db, filter: &Filter, before: i64, limit: i64) -> Result<Vec<(Association, User)>> {
    macro_rules! page {
        ($more:literal) => {
            concat!(
                "SELECT ",
                columns!(),
                ", ",
                user::columns!(),
                " FROM vestibule_association s JOIN vestibule_user u ON u.id = s.user_id
                 WHERE s.id < $1 AND ($3 = '' OR s.provider = $3) AND ($4 IS NULL OR s.user_id = $4) AND ($5 = '' OR s.uid = $5)",
                $more,
                " ORDER BY s.id DESC LIMIT $2"
            )
        };
    }
    // The most telling word alone is given as such, so that its index is used.
    let sql = match (filter.uid.is_empty(), filter.user_id, filter.provider.is_empty()) {
        (false, ..) => page!(" AND s.uid = $5"),
        (_, Some(_), _) => page!(" AND s.user_id = $4"),
        (.., false) => page!(" AND s.provider = $3"),
        _ => page!(""),
    };
    let args = args![before, limit, filter.provider.clone(), filter.user_id, filter.uid.clone()];
    db.all(sql, args, Association::with_user).await
}

/// A person's associations, oldest first.
pub async fn of_user(db: &Db, user_id: i64) -> Result<Vec<Association>> {
    let sql = concat!("SELECT ", columns!(), " FROM vestibule_association s WHERE s.user_id = $1 ORDER BY s.id");
    db.all(sql, args![user_id], Association::from_row).await
}

/// As [`of_user`], as part of a decision.
pub async fn of_user_in(tx: &mut Tx<'_>, user_id: i64) -> Result<Vec<Association>> {
    let sql = concat!("SELECT ", columns!(), " FROM vestibule_association s WHERE s.user_id = $1 ORDER BY s.id");
    tx.all(sql, args![user_id], Association::from_row).await
}

/// Connects an account to a person. The caller has seen that nobody has it.
pub async fn insert(
    tx: &mut Tx<'_>,
    user_id: i64,
    provider: &str,
    uid: &str,
    sealed_tokens: Vec<u8>,
    extra: String,
    now: i64,
) -> Result<Option<i64>> {
    let sql = "INSERT INTO vestibule_association (user_id, provider, uid, sealed_tokens, created_at, updated_at, extra)
               VALUES ($1, $2, $3, $4, $5, $5, $6) RETURNING id";
    tx.optional(sql, args![user_id, provider, uid, Some(sealed_tokens), now, extra], |row| row.int(0)).await
}

/// Replaces what the provider gives at each sign-in: its identifier for the person where that has changed, its tokens, and
/// what is kept of its answer.
pub async fn update(
    tx: &mut Tx<'_>,
    id: i64,
    uid: &str,
    sealed_tokens: Vec<u8>,
    extra: String,
    now: i64,
) -> Result<()> {
    let sql =
        "UPDATE vestibule_association SET uid = $2, sealed_tokens = $3, extra = $4, updated_at = $5 WHERE id = $1";
    tx.execute(sql, args![id, uid, Some(sealed_tokens), extra, now]).await.map(|_| ())
}

/// Lets one ask the provider for fresh tokens, until `until`. `false`: another does, or the tokens are others by now.
pub async fn begin_refresh(db: &Db, id: i64, read: Vec<u8>, now: i64, until: i64) -> Result<bool> {
    let sql = "UPDATE vestibule_association SET refreshing_until = $4
                WHERE id = $1 AND sealed_tokens = $2 AND (refreshing_until IS NULL OR refreshing_until <= $3)";
    db.execute(sql, args![id, Some(read), now, until]).await.map(|count| count > 0)
}

/// Lets the next one ask: `until` is what the one who has asked was given.
pub async fn end_refresh(db: &Db, id: i64, until: i64) -> Result<()> {
    let sql = "UPDATE vestibule_association SET refreshing_until = NULL WHERE id = $1 AND refreshing_until = $2";
    db.execute(sql, args![id, until]).await.map(|_| ())
}

/// Replaces tokens by what the provider gave for them. `false`: they are others by now, or the association is gone.
pub async fn refreshed(db: &Db, id: i64, read: Vec<u8>, fresh: Vec<u8>, now: i64) -> Result<bool> {
    let sql = "UPDATE vestibule_association SET sealed_tokens = $3, updated_at = $4
                WHERE id = $1 AND sealed_tokens = $2";
    db.execute(sql, args![id, Some(read), Some(fresh), now]).await.map(|count| count > 0)
}

/// Takes an account away from its person.
pub async fn delete(tx: &mut Tx<'_>, id: i64, user_id: i64) -> Result<()> {
    tx.changed(Change::User(user_id));
    tx.execute("DELETE FROM vestibule_association WHERE id = $1 AND user_id = $2", args![id, user_id]).await.map(|_| ())
}
