//! What an entry cannot say as data, by the name in its `quirk`: one file each, shared by the providers that have it.
//!
//! The rooms around it ask here at fixed places (at the start, before a call, at the way out and back); a provider without a
//! quirk passes through.

use serde_json::{Map, Value};

use super::journey::{Departure, Going, Return};
use super::outbound::Call;
use super::person::Known;
use super::{Identified, Provider, Upstream, refuse};
use crate::protocol::OAuthError;
use crate::protocol::provider::Entry;

/// Every quirk there is.
const NAMES: &[&str] = &[];

/// Whether there is a quirk of this name.
pub(super) fn is_known(name: &str) -> bool {
    NAMES.contains(&name)
}

/// What proves at the token endpoint that we are the client.
pub(super) struct Credentials {
    /// The client secret.
    pub secret: Option<String>,
    /// Parameters in its place.
    pub fields: Vec<(String, String)>,
}

/// Whether a sign-in needs our secret though no template has it.
pub(super) fn needs_client_secret(_entry: &Entry) -> bool {
    false
}

/// Whether everything is there that the quirk needs.
///
/// # Errors
/// What is missing, for the operator.
pub(super) fn check(_provider: &Provider) -> Result<(), String> {
    Ok(())
}

/// Our credentials for the token endpoint at `_url`.
pub(super) fn credentials(provider: &Provider, _now: i64, _url: &str) -> Result<Credentials, OAuthError> {
    Ok(Credentials { secret: provider.secret().map(str::to_owned), fields: Vec::new() })
}

/// Signs a call about the person.
pub(super) fn sign(_provider: &Provider, _call: &mut Call, _token: &str) -> Result<(), OAuthError> {
    Ok(())
}

/// Looks at what the browser came back with, before its code is redeemed.
pub(super) fn check_callback(_provider: &Provider, _back: &Return<'_>, _known: &Known) -> Result<(), OAuthError> {
    Ok(())
}

/// Looks at what the token endpoint answered.
pub(super) fn check_token_answer(
    _provider: &Provider,
    _answer: &Map<String, Value>,
    _known: &Known,
) -> Result<(), OAuthError> {
    Ok(())
}

/// Looks at the claims of a verified ID token.
pub(super) fn check_id_token(_provider: &Provider, _claims: &Map<String, Value>) -> Result<(), OAuthError> {
    Ok(())
}

/// What of a sign-in must be known again when its token is refreshed.
pub(super) fn kept(_provider: &Provider, _known: &Known) -> Vec<(String, Value)> {
    Vec::new()
}

/// Where a browser is sent, by protocols without a driver of their own.
pub(super) async fn depart(_: &Upstream, provider: &Provider, _: &Departure<'_>) -> Result<Going, OAuthError> {
    Err(refuse::misconfigured(provider, "its protocol has no way by browser".into()))
}

/// Who came back, by protocols without a driver of their own.
pub(super) async fn arrive(_: &Upstream, provider: &Provider, _: &Return<'_>) -> Result<Identified, OAuthError> {
    Err(refuse::misconfigured(provider, "its protocol has no way by browser".into()))
}
