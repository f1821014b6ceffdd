//! What a provider says about a person, in our words.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// The person as the provider describes them. Nothing here is trusted beyond "the provider said so".
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq, Serialize)]
#[serde(default)]
pub struct Profile {
    /// The provider's own identifier, never empty.
    pub uid: String,
    /// The name the person goes by there, if it has such a thing.
    pub username: Option<String>,
    /// An e-mail address, if the provider gave one.
    pub email: Option<String>,
    /// Whether the provider says that it verified the address.
    pub email_verified: bool,
    /// Given name.
    pub first_name: Option<String>,
    /// Family name.
    pub last_name: Option<String>,
    /// Both names in one, where the provider has only that.
    pub full_name: Option<String>,
    /// The address of a picture, by https.
    pub picture: Option<String>,
    /// Identifiers under which older versions of python-social-auth knew the same person.
    pub legacy_uids: Vec<String>,
    /// The groups that the provider has the person in.
    pub groups: Vec<String>,
    /// What the provider says the person is entitled to (eduPersonEntitlement and the like).
    pub entitlements: Vec<String>,
    /// What changes when the identifier goes to another person, at a provider where it can.
    pub holder: Option<String>,
    /// What else of the answer is kept, by name.
    pub extra: Map<String, Value>,
}

impl Profile {
    /// Fills the two names from a full one, split at its first blank, where the provider has only that.
    pub fn split_full_name(&mut self, full_name: &str) {
        let full_name = full_name.trim();
        if self.first_name.is_some() || self.last_name.is_some() || full_name.is_empty() {
            return;
        }
        self.full_name = Some(full_name.to_owned());
        match full_name.split_once(' ') {
            Some((first, last)) => {
                self.first_name = Some(first.to_owned());
                self.last_name = Some(last.trim_start().to_owned());
            }
            None => self.first_name = Some(full_name.to_owned()),
        }
    }

    /// The domain of the e-mail address in lower case: what stands after the only `@`. `None` for anything that is
    /// not plainly `local@domain`, so that no second `@`, quote or trailing dot decides who may enter.
    pub fn email_domain(&self) -> Option<String> {
        let (local, domain) = self.email.as_deref()?.split_once('@')?;
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-');
        let ok = !local.is_empty()
            && !local.contains(['"', ' '])
            && !local.chars().any(char::is_control)
            && !domain.is_empty()
            && domain.chars().all(plain)
            && !domain.starts_with('.')
            && !domain.ends_with('.');
        ok.then(|| domain.to_ascii_lowercase())
    }
}

#[cfg(test)]
mod tests {
    use super::Profile;

    fn domain(email: &str) -> Option<String> {
        Profile { email: Some(email.to_owned()), ..Profile::default() }.email_domain()
    }

    #[test]
    fn the_domain_is_what_stands_after_the_only_at_sign() {
        // attack 133
        assert_eq!(domain("ada@Example.com").as_deref(), Some("example.com"));
        assert_eq!(domain("a@example.com.evil.com").as_deref(), Some("example.com.evil.com"));
        assert_eq!(domain("a@evil.com@example.com"), None);
        assert_eq!(domain("\"a@example.com\"@evil.com"), None);
        assert_eq!(domain("a@EXAMPLE.com."), None);
        assert_eq!(domain("@example.com"), None);
        assert_eq!(domain("example.com"), None);
    }

    #[test]
    fn a_full_name_is_split_at_its_first_blank() {
        let mut profile = Profile::default();

        profile.split_full_name("Ada  King Lovelace");

        assert_eq!((profile.first_name.as_deref(), profile.last_name.as_deref()), (Some("Ada"), Some("King Lovelace")));
    }
}
