//! A person by an authorization code, redeemed with our own credentials (RFC 6749 §4.1.3, RFC 7636).
//!
//! That the provider redeems it for us proves that it was made for us, so no audience check is needed.

use super::person::Known;
use super::{Identified, Provider, Upstream, quirk, refuse};
use crate::protocol::OAuthError;
use crate::protocol::provider::TokenPlace;

/// What of a code's request the client knows.
pub(super) struct Redemption<'a> {
    pub code: &'a str,
    pub redirect_uri: Option<&'a str>,
    pub code_verifier: Option<&'a str>,
    pub nonce: Option<&'a str>,
    /// What came beside the code.
    pub known: Known,
}

impl Upstream {
    pub(super) async fn by_code(
        &self,
        provider: &Provider,
        redemption: Redemption<'_>,
    ) -> Result<Identified, OAuthError> {
        let Redemption { code, redirect_uri, code_verifier, nonce, mut known } = redemption;
        let granted = self.redeem(provider, code, redirect_uri, code_verifier, &known).await?;
        let (mut tokens, entry) = (granted.tokens, &provider.entry);
        known.token_answer = granted.answer;
        let id_token = tokens.id_token.as_deref().filter(|_| entry.takes_id_tokens());
        match id_token {
            Some(id_token) => {
                let verified = self.verify(provider, id_token, nonce).await?;
                let beside = tokens.access_token.as_deref().filter(|token| *token != id_token);
                if entry.id_token.at_hash && beside.is_some_and(|token| !verified.goes_with(token)) {
                    return Err(refuse::id_token_rejected(provider, "it was issued with another access token"));
                }
                known.id_token = verified.claims;
            }
            None if nonce.is_some() && entry.authorize.nonce != Some(false) => {
                return Err(refuse::nonce_without_id_token(provider));
            }
            None => {}
        }
        let told = id_token.is_some() && entry.id_token.complete;
        let person = match (tokens.access_token.as_deref(), entry.access_token.place, provider.audience()) {
            (Some(token), TokenPlace::Itself, Some(check)) => {
                known.id_token = self.prove_audience(provider, check, token).await?.claims;
                self.person_of_known(provider, &known)?
            }
            (Some(token), place, _) if !told && place != TokenPlace::Nowhere && self.can_ask(provider).await? => {
                self.person(provider, token, &known).await?
            }
            _ => self.person_of_known(provider, &known)?,
        };
        let expires_at = tokens.expires_at;
        tokens.kept = quirk::kept(provider, &known);
        Ok(Identified { profile: person.profile, tokens, expires_at, once: None })
    }
}
