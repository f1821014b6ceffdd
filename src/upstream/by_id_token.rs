//! An ID token: verified here, by the provider's keys (OpenID Connect Core §3.1.3.7). Nothing is asked but, now and then,
//! those keys.

use serde_json::Value;
use vestibule_protocol::jose::{Expected, IdTokenError, KeySet, UnverifiedIdToken, VerifiedIdToken};

use super::keys::Wanted;
use super::refuse::Trouble;
use super::{Identified, Provider, ProviderTokens, Upstream};

pub(super) async fn identify(
    upstream: &Upstream,
    provider: &Provider,
    token: &str,
    nonce: Option<&str>,
) -> Result<Identified, Trouble> {
    let verified = verify(upstream, provider, token, nonce).await?;
    let profile = provider.entry.claims.profile(&Value::Object(verified.claims)).map_err(|_| Trouble::NoIdentifier)?;
    let tokens = ProviderTokens { id_token: Some(token.to_owned()), ..ProviderTokens::default() };
    Ok(Identified { profile, tokens, expires_at: Some(verified.expires_at) })
}

/// The claims of a token that is the provider's, for us, and good now.
pub(super) async fn verify(
    upstream: &Upstream,
    provider: &Provider,
    token: &str,
    nonce: Option<&str>,
) -> Result<VerifiedIdToken, Trouble> {
    let expected = Expected {
        issuers: &provider.entry.issuer,
        client_ids: &provider.client_ids,
        algorithms: &provider.entry.id_token.algorithms,
        client_secret: provider.settings.client_secret.as_ref().map(|secret| secret.reveal()),
        nonce,
        nonce_hashed: provider.entry.id_token.nonce_hashed,
        now: upstream.clock.now(),
    };
    let parse = || UnverifiedIdToken::parse(token, &expected).map_err(trouble);
    let unverified = parse()?;
    if unverified.is_symmetric() {
        return unverified.verify(&KeySet::default(), &expected).map_err(trouble);
    }
    let (keys, fetched_at) = upstream.keys(provider, Wanted::Any).await?;
    match unverified.verify(&keys, &expected) {
        Err(IdTokenError::UnknownKey { .. }) => {
            let (keys, _) = upstream.keys(provider, Wanted::NewerThan(fetched_at)).await?;
            parse()?.verify(&keys, &expected).map_err(trouble)
        }
        outcome => outcome.map_err(trouble),
    }
}

fn trouble(error: IdTokenError) -> Trouble {
    match error {
        IdTokenError::NotAJwt => Trouble::WrongKind("This is neither an access token nor an ID token of this backend."),
        IdTokenError::WrongIssuer => Trouble::Rejected("another issuer".to_owned()),
        IdTokenError::ForeignAudience => Trouble::ForeignAudience("the ID token's audience".to_owned()),
        IdTokenError::Expired => Trouble::Expired,
        IdTokenError::NonceMismatch => Trouble::NonceMismatch,
        other => Trouble::Rejected(other.to_string()),
    }
}
