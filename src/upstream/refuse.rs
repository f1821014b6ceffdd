//! Every refusal of this room: one function each, so that each has its own sentence and all can be read side by side.
//!
//! A sentence says what happened, whose fault it is and what to do. What the provider said goes into the cause, for the
//! log; it is never told.

use super::Provider;
use super::outbound::Failure;
use crate::protocol::{ErrorCode, OAuthError, Reason};

/// Seconds after which a provider that was down may be tried again.
const RETRY_AFTER: u32 = 5;

type Cause = String;

fn grant(reason: Reason, description: String) -> OAuthError {
    OAuthError::invalid_grant(description).with_reason(reason)
}

/// A text that no token is: too long, or with characters that could end a header.
pub(super) fn unfit(field: &'static str, what: &'static str) -> OAuthError {
    OAuthError::invalid_request(format!("The parameter `{field}` {what}.")).with_field(field)
}

pub(super) fn own_token(provider: &Provider) -> OAuthError {
    let description = format!(
        "This is one of this server's own tokens. `token` takes a token that {} issued to your application.",
        provider.title()
    );
    grant(Reason::WrongTokenKind, description)
}

pub(super) fn code_as_token(provider: &Provider) -> OAuthError {
    let description = format!(
        "This is an authorization code of {}, not a token. Send it as `code=…&redirect_uri=…` (and `code_verifier` where \
         one was used) in place of `token`.",
        provider.title()
    );
    grant(Reason::WrongTokenKind, description)
}

pub(super) fn no_id_tokens(provider: &Provider) -> OAuthError {
    let description = format!(
        "This is a JWT, and {} issues none. Send the access token that {} gave to your application.",
        provider.title(),
        provider.title()
    );
    grant(Reason::WrongTokenKind, description)
}

pub(super) fn not_an_id_token(provider: &Provider) -> OAuthError {
    let description =
        format!("This JWT is not a signed ID token. Send the ID token or access token of {}.", provider.title());
    grant(Reason::WrongTokenKind, description)
}

pub(super) fn other_issuer(provider: &Provider) -> OAuthError {
    let description =
        format!("This ID token was issued by somebody else than {}. Look at `backend`.", provider.title());
    grant(Reason::WrongTokenKind, description)
}

pub(super) fn id_token_rejected(provider: &Provider, why: &str) -> OAuthError {
    let description = format!("The ID token is not one that {} signed for use now: {why}.", provider.title());
    grant(Reason::TokenRejected, description)
}

/// An access token of a provider that does not say by it who the person is.
pub(super) fn access_token_is_not_enough(provider: &Provider) -> OAuthError {
    let title = provider.title();
    let instead = if provider.entry.takes_id_tokens() { "an ID token or a `code`" } else { "a `code`" };
    let description =
        format!("An access token of {title} alone does not say who the person is. Send {instead} instead.");
    grant(Reason::WrongTokenKind, description)
}

/// A protocol that knows neither tokens nor codes.
pub(super) fn no_tokens(provider: &Provider) -> OAuthError {
    let title = provider.title();
    let description =
        format!("{title} gives no tokens: people sign in with it in a browser (GET login/{}).", provider.name());
    grant(Reason::WrongTokenKind, description)
}

/// As [`no_tokens`], for a code.
pub(super) fn no_codes(provider: &Provider) -> OAuthError {
    let title = provider.title();
    let description = format!(
        "{title} gives no authorization codes: people sign in with it in a browser (GET login/{}).",
        provider.name()
    );
    grant(Reason::WrongTokenKind, description)
}

/// What an entry demands of a person is not met.
pub(super) fn not_allowed(provider: &Provider, why: &str) -> OAuthError {
    grant(Reason::PersonNotAllowed, format!("This account of {} may not come in: {why}.", provider.title()))
}

/// An answer that names another issuer (RFC 9207).
pub(super) fn other_providers_answer(provider: &Provider) -> OAuthError {
    let description = format!("This answer is not one of {}. Start the sign-in again.", provider.title());
    grant(Reason::CodeRejected, description)
}

/// An answer that is not of now, or was there before.
pub(super) fn stale_answer(provider: &Provider) -> OAuthError {
    let description =
        format!("This answer of {} is too old or was used before. Start the sign-in again.", provider.title());
    grant(Reason::CodeRejected, description)
}

