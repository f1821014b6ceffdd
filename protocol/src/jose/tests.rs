//! Negative tests for ID tokens: each starts from a good token and spoils one thing.

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _};
use aws_lc_rs::{hmac, rand};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as B64;
use serde_json::{Value, json};

use super::*;
use crate::key_set::DEFAULT_ALGORITHMS;

const NOW: i64 = 1_800_000_000;
const ISSUER: &str = "https://login.example.com";

struct Signer(EcdsaKeyPair);

impl Signer {
    fn new() -> Self {
        Self(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap())
    }

    fn jwk(&self, kid: &str) -> Value {
        let point = self.0.public_key().as_ref();
        json!({"kty": "EC", "crv": "P-256", "kid": kid, "use": "sig", "alg": "ES256",
               "x": B64.encode(&point[1..33]), "y": B64.encode(&point[33..])})
    }

    fn sign(&self, header: &Value, claims: &Value) -> String {
        let message = message(header, claims);
        let signature = self.0.sign(&rand::SystemRandom::new(), message.as_bytes()).unwrap();
        format!("{message}.{}", B64.encode(signature))
    }
}

fn message(header: &Value, claims: &Value) -> String {
    format!("{}.{}", B64.encode(header.to_string()), B64.encode(claims.to_string()))
}

fn hs256(key: &[u8], header: &Value, claims: &Value) -> String {
    let message = message(header, claims);
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), message.as_bytes());
    format!("{message}.{}", B64.encode(tag))
}

fn keys(jwks: &[Value]) -> KeySet {
    KeySet::parse(json!({ "keys": jwks }).to_string().as_bytes()).unwrap()
}

struct Case {
    signer: Signer,
    keys: KeySet,
    issuers: Vec<String>,
    client_ids: Vec<String>,
    algorithms: Vec<Algorithm>,
}

impl Case {
    fn new() -> Self {
        let signer = Signer::new();
        Self {
            keys: keys(&[signer.jwk("k1")]),
            signer,
            issuers: vec![ISSUER.into()],
            client_ids: vec!["web".into(), "ios".into()],
            algorithms: DEFAULT_ALGORITHMS.to_vec(),
        }
    }

    fn expected(&self) -> Expected<'_> {
        Expected {
            issuers: &self.issuers,
            client_ids: &self.client_ids,
            algorithms: &self.algorithms,
            client_secret: Some("our client secret"),
            nonce: None,
            nonce_hashed: false,
            now: NOW,
        }
    }

    fn verify(&self, token: &str) -> Result<VerifiedIdToken, IdTokenError> {
        self.verify_as(token, &self.expected())
    }

    fn verify_as(&self, token: &str, expected: &Expected<'_>) -> Result<VerifiedIdToken, IdTokenError> {
        UnverifiedIdToken::parse(token, expected)?.verify(&self.keys, expected)
    }

    /// A good token with these claims changed; null takes one out.
    fn with(&self, changes: &Value) -> Result<VerifiedIdToken, IdTokenError> {
        self.verify(&self.signer.sign(&header(), &claims(changes)))
    }
}

fn header() -> Value {
    json!({"alg": "ES256", "kid": "k1", "typ": "JWT"})
}

fn claims(changes: &Value) -> Value {
    let mut all = json!({"iss": ISSUER, "sub": "1", "aud": "web", "exp": NOW + 300, "iat": NOW});
    for (name, value) in changes.as_object().unwrap() {
        match value {
            Value::Null => drop(all.as_object_mut().unwrap().remove(name)),
            value => all[name] = value.clone(),
        }
    }
    all
}

#[test]
fn a_good_token_gives_its_claims() {
    let good = Case::new().with(&json!({"email": "ada@example.com"})).unwrap();

    assert_eq!(good.claims["email"], "ada@example.com");
    assert_eq!(good.expires_at, NOW + 300);
}

