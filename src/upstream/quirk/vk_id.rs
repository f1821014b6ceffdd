//! VK ID ties its tokens to the device on which the person signed in: its number comes beside the code, and goes along when
//! the code is redeemed and when the token is renewed. Each answer repeats the request's `state`.
//!
//! <https://id.vk.com/about/business/go/docs/en/vkid/latest/vk-id/connection/start-integration/auth-without-sdk/auth-without-sdk-web>

use aws_lc_rs::rand;
use serde_json::{Map, Value};

use super::super::person::Known;
use super::super::token_endpoint::Fields;
use super::super::{Provider, ProviderTokens, must_be_fit, refuse};
use super::is_same;
use crate::protocol::jwt::encode_part;
use crate::protocol::{OAuthError, Params};

const DEVICE: &str = "device_id";

/// The members of `payload`, as VK's script sends them, among the parameters. One that is there twice must be the same.
pub(super) fn unpacked(params: Params) -> Result<Params, OAuthError> {
    let Some(payload) = params.get("payload") else { return Ok(params) };
    let bad = || refuse::unfit("payload", "is not what VK ID sends");
    let members: Map<String, Value> = serde_json::from_str(payload).map_err(|_| bad())?;
    let mut all: Vec<(String, String)> = params
        .iter()
        .filter(|(name, _)| *name != "payload")
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    for name in ["code", DEVICE, "state", "error", "error_description"] {
        let Some(value) = members.get(name) else { continue };
        let value = value.as_str().ok_or_else(bad)?;
        match all.iter().find(|(own, _)| own == name) {
            Some((_, own)) if own == value => {}
            Some(_) => return Err(bad()),
            None => all.push((name.to_owned(), value.to_owned())),
        }
    }
    Params::from_pairs(all)
}

/// The device, and a state of this request's own.
fn fields(device: &str) -> Result<Fields, OAuthError> {
    let mut state = [0; 32];
    // The same sentence as for every other failure of our own.
    rand::fill(&mut state).map_err(|_| OAuthError::unavailable("No randomness is to be had; try again.", 1))?;
    Ok(vec![(DEVICE.into(), device.into()), ("state".into(), encode_part(&state))])
}

pub(super) fn code_fields(known: &Known) -> Result<Fields, OAuthError> {
    let device = known.callback.get(DEVICE).and_then(Value::as_str);
    let device = device.ok_or_else(|| OAuthError::missing(DEVICE))?;
    must_be_fit(DEVICE, device)?;
    fields(device)
}

pub(super) fn refresh_fields(provider: &Provider, tokens: &ProviderTokens) -> Result<Fields, OAuthError> {
    let device = tokens.kept.iter().find(|(name, _)| name == DEVICE).and_then(|(_, device)| device.as_str());
    fields(device.ok_or_else(|| refuse::cannot_be_refreshed(provider))?)
}

pub(super) fn check_token_answer(
    provider: &Provider,
    sent: &Fields,
    answer: &Map<String, Value>,
) -> Result<(), OAuthError> {
    let sent = sent.iter().find(|(name, _)| name == "state").map(|(_, state)| state.as_str()).unwrap_or_default();
    match is_same(sent, answer.get("state").and_then(Value::as_str).unwrap_or_default()) {
        true => Ok(()),
        false => Err(refuse::other_providers_answer(provider)),
    }
}

pub(super) fn kept(known: &Known) -> Vec<(String, Value)> {
    let device = known.token_answer.get(DEVICE).or_else(|| known.callback.get(DEVICE));
    device.map(|device| (DEVICE.to_owned(), device.clone())).into_iter().collect()
}
