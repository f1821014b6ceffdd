//! The only room that calls providers: whom does this token or code speak for, and was it issued to us?
//!
//! An access token is asked about at the provider: for the profile, and at the same time for the client that it was issued
//! to. An ID token is verified here, by keys that are kept. A code is redeemed with our credentials. All three end in a
//! [`Profile`]. What went wrong is said in `refuse`.
//! Not here: whose account that is (`identity::link`). Nothing here is stored.

mod by_access_token;
mod by_code;
mod by_id_token;
mod catalog;
mod keys;
mod outbound;
mod refuse;
mod remember;

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::Semaphore;
use vestibule_protocol::provider::{Entry, Variables};
use vestibule_protocol::{OAuthError, Profile, jose, secret};

pub use catalog::{CatalogLine, catalog_names, entry_keys};
use outbound::{Answer, Call, Outbound};
use refuse::Trouble;

use crate::clock::Clock;
use crate::settings::{ProviderSettings, Settings};

/// All providers, and the way to them.
pub struct Upstream {
    providers: BTreeMap<String, Provider>,
    outbound: Outbound,
    clock: Clock,
    remembered: remember::Remembered,
}

/// A provider: its entry, the operator's settings, and what is known of it.
pub struct Provider {
    pub(crate) entry: Entry,
    /// The operator's settings.
    pub settings: ProviderSettings,
    enabled: bool,
    client_ids: Vec<String>,
    gate: Semaphore,
    known: keys::Known,
}

/// What a client presents.
pub struct Presented {
    /// A token or a code.
    pub credential: Credential,
    /// The nonce that the client sent to the provider, to be found in the ID token.
    pub nonce: Option<String>,
}

/// A token or a code. It has no `Debug`.
pub enum Credential {
    /// An access token or an ID token.
    Token(String),
    /// An authorization code, with what belongs to it.
    Code {
        /// The code.
        code: String,
        /// The redirect URI that it was sent to.
        redirect_uri: Option<String>,
        /// The verifier of RFC 7636.
        code_verifier: Option<String>,
    },
}

/// An account at a provider, shown to be the presenter's.
#[derive(Debug)]
pub struct Identified {
    /// Whose it is.
    pub profile: Profile,
    /// The provider's tokens, to be kept sealed.
    pub tokens: ProviderTokens,
    /// When what was presented expires, in seconds since 1970.
    pub expires_at: Option<i64>,
}

/// The tokens that a provider issued. `Debug` shows none.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProviderTokens {
    /// For the provider's API.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access_token: Option<String>,
    /// For more of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refresh_token: Option<String>,
    /// What it said of the person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id_token: Option<String>,
    /// What they are good for there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<String>,
}

impl ProviderTokens {
    /// The form that is sealed and stored.
    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }
}

impl fmt::Debug for ProviderTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ProviderTokens(hidden)")
    }
}

/// The longest token or code that is looked at, in bytes.
const MAX_LENGTH: usize = 16 * 1024;

impl Upstream {
    /// Reads the catalog and lays the configuration over it.
    ///
    /// # Errors
    /// One line that names the key which is wrong.
    pub fn new(settings: &Settings, clock: Clock) -> Result<Self, String> {
        Ok(Self {
            providers: catalog::load(settings)?,
            outbound: Outbound::new(&settings.outbound)?,
            clock,
            remembered: remember::Remembered::new(settings.tokens.provider_token_ttl),
        })
    }

    /// An enabled provider, by its name written exactly so.
    pub fn provider(&self, name: &str) -> Option<&Provider> {
        self.providers.get(name).filter(|provider| provider.enabled)
    }

    /// The enabled providers, by name.
    pub fn providers(&self) -> impl Iterator<Item = &Provider> {
        self.providers.values().filter(|provider| provider.enabled)
    }

    /// Every provider that there is.
    pub fn catalog(&self) -> impl Iterator<Item = CatalogLine> {
        self.providers.values().map(Provider::line)
    }

    /// Whom this token or code speaks for.
    ///
    /// # Errors
    /// A refusal with its [`vestibule_protocol::Reason`]: 400 for what is the presenter's or the person's, 502 to 504 for
    /// what is the provider's or the operator's.
    pub async fn identify(&self, provider: &Provider, presented: &Presented) -> Result<Identified, OAuthError> {
        let nonce = presented.nonce.as_deref();
        let outcome = match &presented.credential {
            Credential::Token(token) => self.by_token(provider, token, nonce).await,
            Credential::Code { code, redirect_uri, code_verifier } => {
                by_code::identify(self, provider, code, redirect_uri.as_deref(), code_verifier.as_deref(), nonce).await
            }
        };
        outcome.map_err(|trouble| trouble.refusal(provider))
    }

