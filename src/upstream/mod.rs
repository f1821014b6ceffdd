//! The only room that calls providers: from what a client presents to who it is.
//!
//! Three ways lead to an [`Identified`]: an access token (`by_access_token`), an ID token (`by_id_token`), an
//! authorization code (`by_code`). What differs between providers is in their entries (`catalog`), so no code here knows
//! one by name. Every call goes through `outbound`; every refusal is in `refuse`.
//!
//! Not here: who of our users that is (`identity::link`), and anything stored.

mod begin;
mod by_access_token;
mod by_code;
mod by_id_token;
mod catalog;
mod client_documents;
mod guard;
mod keys;
mod outbound;
mod refuse;
mod remember;
#[cfg(feature = "saml")]
pub mod saml;

use std::collections::BTreeMap;
use std::fmt;

use reqwest::Method;
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;

use crate::clock::Clock;
use crate::protocol::jose;
use crate::protocol::key_set::KeySet;
use crate::protocol::provider::{Entry, Protocol, Variables};
use crate::protocol::secret::is_ours;
use crate::protocol::{OAuthError, Profile};
use crate::settings::{ProviderSettings, Settings};

pub use begin::Departure;
use by_code::Redemption;
pub use catalog::{CatalogLine, catalog_names, entry_keys};
use client_documents::ClientDocuments;
pub use client_documents::Undelivered;
use keys::{Cached, Discovery, Unusable};
use outbound::{Call, Outbound};
use remember::Remembered;

/// No token of any provider is longer; header lines of servers end at half of it.
const MAX_TOKEN_BYTES: usize = 16 * 1024;

/// Every provider, and the way to it. Built once.
pub struct Upstream {
    outbound: Outbound,
    clock: Clock,
    providers: BTreeMap<String, Provider>,
    lines: Vec<CatalogLine>,
    remembered: Remembered,
    clients: ClientDocuments,
}

/// An enabled provider: its entry, our settings there, and what it published.
pub struct Provider {
    /// The catalog's entry with the operator's keys over it.
    pub entry: Entry,
    /// `[providers.NAME]`
    pub settings: ProviderSettings,
    client_ids: Vec<String>,
    issuers: Vec<String>,
    extra: BTreeMap<String, String>,
    /// A place for each call that may run at once.
    lane: Semaphore,
    discovery: Cached<Discovery>,
    keys: Cached<KeySet>,
}

/// What a client presents.
#[derive(Clone, Debug)]
pub struct Presented {
    /// A token or a code.
    pub credential: Credential,
    /// The nonce of the authentication request, which the ID token must have.
    pub nonce: Option<String>,
}

/// A token or a code. `Debug` shows neither.
#[derive(Clone)]
pub enum Credential {
    /// An access token or an ID token.
    Token(String),
    /// An authorization code, with what its redemption needs.
    Code {
        /// The code.
        code: String,
        /// The redirect URI of the authorization request.
        redirect_uri: Option<String>,
        /// PKCE (RFC 7636).
        code_verifier: Option<String>,
    },
}

/// Who it is.
#[derive(Clone, Debug)]
pub struct Identified {
    /// What the provider says of the person.
    pub profile: Profile,
    /// The tokens that came along.
    pub tokens: ProviderTokens,
    /// When what was presented ends, in seconds since 1970, if the provider says so.
    pub expires_at: Option<i64>,
}

/// A provider's tokens. Stored sealed; `Debug` shows none.
#[derive(Clone, Default, Deserialize, PartialEq, Eq, Serialize)]
#[serde(default)]
pub struct ProviderTokens {
    /// For the provider's API.
    pub access_token: Option<String>,
    /// For a new access token.
    pub refresh_token: Option<String>,
    /// A JWT about the person.
    pub id_token: Option<String>,
    /// How the access token is used, as the provider says.
    pub token_type: Option<String>,
    /// What the access token may, as the provider says.
    pub scope: Option<String>,
    /// When the access token ends, in seconds since 1970.
    pub expires_at: Option<i64>,
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Token(_) => "Token(hidden)",
            Self::Code { .. } => "Code(hidden)",
        })
    }
}

