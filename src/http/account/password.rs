//! `/account/password`: another password, or a first one.

use axum::extract::State;
use axum::response::Response;
use serde_json::json;
use vestibule_protocol::OAuthError;

use super::{done, freshly_signed_in, reset, weakness_key, with_status};
use crate::context::{Context, Ctx};
use crate::http::letter::Letter;
use crate::http::page::{self, Page};
use crate::http::visitor::{Form, Visitor};
use crate::identity::new_password::{self, Changed};
use crate::logout;
use crate::store::user::User;

pub const PAGE: &str = "/account/password";

fn show(cx: &Context, visitor: &Visitor, user: &User, error: Option<&str>) -> Response {
    let context = json!({
        "action": PAGE,
        "has_password": user.has_password(),
        "min_length": cx.settings.accounts.password_min_length,
        "error": error,
        "back_url": "/account/",
    });
    Page::new("password.html", context).show(cx, visitor)
}

pub async fn get(State(cx): State<Ctx>, visitor: Visitor) -> Response {
    match freshly_signed_in(&cx, &visitor, PAGE) {
        Ok(session) => show(&cx, &visitor, &session.user, None),
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
    let field = |name: &str| params.get(name).unwrap_or_default();
    let wrong = |status: u16, error: &str| with_status(show(&cx, &visitor, user, Some(error)), status);
    if field("new_password") != field("new_password_again") {
        return wrong(400, "passwords_differ");
    }
    let place = &visitor.browser.address;
    let changed = async {
        let changed =
            new_password::change(&cx, user, field("password"), field("new_password"), place, session.id).await?;
        if changed == Changed::Done {
            logout::tell_all(&cx, user.id, Some(&session.public_id)).await?;
        }
        Ok::<_, OAuthError>(changed)
    };
    match changed.await {
        Ok(Changed::Done) => {
            tell(&cx, &visitor, user).await;
            done(&cx, &visitor, "password_changed_heading", "password_changed_sentence")
        }
        Ok(Changed::WrongOld) => wrong(400, "password_old_wrong"),
        Ok(Changed::Unfit(weakness)) => wrong(400, weakness_key(weakness)),
        Err(error) if error.status() == 429 => wrong(429, "too_many_tries"),
        Err(error) if error.status() == 400 => wrong(400, "password_old_wrong"),
        Err(error) => page::refuse(&cx, &visitor, error),
    }
}

/// Tells a person that their password is another one.
pub(super) async fn tell(cx: &Ctx, visitor: &Visitor, user: &User) {
    let values = [("site", cx.settings.pages.site_name.as_str()), ("username", user.username.as_str())];
    let letter = Letter {
        to: &user.email,
        subject: "mail_password_subject",
        before: &["mail_password_intro", "mail_password_not_you"],
        link: (&format!("{}{}", cx.settings.public_url(), reset::PAGE), "reset_title"),
        code: None,
        after: &[],
        values: &values,
    };
    letter.tell(cx, visitor).await;
}
