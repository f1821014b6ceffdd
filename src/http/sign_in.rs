//! The sign-in page and the way out of it: `/account/sign-in`.

use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use axum::http::header::SET_COOKIE;
use axum::response::Response;
use serde_json::json;
use vestibule_protocol::{OAuthError, Params};

use super::account::{reset, sign_up};
use super::page::{self, Page};
use super::visitor::{Form, Visitor, next_or, see_other};
use super::{authorize as authorize_page, cookie, passkey, second_factor};
use crate::authorize;
use crate::context::{Context, Ctx};
use crate::identity::sign_in;
use crate::session;
use crate::statistics;
use crate::store::user::User;
use crate::upstream::Provider;

/// Where somebody goes who came from nowhere.
pub(super) const HOME: &str = "/account/";

pub(super) async fn get(State(cx): State<Ctx>, RawQuery(query): RawQuery, visitor: Visitor) -> Response {
    let params = match Params::from_form(query.unwrap_or_default().as_bytes()) {
        Ok(params) => params,
        Err(error) => return page::refuse(&cx, &visitor, error),
    };
    let again = params.get("again").is_some();
    show(&cx, &visitor, next_or(params.get("next"), HOME), again, None, None).await
}

pub(super) async fn post(State(cx): State<Ctx>, form: Form) -> Response {
    let Form { params, visitor } = form;
    let next = next_or(params.get("next"), HOME).to_owned();
    let again = params.get("again").is_some();
    if params.get("continue").is_some() {
        return go_on(&cx, &visitor, &next);
    }
    if let Some(answer) = passkey::answer(&params) {
        return by_passkey(&cx, &visitor, answer, &next, again).await;
    }
    let (username, password) = (params.get("username").unwrap_or_default(), params.get("password").unwrap_or_default());
    let found = sign_in::by_password(&cx, username, password, &visitor.browser.address).await;
    let refusal = match &found {
        Ok(Some(_)) => None,
        Ok(None) => Some(&sign_in::wrong_credentials()),
        Err(error) => Some(error),
    };
    if let Some(error) = refusal {
        statistics::refused(&cx, "", application_behind(&cx, &next).await, error, &params);
    }
    match found {
        Ok(Some(user)) => second_factor::after_password(&cx, &visitor, &user, &next).await,
        Ok(None) => {
            let mut answer = show(&cx, &visitor, &next, again, Some("wrong_credentials"), Some(username)).await;
            *answer.status_mut() = StatusCode::BAD_REQUEST;
            answer
        }
        Err(error) if error.status() == 429 => {
            let mut answer = show(&cx, &visitor, &next, again, Some("too_many_tries"), Some(username)).await;
            *answer.status_mut() = StatusCode::TOO_MANY_REQUESTS;
            answer
        }
        Err(error) => page::refuse(&cx, &visitor, error),
    }
}

/// A passkey that verifies its person is enough by itself.
async fn by_passkey(cx: &Context, visitor: &Visitor, answer: (&str, &str), next: &str, again: bool) -> Response {
    match passkey::sign_in(cx, visitor, answer).await.map_err(passkey::told) {
        Ok((user, amr)) => enter(cx, visitor, &user, &amr, next).await,
        Err(Ok((key, status))) => {
            let mut answer = show(cx, visitor, next, again, Some(key), None).await;
            *answer.status_mut() = status;
            answer
        }
        Err(Err(error)) => page::refuse(cx, visitor, error),
    }
}

/// Begins a session for whoever has just proved who they are, and goes on.
pub(super) async fn enter(cx: &Context, visitor: &Visitor, user: &User, amr: &str, next: &str) -> Response {
    enter_by(cx, visitor, user, amr, "", next).await
}

/// As [`enter`], for whom a provider has vouched.
pub(super) async fn enter_from(
    cx: &Context,
    visitor: &Visitor,
    user: &User,
    provider: &Provider,
    next: &str,
) -> Response {
    enter_by(cx, visitor, user, "fed", provider.name(), next).await
}

async fn enter_by(cx: &Context, visitor: &Visitor, user: &User, amr: &str, provider: &str, next: &str) -> Response {
    match session::begin(cx, user, amr, &visitor.browser, visitor.session.as_ref()).await {
        Ok(value) => {
            statistics::signed_in(cx, provider, application_behind(cx, next).await, "browser");
            let mut answer = see_other(next);
            if let Some(set) = cookie::session(cx, &value) {
                answer.headers_mut().append(SET_COOKIE, set);
            }
            answer
        }
        Err(error) => page::refuse(cx, visitor, error),
    }
}

