//! What pages and their script need to ask for a passkey, and the way in by one.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CACHE_CONTROL;
use axum::response::{IntoResponse, Response};
use serde_json::Value;
use vestibule_protocol::{OAuthError, Params};

use super::respond::Refusal;
use super::visitor::Visitor;
use crate::context::{Context, Ctx};
use crate::identity::second_factor::passkey::{self, PasskeyError, RelyingParty};
use crate::store::user::User;

/// The script of every page that asks for one.
pub(super) const SCRIPT: &str = "passkeys.js";
/// Where the script learns what to ask whoever signs in.
pub(super) const SIGN_IN_OPTIONS: &str = "/account/sign-in/passkey";

/// Who we are to authenticators.
///
/// # Errors
/// There are no passkeys at an address like ours.
pub(super) fn party(cx: &Context) -> Result<RelyingParty, OAuthError> {
    RelyingParty::of(&cx.settings).ok_or_else(|| {
        OAuthError::invalid_request("Passkeys need `public_url` to be https with a name for its host, or localhost.")
    })
}

/// What only this browser has: the cookie that ties forms to it.
///
/// # Errors
/// It takes no cookies.
pub(super) fn browser(visitor: &Visitor) -> Result<&str, OAuthError> {
    let none = || OAuthError::invalid_request("This browser has no cookie of ours. Load the page again.");
    visitor.form_cookie.as_deref().ok_or_else(none)
}

/// What the script has put into a form: the ceremony and the authenticator's answer.
pub(super) fn answer(params: &Params) -> Option<(&str, &str)> {
    let answer = params.get("credential").filter(|answer| !answer.is_empty())?;
    Some((params.get("ceremony").unwrap_or_default(), answer))
}

/// What a page's script is to ask.
pub(super) fn options(made: Result<Value, OAuthError>) -> Response {
    match made {
        Ok(options) => ([(CACHE_CONTROL, "no-store")], Json(options)).into_response(),
        Err(error) => Refusal(error).into_response(),
    }
}

/// What the person is told of a passkey that does not count, by the key of its text, and the status.
///
/// # Errors
/// The server failed.
pub(super) fn told(error: PasskeyError) -> Result<(&'static str, StatusCode), OAuthError> {
    tracing::info!(reason = %error, "a passkey was refused");
    let key = match error {
        PasskeyError::Failed(error) => return Err(error),
        PasskeyError::Stale => "passkey_stale",
        PasskeyError::Refused(_) => "passkey_refused",
        PasskeyError::Unknown => "passkey_unknown",
        PasskeyError::Taken => "passkey_taken",
        PasskeyError::TooMany => "passkey_too_many",
    };
    Ok((key, StatusCode::BAD_REQUEST))
}

/// `GET account/sign-in/passkey`
pub(super) async fn sign_in_options(State(cx): State<Ctx>, visitor: Visitor) -> Response {
    let made = party(&cx).and_then(|party| passkey::options_to_sign_in(&cx, &party, browser(&visitor)?));
    options(made)
}

/// The person whose passkey has answered, and how they came in.
///
/// # Errors
/// [`PasskeyError`].
pub(super) async fn sign_in(
    cx: &Context,
    visitor: &Visitor,
    answer: (&str, &str),
) -> Result<(User, String), PasskeyError> {
    passkey::sign_in(cx, &party(cx)?, browser(visitor)?, answer).await
}
