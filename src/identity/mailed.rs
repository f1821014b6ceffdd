//! What a mail holds that proves an address: a link, and digits that can be typed instead; and what is counted, so that
//! nobody is flooded and nothing is guessed.
//!
//! Not here: what a proof is good for (`waiting`, `sign_up`, `address`, `new_password`).

use vestibule_protocol::jwt::encode_part;
use vestibule_protocol::{OAuthError, TokenDigest, hex};

use crate::context::{Context, random};
use crate::store::user::User;
use crate::store::{attempt, user};

/// What is counted begins anew after so many seconds.
pub(super) const WINDOW: i64 = 3_600;
/// Mails to one address, and mails that one place asks for.
const MAILS_TO_ONE: i64 = 5;
const MAILS_FROM_ONE: i64 = 30;
/// How often something may be tried of which a mail holds the answer.
const TRIES: i64 = 10;
const CODE_DIGITS: usize = 8;

/// What is to be mailed.
pub enum Letter {
    /// A link and a code.
    Prove {
        /// The secret in the link.
        token: String,
        /// What can be typed instead.
        code: String,
    },
    /// That the address has an account, and how to sign in to it.
    HasAccount,
}

/// What came of a code that was typed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tried {
    /// It was right.
    Right,
    /// It was not.
    Wrong,
    /// Too many were wrong.
    TooMany,
}

/// Counts a mail.
///
/// # Errors
/// 429 after too many mails to this address or from this place: the same for an address with an account and without.
pub(super) async fn count_mail(cx: &Context, email: &str, place: &str) -> Result<(), OAuthError> {
    let now = cx.clock.now();
    let limits = [("mails to", user::email_key(email), MAILS_TO_ONE), ("mails from", place.to_owned(), MAILS_FROM_ONE)];
    for (purpose, whose, limit) in limits {
        let (count, until) = attempt::count(&cx.db, cx.keys.derive(purpose, whose.as_bytes()), now, WINDOW).await?;
        if count > limit {
            let error = OAuthError::invalid_request("Too many mails were asked for; wait an hour.").with_status(429);
            return Err(OAuthError { retry_after: u32::try_from(until - now).ok(), ..error });
        }
    }
    Ok(())
}

/// Counts a try, and says whether it may be made.
pub(super) async fn may_try(cx: &Context, of: &str) -> Result<bool, OAuthError> {
    let key = cx.keys.derive("tries of a mailed code", of.as_bytes());
    Ok(attempt::count(&cx.db, key, cx.clock.now(), WINDOW).await?.0 <= TRIES)
}

/// 256 bits for a link or a cookie.
pub(super) fn new_secret() -> String {
    encode_part(&random::<32>())
}

/// Digits, so that they can be read out and typed anywhere.
pub(super) fn new_code() -> String {
    let number = u64::from_be_bytes(random::<8>()) % 100_000_000;
    format!("{number:0CODE_DIGITS$}")
}

/// How a code is kept; `of` is what it belongs to.
pub(super) fn digest_of_code(cx: &Context, of: &str, code: &str) -> String {
    let digits: String = code.chars().filter(char::is_ascii_digit).take(CODE_DIGITS + 1).collect();
    hex(&cx.keys.derive("mailed code", [of, "\n", &digits].concat().as_bytes()))
}

/// How a link's secret is kept.
pub(super) fn digest_of_link(token: &str) -> String {
    hex(TokenDigest::of(token).as_bytes())
}

/// What an account's way in hangs on: password, address, epoch. What was mailed before one of them changed is worth nothing.
pub(super) fn state_of(cx: &Context, user: &User) -> String {
    let password = user.password.as_deref().unwrap_or_default();
    let state = format!("{}\n{}\n{}\n{password}", user.id, user.token_epoch, user.email);
    hex(&cx.keys.derive("state of an account", state.as_bytes()))
}

pub(super) fn is_same(one: &str, other: &str) -> bool {
    aws_lc_rs::constant_time::verify_slices_are_equal(one.as_bytes(), other.as_bytes()).is_ok()
}
