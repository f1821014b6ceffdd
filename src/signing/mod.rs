//! The keys that sign ID tokens, JWT access tokens and signed answers: made at the first start, sealed in the database,
//! changed on schedule, the same on every node.
//!
//! Of each algorithm there are always two: the one that signs, and the next, which is published long before it does. A
//! rotation is a change of dates in the database, so every node goes over at the same second; a key that has stopped
//! signing stays published until the last token that it signed has ended.

mod key;

use serde_json::{Value, json};
use vestibule_protocol::jwt::{Jwt, encode_part};
use vestibule_protocol::key_set::{DEFAULT_ALGORITHMS, KeySet};
use vestibule_protocol::{ErrorCode, OAuthError};

pub use key::{Algorithm, KeyError, SigningKey, generate, sign_with_secret};

use crate::context::{Context, random};
use crate::store::audit::{self, Entry};
use crate::store::change::Change;
use crate::store::signing_key::{self, NewKey, StoredKey};

/// The name of the row that holds the secret of pairwise subjects. It never changes: people would become others.
const PAIRWISE: &str = "pairwise";

/// Every key that is of use now.
pub struct SigningKeys {
    /// With the second from which on it signs, and the one at which it is of no more use.
    keys: Vec<(SigningKey, i64, Option<i64>)>,
    verifying: KeySet,
    pairwise_secret: Vec<u8>,
}

impl std::fmt::Debug for SigningKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.keys.iter().map(|(key, ..)| &key.kid)).finish()
    }
}

impl SigningKeys {
    /// The key that signs at this second.
    ///
    /// # Errors
    /// `server_error` where there is none, which a started server does not see.
    pub fn current(&self, algorithm: Algorithm, now: i64) -> Result<&SigningKey, OAuthError> {
        let of_algorithm = self.keys.iter().filter(|(key, at, _)| key.algorithm == algorithm && *at <= now);
        // Of two that were made active in the same second the same one on every node.
        let youngest = of_algorithm.max_by(|(one, at, _), (other, then, _)| (at, &one.kid).cmp(&(then, &other.kid)));
        youngest.map(|(key, ..)| key).ok_or_else(|| failed("there is no signing key"))
    }

    /// The JWK set (RFC 7517 §5).
    pub fn published(&self, now: i64) -> Value {
        let living = self.keys.iter().filter(|(_, _, expires_at)| expires_at.is_none_or(|at| at > now));
        json!({ "keys": living.map(|(key, ..)| key.public_jwk()).collect::<Vec<_>>() })
    }

    /// Whether one of our keys signed this.
    pub fn has_signed(&self, jwt: &Jwt<'_>) -> bool {
        jwt.is_signed_by(&self.verifying, DEFAULT_ALGORITHMS)
    }

    /// Who a person is to this sector (OpenID Connect Core §8.1).
    pub fn pairwise_subject(&self, sector: &str, user_id: i64) -> String {
        let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, &self.pairwise_secret);
        encode_part(aws_lc_rs::hmac::sign(&key, format!("{sector}\n{user_id}").as_bytes()).as_ref())
    }

    fn open(cx: &Context, stored: Vec<StoredKey>) -> Result<Self, OAuthError> {
        let (mut keys, mut public, mut pairwise_secret) = (Vec::new(), Vec::new(), Vec::new());
        for row in stored {
            let opened = cx.keys.open(&purpose(&row.kid), &row.sealed_key).map_err(failed)?;
            if row.kid == PAIRWISE {
                pairwise_secret = opened;
                continue;
            }
            let algorithm = Algorithm::from_name(&row.algorithm).ok_or_else(|| failed("an unknown algorithm"))?;
            let key = SigningKey::from_pkcs8(algorithm, &opened).map_err(failed)?;
            public.push(key.public_jwk());
            keys.push((key, row.active_at, row.expires_at));
        }
        let verifying = KeySet::parse(json!({ "keys": public }).to_string().as_bytes()).map_err(failed)?;
        Ok(Self { keys, verifying, pairwise_secret })
    }
}

fn purpose(kid: &str) -> String {
    format!("signing key {kid}")
}

