//! What went wrong with a provider, and the sentence for it.
//!
//! "The provider said no", "the provider is down" and "we are set up wrongly" are different answers. What the provider
//! itself said is the cause, for our log; it is never told.

use vestibule_protocol::{ErrorCode, OAuthError, Reason};

use super::Provider;
use super::outbound::CallError;

/// Why an account could not be identified.
#[derive(Clone, Debug, thiserror::Error)]
pub(super) enum Trouble {
    #[error("wrong kind of token: {0}")]
    WrongKind(&'static str),
    #[error("malformed token: {0}")]
    Malformed(&'static str),
    #[error("token rejected: {0}")]
    Rejected(String),
    #[error("token expired")]
    Expired,
    #[error("issued to another client: {0}")]
    ForeignAudience(String),
    #[error("no way to tell to whom the token was issued")]
    UnprovenAudience,
    #[error("code rejected: {0}")]
    CodeRejected(String),
    #[error("another nonce")]
    NonceMismatch,
    #[error("no identifier in the answer")]
    NoIdentifier,
    #[error("set up wrongly: {0}")]
    Misconfigured(String),
    #[error("bad answer: {0}")]
    BadAnswer(String),
    #[error("time-out: {0}")]
    TimedOut(String),
    #[error("unreachable: {0}")]
    Unreachable(String),
}

impl From<CallError> for Trouble {
    fn from(error: CallError) -> Self {
        let told = error.to_string();
        match error {
            CallError::TimedOut(_) => Self::TimedOut(told),
            CallError::Unreachable(_) => Self::Unreachable(told),
            CallError::Blocked(_) | CallError::BadUrl => Self::Misconfigured(told),
            CallError::TooLarge(_) => Self::BadAnswer(told),
        }
    }
}

impl Trouble {
    /// Whether this one tells more than another that happened at the same time.
    pub(super) fn outranks(&self, other: &Self) -> bool {
        self.rank() > other.rank()
    }

    fn rank(&self) -> u8 {
        match self {
            Self::ForeignAudience(_) => 5,
            Self::Misconfigured(_) => 4,
            Self::Expired | Self::Rejected(_) => 3,
            Self::NoIdentifier => 2,
            _ => 1,
        }
    }

    /// The refusal that a client is told.
    pub(super) fn refusal(&self, provider: &Provider) -> OAuthError {
        let name = provider.name();
        let grant = |reason, sentence: String| OAuthError::invalid_grant(sentence).with_reason(reason);
        let away = |status, sentence: String| {
            let error =
                OAuthError::new(ErrorCode::TemporarilyUnavailable, sentence).with_reason(Reason::ProviderUnreachable);
            error.with_status(status)
        };
        let refusal = match self {
            Self::WrongKind(sentence) => grant(Reason::WrongTokenKind, (*sentence).to_owned()),
            Self::Malformed(sentence) => return OAuthError::invalid_request(*sentence).with_field("token"),
            Self::Rejected(_) => grant(
                Reason::TokenRejected,
                format!("{name} does not accept this token: it is not one of its tokens, or was revoked or is incomplete. Sign in there again."),
            ),
            Self::Expired => grant(Reason::TokenExpired, format!("This {name} token has expired. Get a fresh one and send it at once.")),
            Self::ForeignAudience(_) => grant(
                Reason::ForeignAudience,
                format!(
                    "This {name} token was issued to another client than this server's. Use the client id of `providers.{name}.client_id`, or let the operator add yours to `providers.{name}.client_ids`."
                ),
            ),
            Self::UnprovenAudience => grant(
                Reason::UnprovenAudience,
                format!(
                    "It cannot be shown that this {name} access token was issued to this server's client. Send an ID token or a code, or let the operator set `providers.{name}.accept_unverified_audience`."
                ),
            ),
            Self::CodeRejected(_) => grant(
                Reason::CodeRejected,
                format!("{name} does not accept this code: it was used, has expired, or belongs to another `redirect_uri` or `code_verifier`."),
            ),
            Self::NonceMismatch => {
                grant(Reason::NonceMismatch, "The nonce of the ID token is not the one that was sent along.".to_owned())
            }
            Self::NoIdentifier => {
                grant(Reason::ProfileIncomplete, format!("{name}'s answer does not say who the person is; ask for its sign-in scope."))
            }
            Self::Misconfigured(_) => OAuthError::new(
                ErrorCode::ServerError,
                format!("The operator's set-up of {name} does not work (its credentials or addresses); this server's log tells more."),
            )
            .with_reason(Reason::ProviderMisconfigured)
            .with_status(502),
            Self::BadAnswer(_) => away(502, format!("{name} answered with something that is no answer. Try again later; the token may be good.")),
            Self::TimedOut(_) => away(504, format!("{name} did not answer in time. Try again later; the token may be good.")),
            Self::Unreachable(_) => away(503, format!("{name} cannot be reached. Try again later; the token may be good.")),
        };
        let refusal = match self {
            Self::BadAnswer(_) | Self::TimedOut(_) | Self::Unreachable(_) => {
                OAuthError { retry_after: Some(5), ..refusal }
            }
            _ => refusal,
        };
        refusal.with_cause(self.clone())
    }
}
