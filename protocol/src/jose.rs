//! ID tokens of providers, verified (OpenID Connect Core §3.1.3.7, RFC 7519, RFC 8725).
//!
//! Which key and which algorithm count is our decision: the algorithm must be on the provider's list, the key must be one
//! that we fetched ourselves. What the header says about keys (`jku`, `x5u`, `jwk`, `x5c`) is not even read.
//!
//! Not here: fetching and keeping keys (`vestibule::upstream`), the time (an argument), what the claims mean to us
//! (`provider::claims`).

use aws_lc_rs::{constant_time, digest};
use jsonwebtoken::{Algorithm, AlgorithmFamily, DecodingKey};
use serde_json::{Map, Value};

use crate::jwt::{Jwt, encode_part, instant, json_part};
use crate::key_set::KeySet;

/// Seconds by which a provider's clock and ours may differ.
pub const LEEWAY: i64 = 60;

/// Why a token is not an ID token for us. Each says whose fault it is, so that no two need the same sentence.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdTokenError {
    /// Not three parts, or parts that are not base64url JSON (an encrypted token has five).
    #[error("not a signed JWT")]
    NotAJwt,
    /// The header's algorithm is not on the provider's list (`none` never is).
    #[error("the algorithm is not one that this provider signs with")]
    AlgorithmRefused,
    /// No key of the provider's has this `kid`, or none is told and not exactly one fits. Other keys may help.
    #[error("no key fits")]
    UnknownKey {
        /// The `kid` of the header.
        kid: Option<String>,
    },
    /// The signature is not that key's over these bytes.
    #[error("the signature is wrong")]
    BadSignature,
    /// A claim or header member is missing or has the wrong type.
    #[error("`{0}` is missing or malformed")]
    Malformed(&'static str),
    /// Another issuer.
    #[error("another issuer")]
    WrongIssuer,
    /// Issued to another client.
    #[error("another audience")]
    ForeignAudience,
    /// Good once.
    #[error("expired")]
    Expired,
    /// `nbf` or `iat` lies in the future.
    #[error("not valid yet")]
    NotYetValid,
    /// The request's nonce is not the token's.
    #[error("another nonce")]
    NonceMismatch,
}

/// What an ID token must match.
#[derive(Clone, Copy, Debug)]
pub struct Expected<'a> {
    /// The issuer, letter by letter; a provider may have two spellings.
    pub issuers: &'a [String],
    /// Our client ids.
    pub client_ids: &'a [String],
    /// What may sign. HS256 and its kin count only here, never by default.
    pub algorithms: &'a [Algorithm],
    /// The key for HS256 and its kin.
    pub client_secret: Option<&'a str>,
    /// The nonce of the request. Without one, a nonce in the token is not looked at: the client that started the
    /// sign-in is the only one who knows it.
    pub nonce: Option<&'a str>,
    /// Whether the provider puts the nonce's SHA-256 in hexadecimal into the token.
    pub nonce_hashed: bool,
    /// Seconds since 1970.
    pub now: i64,
}

/// The claims of a token that passed.
#[derive(Clone, Debug, PartialEq)]
pub struct VerifiedIdToken {
    /// All of them.
    pub claims: Map<String, Value>,
    /// `exp`.
    pub expires_at: i64,
    /// What signed it.
    pub algorithm: Algorithm,
}

impl VerifiedIdToken {
    /// Whether the access token beside it is the one that it was issued with, as far as it says (OpenID Connect Core
    /// §3.1.3.6): `at_hash` is the left half of the access token's hash, by the hash of the token's own algorithm.
    pub fn goes_with(&self, access_token: &str) -> bool {
        let Some(told) = self.claims.get("at_hash") else { return true };
        let hash = match self.algorithm {
            Algorithm::HS256 | Algorithm::RS256 | Algorithm::PS256 | Algorithm::ES256 => &digest::SHA256,
            Algorithm::HS384 | Algorithm::RS384 | Algorithm::PS384 | Algorithm::ES384 => &digest::SHA384,
            // Ed25519 hashes with SHA-512 itself.
            _ => &digest::SHA512,
        };
        let hash = digest::digest(hash, access_token.as_bytes());
        let half = hash.as_ref().get(..hash.as_ref().len() / 2).unwrap_or_default();
        let told = told.as_str().unwrap_or_default().trim_end_matches('=');
        constant_time::verify_slices_are_equal(told.as_bytes(), encode_part(half).as_bytes()).is_ok()
    }
}

/// Whether a text is meant to be a JWT: its first part is a JSON object with an `alg`. The rest may be broken.
pub fn looks_like_jwt(text: &str) -> bool {
    text.split_once('.').and_then(|(head, _)| json_part(head)).is_some_and(|header| header.contains_key("alg"))
}

/// Whether a JWT says of itself that it is an access token (RFC 9068 §2.1).
pub fn is_access_token(jwt: &str) -> bool {
    let header = jwt.split_once('.').and_then(|(head, _)| json_part(head)).unwrap_or_default();
    let typ = header.get("typ").and_then(Value::as_str).unwrap_or_default();
    let typ = typ.strip_prefix("application/").unwrap_or(typ);
    typ.eq_ignore_ascii_case("at+jwt")
}

