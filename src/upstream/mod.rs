//! The only room that calls providers: from what a client presents to who it is.
//!
//! Three ways lead to an [`Identified`]: an access token (`by_access_token`), an ID token (`by_id_token`), an
//! authorization code (`by_code`). What differs between providers is in their entries (`catalog`), so no code here knows
//! one by name. Every call goes through `outbound`; every refusal is in `refuse`.
//!
//! Not here: who of our users that is (`identity::link`), and anything stored.

mod audience;
mod by_access_token;
mod by_code;
mod by_id_token;
mod cas;
mod catalog;
mod client_documents;
mod guard;
mod journey;
mod keys;
mod oauth1;
mod openid2;
mod outbound;
mod person;
mod provider;
mod quirk;
mod refuse;
mod remember;
#[cfg(feature = "saml")]
pub mod saml;
mod token_endpoint;
mod trial;
mod webhook;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::OnceLock;
use std::time::Duration;

use moka::sync::Cache;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::clock::Clock;
use crate::protocol::jose;
use crate::protocol::jwt::Jwt;
use crate::protocol::provider::{AudienceSource, Protocol, TokenPlace};
use crate::protocol::secret::is_ours;
use crate::protocol::{OAuthError, Profile, TokenDigest};
use crate::settings::Settings;

use by_code::Redemption;
pub use catalog::{CatalogLine, catalog_names, entry_keys, lines};
use client_documents::ClientDocuments;
pub use client_documents::Undelivered;
pub use journey::{Declined, Departure, Going, Return, Unasked};
pub(crate) use journey::{STATES, beside};
use outbound::Outbound;
use person::Known;
pub use provider::Provider;
use remember::Remembered;
pub use trial::{Check, CheckOutcome, Trial};
pub use webhook::WebhookAnswer;
use webhook::Webhooks;

/// No token of any provider is longer; header lines of servers end at half of it.
const MAX_TOKEN_BYTES: usize = 16 * 1024;

/// How many used answers are remembered, and for how long: a Google ID token lives for an hour, all others are shorter.
const MAX_USED: u64 = 100_000;
const USED_FOR: Duration = Duration::from_secs(2 * 3600);

/// Every provider, and the way to it. Built once.
pub struct Upstream {
    outbound: Outbound,
    clock: Clock,
    providers: BTreeMap<String, Provider>,
    remembered: Remembered,
    /// What proved who somebody is and must not do so again.
    used: Cache<(String, TokenDigest), ()>,
    clients: ClientDocuments,
    webhooks: Webhooks,
    /// Read when somebody first looks at it.
    catalog: OnceLock<Vec<CatalogLine>>,
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
        /// What came beside the code, for the entry's `callback`.
        beside: Map<String, Value>,
    },
}

