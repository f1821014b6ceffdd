//! The only room with SQL: one file a table, the verbs in `db`, no rules.
//!
//! Every statement is one text for SQLite and PostgreSQL. A function that takes [`Db`] is one transaction; one that takes
//! [`Tx`] is part of a decision that its caller makes in one. Not found is `Option`. What "once only" means is one
//! statement, never a read and a write.

pub mod application;
pub mod association;
pub mod attempt;
pub mod audit;
pub mod cache;
pub mod change;
pub mod code;
pub mod consent;
mod db;
pub mod device_code;
pub mod expired;
pub mod grant_list;
pub mod hook_notice;
pub mod idempotency;
pub mod logout_notice;
pub mod migrate;
pub mod outbox;
pub mod passkey;
pub mod pending;
pub mod pushed_request;
pub mod recovery_code;
pub mod refusal;
pub mod seal_key;
pub mod seen;
pub mod session;
pub mod signing_key;
mod sqlite;
pub mod statistic;
pub mod token;
pub mod token_list;
pub mod totp;
pub mod user;
mod watch;

pub(crate) use db::args;
pub use db::{BoxFuture, Db, Row, Tx, Value};
use vestibule_protocol::OAuthError;

/// What can go wrong with a database.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It is away, overloaded or being restarted; the same request may succeed later.
    #[error("the database is not available")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// A unique value is taken.
    #[error("a unique value is taken")]
    Conflict(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// A statement failed, or a row is not what we wrote.
    #[error("the database refused a statement or holds something unexpected")]
    Broken(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// The result of every store function.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// A row that is not what we wrote.
    pub fn broken(what: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Broken(what.into())
    }
}

/// A text that stands for itself in `LIKE … ESCAPE '!'`.
fn like_literal(text: &str) -> String {
    text.replace('!', "!!").replace('%', "!%").replace('_', "!_")
}

impl From<Error> for OAuthError {
    fn from(error: Error) -> Self {
        match error {
            Error::Unavailable(_) => {
                Self::unavailable("The server cannot reach its database; try again shortly.", 2).with_cause(error)
            }
            _ => Self::new(vestibule_protocol::ErrorCode::ServerError, "The server failed; its log tells why.")
                .with_cause(error),
        }
    }
}
