//! Where a browser is sent to sign in at a provider (RFC 6749 §4.1.1, RFC 7636, OpenID Connect Core §3.1.2.1).

use super::{Provider, Upstream, keys, refuse};
use crate::protocol::OAuthError;

/// What goes along with the browser, for one sign-in. No `Debug`: the state binds the browser.
#[derive(Clone, Copy)]
pub struct Departure<'a> {
    /// Where the provider sends the browser back to.
    pub redirect_uri: &'a str,
    /// Comes back with it.
    pub state: &'a str,
    /// Comes back in the ID token.
    pub nonce: &'a str,
    /// S256 of the verifier with which the code is redeemed.
    pub code_challenge: &'a str,
}

impl Provider {
    /// Whether a browser can be sent there.
    pub fn has_browser_flow(&self) -> bool {
        self.entry.endpoints.authorize.is_some() || self.entry.discovery_url().is_some()
    }

    /// Whether an answer that names its issuer (RFC 9207) is this provider's.
    pub fn is_issuer(&self, issuer: &str) -> bool {
        self.issuers.is_empty() || self.issuers.iter().any(|own| own == issuer)
    }
}

impl Upstream {
    /// The address of the provider's sign-in page.
    ///
    /// # Errors
    /// The provider's discovery document cannot be had, or does not say.
    pub async fn authorization_url(&self, provider: &Provider, going: Departure<'_>) -> Result<String, OAuthError> {
        let endpoint = match &provider.entry.endpoints.authorize {
            Some(template) => template.url(&provider.variables("")),
            None => {
                let found = keys::discovery(&self.outbound, provider, self.clock.now()).await;
                let document = found.map_err(|error| error.refusal(provider))?;
                let missing = || refuse::misconfigured(provider, "no authorization endpoint is known".into());
                document.authorization_endpoint.clone().ok_or_else(missing)?
            }
        };
        let rule = &provider.entry.scope;
        let mut scope = rule.default.clone();
        scope.extend(provider.settings.scope.iter().filter(|word| !rule.default.contains(word)).cloned());
        let mut members = vec![
            ("response_type", "code"),
            ("client_id", provider.client_id()),
            ("redirect_uri", going.redirect_uri),
            ("state", going.state),
            ("code_challenge", going.code_challenge),
            ("code_challenge_method", "S256"),
        ];
        if provider.entry.takes_id_tokens() {
            members.push(("nonce", going.nonce));
        }
        let scope = scope.join(&rule.separator);
        if !scope.is_empty() {
            members.push(("scope", &scope));
        }
        let mut url = reqwest::Url::parse(&endpoint)
            .map_err(|_| refuse::misconfigured(provider, "its authorization endpoint is no address".into()))?;
        url.query_pairs_mut().extend_pairs(members);
        Ok(url.to_string())
    }
}
