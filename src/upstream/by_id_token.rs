//! A person by their ID token: verified here, against keys that are in memory (OpenID Connect Core §3.1.3.7).

use super::keys::{discovery, keys, newer_keys};
use super::person::Known;
use super::{Identified, Provider, ProviderTokens, Upstream, refuse};
use crate::protocol::OAuthError;
use crate::protocol::jose::{Expected, IdTokenError, LEEWAY, UnverifiedIdToken, VerifiedIdToken};
use crate::protocol::key_set::KeySet;
use crate::protocol::provider::NonceForm;

impl Upstream {
    pub(super) async fn by_id_token(
        &self,
        provider: &Provider,
        token: &str,
        nonce: Option<&str>,
    ) -> Result<Identified, OAuthError> {
        let verified = self.verify(provider, token, nonce).await?;
        let known = Known { id_token: verified.claims, ..Known::default() };
        let person = self.person_of_known(provider, &known)?;
        let tokens = ProviderTokens { id_token: Some(token.to_owned()), ..ProviderTokens::default() };
        Ok(Identified { profile: person.profile, tokens, expires_at: Some(verified.expires_at), once: None })
    }

    /// An ID token that was signed for us, and what the entry demands of it beside.
    pub(super) async fn verify(
        &self,
        provider: &Provider,
        token: &str,
        nonce: Option<&str>,
    ) -> Result<VerifiedIdToken, OAuthError> {
        let now = self.clock.now();
        let verified = self.verify_signed(provider, token, nonce, now).await?;
        if provider.entry.id_token.max_age.is_some_and(|max_age| is_older(&verified, now, max_age)) {
            return Err(refuse::token_expired(provider));
        }
        Ok(verified)
    }

    /// The issuers that may stand in this JWT.
    pub(super) async fn issuers(&self, provider: &Provider, jwt: &str) -> Result<Vec<String>, OAuthError> {
        if provider.entry.issuer.is_some() {
            return Ok(provider.issuers_for(jwt, None));
        }
        let found = discovery(&self.outbound, provider, self.clock.now()).await;
        let document = found.map_err(|error| error.refusal(provider))?;
        Ok(provider.issuers_for(jwt, Some(&document.issuer)))
    }

    async fn verify_signed(
        &self,
        provider: &Provider,
        token: &str,
        nonce: Option<&str>,
        now: i64,
    ) -> Result<VerifiedIdToken, OAuthError> {
        let rule = &provider.entry.id_token;
        let issuers = self.issuers(provider, token).await?;
        let expected = Expected {
            issuers: &issuers,
            client_ids: &provider.client_ids,
            algorithms: &rule.algorithms,
            client_secret: provider.secret(),
            nonce,
            nonce_hashed: rule.nonce == NonceForm::Sha256,
            now,
        };
        let refuse = |error| refusal(provider, error);
        let parse = || UnverifiedIdToken::parse(token, &expected).map_err(refuse);
        let parsed = parse()?;
        if parsed.is_symmetric() {
            return parsed.verify(&KeySet::default(), &expected).map_err(refuse);
        }
        let known = keys(&self.outbound, provider, now).await.map_err(|error| error.refusal(provider))?;
        match parsed.verify(&known, &expected) {
            // The provider may have changed its keys a moment ago.
            Err(IdTokenError::UnknownKey { .. }) => {
                let newer = newer_keys(&self.outbound, provider, now).await.map_err(|error| error.refusal(provider))?;
                parse()?.verify(&newer, &expected).map_err(refuse)
            }
            other => other.map_err(refuse),
        }
    }
}

/// Whether it was issued longer ago than its provider's entry takes.
fn is_older(verified: &VerifiedIdToken, now: i64, max_age: i64) -> bool {
    let issued_at = verified.claims.get("iat").and_then(serde_json::Value::as_i64);
    issued_at.is_none_or(|at| now.saturating_sub(at) > max_age.saturating_add(LEEWAY))
}

fn refusal(provider: &Provider, error: IdTokenError) -> OAuthError {
    let rejected = |why: &str| refuse::id_token_rejected(provider, why);
    match error {
        IdTokenError::NotAJwt => refuse::not_an_id_token(provider),
        IdTokenError::WrongIssuer => refuse::other_issuer(provider),
        IdTokenError::ForeignAudience => refuse::foreign_audience(provider),
        IdTokenError::Expired => refuse::token_expired(provider),
        IdTokenError::NonceMismatch => refuse::nonce_mismatch(provider),
        IdTokenError::AlgorithmRefused => rejected("its algorithm is not one that this provider signs with"),
        IdTokenError::UnknownKey { .. } => rejected("the provider publishes no key that it names"),
        IdTokenError::BadSignature => rejected("the signature is wrong"),
        IdTokenError::Malformed(_) => rejected("a claim is missing or malformed"),
        IdTokenError::NotYetValid => rejected("it is not valid yet"),
    }
}
