//! The token endpoint's phases, shared by all grants, and the list of grants.
//!
//! Client → grant known → application may → who holds which key → scope → the grant itself. A grant is one file; a check
//! that two of them need stands here. No HTTP, no SQL.

mod authorization_code;
mod client_credentials;
pub mod convert_token;
pub mod device_code;
mod jwt_bearer;
mod password;
mod refresh_token;
mod token_exchange;

use vestibule_protocol::{ClientCredentials, ErrorCode, GrantType, OAuthError, Params, Scope};

use crate::client;
use crate::context::Context;
use crate::issue::{Approval, TokenResponse};
use crate::limits;
use crate::sender::{self, Presented, Sender};
use crate::statistics;
use crate::store::application::Application;
use crate::store::token::TokenContext;
use crate::store::user::User;

/// A call to the token endpoint.
pub struct Call<'a> {
    /// Who calls, and the proof.
    pub credentials: &'a ClientCredentials,
    /// The rest of the request.
    pub params: &'a Params,
    /// Keys that came along.
    pub presented: &'a Presented,
}

/// What a grant is given.
pub struct TokenRequest<'a> {
    /// Who asks, authenticated and allowed to use this grant.
    pub application: &'a Application,
    /// The rest of the request.
    pub params: &'a Params,
    /// What was asked for, within what the application may have; `None`: nothing was.
    pub scope: Option<Scope>,
    /// The APIs that were asked for.
    pub resources: Vec<String>,
    /// The keys that are shown to be held.
    pub sender: Sender,
    /// From where it came.
    pub address: &'a str,
}

impl<'a> TokenRequest<'a> {
    /// What is given: what was asked for, or the default.
    pub fn scope_or_default(&mut self, cx: &Context) -> Scope {
        self.scope.take().unwrap_or_else(|| limits::default_scope(cx, self.application))
    }

    /// What the tokens are bound to.
    pub fn context(&self) -> TokenContext {
        let binds_certificate = self.application.metadata.tls_client_certificate_bound_access_tokens;
        TokenContext {
            jkt: self.sender.jkt.clone(),
            certificate: self.sender.certificate.clone().filter(|_| binds_certificate),
            resources: self.resources.clone(),
            ..TokenContext::default()
        }
    }

    /// The approval of this request for this person, or for the application itself.
    pub fn approve<'u>(mut self, cx: &Context, user: Option<&'u User>, grant_type: GrantType) -> Approval<'u>
    where
        'a: 'u,
    {
        let scope = self.scope_or_default(cx);
        Approval { application: self.application, user, scope, grant_type, context: self.context() }
    }
}

/// The token endpoint (RFC 6749 §3.2). Every grant passes through here, in this order.
///
/// # Errors
/// As RFC 6749 §5.2 says, in the order of the phases.
pub async fn run(cx: &Context, call: Call<'_>) -> Result<TokenResponse, OAuthError> {
    let wire = call.params.required("grant_type")?;
    let (application_id, answered) = match client::authenticate(cx, call.credentials, call.presented).await {
        Ok(application) => (application.id, answer(cx, &call, wire, &application).await),
        Err(error) => (0, Err(error)), // invalid_client
    };
    count(cx, wire, call.params, application_id, answered.as_ref());
    answered
}

async fn answer(
    cx: &Context,
    call: &Call<'_>,
    wire: &str,
    application: &Application,
) -> Result<TokenResponse, OAuthError> {
    let params = call.params;
    let grant_type = known(wire)?; // unsupported_grant_type
    if !application.may_use(grant_type) {
        let sentence = format!("This application may not use the grant type `{}`.", grant_type.wire());
        return Err(OAuthError::new(ErrorCode::UnauthorizedClient, sentence));
    }
    let sender = sender::check(cx, call.presented, None).await?; // invalid_dpop_proof
    if application.metadata.dpop_bound_access_tokens && sender.jkt.is_none() {
        let sentence = "This application's tokens are bound to a key: send a DPoP proof (RFC 9449).";
        return Err(OAuthError::new(ErrorCode::InvalidDpopProof, sentence));
    }
    if application.metadata.tls_client_certificate_bound_access_tokens && sender.certificate.is_none() {
        return Err(OAuthError::invalid_request(
            "This application's tokens are bound to its certificate; none came along.",
        ));
    }
    let scope = params.get("scope").map(|text| limits::scope(cx, application, text)).transpose()?; // invalid_scope
    let resources = limits::resources(cx, params)?; // invalid_target
    let address = call.presented.address.as_str();
    let request = TokenRequest { application, params, scope, resources, sender, address };
    match grant_type {
        GrantType::Password => password::run(cx, request).await,
        GrantType::ClientCredentials => client_credentials::run(cx, request).await,
        GrantType::RefreshToken => refresh_token::run(cx, request).await,
        GrantType::AuthorizationCode => authorization_code::run(cx, request).await,
        // Boxed: their futures are large, and every grant would carry them along.
        GrantType::ConvertToken => Box::pin(convert_token::run(cx, request)).await,
        GrantType::DeviceCode => Box::pin(device_code::run(cx, request)).await,
        GrantType::TokenExchange => Box::pin(token_exchange::run(cx, request)).await,
        GrantType::JwtBearer => Box::pin(jwt_bearer::run(cx, request)).await,
        GrantType::Implicit | GrantType::Hybrid => Err(unsupported()),
    }
}

/// Counts what became of a sign-in or a conversion. The other grants go on with what was one, or are about nobody.
fn count(
    cx: &Context,
    wire: &str,
    params: &Params,
    application_id: i64,
    answered: Result<&TokenResponse, &OAuthError>,
) {
    let backend = params.get("backend");
    let provider = match known(wire) {
        Ok(GrantType::Password) => None,
        Ok(GrantType::ConvertToken) => Some(backend.unwrap_or_default()),
        Ok(GrantType::TokenExchange) if backend.is_some() => backend,
        _ => return,
    };
    match (answered, provider) {
        (Ok(_), None) => statistics::signed_in(cx, "", application_id, GrantType::Password.as_str()),
        (Ok(_), Some(provider)) => statistics::converted(cx, provider, application_id),
        (Err(error), _) => statistics::refused(cx, provider.unwrap_or_default(), application_id, error, params),
    }
}

/// The grants that [`run`] knows.
pub const KNOWN: [GrantType; 8] = [
    GrantType::AuthorizationCode,
    GrantType::Password,
    GrantType::ClientCredentials,
    GrantType::RefreshToken,
    GrantType::ConvertToken,
    GrantType::DeviceCode,
    GrantType::TokenExchange,
    GrantType::JwtBearer,
];

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
