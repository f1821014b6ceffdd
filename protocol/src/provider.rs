//! A provider's description: one TOML entry that says where to ask, how, and what the answers mean.
//!
//! What differs between providers is data, so that a new one is a file and no code knows a provider by name. An entry is
//! read once, every template and expression in it is compiled then, and a mistake names its key.
//!
//! Not here: the calls (`vestibule::upstream`), URL templates ([`template`]), expressions and the way from an answer to a
//! profile ([`claims`]). `catalog/README.md` tells every key.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::key_set::{Algorithm, DEFAULT_ALGORITHMS};

pub mod claims;
pub mod keys;
pub mod template;

pub use claims::{Claims, Expression};
pub use keys::{ENTRY_KEYS, unknown_key};
pub use template::{Template, Variables};

/// A provider's entry.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// The backend name on the wire.
    pub name: String,
    /// The name that people know it by.
    pub title: String,
    /// What it speaks.
    pub protocol: Protocol,
    /// Who signs its ID tokens. A provider with one takes ID tokens.
    pub issuer: Option<String>,
    /// Further spellings of the issuer in ID tokens.
    #[serde(default)]
    pub issuers: Vec<String>,
    /// Where its discovery document is; without it, below the issuer.
    pub discovery: Option<String>,
    /// What a code in place of a token begins with.
    #[serde(default)]
    pub code_prefixes: Vec<String>,
    /// How our credentials go to the token endpoint; without it, as the discovery document says.
    pub token_request: Option<TokenRequest>,
    /// `[endpoints]`
    #[serde(default)]
    pub endpoints: Endpoints,
    /// `[scope]`
    #[serde(default)]
    pub scope: ScopeRule,
    /// `[access_token]`
    #[serde(default)]
    pub access_token: AccessTokenRule,
    /// `[headers]`: sent with every call.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// `[[profile]]`: requests beside user info; each answer appears under its name.
    #[serde(default)]
    pub profile: Vec<ProfileRequest>,
    /// `[claims]`
    pub claims: Claims,
    /// `[audience]`: how it tells for whom an access token was made. Without it, it does not.
    pub audience: Option<AudienceCheck>,
    /// `[id_token]`
    #[serde(default)]
    pub id_token: IdTokenRule,
    /// `[errors]`: what its refusals mean, where the status does not say.
    #[serde(default)]
    pub errors: ErrorRules,
    /// `[settings]`: what it needs beside client id and secret.
    #[serde(default)]
    pub settings: BTreeMap<String, SettingRule>,
    /// `[[example]]`: answers and the profile they give.
    #[serde(default)]
    pub example: Vec<Example>,
}

/// `protocol`
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// OAuth 2.0 with an answer of the provider's own about the person.
    Oauth2,
    /// OpenID Connect.
    Oidc,
}

impl Protocol {
    /// The word of the entry.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Oauth2 => "oauth2",
            Self::Oidc => "oidc",
        }
    }
}

/// `token_request`: how a code is redeemed.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum TokenRequest {
    /// POST, our credentials in the form.
    ClientSecretPost,
    /// POST, our credentials in an `Authorization: Basic` header.
    ClientSecretBasic,
    /// GET, everything in the query.
    Query,
}

/// `[endpoints]`
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Endpoints {
    /// Where a browser is sent.
    pub authorize: Option<Template>,
    /// Where a code is redeemed.
    pub token: Option<Template>,
    /// Who the person is. Its answer is the root of what the claims read.
    pub userinfo: Option<Template>,
    /// The keys that sign ID tokens.
    pub jwks: Option<Template>,
}

/// `[scope]`
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ScopeRule {
    /// Asked for at every sign-in.
    pub default: Vec<String>,
    /// What stands between two.
    pub separator: String,
}

impl Default for ScopeRule {
    fn default() -> Self {
        Self { default: Vec::new(), separator: " ".into() }
    }
}

