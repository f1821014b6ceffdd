//! `/account/sign-up`: an account with a username and a password, for whoever proves an address.

use axum::extract::{RawQuery, State};
use axum::http::HeaderMap;
use axum::http::header::SET_COOKIE;
use axum::response::Response;
use serde_json::json;
use vestibule_protocol::{OAuthError, Params};

use super::{weakness_key, with_status};
use crate::authorize;
use crate::context::{Context, Ctx};
use crate::entrance;
use crate::http::letter::Letter;
use crate::http::page::{self, Page};
use crate::http::visitor::{Form, Visitor, next_or, see_other};
use crate::http::{cookie, sign_in};
use crate::identity::sign_up::{self, Created, PATIENCE, SignUp, Tried, Unfit, Wanted};
use crate::mail::plain_address;
use crate::settings;

pub const PAGE: &str = "/account/sign-up";
const CONFIRM: &str = "/account/sign-up/confirm";

/// Whether anybody may make an account here.
pub fn is_open(cx: &Context) -> bool {
    cx.settings.accounts.signup == settings::SignUp::Open
}

fn closed(cx: &Context, visitor: &Visitor) -> Response {
    with_status(Page::message("sign_up_title", "sign_up_closed").show(cx, visitor), 403)
}

/// What somebody has typed, to be shown again; never a password.
#[derive(Default)]
struct Typed<'a> {
    username: &'a str,
    email: &'a str,
    next: &'a str,
}

async fn show(cx: &Context, visitor: &Visitor, typed: &Typed<'_>, error: Option<&str>) -> Response {
    let encoded: String = url::form_urlencoded::byte_serialize(typed.next.as_bytes()).collect();
    let context = json!({
        "action": PAGE,
        "username": typed.username,
        "email": typed.email,
        "next": typed.next,
        "min_length": cx.settings.accounts.password_min_length,
        "error": error,
        "sign_in_url": format!("/account/sign-in?next={encoded}"),
    });
    Page::new("sign_up.html", context).show(cx, visitor)
}

pub async fn get(State(cx): State<Ctx>, RawQuery(query): RawQuery, visitor: Visitor) -> Response {
    if !is_open(&cx) {
        return closed(&cx, &visitor);
    }
    let params = match Params::from_form(query.unwrap_or_default().as_bytes()) {
        Ok(params) => params,
        Err(error) => return page::refuse(&cx, &visitor, error),
    };
    let next = next_or(params.get("next"), sign_in::HOME);
    match visitor.session {
        Some(_) => see_other(next),
        None => show(&cx, &visitor, &Typed { next, ..Typed::default() }, None).await,
    }
}

pub async fn post(State(cx): State<Ctx>, form: Form) -> Response {
    let Form { params, visitor } = form;
    if !is_open(&cx) {
        return closed(&cx, &visitor);
    }
    let field = |name: &str| params.get(name).unwrap_or_default();
    let typed = Typed {
        username: field("username").trim(),
        email: field("email").trim(),
        next: next_or(params.get("next"), sign_in::HOME),
    };
    let wrong = async |status: u16, error: &str| with_status(show(&cx, &visitor, &typed, Some(error)).await, status);
    let Some(email) = plain_address(typed.email) else { return wrong(400, "email_invalid").await };
    if field("new_password") != field("new_password_again") {
        return wrong(400, "passwords_differ").await;
    }
    let wanted = Wanted { username: typed.username, email, password: field("new_password"), next: typed.next };
    let begun = match sign_up::begin(&cx, &wanted, &visitor.browser.address).await {
        Ok(Ok(begun)) => begun,
        Ok(Err(Unfit::Username)) => return wrong(400, "username_unfit").await,
        Ok(Err(Unfit::UsernameTaken)) => return wrong(400, "username_taken").await,
        Ok(Err(Unfit::Email)) => return wrong(400, "email_not_allowed").await,
        Ok(Err(Unfit::Password(weakness))) => return wrong(400, weakness_key(weakness)).await,
        Err(error) if error.status() == 429 => return wrong(429, "email_too_many").await,
        Err(error) => return page::refuse(&cx, &visitor, error),
    };
    let (secret, letter) = begun;
    if let Err(error) = send(&cx, &visitor, email, typed.username, &letter).await {
        return page::refuse(&cx, &visitor, error);
    }
    let mut answer = see_other(CONFIRM);
    if let Some(set) = cookie::sign_up(&cx, &secret, PATIENCE.unsigned_abs()) {
        answer.headers_mut().append(SET_COOKIE, set);
    }
    answer
}

