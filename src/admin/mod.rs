//! What staff do: every act of the console, the admin API and the command line, with who may do it and what is noted of it.
//!
//! An act checks the permission, decides, writes and notes itself in the audit log in one transaction. Lists are read from
//! `store` by whoever shows them, after [`Actor::must_see`].
//! Not here: how an act is asked for and shown (`http::console`, `http::admin_api`, the command line).

mod actor;
pub mod applications;
pub mod associations;
pub mod tokens;

pub use actor::{Actor, Area, Permission, Via};

use std::collections::BTreeSet;

use vestibule_protocol::OAuthError;

use crate::store::{self, Tx, user};

/// What a transaction gives that may decide against what was asked.
type Decided<T> = store::Result<Result<T, OAuthError>>;

/// There is nothing of this kind under this name.
fn not_found(sentence: impl Into<std::borrow::Cow<'static, str>>) -> OAuthError {
    OAuthError::invalid_request(sentence).with_status(404)
}

/// Goes on only if the actor may act on the accounts of all these people: on those of staff and superusers a superuser alone.
async fn must_be_over_all(tx: &mut Tx<'_>, actor: &Actor, people: BTreeSet<i64>) -> Decided<()> {
    for id in people {
        let is_staff = user::find_in(tx, id).await?.is_some_and(|user| user.is_staff || user.is_superuser);
        if is_staff
            && let Err(refused) = actor.must_be_superuser("Only a superuser acts on the accounts of staff.")
        {
            return Ok(Err(refused));
        }
    }
    Ok(Ok(()))
}