/// `[access_token]`: where it goes at user info and `[[profile]]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AccessTokenRule {
    /// Header or query.
    #[serde(rename = "in")]
    pub place: TokenPlace,
    /// The word before it in the `Authorization` header.
    pub scheme: String,
    /// The name of the query parameter.
    pub name: String,
}

impl Default for AccessTokenRule {
    fn default() -> Self {
        Self { place: TokenPlace::Header, scheme: "Bearer".into(), name: "access_token".into() }
    }
}

/// `access_token.in`
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum TokenPlace {
    /// `Authorization: SCHEME TOKEN`.
    Header,
    /// `?NAME=TOKEN`.
    Query,
}

/// `[[profile]]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProfileRequest {
    /// Under which its answer appears.
    pub name: String,
    /// Where it is asked.
    pub url: Template,
    /// Whether a refusal (401, 403, 404) just leaves it out.
    #[serde(default)]
    pub optional: bool,
}

/// `[audience]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AudienceCheck {
    /// GET or POST.
    #[serde(default)]
    pub method: Method,
    /// Where it is asked.
    pub url: Template,
    /// Whether our client id and secret go along in an `Authorization: Basic` header.
    #[serde(default)]
    pub basic: bool,
    /// A JSON body.
    pub json: Option<BTreeMap<String, Template>>,
    /// A form body.
    pub form: Option<BTreeMap<String, Template>>,
    /// For whom the token was made: a text, or a list of which one must be ours.
    pub audience: Expression,
    /// Whose token it is; must be the profile's identifier.
    pub subject: Option<Expression>,
    /// Whether it is good.
    pub valid: Option<Expression>,
    /// Seconds that it still lives.
    pub expires_in: Option<Expression>,
    /// When it ends, in seconds since 1970; 0 is never.
    pub expires_at: Option<Expression>,
    /// An answer that means "another client's token".
    pub foreign: Option<Expression>,
    /// Statuses that mean "another client's token".
    #[serde(default)]
    pub foreign_statuses: Vec<u16>,
    /// Statuses that mean "no such token".
    #[serde(default = "bad_request")]
    pub rejected_statuses: Vec<u16>,
    /// Statuses that mean "your own credentials are wrong".
    #[serde(default = "unauthorized")]
    pub misconfigured_statuses: Vec<u16>,
}

fn bad_request() -> Vec<u16> {
    vec![400]
}

fn unauthorized() -> Vec<u16> {
    vec![401, 403]
}

/// `audience.method`
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "UPPERCASE")]
pub enum Method {
    /// Everything is in the URL.
    #[default]
    Get,
    /// With `json` or `form`.
    Post,
}

/// `[id_token]`
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct IdTokenRule {
    /// What may sign.
    pub algorithms: Vec<Algorithm>,
    /// How the request's nonce comes back.
    pub nonce: NonceForm,
}

impl Default for IdTokenRule {
    fn default() -> Self {
        Self { algorithms: DEFAULT_ALGORITHMS.to_vec(), nonce: NonceForm::Plain }
    }
}

/// `id_token.nonce`
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum NonceForm {
    /// As it was sent.
    Plain,
    /// Its SHA-256 in hexadecimal.
    Sha256,
}

/// `[errors]`: expressions over a refusal's JSON; true means it.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ErrorRules {
    /// Too many calls, or down: the same may succeed later.
    pub busy: Option<Expression>,
    /// The token was good once.
    pub expired: Option<Expression>,
    /// Our own credentials are wrong.
    pub misconfigured: Option<Expression>,
}

/// `[settings.NAME]`
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SettingRule {
    /// What it is where the operator says nothing; without one, the operator must.
    pub default: Option<String>,
}

/// `[[example]]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Example {
    /// What user info answers, or the claims of an ID token: JSON.
    pub answer: String,
    /// What each `[[profile]]` answers: JSON by name.
    #[serde(default)]
    pub answers: BTreeMap<String, String>,
    /// What we make of it.
    pub profile: ExampleProfile,
}

