//! The username of a new person, by python-social-auth's rules: what the provider calls them, cut, cleaned, made a slug,
//! and with random digits behind it while somebody else has it.

use unicode_normalization::UnicodeNormalization as _;
use vestibule_protocol::{Profile, hex};

use crate::context::random;
use crate::settings::Policy;

/// Usernames to try one after the other, until one is nobody's.
pub struct Candidates<'a> {
    policy: &'a Policy,
    wanted: String,
    tried: usize,
}

impl<'a> Candidates<'a> {
    /// For this person: their address where that is the rule, else the provider's name for them, else what stands before
    /// the `@`, else nothing but digits.
    pub fn new(profile: &Profile, policy: &'a Policy) -> Self {
        let is_there = |name: &&str| !name.is_empty();
        let email = profile.email.as_deref().filter(is_there);
        let local_part = || email.and_then(|email| email.split('@').next()).filter(is_there);
        let wanted = email
            .filter(|_| policy.username_is_full_email)
            .or_else(|| profile.username.as_deref().filter(is_there))
            .or_else(local_part);
        Self { policy, wanted: wanted.map_or_else(digits, str::to_owned), tried: 0 }
    }

    fn next_with(&mut self, digits: &str) -> String {
        self.tried += 1;
        if self.tried == 1 {
            return fitted(&self.wanted, self.policy);
        }
        // Where few digits keep meeting taken names, more do not.
        let count = if self.tried > 10 { digits.len() } else { self.policy.uuid_length };
        let kept: String = self.wanted.chars().take(self.policy.username_max_length.saturating_sub(count)).collect();
        fitted(&[kept.as_str(), digits.get(..count).unwrap_or(digits)].concat(), self.policy)
    }
}

impl Iterator for Candidates<'_> {
    type Item = String;

    /// Never ends, and never gives an empty one.
    fn next(&mut self) -> Option<String> {
        loop {
            let candidate = self.next_with(&digits());
            if !candidate.is_empty() {
                return Some(candidate);
            }
        }
    }
}

/// 32 random digits, as a UUID has them.
fn digits() -> String {
    hex(&random::<16>())
}

/// A name as it may stand in an account. Empty where nothing is left of it.
pub fn fitted(name: &str, policy: &Policy) -> String {
    // Never part of a name, whatever the operator has turned off.
    let cut = name.chars().filter(|c| !c.is_control()).take(policy.username_max_length);
    let mut name: String = match policy.clean_usernames {
        true => cut.filter(|c| c.is_ascii_alphanumeric() || "_.@+-".contains(*c)).collect(),
        false => cut.collect(),
    };
    if policy.slugify_usernames {
        name = slug(&name);
    }
    if policy.lowercase_usernames {
        name = name.to_lowercase();
    }
    // What is made smaller or decomposed may be longer than before.
    name.chars().take(policy.username_max_length).collect()
}

