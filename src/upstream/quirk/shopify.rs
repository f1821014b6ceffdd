//! Shopify: a shop is asked at its own host, and comes back with parameters that our secret signs.
//!
//! <https://shopify.dev/docs/apps/build/authentication-authorization/access-tokens/authorization-code-grant>

use serde_json::{Map, Value};

use super::super::journey::{Departure, Return};
use super::super::person::Known;
use super::super::{Identified, Provider, Upstream, must_be_fit, refuse};
use super::{hex, hmac_sha256, is_same};
use crate::protocol::jose::LEEWAY;
use crate::protocol::provider::template::with_query;
use crate::protocol::{OAuthError, Params};

/// Seconds that an answer is good for.
const OLDEST: i64 = 86_400;
const DOMAIN: &str = ".myshopify.com";

pub(super) fn depart(provider: &Provider, going: &Departure<'_>) -> Result<String, OAuthError> {
    let shop = shop(going.request.required("shop")?).ok_or_else(|| refuse::unfit("shop", "is not a shop's host"))?;
    let request = Map::from_iter([("shop".to_owned(), Value::from(shop))]);
    let context = Known { request, ..Known::default() }.answer(provider, "");
    let missing = || refuse::misconfigured(provider, "no `endpoints.authorize`".into());
    let template = provider.entry.endpoints.authorize.as_ref().ok_or_else(missing)?;
    let url = provider.endpoint(template, &provider.variables("", &context))?;
    let scope = provider.scope().join(&provider.entry.scope.separator);
    // Its list of redirect URIs is compared as a whole, so the state is not in there.
    let params = [
        ("client_id", provider.client_id()),
        ("scope", &scope),
        ("redirect_uri", going.redirect_uri),
        ("state", going.state),
    ];
    let sent = params.into_iter().filter(|(_, value)| !value.is_empty());
    Ok(sent.fold(url, |url, (name, value)| with_query(&url, name, value)))
}

pub(super) async fn arrive(
    upstream: &Upstream,
    provider: &Provider,
    back: &Return<'_>,
) -> Result<Identified, OAuthError> {
    let other = || refuse::other_providers_answer(provider);
    if !is_same(&signature(provider, back.params), &back.params.required("hmac")?.to_ascii_lowercase()) {
        return Err(other());
    }
    let now = upstream.clock.now();
    let at = back.params.required("timestamp")?.parse::<i64>().map_err(|_| other())?;
    if now.saturating_sub(at) > OLDEST || at > now.saturating_add(LEEWAY) {
        return Err(refuse::stale_answer(provider));
    }
    // The shop that was asked, and no other one that has our application too.
    let asked = back.request.get("shop").and_then(Value::as_str).and_then(shop);
    let host = back.params.required("shop")?;
    if asked.as_deref() != Some(host) {
        return Err(other());
    }
    let code = back.params.required("code")?;
    must_be_fit("code", code)?;
    let root = Map::from_iter([
        ("shop".to_owned(), Value::from(host)),
        ("website".to_owned(), Value::from(format!("https://{host}"))),
    ]);
    let known = Known { id_token: root, request: back.request.clone(), ..Known::default() };
    let known = Known { callback: known.id_token.clone(), ..known };
    let granted = upstream.redeem(provider, code, Some(back.redirect_uri), None, &known).await?;
    let profile = upstream.person_of_known(provider, &known)?.profile;
    Ok(Identified { profile, expires_at: granted.tokens.expires_at, tokens: granted.tokens, once: None })
}

/// A shop's host, from its name or its address.
fn shop(text: &str) -> Option<String> {
    let text = text.trim().to_ascii_lowercase();
    let host = text.strip_prefix("https://").unwrap_or(&text).trim_end_matches('/');
    let name = host.strip_suffix(DOMAIN).unwrap_or(host);
    let is_name = name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
    let fits = is_name && !name.is_empty() && name.len() <= 60 && !name.starts_with('-');
    fits.then(|| format!("{name}{DOMAIN}"))
}

/// Everything but the signature, in the order of the names, as a query that nothing is encoded in but what would end a name
/// or a value.
fn signature(provider: &Provider, params: &Params) -> String {
    let value = |text: &str| text.replace('%', "%25").replace('&', "%26");
    let signed = params.iter().filter(|(name, _)| !matches!(*name, "hmac" | "signature"));
    let mut pairs: Vec<String> =
        signed.map(|(name, text)| format!("{}={}", value(name).replace('=', "%3D"), value(text))).collect();
    pairs.sort();
    hex(&hmac_sha256(provider.secret().unwrap_or_default().as_bytes(), &pairs.join("&")))
}
