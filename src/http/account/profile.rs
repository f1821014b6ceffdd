//! `/account/profile` and `/account/username`: what a person is called.

use axum::extract::State;
use axum::response::Response;
use serde_json::json;
use vestibule_protocol::OAuthError;

use super::{done, freshly_signed_in, signed_in, with_status};
use crate::context::{Context, Ctx};
use crate::http::page::{self, Page};
use crate::http::visitor::{Form, Visitor};
use crate::identity::details::clipped;
use crate::identity::sign_up;
use crate::store::user::User;
use crate::store::{attempt, user};

pub const PAGE: &str = "/account/profile";
pub const USERNAME: &str = "/account/username";
/// Usernames that a person may try within so many seconds: the answer tells who is here.
const NAMES: i64 = 20;
const WINDOW: i64 = 3_600;

pub async fn get(State(cx): State<Ctx>, visitor: Visitor) -> Response {
    match signed_in(&visitor, PAGE) {
        Ok(session) => {
            let User { first_name, last_name, .. } = &session.user;
            let context =
                json!({ "action": PAGE, "first_name": first_name, "last_name": last_name, "back_url": "/account/" });
            Page::new("profile.html", context).show(&cx, &visitor)
        }
        Err(answer) => *answer,
    }
}

pub async fn post(State(cx): State<Ctx>, form: Form) -> Response {
    let Form { params, visitor } = form;
    let session = match signed_in(&visitor, PAGE) {
        Ok(session) => session,
        Err(answer) => return *answer,
    };
    let name = |field: &str| clipped(params.get(field).map(str::trim));
    match user::set_names(&cx.db, session.user.id, name("first_name"), name("last_name")).await {
        Ok(_) => done(&cx, &visitor, "profile_saved_heading", "profile_saved_sentence"),
        Err(error) => page::refuse(&cx, &visitor, error.into()),
    }
}

fn show_username(cx: &Context, visitor: &Visitor, typed: &str, error: Option<&str>) -> Response {
    let context = json!({ "action": USERNAME, "username": typed, "error": error, "back_url": "/account/" });
    Page::new("username.html", context).show(cx, visitor)
}

pub async fn get_username(State(cx): State<Ctx>, visitor: Visitor) -> Response {
    match freshly_signed_in(&cx, &visitor, USERNAME) {
        Ok(session) => show_username(&cx, &visitor, &session.user.username, None),
        Err(answer) => *answer,
    }
}

pub async fn post_username(State(cx): State<Ctx>, form: Form) -> Response {
    let Form { params, visitor } = form;
    let session = match freshly_signed_in(&cx, &visitor, USERNAME) {
        Ok(session) => session,
        Err(answer) => return *answer,
    };
    let username = params.get("username").unwrap_or_default().trim();
    let wrong = |status: u16, error: &str| with_status(show_username(&cx, &visitor, username, Some(error)), status);
    match rename(&cx, &session.user, username).await {
        Ok(Renamed::Done) => done(&cx, &visitor, "username_changed_heading", "username_changed_sentence"),
        Ok(Renamed::Unfit) => wrong(400, "username_unfit"),
        Ok(Renamed::Taken) => wrong(400, "username_taken"),
        Ok(Renamed::TooMany) => wrong(429, "too_many_tries"),
        Err(error) => page::refuse(&cx, &visitor, error),
    }
}

enum Renamed {
    Done,
    Unfit,
    Taken,
    TooMany,
}

async fn rename(cx: &Context, user: &User, username: &str) -> Result<Renamed, OAuthError> {
    if username == user.username {
        return Ok(Renamed::Done);
    }
    if !sign_up::may_be_called(cx, username, &user.email) || username.contains('@') && !user.email_verified {
        return Ok(Renamed::Unfit);
    }
    let key = cx.keys.derive("usernames tried by", user.id.to_string().as_bytes());
    if attempt::count(&cx.db, key, cx.clock.now(), WINDOW).await?.0 > NAMES {
        return Ok(Renamed::TooMany);
    }
    let is_renamed = user::rename(&cx.db, user.id, username.to_owned()).await?;
    Ok(if is_renamed { Renamed::Done } else { Renamed::Taken })
}
