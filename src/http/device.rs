//! Devices without a browser (RFC 8628): `POST device-authorization`, and the page where a person types the code.

use axum::Json;
use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use axum::http::header::CACHE_CONTROL;
use axum::response::{IntoResponse, Response};
use serde_json::json;
use vestibule_protocol::{OAuthError, Params, Scope};

use super::authorize::{about, scopes};
use super::body::ClientCall;
use super::page::{self, Page};
use super::respond::Refusal;
use super::visitor::{Form, Visitor, see_other};
use crate::client;
use crate::context::{Context, Ctx};
use crate::grant::device_code;

pub(super) async fn begin(State(cx): State<Ctx>, call: ClientCall) -> Result<Response, Refusal> {
    let application = client::authenticate(&cx, &call.credentials, &call.presented).await?;
    let begun = device_code::begin(&cx, &application, &call.params).await?;
    let page = format!("{}/device", cx.issuer());
    let answer = json!({
        "device_code": begun.device_code.reveal(),
        "user_code": begun.user_code,
        "verification_uri": page,
        "verification_uri_complete": format!("{page}?user_code={}", begun.user_code),
        "expires_in": begun.expires_in,
        "interval": begun.interval,
    });
    Ok(([(CACHE_CONTROL, "no-store")], Json(answer)).into_response())
}

pub(super) async fn get(State(cx): State<Ctx>, RawQuery(query): RawQuery, visitor: Visitor) -> Response {
    let query = query.unwrap_or_default();
    let user_code =
        Params::from_form(query.as_bytes()).ok().and_then(|params| params.get("user_code").map(str::to_owned));
    if visitor.session.is_none() {
        return sign_in_first(&cx, user_code.as_deref());
    }
    // Even a link with the code in it only fills in the form: the person must see that they connect something.
    show(&cx, &visitor, user_code.as_deref().unwrap_or_default(), None)
}

fn sign_in_first(cx: &Context, user_code: Option<&str>) -> Response {
    let encode = |text: &str| url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    let mut page = format!("{}/device", cx.settings.mount.trim_end_matches('/'));
    if let Some(user_code) = user_code {
        page = format!("{page}?user_code={}", encode(user_code));
    }
    see_other(&format!("/account/sign-in?next={}", encode(&page)))
}

fn show(cx: &Context, visitor: &Visitor, user_code: &str, error: Option<&str>) -> Response {
    let action = format!("{}/device", cx.settings.mount.trim_end_matches('/'));
    let user_code: String = user_code.chars().take(32).collect();
    Page::new("device.html", json!({ "action": action, "user_code": user_code, "error": error })).show(cx, visitor)
}

pub(super) async fn post(State(cx): State<Ctx>, form: Form) -> Response {
    let Form { params, visitor } = form;
    let user_code = params.get("user_code").unwrap_or_default();
    let Some(session) = &visitor.session else { return sign_in_first(&cx, Some(user_code)) };
    let decision = params.get("decision");
    if let Some(decision) = decision {
        return match device_code::decide(&cx, session, user_code, decision == "allow").await {
            Ok(true) if decision == "allow" => {
                Page::message("device_approved_heading", "device_approved_sentence").show(&cx, &visitor)
            }
            Ok(true) => Page::message("device_denied_heading", "device_denied_sentence").show(&cx, &visitor),
            Ok(false) => unknown(&cx, &visitor, user_code),
            Err(error) => refuse(&cx, &visitor, user_code, error),
        };
    }
    match device_code::look_up(&cx, session, user_code).await {
        Ok(None) => unknown(&cx, &visitor, user_code),
        Err(error) => refuse(&cx, &visitor, user_code, error),
        Ok(Some(question)) => {
            let context = json!({
                "action": format!("{}/device", cx.settings.mount.trim_end_matches('/')),
                "user_code": user_code,
                "application": about(&question.application),
                "scopes": scopes(&cx, &question.scope, &Scope::default()),
                "username": session.user.username,
            });
            Page::new("device_confirm.html", context).show(&cx, &visitor)
        }
    }
}

fn unknown(cx: &Context, visitor: &Visitor, user_code: &str) -> Response {
    let mut answer = show(cx, visitor, user_code, Some("unknown_user_code"));
    *answer.status_mut() = StatusCode::BAD_REQUEST;
    answer
}

fn refuse(cx: &Context, visitor: &Visitor, user_code: &str, error: OAuthError) -> Response {
    if error.status() != 429 {
        return page::refuse(cx, visitor, error);
    }
    let mut answer = show(cx, visitor, user_code, Some("too_many_tries"));
    *answer.status_mut() = StatusCode::TOO_MANY_REQUESTS;
    answer
}
