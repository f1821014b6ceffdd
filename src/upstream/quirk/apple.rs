//! Apple's client secret is a JWT that the operator's key signs, made anew for each call.
//!
//! <https://developer.apple.com/documentation/accountorganizationaldatasharing/creating-a-client-secret>

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use super::super::{Provider, refuse};
use crate::protocol::OAuthError;
use crate::protocol::jwt::encode_part;

/// Seconds that a client secret is good for; Apple allows half a year.
const LIVES: i64 = 300;

pub(super) fn check(provider: &Provider) -> Result<(), String> {
    let why = "`client_secret` is not the text of Apple's .p8 file: a private key of the curve P-256 (PKCS #8)";
    key(provider.secret().unwrap_or_default()).map(drop).ok_or_else(|| why.to_owned())
}

/// The key of a .p8 file, with or without its first and last line, however the lines were folded.
fn key(pem: &str) -> Option<EcdsaKeyPair> {
    let inner = pem.split("-----").find(|part| !part.trim().is_empty() && !part.contains("PRIVATE KEY"))?;
    let der = STANDARD.decode(inner.split_whitespace().collect::<String>()).ok()?;
    EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &der).ok()
}

pub(super) fn client_secret(provider: &Provider, now: i64) -> Result<String, OAuthError> {
    let header = json!({ "alg": "ES256", "kid": provider.value("key"), "typ": "JWT" });
    let claims = json!({
        "iss": provider.value("team"), "iat": now, "exp": now.saturating_add(LIVES), "aud": "https://appleid.apple.com",
        "sub": provider.client_id(),
    });
    let message = [header, claims].map(|part| encode_part(part.to_string().as_bytes())).join(".");
    let key = key(provider.secret().unwrap_or_default());
    let signature = key.and_then(|key| key.sign(&SystemRandom::new(), message.as_bytes()).ok());
    let signature = signature.ok_or_else(|| refuse::misconfigured(provider, "the key does not sign".into()))?;
    Ok(format!("{message}.{}", encode_part(signature.as_ref())))
}
