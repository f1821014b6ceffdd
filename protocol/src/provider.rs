//! A provider's description: one TOML entry that says where to ask, how, and what the answers mean.
//!
//! What differs between providers is data, so that a new one is a file and no code knows a provider by name. An entry is
//! read once, every template and expression in it is compiled then, and a mistake names its key.
//!
//! Not here: the calls (`vestibule::upstream`). The tables are in [`request`], URL templates in [`template`], expressions in
//! [`expression`], the way from an answer to a profile in [`claims`]. `catalog/README.md` tells every key.

use std::collections::BTreeMap;

use serde::Deserialize;

pub mod claims;
pub mod expression;
pub mod keys;
pub mod request;
pub mod setting;
pub mod source;
pub mod template;
pub mod xml;

pub use claims::{Claims, Extra, STANDARD_CLAIMS};
pub use expression::{Answer, Expression};
pub use keys::{ENTRY_KEYS, unknown_key};
pub use request::*;
pub use setting::{Setting, SettingKind, SettingRule};
pub use source::SourceError;
pub use template::{NothingThere, Template, Variables};

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
    /// Whether the service is still there.
    #[serde(default)]
    pub status: Status,
    /// What is to be known of it, in a sentence or two; with `status = "shut down"`, since when.
    pub note: Option<String>,
    /// Where an application is registered with it.
    pub register: Option<String>,
    /// What the entry cannot say: the name of a quirk (`catalog/README.md` lists them).
    pub quirk: Option<String>,
    /// Whether it only connects accounts and never signs anybody in: its identifiers can change hands.
    #[serde(default)]
    pub connect_only: bool,
    /// Whether an answer is taken that no sign-in of ours began: the provider starts it, and what it sends proves that it is
    /// meant for us and fresh. Only with a quirk that looks at that.
    #[serde(default)]
    pub starts_there: bool,
    /// Who signs its ID tokens. A provider with one, or with a discovery document, takes ID tokens.
    pub issuer: Option<Template>,
    /// Further spellings of the issuer in ID tokens; an expression reads the token's own claims. Without `issuer` they count
    /// only where the discovery document's own has a placeholder.
    #[serde(default)]
    pub issuers: Vec<Template>,
    /// Where its discovery document is; without it, below the issuer. With it alone, the issuer is the document's own.
    pub discovery: Option<Template>,
    /// What a code in place of a token begins with.
    #[serde(default)]
    pub code_prefixes: Vec<String>,
    /// `[endpoints]`
    #[serde(default)]
    pub endpoints: Endpoints,
    /// `[authorize]`
    #[serde(default)]
    pub authorize: AuthorizeRule,
    /// `[scope]`
    #[serde(default)]
    pub scope: ScopeRule,
    /// `[token]`
    #[serde(default)]
    pub token: TokenRule,
    /// `[refresh]`
    #[serde(default)]
    pub refresh: RefreshRule,
    /// `[revoke]`: without it, the provider is not told.
    pub revoke: Option<RevokeRule>,
    /// `[access_token]`
    #[serde(default)]
    pub access_token: AccessTokenRule,
    /// `[headers]`: sent with every call.
    #[serde(default)]
    pub headers: BTreeMap<String, Template>,
    /// `[userinfo]`
    #[serde(default)]
    pub userinfo: RequestRule,
    /// `[[profile]]`: requests beside user info; each answer appears under its name.
    #[serde(default)]
    pub profile: Vec<ProfileRequest>,
    /// `[claims]`
    pub claims: Claims,
    /// `[extra]`: what else of the answers is kept with the association.
    #[serde(default)]
    pub extra: Extra,
    /// `[[require]]`
    #[serde(default)]
    pub require: Vec<Requirement>,
    /// `[audience]`: how it tells for whom an access token was made. Without it, it does not.
    pub audience: Option<AudienceCheck>,
    /// `[id_token]`
    #[serde(default)]
    pub id_token: IdTokenRule,
    /// `[errors]`: what its refusals mean, where the status does not say.
    #[serde(default)]
    pub errors: ErrorRules,
    /// `[oauth1]`
    #[serde(default)]
    pub oauth1: OAuth1Rule,
    /// `[openid2]`
    #[serde(default)]
    pub openid2: OpenId2Rule,
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
    /// OAuth 1.0a (RFC 5849).
    Oauth1,
    /// OpenID Authentication 2.0.
    Openid2,
    /// SAML 2.0, as a service provider.
    Saml,
    /// The CAS protocol 3.0.
    Cas,
    /// An answer that the provider signs with a secret that it shares with us; which, the quirk says.
    Signed,
    /// A form of our own: no provider at all.
    Form,
}

impl Protocol {
    /// The word of the entry.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Oauth2 => "oauth2",
            Self::Oidc => "oidc",
            Self::Oauth1 => "oauth1",
            Self::Openid2 => "openid2",
            Self::Saml => "saml",
            Self::Cas => "cas",
            Self::Signed => "signed",
            Self::Form => "form",
        }
    }

    /// Whether it knows codes that are redeemed at a token endpoint.
    pub const fn has_codes(self) -> bool {
        matches!(self, Self::Oauth2 | Self::Oidc)
    }

    /// Whether our client id there is a must.
    pub const fn needs_client_id(self) -> bool {
        matches!(self, Self::Oauth2 | Self::Oidc | Self::Oauth1)
    }
}

