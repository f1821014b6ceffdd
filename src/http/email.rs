//! `/account/email`: somebody whom a provider has vouched for gives an e-mail address and proves it, before their account
//! is made. The sign-in waits meanwhile ([`crate::identity::waiting`]).

use axum::extract::{RawQuery, State};
use axum::http::HeaderMap;
use axum::http::header::SET_COOKIE;
use axum::response::Response;
use serde_json::{Value, json};
use vestibule_protocol::{OAuthError, Params};

use super::account::with_status;
use super::destination::{Outcome, destination};
use super::letter::Letter;
use super::page::{self, Page};
use super::setback::Setback;
use super::visitor::{Form, Visitor, see_other};
use super::{cookie, sign_in};
use crate::context::{Context, Ctx};
use crate::entrance;
use crate::identity::link;
use crate::identity::waiting::{self, Tried, Waiting};
use crate::mail::plain_address;
use crate::upstream::{Identified, Provider};

const PAGE: &str = "/account/email";
const CONFIRM: &str = "/account/email/confirm";
/// As long as a sign-in waits, in seconds.
const COOKIE_TTL: u64 = 7 * 86_400;

/// Lets a sign-in wait for an address, and sends the browser to the page that asks for it.
pub(super) async fn begin(
    cx: &Context,
    provider: &Provider,
    identified: &Identified,
    next: &str,
) -> Result<Response, OAuthError> {
    let tokens = identified.tokens.to_json();
    let secret = waiting::begin(cx, provider.name(), &identified.profile, &tokens, next).await?;
    let mut answer = see_other(PAGE);
    if let Some(set) = cookie::waiting(cx, &secret, COOKIE_TTL) {
        answer.headers_mut().append(SET_COOKIE, set);
    }
    Ok(answer)
}

pub(super) async fn get(
    State(cx): State<Ctx>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    visitor: Visitor,
) -> Response {
    let query = query.unwrap_or_default();
    let is_asked = |name: &str| Params::from_form(query.as_bytes()).is_ok_and(|params| params.get(name).is_some());
    let outcome = async {
        let (secret, waiting) = own(&cx, &headers).await?;
        if waiting.is_proven() {
            return finish(&cx, &visitor, &secret, &waiting).await;
        }
        Ok(match waiting.asked_email() {
            Some(_) if !is_asked("change") => {
                show_sent(&cx, &visitor, &waiting, is_asked("continue").then_some("email_not_yet"))
            }
            asked => show_form(&cx, &visitor, &waiting, asked, None),
        })
    };
    outcome.await.unwrap_or_else(|error| page::refuse(&cx, &visitor, error))
}

pub(super) async fn post(State(cx): State<Ctx>, headers: HeaderMap, form: Form) -> Response {
    let Form { params, visitor } = form;
    let outcome = async {
        let (secret, waiting) = own(&cx, &headers).await?;
        match params.get("code") {
            Some(code) => enter_code(&cx, &visitor, &secret, &waiting, code).await,
            None => send(&cx, &visitor, &secret, &waiting, params.get("email").unwrap_or_default()).await,
        }
    };
    outcome.await.unwrap_or_else(|error| page::refuse(&cx, &visitor, error))
}

/// The secret of this browser's sign-in, and the sign-in.
async fn own(cx: &Context, headers: &HeaderMap) -> Result<(String, Waiting), OAuthError> {
    let none = || {
        let sentence = "No sign-in waits for an address in this browser any more. Go back and sign in again.";
        OAuthError::invalid_request(sentence)
    };
    let secret = cookie::read(cx, headers, "waiting").ok_or_else(none)?;
    let waiting = waiting::find(cx, &secret).await?.ok_or_else(none)?;
    Ok((secret, waiting))
}

fn provider<'cx>(cx: &'cx Context, name: &str) -> Result<&'cx Provider, OAuthError> {
    let gone = || OAuthError::invalid_request("This provider is not enabled any more. Go back and sign in otherwise.");
    cx.upstream.provider(name).ok_or_else(gone)
}

async fn send(
    cx: &Context,
    visitor: &Visitor,
    secret: &str,
    waiting: &Waiting,
    typed: &str,
) -> Result<Response, OAuthError> {
    let provider = provider(cx, &waiting.provider)?;
    let wrong = |error: &str| Ok(with_status(show_form(cx, visitor, waiting, Some(typed), Some(error)), 400));
    let Some(email) = plain_address(typed) else { return wrong("email_invalid") };
    if !link::may_have_email(email, &provider.policy) {
        return wrong("email_not_allowed");
    }
    let letter = match waiting::ask(cx, secret, email, &provider.policy, &visitor.browser.address).await {
        Ok(Some(letter)) => letter,
        // It was finished in another window.
        Ok(None) => return Ok(see_other(PAGE)),
        Err(error) if error.status() == 429 => {
            return Ok(with_status(show_form(cx, visitor, waiting, Some(typed), Some("email_too_many")), 429));
        }
        Err(error) => return Err(error),
    };
    let values = [("site", cx.settings.pages.site_name.as_str()), ("provider", provider.title())];
    let url = cx.settings.public_url();
    let sent = match &letter {
        waiting::Letter::Prove { token, code } => {
            let letter = Letter {
                to: email,
                subject: "mail_confirm_subject",
                before: &["mail_confirm_intro"],
                link: (&format!("{url}{CONFIRM}?token={token}"), "mail_confirm_button"),
                code: Some((code, "mail_confirm_code")),
                after: &["mail_confirm_valid", "mail_ignore"],
                values: &values,
            };
            letter.send(cx, visitor).await
        }
        waiting::Letter::HasAccount => {
            let letter = Letter {
                to: email,
                subject: "mail_exists_subject",
                before: &["mail_exists_intro", "mail_exists_how"],
                link: (&format!("{url}/account/sign-in"), "mail_exists_button"),
                code: None,
                after: &["mail_ignore"],
                values: &values,
            };
            letter.send(cx, visitor).await
        }
    };
    match sent {
        Ok(()) => Ok(see_other(PAGE)),
        Err(error) => {
            tracing::warn!(error = %crate::describe(&error), "a mail was not sent");
            let page = show_form(cx, visitor, waiting, Some(typed), Some("email_undelivered"));
            Ok(with_status(page, error.status()))
        }
    }
}

