//! Secrets as types: what is shown once, and what is stored.
//!
//! A token is a prefix that says what it is, 256 random bits in base64url, and a checksum, so that secret scanners can
//! find a leaked one and garbage is refused without asking the database. Stored is its SHA-256: a fast hash is right for
//! a secret that cannot be guessed.

use std::fmt;

use aws_lc_rs::{constant_time, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// What a secret is for; its prefix says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TokenKind {
    /// Given to a protected API.
    AccessToken,
    /// Given to the token endpoint, once.
    RefreshToken,
    /// An application's secret.
    ClientSecret,
    /// Given to the client through the browser, once.
    AuthorizationCode,
    /// A browser session's cookie.
    Session,
    /// Polls for a device.
    DeviceCode,
    /// Names a pushed request.
    RequestUri,
    /// Manages a registration (RFC 7592).
    RegistrationToken,
}

impl TokenKind {
    /// All of them.
    const ALL: [Self; 8] = [
        Self::AccessToken,
        Self::RefreshToken,
        Self::ClientSecret,
        Self::AuthorizationCode,
        Self::Session,
        Self::DeviceCode,
        Self::RequestUri,
        Self::RegistrationToken,
    ];

    /// The four characters before the random part.
    pub const fn prefix(self) -> &'static str {
        match self {
            Self::AccessToken => "vat_",
            Self::RefreshToken => "vrt_",
            Self::ClientSecret => "vcs_",
            Self::AuthorizationCode => "vac_",
            Self::Session => "vss_",
            Self::DeviceCode => "vdc_",
            Self::RequestUri => "vru_",
            Self::RegistrationToken => "vrg_",
        }
    }
}

const RANDOM_CHARS: usize = 43; // 32 bytes in base64url without padding
const CHECKSUM_CHARS: usize = 6; // 32 bits in base62
const BASE62: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// A secret in clear. It exists between its making and the answer that shows it; `Debug` hides it.
#[derive(Clone, PartialEq, Eq)]
pub struct PlainToken(String);

impl PlainToken {
    /// Makes a token of these 256 bits, which must be random or the output of a keyed hash.
    pub fn new(kind: TokenKind, bits: &[u8; 32]) -> Self {
        let mut text = String::with_capacity(4 + RANDOM_CHARS + CHECKSUM_CHARS);
        text.push_str(kind.prefix());
        URL_SAFE_NO_PAD.encode_string(bits, &mut text);
        let sum = checksum(&text);
        text.push_str(&sum);
        Self(text)
    }

    /// An access token that is a JWT (RFC 9068). What is stored in its place is the digest of its id, not [`PlainToken::digest`].
    pub fn of_jwt(jwt: String) -> Self {
        Self(jwt)
    }

    /// The presented token itself, to be given back as it came. `None`: not one that we could have made.
    pub fn from_presented(kind: TokenKind, presented: &str) -> Option<Self> {
        TokenDigest::of_presented(kind, presented).map(|_| Self(presented.to_owned()))
    }

    /// The text that goes to the client. Only an answer, or a command's output, has use for it.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// What is stored in its place.
    pub fn digest(&self) -> TokenDigest {
        TokenDigest::of(&self.0)
    }
}

impl fmt::Debug for PlainToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PlainToken(hidden)")
    }
}

/// SHA-256 of a token: what is stored and looked up.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct TokenDigest([u8; 32]);

impl TokenDigest {
    /// The digest of any secret, ours or not.
    pub fn of(secret: &str) -> Self {
        let mut bytes = [0; 32];
        bytes.copy_from_slice(digest::digest(&digest::SHA256, secret.as_bytes()).as_ref());
        Self(bytes)
    }

    /// The digest of a presented token, if it is one that we could have made: right prefix, length, alphabet and
    /// checksum. `None` needs no database to be refused.
    pub fn of_presented(kind: TokenKind, presented: &str) -> Option<Self> {
        (presented.starts_with(kind.prefix()) && is_ours(presented)).then(|| Self::of(presented))
    }

    /// The stored form.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Reads the stored form. `None`: not 32 bytes.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    /// Equality that takes the same time wherever the first difference is.
    pub fn matches(&self, other: &Self) -> bool {
        constant_time::verify_slices_are_equal(&self.0, &other.0).is_ok()
    }
}

impl fmt::Debug for TokenDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TokenDigest({:02x}{:02x}…)", self.0[0], self.0[1])
    }
}

/// Whether this text is a secret of ours, of any kind, whole and unchanged.
pub fn is_ours(text: &str) -> bool {
    text.len() == 4 + RANDOM_CHARS + CHECKSUM_CHARS
        && text.is_ascii()
        && TokenKind::ALL.iter().any(|kind| text.starts_with(kind.prefix()))
        && checksum(&text[..4 + RANDOM_CHARS]) == text[4 + RANDOM_CHARS..]
}

/// CRC-32 in base62. It finds typing and cutting, not forgery: the digest does that.
fn checksum(text: &str) -> String {
    let mut sum = crc32fast::hash(text.as_bytes());
    let mut chars = [b'0'; CHECKSUM_CHARS];
    for slot in chars.iter_mut().rev() {
        *slot = BASE62[(sum % 62) as usize];
        sum /= 62;
    }
    chars.iter().map(|&c| char::from(c)).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{PlainToken, TokenDigest, TokenKind, is_ours};

    proptest! {
        #[test]
        fn a_token_is_recognised_and_any_change_to_it_is_not(bits: [u8; 32], at in 0usize..53, with in "[A-Za-z0-9_-]") { // attack 85
            let token = PlainToken::new(TokenKind::AccessToken, &bits);
            prop_assert_eq!(TokenDigest::of_presented(TokenKind::AccessToken, token.reveal()), Some(token.digest()));
            prop_assert_eq!(TokenDigest::of_presented(TokenKind::RefreshToken, token.reveal()), None);

            let mut changed = token.reveal().to_owned();
            changed.replace_range(at..=at, &with);
            prop_assert_eq!(is_ours(&changed), changed == token.reveal());
            prop_assert!(!is_ours(&token.reveal()[..52]));
            let with_blank = [token.reveal(), " "].concat();
            prop_assert!(!is_ours(&with_blank));
        }

        #[test]
        fn no_text_is_too_odd_to_look_at(text in ".*") {
            is_ours(&text);
        }
    }

    #[test]
    fn debug_shows_no_secret() {
        let token = PlainToken::new(TokenKind::ClientSecret, &[7; 32]);

        assert!(!format!("{token:?} {:?}", token.digest()).contains(&token.reveal()[4..12]));
    }
}
