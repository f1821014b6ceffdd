//! A new password: of somebody who knows the old one or has none, and of somebody who has forgotten it and proves the
//! account's address by a mail.
//!
//! A change ends the other sessions, as `set_password` does for an operator; the tokens of applications live on, for nothing
//! says that somebody else has them. After a reset nothing lives on: whoever cannot get in any other way may have lost the
//! account, so every session and every token ends.
//! Not here: what a password must be (`password`), the pages and the mails (`http`).

use serde::{Deserialize, Serialize};
use vestibule_protocol::{OAuthError, TokenDigest};

use super::mailed::{count_mail, is_same, new_secret, state_of};
use super::password::{Weakness, weakness};
use super::sealed::{open, seal};
use super::sign_in::{self, hash_error};
use crate::context::{Context, random};
use crate::store::pending;
use crate::store::user::{self, User};

/// How long a mailed link is good, in seconds.
pub const PATIENCE: i64 = 3_600;
/// Accounts with one address that get a link each.
const AT_MOST: usize = 3;

const RESET: &str = "password reset";

/// What a link stands for.
#[derive(Deserialize, Serialize)]
struct Reset {
    user_id: i64,
    state: String,
}

/// What came of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Changed {
    /// It is the new one.
    Done,
    /// The old one is not right.
    WrongOld,
    /// The new one is not taken.
    Unfit(Weakness),
}

/// What is wrong with a new password for this person, if anything is.
fn unfit(cx: &Context, user: &User, new: &str) -> Option<Weakness> {
    weakness(new, cx.settings.accounts.password_min_length, &user.username, &user.email)
}

/// Sets a password for somebody who is signed in, in the session `keep`, and knows the old one if there is one.
///
/// # Errors
/// What [`sign_in::by_password`] says of the old one; wrong ones count there.
pub async fn change(
    cx: &Context,
    user: &User,
    old: &str,
    new: &str,
    place: &str,
    keep: i64,
) -> Result<Changed, OAuthError> {
    if let Some(weakness) = unfit(cx, user, new) {
        return Ok(Changed::Unfit(weakness));
    }
    if user.has_password() && sign_in::by_password(cx, &user.username, old, place).await?.is_none() {
        return Ok(Changed::WrongOld);
    }
    let encoded = cx.hasher.hash(new, random()).await.map_err(hash_error)?;
    user::change_password(&cx.db, user.id, Some(encoded), keep).await?;
    Ok(Changed::Done)
}

/// Who may be sent a link for this address, each with the link's secret. Nobody but those who have proven that it is theirs,
/// or the only one who has it and a password. Where that is nobody, a link that stands for nothing is made all the same: the
/// work tells nothing.
///
/// # Errors
/// 429 after too many mails: the same for an address with an account and without.
pub async fn ask(cx: &Context, email: &str, place: &str) -> Result<Vec<(Option<User>, String)>, OAuthError> {
    count_mail(cx, email, place).await?;
    let all = user::all_with_email(&cx.db, email).await?;
    let is_only_one = all.len() == 1;
    // An address that a provider has told unproven is no way into an account that had no password.
    let may = |user: &User| user.is_active && (user.email_verified || is_only_one && user.has_password());
    let mut found: Vec<Option<User>> = all.into_iter().filter(may).take(AT_MOST).map(Some).collect();
    if found.is_empty() {
        found.push(None);
    }
    let mut links = Vec::new();
    for user in found {
        let token = new_secret();
        let (user_id, state) = match &user {
            Some(user) => (user.id, state_of(cx, user)),
            None => (0, state_of(cx, &User::default())),
        };
        let sealed = seal(cx, RESET, &Reset { user_id, state })?;
        pending::insert(&cx.db, TokenDigest::of(&token), RESET, sealed, cx.clock.now() + PATIENCE).await?;
        links.push((user, token));
    }
    Ok(links)
}

/// Whose password a link may set. `None`: it is unknown, was used, is older than an hour, or the account's password or
/// address has changed since.
///
/// # Errors
/// What the database says.
pub async fn look_up(cx: &Context, token: &str) -> Result<Option<User>, OAuthError> {
    let sealed = pending::find(&cx.db, TokenDigest::of(token), RESET, cx.clock.now()).await?;
    let Some(reset) = sealed.and_then(|sealed| open::<Reset>(cx, RESET, &sealed)) else { return Ok(None) };
    let user = user::find(&cx.db, reset.user_id).await?;
    Ok(user.filter(|user| user.is_active && is_same(&state_of(cx, user), &reset.state)))
}

/// What came of a link.
#[derive(Debug)]
pub enum WasReset {
    /// The password is the new one, and everything that was issued before has ended.
    Done(User),
    /// The new one is not taken. The link is still good.
    Unfit(Weakness),
    /// See [`look_up`].
    Spent,
}

/// Sets a password by a link, once.
///
/// # Errors
/// `temporarily_unavailable` where too many wait for a hash.
pub async fn reset(cx: &Context, token: &str, new: &str) -> Result<WasReset, OAuthError> {
    let Some(user) = look_up(cx, token).await? else { return Ok(WasReset::Spent) };
    if let Some(weakness) = unfit(cx, &user, new) {
        return Ok(WasReset::Unfit(weakness));
    }
    let encoded = cx.hasher.hash(new, random()).await.map_err(hash_error)?;
    let (digest, now, before) = (TokenDigest::of(token), cx.clock.now(), user.clone());
    let done = cx.db.write(move |tx| {
        Box::pin(async move {
            if pending::take_in(tx, digest, RESET, now).await?.is_none() {
                return Ok(false);
            }
            // Of two links that are used at once the second one finds another password.
            tx.lock(&format!("password of {}", before.id)).await?;
            let is_as_before = |now: &User| {
                now.is_active
                    && (&now.password, &now.email, now.token_epoch)
                        == (&before.password, &before.email, before.token_epoch)
            };
            if !user::find_in(tx, before.id).await?.as_ref().is_some_and(is_as_before) {
                return Ok(false);
            }
            user::reset_password_in(tx, before.id, encoded).await?;
            Ok(true)
        })
    });
    Ok(if done.await? { WasReset::Done(user) } else { WasReset::Spent })
}
