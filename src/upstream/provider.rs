//! An enabled provider: its entry, our settings there, and what it published.

use std::collections::BTreeMap;

use serde_json::{Map, Value};
use tokio::sync::{Mutex, Semaphore};

use super::keys::{Cached, Discovery};
use super::{cas, oauth1, openid2, quirk, refuse};
use crate::protocol::OAuthError;
use crate::protocol::jwt::Jwt;
use crate::protocol::key_set::{Algorithm, DEFAULT_ALGORITHMS, KeySet};
use crate::protocol::provider::{
    Answer, AudienceCheck, Entry, NothingThere, Protocol, Setting, Status, Template, Variables,
};
use crate::settings::{Policy, ProviderSettings};

/// See the module.
pub struct Provider {
    /// The catalog's entry with the operator's keys over it.
    pub entry: Entry,
    /// `[providers.NAME]`
    pub settings: ProviderSettings,
    /// Who gets in by it, and as whom: its own settings over those of all providers.
    pub policy: Policy,
    /// Ours first, then the further ones of the same project.
    pub(super) client_ids: Vec<String>,
    /// What the entry's settings are.
    pub(super) values: BTreeMap<String, Setting>,
    /// A place for each call that may run at once.
    pub(super) lane: Semaphore,
    /// Held by whoever tries it out.
    pub(super) trying: Mutex<()>,
    pub(super) discovery: Cached<Discovery>,
    pub(super) keys: Cached<KeySet>,
    /// The one that the operator gave (`public_key`), in place of published ones, and what it may sign with.
    pub(super) given_key: Option<(KeySet, Vec<Algorithm>)>,
    /// The issuers that no token has to be read for.
    issuers: Vec<String>,
}

impl Provider {
    /// `None`: not enabled.
    pub(super) fn new(
        entry: Entry,
        settings: ProviderSettings,
        values: BTreeMap<String, Setting>,
        policy: Policy,
        max_concurrent_calls: usize,
    ) -> Result<Option<Self>, String> {
        let enabled = match settings.enabled {
            Some(enabled) => enabled,
            // Where no client id is needed, a table in the configuration is enough.
            None => settings.client_id.is_some() || !entry.protocol.needs_client_id() && settings.is_written,
        };
        if !enabled {
            return Ok(None);
        }
        if entry.status == Status::ShutDown {
            let note = entry.note.as_deref().unwrap_or_default();
            return Err(format!("{} cannot be enabled: the service was shut down ({note})", entry.title));
        }
        let client_id = settings.client_id.clone();
        let empty = |text: &String| text.trim().is_empty();
        if client_id.as_ref().is_some_and(empty) || settings.client_ids.iter().any(empty) {
            return Err("`client_id` and `client_ids` must not be empty".into());
        }
        let needs_client_id = entry.protocol.needs_client_id() || quirk::needs_client_id(&entry);
        if client_id.is_none() && needs_client_id {
            return Err("`client_id` is not set".into());
        }
        let secret = settings.client_secret.as_ref().map(|secret| secret.reveal()).unwrap_or_default();
        if secret.is_empty() && (entry.needs_client_secret() || quirk::needs_client_secret(&entry)) {
            return Err("`client_secret` is not set, and every sign-in needs it".into());
        }
        if entry.protocol == Protocol::Oidc && entry.issuer.is_none() && entry.discovery.is_none() {
            return Err("`issuer` is not set".into());
        }
        let must = entry.settings.iter().filter(|(_, rule)| !rule.optional);
        if let Some((name, _)) = must.into_iter().find(|(name, _)| !values.contains_key(*name)) {
            return Err(format!("`{name}` is not set"));
        }
        let client_ids = client_id.into_iter().chain(settings.client_ids.iter().cloned()).collect();
        let mut provider = Self {
            client_ids,
            lane: Semaphore::new(max_concurrent_calls.clamp(1, Semaphore::MAX_PERMITS)),
            trying: Mutex::default(),
            discovery: Cached::default(),
            keys: Cached::default(),
            issuers: Vec::new(),
            given_key: given_key(&entry, &values)?,
            values,
            entry,
            settings,
            policy,
        };
        let fixed = provider.entry.issuer.iter().chain(&provider.entry.issuers);
        let fixed = fixed.filter(|issuer| !issuer.needs_an_answer());
        provider.issuers = fixed.filter_map(|issuer| provider.fixed_text(issuer).ok()).collect();
        quirk::check(&provider)?;
        match provider.protocol() {
            Protocol::Oauth1 => oauth1::check(&provider)?,
            Protocol::Openid2 => openid2::check(&provider)?,
            Protocol::Cas => cas::check(&provider)?,
            _ => {}
        }
        #[cfg(feature = "saml")]
        if provider.protocol() == Protocol::Saml {
            super::saml::journey::service_provider(&provider)?;
        }
        #[cfg(not(feature = "saml"))]
        if provider.protocol() == Protocol::Saml {
            return Err("this build has no SAML: it needs the feature `saml`".into());
        }
        Ok(Some(provider))
    }

