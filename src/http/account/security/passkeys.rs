//! Adding, naming and removing passkeys.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::json;
use vestibule_protocol::OAuthError;

use super::{PAGE, tell};
use crate::context::{Context, Ctx};
use crate::http::account::freshly_signed_in;
use crate::http::page::{self, Page};
use crate::http::passkey as asking;
use crate::http::visitor::{Form, Visitor, see_other};
use crate::identity::disconnect::{self, Disconnected};
use crate::identity::second_factor::passkey::{self, LONGEST_NAME};
use crate::store::passkey::{self as table, Passkey};
use crate::store::user::User;

pub(super) const ADD: &str = "/account/security/passkeys/add";
pub(super) const OPTIONS: &str = "/account/security/passkeys/options";

pub(super) fn address(id: i64) -> String {
    format!("/account/security/passkeys/{id}")
}

pub(super) async fn new(State(cx): State<Ctx>, visitor: Visitor) -> Response {
    match freshly_signed_in(&cx, &visitor, ADD) {
        Ok(_) => show_new(&cx, &visitor, "", None),
        Err(answer) => *answer,
    }
}

fn show_new(cx: &Context, visitor: &Visitor, name: &str, error: Option<(&str, StatusCode)>) -> Response {
    if let Err(error) = asking::party(cx) {
        return page::refuse(cx, visitor, error);
    }
    let context = json!({
        "action": ADD,
        "passkey_options": OPTIONS,
        "name": name,
        "longest_name": LONGEST_NAME,
        "error": error.map(|(key, _)| key),
        "app_url": super::app::PAGE,
        "back_url": PAGE,
    });
    let status = error.map_or(StatusCode::OK, |(_, status)| status);
    Page { status, script: Some(asking::SCRIPT), ..Page::new("passkey_add.html", context) }.show(cx, visitor)
}

pub(super) async fn options(State(cx): State<Ctx>, visitor: Visitor) -> Response {
    let made = async {
        let stale = |_| OAuthError::invalid_request("Sign in again first.").with_status(403);
        let session = freshly_signed_in(&cx, &visitor, ADD).map_err(stale)?;
        passkey::options_to_add(&cx, &asking::party(&cx)?, &session.user, asking::browser(&visitor)?).await
    };
    asking::options(made.await)
}

pub(super) async fn add(State(cx): State<Ctx>, form: Form) -> Response {
    let Form { params, visitor } = form;
    let user = match freshly_signed_in(&cx, &visitor, ADD) {
        Ok(session) => &session.user,
        Err(answer) => return *answer,
    };
    let typed = params.get("name").unwrap_or_default();
    let Some(name) = name(typed) else {
        return show_new(&cx, &visitor, typed, Some(("passkey_name_invalid", StatusCode::BAD_REQUEST)));
    };
    let Some(answer) = asking::answer(&params) else {
        return show_new(&cx, &visitor, name, Some(("passkey_needs_script", StatusCode::BAD_REQUEST)));
    };
    let added = async { passkey::add(&cx, &asking::party(&cx)?, user, asking::browser(&visitor)?, answer, name).await };
    match added.await.map_err(asking::told) {
        Ok(()) => {
            tell(&cx, &visitor, user, "mail_passkey_added").await;
            see_other(PAGE)
        }
        Err(Ok(error)) => show_new(&cx, &visitor, name, Some(error)),
        Err(Err(error)) => page::refuse(&cx, &visitor, error),
    }
}

/// A name that is one: on one line, and not too long.
fn name(typed: &str) -> Option<&str> {
    let name = typed.trim();
    let is_plain = !name.chars().any(char::is_control) && (1..=LONGEST_NAME).contains(&name.chars().count());
    is_plain.then_some(name)
}

