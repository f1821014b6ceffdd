//! What staff do: every act of the console, the admin API and the command line, with who may do it and what is noted of it.
//!
//! An act checks the permission, decides, writes and notes itself in the audit log in one transaction. Lists are read from
//! `store` by whoever shows them, after [`Actor::must_see`].
//! Not here: how an act is asked for and shown (`http::console`, `http::admin_api`, the command line).

mod actor;
pub mod applications;
pub mod associations;
pub mod audit;
pub mod keys;
pub mod providers;
pub mod settings;
pub mod tokens;
pub mod users;

pub use actor::{Actor, Area, Permission, Via};

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};
use vestibule_protocol::OAuthError;

use crate::store::user::{self, User};
use crate::store::{self, Tx};

/// What a transaction gives that may decide against what was asked.
type Decided<T> = store::Result<Result<T, OAuthError>>;

/// What of a thing's description is another than before: `{member: [before, after]}`.
fn difference(before: &Value, after: &Value) -> Value {
    let changed = after
        .as_object()
        .into_iter()
        .flatten()
        .filter(|(name, value)| name.as_str() != "updated_at" && before.get(name.as_str()) != Some(value));
    changed.map(|(name, value)| (name.clone(), json!([before[name.as_str()], value]))).collect::<Map<_, _>>().into()
}

/// There is nothing of this kind under this name.
fn not_found(sentence: impl Into<std::borrow::Cow<'static, str>>) -> OAuthError {
    OAuthError::invalid_request(sentence).with_status(404)
}

/// Goes on only if the actor may act on this person's account: on that of staff or of a superuser a superuser alone.
fn must_be_over(actor: &Actor, user: &User) -> Result<(), OAuthError> {
    match user.is_staff || user.is_superuser {
        true => actor.must_be_superuser("Only a superuser acts on the accounts of staff."),
        false => Ok(()),
    }
}

/// As [`must_be_over`], for all of these people.
async fn must_be_over_all(tx: &mut Tx<'_>, actor: &Actor, people: BTreeSet<i64>) -> Decided<()> {
    for id in people {
        if let Some(user) = user::find_in(tx, id).await?
            && let Err(refused) = must_be_over(actor, &user)
        {
            return Ok(Err(refused));
        }
    }
    Ok(Ok(()))
}
