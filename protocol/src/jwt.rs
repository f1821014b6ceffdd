//! A JWT in compact form, taken apart and checked piece by piece (RFC 7515, RFC 7519).
//!
//! Nothing of it is believed by being here: whoever asks names the keys and the algorithms that count. What the header
//! says about keys (`jku`, `x5u`, `x5c`) is never followed.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey};
use serde_json::{Map, Value};

use crate::key_set::KeySet;

/// A JWT of which nothing is believed yet. `Debug` shows nothing of it: it may be a credential.
pub struct Jwt<'a> {
    /// The protected header.
    pub header: Map<String, Value>,
    /// The claims.
    pub claims: Map<String, Value>,
    signed: &'a str,
    signature: &'a str,
}

impl std::fmt::Debug for Jwt<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Jwt(hidden)")
    }
}

impl<'a> Jwt<'a> {
    /// Takes a compact JWS with a JSON object in it apart. `None`: it is none (an encrypted one has five parts).
    pub fn parse(text: &'a str) -> Option<Self> {
        let mut parts = text.split('.');
        let (Some(head), Some(body), Some(signature), None) = (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return None;
        };
        let signed = text.get(..head.len() + 1 + body.len())?;
        Some(Self { header: json_part(head)?, claims: json_part(body)?, signed, signature })
    }

    /// The header's algorithm; `None` for `none` and for what we do not know.
    pub fn algorithm(&self) -> Option<Algorithm> {
        self.header.get("alg").and_then(Value::as_str).and_then(|name| name.parse().ok())
    }

    /// The header's key id.
    pub fn kid(&self) -> Option<&str> {
        self.header.get("kid").and_then(Value::as_str)
    }

    /// Whether the header's `typ` is this media type, with or without `application/` (RFC 7515 §4.1.9).
    pub fn is_of_type(&self, typ: &str) -> bool {
        let own = self.header.get("typ").and_then(Value::as_str).unwrap_or_default();
        own.strip_prefix("application/").unwrap_or(own).eq_ignore_ascii_case(typ)
    }

    /// Whether one of these keys signed it, with an algorithm of `allowed`. An extension that we do not know
    /// (`crit`, RFC 7515 §4.1.11) makes it unsigned.
    pub fn is_signed_by(&self, keys: &KeySet, allowed: &[Algorithm]) -> bool {
        let Some(algorithm) = self.algorithm().filter(|algorithm| allowed.contains(algorithm)) else { return false };
        keys.find(self.kid(), algorithm, &self.claims).is_some_and(|key| self.verify(key, algorithm))
    }

    /// Whether this secret signed it, with HS256. An empty secret signs nothing.
    pub fn is_signed_with_secret(&self, secret: &str) -> bool {
        self.algorithm() == Some(Algorithm::HS256)
            && !secret.is_empty()
            && self.verify(&DecodingKey::from_secret(secret.as_bytes()), Algorithm::HS256)
    }

    pub(crate) fn verify(&self, key: &DecodingKey, algorithm: Algorithm) -> bool {
        !self.header.contains_key("crit")
            && jsonwebtoken::crypto::verify(self.signature, self.signed.as_bytes(), key, algorithm).unwrap_or(false)
    }

    /// A claim that is a text.
    pub fn text(&self, claim: &str) -> Option<&str> {
        self.claims.get(claim).and_then(Value::as_str)
    }

    /// A claim that is a NumericDate (RFC 7519 §2), in seconds since 1970; it may have a fraction.
    ///
    /// # Errors
    /// The claim is there and is no number.
    pub fn instant(&self, claim: &str) -> Result<Option<i64>, NotANumber> {
        instant(&self.claims, claim)
    }

    /// Whether `aud`, a text or a list of texts, names one of these.
    pub fn is_for(&self, audiences: &[&str]) -> bool {
        match self.claims.get("aud") {
            Some(Value::String(one)) => audiences.contains(&one.as_str()),
            Some(Value::Array(many)) => {
                many.iter().filter_map(Value::as_str).any(|audience| audiences.contains(&audience))
            }
            _ => false,
        }
    }

    /// Whether `exp` is there and not past, and neither `nbf` nor `iat` lies in the future, give or take `leeway` seconds.
    pub fn is_current(&self, now: i64, leeway: i64) -> bool {
        let not_future =
            |claim| matches!(self.instant(claim), Ok(at) if at.is_none_or(|at| at.saturating_sub(leeway) <= now));
        let lives = matches!(self.instant("exp"), Ok(Some(at)) if at.saturating_add(leeway) > now);
        lives && not_future("nbf") && not_future("iat")
    }
}

/// A claim that should be a number and is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotANumber;

pub(crate) fn instant(claims: &Map<String, Value>, name: &str) -> Result<Option<i64>, NotANumber> {
    match claims.get(name) {
        None => Ok(None),
        Some(Value::Number(number)) => {
            #[expect(clippy::cast_possible_truncation, reason = "a float beyond i64 saturates")]
            let at = number.as_i64().or_else(|| number.as_f64().map(|float| float as i64));
            at.map(Some).ok_or(NotANumber)
        }
        Some(_) => Err(NotANumber),
    }
}

/// A part of a compact JWS as the JSON object that it holds.
pub(crate) fn json_part(part: &str) -> Option<Map<String, Value>> {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).ok()?).ok()
}

/// A part of a compact JWS: base64url without padding.
pub fn encode_part(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

#[cfg(test)]
mod tests {
    use super::{Jwt, encode_part};

    #[test]
    fn debug_shows_nothing_of_a_jwt() {
        let text =
            [r#"{"alg":"ES256"}"#, r#"{"sub":"the-subject"}"#, "signature"].map(|part| encode_part(part.as_bytes()));
        let text = text.join(".");
        let jwt = Jwt::parse(&text).unwrap();
        assert_eq!((jwt.text("sub"), format!("{jwt:?}").as_str()), (Some("the-subject"), "Jwt(hidden)"));
    }
}
