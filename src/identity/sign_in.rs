//! Signing in by username and password.
//!
//! Not here: the hashing (`password`), what a grant makes of the outcome (`grant::password`).

use vestibule_protocol::OAuthError;

use super::password::{HashError, Verdict};
use crate::context::{Context, random};
use crate::store::user::{self, User};

/// The person with this username and password. `None` for an unknown name, a wrong password, a person without one and
/// one who was deactivated: nobody learns which, not by the time it takes either.
///
/// # Errors
/// `temporarily_unavailable` where too many wait for a hash, `invalid_request` for a password that is too long to hash.
pub async fn by_password(cx: &Context, username: &str, password: &str) -> Result<Option<User>, OAuthError> {
    let user = user::find_by_username(&cx.db, username).await?;
    let encoded = user.as_ref().filter(|user| user.is_active).and_then(|user| user.password.as_deref());
    let verdict = cx.hasher.verify(password, encoded, random()).await.map_err(hash_error)?;
    let encoded = match verdict {
        Verdict::Wrong => return Ok(None),
        Verdict::Right => None,
        Verdict::RightButOutdated { encoded } => Some(encoded),
    };
    if let Some(user) = &user {
        user::note_password_login(&cx.db, user, encoded, cx.clock.now()).await?;
    }
    Ok(user)
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