async fn enter_code(
    cx: &Context,
    visitor: &Visitor,
    secret: &str,
    waiting: &Waiting,
    code: &str,
) -> Result<Response, OAuthError> {
    match waiting::try_code(cx, secret, code).await? {
        Tried::Right => finish(cx, visitor, secret, waiting).await,
        Tried::Wrong => Ok(with_status(show_sent(cx, visitor, waiting, Some("email_wrong_code")), 400)),
        Tried::TooMany => Ok(with_status(show_sent(cx, visitor, waiting, Some("too_many_tries")), 429)),
    }
}

/// Makes the account and signs its person in.
async fn finish(cx: &Context, visitor: &Visitor, secret: &str, waiting: &Waiting) -> Result<Response, OAuthError> {
    let provider = provider(cx, &waiting.provider)?;
    let mut answer = match entrance::finish(cx, provider, secret, waiting).await {
        Ok(Some((linked, waiting))) => {
            let outcome = if linked.is_new { Outcome::NewUser } else { Outcome::SignedIn };
            let next = destination(outcome, &provider.policy, Some(&waiting.next)).unwrap_or_default();
            sign_in::enter_from(cx, visitor, &linked.user, provider, &next).await
        }
        Ok(None) => return Ok(see_other(PAGE)),
        Err(error) if error.status() >= 500 => return Err(error),
        Err(error) => Setback::from(error).on_the_way_to(&waiting.next).show(cx, visitor, Some(provider)),
    };
    if let Some(gone) = cookie::waiting(cx, "", 0) {
        answer.headers_mut().append(SET_COOKIE, gone);
    }
    Ok(answer)
}

/// Opened from the mail. In the browser that waits it is enough; elsewhere a button must be pressed, because programs
/// that look through mails open links too.
pub(super) async fn opened(
    State(cx): State<Ctx>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    visitor: Visitor,
) -> Response {
    let outcome = async {
        let params = Params::from_form(query.unwrap_or_default().as_bytes())?;
        let token = params.required("token")?;
        let secret = cookie::read(&cx, &headers, "waiting");
        let question = waiting::look_up(&cx, token, secret.as_deref()).await?.ok_or_else(spent)?;
        if question.is_own && waiting::confirm(&cx, token).await? {
            return Ok(see_other(PAGE));
        }
        let provider = provider(&cx, &question.provider)?;
        let context = json!({
            "action": CONFIRM,
            "token": token,
            "email": question.email,
            "provider": provider.title(),
        });
        Ok(Page::new("email_confirm.html", context).show(&cx, &visitor))
    };
    outcome.await.unwrap_or_else(|error| page::refuse(&cx, &visitor, error))
}

pub(super) async fn confirm(State(cx): State<Ctx>, form: Form) -> Response {
    let Form { params, visitor } = form;
    match waiting::confirm(&cx, params.get("token").unwrap_or_default()).await {
        Ok(true) => Page::message("email_confirmed_heading", "email_confirmed_sentence").show(&cx, &visitor),
        Ok(false) => page::refuse(&cx, &visitor, spent()),
        Err(error) => page::refuse(&cx, &visitor, error),
    }
}

fn spent() -> OAuthError {
    OAuthError::invalid_request(
        "This link is not known, was used already, is older than 7 days, or a newer mail stands in for it. Go back to the browser in which you began, and ask for another mail there.",
    )
}

fn show_form(cx: &Context, visitor: &Visitor, waiting: &Waiting, typed: Option<&str>, error: Option<&str>) -> Response {
    let email = typed.or(waiting.profile.email.as_deref()).unwrap_or_default();
    show(cx, visitor, "email_ask.html", waiting, json!({ "email": email, "error": error }))
}

fn show_sent(cx: &Context, visitor: &Visitor, waiting: &Waiting, error: Option<&str>) -> Response {
    let email = waiting.asked_email().unwrap_or_default();
    show(cx, visitor, "email_sent.html", waiting, json!({ "email": email, "error": error }))
}

fn show(cx: &Context, visitor: &Visitor, template: &'static str, waiting: &Waiting, mut context: Value) -> Response {
    let provider = cx.upstream.provider(&waiting.provider);
    context["is_form"] = provider.is_some_and(Provider::is_by_mail).into();
    let provider = provider.map_or(waiting.provider.as_str(), Provider::title);
    context["action"] = PAGE.into();
    context["provider"] = provider.into();
    Page::new(template, context).show(cx, visitor)
}
