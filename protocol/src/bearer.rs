//! `Authorization: Bearer <token>` and `Bearer <backend> <backend_token>` (RFC 6750 §2.1, and the Django stack's own).
//!
//! Not here: whether the token is good (`vestibule::authenticate`).

use std::fmt;

/// What an API was sent. `Debug` shows no token.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Bearer<'a> {
    /// A token of our own.
    Own(&'a str),
    /// A token of our own that is bound to a key (RFC 9449 §7.1).
    Dpop(&'a str),
    /// A provider's token.
    Backend {
        /// The provider's name.
        backend: &'a str,
        /// Its token.
        token: &'a str,
    },
}

/// A header that says nothing we can look up; each shape has its sentence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BearerError {
    /// No header at all.
    #[error("Authentication credentials were not provided: send `Authorization: Bearer <token>`.")]
    Missing,
    /// Another scheme.
    #[error("The Authorization header is not Bearer: send `Authorization: Bearer <token>`.")]
    OtherScheme,
    /// The scheme alone.
    #[error("There is no token after Bearer.")]
    NoToken,
    /// More parts than a backend and its token.
    #[error("The Authorization header has too many parts: send `Bearer <token>` or `Bearer <backend> <token>`.")]
    TooManyParts,
    /// Bytes that no token has.
    #[error("The Authorization header holds characters that no token has.")]
    Malformed,
}

impl<'a> Bearer<'a> {
    /// Reads the header's value. The scheme's letter case and the amount of blanks do not count.
    ///
    /// # Errors
    /// A [`BearerError`] that says what is wrong with its shape.
    pub fn parse(header: Option<&'a [u8]>) -> Result<Self, BearerError> {
        let text = std::str::from_utf8(header.ok_or(BearerError::Missing)?).map_err(|_| BearerError::Malformed)?;
        let mut parts = text.split([' ', '\t']).filter(|part| !part.is_empty());
        let scheme = parts.next().unwrap_or_default();
        let is_dpop = scheme.eq_ignore_ascii_case("dpop");
        if !is_dpop && !scheme.eq_ignore_ascii_case("bearer") {
            return Err(BearerError::OtherScheme);
        }
        if !text.bytes().all(|byte| byte == b'\t' || (b' '..=b'~').contains(&byte)) {
            return Err(BearerError::Malformed);
        }
        match (parts.next(), parts.next(), parts.next()) {
            (None, ..) => Err(BearerError::NoToken),
            (Some(token), None, _) if is_dpop => Ok(Self::Dpop(token)),
            (Some(token), None, _) => Ok(Self::Own(token)),
            _ if is_dpop => Err(BearerError::TooManyParts),
            (Some(backend), Some(token), None) => Ok(Self::Backend { backend, token }),
            _ => Err(BearerError::TooManyParts),
        }
    }
}

impl fmt::Debug for Bearer<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dpop(_) => f.write_str("Dpop(hidden)"),
            Self::Own(_) => f.write_str("Own(hidden)"),
            Self::Backend { backend, .. } => write!(f, "Backend({backend:?}, hidden)"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Bearer, BearerError};

    fn parse(text: &str) -> Result<Bearer<'_>, BearerError> {
        Bearer::parse(Some(text.as_bytes()))
    }

    #[test]
    fn letter_case_and_blanks_do_not_count() {
        // attack 151
        for header in ["Bearer x", "bearer x", "BEARER x", "Bearer  x", "Bearer\tx", "Bearer x "] {
            assert_eq!(parse(header), Ok(Bearer::Own("x")), "{header:?}");
        }
        assert_eq!(parse("Bearer github x"), Ok(Bearer::Backend { backend: "github", token: "x" }));
    }

    #[test]
    fn every_malformed_shape_has_its_own_error() {
        // attack 153
        assert_eq!(Bearer::parse(None), Err(BearerError::Missing));
        assert_eq!(parse("BearerX x"), Err(BearerError::OtherScheme));
        assert_eq!(parse("Basic x"), Err(BearerError::OtherScheme));
        assert_eq!(parse("Bearer"), Err(BearerError::NoToken));
        assert_eq!(parse("Bearer  "), Err(BearerError::NoToken));
        assert_eq!(parse("Bearer a b c"), Err(BearerError::TooManyParts));
        assert_eq!(parse("Bearer tök"), Err(BearerError::Malformed));
        assert_eq!(Bearer::parse(Some(b"Bearer \xff")), Err(BearerError::Malformed));
    }
}
