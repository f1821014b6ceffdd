//! Public keys as somebody publishes them (RFC 7517), as far as they can verify a signature.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
pub use jsonwebtoken::Algorithm;
use jsonwebtoken::DecodingKey;
use serde_json::{Map, Value};

/// What counts where nothing else is said: everything asymmetric.
pub const DEFAULT_ALGORITHMS: &[Algorithm] = &[
    Algorithm::RS256,
    Algorithm::RS384,
    Algorithm::RS512,
    Algorithm::PS256,
    Algorithm::PS384,
    Algorithm::PS512,
    Algorithm::ES256,
    Algorithm::ES384,
    Algorithm::EdDSA,
];

/// The public keys that a provider publishes (RFC 7517), as far as they can verify a signature.
#[derive(Clone, Debug, Default)]
pub struct KeySet {
    keys: Vec<PublicKey>,
}

#[derive(Clone, Debug)]
struct PublicKey {
    kid: Option<String>,
    algorithm: Option<String>,
    /// Whose tokens it signs, where it is one of many issuers' (Microsoft). `{tenantid}` stands for the token's `tid`.
    issuer: Option<String>,
    fits: &'static [Algorithm],
    key: DecodingKey,
}

/// What was fetched is no key set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a JSON Web Key Set with a key to verify signatures")]
pub struct KeySetError;

impl KeySet {
    /// Reads `{"keys": […]}`. Keys of other kinds, for encryption, or symmetric (which nobody publishes) are left out.
    ///
    /// # Errors
    /// [`KeySetError`] where that leaves nothing.
    pub fn parse(json: &[u8]) -> Result<Self, KeySetError> {
        let set: Value = serde_json::from_slice(json).map_err(|_| KeySetError)?;
        let keys: Vec<_> =
            set.get("keys").and_then(Value::as_array).ok_or(KeySetError)?.iter().filter_map(PublicKey::read).collect();
        if keys.is_empty() { Err(KeySetError) } else { Ok(Self { keys }) }
    }

    /// A set of one key. `None`: not a key to verify signatures with.
    pub fn of_one(jwk: &Value) -> Option<Self> {
        PublicKey::read(jwk).map(|key| Self { keys: vec![key] })
    }

    /// A set of one key that somebody was given by hand: a SubjectPublicKeyInfo (RFC 5280 §4.1.2.7) in base64, with or without
    /// the lines of PEM around it. `None`: not a key to verify signatures with.
    pub fn of_public_key(text: &str) -> Option<Self> {
        let lines = text.lines().map(str::trim).filter(|line| !line.starts_with("-----"));
        let der = STANDARD.decode(lines.collect::<String>()).ok()?;
        PublicKey::of_der(&der).map(|key| Self { keys: vec![key] })
    }

    /// How many keys there are.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether there is none, as before the first fetch.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// The key with this `kid` that fits the algorithm and the claims' issuer; without a `kid`, the only one that fits. A key
    /// that is alone and has no name is meant by any `kid`: there is nothing to choose (RFC 7517 §4.5).
    pub(crate) fn find(
        &self,
        kid: Option<&str>,
        algorithm: Algorithm,
        claims: &Map<String, Value>,
    ) -> Option<&DecodingKey> {
        let mut fitting = self.keys.iter().filter(|key| key.can_verify(algorithm) && key.is_for(claims));
        let is_alone = matches!(self.keys.as_slice(), [only] if only.kid.is_none());
        match kid.filter(|_| !is_alone) {
            Some(kid) => fitting.find(|key| key.kid.as_deref() == Some(kid)).map(|found| &found.key),
            None => match (fitting.next(), fitting.next()) {
                (Some(only), None) => Some(&only.key),
                _ => None,
            },
        }
    }
}

