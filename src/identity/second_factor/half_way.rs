//! A sign-in whose password was right, and that waits for the second factor.
//!
//! It lies sealed in the database; the browser in which it began has the only secret. Nothing of a session exists before it
//! is finished, which happens once.

use serde::{Deserialize, Serialize};
use vestibule_protocol::jwt::encode_part;
use vestibule_protocol::{OAuthError, TokenDigest, hex};

use crate::context::{Context, random};
use crate::identity::sealed::{open, seal};
use crate::store::pending;
use crate::store::user::{self, User};

/// How long it waits, in seconds.
pub const PATIENCE: i64 = 600;
const KIND: &str = "second factor";

/// What waits.
#[derive(Deserialize, Serialize)]
pub struct HalfWay {
    user_id: i64,
    user_epoch: i64,
    /// Of the password's encoding: another password ends the waiting.
    password: String,
    /// Where the browser goes on to.
    pub next: String,
}

/// Lets a sign-in wait, and gives the secret for the browser's cookie.
///
/// # Errors
/// What the database says.
pub async fn begin(cx: &Context, user: &User, next: &str) -> Result<String, OAuthError> {
    // Read anew: the encoding may have been brought up to date with this sign-in.
    let current = user::find(&cx.db, user.id).await?;
    let password = digest_of_password(current.as_ref().unwrap_or(user));
    let waiting = HalfWay { user_id: user.id, user_epoch: user.token_epoch, password, next: next.to_owned() };
    let secret = encode_part(&random::<32>());
    let sealed = seal(cx, KIND, &waiting)?;
    pending::insert(&cx.db, TokenDigest::of(&secret), KIND, sealed, cx.clock.now() + PATIENCE).await?;
    Ok(secret)
}

/// What waits in a browser with this secret, and for whom. `None`: nothing, not any more, or the person was deactivated or has
/// another password since.
///
/// # Errors
/// What the database says.
pub async fn find(cx: &Context, secret: &str) -> Result<Option<(HalfWay, User)>, OAuthError> {
    let sealed = pending::find(&cx.db, TokenDigest::of(secret), KIND, cx.clock.now()).await?;
    let Some(waiting) = sealed.and_then(|sealed| open::<HalfWay>(cx, KIND, &sealed)) else { return Ok(None) };
    let user = user::find(&cx.db, waiting.user_id).await?;
    let is_same = |user: &User| {
        user.is_active && user.token_epoch == waiting.user_epoch && digest_of_password(user) == waiting.password
    };
    Ok(user.filter(is_same).map(|user| (waiting, user)))
}

fn digest_of_password(user: &User) -> String {
    hex(TokenDigest::of(user.password.as_deref().unwrap_or_default()).as_bytes())
}

/// Ends the waiting. `false`: it was ended before.
///
/// # Errors
/// What the database says.
pub async fn finish(cx: &Context, secret: &str) -> Result<bool, OAuthError> {
    let taken = pending::take(&cx.db, TokenDigest::of(secret), KIND, cx.clock.now()).await?;
    Ok(taken.is_some())
}
