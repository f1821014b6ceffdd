//! MediaWiki tells who the person is in a JWT that our own consumer secret signs.
//!
//! <https://www.mediawiki.org/wiki/OAuth/For_Developers#Identifying_the_user>

use serde_json::Value;

use super::super::outbound::Answer;
use super::super::{Provider, refuse};
use crate::protocol::OAuthError;
use crate::protocol::jose::LEEWAY;
use crate::protocol::jwt::Jwt;

pub(super) fn read(provider: &Provider, answer: &Answer, now: i64) -> Result<Value, OAuthError> {
    let bad = |why: &str| refuse::bad_answer(provider, why.to_owned());
    let text = std::str::from_utf8(&answer.body).unwrap_or_default().trim();
    let jwt = Jwt::parse(text).ok_or_else(|| bad("the answer is no JWT"))?;
    if !jwt.is_signed_with_secret(provider.secret().unwrap_or_default()) {
        return Err(bad("our consumer secret did not sign the answer"));
    }
    let origin = |url: &str| url::Url::parse(url).ok().map(|url| url.origin()).filter(url::Origin::is_tuple);
    let wiki = origin(provider.value("mediawiki_url"));
    if wiki.is_none() || jwt.text("iss").and_then(origin) != wiki {
        return Err(refuse::other_issuer(provider));
    }
    if !jwt.is_for(&[provider.client_id()]) {
        return Err(refuse::foreign_audience(provider));
    }
    match jwt.is_current(now, LEEWAY) {
        true => Ok(Value::Object(jwt.claims)),
        false => Err(bad("the answer is not of now")),
    }
}