    async fn by_token(&self, provider: &Provider, token: &str, nonce: Option<&str>) -> Result<Identified, Trouble> {
        check_text(token)?;
        if secret::is_ours(token) {
            return Err(Trouble::WrongKind(
                "This is a token of this server's own; it needs no conversion. Send the backend's token.",
            ));
        }
        if provider.entry.code_prefixes.iter().any(|prefix| token.starts_with(prefix)) {
            return Err(Trouble::WrongKind(
                "This is an authorization code, not a token: send it as `code`, with its `redirect_uri`.",
            ));
        }
        match jose::looks_like_jwt(token) && !jose::is_access_token(token) {
            true if provider.entry.takes_id_tokens() => by_id_token::identify(self, provider, token, nonce).await,
            true if provider.entry.protocol == vestibule_protocol::provider::Protocol::Oauth2 => {
                Err(Trouble::WrongKind(
                    "This is an ID token, and this backend takes access tokens or codes only. Is it another backend's?",
                ))
            }
            _ => by_access_token::identify(self, provider, token).await,
        }
    }

    /// Whether a provider can be worked with, in one sentence.
    ///
    /// # Errors
    /// Why it cannot, for the operator.
    pub async fn check(&self, provider: &Provider) -> Result<String, String> {
        if provider.settings.client_secret.is_none()
            && provider.entry.audience.as_ref().is_some_and(|audience| audience.basic)
        {
            return Err(format!(
                "providers.{}.client_secret: is missing; without it no token can be checked",
                provider.name()
            ));
        }
        if provider.entry.takes_id_tokens() {
            let (keys, _) = self.keys(provider, keys::Wanted::Any).await.map_err(|trouble| trouble.to_string())?;
            return Ok(format!("{} keys for ID tokens", keys.len()));
        }
        let Some(audience) = &provider.entry.audience else {
            return Ok("nothing that could be asked without a token".to_owned());
        };
        // Any answer shows that the address, its name and its certificate are good.
        let call = Call::get(audience.url.url(&provider.variables("")));
        let answer = self.ask(provider, call).await.map_err(|trouble| trouble.to_string())?;
        Ok(format!("answers ({})", answer.status))
    }

    async fn ask(&self, provider: &Provider, call: Call<'_>) -> Result<Answer, Trouble> {
        let answer = self.outbound.call(&provider.gate, call).await?;
        match answer.status {
            429 | 500..=599 => Err(Trouble::BadAnswer(format!("status {}: {}", answer.status, excerpt(&answer.body)))),
            300..=399 => Err(Trouble::BadAnswer(format!("a redirect ({}), which is not followed", answer.status))),
            _ => Ok(answer),
        }
    }
}

impl Provider {
    fn new(entry: Entry, settings: ProviderSettings, enabled: bool, max_calls: usize) -> Self {
        let client_ids =
            settings.client_id.iter().chain(&settings.client_ids).filter(|id| !id.is_empty()).cloned().collect();
        Self {
            entry,
            settings,
            enabled,
            client_ids,
            gate: Semaphore::new(max_calls.max(1)),
            known: keys::Known::default(),
        }
    }

    /// The backend's name on the wire.
    pub fn name(&self) -> &str {
        &self.entry.name
    }

    /// Its name for people.
    pub fn title(&self) -> &str {
        &self.entry.title
    }

    /// `oauth2` or `oidc`.
    pub fn protocol(&self) -> &'static str {
        self.entry.protocol.as_str()
    }

    fn client_id(&self) -> &str {
        self.settings.client_id.as_deref().unwrap_or_default()
    }

    fn client_secret(&self) -> &str {
        self.settings.client_secret.as_ref().map_or("", |secret| secret.reveal())
    }

    fn variables(&self, token: &str) -> Variables {
        Variables::new(self.client_id(), self.client_secret(), token, &self.entry.settings)
    }

    fn is_our_client(&self, id: &str) -> bool {
        self.client_ids.iter().any(|own| own == id)
    }
}

/// What no token or code holds, and what could reach beyond its place in an outgoing header.
fn check_text(text: &str) -> Result<(), Trouble> {
    match text.len() <= MAX_LENGTH && text.bytes().all(|byte| (b'!'..=b'~').contains(&byte)) {
        true => Ok(()),
        false => Err(Trouble::Malformed(
            "The token or code is longer than 16 KiB, or holds blanks, control characters or letters that none has.",
        )),
    }
}

/// The beginning of an answer, for the log. What could be a token or a code, a long run of its letters, is left out.
fn excerpt(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(&body[..body.len().min(300)]).into_owned();
    let of_a_token = |c: char| c.is_ascii_alphanumeric() || "-_.~+/=|".contains(c);
    text.split_inclusive(|c| !of_a_token(c)).map(|run| if run.len() > 24 { "… " } else { run }).collect()
}

/// An answer that is an object with something in it.
fn object(body: &[u8]) -> Result<Value, Trouble> {
    keys::object(body).ok_or_else(|| Trouble::BadAnswer(format!("no JSON object: {}", excerpt(body))))
}

#[cfg(test)]
mod tests {
    use super::excerpt;

    #[test]
    fn an_excerpt_for_the_log_holds_no_token() {
        // attack 223
        let body = br#"{"error": "invalid_grant", "token": "ya29.a0AfH6SMBx-0123456789abcdefghij"}"#;

        assert_eq!(excerpt(body), r#"{"error": "invalid_grant", "token": "… }"#);
    }
}