/// Who it is.
#[derive(Clone, Debug, Default)]
pub struct Identified {
    /// What the provider says of the person.
    pub profile: Profile,
    /// The tokens that came along.
    pub tokens: ProviderTokens,
    /// When what was presented ends, in seconds since 1970, if the provider says so.
    pub expires_at: Option<i64>,
    /// What of the answer may be presented once only, and how long a copy of it would be good.
    pub once: Option<(TokenDigest, i64)>,
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
    /// The secret of an OAuth 1.0a token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_secret: Option<String>,
    /// What else a refresh needs, by name.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub kept: Vec<(String, Value)>,
    /// Whether the provider refuses to renew them: the person must sign in again.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub is_ended: bool,
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
    /// Whether there is neither an access token nor an ID token.
    pub fn is_empty(&self) -> bool {
        self.access_token.is_none() && self.id_token.is_none()
    }

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
        let providers = catalog::enabled(settings)?;
        let remembered = Remembered::new(settings.tokens.provider_token_ttl);
        let outbound = Outbound::new(&settings.outbound)?;
        let used = Cache::builder().max_capacity(MAX_USED).time_to_live(USED_FOR).build();
        let (clients, webhooks) = (ClientDocuments::default(), Webhooks::default());
        let catalog = OnceLock::new();
        Ok(Self { outbound, clock, providers, remembered, used, clients, webhooks, catalog })
    }

    /// A line for every provider there is, enabled or not, by name: as they were when this was first asked.
    ///
    /// # Errors
    /// One line that names what is wrong with the operator's files or keys.
    pub fn catalog(&self, settings: &Settings) -> Result<&[CatalogLine], String> {
        match self.catalog.get() {
            Some(lines) => Ok(lines),
            None => {
                let lines = lines(settings)?;
                Ok(self.catalog.get_or_init(|| lines))
            }
        }
    }

    /// The enabled provider of this name, letter by letter.
    pub fn provider(&self, name: &str) -> Option<&Provider> {
        self.providers.get(name)
    }

    /// Every enabled provider, by name.
    pub fn providers(&self) -> impl Iterator<Item = &Provider> {
        self.providers.values()
    }

    /// Who presents this.
    ///
    /// # Errors
    /// A refusal with its reason. 400 `invalid_request` for what is no token at all; nothing is called for that.
    pub async fn identify(&self, provider: &Provider, presented: &Presented) -> Result<Identified, OAuthError> {
        let nonce = presented.nonce.as_deref();
        match &presented.credential {
            Credential::Token(token) => self.by_token(provider, token, nonce).await,
            Credential::Code { code, redirect_uri, code_verifier, beside } => {
                if !provider.protocol().has_codes() {
                    return Err(refuse::no_codes(provider));
                }
                must_be_fit("code", code)?;
                if let Some(verifier) = code_verifier {
                    must_be_fit("code_verifier", verifier)?;
                }
                let (redirect_uri, code_verifier) = (redirect_uri.as_deref(), code_verifier.as_deref());
                if redirect_uri.is_some_and(|uri| uri.len() > MAX_TOKEN_BYTES || uri.chars().any(char::is_control)) {
                    return Err(refuse::unfit("redirect_uri", "is too long or has control characters"));
                }
                let known = Known { callback: beside.clone(), request: beside.clone(), ..Known::default() };
                self.by_code(provider, Redemption { code, redirect_uri, code_verifier, nonce, known }).await
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
        if provider.protocol() == Protocol::Oauth1 {
            return match nonce {
                None => self.by_token_pair(provider, token).await,
                Some(_) => Err(refuse::nonce_without_id_token(provider)),
            };
        }
        if !provider.protocol().has_codes() {
            return Err(refuse::no_tokens(provider));
        }
        if jose::looks_like_jwt(token) && !is_jwt_access_token(provider, token) {
            if !provider.entry.takes_id_tokens() {
                return Err(refuse::no_id_tokens(provider));
            }
            return self.by_id_token(provider, token, nonce).await;
        }
        // A nonce that nobody can look for must not pass as one that was found.
        if nonce.is_some() {
            return Err(refuse::nonce_without_id_token(provider));
        }
        self.by_access_token(provider, token).await
    }
}

/// Whether a JWT is an access token and no ID token: it says so by its type (RFC 9068 §2.1), or the provider's access tokens
/// are JWTs and this one has what only those have.
fn is_jwt_access_token(provider: &Provider, token: &str) -> bool {
    if jose::is_access_token(token) {
        return true;
    }
    let issues_jwts = provider.entry.audience.as_ref().is_some_and(|check| check.source == AudienceSource::Jwt)
        || !provider.entry.takes_id_tokens() && provider.entry.access_token.place != TokenPlace::Nowhere;
    let claims = Jwt::parse(token).map(|jwt| jwt.claims).unwrap_or_default();
    let is = |name: &str, value: &str| claims.get(name).and_then(Value::as_str) == Some(value);
    let of_access_token = ["scope", "scp"].iter().any(|name| claims.contains_key(*name));
    issues_jwts && (of_access_token || is("token_use", "access") || is("typ", "Bearer"))
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
