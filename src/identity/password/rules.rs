//! What a new password must be (NIST SP 800-63B §5.1.1.2): long enough, and not what is tried first. No rules about kinds of
//! characters: they make passwords worse.
//!
//! Not here: passwords that are there already; whoever has one may use it.

use std::collections::BTreeSet;
use std::sync::LazyLock;

/// The commonest passwords with eight characters or more, in lower case, a line each: what leaked lists agree on.
static COMMONEST: LazyLock<BTreeSet<&str>> = LazyLock::new(|| include_str!("commonest.txt").lines().collect());

/// Why a password is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weakness {
    /// It has too few characters.
    Short,
    /// It is longer than what is hashed.
    Long,
    /// It is among those that are tried first.
    Common,
    /// It is the username or the address.
    Own,
}

/// What is wrong with a new password of somebody with this username and address, if anything is.
pub fn weakness(password: &str, min_length: usize, username: &str, email: &str) -> Option<Weakness> {
    if password.len() > super::MAX_PASSWORD_BYTES {
        return Some(Weakness::Long);
    }
    if password.chars().count() < min_length {
        return Some(Weakness::Short);
    }
    let lower = password.to_lowercase();
    let own = [username, email, email.split('@').next().unwrap_or_default()];
    if own.iter().any(|own| !own.is_empty() && lower == own.to_lowercase()) {
        return Some(Weakness::Own);
    }
    let first = lower.chars().next();
    let is_one_character = lower.chars().all(|c| Some(c) == first);
    (is_one_character || COMMONEST.contains(lower.as_str())).then_some(Weakness::Common)
}

#[cfg(test)]
mod tests {
    use super::{COMMONEST, Weakness, weakness};

    #[test]
    fn a_new_password_is_long_enough_and_nothing_that_is_tried_first() {
        let of_ada = |password: &str| weakness(password, 8, "Ada.Lovelace", "countess@example.com");
        assert_eq!(of_ada("seven77"), Some(Weakness::Short));
        assert_eq!(of_ada("ümläuté"), Some(Weakness::Short), "characters, not bytes");
        assert_eq!(of_ada(&"xy".repeat(2049)), Some(Weakness::Long));
        for common in ["password", "Password1", "12345678", "QWERTYUIOP", "zzzzzzzzzzzz", "iloveyou"] {
            assert_eq!(of_ada(common), Some(Weakness::Common), "{common}");
        }
        for own in ["ada.lovelace", "COUNTESS@example.com", "countess"] {
            assert_eq!(of_ada(own), Some(Weakness::Own), "{own}");
        }
        for good in ["correct horse", "eight 88", "ünïcödé!", "   spaces   "] {
            assert_eq!(of_ada(good), None, "{good}");
        }
        assert_eq!(weakness("eight 88", 12, "ada", ""), Some(Weakness::Short));
    }

    #[test]
    fn the_list_is_written_as_it_is_looked_up() {
        assert!(COMMONEST.len() > 150);
        for entry in COMMONEST.iter() {
            assert!(entry.chars().count() >= 8 && *entry == entry.to_lowercase(), "{entry}");
        }
    }
}
