//! `grant_type=convert_token`: a provider's token or code for one of ours.
//!
//! The provider is asked first, with no transaction open; then one transaction finds or makes the person; then the tokens
//! are issued. A refusal leaves nothing behind.
//! Not here: whether the provider's word is good (`upstream`), whose account it is (`identity::link`).

use vestibule_protocol::{GrantType, OAuthError, Params, Reason};

use super::{TokenRequest, scope_or_default};
use crate::context::Context;
use crate::identity::link::{self, Arrival};
use crate::issue::{self, Approval, TokenResponse};
use crate::upstream::{Credential, Identified, Presented, Provider};

pub(super) async fn run(cx: &Context, mut request: TokenRequest<'_>) -> Result<TokenResponse, OAuthError> {
    let (provider, identified) = identify(cx, request.params).await?;
    let tokens = identified.tokens.to_json();
    let arrival = Arrival {
        provider: provider.name(),
        profile: &identified.profile,
        policy: &provider.settings,
        tokens: &tokens,
    };
    let linked = link::sign_in(cx, &arrival).await;
    cx.metrics.converted(provider.name(), linked.as_ref().err());
    let user = linked?.user;
    let scope = scope_or_default(cx, &mut request);
    issue::tokens(
        cx,
        Approval { application: request.application, user: Some(&user), scope, grant_type: GrantType::ConvertToken },
    )
    .await
}

/// The account at a provider that a request presents by `backend` and `token` or `code`; also for `connect-backend`.
///
/// # Errors
/// 400 for parameters that are missing or contradict each other, else what [`crate::upstream::Upstream::identify`] says.
pub async fn identify<'cx>(cx: &'cx Context, params: &Params) -> Result<(&'cx Provider, Identified), OAuthError> {
    let backend = params.required("backend")?;
    let provider = cx.upstream.provider(backend).ok_or_else(|| unknown_backend(cx, backend))?;
    let credential = match (params.get("token"), params.get("code")) {
        (Some(_), Some(_)) => return Err(OAuthError::invalid_request("Send `token` or `code`, not both.")),
        (Some(token), None) => Credential::Token(token.to_owned()),
        (None, Some(code)) => Credential::Code {
            code: code.to_owned(),
            redirect_uri: params.get("redirect_uri").map(str::to_owned),
            code_verifier: params.get("code_verifier").map(str::to_owned),
        },
        (None, None) => {
            let sentence = "The parameter `token` is required: an access token or an ID token of the backend. Or send `code` with `redirect_uri`.";
            return Err(OAuthError::invalid_request(sentence).with_field("token"));
        }
    };
    let presented = Presented { credential, nonce: params.get("nonce").map(str::to_owned) };
    let identified = cx.upstream.identify(provider, &presented).await;
    if let Err(error) = &identified {
        cx.metrics.converted(provider.name(), Some(error));
    }
    Ok((provider, identified?))
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