/// The number of the application whose request waits behind an address; 0: none does.
async fn application_behind(cx: &Context, next: &str) -> i64 {
    match waiting_in(next) {
        Some(sealed) => authorize::waiting(cx, sealed).await.map_or(0, |waiting| waiting.application.id),
        None => 0,
    }
}

/// Whoever is signed in goes on as who they are, without proving it again.
fn go_on(cx: &Context, visitor: &Visitor, next: &str) -> Response {
    if visitor.session.is_none() {
        let error = OAuthError::invalid_request("Nobody is signed in in this browser any more; sign in again.");
        return page::refuse(cx, visitor, error);
    }
    match waiting_in(next) {
        None => see_other(next),
        Some(sealed) => match authorize::with_account_chosen(cx, sealed) {
            Ok(sealed) => see_other(&authorize_page::address(cx, &sealed)),
            Err(error) => page::refuse(cx, visitor, error),
        },
    }
}

/// The request that waits behind an address, if it is one of those.
pub(super) fn waiting_in(next: &str) -> Option<&str> {
    next.split_once("/authorize?resume=").map(|(_, sealed)| sealed)
}

/// The request that waits behind an address, and where a form that leads there may lead on to.
///
/// # Errors
/// The request cannot be answered any more.
pub(super) async fn way(cx: &Context, next: &str) -> Result<(Option<authorize::Waiting>, Vec<String>), OAuthError> {
    let waiting = match waiting_in(next) {
        None => None,
        Some(sealed) => Some(authorize::waiting(cx, sealed).await?),
    };
    let mut form_targets: Vec<String> = waiting.iter().map(|waiting| waiting.redirect_uri.clone()).collect();
    if next.starts_with(&format!("{}/login/", cx.settings.mount.trim_end_matches('/'))) {
        form_targets.extend(page::providers(cx));
    }
    Ok((waiting, form_targets))
}

/// An address as the value of a parameter.
pub(super) fn encoded(address: &str) -> String {
    url::form_urlencoded::byte_serialize(address.as_bytes()).collect()
}

/// `again`: whoever is signed in must prove once more who they are before they go on.
async fn show(
    cx: &Context,
    visitor: &Visitor,
    next: &str,
    again: bool,
    error: Option<&str>,
    username: Option<&str>,
) -> Response {
    let (waiting, form_targets) = match way(cx, next).await {
        Ok(way) => way,
        Err(error) => return page::refuse(cx, visitor, error),
    };
    let encoded = encoded(next);
    let mount = cx.settings.mount.trim_end_matches('/');
    // Whoever is signed in already is here to sign in again or as somebody else, and connects nothing.
    let anew = if visitor.session.is_some() { "&prompt=login" } else { "" };
    let providers: Vec<_> = cx
        .upstream
        .providers()
        .filter(|provider| provider.has_browser_flow() && provider.signs_in())
        .map(|provider| {
            json!({
                "name": provider.name(),
                "title": provider.title(),
                "url": format!("{mount}/login/{}?next={encoded}{anew}", provider.name()),
            })
        })
        .collect();
    let may_continue = waiting.as_ref().is_none_or(|waiting| waiting.may_continue);
    let signed_in = visitor.session.as_ref().map(|session| session.user.username.as_str());
    let again = again && signed_in.is_some();
    let current = signed_in.filter(|_| may_continue && !again);
    let hinted = waiting.as_ref().map(|waiting| waiting.login_hint.as_str()).filter(|hint| !hint.is_empty());
    let takes_passkeys = passkey::party(cx).is_ok();
    let context = json!({
        "action": "/account/sign-in",
        "passkey_options": takes_passkeys.then_some(passkey::SIGN_IN_OPTIONS),
        "next": next,
        "again": again,
        "username": username.or(hinted).or(signed_in.filter(|_| again)).unwrap_or_default(),
        "error": error,
        "application": waiting.as_ref().map(|waiting| waiting.application.name.as_str()),
        "providers": providers,
        "current": current,
        "sign_up_url": sign_up::is_open(cx).then(|| format!("{}?next={encoded}", sign_up::PAGE)).filter(|_| !again),
        "reset_url": cx.mailer.is_there().then_some(reset::PAGE),
    });
    Page {
        form_targets,
        script: takes_passkeys.then_some(passkey::SCRIPT),
        ui_locales: waiting.map(|waiting| waiting.ui_locales).unwrap_or_default(),
        ..Page::new("sign_in.html", context)
    }
    .show(cx, visitor)
}
