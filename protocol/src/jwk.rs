//! A public key as JSON (RFC 7517) and its thumbprint (RFC 7638).

use aws_lc_rs::digest;
use serde_json::Value;

use crate::jwt::encode_part;

/// SHA-256 of the key's required members in their fixed order (RFC 7638 §3), in base64url. `None`: not a public key of a
/// kind that we know.
pub fn thumbprint(jwk: &Value) -> Option<String> {
    let text = |name: &str| jwk.get(name).and_then(Value::as_str).filter(|text| is_plain(text));
    let canonical = match text("kty")? {
        "RSA" => format!(r#"{{"e":"{}","kty":"RSA","n":"{}"}}"#, text("e")?, text("n")?),
        "EC" => format!(r#"{{"crv":"{}","kty":"EC","x":"{}","y":"{}"}}"#, text("crv")?, text("x")?, text("y")?),
        "OKP" => format!(r#"{{"crv":"{}","kty":"OKP","x":"{}"}}"#, text("crv")?, text("x")?),
        _ => return None,
    };
    Some(encode_part(digest::digest(&digest::SHA256, canonical.as_bytes()).as_ref()))
}

/// Whether a member of a private or symmetric key is there: such a key is nobody's to show.
pub fn is_private(jwk: &Value) -> bool {
    ["d", "p", "q", "dp", "dq", "qi", "oth", "k"].iter().any(|member| jwk.get(member).is_some())
}

/// The values of a key's members need no escaping in JSON.
fn is_plain(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{is_private, thumbprint};

    #[test]
    fn the_thumbprint_is_the_one_of_the_rfc() {
        // RFC 7638 §3.1
        let jwk = json!({ "kty": "RSA", "n": "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw", "e": "AQAB", "alg": "RS256", "kid": "2011-04-29" });

        assert_eq!(thumbprint(&jwk).as_deref(), Some("NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"));
        assert_eq!(thumbprint(&json!({ "kty": "oct", "k": "AAAA" })), None);
        assert_eq!(thumbprint(&json!({ "kty": "OKP", "crv": "Ed25519", "x": "a\"b" })), None);
        assert!(is_private(&json!({ "kty": "EC", "d": "x" })) && !is_private(&jwk));
    }
}
