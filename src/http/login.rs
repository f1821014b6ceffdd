//! `login/{backend}` → the provider → `complete/{backend}`: signing in with a provider in a browser.
//!
//! What must match on the way back travels sealed in a cookie of this browser: nobody can be signed in by an answer that
//! another browser asked for (RFC 6749 §10.12).

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

use super::body::Body;
use super::destination::{Outcome, destination};
use super::page::Page;
use super::respond::Refusal;
use super::visitor::{Visitor, see_other};
use super::{cookie, email, page, sign_in};
use crate::context::{Context, Ctx, random};
use crate::grant::convert_token;
use crate::identity::link::{self, Arrival, Arrived, Linked};
use crate::store::association;
use crate::upstream::{self, Declined, Departure, Going, Provider, Return, Unasked};

/// How long somebody may take at the provider, in seconds.
const JOURNEY: u64 = 900;
/// The longest answer, in bytes, that goes on in a query.
const MOST_IN_A_QUERY: usize = 6 * 1024;
const SEALED_FOR: &str = "journey to a provider";

/// What must match when the browser comes back.
#[derive(Serialize, Deserialize)]
struct Journey {
    backend: String,
    state: String,
    nonce: String,
    code_verifier: String,
    next: String,
    started_at: i64,
    /// What the browser brought.
    request: Map<String, Value>,
    /// What the protocol must know again.
    kept: Value,
    /// Who was signed in, and connects an account.
    connecting: Option<i64>,
}

fn provider<'cx>(cx: &'cx Context, backend: &str) -> Result<&'cx Provider, OAuthError> {
    let found = cx.upstream.provider(backend).filter(|provider| provider.has_browser_flow());
    found.ok_or_else(|| {
        OAuthError::invalid_request("No enabled provider of this name takes a sign-in by browser.")
            .with_reason(Reason::UnknownBackend)
            .with_status(404)
    })
}

fn redirect_uri(cx: &Context, backend: &str) -> String {
    format!("{}/complete/{backend}/", cx.issuer())
}

pub(super) async fn begin(
    State(cx): State<Ctx>,
    Path(backend): Path<String>,
    RawQuery(query): RawQuery,
    visitor: Visitor,
) -> Response {
    match depart(&cx, &backend, &query.unwrap_or_default(), &visitor).await {
        Ok(answer) => answer,
        Err(error) => page::refuse(&cx, &visitor, error),
    }
}

async fn depart(cx: &Context, backend: &str, query: &str, visitor: &Visitor) -> Result<Response, OAuthError> {
    let provider = provider(cx, backend)?;
    let params = Params::from_form(query.as_bytes())?;
    let mut journey = Journey {
        backend: backend.to_owned(),
        state: encode_part(&random::<32>()),
        nonce: encode_part(&random::<32>()),
        code_verifier: encode_part(&random::<32>()),
        next: params.get("next").filter(|next| provider.policy.may_lead_to(next)).unwrap_or_default().to_owned(),
        started_at: cx.clock.now(),
        request: upstream::beside(&params),
        kept: Value::Null,
        connecting: visitor.session.as_ref().map(|session| session.user.id),
    };
    let [challenge, _] = pkce::answered_by(Some(&journey.code_verifier))?;
    let redirect_uri = redirect_uri(cx, backend);
    let going = Departure {
        redirect_uri: &redirect_uri,
        state: &journey.state,
        nonce: &journey.nonce,
        code_challenge: challenge.trim_start_matches("S256:"),
        request: &params,
    };
    let Going { url, kept } = cx.upstream.depart(provider, &going).await?;
    journey.kept = kept;
    let failed = |cause: Box<dyn std::error::Error + Send + Sync>| {
        OAuthError::new(ErrorCode::ServerError, "The server failed; its log tells why.").with_cause(cause)
    };
    let text = serde_json::to_vec(&journey).map_err(|error| failed(error.into()))?;
    let sealed = cx.keys.seal(SEALED_FOR, &text).map_err(|error| failed(error.into()))?;
    let mut answer = see_other(&url);
    if let Some(set) = cookie::journey(cx, &URL_SAFE_NO_PAD.encode(sealed), JOURNEY) {
        answer.headers_mut().append(SET_COOKIE, set);
    }
    Ok(answer)
}

