//! Sealing: what must be read again but may not lie in clear (RFC 5116 AEAD, AES-256-GCM).
//!
//! A sealed value is `version, key id, nonce, ciphertext and tag`. The key id tells which key opens it, so that a key
//! can be changed while old values are still there. The purpose is bound in: a value sealed for one column does not
//! open in another.

use std::fmt;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::{digest, hkdf, hmac};

const VERSION: u8 = 1;
const KEY_ID_LEN: usize = 8;

/// A 256-bit master key that never goes to the database, and what is derived from it.
pub struct SealKey {
    id: [u8; KEY_ID_LEN],
    aead: LessSafeKey,
    derive: hmac::Key,
}

/// A value could not be sealed or opened: another key, another purpose, or changed bytes.
#[derive(Debug, thiserror::Error)]
#[error("a sealed value does not open with the keys at hand")]
pub struct SealError;

struct Bytes32;

impl hkdf::KeyType for Bytes32 {
    fn len(&self) -> usize {
        32
    }
}

impl SealKey {
    /// Derives the working keys from a master key of 256 random bits (HKDF, RFC 5869).
    ///
    /// # Errors
    /// [`SealError`] if the cryptographic library refuses, which it does for no 32 bytes.
    pub fn new(master: &[u8; 32]) -> Result<Self, SealError> {
        let derived = |purpose: &[u8]| -> Result<[u8; 32], SealError> {
            let mut out = [0; 32];
            hkdf::Salt::new(hkdf::HKDF_SHA256, b"vestibule")
                .extract(master)
                .expand(&[purpose], Bytes32)
                .and_then(|okm| okm.fill(&mut out))
                .map_err(|_| SealError)?;
            Ok(out)
        };
        let mut id = [0; KEY_ID_LEN];
        id.copy_from_slice(&digest::digest(&digest::SHA256, &derived(b"key id")?).as_ref()[..KEY_ID_LEN]);
        let aead = UnboundKey::new(&AES_256_GCM, &derived(b"seal")?).map_err(|_| SealError)?;
        Ok(Self { id, aead: LessSafeKey::new(aead), derive: hmac::Key::new(hmac::HMAC_SHA256, &derived(b"derive")?) })
    }

    /// A name for this key that tells nothing about it: 16 hexadecimal digits.
    pub fn id(&self) -> String {
        crate::hex(&self.id)
    }

    /// Seals `plain` for `purpose` (a column, and what it belongs to). The nonce must be random and never repeat.
    ///
    /// # Errors
    /// [`SealError`] where `plain` is longer than the algorithm takes (64 GiB).
    pub fn seal(&self, purpose: &str, nonce: [u8; NONCE_LEN], plain: &[u8]) -> Result<Vec<u8>, SealError> {
        let mut sealed = Vec::with_capacity(1 + KEY_ID_LEN + NONCE_LEN + plain.len() + AES_256_GCM.tag_len());
        sealed.push(VERSION);
        sealed.extend_from_slice(&self.id);
        sealed.extend_from_slice(&nonce);
        let mut body = plain.to_vec();
        self.aead
            .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(purpose.as_bytes()), &mut body)
            .map_err(|_| SealError)?;
        sealed.extend_from_slice(&body);
        Ok(sealed)
    }

    /// Opens what [`SealKey::seal`] made for the same purpose.
    ///
    /// # Errors
    /// [`SealError`] for another key, another purpose or a changed value.
    pub fn open(&self, purpose: &str, sealed: &[u8]) -> Result<Vec<u8>, SealError> {
        let (&version, rest) = sealed.split_first().ok_or(SealError)?;
        let (id, rest) = rest.split_at_checked(KEY_ID_LEN).ok_or(SealError)?;
        let (nonce, body) = rest.split_at_checked(NONCE_LEN).ok_or(SealError)?;
        if version != VERSION || id != self.id {
            return Err(SealError);
        }
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| SealError)?;
        let mut body = body.to_vec();
        let plain = self.aead.open_in_place(nonce, Aad::from(purpose.as_bytes()), &mut body).map_err(|_| SealError)?;
        Ok(plain.to_vec())
    }

    /// 256 bits that follow from `purpose` and `input` for whoever has the key, and are random to everybody else
    /// (HMAC-SHA-256).
    pub fn derive(&self, purpose: &str, input: &[u8]) -> [u8; 32] {
        let mut context = hmac::Context::with_key(&self.derive);
        context.update(purpose.as_bytes());
        context.update(&[0]);
        context.update(input);
        let mut bits = [0; 32];
        bits.copy_from_slice(context.sign().as_ref());
        bits
    }
}

impl fmt::Debug for SealKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SealKey({})", self.id())
    }
}

#[cfg(test)]
mod tests {
    use super::SealKey;

    #[test]
    fn a_sealed_value_opens_only_with_its_key_and_purpose_and_unchanged() {
        let key = SealKey::new(&[1; 32]).unwrap();
        let sealed = key.seal("association 1", [9; 12], b"provider token").unwrap();

        assert_eq!(key.open("association 1", &sealed).unwrap(), b"provider token");
        assert!(key.open("association 2", &sealed).is_err());
        assert!(SealKey::new(&[2; 32]).unwrap().open("association 1", &sealed).is_err());
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert!(key.open("association 1", &changed).is_err(), "byte {at}");
            assert!(key.open("association 1", &sealed[..at]).is_err(), "cut at {at}");
        }
    }
}
