//! One key that signs: made, opened, shown and used.

use aws_lc_rs::encoding::AsDer as _;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair,
};
use aws_lc_rs::{hmac, rsa};
use serde_json::{Map, Value, json};
use vestibule_protocol::jwk;
use vestibule_protocol::jwt::encode_part;

/// What a key of ours signs with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// RSASSA-PKCS1-v1_5 with SHA-256: what every client can check.
    Rs256,
    /// ECDSA on P-256: short and quick.
    Es256,
    /// Ed25519.
    EdDsa,
}

impl Algorithm {
    /// All of them, the one that counts where nothing is said first.
    pub const ALL: [Self; 3] = [Self::Rs256, Self::Es256, Self::EdDsa];

    /// The name in a header (RFC 7518 §3.1, RFC 8037 §3.1).
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Rs256 => "RS256",
            Self::Es256 => "ES256",
            Self::EdDsa => "EdDSA",
        }
    }

    /// By its name; `None` for one that we do not sign with.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|algorithm| algorithm.as_str() == name)
    }
}

/// The library of cryptography could not do it, or what was stored is no key.
#[derive(Debug, thiserror::Error)]
#[error("a signing key could not be made, read or used")]
pub struct KeyError;

/// A key pair, kept ready: parsing it costs more than signing with it.
pub struct SigningKey {
    /// Its name: the thumbprint of its public half.
    pub kid: String,
    /// What it signs with.
    pub algorithm: Algorithm,
    pair: Pair,
}

enum Pair {
    Rsa(RsaKeyPair),
    Ec(EcdsaKeyPair),
    Ed(Ed25519KeyPair),
}

/// A new key pair in PKCS #8. RSA takes some 50 ms.
///
/// # Errors
/// [`KeyError`] where the library refuses.
pub fn generate(algorithm: Algorithm) -> Result<Vec<u8>, KeyError> {
    let bytes = match algorithm {
        Algorithm::Rs256 => {
            let pair = rsa::KeyPair::generate(KeySize::Rsa2048).map_err(|_| KeyError)?;
            pair.as_der().map_err(|_| KeyError)?.as_ref().to_vec()
        }
        Algorithm::Es256 => {
            let document = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new());
            document.map_err(|_| KeyError)?.as_ref().to_vec()
        }
        Algorithm::EdDsa => {
            Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).map_err(|_| KeyError)?.as_ref().to_vec()
        }
    };
    Ok(bytes)
}

