//! Scope: a set of words, compared without regard to order (RFC 6749 §3.3).

use std::fmt;

use crate::error::OAuthError;

/// OpenID Connect's own scopes (OpenID Connect Core §5.4, §11): always known, never given unasked.
pub const OPENID_SCOPES: [&str; 6] = ["openid", "profile", "email", "address", "phone", "offline_access"];

/// For a person's own applications and authorizations over JSON: always known, never given unasked.
pub const APPLICATIONS_SCOPE: &str = "applications";

/// To look at what is administered, over JSON: never given unasked, and only to an application that names it.
pub const ADMIN_READ_SCOPE: &str = "admin:read";

/// To change it too.
pub const ADMIN_WRITE_SCOPE: &str = "admin:write";

/// Whether this is one of the two.
pub fn is_admin_scope(name: &str) -> bool {
    name == ADMIN_READ_SCOPE || name == ADMIN_WRITE_SCOPE
}

/// A set of scope tokens, without repetition, in the order in which they were first named.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scope(Vec<String>);

impl Scope {
    /// Reads a `scope` parameter: tokens separated by blanks.
    ///
    /// # Errors
    /// `invalid_scope` for a character that RFC 6749 §3.3 does not allow; it is not echoed.
    pub fn parse(text: &str) -> Result<Self, OAuthError> {
        let allowed = |c: char| matches!(c, '\x21' | '\x23'..='\x5b' | '\x5d'..='\x7e');
        let mut scope = Self::default();
        for token in text.split(' ').filter(|token| !token.is_empty()) {
            if !token.chars().all(allowed) {
                return Err(OAuthError::invalid_scope("The scope holds a character that a scope cannot have."));
            }
            scope.insert(token);
        }
        Ok(scope)
    }

    /// Reads what we stored ourselves: as [`Scope::parse`], but takes every token as it is.
    pub fn from_stored(text: &str) -> Self {
        text.split(' ').filter(|token| !token.is_empty()).collect()
    }

    /// Whether no token is in it.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether this token is in it.
    pub fn contains(&self, token: &str) -> bool {
        self.0.iter().any(|own| own == token)
    }

    /// Whether everything in `self` is also in `other`.
    pub fn is_within(&self, other: &Self) -> bool {
        self.0.iter().all(|token| other.contains(token))
    }

    /// Whether both hold the same tokens.
    pub fn is_same_set(&self, other: &Self) -> bool {
        self.is_within(other) && other.is_within(self)
    }

    /// The tokens.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }

    fn insert(&mut self, token: &str) {
        if !self.contains(token) {
            self.0.push(token.to_owned());
        }
    }
}

impl<'a> FromIterator<&'a str> for Scope {
    fn from_iter<I: IntoIterator<Item = &'a str>>(tokens: I) -> Self {
        let mut scope = Self::default();
        tokens.into_iter().for_each(|token| scope.insert(token));
        scope
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join(" "))
    }
}

#[cfg(test)]
mod tests {
    use super::Scope;

    #[test]
    fn repetition_and_blanks_vanish_and_order_does_not_count() {
        let scope = Scope::parse(" write  read write ").unwrap();

        assert_eq!(scope.to_string(), "write read");
        assert!(scope.is_same_set(&Scope::parse("read write").unwrap()));
        assert!(Scope::parse("read").unwrap().is_within(&scope));
        assert!(!scope.is_within(&Scope::parse("read").unwrap()));
    }

    #[test]
    fn quotes_backslashes_and_control_characters_are_refused_and_not_echoed() {
        // attack 49
        for odd in ["re\"ad", "re\\ad", "re\u{7}ad", "read\nwrite", "lés"] {
            let error = Scope::parse(odd).unwrap_err();
            assert_eq!(error.code.as_str(), "invalid_scope");
            assert!(!error.description.contains(odd));
        }
    }
}
