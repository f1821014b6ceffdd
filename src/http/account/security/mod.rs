//! `/account/security`: how a person proves who they are beside a password. Every page wants them to have done so lately.

mod app;
mod passkeys;
mod recovery_codes;

use axum::extract::State;
use axum::response::Response;
use axum::routing::{MethodRouter, get};
use serde_json::{Value, json};
use vestibule_protocol::OAuthError;

use super::{freshly_signed_in, moment};
use crate::context::{Context, Ctx};
use crate::http::letter::Letter;
use crate::http::page::{self, Page};
use crate::http::passkey;
use crate::http::visitor::Visitor;
use crate::identity::second_factor::{self, Passkey};
use crate::store::user::User;

pub const PAGE: &str = "/account/security";

/// Every page, under its path.
pub fn pages() -> [(&'static str, MethodRouter<Ctx>); 8] {
    [
        (PAGE, get(overview)),
        (passkeys::ADD, get(passkeys::new).post(passkeys::add)),
        (passkeys::OPTIONS, get(passkeys::options)),
        ("/account/security/passkeys/{id}", get(passkeys::ask_name).post(passkeys::rename)),
        ("/account/security/passkeys/{id}/remove", get(passkeys::ask).post(passkeys::remove)),
        (app::PAGE, get(app::new).post(app::confirm)),
        (app::REMOVE, get(app::ask).post(app::remove)),
        (recovery_codes::PAGE, get(recovery_codes::ask).post(recovery_codes::renew)),
    ]
}

async fn overview(State(cx): State<Ctx>, visitor: Visitor) -> Response {
    let session = match freshly_signed_in(&cx, &visitor, PAGE) {
        Ok(session) => session,
        Err(answer) => return *answer,
    };
    match context(&cx, session.user.id).await {
        Ok(context) => Page::new("security.html", context).show(&cx, &visitor),
        Err(error) => page::refuse(&cx, &visitor, error),
    }
}

async fn context(cx: &Context, user_id: i64) -> Result<Value, OAuthError> {
    let factors = second_factor::of(cx, user_id).await?;
    let row = |own: &Passkey| {
        json!({
            "name": own.name,
            "created_at": moment(own.created_at),
            "last_used_at": own.last_used_at.map(moment),
            "is_backed_up": own.is_backed_up,
            "rename_url": passkeys::address(own.id),
            "remove_url": format!("{}/remove", passkeys::address(own.id)),
        })
    };
    let app = factors
        .totp
        .as_ref()
        .map(|app| json!({ "created_at": moment(app.created_at), "last_used_at": app.last_used_at.map(moment) }));
    Ok(json!({
        "passkeys": factors.passkeys.iter().map(row).collect::<Vec<_>>(),
        "takes_passkeys": passkey::party(cx).is_ok(),
        "add_url": passkeys::ADD,
        "app": app,
        "app_url": app::PAGE,
        "app_remove_url": app::REMOVE,
        "is_any": factors.is_any(),
        "codes_left": factors.recovery_codes,
        "codes_url": recovery_codes::PAGE,
    }))
}

/// Tells a person by mail that their way in has changed, where that is possible: it may not have been they who did it.
async fn tell(cx: &Context, visitor: &Visitor, user: &User, sentence: &str) {
    if user.email.is_empty() || !cx.mailer.is_there() {
        return;
    }
    let values = [("site", cx.settings.pages.site_name.as_str()), ("username", user.username.as_str())];
    let letter = Letter {
        to: &user.email,
        subject: "mail_security_subject",
        before: &[sentence],
        link: (&format!("{}{PAGE}", cx.settings.public_url()), "mail_security_button"),
        code: None,
        after: &["mail_security_not_you"],
        values: &values,
    };
    if let Err(error) = letter.send(cx, visitor).await {
        tracing::warn!(error = %crate::describe(&error), "a mail was not sent");
    }
}
