//! The two cookies of a browser, and the token that ties a form to them.
//!
//! The session's cookie says who is signed in. The form's cookie is there before anybody is: a form is taken only from the
//! browser that it was shown to, in the session in which it was shown (RFC 6819 §4.4.1.8).

use axum::http::header::{COOKIE, HOST, ORIGIN};
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use vestibule_protocol::PlainToken;
use vestibule_protocol::jwt::encode_part;

use crate::context::{Context, random};

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// What a request has of ours. Of a cookie that is there twice the first counts.
pub(super) fn read(cx: &Context, headers: &HeaderMap, base: &str) -> Option<String> {
    foreign(headers, &cx.settings.cookie_name(base))
}

/// A cookie that a script of a provider's has set on our page.
pub(super) fn foreign(headers: &HeaderMap, name: &str) -> Option<String> {
    let lines = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
    lines
        .flat_map(|line| line.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find(|(own, _)| *own == name)
        .map(|(_, value)| value.to_owned())
}

/// `Set-Cookie` for a value that lives so many seconds; 0 removes it.
fn set(cx: &Context, base: &str, value: &str, max_age: u64) -> Option<HeaderValue> {
    let secure = if cx.settings.is_https() { "; Secure" } else { "" };
    let text =
        format!("{}={value}; Path=/; Max-Age={max_age}; HttpOnly; SameSite=Lax{secure}", cx.settings.cookie_name(base));
    HeaderValue::from_str(&text).ok()
}

/// The session's cookie.
pub(super) fn session(cx: &Context, value: &PlainToken) -> Option<HeaderValue> {
    set(cx, "session", value.reveal(), cx.settings.sessions.absolute_ttl.as_secs())
}

/// The end of the session's cookie.
pub(super) fn no_session(cx: &Context) -> Option<HeaderValue> {
    set(cx, "session", "", 0)
}

/// The form's cookie: for as long as the browser runs.
pub(super) fn form(cx: &Context, value: &str) -> Option<HeaderValue> {
    let secure = if cx.settings.is_https() { "; Secure" } else { "" };
    HeaderValue::from_str(&format!(
        "{}={value}; Path=/; HttpOnly; SameSite=Lax{secure}",
        cx.settings.cookie_name("form")
    ))
    .ok()
}

/// A sealed value for the way to a provider and back, for so many seconds; 0 removes it.
pub(super) fn journey(cx: &Context, value: &str, max_age: u64) -> Option<HeaderValue> {
    set(cx, "journey", value, max_age)
}

/// The secret of a sign-in that waits for an e-mail address, for so many seconds; 0 removes it.
pub(super) fn waiting(cx: &Context, value: &str, max_age: u64) -> Option<HeaderValue> {
    set(cx, "waiting", value, max_age)
}

/// The secret of an account that waits for its address to be proven, for so many seconds; 0 removes it.
pub(super) fn sign_up(cx: &Context, value: &str, max_age: u64) -> Option<HeaderValue> {
    set(cx, "sign_up", value, max_age)
}

/// The secret of a mailed link that sets a password, for so many seconds; 0 removes it.
pub(super) fn reset(cx: &Context, value: &str, max_age: u64) -> Option<HeaderValue> {
    set(cx, "reset", value, max_age)
}

/// The secret of a sign-in that waits for a second factor, for so many seconds; 0 removes it.
pub(super) fn half_way(cx: &Context, value: &str, max_age: u64) -> Option<HeaderValue> {
    set(cx, "half_way", value, max_age)
}

/// A new value for the form's cookie.
pub(super) fn new_form_value() -> String {
    encode_part(&random::<32>())
}

/// The token of a form that is shown to this browser in this session.
pub(super) fn form_token(cx: &Context, form_cookie: &str, session_cookie: Option<&str>) -> String {
    let input = [form_cookie, "\n", session_cookie.unwrap_or_default()].concat();
    encode_part(&cx.keys.derive("form token", input.as_bytes()))
}

/// Whether a page of ours, or the person alone (a bookmark, a typed address), led here, and the browser says so.
pub(super) fn is_led_from_here(headers: &HeaderMap) -> bool {
    headers.get(SEC_FETCH_SITE).is_some_and(|site| site == "same-origin" || site == "none")
}

/// Whether a form was posted from a page of ours, as far as the browser says.
pub(super) fn is_from_here(cx: &Context, headers: &HeaderMap) -> bool {
    let own = url::Url::parse(&cx.settings.public_url()).map(|url| url.origin().ascii_serialization());
    let origin = headers.get(ORIGIN).map(HeaderValue::as_bytes);
    // Whoever is reached by another address than the public one is still the same origin to the browser.
    let host = headers.get(HOST).map(HeaderValue::as_bytes);
    let host_of = |origin: &'_ [u8]| -> Option<Vec<u8>> {
        let rest = origin.strip_prefix(b"https://").or_else(|| origin.strip_prefix(b"http://"))?;
        Some(rest.to_vec())
    };
    let is_own = |origin: &[u8]| {
        own.as_ref().is_ok_and(|own| own.as_bytes() == origin)
            || !cx.settings.is_https() && host.is_some() && host_of(origin).as_deref() == host
    };
    let site = headers.get(SEC_FETCH_SITE).map(HeaderValue::as_bytes);
    origin.is_none_or(is_own) && site.is_none_or(|site| site == b"same-origin" || site == b"none")
}
