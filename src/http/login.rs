//! `login/{backend}`: the way to a provider, to sign in or to connect an account.
//!
//! What must match on the way back travels sealed in a cookie of this browser: nobody can be signed in by an answer that
//! another browser asked for (RFC 6749 §10.12). Whoever is signed in connects an account, and is asked first unless a page
//! of ours led here: else another site could tie an account of its own to theirs.

use axum::extract::{Path, RawQuery, State};
use axum::http::HeaderMap;
use axum::http::header::SET_COOKIE;
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use vestibule_protocol::jwt::encode_part;
use vestibule_protocol::{ErrorCode, OAuthError, Params, Reason, pkce};

use super::destination::CONNECTIONS;
use super::page::{self, Page};
use super::setback::{Kind, Setback, login_url};
use super::visitor::{Form, Visitor, see_other};
use super::{cookie, email};
use crate::context::{Context, Ctx, random};
use crate::protocol::provider::Protocol;
use crate::store::user::User;
use crate::upstream::{self, Departure, Going, Identified, Provider};

/// How long somebody may take at the provider, in seconds.
pub(super) const JOURNEY: u64 = 900;
const SEALED_FOR: &str = "journey to a provider";

/// What must match when the browser comes back.
#[derive(Serialize, Deserialize)]
pub(super) struct Journey {
    pub backend: String,
    pub state: String,
    pub nonce: String,
    pub code_verifier: String,
    pub next: String,
    started_at: i64,
    /// What the browser brought.
    pub request: Map<String, Value>,
    /// What the protocol must know again.
    pub kept: Value,
    /// Who was signed in, and connects an account.
    pub connecting: Option<i64>,
}

impl Journey {
    fn seal(&self, cx: &Context) -> Result<String, OAuthError> {
        let failed = |cause: Box<dyn std::error::Error + Send + Sync>| {
            OAuthError::new(ErrorCode::ServerError, "The server failed; its log tells why.").with_cause(cause)
        };
        let text = serde_json::to_vec(self).map_err(|error| failed(error.into()))?;
        let sealed = cx.keys.seal(SEALED_FOR, &text).map_err(|error| failed(error.into()))?;
        Ok(URL_SAFE_NO_PAD.encode(sealed))
    }

    /// The one that this browser is on, if it is not too late.
    pub fn of(cx: &Context, headers: &HeaderMap) -> Option<Self> {
        let sealed = cookie::read(cx, headers, "journey")?;
        let opened = cx.keys.open(SEALED_FOR, &URL_SAFE_NO_PAD.decode(sealed).ok()?).ok()?;
        let journey: Self = serde_json::from_slice(&opened).ok()?;
        let until = journey.started_at.saturating_add(i64::try_from(JOURNEY).unwrap_or(900));
        (cx.clock.now() <= until).then_some(journey)
    }
}

/// The enabled provider of this name that a browser can be sent to.
pub(super) fn provider<'cx>(cx: &'cx Context, backend: &str) -> Result<&'cx Provider, OAuthError> {
    let found = cx.upstream.provider(backend).filter(|provider| provider.has_browser_flow());
    found.ok_or_else(|| {
        OAuthError::invalid_request("No enabled provider of this name takes a sign-in by browser.")
            .with_reason(Reason::UnknownBackend)
            .with_status(404)
    })
}

pub(super) fn redirect_uri(cx: &Context, backend: &str) -> String {
    cx.settings.redirect_uri(backend)
}

pub(super) async fn begin(
    State(cx): State<Ctx>,
    Path(backend): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    visitor: Visitor,
) -> Response {
    let begun = provider(&cx, &backend)
        .and_then(|provider| Ok((provider, Params::from_form(query.unwrap_or_default().as_bytes())?)));
    let (provider, params) = match begun {
        Ok(begun) => begun,
        Err(error) => return Setback::from(error).show(&cx, &visitor, cx.upstream.provider(&backend)),
    };
    if provider.protocol() == Protocol::Form {
        return by_form(&cx, &visitor, provider, &params).await;
    }
    // Whoever wants to sign in as somebody else connects nothing.
    let user = visitor.session.as_ref().map(|session| &session.user);
    let user = user.filter(|_| params.get("prompt") != Some("login"));
    match user {
        Some(user) if !cookie::is_led_from_here(&headers) => ask(&cx, &visitor, provider, &params, user),
        user => go(&cx, &visitor, provider, &params, user).await,
    }
}

