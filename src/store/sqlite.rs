//! SQLite: many readers, and one writer that commits in groups.
//!
//! A reader's query runs where it is asked, on a connection taken from a stack. Writes queue up at one thread: it opens
//! a transaction, runs what has queued up meanwhile (each write in a savepoint of its own, so that one that fails undoes
//! only itself), commits once, and only then answers. 64 clients wait for one fsync, and an answer still means that its
//! row survives a power cut (`synchronous=FULL`).

use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode};
use tokio::sync::oneshot;

use super::change::Changes;
use super::watch::Watch;
use super::{Error, Result};

/// The most writes in one transaction: past that the first would wait too long for the last.
const GROUP: usize = 256;
/// The most writes that may wait; beyond that the database counts as not available.
const QUEUE: usize = 8_192;
/// How long one process waits for another's transaction, in a file that several have open.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

pub(super) struct Sqlite {
    path: Arc<Path>,
    readers: Mutex<Vec<Connection>>,
    writes: SyncSender<Write>,
    watch: Arc<Watch>,
}

/// A write, waiting. It gives back whether it succeeded and what is to be called with the outcome of the commit.
type Write = Box<dyn FnOnce(&mut Connection) -> Written + Send>;

struct Written {
    ok: bool,
    answer: Box<dyn FnOnce(Result<()>) + Send>,
}

/// The file of a `sqlite:` address. `None`: another database.
pub(super) fn path(url: &str) -> std::result::Result<Option<PathBuf>, String> {
    let Some(rest) = url.strip_prefix("sqlite:") else { return Ok(None) };
    let path = rest.strip_prefix("//").unwrap_or(rest);
    let path = path.split_once('?').map_or(path, |(path, _)| path);
    if path.is_empty() || path == ":memory:" {
        return Err("names no file; write sqlite://FILE".to_owned());
    }
    Ok(Some(PathBuf::from(path)))
}

impl Sqlite {
    pub(super) fn open(path: &Path, changes: Changes) -> Result<Self> {
        let writer = connect(path)?;
        writer.pragma_update(None, "journal_mode", "WAL").map_err(error)?;
        // The first read makes the file that is watched.
        writer.query_row("SELECT COUNT(*) FROM sqlite_schema", [], |_| Ok(())).map_err(error)?;
        let watch = Arc::new(Watch::new(path).map_err(|error| Error::Unavailable(error.into()))?);
        let group = Group { watch: watch.clone(), changes };
        let (writes, queue) = sync_channel(QUEUE);
        std::thread::Builder::new()
            .name("sqlite-writer".to_owned())
            .spawn(move || write_in_groups(writer, &queue, &group))
            .map_err(|error| Error::Unavailable(error.into()))?;
        Ok(Self { path: path.into(), readers: Mutex::default(), writes, watch })
    }

    /// Whether the file is still where it was opened.
    pub(super) fn file_exists(&self) -> Result<()> {
        std::fs::metadata(&self.path).map(|_| ()).map_err(|error| Error::Unavailable(error.into()))
    }

    /// Finds out whether another process has written; then nothing that was read before is to be believed.
    pub(super) fn look(&self, changes: &Changes) {
        self.watch.look(|| changes.forget_all());
    }

    pub(super) fn read<T>(&self, query: impl FnOnce(&Connection) -> Result<T>) -> Result<T> {
        let idle = self.readers.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let connection = match idle {
            Some(connection) => connection,
            None => {
                let connection = connect(&self.path)?;
                connection.pragma_update(None, "query_only", true).map_err(error)?;
                connection
            }
        };
        let outcome = query(&connection);
        self.readers.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
        outcome
    }

    pub(super) async fn write<T, F>(&self, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&mut Connection) -> Result<T> + Send + 'static,
    {
        let (answer, answered) = oneshot::channel();
        let write: Write = Box::new(move |connection| {
            let outcome = work(connection);
            Written {
                ok: outcome.is_ok(),
                // Whoever asked may be gone; what was committed stays committed.
                answer: Box::new(move |committed| {
                    drop(answer.send(outcome.and_then(|value| committed.map(|()| value))))
                }),
            }
        });
        self.writes.try_send(write).map_err(|error| match error {
            TrySendError::Full(_) => Error::Unavailable("too many writes are waiting".into()),
            TrySendError::Disconnected(_) => Error::Unavailable("the writer has ended".into()),
        })?;
        answered.await.map_err(|_| Error::Unavailable("the writer has ended".into()))?
    }
}

