//! An application inside a page of Facebook's: Facebook posts a signed request to it, with an access token if the person has
//! allowed the application.
//!
//! <https://developers.facebook.com/docs/facebook-login/guides/advanced/existing-system#parsingsr>

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

use super::super::journey::Unasked;
use super::super::person::Known;
use super::super::{Identified, Provider, ProviderTokens, Upstream, must_be_fit, refuse};
use super::{hmac_sha256, is_same};
use crate::protocol::OAuthError;
use crate::protocol::jose::LEEWAY;

/// Seconds that a signed request is good for: it is posted as soon as it is made.
const OLDEST: i64 = 600;

pub(super) async fn arrive(
    upstream: &Upstream,
    provider: &Provider,
    came: &Unasked<'_>,
) -> Result<Identified, OAuthError> {
    let signed = came.params.required("signed_request")?;
    let request = verified(provider, signed, upstream.clock.now())?;
    let text = |name: &str| request.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
    // Nobody vouches for a token that stands beside the signed request, but then it must be the signed person's.
    let beside = || came.params.get("access_token").filter(|_| text("user_id").is_some());
    let token = text("oauth_token").or_else(beside);
    let token = token.ok_or_else(|| {
        let why = "the person has not allowed the application yet: the signed request has no token";
        refuse::profile_incomplete(provider, why.into())
    })?;
    must_be_fit("oauth_token", token)?;
    let profile = upstream.person(provider, token, &Known::default()).await?.profile;
    if text("user_id").is_some_and(|id| id != profile.uid) {
        return Err(refuse::two_people(provider));
    }
    // What was signed: the signature may have its padding or not.
    let payload = signed.split_once('.').map_or(signed, |(_, payload)| payload);
    upstream.only_once(provider, payload)?;
    let expires_at = request.get("expires").and_then(Value::as_i64).filter(|at| *at != 0);
    let tokens = ProviderTokens { access_token: Some(token.to_owned()), expires_at, ..ProviderTokens::default() };
    Ok(Identified { profile, tokens, expires_at, once: None })
}

/// The members of a signed request: signature and payload in base64url, with a dot between.
fn verified(provider: &Provider, signed: &str, now: i64) -> Result<Map<String, Value>, OAuthError> {
    let other = || refuse::other_providers_answer(provider);
    let (signature, payload) = signed.split_once('.').ok_or_else(other)?;
    let computed = hmac_sha256(provider.secret().unwrap_or_default().as_bytes(), payload);
    if !is_same(&URL_SAFE_NO_PAD.encode(computed), signature.trim_end_matches('=')) {
        return Err(other());
    }
    let json = URL_SAFE_NO_PAD.decode(payload.trim_end_matches('=')).map_err(|_| other())?;
    let members: Map<String, Value> = serde_json::from_slice(&json).map_err(|_| other())?;
    let algorithm = members.get("algorithm").and_then(Value::as_str).unwrap_or_default();
    if !algorithm.eq_ignore_ascii_case("HMAC-SHA256") {
        return Err(other());
    }
    let issued_at = members.get("issued_at").and_then(Value::as_i64);
    let is_fresh = |at: i64| now.saturating_sub(at) <= OLDEST && at <= now.saturating_add(LEEWAY);
    match issued_at.is_some_and(is_fresh) {
        true => Ok(members),
        false => Err(refuse::stale_answer(provider)),
    }
}