impl ProviderTokens {
    /// The form that is sealed and stored.
    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }
}

impl fmt::Debug for ProviderTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProviderTokens").field("expires_at", &self.expires_at).finish_non_exhaustive()
    }
}

impl Upstream {
    /// Reads the catalog and the configuration, and builds the client.
    ///
    /// # Errors
    /// One line that names the key that is wrong.
    pub fn new(settings: &Settings, clock: Clock) -> Result<Self, String> {
        let (providers, lines) = catalog::read(settings)?;
        let remembered = Remembered::new(settings.tokens.provider_token_ttl);
        let outbound = Outbound::new(&settings.outbound)?;
        Ok(Self { outbound, clock, providers, lines, remembered, clients: ClientDocuments::default() })
    }

    /// The enabled provider of this name, letter by letter.
    pub fn provider(&self, name: &str) -> Option<&Provider> {
        self.providers.get(name)
    }

    /// Every enabled provider, by name.
    pub fn providers(&self) -> impl Iterator<Item = &Provider> {
        self.providers.values()
    }

    /// Every known provider, by name.
    pub fn catalog(&self) -> impl Iterator<Item = CatalogLine> {
        self.lines.iter().cloned()
    }

    /// Who presents this.
    ///
    /// # Errors
    /// A refusal with its reason. 400 `invalid_request` for what is no token at all; nothing is called for that.
    pub async fn identify(&self, provider: &Provider, presented: &Presented) -> Result<Identified, OAuthError> {
        let nonce = presented.nonce.as_deref();
        match &presented.credential {
            Credential::Token(token) => self.by_token(provider, token, nonce).await,
            Credential::Code { code, redirect_uri, code_verifier } => {
                must_be_fit("code", code)?;
                if let Some(verifier) = code_verifier {
                    must_be_fit("code_verifier", verifier)?;
                }
                let (redirect_uri, code_verifier) = (redirect_uri.as_deref(), code_verifier.as_deref());
                if redirect_uri.is_some_and(|uri| uri.len() > MAX_TOKEN_BYTES || uri.chars().any(char::is_control)) {
                    return Err(refuse::unfit("redirect_uri", "is too long or has control characters"));
                }
                self.by_code(provider, Redemption { code, redirect_uri, code_verifier, nonce }).await
            }
        }
    }

    async fn by_token(&self, provider: &Provider, token: &str, nonce: Option<&str>) -> Result<Identified, OAuthError> {
        must_be_fit("token", token)?;
        if is_ours(token) {
            return Err(refuse::own_token(provider));
        }
        if provider.entry.code_prefixes.iter().any(|prefix| token.starts_with(prefix)) {
            return Err(refuse::code_as_token(provider));
        }
        if jose::looks_like_jwt(token) {
            if !provider.entry.takes_id_tokens() {
                return Err(refuse::no_id_tokens(provider));
            }
            if !jose::is_access_token(token) {
                return self.by_id_token(provider, token, nonce).await;
            }
        }
        // A nonce that nobody can look for must not pass as one that was found.
        if nonce.is_some() {
            return Err(refuse::nonce_without_id_token(provider));
        }
        self.by_access_token(provider, token).await
    }

    /// Whether a provider can be worked with, for `vestibule check`: one sentence, good or bad.
    ///
    /// # Errors
    /// The sentence that says what is wrong.
    pub async fn check(&self, provider: &Provider) -> Result<String, String> {
        let wrong = |what: &str, error: Unusable| format!("{}: {what}: {error}", provider.name());
        let now = self.clock.now();
        if provider.entry.takes_id_tokens() {
            if provider.entry.endpoints.userinfo.is_none() || provider.entry.endpoints.jwks.is_none() {
                let found = keys::discovery(&self.outbound, provider, now).await;
                found.map_err(|error| wrong("the discovery document", error))?;
            }
            let keys =
                keys::keys(&self.outbound, provider, now).await.map_err(|error| wrong("the signing keys", error))?;
            return Ok(format!("{}: {} signing keys read", provider.name(), keys.len()));
        }
        let endpoint = provider.entry.endpoints.userinfo.as_ref();
        let endpoint = endpoint.ok_or_else(|| format!("{}: `endpoints.userinfo` is not set", provider.name()))?;
        // Without a token any answer will do: it shows that somebody is there.
        let url = endpoint.url(&provider.variables(""));
        let call = Call { method: Method::GET, headers: provider.headers(), ..Call::get(url) };
        let answer = self.outbound.call(&provider.lane, call).await;
        let answer = answer.map_err(|failure| format!("{}: user info: {failure}", provider.name()))?;
        if answer.status >= 500 {
            return Err(format!("{}: user info answers {}", provider.name(), answer.status));
        }
        Ok(format!("{}: user info can be reached", provider.name()))
    }
}

