//! A presented token → who it is: for the layer, verify, introspect and userinfo.
//!
//! One of our own is looked up by its digest, in a cache where that can be believed; a provider's is asked about once and
//! remembered for a short time, and its person is looked up at every request.
//! Not here: how the header is written (`protocol::bearer`), what the answer looks like (`http`).

use std::sync::Arc;

use vestibule_protocol::jwt::Jwt;
use vestibule_protocol::scope::OPENID_SCOPES;
use vestibule_protocol::{Bearer, ErrorCode, OAuthError, Reason, Scope, TokenDigest, TokenKind, jose, secret};

use crate::context::Context;
use crate::entrance;
use crate::sender::{self, Presented};
use crate::settings::Settings;
use crate::signing;
use crate::store;
use crate::store::change::Change;
use crate::store::token::{self, AccessToken};
use crate::store::user::User;

/// Who makes a request.
#[derive(Clone, Debug)]
pub enum Identity {
    /// By a token of our own.
    Own(Arc<AccessToken>),
    /// By a provider's token.
    Provider {
        /// The person.
        user: Arc<User>,
        /// The provider's name.
        provider: String,
        /// What such a request may do: everything that a person gets who asks for nothing special, and their own profile.
        scope: Scope,
    },
}

impl Identity {
    /// The person; `None` for an application that speaks for itself.
    pub fn user(&self) -> Option<&User> {
        match self {
            Self::Own(token) => token.user.as_ref(),
            Self::Provider { user, .. } => Some(user),
        }
    }

    /// What the request may do.
    pub fn scope(&self) -> &Scope {
        match self {
            Self::Own(token) => &token.scope,
            Self::Provider { scope, .. } => scope,
        }
    }

    /// Goes on only with a token that is for this API (RFC 8707, RFC 9068 §4): one that names no API, or this one.
    /// `None`: the first of `authorization.resources`.
    ///
    /// # Errors
    /// `invalid_token` for one that is for another API.
    pub fn must_be_for(&self, settings: &Settings, resource: Option<&str>) -> Result<(), OAuthError> {
        let Self::Own(token) = self else { return Ok(()) };
        let named = token.context.as_ref().map(|context| context.resources.as_slice()).unwrap_or_default();
        if named.is_empty() {
            return Ok(());
        }
        let own = settings.resources();
        let wanted = resource.or(own.first().map(String::as_str)).unwrap_or_default();
        match named.iter().any(|named| named.trim_end_matches('/') == wanted.trim_end_matches('/')) {
            true => Ok(()),
            false => Err(OAuthError::invalid_token("The token is for another API (RFC 8707).")),
        }
    }

    /// The application's public name; `None` for a provider's token.
    pub fn client_id(&self) -> Option<&str> {
        match self {
            Self::Own(token) => Some(&token.client_id),
            Self::Provider { .. } => None,
        }
    }
}

/// Which tokens an API takes: Django REST Framework's authentication classes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accept {
    /// Ours and the providers'.
    Both,
    /// Ours.
    OwnTokens,
    /// The providers'.
    ProviderTokens,
}

/// One of our own access tokens, if it is good now. `None`: unknown, malformed, expired, spent or revoked, or its person
/// or application is not active.
///
/// # Errors
/// What the database says.
pub async fn access_token(cx: &Context, presented: &str) -> Result<Option<Arc<AccessToken>>, OAuthError> {
    let now = cx.clock.now();
    let is_good = |token: &AccessToken| token.expires_at > now;
    if let Some(digest) = TokenDigest::of_presented(TokenKind::AccessToken, presented) {
        let read = token::find_access(&cx.db, digest, now);
        return Ok(cx.tokens.get(&cx.db, digest, is_good, rests_on, read).await?);
    }
    // By its looks only: what it is, is read where it is not known yet.
    if presented.len() > MAX_JWT_BYTES || !presented.starts_with("eyJ") {
        return Ok(None);
    }
    // Kept under the digest of the whole text: a hit has been verified before, letter by letter.
    let whole = TokenDigest::of(presented);
    let read = async {
        match verified_id(cx, presented, now).await.map_err(store::Error::broken)? {
            Some(id) => token::find_access(&cx.db, TokenDigest::of(&id), now).await,
            None => Ok(None),
        }
    };
    Ok(cx.tokens.get(&cx.db, whole, is_good, rests_on, read).await?)
}

/// No JWT of ours is longer.
const MAX_JWT_BYTES: usize = 8 * 1024;

/// The id in a JWT access token that we have signed, for this server's own API (RFC 9068 §4).
async fn verified_id(cx: &Context, presented: &str, now: i64) -> Result<Option<String>, OAuthError> {
    let Some(jwt) = Jwt::parse(presented) else { return Ok(None) };
    let good = jwt.is_of_type("at+jwt")
        && jwt.text("iss") == Some(cx.issuer().as_str())
        && jwt.is_current(now, 0)
        && signing::keys(cx).await?.has_signed(&jwt);
    Ok(jwt.text("jti").filter(|_| good).map(str::to_owned))
}