impl SigningKey {
    /// Opens a key pair.
    ///
    /// # Errors
    /// [`KeyError`] for what is no key of this algorithm.
    pub fn from_pkcs8(algorithm: Algorithm, pkcs8: &[u8]) -> Result<Self, KeyError> {
        let pair = match algorithm {
            Algorithm::Rs256 => RsaKeyPair::from_pkcs8(pkcs8).map(Pair::Rsa),
            Algorithm::Es256 => EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8).map(Pair::Ec),
            Algorithm::EdDsa => Ed25519KeyPair::from_pkcs8(pkcs8).map(Pair::Ed),
        };
        let mut key = Self { kid: String::new(), algorithm, pair: pair.map_err(|_| KeyError)? };
        key.kid = jwk::thumbprint(&Value::Object(key.public_members())).ok_or(KeyError)?;
        Ok(key)
    }

    /// The public half as it is published (RFC 7517).
    pub fn public_jwk(&self) -> Value {
        let mut jwk = self.public_members();
        jwk.insert("kid".to_owned(), self.kid.clone().into());
        jwk.insert("use".to_owned(), "sig".into());
        jwk.insert("alg".to_owned(), self.algorithm.as_str().into());
        Value::Object(jwk)
    }

    fn public_members(&self) -> Map<String, Value> {
        let members = match &self.pair {
            Pair::Rsa(pair) => {
                let public = pair.public_key();
                let n = encode_part(public.modulus().big_endian_without_leading_zero());
                let e = encode_part(public.exponent().big_endian_without_leading_zero());
                json!({ "kty": "RSA", "n": n, "e": e })
            }
            Pair::Ec(pair) => {
                // An uncompressed point: 4, x, y (SEC 1 §2.3.3).
                let point = pair.public_key().as_ref();
                let part = |range: std::ops::Range<usize>| point.get(range).map(encode_part).unwrap_or_default();
                json!({ "kty": "EC", "crv": "P-256", "x": part(1..33), "y": part(33..65) })
            }
            Pair::Ed(pair) => {
                json!({ "kty": "OKP", "crv": "Ed25519", "x": encode_part(pair.public_key().as_ref()) })
            }
        };
        match members {
            Value::Object(members) => members,
            _ => Map::new(),
        }
    }

    /// These claims as a JWT with this `typ`.
    ///
    /// # Errors
    /// [`KeyError`] where the library refuses.
    pub fn sign(&self, typ: &str, claims: &Value) -> Result<String, KeyError> {
        let header = json!({ "alg": self.algorithm.as_str(), "typ": typ, "kid": self.kid });
        let text = unsigned(&header, claims);
        let random = SystemRandom::new();
        let signature = match &self.pair {
            Pair::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &random, text.as_bytes(), &mut signature).map_err(|_| KeyError)?;
                signature
            }
            Pair::Ec(pair) => pair.sign(&random, text.as_bytes()).map_err(|_| KeyError)?.as_ref().to_vec(),
            Pair::Ed(pair) => pair.sign(text.as_bytes()).as_ref().to_vec(),
        };
        Ok([text.as_str(), ".", &encode_part(&signature)].concat())
    }
}

/// These claims as a JWT signed with a secret that both sides know (HS256).
pub fn sign_with_secret(secret: &str, typ: &str, claims: &Value) -> String {
    let text = unsigned(&json!({ "alg": "HS256", "typ": typ }), claims);
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    [text.as_str(), ".", &encode_part(hmac::sign(&key, text.as_bytes()).as_ref())].concat()
}

fn unsigned(header: &Value, claims: &Value) -> String {
    [encode_part(header.to_string().as_bytes()), ".".to_owned(), encode_part(claims.to_string().as_bytes())].concat()
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use vestibule_protocol::jwt::Jwt;
    use vestibule_protocol::key_set::{DEFAULT_ALGORITHMS, KeySet};

    use super::{Algorithm, SigningKey, generate, sign_with_secret};

    #[test]
    fn what_a_key_signs_its_public_half_verifies_and_another_does_not() {
        for algorithm in Algorithm::ALL {
            let key = SigningKey::from_pkcs8(algorithm, &generate(algorithm).unwrap()).unwrap();
            let other = SigningKey::from_pkcs8(algorithm, &generate(algorithm).unwrap()).unwrap();
            let text = key.sign("JWT", &json!({ "sub": "7" })).unwrap();

            let jwt = Jwt::parse(&text).unwrap();

            assert_eq!((jwt.kid(), jwt.text("sub")), (Some(key.kid.as_str()), Some("7")));
            assert!(jwt.is_signed_by(&KeySet::of_one(&key.public_jwk()).unwrap(), DEFAULT_ALGORITHMS));
            assert!(!jwt.is_signed_by(&KeySet::of_one(&other.public_jwk()).unwrap(), DEFAULT_ALGORITHMS));
            assert!(!vestibule_protocol::jwk::is_private(&key.public_jwk()));
            assert!(SigningKey::from_pkcs8(algorithm, b"no key").is_err());
        }
    }

    #[test]
    fn a_shared_secret_signs_too() {
        let text = sign_with_secret("secret", "JWT", &json!({}));
        let jwt = Jwt::parse(&text).unwrap();
        assert!(jwt.is_signed_with_secret("secret") && !jwt.is_signed_with_secret("other"));
        assert!(!jwt.is_signed_with_secret(""));
    }
}
