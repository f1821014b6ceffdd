//! A browser: who is signed in with it, and the forms that it posts.

use std::net::SocketAddr;

use axum::extract::{ConnectInfo, FromRequest, FromRequestParts, Request};
use axum::http::header::{ACCEPT_LANGUAGE, CACHE_CONTROL, LOCATION, USER_AGENT};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use vestibule_protocol::{ErrorCode, OAuthError, Params};

use super::body::Body;
use super::{cookie, page};
use crate::context::{Context, Ctx};
use crate::session::{self, Browser, Session};

/// Whoever looks at a page.
pub(super) struct Visitor {
    /// The session, where somebody is signed in.
    pub session: Option<Session>,
    /// The session's cookie, good or not.
    pub session_cookie: Option<String>,
    /// The form's cookie.
    pub form_cookie: Option<String>,
    /// `Accept-Language`.
    pub languages: String,
    /// From where.
    pub browser: Browser,
}

impl FromRequestParts<Ctx> for Visitor {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, cx: &Ctx) -> Result<Self, Response> {
        let text = |name: HeaderName| {
            parts.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned()
        };
        let session_cookie = cookie::read(cx, &parts.headers, "session");
        let mut visitor = Self {
            session: None,
            form_cookie: cookie::read(cx, &parts.headers, "form").filter(|value| value.len() == 43),
            languages: text(ACCEPT_LANGUAGE),
            browser: Browser { address: address(cx, parts), user_agent: text(USER_AGENT) },
            session_cookie,
        };
        if let Some(cookie) = &visitor.session_cookie {
            match session::find(cx, cookie, &visitor.browser.address).await {
                Ok(found) => visitor.session = found,
                Err(error) => return Err(page::refuse(cx, &visitor, error)),
            }
        }
        Ok(visitor)
    }
}

/// The client's address: what the proxy says, if one is configured, else the connection's.
pub(super) fn address(cx: &Context, parts: &Parts) -> String {
    match &cx.settings.http.client_address_header {
        Some(header) => {
            let last = parts.headers.get_all(header.as_str()).iter().rev().find_map(|value| value.to_str().ok());
            last.and_then(|line| line.rsplit(',').next()).unwrap_or_default().trim().to_owned()
        }
        None => {
            let connection = parts.extensions.get::<ConnectInfo<SocketAddr>>();
            connection.map(|ConnectInfo(address)| address.ip().to_string()).unwrap_or_default()
        }
    }
}

/// A form that a page of ours has posted: from this browser, in this session, from our own origin.
pub(super) struct Form {
    /// Its fields.
    pub params: Params,
    /// Who posted it.
    pub visitor: Visitor,
}

impl FromRequest<Ctx> for Form {
    type Rejection = Response;

    async fn from_request(request: Request, cx: &Ctx) -> Result<Self, Response> {
        let (mut parts, body) = request.into_parts();
        let visitor = Visitor::from_request_parts(&mut parts, cx).await?;
        let headers: HeaderMap = parts.headers.clone();
        // What the page's own address says beside is not the form's.
        parts.uri = parts.uri.path().parse().unwrap_or_default();
        let body = Body::from_request(Request::from_parts(parts, body), cx).await;
        let params = match body {
            Ok(Body(params)) => params,
            Err(refusal) => return Err(page::refuse(cx, &visitor, refusal.0)),
        };
        let expected = visitor
            .form_cookie
            .as_deref()
            .map(|form_cookie| cookie::form_token(cx, form_cookie, visitor.session_cookie.as_deref()));
        let matches = match (&expected, params.get("form_token")) {
            (Some(expected), Some(token)) => {
                aws_lc_rs::constant_time::verify_slices_are_equal(expected.as_bytes(), token.as_bytes()).is_ok()
            }
            _ => false,
        };
        if !matches || !cookie::is_from_here(cx, &headers) {
            let sentence = "This form is not from this browser's present session. Go back, load the page again, and send it once more.";
            let error = OAuthError::new(ErrorCode::AccessDenied, sentence).with_status(403);
            return Err(page::refuse(cx, &visitor, error));
        }
        Ok(Self { params, visitor })
    }
}

/// 303, with which a browser asks by GET (RFC 9700 §4.12: never 307 or 308, which would post the password on).
pub(super) fn see_other(location: &str) -> Response {
    match HeaderValue::from_str(location) {
        Ok(location) => {
            let no_store = HeaderValue::from_static("no-store");
            (StatusCode::SEE_OTHER, [(LOCATION, location), (CACHE_CONTROL, no_store)]).into_response()
        }
        Err(_) => StatusCode::BAD_REQUEST.into_response(),
    }
}

/// Where to go next: a path of this server, or this default. Anything that a browser could take for another place is not
/// followed (attack 181).
pub(super) fn next_or<'a>(next: Option<&'a str>, default: &'a str) -> &'a str {
    let is_own = |path: &&str| {
        let base = url::Url::parse("http://own.invalid").ok();
        let resolved = base.and_then(|base| base.join(path).ok());
        path.starts_with('/')
            && !path.starts_with("//")
            && path.bytes().all(|byte| (b'!'..=b'~').contains(&byte) && byte != b'\\')
            && resolved.is_some_and(|url| url.host_str() == Some("own.invalid") && url.scheme() == "http")
    };
    next.filter(is_own).unwrap_or(default)
}

#[cfg(test)]
mod tests {
    use super::next_or;

    #[test]
    fn next_never_leads_away() {
        // attack 181
        for bad in [
            "https://evil.com",
            "//evil.com",
            "/\\evil.com",
            "\\/evil.com",
            "/\t/evil.com",
            "javascript:alert(1)",
            "https:evil.com",
            "evil.com",
            "/ok\r\nSet-Cookie: x",
            "/ö",
            "",
        ] {
            assert_eq!(next_or(Some(bad), "/account/"), "/account/", "{bad:?}");
        }
        assert_eq!(next_or(Some("/auth/authorize?resume=x"), "/account/"), "/auth/authorize?resume=x");
        assert_eq!(next_or(Some("/%09/evil.com"), "/account/"), "/%09/evil.com");
        assert_eq!(next_or(None, "/account/"), "/account/");
    }
}