/// The enabled provider of this name that a browser comes from.
fn provider_back<'cx>(cx: &'cx Context, backend: &str) -> Result<&'cx Provider, OAuthError> {
    match cx.upstream.provider(backend) {
        Some(found) if found.starts_there() => Ok(found),
        _ => provider(cx, backend),
    }
}

/// A provider that answers by a form (`response_mode=form_post`, SAML) posts from another site, and a browser sends no cookie
/// with that: the answer goes on as a GET of our own.
pub(super) async fn complete_form(
    State(cx): State<Ctx>,
    Path(backend): Path<String>,
    headers: HeaderMap,
    visitor: Visitor,
    body: Result<Body, Refusal>,
) -> Response {
    let params = match body {
        Err(refusal) => return page::refuse(&cx, &visitor, refusal.0),
        Ok(Body(params)) => params,
    };
    // What no sign-in of ours began has no cookie of ours to wait for.
    if let Ok(provider) = provider_back(&cx, &backend)
        && provider.is_unasked(&params)
    {
        let came = unasked(&cx, provider, &params, &headers, &visitor).await;
        return end(&cx, &visitor, provider, came).await;
    }
    let query = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(params.iter()).finish();
    if query.len() > MOST_IN_A_QUERY {
        let error = OAuthError::invalid_request("This answer of the provider is too long.");
        return page::refuse(&cx, &visitor, error);
    }
    see_other(&format!("{}/complete/{backend}/?{query}", cx.settings.mount.trim_end_matches('/')))
}

pub(super) async fn complete(
    State(cx): State<Ctx>,
    Path(backend): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    visitor: Visitor,
) -> Response {
    let begun = provider_back(&cx, &backend).and_then(|provider| {
        let params = Params::from_form(query.unwrap_or_default().as_bytes())?;
        Ok((provider, provider.unpacked(params)?))
    });
    let (provider, params) = match begun {
        Ok(begun) => begun,
        Err(error) => return page::refuse(&cx, &visitor, error),
    };
    if provider.begins_by(&params) {
        return see_other(&format!("{}/login/{backend}/", cx.settings.mount.trim_end_matches('/')));
    }
    if let Some(name) = provider.in_fragment(&params) {
        let state = params.get("redirect_state").unwrap_or_default();
        let context = json!({ "target": redirect_uri(&cx, &backend), "state": state, "name": name });
        return Page::new("fragment.html", context).show(&cx, &visitor);
    }
    let came = match provider.is_unasked(&params) {
        true => unasked(&cx, provider, &params, &headers, &visitor).await,
        false => arrive(&cx, provider, &params, &headers, &visitor).await,
    };
    let mut answer = end(&cx, &visitor, provider, came).await;
    if let Some(gone) = cookie::journey(&cx, "", 0) {
        answer.headers_mut().append(SET_COOKIE, gone);
    }
    answer
}

async fn end(cx: &Context, visitor: &Visitor, provider: &Provider, came: Result<Came, OAuthError>) -> Response {
    match came {
        Ok(came) => go_on(cx, visitor, provider, came).await,
        Err(error) => email::refuse(cx, visitor, provider, error),
    }
}

/// What a journey came to, and where the browser wanted to go.
enum Came {
    /// Somebody is signed in by it.
    SignedIn(Box<Linked>, String),
    /// The account is connected to whom the session is.
    Connected(String),
    /// An address must be proven first: the answer leads to the page that asks for it.
    Waits(Response),
}

async fn go_on(cx: &Context, visitor: &Visitor, provider: &Provider, came: Came) -> Response {
    let to = |outcome, next: &str| destination(outcome, &provider.policy, Some(next)).unwrap_or_default();
    match came {
        Came::SignedIn(linked, next) => {
            let outcome = if linked.is_new { Outcome::NewUser } else { Outcome::SignedIn };
            sign_in::enter(cx, visitor, &linked.user, "fed", &to(outcome, &next)).await
        }
        Came::Connected(next) => see_other(&to(Outcome::NewAssociation, &next)),
        Came::Waits(answer) => answer,
    }
}

