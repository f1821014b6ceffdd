//! OAuth 1.0a: what is signed, and how (RFC 5849 §3.4 to §3.6), and a token with its secret as one text.

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use rsa::PrivateKey;
use rsa::pkcs1::DecodeRsaPrivateKey as _;
use rsa::pkcs1v15::SigningKey;
use rsa::pkcs8::DecodePrivateKey as _;
use rsa::signature::{SignatureEncoding as _, Signer as _};
use sha1::Sha1;
use url::Url;

use crate::provider::SignatureMethod;

/// §3.6: everything but the unreserved characters.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Percent-encoding as §3.6 says, in upper case.
pub fn encoded(text: &str) -> String {
    utf8_percent_encode(text, ENCODED).to_string()
}

/// The signature base string (§3.4.1). `params` are those of the `Authorization` header, without `realm` and
/// `oauth_signature`, and those of a form body; those of the query are read from the URL.
pub fn base_string<'a>(method: &str, url: &Url, params: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    let of_query = url.query_pairs().map(|(name, value)| (encoded(&name), encoded(&value)));
    let given = params.into_iter().map(|(name, value)| (encoded(name), encoded(value)));
    // §3.4.1.3.2: by bytes, after the encoding.
    let mut all: Vec<_> = of_query.chain(given).collect();
    all.sort();
    let normalized: Vec<String> = all.into_iter().map(|(name, value)| format!("{name}={value}")).collect();
    // §3.4.1.2: a default port is not part of it, and `Url` has dropped it.
    let place = format!("{}{}", url.origin().ascii_serialization(), url.path());
    [method.to_ascii_uppercase(), encoded(&place), encoded(&normalized.join("&"))].join("&")
}

/// The signature of a base string (§3.4.2 to §3.4.4). For RSA-SHA1 the client secret is the private key in PEM; `None`: it is
/// no key.
pub fn signature(method: SignatureMethod, base: &str, client_secret: &str, token_secret: &str) -> Option<String> {
    let key = format!("{}&{}", encoded(client_secret), encoded(token_secret));
    let mac = |algorithm| {
        let tag = hmac::sign(&hmac::Key::new(algorithm, key.as_bytes()), base.as_bytes());
        Some(STANDARD.encode(tag.as_ref()))
    };
    match method {
        SignatureMethod::HmacSha1 => mac(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY),
        SignatureMethod::HmacSha256 => mac(hmac::HMAC_SHA256),
        SignatureMethod::Plaintext => Some(key),
        SignatureMethod::RsaSha1 => {
            // aws-lc-rs signs nothing with SHA-1; this crate's exponentiation takes the same time whatever the key.
            let signature = SigningKey::<Sha1>::new(private_key(client_secret)?).try_sign(base.as_bytes()).ok()?;
            Some(STANDARD.encode(signature.to_bytes()))
        }
    }
}

/// Whether a text is a private key to sign by RSA-SHA1 with: PKCS #8 or PKCS #1 in PEM.
pub fn is_private_key(pem: &str) -> bool {
    private_key(pem).is_some()
}

fn private_key(pem: &str) -> Option<PrivateKey> {
    PrivateKey::from_pkcs8_pem(pem).ok().or_else(|| PrivateKey::from_pkcs1_pem(pem).ok())
}

/// The value of the `Authorization` header (§3.5.1).
pub fn header<'a>(params: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    let params = params.into_iter().map(|(name, value)| format!("{}=\"{}\"", encoded(name), encoded(value)));
    format!("OAuth {}", params.collect::<Vec<_>>().join(", "))
}

/// A token and its secret, out of `oauth_token=…&oauth_token_secret=…`. `None`: it is not that, or one is there twice.
pub fn pair(text: &str) -> Option<(String, String)> {
    let (mut token, mut secret) = (None, None);
    for (name, value) in form_urlencoded::parse(text.as_bytes()) {
        let place = match &*name {
            "oauth_token" => &mut token,
            "oauth_token_secret" => &mut secret,
            _ => continue,
        };
        if place.replace(value.into_owned()).is_some() {
            return None;
        }
    }
    token.filter(|token| !token.is_empty()).zip(secret)
}

#[cfg(test)]
mod tests {
    use url::Url;

    use super::{base_string, encoded, header, pair, signature};
    use crate::provider::SignatureMethod;

