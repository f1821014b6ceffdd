//! Who signed in, and what the identity provider says of them, in our words.
//!
//! The names of attributes and their order are python-social-auth's, so that a person who came by it before is found
//! again under the same uid.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::refusal::Refusal;
use super::settings::IdentityProviderSettings;
use crate::protocol::Profile;

/// What a response that holds says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedIn {
    /// The name of the identity provider in the settings.
    pub idp: String,
    /// Its entity id.
    pub issuer: String,
    /// `NameID`.
    pub name_id: Option<String>,
    /// Attributes by name, each with its values.
    pub attributes: BTreeMap<String, Vec<String>>,
    /// Which session there: for a sign-out.
    pub session_index: Option<String>,
    /// The assertion's id, by which a second use is found out.
    pub assertion_id: String,
    /// Until when the assertion may be presented, in seconds since 1970.
    pub presentable_until: i64,
    /// When the session there ends, if the identity provider says so, in seconds since 1970.
    pub session_expires_at: Option<i64>,
}

const PERMANENT_ID: &[&str] = &["urn:oid:0.9.2342.19200300.100.1.1", "name_id"];
const USERNAME: &[&str] = &[
    "urn:oid:0.9.2342.19200300.100.1.1",
    "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/name",
    "subjectNameID",
    "username",
];
const EMAIL: &[&str] = &[
    "urn:oid:0.9.2342.19200300.100.1.3",
    "http://schemas.xmlsoap.org/claims/EmailAddress",
    "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/emailaddress",
    "email",
    "mail",
];
const FIRST_NAME: &[&str] = &[
    "urn:oid:2.5.4.42",
    "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/givenname",
    "first_name",
    "firstname",
    "firstName",
    "given_name",
    "givenname",
    "givenName",
];
const LAST_NAME: &[&str] = &[
    "urn:oid:2.5.4.4",
    "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/surname",
    "last_name",
    "lastname",
    "lastName",
    "surname",
];
const FULL_NAME: &[&str] = &[
    "urn:oid:2.5.4.3",
    "http://schemas.xmlsoap.org/claims/CommonName",
    "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/fullname",
    "http://schemas.microsoft.com/identity/claims/displayname",
    "full_name",
    "fullname",
    "fullName",
];

impl SignedIn {
    /// All of it, for what is kept with the association.
    pub fn to_json(&self) -> Value {
        json!({
            "name_id": self.name_id,
            "issuer": self.issuer,
            "idp": self.idp,
            "attributes": self.attributes,
            "session_index": self.session_index,
            "expires_at": self.session_expires_at,
        })
    }

    /// The person. The uid is `IDP:IDENTIFIER`, so that no identity provider can name another one's people.
    pub(super) fn profile(&self, settings: &IdentityProviderSettings) -> Result<Profile, Refusal> {
        let uid = self.value(settings.attr_user_permanent_id.as_deref(), PERMANENT_ID)?;
        let uid = uid.filter(|uid| !uid.is_empty()).ok_or_else(|| Refusal::NoAttribute(PERMANENT_ID[0].into()))?;
        let mut profile = Profile {
            uid: format!("{}:{uid}", self.idp),
            username: self.value(settings.attr_username.as_deref(), USERNAME)?,
            email: self.value(settings.attr_email.as_deref(), EMAIL)?,
            first_name: self.value(settings.attr_first_name.as_deref(), FIRST_NAME)?,
            last_name: self.value(settings.attr_last_name.as_deref(), LAST_NAME)?,
            ..Profile::default()
        };
        if let Some(full_name) = self.value(settings.attr_full_name.as_deref(), FULL_NAME)? {
            profile.split_full_name(&full_name);
        }
        Ok(profile)
    }

    /// The attribute that the settings name, which must then be there, or the first of the usual ones that is.
    fn value(&self, named: Option<&str>, usual: &[&str]) -> Result<Option<String>, Refusal> {
        match named {
            Some("") => Ok(None),
            Some(name) => self
                .attribute(name)
                .map(|value| value.filter(|value| !value.is_empty()))
                .ok_or_else(|| Refusal::NoAttribute(name.to_owned())),
            None => Ok(usual.iter().find_map(|name| self.attribute(name)).flatten().filter(|value| !value.is_empty())),
        }
    }

    /// The first value of an attribute that is there. `name_id` is the `NameID`, whatever attributes are called.
    fn attribute(&self, name: &str) -> Option<Option<String>> {
        if name == "name_id" {
            return self.name_id.clone().map(Some);
        }
        self.attributes.get(name).map(|values| values.first().cloned())
    }
}
