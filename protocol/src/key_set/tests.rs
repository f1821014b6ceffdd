//! Keys that were given by hand, and keys of one tenant among many.

use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, EcdsaSigningAlgorithm,
    Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair,
};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD as B64};
use serde_json::json;

use super::{Algorithm, DEFAULT_ALGORITHMS, KeySet};
use crate::jwt::Jwt;

fn jwt(algorithm: &str, claims: &serde_json::Value, sign: impl Fn(&[u8]) -> Vec<u8>) -> String {
    let message = format!("{}.{}", B64.encode(json!({ "alg": algorithm }).to_string()), B64.encode(claims.to_string()));
    format!("{message}.{}", B64.encode(sign(message.as_bytes())))
}

fn der<K: AsDer<PublicKeyX509Der<'static>>>(key: &K) -> Vec<u8> {
    key.as_der().unwrap().as_ref().to_vec()
}

fn is_signed(keys: &KeySet, token: &str) -> bool {
    Jwt::parse(token).unwrap().is_signed_by(keys, DEFAULT_ALGORITHMS)
}

#[test]
fn a_public_key_of_every_kind_is_read_with_and_without_the_lines_of_pem() {
    let random = SystemRandom::new();
    let rsa = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
    let of_rsa = |message: &[u8]| {
        let mut signature = vec![0; rsa.public_modulus_len()];
        rsa.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature).unwrap();
        signature
    };
    let curve = |algorithm: &'static EcdsaSigningAlgorithm| EcdsaKeyPair::generate(algorithm).unwrap();
    let (p256, p384) = (curve(&ECDSA_P256_SHA256_FIXED_SIGNING), curve(&ECDSA_P384_SHA384_FIXED_SIGNING));
    let ed = Ed25519KeyPair::generate().unwrap();
    let claims = json!({ "sub": "1" });
    let of_curve = |pair: &EcdsaKeyPair, message: &[u8]| pair.sign(&random, message).unwrap().as_ref().to_vec();
    for (der, token) in [
        (der(rsa.public_key()), jwt("RS256", &claims, of_rsa)),
        (der(p256.public_key()), jwt("ES256", &claims, |message| of_curve(&p256, message))),
        (der(p384.public_key()), jwt("ES384", &claims, |message| of_curve(&p384, message))),
        (der(ed.public_key()), jwt("EdDSA", &claims, |message| ed.sign(message).as_ref().to_vec())),
    ] {
        let text = STANDARD.encode(&der);
        let lines: Vec<&str> = text.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
        let pem = format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", lines.join("\n"));
        for given in [&text, &pem] {
            assert!(is_signed(&KeySet::of_public_key(given).unwrap(), &token));
        }
        let forged = format!("{}A", &token[..token.len() - 1]);
        assert!(!is_signed(&KeySet::of_public_key(&text).unwrap(), &forged) || forged == token);
        assert!(KeySet::of_public_key(&STANDARD.encode(&der[..der.len() - 1])).is_none());
        let mut longer = der.clone();
        longer.push(0);
        assert!(KeySet::of_public_key(&STANDARD.encode(longer)).is_none());
    }
    for nonsense in ["", "MIIB", "not base64!", "-----BEGIN PUBLIC KEY-----", "MAA="] {
        assert!(KeySet::of_public_key(nonsense).is_none(), "{nonsense}");
    }
}

#[test]
fn a_key_of_one_issuer_signs_for_no_other() {
    let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
    let point = pair.public_key().as_ref();
    let jwks = |issuer: &str| {
        let (x, y) = (B64.encode(&point[1..33]), B64.encode(&point[33..]));
        let key = json!({ "kty": "EC", "crv": "P-256", "x": x, "y": y, "issuer": issuer });
        KeySet::parse(json!({ "keys": [key] }).to_string().as_bytes()).unwrap()
    };
    let signed =
        |claims| jwt("ES256", &claims, |message| pair.sign(&SystemRandom::new(), message).unwrap().as_ref().to_vec());
    let ours = signed(json!({ "iss": "https://login.example/ours/v2.0", "tid": "ours" }));
    let without = signed(json!({ "iss": "https://login.example//v2.0" }));
    for (issuer, is_good) in [
        ("https://login.example/{tenantid}/v2.0", true),
        ("https://login.example/{tenantId}/v2.0", true),
        ("https://login.example/ours/v2.0", true),
        ("https://login.example/other/v2.0", false),
        ("https://evil.example/{tenantid}/v2.0", false),
    ] {
        assert_eq!(is_signed(&jwks(issuer), &ours), is_good, "{issuer}");
    }
    // A token that names another tenant than its issuer does.
    let other = signed(json!({ "iss": "https://login.example/ours/v2.0", "tid": "other" }));
    assert!(!is_signed(&jwks("https://login.example/{tenantid}/v2.0"), &other));
    assert!(!is_signed(&jwks("https://login.example/ours/v2.0"), &without));
    assert!(Jwt::parse(&ours).unwrap().algorithm() == Some(Algorithm::ES256));
}

#[test]
fn a_key_that_is_alone_and_has_no_name_is_meant_by_any() {
    let random = SystemRandom::new();
    let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
    let header = B64.encode(json!({ "alg": "ES256", "kid": "its-name" }).to_string());
    let message = format!("{header}.{}", B64.encode(json!({ "sub": "1" }).to_string()));
    let token = format!("{message}.{}", B64.encode(pair.sign(&random, message.as_bytes()).unwrap()));
    assert!(is_signed(&KeySet::of_public_key(&STANDARD.encode(der(pair.public_key()))).unwrap(), &token));

    let point = pair.public_key().as_ref();
    let jwk = |name: serde_json::Value| json!({ "kty": "EC", "crv": "P-256", "x": B64.encode(&point[1..33]), "y": B64.encode(&point[33..65]), "kid": name });
    let is_good = |keys: &[serde_json::Value]| {
        is_signed(&KeySet::parse(json!({ "keys": keys }).to_string().as_bytes()).unwrap(), &token)
    };
    assert!(is_good(&[jwk(json!(null))]) && is_good(&[jwk("its-name".into())]));
    // One of another name is not meant, nor one of several that have none.
    assert!(!is_good(&[jwk("another".into())]) && !is_good(&[jwk(json!(null)), jwk("another".into())]));
}