/// An answer that no sign-in of ours in this browser began, where one must have.
pub(super) fn not_begun_here(provider: &Provider) -> OAuthError {
    let description = format!(
        "This answer of {} was not asked for by this browser. Start the sign-in again, with cookies allowed.",
        provider.title()
    );
    OAuthError::new(ErrorCode::AccessDenied, description).with_status(400)
}

/// Nobody can be sent to a provider that starts the sign-in itself.
pub(super) fn begins_there(provider: &Provider) -> OAuthError {
    let title = provider.title();
    OAuthError::invalid_request(format!(
        "A sign-in with {title} does not start here: {title} starts it, in its own page."
    ))
}

/// The cookie of a provider's script is not there.
pub(super) fn no_cookie(provider: &Provider) -> OAuthError {
    let title = provider.title();
    let description =
        format!("This browser is not signed in with {title}: sign in on the page with the button of {title} first.");
    OAuthError::new(ErrorCode::AccessDenied, description).with_status(400)
}

pub(super) fn refresh_rejected(provider: &Provider, cause: Cause) -> OAuthError {
    let description = format!("{} has ended this access: the person must sign in with it again.", provider.title());
    grant(Reason::TokenRejected, description).with_cause(cause)
}

pub(super) fn cannot_be_refreshed(provider: &Provider) -> OAuthError {
    let description = format!(
        "The token of {} has expired and there is nothing to renew it with: the person must sign in with it again.",
        provider.title()
    );
    grant(Reason::TokenExpired, description)
}

pub(super) fn token_rejected(provider: &Provider, cause: Cause) -> OAuthError {
    let description = format!(
        "{} does not accept this access token: it is unknown there, revoked, expired, or lacks the scope to read the \
         person. Ask for a new one. (An authorization code goes into `code`, not `token`.)",
        provider.title()
    );
    grant(Reason::TokenRejected, description).with_cause(cause)
}

pub(super) fn two_people(provider: &Provider) -> OAuthError {
    let description = format!("{} does not say for one and the same person whose token this is.", provider.title());
    grant(Reason::TokenRejected, description)
}

pub(super) fn token_expired(provider: &Provider) -> OAuthError {
    grant(Reason::TokenExpired, format!("This token of {} has expired. Ask for a new one.", provider.title()))
}

pub(super) fn foreign_audience(provider: &Provider) -> OAuthError {
    let description = format!(
        "{} issued this token to another application. It must be issued to the client id that this server has there, or \
         the operator lists the other one in `providers.{}.client_ids`.",
        provider.title(),
        provider.name()
    );
    grant(Reason::ForeignAudience, description)
}

pub(super) fn unproven_audience(provider: &Provider) -> OAuthError {
    let instead = if provider.entry.takes_id_tokens() { "an ID token or a `code`" } else { "a `code`" };
    let description = format!(
        "{} does not tell to which application it issued an access token, so this one could come from anybody's. Send \
         {instead} instead; or the operator sets `providers.{}.accept_unverified_audience`.",
        provider.title(),
        provider.name()
    );
    grant(Reason::UnprovenAudience, description)
}

pub(super) fn code_rejected(provider: &Provider, cause: Cause) -> OAuthError {
    let description = format!(
        "{} does not accept this authorization code: it was used before, has expired, or `redirect_uri` or \
         `code_verifier` are not those of the authorization request. Start the sign-in again.",
        provider.title()
    );
    grant(Reason::CodeRejected, description).with_cause(cause)
}

pub(super) fn nonce_mismatch(provider: &Provider) -> OAuthError {
    let description =
        format!("`nonce` is not the nonce of an ID token of {}: start the sign-in again.", provider.title());
    grant(Reason::NonceMismatch, description)
}

pub(super) fn nonce_without_id_token(provider: &Provider) -> OAuthError {
    let description = format!("There is no ID token of {} in which `nonce` could be found.", provider.title());
    grant(Reason::NonceMismatch, description)
}

