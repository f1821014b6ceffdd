//! What a refusal is: a word of the RFCs, a sentence for the client's developer, and a cause for our log.
//!
//! The description is told and tested; the cause is logged once, where the answer is written, and never told.

use std::borrow::Cow;
use std::fmt::Write as _;

use serde::Serialize;

/// A refusal of an OAuth endpoint.
#[derive(Debug, thiserror::Error)]
#[error("{code:?}: {description}")]
pub struct OAuthError {
    /// The word that goes into `error`.
    pub code: ErrorCode,
    /// Told to the client, so: no names of tables, no secrets, nothing that a provider said.
    pub description: Cow<'static, str>,
    /// Whose fault a refused conversion is.
    pub reason: Option<Reason>,
    /// A parameter that is missing or wrong, for clients of the Django stack that look for it by name.
    pub field: Option<&'static str>,
    /// Seconds after which the same request may succeed (`Retry-After`).
    pub retry_after: Option<u32>,
    /// A nonce for the client's next DPoP proof.
    pub dpop_nonce: Option<String>,
    /// Whether the client tried HTTP Basic and is to be told that it failed (RFC 6749 §5.2).
    pub basic_challenge: bool,
    /// The HTTP status where it is not the code's own (see [`OAuthError::status`]).
    pub status: Option<u16>,
    /// Logged once, where the answer is written.
    #[source]
    pub cause: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// The words of the RFCs that this server speaks, first those of RFC 6749 §5.2 and RFC 6750 §3.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorCode {
    /// A parameter is missing, repeated or malformed.
    InvalidRequest,
    /// Client authentication failed.
    InvalidClient,
    /// What the client presented (password, refresh token, provider's token) is not good.
    InvalidGrant,
    /// This application may not use this grant.
    UnauthorizedClient,
    /// No such grant.
    UnsupportedGrantType,
    /// A scope that does not exist or that goes beyond what may be given.
    InvalidScope,
    /// The access token is unknown, expired, revoked or malformed.
    InvalidToken,
    /// The access token is good, but does not carry the scope.
    InsufficientScope,
    /// Something that we depend on is down; the same request may succeed later.
    TemporarilyUnavailable,
    /// Our own fault.
    ServerError,
    /// A resource that is unknown here (RFC 8707 §2).
    InvalidTarget,
    /// The person or the operator said no.
    AccessDenied,
    /// No such response type, or not for this application.
    UnsupportedResponseType,
    /// Nobody is signed in and nobody may be asked (OpenID Connect Core §3.1.2.6).
    LoginRequired,
    /// The person has not agreed and may not be asked.
    ConsentRequired,
    /// The person would have to choose an account and may not be asked.
    AccountSelectionRequired,
    /// The person would have to do something and may not be asked.
    InteractionRequired,
    /// Request objects are not taken.
    RequestNotSupported,
    /// Request objects by reference are not taken.
    RequestUriNotSupported,
    /// The pushed request is unknown, used or expired.
    InvalidRequestUri,
    /// The request object is not signed by this client, or does not hold now (RFC 9101 §6).
    InvalidRequestObject,
    /// The way of signing in that was asked for is not there.
    UnmetAuthenticationRequirements,
    /// The person has not decided yet (RFC 8628 §3.5).
    AuthorizationPending,
    /// The device asks too often.
    SlowDown,
    /// The device code has expired.
    ExpiredToken,
    /// A redirect URI that cannot be registered (RFC 7591 §3.2.2).
    InvalidRedirectUri,
    /// Metadata that cannot be registered.
    InvalidClientMetadata,
    /// The DPoP proof does not hold (RFC 9449 §5).
    InvalidDpopProof,
    /// The DPoP proof needs the nonce that comes with this answer (RFC 9449 §8).
    UseDpopNonce,
}

impl ErrorCode {
    /// The only place where an OAuth error becomes an HTTP status.
    pub const fn status(self) -> u16 {
        match self {
            Self::InvalidClient | Self::InvalidToken => 401,
            Self::InsufficientScope => 403,
            Self::ServerError => 500,
            Self::TemporarilyUnavailable => 503,
            _ => 400,
        }
    }

    /// The word on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::InvalidRequest => "invalid_request",
            Self::InvalidClient => "invalid_client",
            Self::InvalidGrant => "invalid_grant",
            Self::UnauthorizedClient => "unauthorized_client",
            Self::UnsupportedGrantType => "unsupported_grant_type",
            Self::InvalidScope => "invalid_scope",
            Self::InvalidToken => "invalid_token",
            Self::InsufficientScope => "insufficient_scope",
            Self::TemporarilyUnavailable => "temporarily_unavailable",
            Self::ServerError => "server_error",
            Self::InvalidTarget => "invalid_target",
            Self::AccessDenied => "access_denied",
            Self::UnsupportedResponseType => "unsupported_response_type",
            Self::LoginRequired => "login_required",
            Self::ConsentRequired => "consent_required",
            Self::AccountSelectionRequired => "account_selection_required",
            Self::InteractionRequired => "interaction_required",
            Self::RequestNotSupported => "request_not_supported",
            Self::RequestUriNotSupported => "request_uri_not_supported",
            Self::InvalidRequestUri => "invalid_request_uri",
            Self::InvalidRequestObject => "invalid_request_object",
            Self::UnmetAuthenticationRequirements => "unmet_authentication_requirements",
            Self::AuthorizationPending => "authorization_pending",
            Self::SlowDown => "slow_down",
            Self::ExpiredToken => "expired_token",
            Self::InvalidRedirectUri => "invalid_redirect_uri",
            Self::InvalidClientMetadata => "invalid_client_metadata",
            Self::InvalidDpopProof => "invalid_dpop_proof",
            Self::UseDpopNonce => "use_dpop_nonce",
        }
    }
}

