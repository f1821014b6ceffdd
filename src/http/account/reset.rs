//! `/account/password/reset`: a new password by a mail, for whoever has forgotten theirs.
//!
//! The mail's link is changed for a cookie at once, so that its secret stands in no address that a page could pass on. To
//! open it uses nothing up: programs that look through mails open links too. Afterwards the person signs in as always, with
//! whatever else their account asks for.

use axum::extract::{RawQuery, State};
use axum::http::HeaderMap;
use axum::http::header::SET_COOKIE;
use axum::response::Response;
use serde_json::json;
use vestibule_protocol::{OAuthError, Params};

use super::{password, weakness_key, with_status};
use crate::context::{Context, Ctx};
use crate::http::letter::Letter;
use crate::http::page::{self, Page};
use crate::http::visitor::{Form, Visitor, see_other};
use crate::http::{cookie, sign_in};
use crate::identity::new_password::{self, PATIENCE, WasReset};
use crate::logout;
use crate::mail::plain_address;
use crate::store::user::User;

pub const PAGE: &str = "/account/password/reset";
const NEW: &str = "/account/password/new";

fn show_ask(cx: &Context, visitor: &Visitor, typed: &str, error: Option<&str>) -> Response {
    if !cx.mailer.is_there() {
        return Page::message("reset_title", "reset_no_mail").show(cx, visitor);
    }
    let context = json!({ "action": PAGE, "email": typed, "error": error, "back_url": "/account/sign-in" });
    Page::new("reset_ask.html", context).show(cx, visitor)
}

pub async fn get(State(cx): State<Ctx>, visitor: Visitor) -> Response {
    show_ask(&cx, &visitor, "", None)
}

pub async fn post(State(cx): State<Ctx>, form: Form) -> Response {
    let Form { params, visitor } = form;
    let typed = params.get("email").unwrap_or_default();
    if !cx.mailer.is_there() {
        return show_ask(&cx, &visitor, typed, None);
    }
    let Some(email) = plain_address(typed) else {
        return with_status(show_ask(&cx, &visitor, typed, Some("email_invalid")), 400);
    };
    match send(&cx, &visitor, email).await {
        Ok(()) => Page::message("reset_sent_heading", "reset_sent_sentence").show(&cx, &visitor),
        Err(error) if error.status() == 429 => with_status(show_ask(&cx, &visitor, typed, Some("email_too_many")), 429),
        Err(error) => page::refuse(&cx, &visitor, error),
    }
}

async fn send(cx: &Ctx, visitor: &Visitor, email: &str) -> Result<(), OAuthError> {
    for (user, token) in new_password::ask(cx, email, &visitor.browser.address).await? {
        let username = user.as_ref().map_or("", |user| user.username.as_str());
        let letter = Letter {
            // As the account has it: an address that merely looks the same gets nothing.
            to: user.as_ref().map_or("", |user| user.email.as_str()),
            subject: "mail_reset_subject",
            before: &["mail_reset_intro"],
            link: (&format!("{}{NEW}?token={token}", cx.settings.public_url()), "mail_reset_button"),
            code: None,
            after: &["mail_reset_valid", "mail_ignore"],
            values: &[("site", cx.settings.pages.site_name.as_str()), ("username", username)],
        };
        letter.post(cx, visitor, PATIENCE).await?;
    }
    Ok(())
}

/// The link, and then the page that it leads to.
pub async fn opened(
    State(cx): State<Ctx>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    visitor: Visitor,
) -> Response {
    let params = Params::from_form(query.unwrap_or_default().as_bytes());
    if let Some(token) = params.as_ref().ok().and_then(|params| params.get("token")) {
        let mut answer = see_other(NEW);
        let is_one = token.len() == 43 && token.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'));
        let set = cookie::reset(&cx, token, PATIENCE.unsigned_abs()).filter(|_| is_one);
        answer.headers_mut().extend(set.map(|set| (SET_COOKIE, set)));
        return answer;
    }
    let found = match cookie::read(&cx, &headers, "reset") {
        Some(token) => new_password::look_up(&cx, &token).await,
        None => Ok(None),
    };
    match found {
        Ok(Some(user)) => show_new(&cx, &visitor, &user.username, None),
        Ok(None) => spent(&cx, &visitor),
        Err(error) => page::refuse(&cx, &visitor, error),
    }
}

pub async fn set(State(cx): State<Ctx>, headers: HeaderMap, form: Form) -> Response {
    let Form { params, visitor } = form;
    let field = |name: &str| params.get(name).unwrap_or_default();
    let Some(token) = cookie::read(&cx, &headers, "reset") else { return spent(&cx, &visitor) };
    let outcome = async {
        let wrong = async |error: &str| {
            Ok(match new_password::look_up(&cx, &token).await? {
                Some(user) => with_status(show_new(&cx, &visitor, &user.username, Some(error)), 400),
                None => spent(&cx, &visitor),
            })
        };
        if field("new_password") != field("new_password_again") {
            return wrong("passwords_differ").await;
        }
        match new_password::reset(&cx, &token, field("new_password")).await? {
            WasReset::Done(user) => {
                logout::tell_all(&cx, user.id, None).await?;
                Ok(finished(&cx, &visitor, &user).await)
            }
            WasReset::Unfit(weakness) => wrong(weakness_key(weakness)).await,
            WasReset::Spent => Ok(spent(&cx, &visitor)),
        }
    };
    outcome.await.unwrap_or_else(|error| page::refuse(&cx, &visitor, error))
}

async fn finished(cx: &Ctx, visitor: &Visitor, user: &User) -> Response {
    password::tell(cx, visitor, user).await;
    let context = json!({
        "heading": "password_changed_heading",
        "sentence": "reset_done_sentence",
        "link_url": format!("/account/sign-in?next={}", sign_in::HOME),
        "link_text": "sign_in_title",
    });
    let mut answer = Page::new("message.html", context).show(cx, visitor);
    if let Some(gone) = cookie::reset(cx, "", 0) {
        answer.headers_mut().append(SET_COOKIE, gone);
    }
    answer
}

fn show_new(cx: &Context, visitor: &Visitor, username: &str, error: Option<&str>) -> Response {
    let min_length = cx.settings.accounts.password_min_length;
    let context = json!({ "action": NEW, "username": username, "min_length": min_length, "error": error });
    Page::new("reset_new.html", context).show(cx, visitor)
}

/// The link is good for nothing.
fn spent(cx: &Context, visitor: &Visitor) -> Response {
    let context = json!({
        "heading": "reset_spent_heading",
        "sentence": "reset_spent_sentence",
        "link_url": PAGE,
        "link_text": "reset_title",
    });
    with_status(Page::new("message.html", context).show(cx, visitor), 400)
}
