//! A credential's public key, as its authenticator writes it (COSE_Key, RFC 9052 §7), for ES256, EdDSA with Ed25519, and RS256.

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1, ED25519, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents,
};

use super::cbor::{self, Value};

/// The algorithms that a new passkey may have, the best first, as COSE numbers them (RFC 9053 §2.1 and §2.2, RFC 8812 §2).
pub const ALGORITHMS: [i64; 3] = [ED_DSA, ES256, RS256];

const ED_DSA: i64 = -8;
const ES256: i64 = -7;
const RS256: i64 = -257;

/// A key that is one: its point lies on the curve.
pub(super) enum CredentialKey {
    /// Of an algorithm that its form tells.
    Curve(ParsedPublicKey),
    Rsa(RsaPublicKeyComponents<Vec<u8>>),
}

impl CredentialKey {
    /// Reads a COSE_Key with nothing behind it.
    pub fn read(cose: &[u8]) -> Option<Self> {
        Self::of(&cbor::whole(cose)?)
    }

    pub fn of(key: &Value<'_>) -> Option<Self> {
        let (kind, algorithm, curve) = (key.at(1)?.int()?, key.at(3)?.int()?, key.at(-1));
        let coordinate = |label| key.at(label).and_then(Value::bytes).filter(|bytes| bytes.len() == 32);
        match (kind, algorithm) {
            (2, ES256) if curve?.int() == Some(1) => {
                // Compressed points (`y` a boolean) are not for WebAuthn (§5.8.5).
                let point = [&[4], coordinate(-2)?, coordinate(-3)?].concat();
                ParsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, point).ok().map(Self::Curve)
            }
            (1, ED_DSA) if curve?.int() == Some(6) => {
                ParsedPublicKey::new(&ED25519, coordinate(-2)?).ok().map(Self::Curve)
            }
            (3, RS256) => {
                let (n, e) = (curve?.bytes()?, key.at(-2)?.bytes()?);
                // 2048 to 4096 bits, and an exponent that is odd and short: verifying must stay cheap.
                let is_sound = (256..=512).contains(&n.len())
                    && n.first().is_some_and(|byte| *byte >= 0x80)
                    && (1..=4).contains(&e.len())
                    && e.first() != Some(&0)
                    && e.last().is_some_and(|byte| byte & 1 == 1)
                    && e != [1];
                is_sound.then(|| Self::Rsa(RsaPublicKeyComponents { n: n.to_vec(), e: e.to_vec() }))
            }
            _ => None,
        }
    }

    /// Whether this is the key's signature over these bytes.
    pub fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        match self {
            Self::Curve(key) => key.verify_sig(message, signature).is_ok(),
            Self::Rsa(key) => key.verify(&RSA_PKCS1_2048_8192_SHA256, message, signature).is_ok(),
        }
    }
}