fn failed(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> OAuthError {
    OAuthError::new(ErrorCode::ServerError, "The server failed; its log tells why.").with_cause(cause)
}

impl From<KeyError> for OAuthError {
    fn from(error: KeyError) -> Self {
        failed(error)
    }
}

/// The keys, from memory where that can be believed.
///
/// # Errors
/// What the database says; `server_error` where a key does not open.
pub async fn keys(cx: &Context) -> Result<std::sync::Arc<SigningKeys>, OAuthError> {
    let read = async {
        let stored = signing_key::living(&cx.db, cx.clock.now()).await?;
        SigningKeys::open(cx, stored).map(Some).map_err(crate::store::Error::broken)
    };
    let kept = cx.signing_keys.get(&cx.db, (), |_| true, |_| [Change::SigningKeys], read).await?;
    kept.ok_or_else(|| failed("there are no signing keys"))
}

/// Makes what is missing: everything at the first start, and the next key of each algorithm when its time has come.
///
/// # Errors
/// What the database says.
pub async fn maintain(cx: &Context) -> Result<(), OAuthError> {
    let now = cx.clock.now();
    let rows = signing_key::living(&cx.db, now).await?;
    let period = period(cx);
    let mut new = Vec::new();
    if !rows.iter().any(|row| row.kid == PAIRWISE) {
        let sealed_key = cx.keys.seal(&purpose(PAIRWISE), &random::<32>()).map_err(failed)?;
        let (kid, algorithm) = (PAIRWISE.to_owned(), "HS256".to_owned());
        new.push(NewKey { kid, algorithm, sealed_key, public_jwk: "{}".to_owned(), active_at: now });
    }
    for algorithm in Algorithm::ALL {
        let active = rows.iter().filter(|row| row.algorithm == algorithm.as_str()).map(|row| row.active_at).max();
        // At the first start the one that signs and the next; later a new next, as soon as the last one signs.
        let wanted = match active {
            None => vec![now, now + period],
            Some(active) if active <= now => vec![now + period],
            Some(_) => Vec::new(),
        };
        for active_at in wanted {
            new.push(make(cx, algorithm, active_at).await?);
        }
    }
    if !new.is_empty() {
        signing_key::insert_missing(&cx.db, new, now).await?;
    }
    signing_key::retire(&cx.db, now, longest_use(cx)).await?;
    Ok(())
}

/// Lets the next key of each algorithm sign from now on, and makes a new next one. It is noted as `entry` says of the names
/// of the keys that sign now.
///
/// # Errors
/// What the database says.
pub async fn rotate(cx: &Context, entry: impl FnOnce(&[String]) -> Entry + Send + 'static) -> Result<(), OAuthError> {
    maintain(cx).await?;
    let now = cx.clock.now();
    let period = period(cx);
    let mut new = Vec::new();
    for algorithm in Algorithm::ALL {
        new.push(make(cx, algorithm, now + period).await?);
    }
    let rotated = cx.db.write(move |tx| {
        Box::pin(async move {
            let signing = signing_key::rotate_in(tx, &new, now).await?;
            audit::note(tx, entry(&signing)).await
        })
    });
    rotated.await?;
    signing_key::retire(&cx.db, now, longest_use(cx)).await?;
    Ok(())
}

/// What a key does at present.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It is published and will sign.
    Next,
    /// It signs.
    Signing,
    /// It does not sign any more; what it signed can still be verified.
    Retired,
}

impl State {
    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Next => "next",
            Self::Signing => "signing",
            Self::Retired => "retired",
        }
    }

    fn of(key: &StoredKey, all: &[StoredKey], now: i64) -> Self {
        if key.active_at > now {
            return Self::Next;
        }
        let is_followed = all.iter().any(|other| {
            other.algorithm == key.algorithm
                && other.active_at <= now
                && (other.active_at, &other.kid) > (key.active_at, &key.kid)
        });
        if is_followed { Self::Retired } else { Self::Signing }
    }
}

/// Every key that signs tokens, will sign them, or did and is still published.
///
/// # Errors
/// What the database says.
pub async fn list(cx: &Context) -> Result<Vec<(StoredKey, State)>, OAuthError> {
    let now = cx.clock.now();
    let all = signing_key::living(&cx.db, now).await?;
    let states: Vec<State> = all.iter().map(|key| State::of(key, &all, now)).collect();
    Ok(all.into_iter().zip(states).filter(|(key, _)| key.kid != PAIRWISE).collect())
}

async fn make(cx: &Context, algorithm: Algorithm, active_at: i64) -> Result<NewKey, OAuthError> {
    let pkcs8 = tokio::task::spawn_blocking(move || generate(algorithm)).await.map_err(failed)??;
    let key = SigningKey::from_pkcs8(algorithm, &pkcs8)?;
    let sealed_key = cx.keys.seal(&purpose(&key.kid), &pkcs8).map_err(failed)?;
    let public_jwk = key.public_jwk().to_string();
    Ok(NewKey { kid: key.kid, algorithm: algorithm.as_str().to_owned(), sealed_key, public_jwk, active_at })
}

/// How long a key signs, in seconds; as long it has been published before.
fn period(cx: &Context) -> i64 {
    i64::try_from(cx.settings.signing_keys.rotate_every.as_secs()).unwrap_or(i64::MAX / 4).max(1)
}

/// How long after its last signature a key can be asked for: as long as an access token lives, and as long as the session
/// of an ID token that may come back as a hint.
fn longest_use(cx: &Context) -> i64 {
    let seconds = |duration: std::time::Duration| i64::try_from(duration.as_secs()).unwrap_or(i64::MAX / 4);
    seconds(cx.settings.tokens.access_token_ttl).max(seconds(cx.settings.sessions.absolute_ttl)) + 60
}