    /// The backend name.
    pub fn name(&self) -> &str {
        &self.entry.name
    }

    /// The name that people know it by.
    pub fn title(&self) -> &str {
        &self.entry.title
    }

    /// Whether it is the form of our own that a mailed address opens.
    pub fn is_by_mail(&self) -> bool {
        self.entry.protocol == Protocol::Form && self.entry.claims.uid.source() == "email"
    }

    /// What it speaks.
    pub fn protocol(&self) -> Protocol {
        self.entry.protocol
    }

    /// Whether a browser can be sent there.
    pub fn has_browser_flow(&self) -> bool {
        if quirk::only_starts_there(&self.entry) {
            return false;
        }
        !self.entry.protocol.has_codes() || self.entry.endpoints.authorize.is_some() || self.discovery_url().is_some()
    }

    /// Whether people sign in with it; else it only connects accounts to those who are signed in otherwise.
    pub fn signs_in(&self) -> bool {
        !self.entry.connect_only
    }

    /// Whether an answer is taken that no sign-in of ours began.
    pub fn starts_there(&self) -> bool {
        self.entry.starts_there
    }

    pub(super) fn client_id(&self) -> &str {
        self.client_ids.first().map(String::as_str).unwrap_or_default()
    }

    pub(super) fn secret(&self) -> Option<&str> {
        self.settings.client_secret.as_ref().map(|secret| secret.reveal()).filter(|secret| !secret.is_empty())
    }

    /// A setting's text; empty where it has none.
    pub(super) fn value(&self, name: &str) -> &str {
        self.values.get(name).map(Setting::text).unwrap_or_default()
    }

    /// Whether a setting has a value.
    pub(super) fn has_value(&self, name: &str) -> bool {
        match self.values.get(name) {
            Some(Setting::Text(text) | Setting::Secret(text)) => !text.is_empty(),
            Some(Setting::List(items)) => !items.is_empty(),
            Some(Setting::Flag(yes)) => *yes,
            Some(Setting::Table(table)) => !table.is_empty(),
            None => false,
        }
    }

    /// How it tells for whom an access token was made; not at all, where the operator has not said what must be found there.
    pub(super) fn audience(&self) -> Option<&AudienceCheck> {
        let check = self.entry.audience.as_ref()?;
        let needed = [&check.is_setting, &check.only_with];
        needed.into_iter().flatten().all(|setting| self.has_value(setting)).then_some(check)
    }

    /// What expressions may read of the settings.
    pub(super) fn shown_settings(&self) -> Value {
        let shown = self.values.iter().filter_map(|(name, value)| Some((name.clone(), value.shown()?)));
        Value::Object(shown.collect())
    }