#[test]
fn the_audience_is_one_of_our_client_ids_letter_by_letter() {
    let case = Case::new();

    for ours in [json!("web"), json!("ios"), json!(["web"]), json!(["other", "ios"])] {
        assert!(case.with(&json!({ "aud": ours })).is_ok(), "{ours}"); // attack 93
    }
    for foreign in [json!("other"), json!("Web"), json!("web "), json!(["other"]), json!([]), json!([["web"]])] {
        assert_eq!(case.with(&json!({ "aud": foreign })), Err(IdTokenError::ForeignAudience), "{foreign}"); // attack 91
    }
    for malformed in [json!(1), json!({"web": 1}), Value::Null] {
        assert_eq!(case.with(&json!({ "aud": malformed })), Err(IdTokenError::Malformed("aud")), "{malformed}");
    }
}

#[test]
fn with_several_audiences_the_authorized_party_is_ours() {
    let case = Case::new();

    assert!(case.with(&json!({"aud": ["web", "other"], "azp": "web"})).is_ok());
    assert!(case.with(&json!({"aud": "web", "azp": "android"})).is_ok());
    for azp in [json!("other"), json!(["web"]), json!(1)] {
        assert_eq!(case.with(&json!({"aud": ["web", "other"], "azp": azp})), Err(IdTokenError::ForeignAudience));
    }
}

#[test]
fn the_issuer_is_compared_not_matched() {
    let case = Case::new();

    for other in [
        "https://login.example.com/",
        "http://login.example.com",
        "https://login.example.com.evil.com",
        "https://LOGIN.example.com",
        "login.example.com",
        "",
    ] {
        assert_eq!(case.with(&json!({ "iss": other })), Err(IdTokenError::WrongIssuer), "{other}"); // attack 95
    }
    for malformed in [json!([ISSUER]), Value::Null] {
        assert_eq!(case.with(&json!({ "iss": malformed })), Err(IdTokenError::Malformed("iss")));
    }
}

#[test]
fn an_unsigned_token_is_refused_however_it_is_written() {
    // attack 97
    let case = Case::new();
    for alg in [json!("none"), json!("None"), json!("nOnE"), json!(""), json!(null), json!(["ES256"]), json!("ES256K")]
    {
        let message = message(&json!({"alg": alg, "kid": "k1"}), &claims(&json!({})));
        for token in [format!("{message}."), case.signer.sign(&json!({"alg": alg}), &claims(&json!({})))] {
            assert_eq!(case.verify(&token), Err(IdTokenError::AlgorithmRefused), "{alg}");
        }
    }
    let message = message(&header(), &claims(&json!({})));
    assert_eq!(case.verify(&format!("{message}.")), Err(IdTokenError::BadSignature));
    assert_eq!(case.verify(&message), Err(IdTokenError::NotAJwt));
    assert_eq!(case.verify(&format!("{message}.a.b.c")), Err(IdTokenError::NotAJwt));
}

#[test]
fn hs256_counts_only_where_the_entry_lists_it_and_then_with_the_client_secret() {
    // attack 99
    let mut case = Case::new();
    let public = case.signer.0.public_key().as_ref().to_vec();
    let good = claims(&json!({}));
    for key in [&b""[..], b"our client secret", &public] {
        for kid in [json!("k1"), Value::Null] {
            let mut header = json!({"alg": "HS256"});
            if !kid.is_null() {
                header["kid"] = kid;
            }
            assert_eq!(case.verify(&hs256(key, &header, &good)), Err(IdTokenError::AlgorithmRefused));
        }
    }

    case.algorithms = vec![Algorithm::HS256];

    let header = json!({"alg": "HS256", "kid": "k1"});
    assert!(case.verify(&hs256(b"our client secret", &header, &good)).is_ok());
    assert_eq!(case.verify(&hs256(&public, &header, &good)), Err(IdTokenError::BadSignature));
    for no_secret in [None, Some("")] {
        let expected = Expected { client_secret: no_secret, ..case.expected() };
        assert!(case.verify_as(&hs256(b"", &header, &good), &expected).is_err());
    }
}