fn rests_on(token: &AccessToken) -> [Change; 4] {
    let user = token.user.as_ref().map_or(0, |user| user.id);
    [
        Change::Family(token.family),
        Change::Rotated(token.family),
        Change::User(user),
        Change::Application(token.application_id),
    ]
}

/// Who presents this `Authorization` header.
///
/// # Errors
/// 401: a header of no use is `invalid_request`, a token that is not good `invalid_token`; each with a sentence of its own.
/// A provider that is away is not the token's fault: `temporarily_unavailable`.
pub async fn bearer(
    cx: &Context,
    header: Option<&[u8]>,
    presented: &Presented,
    accept: Accept,
) -> Result<Identity, OAuthError> {
    let malformed = |sentence: String| OAuthError::invalid_request(sentence).with_status(401);
    match Bearer::parse(header).map_err(|error| malformed(error.to_string()))? {
        Bearer::Own(_) if accept == Accept::ProviderTokens => {
            Err(malformed("This API takes a backend's token: `Bearer <backend> <token>`.".to_owned()))
        }
        Bearer::Backend { .. } if accept == Accept::OwnTokens => {
            Err(malformed("This API takes its own tokens only: `Bearer <token>`.".to_owned()))
        }
        Bearer::Dpop(_) if accept == Accept::ProviderTokens => {
            Err(malformed("This API takes a backend's token: `Bearer <backend> <token>`.".to_owned()))
        }
        // RFC 9449 §7.1: a bound token is not a bearer token, so `Bearer` with one fails by what it is bound to.
        Bearer::Own(token) => own_token(cx, token, &Presented { proof: None, ..presented.clone() }).await,
        Bearer::Dpop(_) if presented.proof.is_none() => {
            let sentence = "`Authorization: DPoP` needs a `DPoP` header with a proof (RFC 9449 §7).";
            Err(OAuthError::new(ErrorCode::InvalidDpopProof, sentence).with_status(401))
        }
        Bearer::Dpop(token) => own_token(cx, token, presented).await,
        Bearer::Backend { backend, token } => {
            // Boxed: its future is large, and every request would carry it along.
            let identity = Box::pin(provider_token(cx, backend, token)).await;
            // At an API the grant's refusal is the token's: 401 (RFC 6750 §3.1).
            identity.map_err(|error| match (error.status(), error.reason) {
                (400, Some(Reason::UnknownBackend)) => OAuthError { status: Some(401), ..error },
                (400, _) => OAuthError { code: ErrorCode::InvalidToken, status: None, ..error },
                _ => error,
            })
        }
    }
}

/// One of our own tokens, with the keys that it is bound to, for this server's own API.
async fn own_token(cx: &Context, presented: &str, keys: &Presented) -> Result<Identity, OAuthError> {
    let token = access_token(cx, presented).await?.ok_or_else(|| refuse_own(cx, presented))?;
    if keys.proof.is_some() || token.context.is_some() {
        let sender = sender::check(cx, keys, Some(presented)).await.map_err(|error| error.with_status(401))?;
        let context = token.context.as_ref();
        if keys.proof.is_some() && context.is_none_or(|context| context.jkt.is_none()) {
            let sentence = "The token is bound to no key; send it as `Authorization: Bearer <token>`.";
            return Err(OAuthError::invalid_token(sentence));
        }
        sender.holds(context)?;
    }
    Ok(Identity::Own(token))
}

/// Says why a single token is not good, as far as its looks tell.
fn refuse_own(cx: &Context, presented: &str) -> OAuthError {
    if cx.upstream.provider(presented).is_some() {
        let sentence = format!("There is no token after the backend's name: send `Bearer {presented} <token>`.");
        return OAuthError::invalid_request(sentence).with_status(401);
    }
    OAuthError::invalid_token(if TokenDigest::of_presented(TokenKind::RefreshToken, presented).is_some() {
        "This is a refresh token; send the access token."
    } else if secret::is_ours(presented) {
        "The access token is unknown, expired or revoked."
    } else if jose::looks_like_jwt(presented) {
        "This is not a token of this server. A provider's token goes behind its backend's name: `Bearer <backend> <token>`."
    } else {
        "This is not a token of this server, or not a whole one."
    })
}

async fn provider_token(cx: &Context, backend: &str, token: &str) -> Result<Identity, OAuthError> {
    let provider = cx.upstream.provider(backend).ok_or_else(|| {
        OAuthError::invalid_request("No enabled backend has this name (GET backends lists them).")
            .with_reason(Reason::UnknownBackend)
    })?;
    let identified = cx.upstream.identify_remembered(provider, token).await?;
    let user = entrance::pass(cx, provider, token, &identified).await?;
    let scope = cx
        .settings
        .scopes()
        .into_iter()
        .map(|(name, _)| name)
        .chain(OPENID_SCOPES.into_iter().filter(|name| *name != "offline_access"))
        .collect();
    Ok(Identity::Provider { user: Arc::new(user), provider: backend.to_owned(), scope })
}
