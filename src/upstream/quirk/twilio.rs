//! Twilio Connect comes back with the number of the account that was chosen. Nothing signs it, so it only connects.

use serde_json::{Map, Value};

use super::super::journey::{Departure, Return};
use super::super::{Provider, refuse};
use crate::protocol::OAuthError;
use crate::protocol::provider::template::with_query;

const ACCOUNT: &str = "AccountSid";

pub(super) fn depart(provider: &Provider, going: &Departure<'_>) -> Result<String, OAuthError> {
    let back = provider.full_redirect_uri(going.redirect_uri, going.state);
    Ok(with_query(&provider.authorize()?, "cb", &back))
}

pub(super) fn arrive(provider: &Provider, back: &Return<'_>) -> Result<Map<String, Value>, OAuthError> {
    let account = back.params.required(ACCOUNT)?;
    let number = account.strip_prefix("AC").unwrap_or_default();
    match number.len() == 32 && number.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        true => Ok(Map::from_iter([(ACCOUNT.to_owned(), Value::from(account))])),
        false => Err(refuse::other_providers_answer(provider)),
    }
}