#[test]
fn a_token_ends_and_begins_and_says_so_in_numbers() {
    // attack 101
    let case = Case::new();

    assert!(case.with(&json!({"exp": NOW - LEEWAY + 1})).is_ok());
    assert!(case.with(&json!({"exp": NOW as f64 + 0.5})).is_ok());
    assert_eq!(case.with(&json!({"exp": NOW - LEEWAY})), Err(IdTokenError::Expired));
    assert_eq!(case.with(&json!({"exp": -1e300})), Err(IdTokenError::Expired));
    for exp in [Value::Null, json!((NOW + 300).to_string()), json!([NOW + 300]), json!(true)] {
        assert_eq!(case.with(&json!({ "exp": exp })), Err(IdTokenError::Malformed("exp")), "{exp}");
    }
    for name in ["nbf", "iat"] {
        assert!(case.with(&json!({ name: NOW + LEEWAY })).is_ok());
        assert_eq!(case.with(&json!({ name: NOW + LEEWAY + 1 })), Err(IdTokenError::NotYetValid));
        assert!(matches!(case.with(&json!({ name: "now" })), Err(IdTokenError::Malformed(_))));
    }
}

#[test]
fn an_unknown_key_is_told_apart_from_a_wrong_signature() {
    // attack 103
    let case = Case::new();
    let kid = |kid: &str| case.signer.sign(&json!({"alg": "ES256", "kid": kid}), &claims(&json!({})));

    assert_eq!(case.verify(&kid("k2")), Err(IdTokenError::UnknownKey { kid: Some("k2".into()) }));
    assert_eq!(case.verify(&Signer::new().sign(&header(), &claims(&json!({})))), Err(IdTokenError::BadSignature));
}

#[test]
fn without_a_kid_exactly_one_key_must_fit() {
    let mut case = Case::new();
    let token = case.signer.sign(&json!({"alg": "ES256"}), &claims(&json!({})));
    let rsa = json!({"kty": "RSA", "kid": "r", "n": B64.encode([0xc5; 256]), "e": "AQAB"});

    case.keys = keys(&[rsa, case.signer.jwk("k1")]);
    assert!(case.verify(&token).is_ok());

    case.keys = keys(&[case.signer.jwk("k1"), Signer::new().jwk("k2")]);
    assert_eq!(case.verify(&token), Err(IdTokenError::UnknownKey { kid: None }));
}

#[test]
fn keys_that_the_header_brings_along_do_not_count() {
    // attack 105
    let case = Case::new();
    let attacker = Signer::new();
    for (member, value) in [
        ("jwk", attacker.jwk("k1")),
        ("jku", json!("https://evil.example/jwks")),
        ("x5u", json!("https://evil.example/cert")),
        ("x5c", json!(["MIIB"])),
    ] {
        let header = json!({"alg": "ES256", "kid": "k1", member: value});
        assert_eq!(
            case.verify(&attacker.sign(&header, &claims(&json!({})))),
            Err(IdTokenError::BadSignature),
            "{member}"
        );
    }
    let critical = json!({"alg": "ES256", "kid": "k1", "crit": ["exp"]});
    assert_eq!(case.verify(&case.signer.sign(&critical, &claims(&json!({})))), Err(IdTokenError::Malformed("crit")));
}

#[test]
fn the_nonce_of_the_request_is_the_nonce_of_the_token() {
    // attack 107
    let case = Case::new();
    let token = |nonce: Value| case.signer.sign(&header(), &claims(&json!({ "nonce": nonce })));
    let asked = Expected { nonce: Some("n-1"), ..case.expected() };

    assert!(case.verify_as(&token(json!("n-1")), &asked).is_ok());
    for other in [json!("n-2"), json!(""), json!(1), Value::Null] {
        assert_eq!(case.verify_as(&token(other), &asked), Err(IdTokenError::NonceMismatch));
    }
    assert!(case.verify(&token(json!("n-1"))).is_ok(), "only the client knows the nonce, and it did not ask");

    let hashed = Expected { nonce_hashed: true, ..asked };
    assert!(case.verify_as(&token(json!(sha256_hex("n-1"))), &hashed).is_ok());
    assert_eq!(case.verify_as(&token(json!("n-1")), &hashed), Err(IdTokenError::NonceMismatch));
}

