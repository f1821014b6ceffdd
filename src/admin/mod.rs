//! What staff do: every act of the console, the admin API and the command line, with who may do it and what is noted of it.
//!
//! An act checks the permission, decides, writes and notes itself in the audit log in one transaction. Lists are read from
//! `store` by whoever shows them, after [`Actor::must_see`].
//! Not here: how an act is asked for and shown (`http::console`, `http::admin_api`, the command line).

mod actor;
pub mod applications;
pub mod audit;
pub mod keys;
pub mod providers;
pub mod settings;

pub use actor::{Actor, Area, Permission, Via};

use vestibule_protocol::OAuthError;

use crate::store;

/// What a transaction gives that may decide against what was asked.
type Decided<T> = store::Result<Result<T, OAuthError>>;

/// There is nothing of this kind under this name.
fn not_found(sentence: impl Into<std::borrow::Cow<'static, str>>) -> OAuthError {
    OAuthError::invalid_request(sentence).with_status(404)
}