/// `status`
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
pub enum Status {
    /// As far as is known.
    #[default]
    #[serde(rename = "live")]
    Live,
    /// It works, but takes no new applications, or has a successor.
    #[serde(rename = "legacy")]
    Legacy,
    /// It is gone: it can be looked at here, and not be enabled.
    #[serde(rename = "shut down")]
    ShutDown,
}

impl Status {
    /// The words of the entry.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Legacy => "legacy",
            Self::ShutDown => "shut down",
        }
    }
}

/// Names under which the expressions find what no request of the entry brought.
pub const RESERVED_NAMES: [&str; 7] =
    ["token_answer", "id_token", "callback", "request", "settings", "access_token", "list"];

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
        let entry: Self = with_standards(table).try_into().map_err(|error: toml::de::Error| {
            // The error of a value has no position in a file, but its last line names the key.
            EntryError(error.to_string().lines().filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" "))
        })?;
        entry.check().map_err(EntryError)?;
        Ok(entry)
    }

    /// What serde does not see: values that contradict one another or would break a request. Each sentence begins with the
    /// key.
    fn check(&self) -> Result<(), String> {
        for (key, template) in self.templates() {
            template.known(&self.settings).map_err(|why| format!("{key}: {why}"))?;
        }
        for (key, url) in self.urls() {
            url.check_url(&self.settings).map_err(|why| format!("{key}: {why}"))?;
            if url.host_is_from_answer() && self.endpoints.hosts.is_empty() {
                return Err(format!("{key}: its host comes out of an answer, so `endpoints.hosts` must say which may"));
            }
        }
        for (name, value) in &self.headers {
            let token = |c: char| c.is_ascii_alphanumeric() || c == '-';
            let clean = value.source().chars().all(|c| (' '..='~').contains(&c));
            if name.is_empty() || !name.chars().all(token) || !clean {
                return Err(format!("headers.{name}: this is not a header"));
            }
        }
        let mut names: Vec<&str> = RESERVED_NAMES.to_vec();
        for ProfileRequest { name, only_with, .. } in &self.profile {
            if names.contains(&name.as_str()) {
                return Err(format!("profile.name: `{name}` is taken"));
            }
            names.push(name);
            if only_with.as_ref().is_some_and(|setting| !self.settings.contains_key(setting)) {
                return Err(format!("profile.only_with: `{name}` names no setting"));
            }
        }
        if self.id_token.algorithms.is_empty() {
            return Err("id_token.algorithms: it is empty".into());
        }
        if let Some(table) = self.two_bodies() {
            return Err(format!("{table}.json: `{table}.json` and `{table}.form` exclude each other"));
        }
        if let Some(check) = &self.audience {
            if check.source == AudienceSource::Request && check.url.is_none() {
                return Err("audience.url: not set".into());
            }
            let says_valid = check.source == AudienceSource::Request && check.valid.is_some();
            if check.source != AudienceSource::Calls && check.audience.is_none() && !says_valid {
                return Err("audience.audience: not set".into());
            }
            for (key, setting) in [("is_setting", &check.is_setting), ("only_with", &check.only_with)] {
                if setting.as_ref().is_some_and(|setting| !self.settings.contains_key(setting)) {
                    return Err(format!("audience.{key}: there is no such setting"));
                }
            }
        }
        let reads_jwt = self.audience.as_ref().is_some_and(|check| check.source == AudienceSource::Jwt);
        if self.access_token.place == TokenPlace::Itself && !reads_jwt {
            return Err("access_token.in: `itself` wants `audience.of = \"jwt\"`".into());
        }
        if self.status == Status::ShutDown && self.note.is_none() {
            return Err("note: a provider that was shut down says since when".into());
        }
        let is_gone = self.status == Status::ShutDown;
        if self.protocol == Protocol::Signed && self.quirk.is_none() && !is_gone {
            return Err("quirk: not set, and `signed` says only that one does it".into());
        }
        for (name, rule) in &self.settings {
            if let Some(default) = &rule.default {
                rule.kind.read(default).map_err(|why| format!("settings.{name}.default: {why}"))?;
            }
        }
        Ok(())
    }

    /// The first table of a request that would have two bodies.
    fn two_bodies(&self) -> Option<&'static str> {
        let audience = self.audience.iter().map(|check| ("audience", &check.json, &check.form));
        let revoke = self.revoke.iter().map(|rule| ("revoke", &rule.json, &rule.form));
        let profile = self.profile.iter().map(|request| ("profile", &request.rule.json, &request.rule.form));
        let userinfo = std::iter::once(("userinfo", &self.userinfo.json, &self.userinfo.form));
        let mut all = audience.chain(revoke).chain(profile).chain(userinfo);
        all.find(|(_, json, form)| json.is_some() && form.is_some()).map(|(table, ..)| table)
    }

    /// Everything that must be a URL, with its key.
    fn urls(&self) -> impl Iterator<Item = (&'static str, &Template)> {
        let Endpoints { authorize, token, request_token, userinfo, jwks, .. } = &self.endpoints;
        let endpoints = [
            ("endpoints.authorize", authorize),
            ("endpoints.token", token),
            ("endpoints.request_token", request_token),
            ("endpoints.userinfo", userinfo),
            ("endpoints.jwks", jwks),
            ("discovery", &self.discovery),
            ("refresh.url", &self.refresh.url),
        ];
        let endpoints = endpoints.into_iter().filter_map(|(key, url)| Some((key, url.as_ref()?)));
        let requests = self.profile.iter().map(|request| ("profile.url", &request.url));
        let audience = self.audience.iter().filter_map(|check| Some(("audience.url", check.url.as_ref()?)));
        endpoints.chain(requests).chain(audience).chain(self.revoke.iter().map(|rule| ("revoke.url", &rule.url)))
    }

    fn templates(&self) -> impl Iterator<Item = (&'static str, &Template)> {
        fn of<'a>(
            key: &'static str,
            map: impl IntoIterator<Item = &'a BTreeMap<String, Template>> + 'a,
        ) -> impl Iterator<Item = (&'static str, &'a Template)> {
            map.into_iter().flat_map(BTreeMap::values).map(move |template| (key, template))
        }
        self.urls()
            .chain(self.issuer.iter().map(|template| ("issuer", template)))
            .chain(self.issuers.iter().map(|template| ("issuers", template)))
            .chain(of("headers", [&self.headers]))
            .chain(of("authorize.params", [&self.authorize.params]))
            .chain(of("token.params", [&self.token.params]))
            .chain(of("token.query", [&self.token.query]))
            .chain(of("token.headers", [&self.token.headers]))
            .chain(of("refresh.params", [&self.refresh.params]))
            .chain(of("revoke.json", self.revoke.iter().filter_map(|rule| rule.json.as_ref())))
            .chain(of("revoke.form", self.revoke.iter().filter_map(|rule| rule.form.as_ref())))
            .chain(of("revoke.headers", self.revoke.iter().map(|rule| &rule.headers)))
            .chain(of("userinfo.json", &self.userinfo.json))
            .chain(of("userinfo.form", &self.userinfo.form))
            .chain(of("userinfo.headers", [&self.userinfo.headers]))
            .chain(of("profile.json", self.profile.iter().filter_map(|request| request.rule.json.as_ref())))
            .chain(of("profile.form", self.profile.iter().filter_map(|request| request.rule.form.as_ref())))
            .chain(of("profile.headers", self.profile.iter().map(|request| &request.rule.headers)))
            .chain(of("audience.form", self.audience.iter().filter_map(|check| check.form.as_ref())))
            .chain(of("audience.json", self.audience.iter().filter_map(|check| check.json.as_ref())))
            .chain(of("audience.headers", self.audience.iter().map(|check| &check.headers)))
            .chain(of("oauth1.request_token_params", [&self.oauth1.request_token_params]))
            .chain(self.openid2.identifier.iter().map(|template| ("openid2.identifier", template)))
    }

    /// Whether it signs ID tokens.
    pub fn takes_id_tokens(&self) -> bool {
        (self.issuer.is_some() || self.discovery.is_some()) && self.protocol.has_codes()
    }

    /// Whether an access token alone says who the person is: with what stands only in the token endpoint's answer, a code
    /// is needed.
    pub fn takes_access_tokens(&self) -> bool {
        let from_answer = |source: &str| source.contains("token_answer") || source.contains("callback");
        self.protocol.has_codes()
            && self.access_token.place != TokenPlace::Nowhere
            && !from_answer(self.claims.uid.source())
            && !self
                .urls()
                .any(|(key, url)| !key.starts_with("refresh") && url.expressions().any(|one| from_answer(one.source())))
    }

    /// Whether a call that every sign-in makes needs our secret.
    pub fn needs_client_secret(&self) -> bool {
        self.audience.as_ref().is_some_and(|check| check.basic)
            || self.protocol == Protocol::Oauth1
            || self.templates().any(|(_, template)| template.uses_client_secret())
    }
}

/// The scopes that bring the standard claims (OpenID Connect Core §5.4).
const STANDARD_SCOPES: [&str; 3] = ["openid", "profile", "email"];

/// The whole entry: an OpenID Connect provider's lies over the standard claims and scopes, so that it says only where it
/// differs.
pub fn with_standards(entry: toml::Table) -> toml::Table {
    if entry.get("protocol").and_then(toml::Value::as_str) != Some(Protocol::Oidc.as_str()) {
        return entry;
    }
    let claims = STANDARD_CLAIMS.map(|(key, claim)| (key.to_owned(), claim.into()));
    let scope = ("default".to_owned(), STANDARD_SCOPES.to_vec().into());
    let mut whole = toml::Table::from_iter([
        ("claims".to_owned(), toml::Table::from_iter(claims).into()),
        ("scope".to_owned(), toml::Table::from_iter([scope]).into()),
    ]);
    merge(&mut whole, entry);
    whole
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