async fn send(
    cx: &Ctx,
    visitor: &Visitor,
    email: &str,
    username: &str,
    letter: &sign_up::Letter,
) -> Result<(), OAuthError> {
    let url = cx.settings.public_url();
    let values = [("site", cx.settings.pages.site_name.as_str()), ("username", username)];
    let link;
    let letter = match letter {
        sign_up::Letter::Prove { token, code } => {
            link = format!("{url}{CONFIRM}?token={token}");
            Letter {
                to: email,
                subject: "mail_confirm_subject",
                before: &["mail_sign_up_intro"],
                link: (&link, "mail_confirm_button"),
                code: Some((code, "mail_confirm_code")),
                after: &["mail_valid_day", "mail_ignore"],
                values: &values,
            }
        }
        sign_up::Letter::HasAccount => {
            link = format!("{url}/account/sign-in");
            Letter {
                to: email,
                subject: "mail_exists_subject",
                before: &["mail_sign_up_exists"],
                link: (&link, "mail_exists_button"),
                code: None,
                after: &["mail_ignore"],
                values: &values,
            }
        }
    };
    letter.post(cx, visitor, PATIENCE).await
}

/// The page that waits for the mail; with a link's secret, what the link asks.
pub async fn opened(
    State(cx): State<Ctx>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    visitor: Visitor,
) -> Response {
    let outcome = async {
        let params = Params::from_form(query.unwrap_or_default().as_bytes())?;
        let own = cookie::read(&cx, &headers, "sign_up");
        if let Some(token) = params.get("token") {
            let Some((secret, sign_up)) = sign_up::of_link(&cx, token).await? else { return Ok(spent(&cx, &visitor)) };
            // In the browser that waits the link is enough.
            return match own.as_deref() == Some(secret.as_str()) {
                true => finish(&cx, &visitor, &secret, &sign_up).await,
                false => Ok(ask_password(&cx, &visitor, token, &sign_up, None).await),
            };
        }
        match waiting(&cx, own).await? {
            Some((_, sign_up)) => Ok(show_sent(&cx, &visitor, &sign_up, None).await),
            None => Ok(spent(&cx, &visitor)),
        }
    };
    outcome.await.unwrap_or_else(|error| page::refuse(&cx, &visitor, error))
}

pub async fn confirm(State(cx): State<Ctx>, headers: HeaderMap, form: Form) -> Response {
    let Form { params, visitor } = form;
    let outcome = async {
        if let Some(token) = params.get("token") {
            let Some((secret, sign_up)) = sign_up::of_link(&cx, token).await? else { return Ok(spent(&cx, &visitor)) };
            let password = params.get("password").unwrap_or_default();
            return match sign_up::try_password(&cx, &secret, &sign_up, password).await? {
                Tried::Right => finish(&cx, &visitor, &secret, &sign_up).await,
                Tried::Wrong => {
                    let page = ask_password(&cx, &visitor, token, &sign_up, Some("password_old_wrong")).await;
                    Ok(with_status(page, 400))
                }
                Tried::TooMany => {
                    let page = ask_password(&cx, &visitor, token, &sign_up, Some("too_many_tries")).await;
                    Ok(with_status(page, 429))
                }
            };
        }
        let own = cookie::read(&cx, &headers, "sign_up");
        let Some((secret, sign_up)) = waiting(&cx, own).await? else { return Ok(spent(&cx, &visitor)) };
        let code = params.get("code").unwrap_or_default();
        match sign_up::try_code(&cx, &secret, &sign_up, code).await? {
            Tried::Right => finish(&cx, &visitor, &secret, &sign_up).await,
            Tried::Wrong => Ok(with_status(show_sent(&cx, &visitor, &sign_up, Some("email_wrong_code")).await, 400)),
            Tried::TooMany => Ok(with_status(show_sent(&cx, &visitor, &sign_up, Some("too_many_tries")).await, 429)),
        }
    };
    outcome.await.unwrap_or_else(|error| page::refuse(&cx, &visitor, error))
}