impl PublicKey {
    fn read(jwk: &Value) -> Option<Self> {
        let text = |name: &str| jwk.get(name).and_then(Value::as_str);
        if text("use").is_some_and(|purpose| purpose != "sig") {
            return None;
        }
        let (fits, key): (&'static [Algorithm], _) = match (text("kty")?, text("crv")) {
            ("RSA", _) => {
                use Algorithm::{PS256, PS384, PS512, RS256, RS384, RS512};
                const RSA: &[Algorithm] = &[RS256, RS384, RS512, PS256, PS384, PS512];
                (RSA, DecodingKey::from_rsa_components(text("n")?, text("e")?))
            }
            ("EC", Some("P-256")) => (&[Algorithm::ES256], DecodingKey::from_ec_components(text("x")?, text("y")?)),
            ("EC", Some("P-384")) => (&[Algorithm::ES384], DecodingKey::from_ec_components(text("x")?, text("y")?)),
            ("OKP", Some("Ed25519")) => (&[Algorithm::EdDSA], DecodingKey::from_ed_components(text("x")?)),
            _ => return None,
        };
        let owned = |name: &str| text(name).map(str::to_owned);
        let (algorithm, issuer) = (owned("alg"), owned("issuer"));
        Some(Self { kid: owned("kid"), algorithm, issuer, fits, key: key.ok()? })
    }

    /// `SEQUENCE { SEQUENCE { OBJECT IDENTIFIER, parameters }, BIT STRING }`
    fn of_der(der: &[u8]) -> Option<Self> {
        const RSA: &[u8] = &[0x06, 0x09, 0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 0x01, 0x01, 0x01];
        const P256: &[u8] = &[
            0x06, 0x07, 0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x02, 0x01, // id-ecPublicKey
            0x06, 0x08, 0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x03, 0x01, 0x07,
        ];
        const P384: &[u8] = &[
            0x06, 0x07, 0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x02, 0x01, // id-ecPublicKey
            0x06, 0x05, 0x2B, 0x81, 0x04, 0x00, 0x22,
        ];
        const ED25519: &[u8] = &[0x06, 0x03, 0x2B, 0x65, 0x70];
        let (whole, rest) = der_value(0x30, der)?;
        let (kind, bits) = der_value(0x30, whole)?;
        let (bits, after) = der_value(0x03, bits)?;
        let (unused, key) = bits.split_first()?;
        if !rest.is_empty() || !after.is_empty() || *unused != 0 {
            return None;
        }
        use Algorithm::{ES256, ES384, EdDSA, PS256, PS384, PS512, RS256, RS384, RS512};
        let (fits, key): (&'static [Algorithm], _) = match kind {
            _ if kind.starts_with(RSA) => (&[RS256, RS384, RS512, PS256, PS384, PS512], DecodingKey::from_rsa_der(key)),
            P256 => (&[ES256], DecodingKey::from_ec_der(key)),
            P384 => (&[ES384], DecodingKey::from_ec_der(key)),
            ED25519 => (&[EdDSA], DecodingKey::from_ed_der(key)),
            _ => return None,
        };
        Some(Self { kid: None, algorithm: None, issuer: None, fits, key })
    }

    /// One tenant's key must not sign for another one.
    fn is_for(&self, claims: &Map<String, Value>) -> bool {
        let Some(issuer) = &self.issuer else { return true };
        let claim = |name: &str| claims.get(name).and_then(Value::as_str);
        let tenant = claim("tid").unwrap_or_default();
        let issuer = issuer.replace("{tenantid}", tenant).replace("{tenantId}", tenant);
        claim("iss") == Some(issuer.as_str())
    }

    /// A key that names an algorithm is for that one only (RFC 7517 §4.4).
    fn can_verify(&self, algorithm: Algorithm) -> bool {
        self.fits.contains(&algorithm)
            && self
                .algorithm
                .as_deref()
                .is_none_or(|name| name.parse().is_ok_and(|named: Algorithm| named == algorithm))
    }
}

/// The contents of a DER value with this tag, and what stands behind it.
fn der_value(tag: u8, der: &[u8]) -> Option<(&[u8], &[u8])> {
    let (&own, rest) = der.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = match first {
        0..=0x7F => (usize::from(first), rest),
        0x81 | 0x82 => {
            let (bytes, rest) = rest.split_at_checked(usize::from(first & 0x0F))?;
            (bytes.iter().fold(0, |length, &byte| length << 8 | usize::from(byte)), rest)
        }
        _ => return None,
    };
    let (value, rest) = rest.split_at_checked(length)?;
    (own == tag).then_some((value, rest))
}

#[cfg(test)]
mod tests;
