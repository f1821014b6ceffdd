//! `GET`/`POST logout` (OpenID Connect RP-Initiated Logout) and the page that asks.

use axum::extract::{RawQuery, State};
use axum::http::header::SET_COOKIE;
use axum::response::Response;
use serde_json::json;
use vestibule_protocol::{OAuthError, Params};

use super::body::Body;
use super::cookie;
use super::page::{self, Page};
use super::respond::Refusal;
use super::visitor::{Form, Visitor, see_other};
use crate::context::Ctx;
use crate::logout::{self, LogoutRequest};

/// What a request may say, as far as we listen.
const PARAMETERS: [&str; 4] = ["id_token_hint", "client_id", "post_logout_redirect_uri", "state"];

pub(super) async fn get(State(cx): State<Ctx>, RawQuery(query): RawQuery, visitor: Visitor) -> Response {
    begin(&cx, &visitor, Params::from_form(query.unwrap_or_default().as_bytes())).await
}

/// A form from an application's page comes without the session's cookie, so that it goes on as a GET of our own: else it
/// would seem that nobody is signed in, and the person would not be asked.
pub(super) async fn post(State(cx): State<Ctx>, visitor: Visitor, body: Result<Body, Refusal>) -> Response {
    let params = body.map(|Body(params)| params).map_err(|refusal| refusal.0);
    match params {
        Ok(params) if visitor.session.is_none() => {
            let own = params.iter().filter(|(name, _)| PARAMETERS.contains(name));
            let query = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(own).finish();
            see_other(&format!("{}/logout?{query}", cx.settings.mount.trim_end_matches('/')))
        }
        params => begin(&cx, &visitor, params).await,
    }
}

async fn begin(cx: &Ctx, visitor: &Visitor, params: Result<Params, OAuthError>) -> Response {
    let request = async {
        let params = params?;
        logout::read(cx, &params).await.map(|request| (request, params))
    };
    let (request, params) = match request.await {
        Ok(request) => request,
        Err(error) => return page::refuse(cx, visitor, error),
    };
    match &visitor.session {
        Some(session) if request.must_ask(session) => {
            let hidden: Vec<_> = PARAMETERS
                .iter()
                .filter_map(|name| params.get(name).map(|value| json!({ "name": name, "value": value })))
                .collect();
            let context = json!({
                "action": format!("{}/logout/confirm", cx.settings.mount.trim_end_matches('/')),
                "username": session.user.username,
                "hidden": hidden,
                "application": request.application.as_ref().map(|application| application.name.as_str()),
            });
            let form_targets = request.redirect_uri.iter().cloned().collect();
            Page { form_targets, ..Page::new("sign_out.html", context) }.show(cx, visitor)
        }
        _ => end(cx, visitor, &request).await,
    }
}

/// The person has answered.
pub(super) async fn confirm(State(cx): State<Ctx>, form: Form) -> Response {
    let Form { params, visitor } = form;
    match (logout::read(&cx, &params).await, params.get("decision")) {
        (Err(error), _) => page::refuse(&cx, &visitor, error),
        (Ok(request), Some("sign_out")) => end(&cx, &visitor, &request).await,
        (Ok(_), _) => see_other(super::sign_in::HOME),
    }
}

async fn end(cx: &Ctx, visitor: &Visitor, request: &LogoutRequest) -> Response {
    let frames = match &visitor.session {
        Some(session) => match logout::end(cx, session, request.application.as_deref()).await {
            Ok(frames) => frames,
            Err(error) => return page::refuse(cx, visitor, error),
        },
        None => Vec::new(),
    };
    let location = request.location();
    let mut answer = match (frames.is_empty(), location) {
        (true, Some(location)) => see_other(&location),
        (true, None) => Page::message("signed_out_heading", "signed_out_sentence").show(cx, visitor),
        // The browser must have loaded the frames before it goes on.
        (false, location) => {
            let context = json!({ "frames": frames, "continue_url": location });
            Page { frames, ..Page::new("front_channel_logout.html", context) }.show(cx, visitor)
        }
    };
    if let Some(gone) = cookie::no_session(cx) {
        answer.headers_mut().append(SET_COOKIE, gone);
    }
    answer
}
