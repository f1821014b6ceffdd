//! `grant_type=convert_token`: a provider's token or code for one of ours.
//!
//! The provider is asked first, with no transaction open; then one transaction finds or makes the person; then the tokens
//! are issued. A refusal leaves nothing behind.
//! Not here: whether the provider's word is good (`upstream`), whose account it is (`identity::link`).

use std::time::Instant;

use vestibule_protocol::{ErrorCode, GrantType, OAuthError, Params, Reason};

use super::TokenRequest;
use crate::context::Context;
use crate::entrance;
use crate::identity::link::Arrived;
use crate::issue::{self, TokenResponse};
use crate::statistics;
use crate::store::seen;
use crate::store::user::User;
use crate::upstream::{self, Credential, Identified, Presented, Provider, Return, Unasked};

pub(super) async fn run(cx: &Context, request: TokenRequest<'_>) -> Result<TokenResponse, OAuthError> {
    let (provider, identified) = identify(cx, request.params).await?;
    let user = person(cx, provider, &identified).await?;
    issue::tokens(cx, request.approve(cx, Some(&user), GrantType::ConvertToken)).await
}

/// The person behind an account at a provider; a new one if need be.
///
/// # Errors
/// What [`entrance::sign_in`] says.
pub async fn person(cx: &Context, provider: &Provider, identified: &Identified) -> Result<User, OAuthError> {
    let linked = entrance::sign_in(cx, provider, identified).await;
    cx.metrics.converted(provider.name(), linked.as_ref().err());
    Ok(linked?.user)
}

/// As [`person`], in a browser, whose person can be asked for what is missing.
///
/// # Errors
/// What [`entrance::arrive`] says.
pub async fn arrive(cx: &Context, provider: &Provider, identified: &mut Identified) -> Result<Arrived, OAuthError> {
    let arrived = entrance::arrive(cx, provider, identified).await;
    cx.metrics.converted(provider.name(), arrived.as_ref().err());
    arrived
}

/// The account at a provider that a request presents by `backend` and `token` or `code`; also for `connect-backend`.
///
/// # Errors
/// 400 for parameters that are missing or contradict each other, else what [`crate::upstream::Upstream::identify`] says.
pub async fn identify<'cx>(cx: &'cx Context, params: &Params) -> Result<(&'cx Provider, Identified), OAuthError> {
    let provider = provider(cx, params)?;
    let credential = match (params.get("token"), params.get("code")) {
        (Some(_), Some(_)) => return Err(OAuthError::invalid_request("Send `token` or `code`, not both.")),
        (Some(token), None) => Credential::Token(token.to_owned()),
        (None, Some(code)) => Credential::Code {
            code: code.to_owned(),
            redirect_uri: params.get("redirect_uri").map(str::to_owned),
            code_verifier: params.get("code_verifier").map(str::to_owned),
            beside: upstream::beside(params),
        },
        (None, None) => {
            let sentence = "The parameter `token` is required: an access token or an ID token of the backend. Or send `code` with `redirect_uri`.";
            return Err(OAuthError::invalid_request(sentence).with_field("token"));
        }
    };
    let identified = identify_by(cx, provider, credential, params.get("nonce")).await?;
    Ok((provider, identified))
}

/// The account at a provider that a credential stands for.
///
/// # Errors
/// What [`crate::upstream::Upstream::identify`] says.
pub async fn identify_by(
    cx: &Context,
    provider: &Provider,
    credential: Credential,
    nonce: Option<&str>,
) -> Result<Identified, OAuthError> {
    let presented = Presented { credential, nonce: nonce.map(str::to_owned) };
    counted(cx, provider, cx.upstream.identify(provider, &presented)).await
}

/// The account at a provider that a browser comes back from.
///
/// # Errors
/// What [`crate::upstream::Upstream::arrive`] says.
pub async fn arrived(cx: &Context, provider: &Provider, back: &Return<'_>) -> Result<Identified, OAuthError> {
    let arrived = async { not_before(cx, provider, cx.upstream.arrive(provider, back).await).await };
    counted(cx, provider, arrived).await
}

/// An answer that may be presented once only is the first of its kind, on any node.
async fn not_before(
    cx: &Context,
    provider: &Provider,
    arrived: Result<Identified, OAuthError>,
) -> Result<Identified, OAuthError> {
    let identified = arrived?;
    if let Some((digest, expires_at)) = &identified.once
        && !seen::is_first(&cx.db, *digest, *expires_at).await?
    {
        let sentence = format!("This answer of {} was used before. Start the sign-in again.", provider.title());
        return Err(OAuthError::invalid_grant(sentence).with_reason(Reason::CodeRejected));
    }
    Ok(identified)
}

/// The account at a provider whose answer no sign-in of ours began.
///
/// # Errors
/// What [`crate::upstream::Upstream::arrive_unasked`] says.
pub async fn came(cx: &Context, provider: &Provider, came: &Unasked<'_>) -> Result<Identified, OAuthError> {
    counted(cx, provider, cx.upstream.arrive_unasked(provider, came)).await
}

/// Counts how long the provider takes to say who it is, and that it says no.
async fn counted(
    cx: &Context,
    provider: &Provider,
    identified: impl Future<Output = Result<Identified, OAuthError>>,
) -> Result<Identified, OAuthError> {
    let began = Instant::now();
    let identified = identified.await;
    // What by its looks is nothing that a provider gave is refused without asking it.
    let was_asked =
        |error: &OAuthError| error.code != ErrorCode::InvalidRequest && error.reason != Some(Reason::WrongTokenKind);
    if identified.as_ref().err().is_none_or(was_asked) {
        statistics::waited(cx, provider.name(), began.elapsed());
    }
    if let Err(error) = &identified {
        cx.metrics.converted(provider.name(), Some(error));
    }
    identified
}

/// The provider that a request names by `backend`.
pub(super) fn provider<'cx>(cx: &'cx Context, params: &Params) -> Result<&'cx Provider, OAuthError> {
    let backend = params.required("backend")?;
    cx.upstream.provider(backend).ok_or_else(|| unknown_backend(cx, backend))
}

/// The names that are mixed up most are told apart.
fn unknown_backend(cx: &Context, backend: &str) -> OAuthError {
    let sentence = if backend == cx.settings.proprietary_backend_name {
        "This backend is this server itself: its own tokens need no conversion.".to_owned()
    } else {
        let names: Vec<_> = cx.upstream.providers().map(Provider::name).collect();
        format!("No enabled backend has this name; enabled are: {}.", names.join(", "))
    };
    OAuthError::invalid_request(sentence).with_reason(Reason::UnknownBackend).with_field("backend")
}
