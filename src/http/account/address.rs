//! `/account/address`: the e-mail address of an account: whether it is proven, proving it, and changing it for one that is.

use axum::extract::{RawQuery, State};
use axum::response::Response;
use serde_json::json;
use vestibule_protocol::{OAuthError, Params};

use super::{done, freshly_signed_in, signed_in, with_status};
use crate::context::{Context, Ctx};
use crate::http::letter::Letter;
use crate::http::page::{self, Page};
use crate::http::visitor::{Form, Visitor, see_other};
use crate::identity::address::{self, Confirmed, PATIENCE, Proof};
use crate::mail::plain_address;
use crate::session::Session;
use crate::store::user::User;

pub const PAGE: &str = "/account/address";
const CHANGE: &str = "/account/address/change";
const CONFIRM: &str = "/account/address/confirm";

pub async fn get(State(cx): State<Ctx>, visitor: Visitor) -> Response {
    match signed_in(&visitor, PAGE) {
        Ok(session) => show(&cx, &visitor, session, None).await,
        Err(answer) => *answer,
    }
}

async fn show(cx: &Context, visitor: &Visitor, session: &Session, error: Option<&str>) -> Response {
    let asked = match address::asked(cx, &session.user).await {
        Ok(asked) => asked,
        Err(error) => return page::refuse(cx, visitor, error),
    };
    let context = json!({
        "email": session.user.email,
        "is_verified": session.user.email_verified,
        "has_mail": cx.mailer.is_there(),
        "asked": asked,
        "error": error,
        "action": PAGE,
        "confirm_action": CONFIRM,
        "change_url": CHANGE,
        "back_url": "/account/",
    });
    Page::new("address.html", context).show(cx, visitor)
}

/// Sends the mail that proves the present address, again or for the first time.
pub async fn post(State(cx): State<Ctx>, form: Form) -> Response {
    let Form { visitor, .. } = form;
    let session = match signed_in(&visitor, PAGE) {
        Ok(session) => session,
        Err(answer) => return *answer,
    };
    let Some(email) = plain_address(&session.user.email) else { return see_other(CHANGE) };
    match send(&cx, &visitor, &session.user, email).await {
        Ok(()) => see_other(PAGE),
        Err(error) if error.status() == 429 => {
            with_status(show(&cx, &visitor, session, Some("email_too_many")).await, 429)
        }
        Err(error) => page::refuse(&cx, &visitor, error),
    }
}

fn show_change(cx: &Context, visitor: &Visitor, typed: &str, error: Option<&str>) -> Response {
    let context = json!({ "action": CHANGE, "email": typed, "error": error, "back_url": PAGE });
    Page::new("address_change.html", context).show(cx, visitor)
}

pub async fn get_change(State(cx): State<Ctx>, visitor: Visitor) -> Response {
    match freshly_signed_in(&cx, &visitor, CHANGE) {
        Ok(_) if cx.mailer.is_there() => show_change(&cx, &visitor, "", None),
        Ok(_) => see_other(PAGE),
        Err(answer) => *answer,
    }
}

pub async fn change(State(cx): State<Ctx>, form: Form) -> Response {
    let Form { params, visitor } = form;
    let session = match freshly_signed_in(&cx, &visitor, CHANGE) {
        Ok(session) => session,
        Err(answer) => return *answer,
    };
    let typed = params.get("email").unwrap_or_default();
    let wrong = |status: u16, error: &str| with_status(show_change(&cx, &visitor, typed, Some(error)), status);
    let Some(email) = plain_address(typed) else { return wrong(400, "email_invalid") };
    if !address::may_be_used(&cx, email) {
        return wrong(400, "email_not_allowed");
    }
    match send(&cx, &visitor, &session.user, email).await {
        Ok(()) => see_other(PAGE),
        Err(error) if error.status() == 429 => wrong(429, "email_too_many"),
        Err(error) => page::refuse(&cx, &visitor, error),
    }
}

