//! `/account/delete`: the end of an account, by its person.

use axum::extract::State;
use axum::http::header::SET_COOKIE;
use axum::response::Response;
use serde_json::json;

use super::{freshly_signed_in, with_status};
use crate::context::{Context, Ctx};
use crate::entrance;
use crate::http::cookie;
use crate::http::letter::Letter;
use crate::http::page::{self, Page};
use crate::http::visitor::{Form, Visitor};
use crate::logout;
use crate::store::application;
use crate::store::user::User;

pub const PAGE: &str = "/account/delete";

/// Whether this person may delete their account. A superuser is deleted by another one, so that a server is not left without.
fn may_leave(cx: &Context, user: &User) -> bool {
    cx.settings.accounts.deletion && !user.is_superuser
}

fn closed(cx: &Context, visitor: &Visitor) -> Response {
    with_status(Page::message("account_delete_title", "account_delete_closed").show(cx, visitor), 403)
}

async fn show(cx: &Context, visitor: &Visitor, user: &User, error: Option<&str>) -> Response {
    let applications = match application::of_owner(&cx.db, user.id).await {
        Ok(all) => all.into_iter().map(|own| own.name).collect::<Vec<_>>(),
        Err(error) => return page::refuse(cx, visitor, error.into()),
    };
    let context = json!({
        "action": PAGE,
        "username": user.username,
        "applications": applications,
        "error": error,
        "back_url": "/account/",
    });
    Page::new("account_delete.html", context).show(cx, visitor)
}

pub async fn get(State(cx): State<Ctx>, visitor: Visitor) -> Response {
    match freshly_signed_in(&cx, &visitor, PAGE) {
        Ok(session) if may_leave(&cx, &session.user) => show(&cx, &visitor, &session.user, None).await,
        Ok(_) => closed(&cx, &visitor),
        Err(answer) => *answer,
    }
}

pub async fn post(State(cx): State<Ctx>, form: Form) -> Response {
    let Form { params, visitor } = form;
    let session = match freshly_signed_in(&cx, &visitor, PAGE) {
        Ok(session) => session,
        Err(answer) => return *answer,
    };
    let user = &session.user;
    if !may_leave(&cx, user) {
        return closed(&cx, &visitor);
    }
    if params.get("username").map(str::trim) != Some(user.username.as_str()) {
        return with_status(show(&cx, &visitor, user, Some("account_delete_other")).await, 400);
    }
    let left = async {
        entrance::leave(&cx, user).await?;
        logout::tell_all(&cx, user.id, None).await
    };
    match left.await {
        Ok(()) => finished(&cx, &visitor, user).await,
        Err(error) => page::refuse(&cx, &visitor, error),
    }
}

async fn finished(cx: &Ctx, visitor: &Visitor, user: &User) -> Response {
    let values = [("site", cx.settings.pages.site_name.as_str()), ("username", user.username.as_str())];
    let letter = Letter {
        to: &user.email,
        subject: "mail_deleted_subject",
        before: &["mail_deleted_intro"],
        link: (&cx.settings.public_url(), "mail_deleted_button"),
        code: None,
        after: &[],
        values: &values,
    };
    letter.tell(cx, visitor).await;
    let mut answer = Page::message("account_deleted_heading", "account_deleted_sentence").show(cx, visitor);
    if let Some(gone) = cookie::no_session(cx) {
        answer.headers_mut().append(SET_COOKIE, gone);
    }
    answer
}
