//! A key of a client's: for its assertions, request objects and DPoP proofs, good ones and bad.

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

pub struct ClientKey(EcdsaKeyPair);

impl ClientKey {
    pub fn new() -> Self {
        Self(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap())
    }

    pub fn jwk(&self) -> Value {
        let point = self.0.public_key().as_ref();
        json!({ "kty": "EC", "crv": "P-256", "x": encode(&point[1..33]), "y": encode(&point[33..65]) })
    }

    pub fn jwks(&self) -> Value {
        json!({ "keys": [self.jwk()] })
    }

    pub fn thumbprint(&self) -> String {
        vestibule::protocol::jwk::thumbprint(&self.jwk()).unwrap()
    }

    /// A JWT with this header, whatever it says.
    pub fn sign(&self, header: &Value, claims: &Value) -> String {
        let text = format!("{}.{}", encode(header.to_string().as_bytes()), encode(claims.to_string().as_bytes()));
        let signature = self.0.sign(&SystemRandom::new(), text.as_bytes()).unwrap();
        format!("{text}.{}", encode(signature.as_ref()))
    }

    /// A JWT with these claims.
    pub fn jwt(&self, claims: &Value) -> String {
        self.sign(&json!({ "alg": "ES256" }), claims)
    }

    /// The claims of a DPoP proof for this request, made at this second.
    pub fn proof_claims(method: &str, url: &str, now: i64, access_token: Option<&str>) -> Value {
        let mut claims = json!({ "htm": method, "htu": url, "iat": now, "jti": unique() });
        if let Some(token) = access_token {
            claims["ath"] = encode(digest(&SHA256, token.as_bytes()).as_ref()).into();
        }
        claims
    }

    /// A DPoP proof with these claims.
    pub fn proof_of(&self, claims: &Value) -> String {
        self.sign(&json!({ "typ": "dpop+jwt", "alg": "ES256", "jwk": self.jwk() }), claims)
    }

    /// A good DPoP proof.
    pub fn proof(&self, method: &str, url: &str, now: i64, access_token: Option<&str>) -> String {
        self.proof_of(&Self::proof_claims(method, url, now, access_token))
    }
}

pub fn encode(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// The claims of a JWT, unverified.
pub fn claims(jwt: &str) -> Value {
    part(jwt, 1)
}

/// The header of a JWT.
pub fn header(jwt: &str) -> Value {
    part(jwt, 0)
}

fn part(jwt: &str, at: usize) -> Value {
    let part = jwt.split('.').nth(at).unwrap_or_default();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap_or_default()).unwrap_or(Value::Null)
}

/// A text that no other call gives.
pub fn unique() -> String {
    encode(&vestibule::context::random::<16>())
}
