//! From a provider's answers to a [`Profile`].
//!
//! Only what an expression reads reaches the profile: an answer may claim to be a superuser or bring a password, and
//! nobody looks.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::expression::{Answer, Expression};
use crate::profile::Profile;

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
    pub username: Option<Expression>,
    /// An address.
    pub email: Option<Expression>,
    /// Whether the provider verified it.
    pub email_verified: Option<Expression>,
    /// Both names in one, where they are not told apart.
    pub fullname: Option<Expression>,
    /// Given name.
    pub first_name: Option<Expression>,
    /// Family name.
    pub last_name: Option<Expression>,
    /// The address of a picture.
    pub picture: Option<Expression>,
    /// The groups that the person is in there.
    pub groups: Option<Expression>,
    /// What the person is entitled to there.
    pub entitlements: Option<Expression>,
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
            picture: text(&self.picture).filter(|url| url.starts_with("https://")),
            groups: list(&self.groups),
            entitlements: list(&self.entitlements),
            extra: extra.iter().filter_map(|(name, path)| Some((name.clone(), path.value(answer)?))).collect(),
        };
        if let Some(full_name) = text(&self.fullname) {
            profile.split_full_name(&full_name);
        }
        Ok(profile)
    }
}