async fn send(cx: &Ctx, visitor: &Visitor, user: &User, email: &str) -> Result<(), OAuthError> {
    if !cx.mailer.is_there() {
        return Err(OAuthError::invalid_request("No mails are sent here; ask whoever runs this site."));
    }
    let url = cx.settings.public_url();
    let values = [("site", cx.settings.pages.site_name.as_str()), ("username", user.username.as_str())];
    let letter = address::ask(cx, user, email, &visitor.browser.address).await?;
    let (link, code);
    let letter = match &letter {
        address::Letter::Prove { token, code: digits } => {
            (link, code) = (format!("{url}{CONFIRM}?token={token}"), digits.clone());
            Letter {
                to: email,
                subject: "mail_confirm_subject",
                before: &["mail_address_intro"],
                link: (&link, "mail_confirm_button"),
                code: Some((&code, "mail_confirm_code")),
                after: &["mail_valid_day", "mail_ignore"],
                values: &values,
            }
        }
        address::Letter::HasAccount => {
            link = format!("{url}/account/sign-in");
            Letter {
                to: email,
                subject: "mail_exists_subject",
                before: &["mail_address_taken"],
                link: (&link, "mail_exists_button"),
                code: None,
                after: &["mail_ignore"],
                values: &values,
            }
        }
    };
    letter.post(cx, visitor, PATIENCE).await
}

/// Opened from the mail: asks, for programs that look through mails open links too.
pub async fn opened(State(cx): State<Ctx>, RawQuery(query): RawQuery, visitor: Visitor) -> Response {
    let query = query.unwrap_or_default();
    let params = Params::from_form(query.as_bytes());
    let token = params.as_ref().ok().and_then(|params| params.get("token")).unwrap_or_default();
    let session = match signed_in(&visitor, &format!("{CONFIRM}?{query}")) {
        Ok(session) => session,
        Err(answer) => return *answer,
    };
    match address::asked(&cx, &session.user).await {
        Ok(Some(email)) => {
            let username = &session.user.username;
            let context = json!({ "action": CONFIRM, "token": token, "email": email, "username": username });
            Page::new("address_confirm.html", context).show(&cx, &visitor)
        }
        Ok(None) => spent(&cx, &visitor),
        Err(error) => page::refuse(&cx, &visitor, error),
    }
}

pub async fn confirm(State(cx): State<Ctx>, form: Form) -> Response {
    let Form { params, visitor } = form;
    let session = match signed_in(&visitor, PAGE) {
        Ok(session) => session,
        Err(answer) => return *answer,
    };
    let proof = match params.get("token") {
        Some(token) => Proof::Link(token),
        None => Proof::Code(params.get("code").unwrap_or_default()),
    };
    let confirmed = async {
        let new = address::asked(&cx, &session.user).await?.unwrap_or_default();
        Ok::<_, OAuthError>((address::confirm(&cx, &session.user, proof).await?, new))
    };
    match confirmed.await {
        Ok((Confirmed::Done, new)) => {
            tell(&cx, &visitor, &session.user, &new).await;
            done(&cx, &visitor, "email_confirmed_heading", "address_confirmed_sentence")
        }
        Ok((Confirmed::Wrong, _)) if matches!(proof, Proof::Link(_)) => spent(&cx, &visitor),
        Ok((Confirmed::Wrong, _)) => with_status(show(&cx, &visitor, session, Some("email_wrong_code")).await, 400),
        Ok((Confirmed::TooMany, _)) => with_status(show(&cx, &visitor, session, Some("too_many_tries")).await, 429),
        // Whoever has proven it may know.
        Ok((Confirmed::Taken, _)) => with_status(show(&cx, &visitor, session, Some("address_taken")).await, 400),
        Err(error) => page::refuse(&cx, &visitor, error),
    }
}

/// Tells the former address that it is the account's no more.
async fn tell(cx: &Ctx, visitor: &Visitor, before: &User, new: &str) {
    if before.email == new {
        return;
    }
    let values = [("site", cx.settings.pages.site_name.as_str()), ("username", before.username.as_str())];
    let letter = Letter {
        to: &before.email,
        subject: "mail_address_changed_subject",
        before: &["mail_address_changed_intro", "mail_address_changed_not_you"],
        link: (&format!("{}/account/", cx.settings.public_url()), "account_title"),
        code: None,
        after: &[],
        values: &values,
    };
    letter.tell(cx, visitor).await;
}

fn spent(cx: &Context, visitor: &Visitor) -> Response {
    let context = json!({
        "heading": "reset_spent_heading",
        "sentence": "address_spent_sentence",
        "link_url": PAGE,
        "link_text": "address_title",
    });
    with_status(Page::new("message.html", context).show(cx, visitor), 400)
}
