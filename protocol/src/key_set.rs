//! Public keys as somebody publishes them (RFC 7517), as far as they can verify a signature.

pub use jsonwebtoken::Algorithm;
use jsonwebtoken::DecodingKey;
use serde_json::Value;

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

    /// How many keys there are.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether there is none, as before the first fetch.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// The key with this `kid` that fits the algorithm; without a `kid`, the only one that fits.
    pub(crate) fn find(&self, kid: Option<&str>, algorithm: Algorithm) -> Option<&DecodingKey> {
        let mut fitting = self.keys.iter().filter(|key| key.can_verify(algorithm));
        match kid {
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
        Some(Self { kid: owned("kid"), algorithm: owned("alg"), fits, key: key.ok()? })
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
