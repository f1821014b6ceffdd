//! Somebody with an account at the development provider: whoever is named exists, and is the same person every time.

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;
use vestibule_protocol::{OAuthError, Params};

/// A person, as the claims of OpenID Connect Core §5.1.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Person {
    /// Follows from the username, and is not it: real providers' subjects are not names either.
    pub sub: String,
    preferred_username: String,
    name: String,
    given_name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    family_name: Option<String>,
    email: String,
    email_verified: bool,
}

impl Person {
    /// The person of this name, with the parameters `email`, `email_verified`, `given_name` and `family_name` where they
    /// are sent and something likely where they are not.
    ///
    /// # Errors
    /// `invalid_request` for a name that is none.
    pub fn named(username: &str, params: &Params) -> Result<Self, OAuthError> {
        if username.chars().count() > 150 || username.chars().any(char::is_control) || username.trim().is_empty() {
            let sentence = "A username has up to 150 characters, and none of them is a control character.";
            return Err(OAuthError::invalid_request(sentence).with_field("username"));
        }
        let email_verified = match params.get("email_verified") {
            None | Some("true") => true,
            Some("false") => false,
            Some(_) => {
                return Err(OAuthError::invalid_request("true or false is meant.").with_field("email_verified"));
            }
        };
        let local_part = username.split('@').next().filter(|part| !part.is_empty()).unwrap_or(username);
        let email = match params.get("email") {
            Some(email) => email.to_owned(),
            None if username.contains('@') => username.to_owned(),
            None => format!("{}@example.com", username.replace(char::is_whitespace, ".")),
        };
        let given_name = params.get("given_name").map_or_else(|| capitalised(local_part), str::to_owned);
        let family_name = params.get("family_name").map(str::to_owned);
        let name =
            [Some(given_name.as_str()), family_name.as_deref()].into_iter().flatten().collect::<Vec<_>>().join(" ");
        let mut sub = URL_SAFE_NO_PAD.encode(digest(&SHA256, username.as_bytes()));
        sub.truncate(16);
        Ok(Self {
            sub,
            preferred_username: local_part.to_owned(),
            name,
            given_name,
            family_name,
            email,
            email_verified,
        })
    }
}

fn capitalised(word: &str) -> String {
    let mut chars = word.chars();
    chars.next().map(|first| first.to_uppercase().chain(chars).collect()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use vestibule_protocol::Params;

    use super::Person;

    #[test]
    fn a_name_is_the_same_person_every_time_and_another_name_another() {
        let named = |name: &str| Person::named(name, &Params::default()).unwrap();

        assert_eq!(named("grace"), named("grace"));
        assert_ne!(named("grace").sub, named("Grace").sub);
        assert_eq!(named("alan@turing.example").email, "alan@turing.example");
    }

    #[test]
    fn what_is_sent_counts_and_what_cannot_be_meant_is_refused() {
        let params = Params::from_form(b"email=g%40navy.example&email_verified=false&family_name=Hopper").unwrap();
        let grace = Person::named("grace", &params).unwrap();

        assert_eq!(
            (grace.email.as_str(), grace.email_verified, grace.name.as_str()),
            ("g@navy.example", false, "Grace Hopper")
        );
        assert!(Person::named("a\nb", &Params::default()).is_err());
        assert!(Person::named("grace", &Params::from_form(b"email_verified=yes").unwrap()).is_err());
    }
}
