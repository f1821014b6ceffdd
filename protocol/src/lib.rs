//! The rules of OAuth2 and OpenID Connect that need no I/O.
//!
//! Everything here is a function of its arguments: no clock, no randomness, no socket, no database. That is what lets
//! it be property-tested and fuzzed without a stand-in for anything.
//!
//! Not here: whoever calls the network (`vestibule::upstream`), whoever stores (`vestibule::store`).

pub mod authorization;
pub mod bearer;
pub mod cas;
pub mod client_credentials;
pub mod client_metadata;
pub mod dpop;
pub mod error;
pub mod grant_type;
pub mod instant;
pub mod jose;
pub mod jwk;
pub mod jwt;
pub mod key_set;
pub mod oauth1;
pub mod openid2;
pub mod params;
pub mod pkce;
pub mod profile;
pub mod provider;
pub mod redirect_uri;
pub mod scope;
pub mod seal;
pub mod secret;
pub mod webauthn;

pub use bearer::{Bearer, BearerError};
pub use client_credentials::{ClientAuthenticationMethod, ClientCredentials};
pub use error::{ErrorCode, OAuthError, Reason};
pub use grant_type::{ClientType, GrantType};
pub use params::Params;
pub use profile::Profile;
pub use scope::Scope;
pub use secret::{PlainToken, TokenDigest, TokenKind};

/// Bytes in hexadecimal, lower case.
pub fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digits =
        bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]).map(|digit| char::from(DIGITS[usize::from(digit)]));
    digits.collect()
}
