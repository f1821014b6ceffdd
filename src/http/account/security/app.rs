//! Setting up an authenticator app, and taking it away again.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use qrcode::{Color, EcLevel, QrCode};
use serde_json::{Value, json};
use vestibule_protocol::OAuthError;

use super::{PAGE as OVERVIEW, tell};
use crate::context::{Context, Ctx};
use crate::http::account::freshly_signed_in;
use crate::http::page::{self, Page};
use crate::http::visitor::{Form, Visitor, see_other};
use crate::identity::second_factor::totp::{self, Confirmed};
use crate::store::totp as table;
use crate::store::user::User;

pub(super) const PAGE: &str = "/account/security/app";
pub(super) const REMOVE: &str = "/account/security/app/remove";

/// Modules of white around a code (ISO/IEC 18004 §9.1).
const QUIET_ZONE: usize = 4;

pub(super) async fn new(State(cx): State<Ctx>, visitor: Visitor) -> Response {
    let user = match freshly_signed_in(&cx, &visitor, PAGE) {
        Ok(session) => &session.user,
        Err(answer) => return *answer,
    };
    let shown = async {
        match table::find(&cx.db, user.id).await? {
            Some(_) => Ok(see_other(OVERVIEW)),
            None => show(&cx, &visitor, user, None, None),
        }
    };
    shown.await.unwrap_or_else(|error| page::refuse(&cx, &visitor, error))
}

fn show(
    cx: &Context,
    visitor: &Visitor,
    user: &User,
    sealed: Option<&str>,
    error: Option<&str>,
) -> Result<Response, OAuthError> {
    let set_up = totp::begin(cx, user, sealed)?;
    let context = json!({
        "action": PAGE,
        "set_up": set_up.sealed,
        "secret": set_up.secret,
        "address": set_up.address,
        "qr": drawn(&set_up.address),
        "error": error,
        "back_url": OVERVIEW,
    });
    let status = if error.is_some() { StatusCode::BAD_REQUEST } else { StatusCode::OK };
    Ok(Page { status, ..Page::new("app_add.html", context) }.show(cx, visitor))
}

/// A QR code as the path of an image, and how wide that is. `None`: the text is too long for one.
fn drawn(text: &str) -> Option<Value> {
    let code = QrCode::with_error_correction_level(text, EcLevel::L).ok()?;
    let width = code.width();
    let mut path = String::new();
    for (at, color) in code.to_colors().into_iter().enumerate() {
        if color == Color::Dark {
            path += &format!("M{} {}h1v1h-1z", at % width + QUIET_ZONE, at / width + QUIET_ZONE);
        }
    }
    Some(json!({ "width": width + 2 * QUIET_ZONE, "path": path }))
}

pub(super) async fn confirm(State(cx): State<Ctx>, form: Form) -> Response {
    let Form { params, visitor } = form;
    let user = match freshly_signed_in(&cx, &visitor, PAGE) {
        Ok(session) => &session.user,
        Err(answer) => return *answer,
    };
    let sealed = params.get("set_up").unwrap_or_default();
    let confirmed = async {
        match totp::confirm(&cx, user.id, sealed, params.get("code").unwrap_or_default()).await? {
            Confirmed::Done => {
                tell(&cx, &visitor, user, "mail_app_added").await;
                Ok(see_other(OVERVIEW))
            }
            Confirmed::WrongCode => show(&cx, &visitor, user, Some(sealed), Some("app_wrong_code")),
            Confirmed::Stale => Ok(see_other(PAGE)),
        }
    };
    confirmed.await.unwrap_or_else(|error| page::refuse(&cx, &visitor, error))
}

pub(super) async fn ask(State(cx): State<Ctx>, visitor: Visitor) -> Response {
    if let Err(answer) = freshly_signed_in(&cx, &visitor, REMOVE) {
        return *answer;
    }
    let context = json!({
        "action": REMOVE,
        "heading": "app_remove_title",
        "sentence": "app_remove_sentence",
        "back_url": OVERVIEW,
    });
    Page::new("factor_remove.html", context).show(&cx, &visitor)
}

pub(super) async fn remove(State(cx): State<Ctx>, form: Form) -> Response {
    let visitor = form.visitor;
    let user = match freshly_signed_in(&cx, &visitor, REMOVE) {
        Ok(session) => &session.user,
        Err(answer) => return *answer,
    };
    match table::delete(&cx.db, user.id).await {
        Ok(was_there) => {
            if was_there {
                tell(&cx, &visitor, user, "mail_app_removed").await;
            }
            see_other(OVERVIEW)
        }
        Err(error) => page::refuse(&cx, &visitor, error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::drawn;

    #[test]
    fn a_code_is_drawn_within_a_white_edge() {
        let code = drawn("otpauth://totp/x").unwrap();
        let (width, path) = (code["width"].as_u64().unwrap(), code["path"].as_str().unwrap());
        assert!(path.starts_with("M4 4h1v1h-1z"), "the first finder's corner is dark: {path}");
        assert!(width > 8 + 20 && !path.contains(&format!("M{}", width - 4)));
        assert_eq!(drawn(&"x".repeat(5_000)), None);
    }
}
