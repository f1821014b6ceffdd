//! `[providers.saml]`: python-social-auth's settings, in lower case. What is a dictionary there is a table here, and its
//! keys are taken as they are written there (`wantAssertionsSigned`) or in the way of this file.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::settings::Hidden;

/// The settings of a SAML service provider and of the identity providers that it trusts.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SamlSettings {
    /// Our entity id: the audience of every assertion that is taken.
    pub sp_entity_id: String,
    /// Our certificate, for the metadata: in PEM, or the Base64 between its lines.
    #[serde(default)]
    pub sp_public_cert: Option<String>,
    /// The RSA key of that certificate: it signs requests and opens encrypted assertions.
    #[serde(default)]
    pub sp_private_key: Option<Hidden>,
    /// Who we are, by language, for the metadata.
    #[serde(default)]
    pub org_info: BTreeMap<String, Organization>,
    /// Whom the identity provider's operators may ask.
    #[serde(default)]
    pub technical_contact: Option<Contact>,
    /// Whom people may ask.
    #[serde(default)]
    pub support_contact: Option<Contact>,
    /// What is demanded beyond what always is.
    #[serde(default)]
    pub security_config: SecurityConfig,
    /// What else requests and metadata say of us.
    #[serde(default)]
    pub sp_extra: ServiceProviderExtra,
    /// Whether an identity provider may begin a sign-in by itself. Off: every response answers a request of this browser.
    #[serde(default)]
    pub allow_idp_initiated: bool,
    /// The identity providers, by a name that becomes part of every person's uid.
    pub enabled_idps: BTreeMap<String, IdentityProviderSettings>,
}

/// `org_info.LANGUAGE`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Organization {
    /// For machines.
    pub name: String,
    /// For people.
    #[serde(alias = "display_name")]
    pub displayname: String,
    /// Where to read more.
    pub url: String,
}

/// `technical_contact` and `support_contact`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Contact {
    /// A name.
    #[serde(alias = "givenName")]
    pub given_name: String,
    /// An e-mail address.
    #[serde(alias = "emailAddress")]
    pub email_address: String,
}

/// `security_config`
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SecurityConfig {
    /// Requests are signed with `sp_private_key`.
    #[serde(alias = "authnRequestsSigned")]
    pub authn_requests_signed: bool,
    /// The assertion itself must be signed; a signed response around it is not enough.
    #[serde(alias = "wantAssertionsSigned")]
    pub want_assertions_signed: bool,
    /// The response itself must be signed; a signed assertion in it is not enough.
    #[serde(alias = "wantMessagesSigned")]
    pub want_messages_signed: bool,
    /// The assertion must be encrypted for our certificate.
    #[serde(alias = "wantAssertionsEncrypted")]
    pub want_assertions_encrypted: bool,
    /// There must be a `NameID`.
    #[serde(alias = "wantNameId")]
    pub want_name_id: bool,
    /// Authentication context classes of which one is asked for, and must be what was done. None: any.
    #[serde(alias = "requestedAuthnContext")]
    pub requested_authn_context: Vec<String>,
}

impl Default for SecurityConfig {
    fn default() -> Self {
        Self {
            authn_requests_signed: false,
            want_assertions_signed: false,
            want_messages_signed: false,
            want_assertions_encrypted: false,
            want_name_id: true,
            requested_authn_context: Vec::new(),
        }
    }
}

/// `sp_extra`
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ServiceProviderExtra {
    /// The format of name identifier that is asked for. None: whatever the identity provider likes.
    #[serde(alias = "NameIDFormat")]
    pub name_id_format: Option<String>,
}

/// `enabled_idps.NAME`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IdentityProviderSettings {
    /// Its entity id: the issuer of every response and assertion that is taken from it.
    pub entity_id: String,
    /// Where a browser is sent to sign in (single sign-on service, HTTP-Redirect binding).
    pub url: String,
    /// The certificates that it signs with: one text, or a list while it changes them. In PEM, or the Base64 between
    /// its lines.
    pub x509cert: OneOrSeveral,
    /// The attribute that is the person's identifier there, or `name_id`.
    #[serde(default)]
    pub attr_user_permanent_id: Option<String>,
    /// The attribute that is the username; an empty text: none.
    #[serde(default)]
    pub attr_username: Option<String>,
    /// The attribute that is the e-mail address; an empty text: none.
    #[serde(default)]
    pub attr_email: Option<String>,
    /// The attribute that is the given name; an empty text: none.
    #[serde(default)]
    pub attr_first_name: Option<String>,
    /// The attribute that is the family name; an empty text: none.
    #[serde(default)]
    pub attr_last_name: Option<String>,
    /// The attribute that is the whole name; an empty text: none.
    #[serde(default)]
    pub attr_full_name: Option<String>,
}

/// One text, or a list of them.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub enum OneOrSeveral {
    /// `x509cert = "…"`
    One(String),
    /// `x509cert = ["…", "…"]`
    Several(Vec<String>),
}

impl OneOrSeveral {
    /// Each of them.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        let all = match self {
            Self::One(one) => std::slice::from_ref(one),
            Self::Several(several) => several,
        };
        all.iter().map(String::as_str)
    }
}

impl SamlSettings {
    /// Reads the table.
    ///
    /// # Errors
    /// One line that names the key that is missing, unknown or wrong.
    pub fn from_table(table: toml::Table) -> Result<Self, String> {
        // `unknown field …`, and on a second line `in `enabled_idps.example``.
        table.try_into().map_err(|error: toml::de::Error| error.to_string().trim().replace('\n', " "))
    }
}

#[cfg(test)]
mod tests {
    use super::SamlSettings;

    fn error(text: &str) -> String {
        SamlSettings::from_table(text.parse().unwrap()).unwrap_err()
    }

    #[test]
    fn python_social_auths_dictionaries_are_taken_as_they_are() {
        let table = r#"
            sp_entity_id = "https://sp.example/"
            sp_public_cert = ""
            technical_contact = { givenName = "Tech Gal", emailAddress = "technical@example.com" }
            security_config = { wantAssertionsSigned = true, want_name_id = false }
            org_info = { en-US = { name = "example", displayname = "Example Inc.", url = "https://example.com" } }
            [enabled_idps.testshib]
            entity_id = "https://idp.example/shibboleth"
            url = "https://idp.example/sso"
            x509cert = ["MIIE", "MIIF"]
            attr_email = ""
        "#;

        let settings = SamlSettings::from_table(table.parse().unwrap()).unwrap();

        assert!(settings.security_config.want_assertions_signed && !settings.security_config.want_name_id);
        assert_eq!(settings.enabled_idps["testshib"].x509cert.iter().collect::<Vec<_>>(), ["MIIE", "MIIF"]);
        assert_eq!(settings.enabled_idps["testshib"].attr_email.as_deref(), Some(""));
        assert!(!settings.allow_idp_initiated);
    }

    #[test]
    fn an_error_names_its_key() {
        insta::assert_snapshot!(error("enabled_idps = {}"), @"missing field `sp_entity_id`");
        insta::assert_snapshot!(
            error("sp_entity_id = 'a'\nenabled_idps.one = { entity_id = 'b', url = 'c' }"),
            @"missing field `x509cert` in `enabled_idps.one`"
        );
        let unknown = error("sp_entity_id = 'a'\nenabled_idps = {}\nsecurity_config = { wantSha1 = true }");
        assert!(
            unknown.starts_with("unknown field `wantSha1`") && unknown.ends_with(" in `security_config`"),
            "{unknown}"
        );
    }
}
