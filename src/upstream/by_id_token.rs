//! A person by their ID token: verified here, against keys that are in memory (OpenID Connect Core §3.1.3.7).

use super::keys::{keys, newer_keys};
use super::{Identified, Provider, ProviderTokens, Upstream, refuse};
use crate::protocol::OAuthError;
use crate::protocol::jose::{Expected, IdTokenError, UnverifiedIdToken, VerifiedIdToken};
use crate::protocol::key_set::KeySet;
use crate::protocol::provider::NonceForm;
use crate::protocol::provider::claims::Answer;

impl Upstream {
    pub(super) async fn by_id_token(
        &self,
        provider: &Provider,
        token: &str,
        nonce: Option<&str>,
    ) -> Result<Identified, OAuthError> {
        let verified = self.verify(provider, token, nonce).await?;
        let answer = Answer::new(
            verified.claims,
            provider.entry.profile.iter().map(|further| (further.name.clone(), serde_json::Value::Null)),
        );
        let profile = provider
            .entry
            .claims
            .profile(&answer)
            .map_err(|error| refuse::profile_incomplete(provider, format!("ID token: {error}")))?;
        let tokens = ProviderTokens { id_token: Some(token.to_owned()), ..ProviderTokens::default() };
        Ok(Identified { profile, tokens, expires_at: Some(verified.expires_at) })
    }

    async fn verify(
        &self,
        provider: &Provider,
        token: &str,
        nonce: Option<&str>,
    ) -> Result<VerifiedIdToken, OAuthError> {
        let rule = &provider.entry.id_token;
        let now = self.clock.now();
        let expected = Expected {
            issuers: &provider.issuers,
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
