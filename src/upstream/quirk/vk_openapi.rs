//! VK's script in a page of the operator's, below our own host, signs in by itself and leaves a signed cookie. The page then
//! leads to `login/vk-openapi`, and from there the browser goes straight to our own address: what counts is the cookie.
//!
//! <https://dev.vk.com/en/api/open-api/getting-started>

use serde_json::{Map, Value};

use super::super::journey::{Departure, Return};
use super::super::{Provider, refuse};
use super::{OURS, is_same, md5_hex};
use crate::protocol::OAuthError;
use crate::protocol::provider::template::with_query;

/// What of the cookie is signed, in this order.
const SIGNED: [&str; 4] = ["expire", "mid", "secret", "sid"];

pub(super) fn depart(provider: &Provider, going: &Departure<'_>) -> String {
    let back = provider.full_redirect_uri(going.redirect_uri, going.state);
    let told = ["nickname", "first_name", "last_name"].into_iter();
    let told = told.filter_map(|name| Some((name, going.request.get(name)?)));
    told.fold(back, |url, (name, value)| with_query(&url, name, value))
}

pub(super) fn arrive(provider: &Provider, back: &Return<'_>, now: i64) -> Result<Map<String, Value>, OAuthError> {
    let name = format!("vk_app_{}", provider.value("app_id"));
    let cookie = (back.cookies)(&name).ok_or_else(|| refuse::no_cookie(provider))?;
    let other = || refuse::other_providers_answer(provider);
    let members: Map<String, Value> = url::form_urlencoded::parse(cookie.trim_matches('"').as_bytes())
        .map(|(name, value)| (name.into_owned(), Value::from(value.into_owned())))
        .collect();
    let member = |name: &str| members.get(name).and_then(Value::as_str).filter(|value| !value.is_empty());
    let mut text = String::new();
    for name in SIGNED {
        text.push_str(&format!("{name}={}", member(name).ok_or_else(other)?));
    }
    let signature = md5_hex(&format!("{text}{}", provider.secret().unwrap_or_default()));
    if !is_same(&signature, member("sig").ok_or_else(other)?) {
        return Err(other());
    }
    let expires_at: i64 = member("expire").and_then(|text| text.parse().ok()).ok_or_else(other)?;
    if expires_at <= now {
        return Err(refuse::stale_answer(provider));
    }
    // The names come from the page; who it is, from the cookie alone.
    let told = back.params.iter().filter(|(name, _)| !OURS.contains(name));
    let mut root: Map<String, Value> = told.map(|(name, value)| (name.to_owned(), value.into())).collect();
    root.insert("id".into(), member("mid").unwrap_or_default().into());
    Ok(root)
}
