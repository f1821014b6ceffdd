//! DPoP proofs (RFC 9449): a JWT by which a client shows, at each request, that it holds the key of its token.
//!
//! Not here: whether the proof was seen before and whether its nonce is ours (`vestibule::dpop`).

use aws_lc_rs::digest;
use jsonwebtoken::Algorithm;
use serde_json::Value;

use crate::error::{ErrorCode, OAuthError};
use crate::jwk;
use crate::jwt::{Jwt, encode_part};
use crate::key_set::KeySet;

/// What a proof may be signed with: asymmetric only (RFC 9449 §4.3), what discovery names.
pub const ALGORITHMS: &[Algorithm] = &[Algorithm::ES256, Algorithm::EdDSA, Algorithm::PS256, Algorithm::RS256];

/// Seconds by which `iat` may lie in the past or the future.
pub const WINDOW: i64 = 60;

/// A proof that holds for one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proof {
    /// The thumbprint of its key (`jkt`).
    pub thumbprint: String,
    /// Its id, which no later proof of that key may have.
    pub id: String,
    /// The server's nonce in it.
    pub nonce: Option<String>,
    /// Until when a copy of it would pass, in seconds since 1970.
    pub expires_at: i64,
}

/// What a proof must match.
#[derive(Clone, Copy, Debug)]
pub struct Expected<'a> {
    /// The request's method.
    pub method: &'a str,
    /// The request's address as the client sees it; query and fragment do not count.
    pub url: &'a str,
    /// At a protected API: the access token that comes with it.
    pub access_token: Option<&'a str>,
    /// Seconds since 1970.
    pub now: i64,
}

/// Checks a proof against its request (RFC 9449 §4.3).
///
/// # Errors
/// `invalid_dpop_proof` with a sentence that says which part does not hold.
pub fn verify(text: &str, expected: &Expected<'_>) -> Result<Proof, OAuthError> {
    let refuse = |sentence: &'static str| OAuthError::new(ErrorCode::InvalidDpopProof, sentence);
    let jwt = Jwt::parse(text).ok_or_else(|| refuse("The DPoP proof is not a signed JWT."))?;
    if !jwt.is_of_type("dpop+jwt") {
        return Err(refuse("The DPoP proof's `typ` must be `dpop+jwt`."));
    }
    let key = jwt.header.get("jwk").ok_or_else(|| refuse("The DPoP proof has no `jwk` in its header."))?;
    if jwk::is_private(key) {
        return Err(refuse("The DPoP proof's `jwk` holds a private key; send the public one."));
    }
    let thumbprint =
        jwk::thumbprint(key).ok_or_else(|| refuse("The DPoP proof's `jwk` is not a key of a known kind."))?;
    let keys = KeySet::of_one(key).ok_or_else(|| refuse("The DPoP proof's `jwk` is not a key of a known kind."))?;
    let algorithm = jwt.algorithm().filter(|algorithm| ALGORITHMS.contains(algorithm));
    let algorithm = algorithm.ok_or_else(|| refuse("The DPoP proof's `alg` is not one that is taken here."))?;
    let signed = keys.find(None, algorithm, &jwt.claims).is_some_and(|key| jwt.verify(key, algorithm));
    if !signed {
        return Err(refuse("The DPoP proof's signature is not its key's."));
    }
    if jwt.text("htm") != Some(expected.method) {
        return Err(refuse("The DPoP proof's `htm` is not this request's method."));
    }
    let htu = jwt.text("htu").and_then(normal_url).ok_or_else(|| refuse("The DPoP proof has no `htu`."))?;
    if Some(htu) != normal_url(expected.url) {
        return Err(refuse("The DPoP proof's `htu` is not this request's address."));
    }
    let issued_at = jwt.instant("iat").ok().flatten().ok_or_else(|| refuse("The DPoP proof has no `iat`."))?;
    if issued_at.abs_diff(expected.now) > WINDOW.unsigned_abs() {
        return Err(refuse("The DPoP proof's `iat` is not within a minute of this server's clock."));
    }
    let not_past = jwt.instant("exp").is_ok_and(|at| at.is_none_or(|at| at.saturating_add(5) > expected.now));
    let not_future = jwt.instant("nbf").is_ok_and(|at| at.is_none_or(|at| at.saturating_sub(WINDOW) <= expected.now));
    if !not_past || !not_future {
        return Err(refuse("The DPoP proof's `exp` or `nbf` does not hold now."));
    }
    if let Some(token) = expected.access_token {
        let hash = encode_part(digest::digest(&digest::SHA256, token.as_bytes()).as_ref());
        if jwt.text("ath") != Some(hash.as_str()) {
            return Err(refuse("The DPoP proof's `ath` is not the hash of this access token."));
        }
    }
    let id = jwt.text("jti").filter(|id| (1..=512).contains(&id.len()));
    let id = id.ok_or_else(|| refuse("The DPoP proof needs a `jti` of at most 512 characters."))?.to_owned();
    let nonce = match jwt.claims.get("nonce") {
        None => None,
        Some(Value::String(nonce)) => Some(nonce.clone()),
        Some(_) => return Err(refuse("The DPoP proof's `nonce` is not a text.")),
    };
    Ok(Proof { thumbprint, id, nonce, expires_at: issued_at.saturating_add(WINDOW + 1) })
}

/// An address without query and fragment, normal in scheme, host, port and empty path (RFC 3986 §6.2).
fn normal_url(text: &str) -> Option<String> {
    let mut url = url::Url::parse(text).ok()?;
    url.set_query(None);
    url.set_fragment(None);
    Some(url.to_string())
}