/// A person's passkey by the number in the address.
async fn own(cx: &Context, user: &User, id: &str) -> Result<Passkey, OAuthError> {
    let id: i64 = id.parse().unwrap_or_default();
    let found = table::of_user(&cx.db, user.id).await?.into_iter().find(|own| own.id == id);
    found.ok_or_else(|| OAuthError::invalid_request("You have no such passkey.").with_status(404))
}

pub(super) async fn ask_name(State(cx): State<Ctx>, Path(id): Path<String>, visitor: Visitor) -> Response {
    let user = match freshly_signed_in(&cx, &visitor, PAGE) {
        Ok(session) => &session.user,
        Err(answer) => return *answer,
    };
    match own(&cx, user, &id).await {
        Ok(own) => show_name(&cx, &visitor, &own, &own.name, None),
        Err(error) => page::refuse(&cx, &visitor, error),
    }
}

fn show_name(cx: &Context, visitor: &Visitor, own: &Passkey, typed: &str, error: Option<&str>) -> Response {
    let context = json!({
        "action": address(own.id),
        "name": typed,
        "longest_name": LONGEST_NAME,
        "error": error,
        "back_url": PAGE,
    });
    let status = if error.is_some() { StatusCode::BAD_REQUEST } else { StatusCode::OK };
    Page { status, ..Page::new("passkey_name.html", context) }.show(cx, visitor)
}

pub(super) async fn rename(State(cx): State<Ctx>, Path(id): Path<String>, form: Form) -> Response {
    let Form { params, visitor } = form;
    let user = match freshly_signed_in(&cx, &visitor, PAGE) {
        Ok(session) => &session.user,
        Err(answer) => return *answer,
    };
    let renamed = async {
        let own = own(&cx, user, &id).await?;
        let typed = params.get("name").unwrap_or_default();
        let Some(name) = name(typed) else {
            return Ok(show_name(&cx, &visitor, &own, typed, Some("passkey_name_invalid")));
        };
        table::rename(&cx.db, own.id, user.id, name).await?;
        Ok(see_other(PAGE))
    };
    renamed.await.unwrap_or_else(|error| page::refuse(&cx, &visitor, error))
}

pub(super) async fn ask(State(cx): State<Ctx>, Path(id): Path<String>, visitor: Visitor) -> Response {
    let user = match freshly_signed_in(&cx, &visitor, PAGE) {
        Ok(session) => &session.user,
        Err(answer) => return *answer,
    };
    match own(&cx, user, &id).await {
        Ok(own) => show_remove(&cx, &visitor, &own, None),
        Err(error) => page::refuse(&cx, &visitor, error),
    }
}

fn show_remove(cx: &Context, visitor: &Visitor, own: &Passkey, error: Option<&str>) -> Response {
    let context = json!({
        "action": format!("{}/remove", address(own.id)),
        "heading": "passkey_remove_title",
        "sentence": "passkey_remove_sentence",
        "name": own.name,
        "error": error,
        "back_url": PAGE,
    });
    let status = if error.is_some() { StatusCode::BAD_REQUEST } else { StatusCode::OK };
    Page { status, ..Page::new("factor_remove.html", context) }.show(cx, visitor)
}

pub(super) async fn remove(State(cx): State<Ctx>, Path(id): Path<String>, form: Form) -> Response {
    let visitor = form.visitor;
    let user = match freshly_signed_in(&cx, &visitor, PAGE) {
        Ok(session) => &session.user,
        Err(answer) => return *answer,
    };
    let removed = async {
        let own = own(&cx, user, &id).await?;
        Ok(match disconnect::remove_passkey(&cx, user.id, own.id).await? {
            Disconnected::Done => {
                tell(&cx, &visitor, user, "mail_passkey_removed").await;
                see_other(PAGE)
            }
            Disconnected::NotTheirs => see_other(PAGE),
            Disconnected::LastWayIn => show_remove(&cx, &visitor, &own, Some("passkey_last")),
        })
    };
    removed.await.unwrap_or_else(|error| page::refuse(&cx, &visitor, error))
}