#[test]
fn ed25519_verifies_and_a_key_is_for_its_own_algorithm_only() {
    let pair = Ed25519KeyPair::generate().unwrap();
    let message = message(&json!({"alg": "EdDSA", "kid": "e"}), &claims(&json!({})));
    let token = format!("{message}.{}", B64.encode(pair.sign(message.as_bytes())));
    let mut case = Case::new();
    let jwk = json!({"kty": "OKP", "crv": "Ed25519", "kid": "e", "x": B64.encode(pair.public_key())});

    case.keys = keys(std::slice::from_ref(&jwk));
    assert!(case.verify(&token).is_ok());

    case.algorithms = vec![Algorithm::RS256];
    assert_eq!(case.verify(&token), Err(IdTokenError::AlgorithmRefused));

    let mut for_another = case.signer.jwk("k1");
    for_another["alg"] = json!("ES384");
    case.keys = keys(&[for_another, jwk]);
    case.algorithms = DEFAULT_ALGORITHMS.to_vec();
    assert!(matches!(case.with(&json!({})), Err(IdTokenError::UnknownKey { .. })));
}

#[test]
fn a_key_set_without_a_usable_key_is_none() {
    for bad in [
        "",
        "<html>",
        "[]",
        "{}",
        r#"{"keys": []}"#,
        r#"{"keys": [{"kty": "oct", "k": "AAAA"}, {"kty": "RSA"}, 1, {"kty": "EC", "crv": "secp256k1", "x": "", "y": ""}]}"#,
        r#"{"keys": [{"kty": "OKP", "crv": "Ed25519", "use": "enc", "x": "AAAA"}]}"#,
    ] {
        assert!(KeySet::parse(bad.as_bytes()).is_err(), "{bad}");
    }
}

#[test]
fn a_jwt_is_recognised_even_when_it_is_broken() {
    let token = message(&json!({"alg": "none"}), &json!({}));
    assert!(
        looks_like_jwt(&token) && looks_like_jwt(&format!("{token}.")) && looks_like_jwt(&format!("{token}.a.b.c"))
    );
    for other in ["", ".", "ya29.a0AfH6SMBx", "gho_16C7e42F292c6912E7710c838347Ae178B4a", "e30.e30.", "EAAG", "äöü.x"]
    {
        assert!(!looks_like_jwt(other), "{other}");
    }
    for typ in ["at+jwt", "AT+JWT", "application/at+jwt"] {
        assert!(is_access_token(&message(&json!({"alg": "ES256", "typ": typ}), &json!({}))));
    }
    assert!(!is_access_token(&token));
}

#[test]
fn an_access_token_is_the_one_of_the_id_token() {
    let verified = |algorithm, at_hash: Option<Value>| {
        let claims = at_hash.map(|hash| serde_json::Map::from_iter([("at_hash".to_owned(), hash)]));
        VerifiedIdToken { claims: claims.unwrap_or_default(), expires_at: NOW, algorithm }
    };
    // OpenID Connect Core, appendix A.4: the access token and the `at_hash` that belongs to it.
    let (token, hash) = ("jHkWEdUXMU1BwAsC4vtUsZwnNvTIxEl0z9K3vx5KF0Y", "77QmUPtjPfzWtF2AnpK9RQ");
    assert!(verified(Algorithm::RS256, Some(hash.into())).goes_with(token));
    assert!(verified(Algorithm::RS256, None).goes_with(token));
    for (algorithm, hash) in
        [(Algorithm::RS256, json!("")), (Algorithm::RS256, json!(7)), (Algorithm::ES384, json!(hash))]
    {
        assert!(!verified(algorithm, Some(hash)).goes_with(token));
    }
    assert!(!verified(Algorithm::RS256, Some(hash.into())).goes_with("another"));
    // python3: base64.urlsafe_b64encode(hashlib.new(H, b"token").digest()[:N])
    for (algorithm, hash) in [
        (Algorithm::ES384, "Cm6hANx1qgPTYYSWu3KFaieklEAsPkh3"),
        (Algorithm::EdDSA, "ImXaughy_DrvFp0Hk2XlkPDLyO1GwqeYTIpkKAPP2Ww"),
    ] {
        assert!(verified(algorithm, Some(hash.into())).goes_with("token"));
    }
}