    /// RFC 5849 §3.4.1.1, and the parameters of its §3.4.1.3.1.
    #[test]
    fn the_base_string_is_the_rfcs() {
        let url = Url::parse("http://EXAMPLE.COM:80/request?b5=%3D%253D&a3=a&c%40=&a2=r%20b").unwrap();
        let params = [
            ("oauth_consumer_key", "9djdj82h48djs9d2"),
            ("oauth_token", "kkk9d7dh3k39sjv7"),
            ("oauth_signature_method", "HMAC-SHA1"),
            ("oauth_timestamp", "137131201"),
            ("oauth_nonce", "7d8f3e4a"),
            ("c2", ""),
            ("a3", "2 q"),
        ];

        assert_eq!(
            base_string("post", &url, params),
            "POST&http%3A%2F%2Fexample.com%2Frequest&a2%3Dr%2520b%26a3%3D2%2520q%26a3%3Da%26b5%3D%253D%25253D%26c%2540%3D\
             %26c2%3D%26oauth_consumer_key%3D9djdj82h48djs9d2%26oauth_nonce%3D7d8f3e4a%26oauth_signature_method%3DHMAC-SHA1\
             %26oauth_timestamp%3D137131201%26oauth_token%3Dkkk9d7dh3k39sjv7"
        );
    }

    /// RFC 5849 §1.2, the last request.
    #[test]
    fn the_signature_is_the_rfcs() {
        let url = Url::parse("http://photos.example.net/photos?file=vacation.jpg&size=original").unwrap();
        let params = [
            ("oauth_consumer_key", "dpf43f3p2l4k3l03"),
            ("oauth_token", "nnch734d00sl2jdk"),
            ("oauth_signature_method", "HMAC-SHA1"),
            ("oauth_timestamp", "137131202"),
            ("oauth_nonce", "chapoH"),
        ];
        let base = base_string("GET", &url, params);
        let signed = |method| signature(method, &base, "kd94hf93k423kf44", "pfkkdhi9sl3r4s00");

        assert_eq!(signed(SignatureMethod::HmacSha1).as_deref(), Some("MdpQcU8iPSUjWoN/UDMsK2sui9I="));
        assert_eq!(signed(SignatureMethod::Plaintext).as_deref(), Some("kd94hf93k423kf44&pfkkdhi9sl3r4s00"));
        assert_ne!(signed(SignatureMethod::HmacSha256), signed(SignatureMethod::HmacSha1));
        assert_eq!(signed(SignatureMethod::RsaSha1), None, "no key");
    }

    #[test]
    fn what_is_signed_by_rsa_the_public_key_verifies() {
        use aws_lc_rs::encoding::AsDer as _;
        use aws_lc_rs::rsa::{KeyPair, KeySize};
        use aws_lc_rs::signature::{
            self, KeyPair as _, RSA_PKCS1_2048_8192_SHA1_FOR_LEGACY_USE_ONLY, UnparsedPublicKey,
        };
        use base64::Engine as _;
        use base64::engine::general_purpose::STANDARD;

        let pair = KeyPair::generate(KeySize::Rsa2048).unwrap();
        let der: aws_lc_rs::encoding::Pkcs8V1Der<'_> = pair.as_der().unwrap();
        let lines = STANDARD.encode(der.as_ref());
        let lines: Vec<&str> = lines.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
        let pem = format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", lines.join("\n"));

        assert!(super::is_private_key(&pem) && !super::is_private_key("secret"));
        let made = signature(SignatureMethod::RsaSha1, "base", &pem, "any").unwrap();

        let public = signature::RsaKeyPair::from_pkcs8(der.as_ref()).unwrap();
        let key = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA1_FOR_LEGACY_USE_ONLY, public.public_key().as_ref());
        key.verify(b"base", &STANDARD.decode(&made).unwrap()).unwrap();
        assert!(key.verify(b"other", &STANDARD.decode(&made).unwrap()).is_err());
    }

    #[test]
    fn a_header_cannot_be_broken_out_of() {
        assert_eq!(encoded("a b+ü\"\r\n~"), "a%20b%2B%C3%BC%22%0D%0A~");
        assert_eq!(
            header([("oauth_token", "a\", x=\"b"), ("b", "")]),
            "OAuth oauth_token=\"a%22%2C%20x%3D%22b\", b=\"\""
        );
    }

    #[test]
    fn a_token_comes_with_its_secret_once() {
        let found = |text| pair(text).map(|(token, secret)| format!("{token} {secret}"));

        assert_eq!(found("oauth_token=a%2Bb&oauth_token_secret=c%26").as_deref(), Some("a+b c&"));
        assert_eq!(found("oauth_token_secret=&oauth_token=a&more=1").as_deref(), Some("a "));
        for bad in [
            "",
            "a",
            "oauth_token=a",
            "oauth_token=&oauth_token_secret=b",
            "oauth_token=a&oauth_token=b&oauth_token_secret=c",
        ] {
            assert_eq!(found(bad), None, "{bad}");
        }
    }
}
