//! The public keys of configured certificates, and our own key.
//!
//! A certificate is a way to write down a key (SAML Metadata Interoperability Profile §2.6.1): neither its dates nor who
//! signed it say anything about whether the operator trusts it.

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rsa::{KeyPair, OaepPrivateDecryptingKey, PrivateDecryptingKey};
use aws_lc_rs::signature::{ParsedPublicKey, VerificationAlgorithm};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// A key that an identity provider signs with: a whole `SubjectPublicKeyInfo` (RFC 5280 §4.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct VerifyingKey(Vec<u8>);

impl VerifyingKey {
    /// The key of a certificate, in PEM or as the Base64 between its lines.
    pub(super) fn of_certificate(text: &str) -> Option<Self> {
        let der = decoded(text)?;
        let key = subject_public_key_info(&der)?.to_vec();
        Some(Self(key))
    }

    /// Whether this key made the signature. A key of another kind than the algorithm's made none.
    pub(super) fn verifies(
        &self,
        algorithm: &'static dyn VerificationAlgorithm,
        message: &[u8],
        signature: &[u8],
    ) -> bool {
        ParsedPublicKey::new(algorithm, &self.0).is_ok_and(|key| key.verify_sig(message, signature).is_ok())
    }
}

/// Our own key: it signs requests and opens encrypted assertions. No `Debug`.
pub(super) struct OwnKey {
    pub(super) signing: KeyPair,
    pub(super) decrypting: OaepPrivateDecryptingKey,
}

impl OwnKey {
    /// An RSA key in PEM or as the Base64 between its lines, PKCS#8 or PKCS#1.
    pub(super) fn read(text: &str) -> Option<Self> {
        let der = decoded(text)?;
        let signing = KeyPair::from_pkcs8(&der).or_else(|_| KeyPair::from_der(&der)).ok()?;
        let pkcs8 = AsDer::<Pkcs8V1Der<'_>>::as_der(&signing).ok()?;
        let decrypting = PrivateDecryptingKey::from_pkcs8(pkcs8.as_ref()).ok()?;
        Some(Self { signing, decrypting: OaepPrivateDecryptingKey::new(decrypting).ok()? })
    }
}

/// The Base64 of a certificate or key without PEM's lines and without blanks, as metadata has it.
pub(super) fn base64_of(text: &str) -> String {
    text.lines().filter(|line| !line.trim_start().starts_with("-----")).flat_map(str::split_whitespace).collect()
}

fn decoded(text: &str) -> Option<Vec<u8>> {
    STANDARD.decode(base64_of(text)).ok().filter(|der| !der.is_empty())
}

const SEQUENCE: u8 = 0x30;
const INTEGER: u8 = 0x02;
const VERSION: u8 = 0xa0;

/// `Certificate { TBSCertificate { [0] version?, serialNumber, signature, issuer, validity, subject, spki, … }, … }`
fn subject_public_key_info(certificate: &[u8]) -> Option<&[u8]> {
    let (certificate, after) = value(certificate, SEQUENCE)?;
    if !after.is_empty() {
        return None;
    }
    let (mut rest, _) = value(certificate, SEQUENCE)?;
    if rest.first() == Some(&VERSION) {
        (_, rest) = value(rest, VERSION)?;
    }
    for tag in [INTEGER, SEQUENCE, SEQUENCE, SEQUENCE, SEQUENCE] {
        (_, rest) = value(rest, tag)?;
    }
    let (_, after) = value(rest, SEQUENCE)?;
    rest.get(..rest.len() - after.len())
}

/// The value of a DER element with this tag, and what stands after it.
fn value(der: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (&[found, first], rest) = der.split_first_chunk::<2>()?;
    if found != tag {
        return None;
    }
    let (length, rest) = match first {
        0..=0x7f => (usize::from(first), rest),
        0x81..=0x83 => {
            let (bytes, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
            (bytes.iter().fold(0, |length, byte| length << 8 | usize::from(*byte)), rest)
        }
        _ => return None,
    };
    rest.split_at_checked(length)
}