async fn arrive(
    cx: &Context,
    provider: &Provider,
    params: &Params,
    headers: &HeaderMap,
    visitor: &Visitor,
) -> Result<Came, OAuthError> {
    let stranger = || {
        let sentence = "This answer was not asked for by this browser, or it came too late. Go back and sign in again.";
        OAuthError::new(ErrorCode::AccessDenied, sentence).with_status(400)
    };
    let sealed = cookie::read(cx, headers, "journey").ok_or_else(stranger)?;
    let bytes = URL_SAFE_NO_PAD.decode(sealed).map_err(|_| stranger())?;
    let opened = cx.keys.open(SEALED_FOR, &bytes).map_err(|_| stranger())?;
    let journey: Journey = serde_json::from_slice(&opened).map_err(|_| stranger())?;
    let is_late = journey.started_at.saturating_add(i64::try_from(JOURNEY).unwrap_or(900)) < cx.clock.now();
    let state = upstream::STATES.iter().find_map(|name| params.get(name)).unwrap_or_default();
    let same = aws_lc_rs::constant_time::verify_slices_are_equal(journey.state.as_bytes(), state.as_bytes());
    let bound = same.is_ok() || state.is_empty() && provider.is_bound_by_token();
    if journey.backend != provider.name() || !bound || is_late {
        return Err(stranger());
    }
    declined(provider, params)?;
    let redirect_uri = redirect_uri(cx, provider.name());
    let cookies = |name: &str| cookie::foreign(headers, name);
    let back = Return {
        params,
        request: &journey.request,
        redirect_uri: &redirect_uri,
        state: &journey.state,
        nonce: &journey.nonce,
        code_verifier: &journey.code_verifier,
        kept: &journey.kept,
        cookies: &cookies,
    };
    let identified = convert_token::arrived(cx, provider, &back).await?;
    // Whoever set out signed in connects the account, and only to the one who set out.
    if let Some(id) = journey.connecting {
        let session = visitor.session.as_ref().filter(|session| session.user.id == id).ok_or_else(|| {
            let sentence =
                "You are not signed in any more as whom you were. Sign in again, and connect the account then.";
            OAuthError::new(ErrorCode::AccessDenied, sentence).with_status(400)
        })?;
        let tokens = identified.tokens.to_json();
        let arrival = Arrival {
            provider: provider.name(),
            profile: &identified.profile,
            policy: &provider.policy,
            tokens: &tokens,
            proven_email: None,
        };
        link::connect(cx, &arrival, &session.user).await?;
        return Ok(Came::Connected(journey.next));
    }
    Ok(match convert_token::arrive(cx, provider, &identified).await? {
        Arrived::In(linked) => Came::SignedIn(linked, journey.next),
        Arrived::NeedsEmail(_) => Came::Waits(email::begin(cx, provider, &identified, &journey.next).await?),
    })
}

/// Who came though no sign-in of ours began. Nobody is connected by that, nor signed in over somebody else: the person at
/// the browser may have wanted nothing of it.
async fn unasked(
    cx: &Context,
    provider: &Provider,
    params: &Params,
    headers: &HeaderMap,
    visitor: &Visitor,
) -> Result<Came, OAuthError> {
    declined(provider, params)?;
    let cookies = |name: &str| cookie::foreign(headers, name);
    let identified = convert_token::came(cx, provider, &Unasked { params, cookies: &cookies }).await?;
    if let Some(session) = &visitor.session {
        let owner = association::find(&cx.db, provider.name(), &identified.profile.uid).await?;
        if owner.is_none_or(|(_, owner)| owner.id != session.user.id) {
            let title = provider.title();
            let sentence = format!(
                "You are signed in here as somebody whose account this one of {title} is not. Sign out first to come in \
                 with it."
            );
            return Err(OAuthError::new(ErrorCode::AccessDenied, sentence).with_status(400));
        }
    }
    Ok(match convert_token::arrive(cx, provider, &identified).await? {
        Arrived::In(linked) => Came::SignedIn(linked, String::new()),
        Arrived::NeedsEmail(_) => Came::Waits(email::begin(cx, provider, &identified, "").await?),
    })
}

/// Whether the provider, or the person there, said no.
fn declined(provider: &Provider, params: &Params) -> Result<(), OAuthError> {
    let Some(declined) = provider.declined(params) else { return Ok(()) };
    let title = provider.title();
    let sentence = match declined {
        Declined::ByPerson => format!("You said no at {title}. Go back to sign in otherwise."),
        Declined::ForNow => format!("{title} is down or busy. Try again in a while, or sign in otherwise."),
        Declined::ByProvider => format!("{title} could not sign you in. Go back and try again, or sign in otherwise."),
    };
    Err(OAuthError::new(ErrorCode::AccessDenied, sentence).with_status(400))
}