impl Provider {
    /// `None`: not enabled.
    fn new(
        entry: Entry,
        settings: ProviderSettings,
        extra: BTreeMap<String, String>,
        max_concurrent_calls: usize,
    ) -> Result<Option<Self>, String> {
        let Some(client_id) = settings.client_id.clone() else { return Ok(None) };
        let empty = |text: &String| text.trim().is_empty();
        if empty(&client_id) || settings.client_ids.iter().any(empty) {
            return Err("`client_id` and `client_ids` must not be empty".into());
        }
        let secret = settings.client_secret.as_ref().map(|secret| secret.reveal()).unwrap_or_default();
        if secret.is_empty() && entry.needs_client_secret() {
            return Err("`client_secret` is not set, and every sign-in needs it".into());
        }
        if entry.protocol == Protocol::Oidc && entry.issuer.is_none() {
            return Err("`issuer` is not set".into());
        }
        if let Some(name) = entry.settings.keys().find(|name| !extra.contains_key(*name)) {
            return Err(format!("`{name}` is not set"));
        }
        let client_ids = std::iter::once(client_id).chain(settings.client_ids.iter().cloned()).collect();
        Ok(Some(Self {
            issuers: entry.accepted_issuers(),
            client_ids,
            extra,
            lane: Semaphore::new(max_concurrent_calls.clamp(1, Semaphore::MAX_PERMITS)),
            discovery: Cached::default(),
            keys: Cached::default(),
            entry,
            settings,
        }))
    }

    /// The backend name.
    pub fn name(&self) -> &str {
        &self.entry.name
    }

    /// The name that people know it by.
    pub fn title(&self) -> &str {
        &self.entry.title
    }

    /// What it speaks.
    pub fn protocol(&self) -> Protocol {
        self.entry.protocol
    }

    fn client_id(&self) -> &str {
        self.client_ids.first().map(String::as_str).unwrap_or_default()
    }

    fn secret(&self) -> Option<&str> {
        self.settings.client_secret.as_ref().map(|secret| secret.reveal()).filter(|secret| !secret.is_empty())
    }

    fn variables<'a>(&'a self, token: &'a str) -> Variables<'a> {
        let client_secret = self.secret().unwrap_or_default();
        Variables { token, client_id: self.client_id(), client_secret, settings: &self.extra }
    }

    fn headers(&self) -> Vec<(String, String)> {
        self.entry.headers.iter().map(|(name, value)| (name.clone(), value.clone())).collect()
    }

    /// What must not come up in a log when this credential is presented.
    fn secrets(&self, presented: &str) -> Vec<String> {
        std::iter::once(presented).chain(self.secret()).map(str::to_owned).collect()
    }
}

/// Whether a text can be a token: printable ASCII without blanks (RFC 6749 appendix A), and not longer than 16 KiB.
fn is_fit(text: &str) -> bool {
    !text.is_empty() && text.len() <= MAX_TOKEN_BYTES && text.bytes().all(|byte| byte.is_ascii_graphic())
}

fn must_be_fit(field: &'static str, text: &str) -> Result<(), OAuthError> {
    if is_fit(text) {
        return Ok(());
    }
    Err(refuse::unfit(
        field,
        if text.is_empty() {
            "is empty"
        } else if text.len() > MAX_TOKEN_BYTES {
            "is longer than 16 KiB"
        } else {
            "has blanks, control characters or letters beyond ASCII, which no token or code has"
        },
    ))
}

#[cfg(test)]
mod tests;