/// A parsed token of which nothing is believed yet.
#[derive(Debug)]
pub struct UnverifiedIdToken<'a> {
    algorithm: Algorithm,
    jwt: Jwt<'a>,
}

impl<'a> UnverifiedIdToken<'a> {
    /// Takes a token apart and refuses what no key could save: another algorithm, another issuer. No keys are needed
    /// for that, so nobody can make us fetch some with a token that is not this provider's.
    ///
    /// # Errors
    /// `NotAJwt`, `AlgorithmRefused`, `Malformed`, `WrongIssuer`.
    pub fn parse(token: &'a str, expected: &Expected<'_>) -> Result<Self, IdTokenError> {
        let jwt = Jwt::parse(token).ok_or(IdTokenError::NotAJwt)?;
        let algorithm = jwt
            .algorithm()
            .filter(|algorithm| expected.algorithms.contains(algorithm))
            .ok_or(IdTokenError::AlgorithmRefused)?;
        // RFC 7515 §4.1.11: an extension that we must understand and do not.
        if jwt.header.contains_key("crit") {
            return Err(IdTokenError::Malformed("crit"));
        }
        if jwt.header.get("kid").is_some_and(|kid| !kid.is_string()) {
            return Err(IdTokenError::Malformed("kid"));
        }
        let issuer = jwt.text("iss").ok_or(IdTokenError::Malformed("iss"))?;
        if !expected.issuers.iter().any(|known| known == issuer) {
            return Err(IdTokenError::WrongIssuer);
        }
        Ok(Self { algorithm, jwt })
    }

    /// Whether the key is the client secret rather than one of the provider's published keys.
    pub fn is_symmetric(&self) -> bool {
        self.algorithm.family() == AlgorithmFamily::Hmac
    }

    /// Verifies signature, audience, times and nonce.
    ///
    /// # Errors
    /// `UnknownKey` where other keys of the provider's might help; all others are final.
    pub fn verify(self, keys: &KeySet, expected: &Expected<'_>) -> Result<VerifiedIdToken, IdTokenError> {
        let secret;
        let key = if self.is_symmetric() {
            // An empty secret would let anybody sign.
            let text = expected.client_secret.filter(|text| !text.is_empty()).ok_or(IdTokenError::AlgorithmRefused)?;
            secret = DecodingKey::from_secret(text.as_bytes());
            &secret
        } else {
            let kid = self.jwt.kid();
            let found = keys.find(kid, self.algorithm, &self.jwt.claims);
            found.ok_or_else(|| IdTokenError::UnknownKey { kid: kid.map(str::to_owned) })?
        };
        if !self.jwt.verify(key, self.algorithm) {
            return Err(IdTokenError::BadSignature);
        }
        let claims = self.jwt.claims;
        check_audience(&claims, expected.client_ids)?;
        let expires_at = check_times(&claims, expected.now)?;
        check_nonce(&claims, expected)?;
        Ok(VerifiedIdToken { claims, expires_at, algorithm: self.algorithm })
    }
}

fn check_audience(claims: &Map<String, Value>, client_ids: &[String]) -> Result<(), IdTokenError> {
    let is_ours = |value: &Value| value.as_str().is_some_and(|text| client_ids.iter().any(|id| id == text));
    match claims.get("aud") {
        Some(Value::String(_)) if claims.get("aud").is_some_and(is_ours) => Ok(()),
        Some(Value::String(_)) => Err(IdTokenError::ForeignAudience),
        Some(Value::Array(audiences)) => {
            // With several audiences `azp` tells for whom it was made. With one it may be another client of the same
            // project: a phone's, which asked for a token for this server.
            let made_for_us = audiences.len() < 2 || claims.get("azp").is_none_or(is_ours);
            let ours = made_for_us && audiences.iter().any(is_ours);
            if ours { Ok(()) } else { Err(IdTokenError::ForeignAudience) }
        }
        _ => Err(IdTokenError::Malformed("aud")),
    }
}

fn check_times(claims: &Map<String, Value>, now: i64) -> Result<i64, IdTokenError> {
    let number = |name: &'static str| instant(claims, name).map_err(|_| IdTokenError::Malformed(name));
    let expires_at = number("exp")?.ok_or(IdTokenError::Malformed("exp"))?;
    if expires_at.saturating_add(LEEWAY) <= now {
        return Err(IdTokenError::Expired);
    }
    for name in ["nbf", "iat"] {
        if number(name)?.is_some_and(|at| at.saturating_sub(LEEWAY) > now) {
            return Err(IdTokenError::NotYetValid);
        }
    }
    Ok(expires_at)
}

fn check_nonce(claims: &Map<String, Value>, expected: &Expected<'_>) -> Result<(), IdTokenError> {
    let Some(asked) = expected.nonce else { return Ok(()) };
    let told = claims.get("nonce").and_then(Value::as_str).ok_or(IdTokenError::NonceMismatch)?;
    let wanted = if expected.nonce_hashed { sha256_hex(asked) } else { asked.to_owned() };
    constant_time::verify_slices_are_equal(told.as_bytes(), wanted.as_bytes()).map_err(|_| IdTokenError::NonceMismatch)
}

fn sha256_hex(text: &str) -> String {
    crate::hex(digest::digest(&digest::SHA256, text.as_bytes()).as_ref())
}

#[cfg(test)]
mod tests;