/// `example.profile`
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(default, deny_unknown_fields)]
#[expect(missing_docs, reason = "the fields are those of `Profile`")]
pub struct ExampleProfile {
    pub uid: String,
    pub username: Option<String>,
    pub email: Option<String>,
    pub email_verified: bool,
    pub first_name: Option<String>,
    pub last_name: Option<String>,
}

/// What is wrong with an entry, in one line that names the key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct EntryError(pub String);

impl Entry {
    /// Reads an entry: the TOML of a catalog file, or that with an operator's keys over it ([`merge`]).
    ///
    /// # Errors
    /// [`EntryError`] that names the key.
    pub fn from_table(table: toml::Table) -> Result<Self, EntryError> {
        if let Some(key) = unknown_key(&table) {
            return Err(EntryError(format!("`{key}` is not a key of a provider's entry")));
        }
        let entry: Self = table.try_into().map_err(|error: toml::de::Error| {
            // The error of a value has no position in a file, but its last line names the key.
            EntryError(error.to_string().lines().filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" "))
        })?;
        entry.check().map_err(EntryError)?;
        Ok(entry)
    }

    /// What serde does not see: values that contradict one another or would break a request.
    fn check(&self) -> Result<(), String> {
        for template in self.templates() {
            template.known(|name| self.settings.contains_key(name))?;
        }
        for url in self.urls() {
            url.check_url()?;
        }
        for (name, value) in &self.headers {
            let token = |c: char| c.is_ascii_alphanumeric() || c == '-';
            if name.is_empty() || !name.chars().all(token) || !value.chars().all(|c| (' '..='~').contains(&c)) {
                return Err(format!("`headers.{name}` is not a header"));
            }
        }
        if self.id_token.algorithms.is_empty() {
            return Err("`id_token.algorithms` is empty".into());
        }
        if self.audience.as_ref().is_some_and(|check| check.json.is_some() && check.form.is_some()) {
            return Err("`audience.json` and `audience.form` exclude each other".into());
        }
        Ok(())
    }

    fn urls(&self) -> impl Iterator<Item = &Template> {
        let Endpoints { authorize, token, userinfo, jwks } = &self.endpoints;
        let endpoints = [authorize, token, userinfo, jwks].into_iter().flatten();
        let requests = self.profile.iter().map(|request| &request.url);
        endpoints.chain(requests).chain(self.audience.iter().map(|check| &check.url))
    }

    fn templates(&self) -> impl Iterator<Item = &Template> {
        let bodies = self.audience.iter().flat_map(|check| check.json.iter().chain(&check.form));
        self.urls().chain(bodies.flat_map(BTreeMap::values))
    }

    /// Every issuer that may stand in an ID token.
    pub fn accepted_issuers(&self) -> Vec<String> {
        self.issuer.iter().chain(&self.issuers).cloned().collect()
    }

    /// Whether it signs ID tokens.
    pub fn takes_id_tokens(&self) -> bool {
        self.issuer.is_some()
    }

    /// Whether a call that every sign-in makes needs our secret.
    pub fn needs_client_secret(&self) -> bool {
        self.audience.as_ref().is_some_and(|check| check.basic) || self.templates().any(Template::uses_client_secret)
    }

    /// Where the discovery document is.
    pub fn discovery_url(&self) -> Option<String> {
        let below = |issuer: &String| format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/'));
        self.discovery.clone().or_else(|| self.issuer.as_ref().map(below))
    }
}

/// Lays `over` on `base`: tables key by key, everything else as a whole.
pub fn merge(base: &mut toml::Table, over: toml::Table) {
    for (key, value) in over {
        match (base.get_mut(&key), value) {
            (Some(toml::Value::Table(below)), toml::Value::Table(above)) => merge(below, above),
            (_, value) => drop(base.insert(key, value)),
        }
    }
}

#[cfg(test)]
mod tests;
