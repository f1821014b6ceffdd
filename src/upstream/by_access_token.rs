//! A person by an access token: who it is and for whom the token was made, asked at the same time.

use super::audience::Proof;
use super::person::Known;
use super::{Identified, Provider, ProviderTokens, Upstream, refuse};
use crate::protocol::provider::{AudienceSource, TokenPlace};
use crate::protocol::{OAuthError, Reason};

impl Upstream {
    pub(super) async fn by_access_token(&self, provider: &Provider, token: &str) -> Result<Identified, OAuthError> {
        if !provider.entry.takes_access_tokens() {
            return Err(refuse::access_token_is_not_enough(provider));
        }
        let entry = &provider.entry;
        let (person, proof) = match provider.audience() {
            // The token says by itself who it is, to whoever has verified it.
            Some(check) if entry.access_token.place == TokenPlace::Itself => {
                let proof = self.prove_audience(provider, check, token).await?;
                let known = Known { id_token: proof.claims.clone(), ..Known::default() };
                (self.person_of_known(provider, &known)?, proof)
            }
            Some(check) => {
                let known = Known::default();
                let (person, proof) =
                    tokio::join!(self.person(provider, token, &known), self.prove_audience(provider, check, token));
                match (person, proof) {
                    (Ok(person), Ok(_)) if check.source == AudienceSource::Profile => {
                        let said = || "no audience in the answers about the person".to_owned();
                        let proof = self.audience_in(provider, check, &person.answer, said)?;
                        (person, proof)
                    }
                    (Ok(person), Ok(proof)) => (person, proof),
                    (Err(one), Err(other)) => return Err(more_telling(one, other)),
                    (Err(error), _) | (_, Err(error)) => return Err(error),
                }
            }
            None if provider.settings.accept_unverified_audience => {
                (self.person(provider, token, &Known::default()).await?, Proof::default())
            }
            None => return Err(refuse::unproven_audience(provider)),
        };
        let profile = person.profile;
        let asks_subject = provider.audience().is_some_and(|check| check.subject.is_some());
        if asks_subject && proof.subject.as_deref() != Some(profile.uid.as_str()) {
            return Err(refuse::two_people(provider));
        }
        let expires_at = proof.expires_at;
        let tokens = ProviderTokens { access_token: Some(token.to_owned()), expires_at, ..ProviderTokens::default() };
        Ok(Identified { profile, tokens, expires_at, once: None })
    }
}

/// Of two refusals the one that tells more: a foreign token is a foreign token also while user info is down.
fn more_telling(one: OAuthError, other: OAuthError) -> OAuthError {
    let rank = |error: &OAuthError| match error.reason {
        Some(Reason::ForeignAudience) => 0,
        Some(Reason::ProviderMisconfigured) => 1,
        Some(Reason::TokenExpired) => 2,
        Some(Reason::TokenRejected) => 3,
        Some(Reason::ProviderUnreachable) => 5,
        _ => 4,
    };
    if rank(&other) < rank(&one) { other } else { one }
}
