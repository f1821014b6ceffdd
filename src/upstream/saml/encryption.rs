//! Encrypted assertions (SAML Core §2.3.4, XML Encryption 1.1): RSA-OAEP around a key of AES-GCM, and nothing else.
//!
//! AES-CBC and RSA 1.5 are not taken: who may send changed copies can read what they hide (Jager and Somorovsky, 2011).

use aws_lc_rs::aead::{AES_128_GCM, AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::rsa::{OAEP_SHA1_MGF1SHA1, OAEP_SHA256_MGF1SHA256, OaepAlgorithm};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use roxmltree::Node;

use super::certificate::OwnKey;
use super::refusal::Refusal;
use super::xml::{self, ENCRYPTION, SIGNATURE};

const ENCRYPTION_11: &str = "http://www.w3.org/2009/xmlenc11#";

/// The assertion inside of an `EncryptedAssertion`.
pub(super) fn decrypted(encrypted: Node<'_, '_>, key: &OwnKey) -> Result<String, Refusal> {
    let data = xml::the(encrypted, ENCRYPTION, "EncryptedData")?;
    let algorithm = match method(data)? {
        (_, "http://www.w3.org/2009/xmlenc11#aes128-gcm") => &AES_128_GCM,
        (_, "http://www.w3.org/2009/xmlenc11#aes256-gcm") => &AES_256_GCM,
        _ => return Err(Refusal::EncryptionForm("let the identity provider use AES-GCM, which nobody can change")),
    };
    let mut content = cipher_value(data)?;

    // The wrapped key stands in the data's own `KeyInfo`, or beside the data; there may be one for each recipient.
    let info = xml::child(data, SIGNATURE, "KeyInfo")?;
    let within = info.into_iter().flat_map(|info| xml::children(info, ENCRYPTION, "EncryptedKey"));
    for wrapped in within.chain(xml::children(encrypted, ENCRYPTION, "EncryptedKey")).take(4) {
        let padding = padding(wrapped)?;
        let cipher = cipher_value(wrapped)?;
        let mut room = vec![0; key.decrypting.min_output_size()];
        let Ok(unwrapped) = key.decrypting.decrypt(padding, &cipher, &mut room, None) else { continue };
        let opening = UnboundKey::new(algorithm, unwrapped).map_err(|_| Refusal::NotDecrypted)?;
        let (nonce, sealed) = content.split_at_mut_checked(NONCE_LEN).ok_or(Refusal::NotDecrypted)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| Refusal::NotDecrypted)?;
        let opened = LessSafeKey::new(opening).open_in_place(nonce, Aad::empty(), sealed);
        let opened = opened.map_err(|_| Refusal::NotDecrypted)?;
        return String::from_utf8(opened.to_vec()).map_err(|_| Refusal::NotDecrypted);
    }
    Err(Refusal::NotDecrypted)
}

fn method<'a, 'i>(node: Node<'a, 'i>) -> Result<(Node<'a, 'i>, &'a str), Refusal> {
    let method = xml::the(node, ENCRYPTION, "EncryptionMethod")?;
    Ok((method, xml::attribute(method, "Algorithm")?))
}

fn padding(wrapped: Node<'_, '_>) -> Result<&'static OaepAlgorithm, Refusal> {
    let (method, algorithm) = method(wrapped)?;
    let digest = xml::child(method, SIGNATURE, "DigestMethod")?.and_then(|node| node.attribute("Algorithm"));
    let mask = xml::child(method, ENCRYPTION_11, "MGF")?.and_then(|node| node.attribute("Algorithm"));
    const SHA1: &str = "http://www.w3.org/2000/09/xmldsig#sha1";
    const SHA256: &str = "http://www.w3.org/2001/04/xmlenc#sha256";
    // SHA-1 is no weakness here: OAEP needs no collision resistance (RFC 8017 §7.1).
    match (algorithm, digest.unwrap_or(SHA1), mask) {
        ("http://www.w3.org/2001/04/xmlenc#rsa-oaep-mgf1p", SHA1, None)
        | ("http://www.w3.org/2009/xmlenc11#rsa-oaep", SHA1, None | Some("http://www.w3.org/2009/xmlenc11#mgf1sha1")) => {
            Ok(&OAEP_SHA1_MGF1SHA1)
        }
        ("http://www.w3.org/2009/xmlenc11#rsa-oaep", SHA256, Some("http://www.w3.org/2009/xmlenc11#mgf1sha256")) => {
            Ok(&OAEP_SHA256_MGF1SHA256)
        }
        _ => Err(Refusal::EncryptionForm("its key must be wrapped by RSA-OAEP, with SHA-1 or SHA-256 in both places")),
    }
}

fn cipher_value(node: Node<'_, '_>) -> Result<Vec<u8>, Refusal> {
    let value = xml::the(xml::the(node, ENCRYPTION, "CipherData")?, ENCRYPTION, "CipherValue")?;
    let compact: String = xml::text(value, "CipherValue")?.split_ascii_whitespace().collect();
    STANDARD.decode(compact).map_err(|_| Refusal::NotDecrypted)
}
