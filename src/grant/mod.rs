//! The token endpoint's phases, shared by all grants, and the list of grants.
//!
//! Client → grant known → application may → scope → the grant itself. A grant is one file; a check that two of them need
//! stands here. No HTTP, no SQL.

mod client_credentials;
pub mod convert_token;
mod password;
mod refresh_token;

use vestibule_protocol::scope::OPENID_SCOPES;
use vestibule_protocol::{ClientCredentials, ErrorCode, GrantType, OAuthError, Params, Scope};

use crate::client;
use crate::context::Context;
use crate::issue::TokenResponse;
use crate::store::application::Application;

/// What a grant is given.
pub struct TokenRequest<'a> {
    /// Who asks, authenticated and allowed to use this grant.
    pub application: &'a Application,
    /// The rest of the request.
    pub params: &'a Params,
    /// What was asked for, within what the application may have; `None`: nothing was.
    pub scope: Option<Scope>,
}

/// The token endpoint (RFC 6749 §3.2). Every grant passes through here, in this order.
///
/// # Errors
/// As RFC 6749 §5.2 says, in the order of the phases.
pub async fn run(cx: &Context, credentials: &ClientCredentials, params: &Params) -> Result<TokenResponse, OAuthError> {
    let wire = params.required("grant_type")?;
    let application = client::authenticate(cx, credentials).await?; // invalid_client
    let grant_type = known(wire)?; // unsupported_grant_type
    if !application.may_use(grant_type) {
        let sentence = format!("This application may not use the grant type `{}`.", grant_type.wire());
        return Err(OAuthError::new(ErrorCode::UnauthorizedClient, sentence));
    }
    let scope = params.get("scope").map(|text| limited(cx, &application, text)).transpose()?; // invalid_scope
    let request = TokenRequest { application: &application, params, scope };
    match grant_type {
        GrantType::Password => password::run(cx, request).await,
        GrantType::ClientCredentials => client_credentials::run(cx, request).await,
        GrantType::RefreshToken => refresh_token::run(cx, request).await,
        // Boxed: its future is large, and every grant would carry it along.
        GrantType::ConvertToken => Box::pin(convert_token::run(cx, request)).await,
        _ => Err(unsupported()),
    }
}

/// The grants that [`run`] knows.
const KNOWN: [GrantType; 4] =
    [GrantType::Password, GrantType::ClientCredentials, GrantType::RefreshToken, GrantType::ConvertToken];

fn known(wire: &str) -> Result<GrantType, OAuthError> {
    KNOWN.into_iter().find(|grant| grant.wire() == wire).ok_or_else(unsupported)
}

fn unsupported() -> OAuthError {
    let names: Vec<_> = KNOWN.iter().map(|grant| grant.wire()).collect();
    OAuthError::new(
        ErrorCode::UnsupportedGrantType,
        format!("Unknown grant type; known here are {}.", names.join(", ")),
    )
}

/// A scope that was asked for, if all of it exists and the application may have it.
fn limited(cx: &Context, application: &Application, text: &str) -> Result<Scope, OAuthError> {
    let scope = Scope::parse(text)?;
    let known: Scope = cx.settings.scopes().into_iter().map(|(name, _)| name).chain(OPENID_SCOPES).collect();
    if !scope.is_within(&known) {
        return Err(OAuthError::invalid_scope("The scope holds a word that this server does not know."));
    }
    if !application.scopes.is_empty() && !scope.is_within(&application.scopes) {
        return Err(OAuthError::invalid_scope("The scope goes beyond what this application may ask for."));
    }
    Ok(scope)
}

/// What is given when nothing is asked for: every scope of this server's own that the application may have.
pub(super) fn scope_or_default(cx: &Context, request: &mut TokenRequest<'_>) -> Scope {
    request.scope.take().unwrap_or_else(|| {
        let limit = &request.application.scopes;
        cx.settings
            .scopes()
            .into_iter()
            .map(|(name, _)| name)
            .filter(|name| limit.is_empty() || limit.contains(name))
            .collect()
    })
}