fn connect(path: &Path) -> Result<Connection> {
    let connection = Connection::open(path).map_err(error)?;
    connection.busy_timeout(BUSY_TIMEOUT).map_err(error)?;
    connection.pragma_update(None, "foreign_keys", true).map_err(error)?;
    // FULL in WAL mode: the log is synced at each commit, so what was acknowledged survives a power cut.
    connection.pragma_update(None, "synchronous", "FULL").map_err(error)?;
    // Without it a statement is planned anew whenever another value is bound to it, at ten times the cost of running it.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true).map_err(error)?;
    connection.set_prepared_statement_cache_capacity(128);
    Ok(connection)
}

/// What the writer tells of its commits.
struct Group {
    watch: Arc<Watch>,
    changes: Changes,
}

fn write_in_groups(mut connection: Connection, queue: &Receiver<Write>, group: &Group) {
    while let Ok(first) = queue.recv() {
        let mut answers = Vec::new();
        let outcome = write_group(&mut connection, first, queue, group, &mut answers);
        if outcome.is_err() && !connection.is_autocommit() {
            let _ = connection.execute_batch("ROLLBACK");
        }
        for answer in answers {
            answer(outcome.as_ref().copied().map_err(again));
        }
    }
}

/// One transaction. An error here is one of the transaction itself and goes to everybody in the group.
fn write_group(
    connection: &mut Connection,
    first: Write,
    queue: &Receiver<Write>,
    group: &Group,
    answers: &mut Vec<Box<dyn FnOnce(Result<()>) + Send>>,
) -> Result<()> {
    if let Err(error) = run(connection, "BEGIN IMMEDIATE") {
        answers.push(Box::new(move |_| drop(first))); // dropped unrun: its caller sees that the writer gave it up
        return Err(error);
    }
    let began_at = group.watch.begin(|| group.changes.forget_all());
    let changed_before = connection.total_changes();
    let mut all_ok = true;
    let mut next = Some(first);
    while let Some(write) = next {
        run(connection, "SAVEPOINT one")?;
        let written = write(connection);
        answers.push(written.answer);
        if !written.ok {
            run(connection, "ROLLBACK TO one")?;
            all_ok = false;
        }
        run(connection, "RELEASE one")?;
        next = (answers.len() < GROUP).then(|| queue.try_recv().ok()).flatten();
    }
    run(connection, "COMMIT")?;
    // Only what certainly was a commit with something in it is ours; any doubt costs no more than a cache.
    if all_ok && connection.total_changes() > changed_before {
        group.watch.committed(began_at);
    }
    Ok(())
}

fn run(connection: &Connection, sql: &str) -> Result<()> {
    connection.prepare_cached(sql).and_then(|mut statement| statement.raw_execute()).map(|_| ()).map_err(error)
}

/// The same error for the next in the group.
fn again(error: &Error) -> Error {
    let text = std::error::Error::source(error).map_or_else(|| error.to_string(), ToString::to_string);
    match error {
        Error::Unavailable(_) => Error::Unavailable(text.into()),
        Error::Conflict(_) => Error::Conflict(text.into()),
        Error::Broken(_) => Error::Broken(text.into()),
    }
}

/// Sorts an error of SQLite into away, taken and broken.
pub(super) fn error(error: rusqlite::Error) -> Error {
    let rusqlite::Error::SqliteFailure(failure, _) = &error else { return Error::Broken(error.into()) };
    match failure.code {
        ErrorCode::ConstraintViolation if matches!(failure.extended_code, UNIQUE | PRIMARY_KEY | ROWID) => {
            Error::Conflict(error.into())
        }
        ErrorCode::DatabaseBusy
        | ErrorCode::DatabaseLocked
        | ErrorCode::SystemIoFailure
        | ErrorCode::DiskFull
        | ErrorCode::CannotOpen
        | ErrorCode::ReadOnly
        | ErrorCode::OutOfMemory => Error::Unavailable(error.into()),
        _ => Error::Broken(error.into()),
    }
}

const UNIQUE: i32 = rusqlite::ffi::SQLITE_CONSTRAINT_UNIQUE;
const PRIMARY_KEY: i32 = rusqlite::ffi::SQLITE_CONSTRAINT_PRIMARYKEY;
const ROWID: i32 = rusqlite::ffi::SQLITE_CONSTRAINT_ROWID;
