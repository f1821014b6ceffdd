//! Who gets in by a provider, and as whom: python-social-auth's settings under their names, for all providers (`[social]`)
//! and for one (`[providers.NAME]`), whose word goes first.

use serde::{Deserialize, Serialize};

/// Makes the settings of all providers and those of one out of one list.
macro_rules! policy {
    ($($(#[$doc:meta])* $name:ident: $type:ty = $default:expr,)*) => {
        /// `[social]`, and what holds for a provider once its own settings lie over that.
        #[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
        #[serde(default, deny_unknown_fields)]
        pub struct Policy {
            $($(#[$doc])* pub $name: $type,)*
        }

        impl Default for Policy {
            fn default() -> Self {
                Self { $($name: $default,)* }
            }
        }

        /// What `[providers.NAME]` says of the same; the rest is `[social]`'s.
        #[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq, Serialize)]
        #[serde(default)]
        pub struct PolicySettings {
            $($(#[$doc])* pub $name: Option<$type>,)*
        }

        impl PolicySettings {
            /// The names of all of them.
            pub const NAMES: &[&str] = &[$(stringify!($name)),*];

            /// What holds for a provider that says this, where all are told `all`.
            pub fn over(&self, all: &Policy) -> Policy {
                Policy { $($name: self.$name.clone().unwrap_or_else(|| all.$name.clone()),)* }
            }
        }
    };
}

policy! {
    /// Only people with an address in one of these domains; empty is everybody.
    allowed_domains: Vec<String> = Vec::new(),
    /// Only people with one of these addresses; empty is everybody.
    allowed_emails: Vec<String> = Vec::new(),
    /// Only people in one of these groups; empty is everybody.
    allowed_groups: Vec<String> = Vec::new(),
    /// Only people with one of these entitlements; empty is everybody.
    allowed_entitlements: Vec<String> = Vec::new(),
    /// Whether people we do not know yet may come in.
    allow_signup: bool = true,
    /// What happens when a new person's e-mail address belongs to an account.
    on_taken_email: OnTakenEmail = OnTakenEmail::Refuse,
    /// Whether an account found only under a former identifier of the provider's is the person's.
    allow_unverified_legacy_uid_migration: bool = false,
    /// Whether a new person's username is their address.
    username_is_full_email: bool = false,
    /// How many random digits make a taken username a free one.
    uuid_length: usize = 16,
    /// Whether usernames are cleaned to letters and digits of ASCII and `_.@+-`.
    clean_usernames: bool = true,
    /// Whether usernames become slugs.
    slugify_usernames: bool = false,
    /// Whether usernames are written in lower case.
    lowercase_usernames: bool = false,
    /// The longest username, in characters.
    username_max_length: usize = 150,
    /// Whether addresses are stored in lower case.
    force_email_lowercase: bool = false,
    /// Fields that no sign-in changes, beside the default ones.
    protected_user_fields: Vec<String> = Vec::new(),
    /// Fields that no sign-in changes once they are set.
    immutable_user_fields: Vec<String> = Vec::new(),
    /// Whether a sign-in may change the username and the address too.
    no_default_protected_user_fields: bool = false,
    /// Whether a full name is split into two where the provider has no other.
    firstlast_from_full: bool = true,
    /// Whether a full name is made of the two where the provider has none.
    full_from_firstlast: bool = true,
    /// What is kept of a provider's answer: names, or `name as alias`.
    extra_data: Vec<String> = Vec::new(),
    /// Whether all of it is kept, but for tokens.
    get_all_extra_data: bool = false,
    /// Whether a new person must have an address, and is asked for it.
    require_email: bool = false,
    /// Whether a new person's address must be proven: by the provider, or by a mail of ours.
    force_email_validation: bool = false,
    /// Whether a provider is told to end its tokens before its account is disconnected.
    revoke_tokens_on_disconnect: bool = false,
    /// Where whoever came from nowhere goes after signing in.
    login_redirect_url: String = "/account/".to_owned(),
    /// Where a new person goes first; empty is where everybody goes.
    new_user_redirect_url: String = String::new(),
    /// Where somebody goes who has connected an account; empty is the page of connected accounts.
    new_association_redirect_url: String = String::new(),
    /// Where somebody goes who has disconnected one; empty is the page of connected accounts.
    disconnect_redirect_url: String = String::new(),
    /// Where somebody goes whose account was deactivated; empty is `login_error_url`.
    inactive_user_url: String = String::new(),
    /// Where somebody goes who could not be signed in; empty is a page of ours.
    login_error_url: String = String::new(),
    /// The hosts that all these addresses and `next` may lead to beside this server.
    allowed_redirect_hosts: Vec<String> = Vec::new(),
}

/// `on_taken_email`
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum OnTakenEmail {
    /// `email_in_use`.
    #[default]
    Refuse,
    /// Into that account, where both sides verified the address.
    Associate,
    /// A second account with the same address.
    Create,
}

/// The details of a person that a provider can tell.
const FIELDS: &[&str] = &["username", "email", "first_name", "last_name", "picture"];

/// Members of answers that are never kept in clear.
const SECRETS: &[&str] = &[
    "access_token",
    "refresh_token",
    "id_token",
    "oauth_token",
    "oauth_token_secret",
    "token_secret",
    "client_secret",
];

impl Policy {
    /// What is kept of a provider's answer, and under which name.
    pub fn extra_data_entries(&self) -> impl Iterator<Item = (&str, &str)> {
        self.extra_data.iter().map(|entry| match entry.split_once(" as ") {
            Some((name, alias)) => (name.trim(), alias.trim()),
            None => (entry.trim(), entry.trim()),
        })
    }

    /// Whether this member of an answer is a token, which is kept sealed or not at all.
    pub fn is_secret(name: &str) -> bool {
        SECRETS.iter().any(|secret| secret.eq_ignore_ascii_case(name))
    }

    /// Whether a person may have to prove an address by a mail.
    pub fn needs_mail(&self) -> bool {
        self.require_email || self.force_email_validation
    }

    /// Looks for values that no sign-in could work with.
    ///
    /// # Errors
    /// The name of the setting, and a sentence.
    pub fn check(&self) -> Result<(), (&'static str, String)> {
        if !(4..=32).contains(&self.uuid_length) {
            return Err(("uuid_length", "must be between 4 and 32".to_owned()));
        }
        if !(self.uuid_length + 1..=254).contains(&self.username_max_length) {
            return Err(("username_max_length", "must be more than `uuid_length`, and 254 at most".to_owned()));
        }
        for (name, fields) in [
            ("protected_user_fields", &self.protected_user_fields),
            ("immutable_user_fields", &self.immutable_user_fields),
        ] {
            if let Some(unknown) = fields.iter().find(|field| !FIELDS.contains(&field.as_str())) {
                return Err((name, format!("`{unknown}` is not one of {}", FIELDS.join(", "))));
            }
        }
        if let Some((name, _)) = self.extra_data_entries().find(|(name, _)| Self::is_secret(name)) {
            return Err(("extra_data", format!("`{name}` is a token: it is kept sealed, and not among extra data")));
        }
        if let Some(host) = self.allowed_redirect_hosts.iter().find(|host| !is_host(host)) {
            return Err(("allowed_redirect_hosts", format!("`{host}` is not a host such as app.example.com")));
        }
        for (name, address) in [
            ("login_redirect_url", &self.login_redirect_url),
            ("new_user_redirect_url", &self.new_user_redirect_url),
            ("new_association_redirect_url", &self.new_association_redirect_url),
            ("disconnect_redirect_url", &self.disconnect_redirect_url),
            ("inactive_user_url", &self.inactive_user_url),
            ("login_error_url", &self.login_error_url),
        ] {
            if !address.is_empty() && !self.may_lead_to(address) {
                let sentence = "must be a path of this server, or an address on one of `allowed_redirect_hosts`";
                return Err((name, sentence.to_owned()));
            }
        }
        Ok(())
    }

    /// Whether a browser may be sent there: a path of this server, or http(s) on a host that the operator names. Anything
    /// that a browser could take for another place is not (attack 181).
    pub fn may_lead_to(&self, address: &str) -> bool {
        if !address.bytes().all(|byte| (b'!'..=b'~').contains(&byte) && byte != b'\\') {
            return false;
        }
        if address.starts_with('/') {
            let base = url::Url::parse("http://own.invalid").ok();
            let resolved = base.and_then(|base| base.join(address).ok());
            let is_own = |url: url::Url| url.host_str() == Some("own.invalid") && url.scheme() == "http";
            return !address.starts_with("//") && resolved.is_some_and(is_own);
        }
        // Written out in full: what begins otherwise, browsers read leniently.
        let lower = address.to_ascii_lowercase();
        let authority = lower.strip_prefix("https://").or_else(|| lower.strip_prefix("http://"));
        let Some(authority) = authority.and_then(|rest| rest.split(['/', '?', '#']).next()) else { return false };
        self.allowed_redirect_hosts.iter().any(|host| host.eq_ignore_ascii_case(authority))
            && url::Url::parse(address).is_ok_and(|url| url.username().is_empty() && url.password().is_none())
    }
}

/// A host, with a port or without.
fn is_host(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b':');
    !text.is_empty() && text.bytes().all(plain) && url::Url::parse(&format!("https://{text}/")).is_ok()
}

#[cfg(test)]
mod tests {
    use super::{OnTakenEmail, Policy, PolicySettings};
    use crate::settings::KEYS;

    #[test]
    fn what_a_provider_says_goes_before_what_holds_for_all() {
        let all = Policy { allow_signup: false, uuid_length: 8, ..Policy::default() };
        let own = PolicySettings { allow_signup: Some(true), ..PolicySettings::default() };

        let policy = own.over(&all);

        assert_eq!((policy.allow_signup, policy.uuid_length), (true, 8));
        assert_eq!(policy.on_taken_email, OnTakenEmail::Refuse);
    }

    #[test]
    fn a_redirect_leads_to_this_server_or_to_a_host_that_is_named() {
        // attack 181
        let policy = Policy {
            allowed_redirect_hosts: vec!["app.example:8443".into(), "ok.example".into()],
            ..Policy::default()
        };
        for good in
            ["/", "/a?b#c", "/%09/evil.com", "https://ok.example", "HTTP://OK.example/x", "https://app.example:8443/"]
        {
            assert!(policy.may_lead_to(good), "{good}");
        }
        for bad in [
            "",
            "//ok.example",
            "/\\evil.com",
            "\\/evil.com",
            "/\t/evil.com",
            "javascript:alert(1)",
            "https:ok.example",
            "ok.example",
            "https://evil.com",
            "https://ok.example.evil.com",
            "https://ok.example@evil.com",
            "https://evil.com@ok.example",
            "https://app.example/",
            "https:///ok.example",
            "https://ok.example\\@evil.com",
            "/ok\r\nSet-Cookie: x",
            "/ö",
        ] {
            assert!(!policy.may_lead_to(bad), "{bad:?}");
        }
    }

    #[test]
    fn every_setting_is_in_the_reference_for_all_and_for_one() {
        assert!(PolicySettings::NAMES.len() > 25);
        for name in PolicySettings::NAMES {
            let sentence = |key: String| KEYS.iter().find(|known| known.name == key).map(|known| known.default);
            let (all, one) = (sentence(format!("social.{name}")), sentence(format!("providers.*.{name}")));
            assert!(all.is_some() && all == one, "{name}");
        }
    }

    #[test]
    fn values_that_cannot_work_are_named() {
        let wrong = |change: fn(&mut Policy)| {
            let mut policy = Policy::default();
            change(&mut policy);
            policy.check().unwrap_err().0
        };
        assert_eq!(Policy::default().check(), Ok(()));
        assert_eq!(wrong(|policy| policy.uuid_length = 0), "uuid_length");
        assert_eq!(wrong(|policy| policy.username_max_length = 16), "username_max_length");
        assert_eq!(wrong(|policy| policy.protected_user_fields = vec!["is_active".into()]), "protected_user_fields");
        assert_eq!(wrong(|policy| policy.login_error_url = "https://evil.com".into()), "login_error_url");
        assert_eq!(wrong(|policy| policy.allowed_redirect_hosts = vec!["https://x".into()]), "allowed_redirect_hosts");
    }
}
