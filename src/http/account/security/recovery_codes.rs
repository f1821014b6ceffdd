//! Recovery codes: made when they are asked for, and shown once.

use axum::extract::State;
use axum::response::Response;
use serde_json::json;

use super::{PAGE as OVERVIEW, tell};
use crate::context::Ctx;
use crate::http::account::freshly_signed_in;
use crate::http::page::{self, Page};
use crate::http::visitor::{Form, Visitor, see_other};
use crate::identity::second_factor::{self, recovery};

pub(super) const PAGE: &str = "/account/security/recovery-codes";

pub(super) async fn ask(State(cx): State<Ctx>, visitor: Visitor) -> Response {
    let user = match freshly_signed_in(&cx, &visitor, PAGE) {
        Ok(session) => &session.user,
        Err(answer) => return *answer,
    };
    match second_factor::of(&cx, user.id).await {
        Ok(factors) if factors.is_any() => {
            let context = json!({ "action": PAGE, "has_codes": factors.recovery_codes > 0, "back_url": OVERVIEW });
            Page::new("recovery_ask.html", context).show(&cx, &visitor)
        }
        // They would stand in for nothing.
        Ok(_) => see_other(OVERVIEW),
        Err(error) => page::refuse(&cx, &visitor, error),
    }
}

pub(super) async fn renew(State(cx): State<Ctx>, form: Form) -> Response {
    let visitor = form.visitor;
    let user = match freshly_signed_in(&cx, &visitor, PAGE) {
        Ok(session) => &session.user,
        Err(answer) => return *answer,
    };
    let renewed = async {
        if !second_factor::has_one(&cx, user.id).await? {
            return Ok(see_other(OVERVIEW));
        }
        let codes = recovery::renew(&cx, user.id).await?;
        tell(&cx, &visitor, user, "mail_recovery_renewed").await;
        let context = json!({ "codes": codes, "back_url": OVERVIEW });
        Ok(Page::new("recovery_codes.html", context).show(&cx, &visitor))
    };
    renewed.await.unwrap_or_else(|error| page::refuse(&cx, &visitor, error))
}
