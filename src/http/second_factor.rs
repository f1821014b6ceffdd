//! `/account/sign-in/second-factor`: whoever has given the right password and has a second factor gives it here.
//!
//! Nothing of a session exists before. Not here: a sign-in by a provider, which is not asked for one.

use axum::extract::State;
use axum::http::header::SET_COOKIE;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use serde_json::json;
use vestibule_protocol::OAuthError;

use super::page::{self, Page};
use super::visitor::{Form, Visitor, see_other};
use super::{cookie, passkey, sign_in};
use crate::context::{Context, Ctx};
use crate::identity::second_factor::half_way::{self, HalfWay};
use crate::identity::second_factor::{self, PASSWORD_AND_CODE};
use crate::store::user::User;

const PAGE: &str = "/account/sign-in/second-factor";
const OPTIONS: &str = "/account/sign-in/second-factor/passkey";

/// Goes on with whoever has given the right password: in, or to the page that asks for more.
pub(super) async fn after_password(cx: &Context, visitor: &Visitor, user: &User, next: &str) -> Response {
    let begun = async {
        match second_factor::has_one(cx, user.id).await? {
            true => half_way::begin(cx, user, next).await.map(Some),
            false => Ok(None),
        }
    };
    match begun.await {
        Ok(None) => sign_in::enter(cx, visitor, user, "pwd", next).await,
        Ok(Some(secret)) => with_cookie(cx, see_other(PAGE), &secret, half_way::PATIENCE.unsigned_abs()),
        Err(error) => page::refuse(cx, visitor, error),
    }
}

fn with_cookie(cx: &Context, mut answer: Response, secret: &str, max_age: u64) -> Response {
    if let Some(set) = cookie::half_way(cx, secret, max_age) {
        answer.headers_mut().append(SET_COOKIE, set);
    }
    answer
}

/// The secret of this browser's sign-in, the sign-in, and whose it is.
async fn own(cx: &Context, headers: &HeaderMap) -> Result<(String, HalfWay, User), OAuthError> {
    let none = || {
        let sentence = "No sign-in waits for a second factor in this browser any more. Go back and sign in again.";
        OAuthError::invalid_request(sentence)
    };
    let secret = cookie::read(cx, headers, "half_way").ok_or_else(none)?;
    let (waiting, user) = half_way::find(cx, &secret).await?.ok_or_else(none)?;
    Ok((secret, waiting, user))
}

pub(super) async fn get(State(cx): State<Ctx>, headers: HeaderMap, visitor: Visitor) -> Response {
    let shown = async {
        let (_, waiting, user) = own(&cx, &headers).await?;
        show(&cx, &visitor, &waiting, &user, None).await
    };
    shown.await.unwrap_or_else(|error| page::refuse(&cx, &visitor, error))
}

/// `GET account/sign-in/second-factor/passkey`
pub(super) async fn options(State(cx): State<Ctx>, headers: HeaderMap, visitor: Visitor) -> Response {
    let made = async {
        let (_, _, user) = own(&cx, &headers).await?;
        let party = passkey::party(&cx)?;
        second_factor::passkey::options_for(&cx, &party, &user, passkey::browser(&visitor)?).await
    };
    passkey::options(made.await)
}

pub(super) async fn post(State(cx): State<Ctx>, headers: HeaderMap, form: Form) -> Response {
    let Form { params, visitor } = form;
    let outcome = async {
        let (secret, waiting, user) = own(&cx, &headers).await?;
        let tried = match passkey::answer(&params) {
            Some(answer) => {
                let (party, browser) = (passkey::party(&cx)?, passkey::browser(&visitor)?);
                let answered = second_factor::passkey::second(&cx, &party, &user, browser, answer).await;
                answered.map_err(passkey::told)
            }
            None => {
                let code = params.get("code").unwrap_or_default();
                match second_factor::take_code(&cx, user.id, code).await {
                    Ok(true) => Ok(PASSWORD_AND_CODE.to_owned()),
                    Ok(false) => Err(Ok(("second_factor_wrong", StatusCode::BAD_REQUEST))),
                    Err(error) if error.status() == 429 => {
                        Err(Ok(("second_factor_too_many", StatusCode::TOO_MANY_REQUESTS)))
                    }
                    Err(error) => Err(Err(error)),
                }
            }
        };
        match tried {
            Ok(amr) if half_way::finish(&cx, &secret).await? => {
                let answer = sign_in::enter(&cx, &visitor, &user, &amr, &waiting.next).await;
                Ok(with_cookie(&cx, answer, "", 0))
            }
            // Another window was faster.
            Ok(_) => Ok(see_other(&waiting.next)),
            Err(told) => show(&cx, &visitor, &waiting, &user, Some(told?)).await,
        }
    };
    outcome.await.unwrap_or_else(|error| page::refuse(&cx, &visitor, error))
}

async fn show(
    cx: &Context,
    visitor: &Visitor,
    waiting: &HalfWay,
    user: &User,
    error: Option<(&'static str, StatusCode)>,
) -> Result<Response, OAuthError> {
    let factors = second_factor::of(cx, user.id).await?;
    let has_passkey = !factors.passkeys.is_empty() && passkey::party(cx).is_ok();
    let context = json!({
        "action": PAGE,
        "username": user.username,
        "has_app": factors.totp.is_some(),
        "passkey_options": has_passkey.then_some(OPTIONS),
        "error": error.map(|(key, _)| key),
        "back_url": format!("/account/sign-in?next={}", sign_in::encoded(&waiting.next)),
    });
    let (request, form_targets) = sign_in::way(cx, &waiting.next).await?;
    let page = Page {
        form_targets,
        ui_locales: request.map(|request| request.ui_locales).unwrap_or_default(),
        script: has_passkey.then_some(passkey::SCRIPT),
        status: error.map_or(StatusCode::OK, |(_, status)| status),
        ..Page::new("second_factor.html", context)
    };
    Ok(page.show(cx, visitor))
}