/// Django's slugs of before 3.2, which python-social-auth makes: ASCII, lower case, and one hyphen for blanks and hyphens.
fn slug(text: &str) -> String {
    let kept: String = text
        .nfkd()
        .filter(|c| c.is_ascii_alphanumeric() || *c == '_' || *c == '-' || c.is_ascii_whitespace())
        .collect();
    let mut slug = String::new();
    for c in kept.trim().to_ascii_lowercase().chars() {
        match c {
            '-' | ' ' | '\t' if slug.ends_with('-') => {}
            '-' | ' ' | '\t' => slug.push('-'),
            c => slug.push(c),
        }
    }
    slug
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use vestibule_protocol::Profile;

    use super::Candidates;
    use crate::settings::Policy;

    const DIGITS: &str = "0123456789abcdef0123456789abcdef";

    /// What an account gets where these names are taken, and `uuid4` is [`DIGITS`].
    fn username(name: &str, policy: &Policy, taken: &[&str]) -> String {
        let profile =
            Profile { username: Some(name.into()), email: Some("Ada@Example.com".into()), ..Profile::default() };
        let mut candidates = Candidates::new(&profile, policy);
        loop {
            let candidate = candidates.next_with(DIGITS);
            if !candidate.is_empty() && !taken.contains(&candidate.as_str()) {
                return candidate;
            }
        }
    }

    // The expected values are what `social_core.pipeline.user.get_username` of social-auth-core 7.0.0 gives.
    #[test]
    fn usernames_are_those_that_python_social_auth_gives() {
        let plain = Policy::default();
        let slugs = Policy { slugify_usernames: true, ..Policy::default() };
        let only_slugs = Policy { clean_usernames: false, ..slugs.clone() };
        let unclean = Policy { clean_usernames: false, ..Policy::default() };
        let short = Policy { uuid_length: 4, ..Policy::default() };
        let cases: &[(&str, &Policy, &[&str], &str)] = &[
            ("Ada Lövelace\r\n<x>", &plain, &[], "AdaLvelacex"),
            ("ada.l+x@y-z_1", &plain, &[], "ada.l+x@y-z_1"),
            ("Ada  Lövelace - King", &slugs, &[], "adalvelace-king"),
            ("Ada  Lövelace - King", &only_slugs, &[], "ada-lovelace-king"),
            ("  Ångström & Søn — ﬁ½", &only_slugs, &[], "angstrom-sn-fi12"),
            ("a.b@c+d", &slugs, &[], "abcd"),
            ("- - x", &slugs, &[], "-x"),
            ("Ünï cödé", &unclean, &[], "Ünï cödé"),
            ("日本", &plain, &[], "0123456789abcdef"),
            ("ada", &plain, &["ada"], "ada0123456789abcdef"),
            ("ada", &short, &["ada"], "ada0123"),
            (
                "aaaaaaaaaaaaaaaaaaaa",
                &Policy { username_max_length: 12, ..short.clone() },
                &["aaaaaaaaaaaa"],
                "aaaaaaaa0123",
            ),
            ("Ada King", &slugs, &["adaking"], "adaking0123456789abcdef"),
            ("a-b-c-d-e-f-g-h", &Policy { username_max_length: 10, ..short.clone() }, &["a-b-c-d-e-"], "a-b-c-0123"),
        ];
        for (name, policy, taken, expected) in cases {
            assert_eq!(username(name, policy, taken), *expected, "{name}");
        }
        assert_eq!(username(&"x".repeat(300), &plain, &[]), "x".repeat(150));
        let full_email = Policy { username_is_full_email: true, ..Policy::default() };
        assert_eq!(username("ada", &full_email, &[]), "Ada@Example.com");
    }

    #[test]
    fn beyond_that_an_address_helps_out_and_case_can_be_folded() {
        let lower = Policy { lowercase_usernames: true, ..Policy::default() };
        assert_eq!(username("Ada", &lower, &[]), "ada");
        assert_eq!(username("", &Policy::default(), &[]), "Ada");
        let nobody = Profile::default();
        assert_eq!(Candidates::new(&nobody, &Policy::default()).next().map(|name| name.len()), Some(32));
        // No control character, whatever is turned off: names stand in headers and logs.
        assert_eq!(username("a\r\nb", &Policy { clean_usernames: false, ..Policy::default() }, &[]), "ab");
    }

    #[test]
    fn candidates_never_repeat_and_always_fit() {
        let policy = Policy { uuid_length: 4, username_max_length: 10, ..Policy::default() };
        let profile = Profile { username: Some("ada-lovelace".into()), ..Profile::default() };

        let names: Vec<String> = Candidates::new(&profile, &policy).take(40).collect();

        assert!(names.iter().all(|name| !name.is_empty() && name.len() <= 10), "{names:?}");
        assert!(names.iter().collect::<BTreeSet<_>>().len() > 35, "{names:?}");
    }
}