/// Whose fault a refused conversion is: a stable word beside `error` (`reason` on the wire).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// No enabled provider has this name.
    UnknownBackend,
    /// A code, one of our own tokens or another provider's token stands where an access or ID token belongs.
    WrongTokenKind,
    /// The provider said no.
    TokenRejected,
    /// The token was good once.
    TokenExpired,
    /// The token was issued to another client.
    ForeignAudience,
    /// The token cannot be shown to have been issued to this deployment's client.
    UnprovenAudience,
    /// The provider did not take the authorization code.
    CodeRejected,
    /// The ID token's nonce is not the one of the request.
    NonceMismatch,
    /// The provider is down, slow, or answers with something that is not an answer.
    ProviderUnreachable,
    /// The provider refused our own credentials, or its entry lacks something.
    ProviderMisconfigured,
    /// The provider's answer has no identifier.
    ProfileIncomplete,
    /// The person was deactivated.
    PersonInactive,
    /// The operator's rules keep this person out.
    PersonNotAllowed,
    /// The e-mail address belongs to an existing account.
    EmailInUse,
    /// The provider's account is connected to somebody else.
    AccountInUse,
    /// New people are not taken.
    SignupClosed,
}

impl Reason {
    /// The word on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::UnknownBackend => "unknown_backend",
            Self::WrongTokenKind => "wrong_token_kind",
            Self::TokenRejected => "token_rejected",
            Self::TokenExpired => "token_expired",
            Self::ForeignAudience => "foreign_audience",
            Self::UnprovenAudience => "unproven_audience",
            Self::CodeRejected => "code_rejected",
            Self::NonceMismatch => "nonce_mismatch",
            Self::ProviderUnreachable => "provider_unreachable",
            Self::ProviderMisconfigured => "provider_misconfigured",
            Self::ProfileIncomplete => "profile_incomplete",
            Self::PersonInactive => "person_inactive",
            Self::PersonNotAllowed => "person_not_allowed",
            Self::EmailInUse => "email_in_use",
            Self::AccountInUse => "account_in_use",
            Self::SignupClosed => "signup_closed",
        }
    }
}

impl OAuthError {
    /// A refusal with this code and sentence.
    pub fn new(code: ErrorCode, description: impl Into<Cow<'static, str>>) -> Self {
        Self {
            code,
            description: description.into(),
            reason: None,
            field: None,
            retry_after: None,
            dpop_nonce: None,
            basic_challenge: false,
            status: None,
            cause: None,
        }
    }

    /// 400 `invalid_request`.
    pub fn invalid_request(description: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorCode::InvalidRequest, description)
    }

    /// 400 `invalid_request` for a parameter that is not there or empty; names it in `field` too.
    pub fn missing(field: &'static str) -> Self {
        Self::invalid_request(format!("The parameter `{field}` is required.")).with_field(field)
    }

    /// 401 `invalid_client`.
    pub fn invalid_client(description: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorCode::InvalidClient, description)
    }

    /// 400 `invalid_grant`.
    pub fn invalid_grant(description: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorCode::InvalidGrant, description)
    }

    /// 400 `invalid_scope`.
    pub fn invalid_scope(description: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorCode::InvalidScope, description)
    }

    /// 401 `invalid_token`.
    pub fn invalid_token(description: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorCode::InvalidToken, description)
    }

    /// 503 `temporarily_unavailable` with `Retry-After` in seconds.
    pub fn unavailable(description: impl Into<Cow<'static, str>>, retry_after: u32) -> Self {
        Self { retry_after: Some(retry_after), ..Self::new(ErrorCode::TemporarilyUnavailable, description) }
    }

    /// Adds whose fault it is.
    #[must_use]
    pub fn with_reason(mut self, reason: Reason) -> Self {
        self.reason = Some(reason);
        self
    }

    /// Adds the parameter that is wrong.
    #[must_use]
    pub fn with_field(mut self, field: &'static str) -> Self {
        self.field = Some(field);
        self
    }

    /// Adds `WWW-Authenticate: Basic` to the answer.
    #[must_use]
    pub fn with_basic_challenge(mut self) -> Self {
        self.basic_challenge = true;
        self
    }

    /// Replaces the code's own HTTP status.
    #[must_use]
    pub fn with_status(mut self, status: u16) -> Self {
        self.status = Some(status);
        self
    }

    /// Adds what is logged and not told.
    #[must_use]
    pub fn with_cause(mut self, cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.cause = Some(cause.into());
        self
    }

    /// The one word for it: whose fault it is, else the code.
    pub fn word(&self) -> &'static str {
        self.reason.map_or(self.code.as_str(), Reason::as_str)
    }

    /// The chain of causes on one line; control characters are escaped, so that no input makes a line of its own.
    pub fn causes(&self) -> String {
        let mut text = String::new();
        let mut next = std::error::Error::source(self);
        while let Some(cause) = next {
            let separator = if text.is_empty() { "" } else { ": " };
            let _ = write!(text, "{separator}{}", cause.to_string().escape_debug());
            next = cause.source();
        }
        text
    }

    /// The HTTP status of the answer.
    pub fn status(&self) -> u16 {
        self.status.unwrap_or_else(|| self.code.status())
    }
}