    pub(super) fn variables<'a>(&'a self, token: &'a str, answer: &'a Answer) -> Variables<'a> {
        let client_secret = self.secret().unwrap_or_default();
        Variables { token, client_id: self.client_id(), client_secret, settings: &self.values, answer }
    }

    /// A template that no answer is needed for, as a URL or a text.
    pub(super) fn fixed(&self, template: &Template) -> Result<String, NothingThere> {
        let nothing = Answer::new(Map::new(), [("settings".to_owned(), self.shown_settings())]);
        template.url(&self.variables("", &nothing))
    }

    /// As [`Provider::fixed`], with nothing encoded.
    fn fixed_text(&self, template: &Template) -> Result<String, NothingThere> {
        let nothing = Answer::new(Map::new(), [("settings".to_owned(), self.shown_settings())]);
        template.plain(&self.variables("", &nothing))
    }

    /// An endpoint's URL. A host that came out of an answer must be one of `endpoints.hosts`.
    ///
    /// # Errors
    /// `misconfigured` or, where an answer lacks what it is made of, `profile_incomplete`.
    pub(super) fn endpoint(&self, template: &Template, variables: &Variables<'_>) -> Result<String, OAuthError> {
        let url = template.url(variables).map_err(|error| refuse::profile_incomplete(self, error.to_string()))?;
        if template.host_is_from_answer() && !self.is_allowed_host(&url) {
            let cause = "an answer leads to a host that is not among `endpoints.hosts`";
            return Err(refuse::bad_answer(self, cause.into()));
        }
        Ok(url)
    }

    /// `endpoints.authorize`, made of settings alone.
    pub(super) fn authorize(&self) -> Result<String, OAuthError> {
        self.fixed_endpoint(self.entry.endpoints.authorize.as_ref(), "endpoints.authorize")
    }

    /// `endpoints.token`, made of settings alone.
    pub(super) fn token_url(&self) -> Result<String, OAuthError> {
        self.fixed_endpoint(self.entry.endpoints.token.as_ref(), "endpoints.token")
    }

    fn fixed_endpoint(&self, template: Option<&Template>, key: &str) -> Result<String, OAuthError> {
        let missing = || refuse::misconfigured(self, format!("`{key}` is not set"));
        self.fixed(template.ok_or_else(missing)?).map_err(|error| refuse::misconfigured(self, error.to_string()))
    }

    pub(super) fn is_allowed_host(&self, url: &str) -> bool {
        let Ok(url) = reqwest::Url::parse(url) else { return false };
        let host = url.host_str().unwrap_or_default();
        let allowed = |pattern: &String| match pattern.strip_prefix("*.") {
            Some(domain) => host.strip_suffix(domain).is_some_and(|label| label.len() > 1 && label.ends_with('.')),
            None => host == pattern,
        };
        url.scheme() == "https" && url.username().is_empty() && self.entry.endpoints.hosts.iter().any(allowed)
    }

    /// The headers that go with every call.
    pub(super) fn headers(&self, variables: &Variables<'_>) -> Vec<(String, String)> {
        let headers = self.entry.headers.iter();
        let value = |value: &Template| value.plain(variables).ok().filter(|text| !text.is_empty());
        headers.filter_map(|(name, template)| Some((name.clone(), value(template)?))).collect()
    }

    /// As [`Provider::headers`], for a call that no token goes along with.
    pub(super) fn plain_headers(&self) -> Vec<(String, String)> {
        self.headers(&self.variables("", &Answer::new(Map::new(), [])))
    }

    /// What must not come up in a log when this credential is presented.
    pub(super) fn secrets(&self, presented: &str) -> Vec<String> {
        let settings = self.values.values().filter_map(|value| match value {
            Setting::Secret(text) => Some(text.as_str()),
            _ => None,
        });
        std::iter::once(presented).chain(self.secret()).chain(settings).map(str::to_owned).collect()
    }

    /// Where the discovery document is.
    pub(super) fn discovery_url(&self) -> Option<String> {
        if let Some(discovery) = &self.entry.discovery {
            return self.fixed(discovery).ok();
        }
        let issuer = self.entry.issuer.as_ref().and_then(|issuer| self.fixed_text(issuer).ok())?;
        Some(format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/')))
    }

    /// Whether a discovery document is this provider's (OpenID Connect Discovery §4.3): whoever may write the document of
    /// another issuer could sign as that one. An entry that names no issuer takes its document's word for it.
    pub(super) fn is_own_document(&self, issuer: &str) -> bool {
        self.entry.issuer.is_none() || self.issuers.iter().any(|own| own == issuer)
    }

    /// The issuers that may stand in this JWT. `document` is what the discovery document says, where the entry names none:
    /// one for many tenants has a placeholder, which no token has, and the entry says what stands there.
    pub(super) fn issuers_for(&self, jwt: &str, document: Option<&str>) -> Vec<String> {
        match document {
            Some(issuer) if !issuer.contains('{') => return vec![issuer.to_owned()],
            _ => {}
        }
        let mut issuers = self.issuers.clone();
        let mut of_claims = self.entry.issuers.iter().filter(|issuer| issuer.needs_an_answer()).peekable();
        if of_claims.peek().is_some()
            && let Some(jwt) = Jwt::parse(jwt)
        {
            let claims = Answer::new(jwt.claims, [("settings".to_owned(), self.shown_settings())]);
            issuers.extend(of_claims.filter_map(|issuer| issuer.plain(&self.variables("", &claims)).ok()));
        }
        issuers
    }

    /// Whether an answer that names its issuer (RFC 9207) is this provider's.
    pub(super) fn is_issuer(&self, issuer: &str) -> bool {
        let unknown = self.entry.issuer.is_none() || self.entry.issuers.iter().any(Template::needs_an_answer);
        unknown || self.issuers.iter().any(|own| own == issuer)
    }
}

/// The settings `public_key` and `algorithm` of an entry that has them.
fn given_key(entry: &Entry, values: &BTreeMap<String, Setting>) -> Result<Option<(KeySet, Vec<Algorithm>)>, String> {
    let text = |name: &str| values.get(name).map(Setting::text).filter(|text| !text.is_empty());
    let Some(key) = text("public_key") else { return Ok(None) };
    let key = KeySet::of_public_key(key).ok_or("`public_key` is not a public key in base64 (SubjectPublicKeyInfo)")?;
    let Some(name) = text("algorithm") else { return Ok(Some((key, entry.id_token.algorithms.clone()))) };
    let algorithm = name.parse().ok().filter(|algorithm| DEFAULT_ALGORITHMS.contains(algorithm));
    let algorithm = algorithm.ok_or_else(|| format!("`algorithm`: {name} is not a way to sign with a public key"))?;
    Ok(Some((key, vec![algorithm])))
}
