//! Signing in by username and password.
//!
//! Not here: the hashing (`password`), what a grant makes of the outcome (`grant::password`).

use vestibule_protocol::OAuthError;

use super::password::{HashError, Verdict};
use crate::context::{Context, random};
use crate::store::attempt;
use crate::store::user::{self, User};

/// Wrong tries within [`WINDOW`] seconds, for one name from one address, and for one name from everywhere.
const FROM_ONE_ADDRESS: i64 = 20;
const FROM_EVERYWHERE: i64 = 200;
const WINDOW: i64 = 300;
/// How long an address is remembered from which a person has signed in, in seconds.
const KNOWN_FOR: i64 = 90 * 86_400;

/// The person with this username and password. `None` for an unknown name, a wrong password, a person without one and
/// one who was deactivated: nobody learns which, not by the time it takes either.
///
/// Guessing is limited by name and address (many at once by the queue of hashes too), for names that there are and names that there are not. Whoever has signed in
/// from an address before is not shut out there by what is tried from elsewhere.
///
/// # Errors
/// 429 after too many wrong tries, `temporarily_unavailable` where too many wait for a hash, `invalid_request` for a
/// password that is too long to hash.
pub async fn by_password(
    cx: &Context,
    username: &str,
    password: &str,
    address: &str,
) -> Result<Option<User>, OAuthError> {
    let now = cx.clock.now();
    let key = |purpose: &str, place: &str| cx.keys.derive(purpose, [username, "\n", place].concat().as_bytes());
    let (here, everywhere) = (key("sign-in tries", address), key("sign-in tries everywhere", ""));
    let known = key("sign-in known", address);
    let (tries, until) = attempt::so_far(&cx.db, here, now).await?;
    let is_known = attempt::so_far(&cx.db, known, now).await?.0 > 0;
    let (tries_everywhere, until_everywhere) = match is_known {
        true => (0, now),
        false => attempt::so_far(&cx.db, everywhere, now).await?,
    };
    if tries >= FROM_ONE_ADDRESS || tries_everywhere >= FROM_EVERYWHERE {
        let wait = u32::try_from(until.max(until_everywhere) - now).unwrap_or(60).max(1);
        let error = OAuthError::invalid_grant("Too many wrong tries; wait a few minutes.").with_status(429);
        return Err(OAuthError { retry_after: Some(wait), ..error });
    }
    let user = user::find_by_username(&cx.db, username).await?;
    let encoded = user.as_ref().filter(|user| user.is_active).and_then(|user| user.password.as_deref());
    let verdict = cx.hasher.verify(password, encoded, random()).await.map_err(hash_error)?;
    let encoded = match verdict {
        Verdict::Wrong => {
            attempt::count(&cx.db, here, now, WINDOW).await?;
            attempt::count(&cx.db, everywhere, now, WINDOW).await?;
            return Ok(None);
        }
        Verdict::Right => None,
        Verdict::RightButOutdated { encoded } => Some(encoded),
    };
    if let Some(user) = &user {
        user::note_password_login(&cx.db, user, encoded, now).await?;
        if !is_known {
            attempt::count(&cx.db, known, now, KNOWN_FOR).await?;
        }
    }
    Ok(user)
}

/// One refusal for an unknown name, a wrong password and a person who was deactivated.
pub fn wrong_credentials() -> OAuthError {
    OAuthError::invalid_grant("Invalid credentials given.")
}

/// What a client is told of a hash that was not made.
pub fn hash_error(error: HashError) -> OAuthError {
    match error {
        HashError::Busy | HashError::Closed => {
            OAuthError::unavailable("Too many people are signing in at once; try again shortly.", 2).with_cause(error)
        }
        HashError::TooLong => {
            OAuthError::invalid_request("The password is longer than 4096 bytes.").with_field("password")
        }
    }
}
