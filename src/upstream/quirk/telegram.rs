//! Telegram: a person's members, signed with a key that is made of the bot's token.
//!
//! The browser is sent to Telegram, so that our pages load no script of theirs. Telegram answers behind the `#`, in base64;
//! a page of ours moves that into a query. A page of the operator's with Telegram's widget gets the members as parameters,
//! and both are taken.
//!
//! <https://core.telegram.org/widgets/login#checking-authorization>

use aws_lc_rs::digest;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

use super::super::journey::{Departure, Unasked};
use super::super::person::Known;
use super::super::{Identified, Provider, ProviderTokens, Upstream, refuse};
use super::{OURS, hex, hmac_sha256, is_same};
use crate::protocol::jose::LEEWAY;
use crate::protocol::provider::template::with_query;
use crate::protocol::{OAuthError, Params};

/// Seconds that an answer to a sign-in of ours is good for: Telegram gives the same one for as long as the person stays
/// signed in there.
pub(super) const OLDEST: i64 = 86_400;
/// The same for one that nobody asked for.
const OLDEST_UNASKED: i64 = 600;
/// Where the members are in one piece.
const RESULT: &str = "tgAuthResult";

pub(super) fn check(provider: &Provider) -> Result<(), String> {
    match bot_id(provider) {
        Some(_) => Ok(()),
        None => Err("`bot_token` is not the token of a bot: a number, a colon, and more".into()),
    }
}

fn bot_id(provider: &Provider) -> Option<&str> {
    let (id, secret) = provider.value("bot_token").split_once(':')?;
    (!id.is_empty() && id.bytes().all(|byte| byte.is_ascii_digit()) && !secret.is_empty()).then_some(id)
}

pub(super) fn depart(provider: &Provider, going: &Departure<'_>) -> Result<String, OAuthError> {
    let back = provider.full_redirect_uri(going.redirect_uri, going.state);
    let origin = url::Url::parse(&back).map(|url| url.origin().ascii_serialization()).unwrap_or_default();
    let params = [
        ("bot_id", bot_id(provider).unwrap_or_default()),
        ("origin", &origin),
        ("request_access", "write"),
        ("return_to", &back),
    ];
    Ok(params.into_iter().fold(provider.authorize()?, |url, (name, value)| with_query(&url, name, value)))
}

pub(super) fn in_fragment(params: &Params) -> Option<&'static str> {
    let is_told = ["hash", RESULT, "error"].iter().any(|name| params.get(name).is_some());
    (params.get("redirect_state").is_some() && !is_told).then_some(RESULT)
}

/// The members in one piece become parameters. `false` in their place: the person said no.
pub(super) fn unpacked(params: Params) -> Result<Params, OAuthError> {
    let Some(result) = params.get(RESULT) else { return Ok(params) };
    let bad = || refuse::unfit(RESULT, "is not what Telegram sends");
    let plain = result.trim_end_matches('=').replace('+', "-").replace('/', "_");
    let members: Map<String, Value> = match result {
        "false" => Map::from_iter([("error".to_owned(), "access_denied".into())]),
        _ => serde_json::from_slice(&URL_SAFE_NO_PAD.decode(plain).map_err(|_| bad())?).map_err(|_| bad())?,
    };
    // Without this it would be taken for one that is still behind the `#`.
    if !["hash", "error"].iter().any(|name| members.contains_key(*name)) {
        return Err(bad());
    }
    let text = |value: Value| match value {
        Value::String(text) => Some(text),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    };
    let ours = params.iter().filter(|(name, _)| OURS.contains(name));
    let mut all: Vec<_> = ours.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    for (name, value) in members {
        all.push((name, text(value).ok_or_else(bad)?));
    }
    Params::from_pairs(all)
}

/// The members, if our bot's token signed them and not too long ago.
pub(super) fn verified(
    provider: &Provider,
    params: &Params,
    now: i64,
    oldest: i64,
) -> Result<Map<String, Value>, OAuthError> {
    let other = || refuse::other_providers_answer(provider);
    let (came, at) = (params.required("hash")?, params.required("auth_date")?);
    let members: Vec<(&str, &str)> =
        params.iter().filter(|(name, _)| *name != "hash" && !OURS.contains(name)).collect();
    // A line feed in a member would make two sets of members one signed text.
    if members.iter().any(|(name, value)| name.contains(['\n', '=']) || value.contains('\n')) {
        return Err(other());
    }
    let mut lines: Vec<String> = members.iter().map(|(name, value)| format!("{name}={value}")).collect();
    lines.sort();
    let key = digest::digest(&digest::SHA256, provider.value("bot_token").as_bytes());
    if !is_same(&hex(&hmac_sha256(key.as_ref(), &lines.join("\n"))), &came.to_ascii_lowercase()) {
        return Err(other());
    }
    let at: i64 = at.parse().map_err(|_| other())?;
    match now.saturating_sub(at) <= oldest && at <= now.saturating_add(LEEWAY) {
        true => Ok(members.into_iter().map(|(name, value)| (name.to_owned(), value.into())).collect()),
        false => Err(refuse::stale_answer(provider)),
    }
}

/// The widget on a page of the operator's sends the browser straight to us.
pub(super) fn arrive_unasked(
    upstream: &Upstream,
    provider: &Provider,
    came: &Unasked<'_>,
) -> Result<Identified, OAuthError> {
    let members = verified(provider, came.params, upstream.clock.now(), OLDEST_UNASKED)?;
    let profile = upstream.person_of_known(provider, &Known { id_token: members, ..Known::default() })?.profile;
    // In either case of its letters it is the same.
    upstream.only_once(provider, &came.params.required("hash")?.to_ascii_lowercase())?;
    Ok(Identified { profile, tokens: ProviderTokens::default(), expires_at: None, once: None })
}
