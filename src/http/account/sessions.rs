//! `/account/sessions`: where a person is signed in; `/account/sign-out-everywhere`: the end of all of it in one act.

use axum::extract::State;
use axum::http::header::SET_COOKIE;
use axum::response::Response;
use serde_json::json;

use super::{done, moment, signed_in};
use crate::context::Ctx;
use crate::http::cookie;
use crate::http::page::{self, Page};
use crate::http::visitor::{Form, Visitor, see_other};
use crate::logout;
use crate::session;
use crate::store::session as table;
use crate::store::user;

pub const PAGE: &str = "/account/sessions";
pub const EVERYWHERE: &str = "/account/sign-out-everywhere";

pub async fn get(State(cx): State<Ctx>, visitor: Visitor) -> Response {
    let own = match signed_in(&visitor, PAGE) {
        Ok(session) => session,
        Err(answer) => return *answer,
    };
    let found = async {
        let all = session::of_user(&cx, own.user.id).await?;
        let applications = table::applications_of(&cx.db, own.user.id).await?;
        Ok((all, applications))
    };
    let (all, applications) = match found.await {
        Ok(found) => found,
        Err(error) => return page::refuse(&cx, &visitor, error),
    };
    let rows: Vec<_> = all
        .iter()
        .map(|session| {
            let used = applications.iter().filter(|(public_id, _)| *public_id == session.public_id);
            json!({
                "id": session.id,
                "created_at": moment(session.created_at),
                "last_seen_at": moment(session.last_seen_at),
                "address": session.address,
                "last_address": session.last_address,
                "user_agent": session.user_agent,
                "applications": used.map(|(_, name)| name).collect::<Vec<_>>(),
                "is_current": session.id == own.id,
            })
        })
        .collect();
    let context = json!({ "sessions": rows, "action": PAGE, "everywhere_url": EVERYWHERE });
    Page::new("sessions.html", context).show(&cx, &visitor)
}

/// Ends one session, or all but this one.
pub async fn post(State(cx): State<Ctx>, form: Form) -> Response {
    let Form { params, visitor } = form;
    let own = match signed_in(&visitor, PAGE) {
        Ok(session) => session,
        Err(answer) => return *answer,
    };
    let ended = async {
        let ids: Vec<i64> = match params.get("all") {
            Some(_) => {
                let all = session::of_user(&cx, own.user.id).await?;
                all.iter().map(|session| session.id).filter(|id| *id != own.id).collect()
            }
            None => params.get("id").and_then(|id| id.parse().ok()).into_iter().collect(),
        };
        for id in ids {
            if let Some(public_id) = table::end(&cx.db, id, own.user.id).await? {
                logout::tell(&cx, &public_id, own.user.id).await?;
            }
        }
        Ok(())
    };
    match ended.await {
        Ok(()) => see_other(PAGE),
        Err(error) => page::refuse(&cx, &visitor, error),
    }
}

/// Asks whether everything is to end.
pub async fn ask_everywhere(State(cx): State<Ctx>, visitor: Visitor) -> Response {
    match signed_in(&visitor, EVERYWHERE) {
        Ok(_) => {
            let context = json!({ "action": EVERYWHERE, "back_url": "/account/" });
            Page::new("sign_out_everywhere.html", context).show(&cx, &visitor)
        }
        Err(answer) => *answer,
    }
}

/// Ends every token of the person and every session; this one stays if they want it.
pub async fn everywhere(State(cx): State<Ctx>, form: Form) -> Response {
    let Form { params, visitor } = form;
    let own = match signed_in(&visitor, EVERYWHERE) {
        Ok(session) => session,
        Err(answer) => return *answer,
    };
    let keeps_this = params.get("this_too").is_none();
    let ended = async {
        user::end_everything(&cx.db, own.user.id, if keeps_this { own.id } else { 0 }).await?;
        logout::tell_all(&cx, own.user.id, keeps_this.then_some(own.public_id.as_str())).await
    };
    if let Err(error) = ended.await {
        return page::refuse(&cx, &visitor, error);
    }
    if keeps_this {
        return done(&cx, &visitor, "everywhere_done_heading", "everywhere_done_sentence");
    }
    let mut answer = Page::message("signed_out_heading", "everywhere_out_sentence").show(&cx, &visitor);
    if let Some(gone) = cookie::no_session(&cx) {
        answer.headers_mut().append(SET_COOKIE, gone);
    }
    answer
}