/// The account that waits in this browser, with its secret.
async fn waiting(cx: &Context, secret: Option<String>) -> Result<Option<(String, SignUp)>, OAuthError> {
    let Some(secret) = secret else { return Ok(None) };
    Ok(sign_up::find(cx, &secret).await?.map(|sign_up| (secret, sign_up)))
}

/// Makes the account and signs its person in.
async fn finish(cx: &Ctx, visitor: &Visitor, secret: &str, sign_up: &SignUp) -> Result<Response, OAuthError> {
    if !is_open(cx) {
        return Ok(closed(cx, visitor));
    }
    let mut answer = match entrance::sign_up(cx, secret, sign_up).await? {
        Created::Done(user) => sign_in::enter(cx, visitor, &user, "pwd", &sign_up.next).await,
        Created::UsernameTaken => {
            let typed = Typed { username: &sign_up.username, email: &sign_up.email, next: &sign_up.next };
            with_status(show(cx, visitor, &typed, Some("username_taken")).await, 400)
        }
        Created::EmailTaken => {
            let typed = Typed { username: &sign_up.username, email: &sign_up.email, next: &sign_up.next };
            with_status(show(cx, visitor, &typed, Some("address_taken")).await, 400)
        }
        Created::Gone => spent(cx, visitor),
    };
    if let Some(gone) = cookie::sign_up(cx, "", 0) {
        answer.headers_mut().append(SET_COOKIE, gone);
    }
    Ok(answer)
}

async fn show_sent(cx: &Context, visitor: &Visitor, sign_up: &SignUp, error: Option<&str>) -> Response {
    let encoded: String = url::form_urlencoded::byte_serialize(sign_up.next.as_bytes()).collect();
    let context = json!({
        "action": CONFIRM,
        "email": sign_up.email,
        "error": error,
        "again_url": format!("{PAGE}?next={encoded}"),
    });
    let form_targets = form_targets(cx, &sign_up.next).await;
    Page { form_targets, ..Page::new("sign_up_sent.html", context) }.show(cx, visitor)
}

async fn ask_password(cx: &Context, visitor: &Visitor, token: &str, sign_up: &SignUp, error: Option<&str>) -> Response {
    let context = json!({
        "action": CONFIRM,
        "token": token,
        "email": sign_up.email,
        "username": sign_up.username,
        "error": error,
    });
    let form_targets = form_targets(cx, &sign_up.next).await;
    Page { form_targets, ..Page::new("sign_up_confirm.html", context) }.show(cx, visitor)
}

/// Where the form's way may lead on to: the application whose request waits.
async fn form_targets(cx: &Context, next: &str) -> Vec<String> {
    match sign_in::waiting_in(next) {
        Some(sealed) => authorize::waiting(cx, sealed).await.into_iter().map(|waiting| waiting.redirect_uri).collect(),
        None => Vec::new(),
    }
}

fn spent(cx: &Context, visitor: &Visitor) -> Response {
    let context = json!({
        "heading": "reset_spent_heading",
        "sentence": "sign_up_spent_sentence",
        "link_url": "/account/sign-in",
        "link_text": "sign_in_title",
    });
    with_status(Page::new("message.html", context).show(cx, visitor), 400)
}
