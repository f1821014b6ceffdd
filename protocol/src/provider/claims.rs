//! From a provider's answers to a [`Profile`].
//!
//! Only what an expression reads reaches the profile: an answer may claim to be a superuser or bring a password, and
//! nobody looks.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, de};

use super::expression::{Answer, Expression};
use crate::profile::Profile;

/// The keys of `[claims]` and the standard claims that they are at an OpenID Connect provider (OpenID Connect Core §5.1).
pub const STANDARD_CLAIMS: [(&str, &str); 8] = [
    ("uid", "sub"),
    ("username", "preferred_username"),
    ("email", "email"),
    ("email_verified", "email_verified"),
    ("fullname", "name"),
    ("first_name", "given_name"),
    ("last_name", "family_name"),
    ("picture", "picture"),
];

/// `[claims]`: where each part of a profile is in the answers.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Claims {
    /// The identifier that never changes and is never given to another person.
    pub uid: Expression,
    /// Identifiers that older versions of python-social-auth kept for the same person.
    #[serde(default)]
    pub legacy_uids: Vec<Expression>,
    /// The name the person goes by.
    #[serde(default, deserialize_with = "given")]
    pub username: Option<Expression>,
    /// An address.
    #[serde(default, deserialize_with = "given")]
    pub email: Option<Expression>,
    /// Whether the provider verified it.
    #[serde(default, deserialize_with = "given")]
    pub email_verified: Option<Expression>,
    /// Both names in one, where they are not told apart.
    #[serde(default, deserialize_with = "given")]
    pub fullname: Option<Expression>,
    /// Given name.
    #[serde(default, deserialize_with = "given")]
    pub first_name: Option<Expression>,
    /// Family name.
    #[serde(default, deserialize_with = "given")]
    pub last_name: Option<Expression>,
    /// The address of a picture.
    #[serde(default, deserialize_with = "given")]
    pub picture: Option<Expression>,
    /// The groups that the person is in there.
    #[serde(default, deserialize_with = "given")]
    pub groups: Option<Expression>,
    /// What the person is entitled to there.
    #[serde(default, deserialize_with = "given")]
    pub entitlements: Option<Expression>,
    /// What changes when the identifier goes to another person: whoever comes with another one than before is somebody else.
    #[serde(default, deserialize_with = "given")]
    pub holder: Option<Expression>,
}

/// An expression; an empty text takes a standard claim out again.
fn given<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Expression>, D::Error> {
    let source = String::deserialize(deserializer)?;
    if source.is_empty() { Ok(None) } else { Expression::parse(&source).map(Some).map_err(de::Error::custom) }
}

/// `[extra]`: what else of the answers is kept, by name.
pub type Extra = BTreeMap<String, Expression>;

/// The answer has no identifier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the answer has no identifier")]
pub struct NoIdentifier;

impl Claims {
    /// Who the answers are about, with what `extra` keeps of them.
    ///
    /// # Errors
    /// [`NoIdentifier`].
    pub fn profile(&self, answer: &Answer, extra: &Extra) -> Result<Profile, NoIdentifier> {
        let text = |path: &Option<Expression>| path.as_ref().and_then(|path| path.text(answer));
        let list = |path: &Option<Expression>| path.as_ref().map(|path| path.identifiers(answer)).unwrap_or_default();
        let email = self.email.as_ref().and_then(|path| path.address(answer));
        let mut profile = Profile {
            uid: self.uid.identifier(answer).ok_or(NoIdentifier)?,
            legacy_uids: self.legacy_uids.iter().filter_map(|path| path.identifier(answer)).collect(),
            username: text(&self.username),
            email_verified: email.is_some() && self.email_verified.as_ref().is_some_and(|path| path.is_true(answer)),
            email,
            first_name: text(&self.first_name),
            last_name: text(&self.last_name),
            full_name: None,
            picture: text(&self.picture).filter(|url| url.starts_with("https://")),
            groups: list(&self.groups),
            entitlements: list(&self.entitlements),
            holder: text(&self.holder),
            extra: extra.iter().filter_map(|(name, path)| Some((name.clone(), path.value(answer)?))).collect(),
        };
        if let Some(full_name) = text(&self.fullname) {
            profile.split_full_name(&full_name);
        }
        Ok(profile)
    }
}