/// The forms of our own: a username and its password, or an address that a mail proves.
async fn by_form(cx: &Context, visitor: &Visitor, provider: &Provider, params: &Params) -> Response {
    let next = next(provider, params);
    if !provider.is_by_mail() {
        let query = query_of([("next", next)].into_iter().filter(|(_, next)| !next.is_empty()));
        return see_other(&format!("/account/sign-in?{query}"));
    }
    let begun = email::begin(cx, provider, &Identified::default(), next).await;
    begun.unwrap_or_else(|error| Setback::from(error).show(cx, visitor, Some(provider)))
}

/// Whoever is signed in has said that they want to connect the account.
pub(super) async fn connect(State(cx): State<Ctx>, Path(backend): Path<String>, form: Form) -> Response {
    let Form { params, visitor } = form;
    let provider = match provider(&cx, &backend) {
        Ok(provider) => provider,
        Err(error) => return Setback::from(error).show(&cx, &visitor, None),
    };
    let own = params.iter().filter(|(name, _)| *name != "form_token");
    let params = match Params::from_pairs(own.map(|(name, value)| (name.to_owned(), value.to_owned()))) {
        Ok(params) => params,
        Err(error) => return Setback::from(error).show(&cx, &visitor, Some(provider)),
    };
    match &visitor.session {
        Some(session) => go(&cx, &visitor, provider, &params, Some(&session.user)).await,
        None => Setback::new(Kind::SignedInOtherwise, "Nobody is signed in in this browser any more.").show(
            &cx,
            &visitor,
            Some(provider),
        ),
    }
}

fn query_of<'a>(pairs: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish()
}

/// Where the browser wants to go then, as far as it may.
fn next<'a>(provider: &Provider, params: &'a Params) -> &'a str {
    params.get("next").filter(|next| provider.policy.may_lead_to(next)).unwrap_or_default()
}

/// Asks whether the account is to be connected.
fn ask(cx: &Context, visitor: &Visitor, provider: &Provider, params: &Params, user: &User) -> Response {
    let hidden: Vec<_> = params.iter().map(|(name, value)| json!({ "name": name, "value": value })).collect();
    let login = login_url(cx, provider.name(), "");
    let others = params.iter().filter(|(name, _)| *name != "prompt").chain([("prompt", "login")]);
    let back = Some(next(provider, params)).filter(|next| !next.is_empty()).unwrap_or(CONNECTIONS);
    let context = json!({
        "provider": provider.title(),
        "username": user.username,
        "action": login,
        "hidden": hidden,
        "other_url": provider.signs_in().then(|| format!("{login}?{}", query_of(others))),
        "back_url": back,
    });
    Page { form_targets: page::providers(cx), ..Page::new("connect_confirm.html", context) }.show(cx, visitor)
}

/// Sends the browser on; whoever is signed in connects the account.
async fn go(cx: &Context, visitor: &Visitor, provider: &Provider, params: &Params, user: Option<&User>) -> Response {
    let next = next(provider, params);
    let departed = match user.is_some() || provider.signs_in() {
        true => depart(cx, provider, params, next, user).await.map_err(Setback::from),
        false => Err(Setback::new(Kind::ConnectOnly, "Nobody signs in with this provider; it only connects accounts.")),
    };
    departed.unwrap_or_else(|setback| setback.on_the_way_to(next).show(cx, visitor, Some(provider)))
}

async fn depart(
    cx: &Context,
    provider: &Provider,
    params: &Params,
    next: &str,
    user: Option<&User>,
) -> Result<Response, OAuthError> {
    let mut journey = Journey {
        backend: provider.name().to_owned(),
        state: encode_part(&random::<32>()),
        nonce: encode_part(&random::<32>()),
        code_verifier: encode_part(&random::<32>()),
        next: next.to_owned(),
        started_at: cx.clock.now(),
        request: upstream::beside(params),
        kept: Value::Null,
        connecting: user.map(|user| user.id),
    };
    let [challenge, _] = pkce::answered_by(Some(&journey.code_verifier))?;
    let redirect_uri = redirect_uri(cx, provider.name());
    let going = Departure {
        redirect_uri: &redirect_uri,
        state: &journey.state,
        nonce: &journey.nonce,
        code_challenge: challenge.trim_start_matches("S256:"),
        request: params,
    };
    let Going { url, kept } = cx.upstream.depart(provider, &going).await?;
    journey.kept = kept;
    let sealed = journey.seal(cx)?;
    let mut answer = see_other(&url);
    if let Some(set) = cookie::journey(cx, &sealed, JOURNEY) {
        answer.headers_mut().append(SET_COOKIE, set);
    }
    Ok(answer)
}