pub(super) fn profile_incomplete(provider: &Provider, cause: Cause) -> OAuthError {
    let description = format!(
        "{} did not tell an identifier of the person. The token may lack a scope that allows it to.",
        provider.title()
    );
    grant(Reason::ProfileIncomplete, description).with_cause(cause)
}

/// Our own credentials, or the entry.
pub(super) fn misconfigured(provider: &Provider, cause: Cause) -> OAuthError {
    let description = format!(
        "{} is not set up rightly on this server; its operator finds the cause in the log (`providers.{}`).",
        provider.title(),
        provider.name()
    );
    OAuthError::new(ErrorCode::ServerError, description)
        .with_status(502)
        .with_reason(Reason::ProviderMisconfigured)
        .with_cause(cause)
}

fn unreachable(description: String, status: u16, cause: Cause) -> OAuthError {
    OAuthError::unavailable(description, RETRY_AFTER)
        .with_status(status)
        .with_reason(Reason::ProviderUnreachable)
        .with_cause(cause)
}

pub(super) fn provider_down(provider: &Provider, cause: Cause) -> OAuthError {
    let title = provider.title();
    unreachable(format!("{title} is down or busy. The token may well be good: try again later."), 503, cause)
}

pub(super) fn bad_answer(provider: &Provider, cause: Cause) -> OAuthError {
    let title = provider.title();
    let description =
        format!("{title} answered with something that is not an answer. The token may well be good: try again later.");
    unreachable(description, 502, cause)
}

/// There was no answer at all.
pub(super) fn failed(provider: &Provider, failure: Failure) -> OAuthError {
    let title = provider.title();
    let cause = failure.to_string();
    match failure {
        Failure::TimedOut(_) => {
            unreachable(format!("{title} did not answer in time. The token may well be good: try again."), 504, cause)
        }
        Failure::TooLarge(_) => unreachable(format!("{title} answered with far more than an answer."), 502, cause),
        Failure::Blocked(..) => unreachable(
            format!(
                "{title} was not called, because its address is not a public one. The operator may set \
                 `outbound.allow_private_addresses` or `outbound.origin_map`."
            ),
            503,
            cause,
        ),
        Failure::Unreachable(..) => unreachable(
            format!("{title} cannot be reached from here. The token may well be good: try again."),
            503,
            cause,
        ),
    }
}

pub(super) fn verifier_rejected(provider: &Provider, cause: Cause) -> OAuthError {
    let description = format!("{} does not accept this answer any more. Start the sign-in again.", provider.title());
    grant(Reason::CodeRejected, description).with_cause(cause)
}

pub(super) fn ticket_rejected(provider: &Provider, cause: Cause) -> OAuthError {
    let description = format!(
        "{} does not accept this ticket: it was used before, has expired, or was made for another service. Start the \
         sign-in again.",
        provider.title()
    );
    grant(Reason::CodeRejected, description).with_cause(cause)
}

/// OAuth 1.0a: what was presented is not a token with its secret.
pub(super) fn no_token_pair(provider: &Provider) -> OAuthError {
    let description = format!(
        "A token of {} comes with its secret: send `oauth_token=…&oauth_token_secret=…`, URL-encoded, as one value.",
        provider.title()
    );
    grant(Reason::WrongTokenKind, description)
}

/// OAuth 1.0a: only the answer that brought the token says whose it is.
pub(super) fn token_pair_is_not_enough(provider: &Provider) -> OAuthError {
    let (title, name) = (provider.title(), provider.name());
    let description = format!(
        "A token of {title} alone does not say who the person is: people sign in with it in a browser (GET login/{name})."
    );
    grant(Reason::WrongTokenKind, description)
}

/// OpenID 2.0: nobody answers for what the person typed.
pub(super) fn no_openid(provider: &Provider, cause: Cause) -> OAuthError {
    let description = format!(
        "This is not an OpenID that {} can be asked about. Look at what you typed, and sign in again.",
        provider.title()
    );
    OAuthError::invalid_request(description).with_field("openid_identifier").with_cause(cause)
}

/// An OpenID 2.0 answer that proves nothing.
pub(super) fn assertion_rejected(provider: &Provider, why: &str) -> OAuthError {
    let description = format!("The answer of {} is not taken: {why}. Start the sign-in again.", provider.title());
    grant(Reason::TokenRejected, description)
}
