//! `GET`/`POST authorize` (RFC 6749 §3.1) and the consent page that it may show.

use axum::extract::{RawQuery, State};
use axum::response::Response;
use serde_json::json;
use vestibule_protocol::authorization::Carrier;
use vestibule_protocol::{OAuthError, Params, Scope};

use super::body::Body;
use super::page::{self, Page};
use super::respond::Refusal;
use super::visitor::{Form, Visitor, see_other};
use crate::authorize::{self, Answer, ConsentQuestion, Outcome, ResumedRequest};
use crate::context::{Context, Ctx};
use crate::store::application::Application;

pub(super) async fn get(State(cx): State<Ctx>, RawQuery(query): RawQuery, visitor: Visitor) -> Response {
    let outcome = async {
        let params = Params::from_form(query.unwrap_or_default().as_bytes())?;
        let resumed = authorize::read(&cx, params).await?;
        authorize::judge(&cx, resumed, visitor.session.as_ref()).await
    };
    match outcome.await {
        Ok(outcome) => show(&cx, &visitor, outcome),
        Err(error) => page::refuse(&cx, &visitor, error),
    }
}

/// OpenID Connect Core §3.1.2.1 takes a form too. A browser does not send its cookies with one from elsewhere, so the
/// request goes on as a GET of our own.
pub(super) async fn post(State(cx): State<Ctx>, visitor: Visitor, body: Result<Body, Refusal>) -> Response {
    let resumed = async {
        let Body(params) = body.map_err(|refusal| refusal.0)?;
        authorize::read(&cx, params).await
    };
    let error = match resumed.await {
        // What was wrong with a signed object is told now: the sealed form does not keep it.
        Ok(resumed) if resumed.refusal.is_some() => match authorize::judge(&cx, resumed, None).await {
            Ok(outcome) => return show(&cx, &visitor, outcome),
            Err(error) => error,
        },
        Ok(resumed) => match resumed.seal_unjudged(&cx) {
            Ok(sealed) => return see_other(&address(&cx, &sealed)),
            Err(error) => error,
        },
        Err(error) => error,
    };
    page::refuse(&cx, &visitor, error)
}

/// Where a request that waits goes on.
pub(super) fn address(cx: &Context, sealed: &str) -> String {
    format!("{}/authorize?resume={sealed}", cx.settings.mount.trim_end_matches('/'))
}

/// The person has decided.
pub(super) async fn consent(State(cx): State<Ctx>, form: Form) -> Response {
    let Form { params, visitor } = form;
    let outcome = async {
        let sealed = params.required("request")?;
        let is_allowed = match params.get("decision") {
            Some("allow") => true,
            Some("deny") => false,
            _ => return Err(OAuthError::missing("decision")),
        };
        match &visitor.session {
            Some(session) => {
                let resumed = ResumedRequest::open(&cx, sealed)?;
                authorize::answer_consent(&cx, resumed, session, is_allowed).await
            }
            None => Ok(Outcome::SignIn(sealed.to_owned())),
        }
    };
    match outcome.await {
        Ok(outcome) => show(&cx, &visitor, outcome),
        Err(error) => page::refuse(&cx, &visitor, error),
    }
}

fn show(cx: &Context, visitor: &Visitor, outcome: Outcome) -> Response {
    match outcome {
        Outcome::Answer(answer) => send_back(cx, visitor, answer),
        Outcome::SignIn(sealed) => {
            let next: String = url::form_urlencoded::byte_serialize(address(cx, &sealed).as_bytes()).collect();
            see_other(&format!("/account/sign-in?next={next}"))
        }
        Outcome::Consent(question) => ask(cx, visitor, &question),
    }
}

fn send_back(cx: &Context, visitor: &Visitor, answer: Answer) -> Response {
    if let Some(error) = answer.error {
        tracing::info!(error = error.as_str(), "an authorization request was refused; the client is told");
    }
    if answer.carrier != Carrier::FormPost {
        return see_other(&answer.location());
    }
    let members: Vec<_> = answer.members.iter().map(|(name, value)| json!({ "name": name, "value": value })).collect();
    let context = json!({ "target": answer.redirect_uri, "members": members });
    Page { form_targets: vec![answer.redirect_uri], ..Page::new("form_post.html", context) }.show(cx, visitor)
}

fn ask(cx: &Context, visitor: &Visitor, question: &ConsentQuestion) -> Response {
    let username = visitor.session.as_ref().map(|session| session.user.username.as_str()).unwrap_or_default();
    let host = url::Url::parse(&question.redirect_uri)
        .map(|url| url.host_str().map_or_else(|| format!("{}:", url.scheme()), str::to_owned))
        .unwrap_or_default();
    let next: String = url::form_urlencoded::byte_serialize(address(cx, &question.resume).as_bytes()).collect();
    let mut application = about(&question.application);
    application["redirect_host"] = host.into();
    let context = json!({
        "action": format!("{}/consent", cx.settings.mount.trim_end_matches('/')),
        "request": question.resume,
        "application": application,
        "username": username,
        "scopes": scopes(cx, &question.scope, &question.before),
        "switch_url": format!("/account/sign-in?next={next}"),
    });
    Page {
        form_targets: vec![question.redirect_uri.clone()],
        ui_locales: question.ui_locales.clone(),
        ..Page::new("consent.html", context)
    }
    .show(cx, visitor)
}

/// What a page shows of an application. A link leads nowhere but to a web page.
pub(super) fn about(application: &Application) -> serde_json::Value {
    let metadata = &application.metadata;
    let link = |uri: &Option<String>| {
        uri.as_deref().filter(|uri| uri.starts_with("https://") || uri.starts_with("http://")).map(str::to_owned)
    };
    json!({
        "name": application.name,
        "client_uri": link(&metadata.client_uri),
        "policy_uri": link(&metadata.policy_uri),
        "tos_uri": link(&metadata.tos_uri),
        "is_unverified": application.is_self_registered(),
    })
}

/// The scopes with the operator's own sentences; for OpenID Connect's the page has some.
pub(super) fn scopes(cx: &Context, scope: &Scope, before: &Scope) -> Vec<serde_json::Value> {
    let own = cx.settings.scopes();
    scope
        .iter()
        .map(|name| {
            let described = own.iter().find(|(known, _)| *known == name).map(|(_, description)| *description);
            json!({ "name": name, "description": described, "is_new": !before.is_empty() && !before.contains(name) })
        })
        .collect()
}
