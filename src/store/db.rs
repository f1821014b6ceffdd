//! The verbs: `optional`, `all`, `execute` and `write`, on SQLite and PostgreSQL alike.
//!
//! On SQLite a read runs where it is called (a few microseconds on a connection of its own) and a write is handed to the
//! one writer, which commits in groups (`sqlite`). On PostgreSQL both take a connection from sqlx's pool.
//! This file and `migrate` are the only ones that know which database it is.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions, PgRow};
use sqlx::{Acquire as _, PgConnection, Row as _};
use vestibule_protocol::TokenDigest;

use super::change::{Change, Changes};
use super::sqlite::{self, Sqlite};
use super::{Error, Result};
use crate::settings::DatabaseSettings;

/// A future that a transaction returns.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A database. Clones are cheap and share everything.
#[derive(Clone)]
pub struct Db(Arc<Inner>);

struct Inner {
    engine: Engine,
    changes: Changes,
}

enum Engine {
    Sqlite(Sqlite),
    Postgres(PgPool),
}

/// A transaction under way. What has changed for good is told to every node's cache after the commit.
pub struct Tx<'c> {
    connection: Connection<'c>,
    changes: Vec<Change>,
}

enum Connection<'c> {
    Sqlite(&'c mut rusqlite::Connection),
    Postgres(&'c mut PgConnection),
}

/// One value of a statement, with its type, which PostgreSQL wants to know also of NULL.
#[derive(Clone)]
pub enum Value {
    /// BIGINT
    Int(Option<i64>),
    /// TEXT
    Text(Option<String>),
    /// BOOLEAN
    Bool(bool),
    /// BLOB or BYTEA
    Bytes(Option<Vec<u8>>),
}

/// A row of either database; columns by their place.
pub enum Row<'r> {
    /// Of SQLite.
    Sqlite(&'r rusqlite::Row<'r>),
    /// Of PostgreSQL.
    Postgres(&'r PgRow),
}

/// The values of a statement, in the order of `$1`, `$2` …
macro_rules! args {
    ($($value:expr),* $(,)?) => { vec![$($crate::store::Value::from($value)),*] };
}
pub(crate) use args;

impl Db {
    /// Opens `sqlite://FILE` (made if it is not there) or `postgres://…`.
    ///
    /// # Errors
    /// A sentence for the operator: the address cannot be read, or nothing answers there.
    pub async fn open(url: &str, settings: &DatabaseSettings) -> std::result::Result<Self, String> {
        let changes = Changes::default();
        let engine = if let Some(path) = sqlite::path(url)? {
            Engine::Sqlite(
                Sqlite::open(&path, changes.clone())
                    .map_err(|error| format!("cannot open {}: {error}", path.display()))?,
            )
        } else if url.starts_with("postgres://") || url.starts_with("postgresql://") {
            let options: PgConnectOptions =
                url.parse().map_err(|error| format!("not a PostgreSQL address: {error}"))?;
            let pool = PgPoolOptions::new()
                .max_connections(settings.max_connections)
                .acquire_timeout(settings.acquire_timeout)
                // A ping before each use costs a quarter of the throughput; a dead connection shows itself instead.
                .test_before_acquire(false)
                .connect_with(options)
                .await
                .map_err(|error| format!("cannot reach PostgreSQL: {error}"))?;
            Engine::Postgres(pool)
        } else {
            return Err("must begin with sqlite:// or postgres://".to_owned());
        };
        if let Engine::Postgres(pool) = &engine {
            changes.listen(pool.clone());
        }
        Ok(Self(Arc::new(Inner { engine, changes })))
    }

    /// Whether this is PostgreSQL, which other nodes may share.
    pub fn is_postgres(&self) -> bool {
        matches!(self.0.engine, Engine::Postgres(_))
    }

    /// What has been revoked lately, for a cache of what was read.
    pub fn changes(&self) -> &Changes {
        &self.0.changes
    }

    /// Whether what was read lately may be believed, as far as [`Db::changes`] does not say otherwise. It is asked at
    /// every use.
    pub(super) fn can_be_believed(&self) -> bool {
        match &self.0.engine {
            Engine::Sqlite(sqlite) => {
                sqlite.look(&self.0.changes);
                true
            }
            Engine::Postgres(_) => self.0.changes.heard(),
        }
    }

    /// Asks the database whether it is there.
    ///
    /// # Errors
    /// [`Error::Unavailable`] if it is not.
    pub async fn ping(&self) -> Result<()> {
        if let Engine::Sqlite(sqlite) = &self.0.engine {
            sqlite.file_exists()?;
        }
        self.optional("SELECT 1", args![], |_| Ok(())).await.map(|_| ())
    }

    /// Reads at most one row.
    pub async fn optional<T: Send>(
        &self,
        sql: &'static str,
        args: Vec<Value>,
        map: fn(&Row<'_>) -> Result<T>,
    ) -> Result<Option<T>> {
        match &self.0.engine {
            Engine::Sqlite(sqlite) => sqlite.read(|connection| sqlite_optional(connection, sql, &args, map)),
            Engine::Postgres(pool) => {
                let mut connection = acquire(pool).await?;
                pg_optional(&mut connection, sql, args, map).await
            }
        }
    }

    /// Reads all rows.
    pub async fn all<T: Send>(
        &self,
        sql: &'static str,
        args: Vec<Value>,
        map: fn(&Row<'_>) -> Result<T>,
    ) -> Result<Vec<T>> {
        match &self.0.engine {
            Engine::Sqlite(sqlite) => sqlite.read(|connection| sqlite_all(connection, sql, &args, map)),
            Engine::Postgres(pool) => {
                let mut connection = acquire(pool).await?;
                pg_all(&mut connection, sql, args, map).await
            }
        }
    }

    /// Writes with one statement and says how many rows it touched. It is committed when this returns.
    pub async fn execute(&self, sql: &'static str, args: Vec<Value>) -> Result<u64> {
        match &self.0.engine {
            Engine::Sqlite(sqlite) => sqlite.write(move |connection| sqlite_execute(connection, sql, &args)).await,
            Engine::Postgres(pool) => {
                let mut connection = acquire(pool).await?;
                pg_execute(&mut connection, sql, args).await
            }
        }
    }

    /// Runs `work` in one transaction: committed if it gives `Ok`, undone if it gives `Err`. On SQLite it runs on the
    /// writer's thread, so it may await nothing but this transaction's verbs.
    pub async fn write<T, F>(&self, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: for<'t, 'c> FnOnce(&'t mut Tx<'c>) -> BoxFuture<'t, Result<T>> + Send + 'static,
    {
        match &self.0.engine {
            Engine::Sqlite(sqlite) => {
                let (outcome, changes) = sqlite
                    .write(move |connection| {
                        let mut tx = Tx { connection: Connection::Sqlite(connection), changes: Vec::new() };
                        let outcome = futures_util::FutureExt::now_or_never(work(&mut tx))
                            .unwrap_or_else(|| Err(Error::broken("a SQLite transaction awaited something else")))?;
                        Ok((outcome, tx.changes))
                    })
                    .await?;
                self.0.changes.note(&changes);
                Ok(outcome)
            }
            Engine::Postgres(pool) => {
                let mut connection = acquire(pool).await?;
                let mut transaction = connection.begin().await.map_err(pg_error)?;
                let mut tx = Tx { connection: Connection::Postgres(&mut transaction), changes: Vec::new() };
                let outcome = work(&mut tx).await?;
                let changes = std::mem::take(&mut tx.changes);
                let announcement = self.0.changes.announcement(&changes);
                if let Some(announcement) = &announcement {
                    self.0.changes.listening().await;
                    let payload = announcement.payload.clone();
                    pg_execute(&mut transaction, "SELECT pg_notify('vestibule', $1)", args![payload]).await?;
                }
                transaction.commit().await.map_err(pg_error)?;
                drop(connection);
                self.0.changes.note(&changes);
                if let Some(announcement) = announcement {
                    self.0.changes.settle(pool, announcement).await;
                }
                Ok(outcome)
            }
        }
    }
}

impl Tx<'_> {
    /// Reads at most one row; also for statements that write and have `RETURNING`.
    pub async fn optional<T: Send>(
        &mut self,
        sql: &'static str,
        args: Vec<Value>,
        map: fn(&Row<'_>) -> Result<T>,
    ) -> Result<Option<T>> {
        match &mut self.connection {
            Connection::Sqlite(connection) => sqlite_optional(connection, sql, &args, map),
            Connection::Postgres(connection) => pg_optional(connection, sql, args, map).await,
        }
    }

    /// Reads all rows; also for statements that write and have `RETURNING`.
    pub async fn all<T: Send>(
        &mut self,
        sql: &'static str,
        args: Vec<Value>,
        map: fn(&Row<'_>) -> Result<T>,
    ) -> Result<Vec<T>> {
        match &mut self.connection {
            Connection::Sqlite(connection) => sqlite_all(connection, sql, &args, map),
            Connection::Postgres(connection) => pg_all(connection, sql, args, map).await,
        }
    }

    /// Runs one statement and says how many rows it touched.
    pub async fn execute(&mut self, sql: &'static str, args: Vec<Value>) -> Result<u64> {
        match &mut self.connection {
            Connection::Sqlite(connection) => sqlite_execute(connection, sql, &args),
            Connection::Postgres(connection) => pg_execute(connection, sql, args).await,
        }
    }

    /// Runs several statements without values.
    pub(super) async fn batch(&mut self, sql: String) -> Result<()> {
        match &mut self.connection {
            Connection::Sqlite(connection) => connection.execute_batch(&sql).map_err(sqlite::error),
            Connection::Postgres(connection) => {
                sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&mut **connection).await.map(|_| ()).map_err(pg_error)
            }
        }
    }

    /// Holds off every other transaction that asks for the same name, until this one ends. On SQLite there is only ever
    /// one writer.
    pub async fn lock(&mut self, name: &str) -> Result<()> {
        match &mut self.connection {
            Connection::Sqlite(_) => Ok(()),
            Connection::Postgres(connection) => {
                let sql = "SELECT pg_advisory_xact_lock(hashtextextended($1, 0))";
                pg_execute(connection, sql, args![format!("vestibule {name}")]).await.map(|_| ())
            }
        }
    }

    /// Says that what this names is not to be believed from a cache any more, once this transaction is committed.
    pub fn changed(&mut self, change: Change) {
        self.changes.push(change);
    }

    /// Whether the statements of this transaction run on PostgreSQL.
    pub(super) fn is_postgres(&self) -> bool {
        matches!(self.connection, Connection::Postgres(_))
    }
}

fn sqlite_bind<'s>(
    connection: &'s rusqlite::Connection,
    sql: &str,
    args: &[Value],
) -> Result<rusqlite::CachedStatement<'s>> {
    let mut statement = connection.prepare_cached(sql).map_err(sqlite::error)?;
    for (value, name) in args.iter().zip(PLACEHOLDERS) {
        // `$2` is a name to SQLite, not a number: it counts from the first place where it stands.
        let Some(at) = statement.parameter_index(name).map_err(sqlite::error)? else { continue };
        match value {
            Value::Int(value) => statement.raw_bind_parameter(at, value),
            Value::Text(value) => statement.raw_bind_parameter(at, value),
            Value::Bool(value) => statement.raw_bind_parameter(at, value),
            Value::Bytes(value) => statement.raw_bind_parameter(at, value),
        }
        .map_err(sqlite::error)?;
    }
    Ok(statement)
}

const PLACEHOLDERS: [&str; 28] = [
    "$1", "$2", "$3", "$4", "$5", "$6", "$7", "$8", "$9", "$10", "$11", "$12", "$13", "$14", "$15", "$16", "$17",
    "$18", "$19", "$20", "$21", "$22", "$23", "$24", "$25", "$26", "$27", "$28",
];

fn sqlite_optional<T>(
    connection: &rusqlite::Connection,
    sql: &str,
    args: &[Value],
    map: fn(&Row<'_>) -> Result<T>,
) -> Result<Option<T>> {
    let mut statement = sqlite_bind(connection, sql, args)?;
    let mut rows = statement.raw_query();
    let first = rows.next().map_err(sqlite::error)?.map(|row| map(&Row::Sqlite(row))).transpose()?;
    // A statement with RETURNING is done only when it has been run to its end.
    while rows.next().map_err(sqlite::error)?.is_some() {}
    Ok(first)
}

fn sqlite_all<T>(
    connection: &rusqlite::Connection,
    sql: &str,
    args: &[Value],
    map: fn(&Row<'_>) -> Result<T>,
) -> Result<Vec<T>> {
    let mut statement = sqlite_bind(connection, sql, args)?;
    let mut rows = statement.raw_query();
    let mut all = Vec::new();
    while let Some(row) = rows.next().map_err(sqlite::error)? {
        all.push(map(&Row::Sqlite(row))?);
    }
    Ok(all)
}

fn sqlite_execute(connection: &rusqlite::Connection, sql: &str, args: &[Value]) -> Result<u64> {
    let count = sqlite_bind(connection, sql, args)?.raw_execute().map_err(sqlite::error)?;
    Ok(count as u64)
}

type PgQuery = sqlx::query::Query<'static, sqlx::Postgres, sqlx::postgres::PgArguments>;

fn pg_query(sql: &'static str, args: Vec<Value>) -> PgQuery {
    args.into_iter().fold(sqlx::query(sql), |query, value| match value {
        Value::Int(value) => query.bind(value),
        Value::Text(value) => query.bind(value),
        Value::Bool(value) => query.bind(value),
        Value::Bytes(value) => query.bind(value),
    })
}

async fn pg_optional<T>(
    connection: &mut PgConnection,
    sql: &'static str,
    args: Vec<Value>,
    map: fn(&Row<'_>) -> Result<T>,
) -> Result<Option<T>> {
    let row = pg_query(sql, args).fetch_optional(connection).await.map_err(pg_error)?;
    row.map(|row| map(&Row::Postgres(&row))).transpose()
}

async fn pg_all<T>(
    connection: &mut PgConnection,
    sql: &'static str,
    args: Vec<Value>,
    map: fn(&Row<'_>) -> Result<T>,
) -> Result<Vec<T>> {
    let rows = pg_query(sql, args).fetch_all(connection).await.map_err(pg_error)?;
    rows.iter().map(|row| map(&Row::Postgres(row))).collect()
}

async fn pg_execute(connection: &mut PgConnection, sql: &'static str, args: Vec<Value>) -> Result<u64> {
    pg_query(sql, args).execute(connection).await.map(|done| done.rows_affected()).map_err(pg_error)
}

async fn acquire(pool: &PgPool) -> Result<sqlx::pool::PoolConnection<sqlx::Postgres>> {
    pool.acquire().await.map_err(pg_error)
}

/// Sorts an error of PostgreSQL into away, taken and broken (classes of the SQLSTATE, PostgreSQL's appendix A).
pub(super) fn pg_error(error: sqlx::Error) -> Error {
    let sqlstate =
        error.as_database_error().and_then(sqlx::error::DatabaseError::code).unwrap_or_default().into_owned();
    match (&error, sqlstate.as_str()) {
        (sqlx::Error::Database(_), "23505") => Error::Conflict(error.into()),
        // 08 connection, 40 rolled back, 53 out of resources, 55 in use, 57 operator intervention, 58 outside PostgreSQL,
        // 25006 a standby.
        (sqlx::Error::Database(_), state)
            if state == "25006"
                || ["08", "40", "53", "55", "57", "58"].iter().any(|class| state.starts_with(class)) =>
        {
            Error::Unavailable(error.into())
        }
        (sqlx::Error::Io(_) | sqlx::Error::Tls(_) | sqlx::Error::Protocol(_), _)
        | (sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed | sqlx::Error::WorkerCrashed, _) => {
            Error::Unavailable(error.into())
        }
        _ => Error::Broken(error.into()),
    }
}

impl Row<'_> {
    /// A BIGINT that is not NULL.
    pub fn int(&self, at: usize) -> Result<i64> {
        match self {
            Self::Sqlite(row) => row.get(at).map_err(sqlite::error),
            Self::Postgres(row) => row.try_get(at).map_err(pg_error),
        }
    }

    /// A BIGINT or NULL.
    pub fn optional_int(&self, at: usize) -> Result<Option<i64>> {
        match self {
            Self::Sqlite(row) => row.get(at).map_err(sqlite::error),
            Self::Postgres(row) => row.try_get(at).map_err(pg_error),
        }
    }

    /// A TEXT that is not NULL.
    pub fn text(&self, at: usize) -> Result<String> {
        match self {
            Self::Sqlite(row) => row.get(at).map_err(sqlite::error),
            Self::Postgres(row) => row.try_get(at).map_err(pg_error),
        }
    }

    /// A TEXT or NULL.
    pub fn optional_text(&self, at: usize) -> Result<Option<String>> {
        match self {
            Self::Sqlite(row) => row.get(at).map_err(sqlite::error),
            Self::Postgres(row) => row.try_get(at).map_err(pg_error),
        }
    }

    /// A BOOLEAN that is not NULL.
    pub fn bool(&self, at: usize) -> Result<bool> {
        match self {
            Self::Sqlite(row) => row.get(at).map_err(sqlite::error),
            Self::Postgres(row) => row.try_get(at).map_err(pg_error),
        }
    }

    /// A BOOLEAN or NULL.
    pub fn optional_bool(&self, at: usize) -> Result<Option<bool>> {
        match self {
            Self::Sqlite(row) => row.get(at).map_err(sqlite::error),
            Self::Postgres(row) => row.try_get(at).map_err(pg_error),
        }
    }

    /// Bytes or NULL.
    pub fn optional_bytes(&self, at: usize) -> Result<Option<Vec<u8>>> {
        match self {
            Self::Sqlite(row) => row.get(at).map_err(sqlite::error),
            Self::Postgres(row) => row.try_get(at).map_err(pg_error),
        }
    }
}

impl From<i64> for Value {
    fn from(value: i64) -> Self {
        Self::Int(Some(value))
    }
}
impl From<Option<i64>> for Value {
    fn from(value: Option<i64>) -> Self {
        Self::Int(value)
    }
}
impl From<&str> for Value {
    fn from(value: &str) -> Self {
        Self::Text(Some(value.to_owned()))
    }
}
impl From<String> for Value {
    fn from(value: String) -> Self {
        Self::Text(Some(value))
    }
}
impl From<Option<String>> for Value {
    fn from(value: Option<String>) -> Self {
        Self::Text(value)
    }
}
impl From<Vec<u8>> for Value {
    fn from(value: Vec<u8>) -> Self {
        Self::Bytes(Some(value))
    }
}
impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}
impl From<Option<Vec<u8>>> for Value {
    fn from(value: Option<Vec<u8>>) -> Self {
        Self::Bytes(value)
    }
}
impl From<TokenDigest> for Value {
    fn from(value: TokenDigest) -> Self {
        Self::Bytes(Some(value.as_bytes().to_vec()))
    }
}
impl From<Option<TokenDigest>> for Value {
    fn from(value: Option<TokenDigest>) -> Self {
        Self::Bytes(value.map(|digest| digest.as_bytes().to_vec()))
    }
}
