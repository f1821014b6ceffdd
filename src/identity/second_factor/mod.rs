//! What people prove who they are with beside a password: passkeys, codes of an authenticator app, recovery codes.
//!
//! Whoever has a passkey or an app has a second factor: a password alone does not let them in any more. A passkey that has
//! verified its person is two factors by itself.
//! Not here: the pages (`http`), how an authenticator's answer is read and judged (`vestibule_protocol::webauthn`).

pub mod half_way;
pub mod passkey;
pub mod recovery;
pub mod totp;

use vestibule_protocol::{ErrorCode, OAuthError};

use crate::context::Context;
use crate::store::totp::Totp;
use crate::store::{attempt, passkey as passkeys, recovery_code, totp as totps};

pub use crate::store::passkey::Passkey;

/// Wrong codes that one person may give within [`WINDOW`] seconds.
const TRIES: i64 = 10;
const WINDOW: i64 = 3_600;

/// The second factors of a person.
pub struct Factors {
    /// Oldest first.
    pub passkeys: Vec<Passkey>,
    /// The authenticator app.
    pub totp: Option<Totp>,
    /// How many recovery codes are left.
    pub recovery_codes: i64,
}

impl Factors {
    /// Whether there is any. Recovery codes only stand in for one.
    pub fn is_any(&self) -> bool {
        !self.passkeys.is_empty() || self.totp.is_some()
    }
}

/// The second factors of a person.
///
/// # Errors
/// What the database says.
pub async fn of(cx: &Context, user_id: i64) -> Result<Factors, OAuthError> {
    Ok(Factors {
        passkeys: passkeys::of_user(&cx.db, user_id).await?,
        totp: totps::find(&cx.db, user_id).await?,
        recovery_codes: recovery_code::count(&cx.db, user_id).await?,
    })
}

/// Whether a password alone does not let this person in.
///
/// # Errors
/// What the database says.
pub async fn has_one(cx: &Context, user_id: i64) -> Result<bool, OAuthError> {
    of(cx, user_id).await.map(|factors| factors.is_any())
}

/// Whether a session's `amr` shows that more than one factor was given (RFC 8176 §2). A provider's word does not: what it
/// asked for is not known here.
pub fn is_shown_by(amr: &str) -> bool {
    amr.split(' ').any(|word| word == "mfa")
}

/// What a right password and a code make together (RFC 8176 §2).
pub const PASSWORD_AND_CODE: &str = "pwd otp mfa";

/// Takes a code of this person's: of their app, or a recovery code. Each counts once; blanks and dashes do not. `false`: it is
/// neither, or was used.
///
/// # Errors
/// `invalid_grant` with 429 after too many wrong ones.
pub async fn take_code(cx: &Context, user_id: i64, code: &str) -> Result<bool, OAuthError> {
    let now = cx.clock.now();
    let key = cx.keys.derive("second factor tries", user_id.to_string().as_bytes());
    // Counted before it is looked at: of many at once none goes uncounted.
    let (tries, until) = attempt::count(&cx.db, key, now, WINDOW).await?;
    if tries > TRIES {
        let error = OAuthError::invalid_grant("Too many wrong codes; wait an hour, or use a passkey.").with_status(429);
        return Err(OAuthError { retry_after: u32::try_from(until - now).ok(), ..error });
    }
    let code: String = code.chars().filter(char::is_ascii_alphanumeric).take(64).collect();
    let is_right = match code.bytes().all(|byte| byte.is_ascii_digit()) {
        true => totp::take(cx, user_id, &code).await?,
        false => recovery::take(cx, user_id, &code).await?,
    };
    if is_right {
        attempt::take_back(&cx.db, key).await?;
    }
    Ok(is_right)
}

fn failed(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> OAuthError {
    OAuthError::new(ErrorCode::ServerError, "The server failed; its log tells why.").with_cause(cause)
}

#[cfg(test)]
mod tests {
    #[test]
    fn only_mfa_shows_a_second_factor() {
        for (amr, is_shown) in
            [("pwd", false), ("pwd otp mfa", true), ("hwk user mfa", true), ("fed", false), ("mfaa", false)]
        {
            assert_eq!(super::is_shown_by(amr), is_shown, "{amr}");
        }
    }
}
