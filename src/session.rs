//! Browser sessions: begun at a sign-in, ended by idleness, age, a sign-out or a revocation.
//!
//! The cookie holds 256 random bits, the database their digest. A sign-in always gives a new one, so one that was planted
//! before is worth nothing (OWASP session fixation).
//! Not here: the cookie itself (`http::cookie`).

use vestibule_protocol::jwt::encode_part;
use vestibule_protocol::{OAuthError, PlainToken, TokenDigest, TokenKind};

use crate::context::{Context, random};
use crate::store::session::{self, NewSession};
use crate::store::user::User;

pub use crate::store::session::Session;

/// How often the use of a session is noted, in seconds.
const TOUCH_AFTER: i64 = 60;

/// From where somebody signs in, for their list of sessions.
#[derive(Clone, Debug, Default)]
pub struct Browser {
    /// The client's address.
    pub address: String,
    /// The browser's name for itself.
    pub user_agent: String,
}

/// Begins a session for whoever has just proved who they are, in place of `before`. The same person in the same browser
/// keeps their `sid`.
///
/// # Errors
/// What the database says.
pub async fn begin(
    cx: &Context,
    user: &User,
    amr: &str,
    browser: &Browser,
    before: Option<&Session>,
) -> Result<PlainToken, OAuthError> {
    let now = cx.clock.now();
    let cookie = PlainToken::new(TokenKind::Session, &random());
    let own = before.filter(|before| before.user.id == user.id);
    let new = NewSession {
        digest: cookie.digest(),
        public_id: own.map_or_else(|| encode_part(&random::<16>()), |own| own.public_id.clone()),
        user_id: user.id,
        user_epoch: user.token_epoch,
        amr: amr.to_owned(),
        expires_at: now + seconds(cx.settings.sessions.absolute_ttl),
        address: shortened(&browser.address, 64),
        user_agent: shortened(&browser.user_agent, 256),
    };
    session::begin(&cx.db, new, before.map(|before| before.id), now).await?;
    Ok(cookie)
}

/// The session of a cookie's value, if it is good now. That it is used is noted, and from which address; empty: not known.
///
/// # Errors
/// What the database says.
pub async fn find(cx: &Context, cookie: &str, address: &str) -> Result<Option<Session>, OAuthError> {
    let Some(digest) = TokenDigest::of_presented(TokenKind::Session, cookie) else { return Ok(None) };
    let now = cx.clock.now();
    let found = session::find(&cx.db, digest, now, seen_since(cx, now)).await?;
    let address = shortened(address, 64);
    if let Some(session) = &found
        && (now - session.last_seen_at >= TOUCH_AFTER || !address.is_empty() && address != session.last_address)
    {
        session::touch(&cx.db, session.id, now, &address).await?;
    }
    Ok(found)
}

/// The sessions in which a person is signed in, the last used first.
///
/// # Errors
/// What the database says.
pub async fn of_user(cx: &Context, user_id: i64) -> Result<Vec<Session>, OAuthError> {
    let now = cx.clock.now();
    Ok(session::of_user(&cx.db, user_id, now, seen_since(cx, now)).await?)
}

fn seen_since(cx: &Context, now: i64) -> i64 {
    now - seconds(cx.settings.sessions.idle_ttl)
}

fn seconds(duration: std::time::Duration) -> i64 {
    i64::try_from(duration.as_secs()).unwrap_or(i64::MAX / 4)
}

/// What came from outside, without control characters and cut.
fn shortened(text: &str, chars: usize) -> String {
    text.chars().filter(|c| !c.is_control()).take(chars).collect()
}
