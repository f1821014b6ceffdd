//! DiscourseConnect, with the forum as the provider: question and answer are a form in base64 and its HMAC under the secret
//! that both know; the nonce ties one to the other.
//!
//! <https://meta.discourse.org/t/use-discourse-as-an-identity-provider-sso-discourseconnect/32974>

use base64::Engine as _;
use base64::alphabet;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD};
use serde_json::{Map, Value};

use super::super::journey::{Departure, Return};
use super::super::{Provider, refuse};
use super::{hex, hmac_sha256, is_same};
use crate::protocol::OAuthError;
use crate::protocol::provider::template::with_query;

const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

fn signature(provider: &Provider, payload: &str) -> String {
    hex(&hmac_sha256(provider.secret().unwrap_or_default().as_bytes(), payload))
}

pub(super) fn depart(provider: &Provider, going: &Departure<'_>) -> Result<String, OAuthError> {
    let back = provider.full_redirect_uri(going.redirect_uri, going.state);
    let form = url::form_urlencoded::Serializer::new(String::new())
        .append_pair("nonce", going.nonce)
        .append_pair("return_sso_url", &back)
        .finish();
    let payload = STANDARD.encode(form);
    let signature = signature(provider, &payload);
    Ok(with_query(&with_query(&provider.authorize()?, "sso", &payload), "sig", &signature))
}

pub(super) fn arrive(provider: &Provider, back: &Return<'_>) -> Result<Map<String, Value>, OAuthError> {
    let (payload, came) = (back.params.required("sso")?, back.params.required("sig")?);
    if !is_same(&signature(provider, payload), &came.to_ascii_lowercase()) {
        return Err(refuse::other_providers_answer(provider));
    }
    // Ruby folds its lines, and some write the alphabet for URLs.
    let plain: String = payload.split_whitespace().collect::<String>().replace('-', "+").replace('_', "/");
    let form = LENIENT.decode(plain).map_err(|_| refuse::other_providers_answer(provider))?;
    let pairs = url::form_urlencoded::parse(&form).into_owned();
    let members: Map<String, Value> = pairs.map(|(name, value)| (name, Value::String(value))).collect();
    let nonce = members.get("nonce").and_then(Value::as_str).unwrap_or_default();
    match is_same(back.nonce, nonce) {
        true => Ok(members),
        false => Err(refuse::nonce_mismatch(provider)),
    }
}
