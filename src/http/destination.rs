//! Where a browser goes once it has come back from a provider: python-social-auth's redirect addresses.

use url::form_urlencoded::byte_serialize;

use super::sign_in::HOME;
use crate::settings::Policy;

/// The page of a person's accounts at providers.
pub(super) const CONNECTIONS: &str = "/account/connections";

/// What came of the way to a provider and back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome<'a> {
    /// Somebody whom we know has signed in.
    SignedIn,
    /// Somebody new has.
    NewUser,
    /// Somebody who was signed in has connected an account.
    NewAssociation,
    /// Somebody has disconnected one.
    Disconnected,
    /// Somebody's account was deactivated.
    Inactive,
    /// They could not be signed in, for this reason (a word).
    Refused(&'a str),
}

/// The address to go to; `None` is a page of ours that says what went wrong. `next` is what the browser came with, and is
/// followed only where the policy lets it.
pub(super) fn destination(outcome: Outcome<'_>, policy: &Policy, next: Option<&str>) -> Option<String> {
    let good = |address: &&str| policy.may_lead_to(address);
    let next = next.filter(good);
    let home = || Some(policy.login_redirect_url.as_str()).filter(good).unwrap_or(HOME);
    let own = |address: &'_ str| Some(address.to_owned()).filter(|address| policy.may_lead_to(address));
    // Whoever has set no page of their own sees what is connected now.
    let list = || if home() == HOME { CONNECTIONS } else { home() };
    let then = |address: &str| next.map(str::to_owned).or_else(|| own(address)).unwrap_or_else(|| list().to_owned());
    match outcome {
        Outcome::SignedIn => Some(next.unwrap_or_else(home).to_owned()),
        Outcome::NewUser => Some(match (own(&policy.new_user_redirect_url), next) {
            // A page that asks a new person something knows where to send them on to.
            (Some(first), Some(next)) => with_parameter(&first, "next", next),
            (Some(first), None) => first,
            (None, next) => next.unwrap_or_else(home).to_owned(),
        }),
        Outcome::NewAssociation => Some(then(&policy.new_association_redirect_url)),
        Outcome::Disconnected => Some(then(&policy.disconnect_redirect_url)),
        Outcome::Inactive => {
            own(&policy.inactive_user_url).or_else(|| destination(Outcome::Refused("person_inactive"), policy, None))
        }
        Outcome::Refused(reason) => Some(with_parameter(&own(&policy.login_error_url)?, "error", reason)),
    }
}

/// The address with one more parameter in its query.
fn with_parameter(address: &str, name: &str, value: &str) -> String {
    let (front, fragment) = address.split_once('#').map_or((address, None), |(front, rest)| (front, Some(rest)));
    let mark = if front.contains('?') { '&' } else { '?' };
    let value: String = byte_serialize(value.as_bytes()).collect();
    let fragment = fragment.map(|fragment| format!("#{fragment}")).unwrap_or_default();
    format!("{front}{mark}{name}={value}{fragment}")
}

#[cfg(test)]
mod tests {
    use super::{Outcome, destination};
    use crate::settings::Policy;

    fn to(outcome: Outcome<'_>, policy: &Policy, next: &str) -> String {
        destination(outcome, policy, Some(next)).unwrap_or_default()
    }

    #[test]
    fn without_settings_everybody_goes_where_they_wanted_to() {
        let policy = Policy::default();
        for (outcome, default) in [
            (Outcome::SignedIn, "/account/"),
            (Outcome::NewUser, "/account/"),
            (Outcome::NewAssociation, "/account/connections"),
            (Outcome::Disconnected, "/account/connections"),
        ] {
            assert_eq!(to(outcome, &policy, "/x?y"), "/x?y");
            assert_eq!(to(outcome, &policy, "https://evil.com"), default, "attack 181");
            assert_eq!(destination(outcome, &policy, None).as_deref(), Some(default));
        }
        let policy = Policy { login_redirect_url: "/home".into(), ..policy };
        assert_eq!(destination(Outcome::Disconnected, &policy, None).as_deref(), Some("/home"));
        assert_eq!(destination(Outcome::Inactive, &policy, Some("/x")), None);
        assert_eq!(destination(Outcome::Refused("email_in_use"), &policy, Some("/x")), None);
    }

    #[test]
    fn each_outcome_has_its_address() {
        let policy = Policy {
            login_redirect_url: "/home".into(),
            new_user_redirect_url: "https://app.example/welcome?a=b#top".into(),
            new_association_redirect_url: "/connected".into(),
            disconnect_redirect_url: "/disconnected".into(),
            inactive_user_url: "/inactive".into(),
            login_error_url: "https://app.example/failed".into(),
            allowed_redirect_hosts: vec!["app.example".into()],
            ..Policy::default()
        };
        assert_eq!(to(Outcome::SignedIn, &policy, ""), "/home");
        assert_eq!(to(Outcome::SignedIn, &policy, "https://app.example/x"), "https://app.example/x");
        assert_eq!(to(Outcome::NewUser, &policy, "/x?y=z"), "https://app.example/welcome?a=b&next=%2Fx%3Fy%3Dz#top");
        assert_eq!(to(Outcome::NewUser, &policy, "//evil.com"), "https://app.example/welcome?a=b#top");
        assert_eq!(to(Outcome::NewAssociation, &policy, ""), "/connected");
        assert_eq!(to(Outcome::NewAssociation, &policy, "/x"), "/x");
        assert_eq!(to(Outcome::Disconnected, &policy, ""), "/disconnected");
        assert_eq!(to(Outcome::Inactive, &policy, "/x"), "/inactive");
        assert_eq!(
            to(Outcome::Refused("email_in_use"), &policy, "/x"),
            "https://app.example/failed?error=email_in_use"
        );
        let without = Policy { inactive_user_url: String::new(), ..policy };
        assert_eq!(to(Outcome::Inactive, &without, "/x"), "https://app.example/failed?error=person_inactive");
    }
}
