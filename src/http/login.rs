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
use vestibule_protocol::jwt::encode_part;
use vestibule_protocol::{ErrorCode, OAuthError, Params, Reason, pkce};

use super::body::Body;
use super::destination::{Outcome, destination};
use super::respond::Refusal;
use super::visitor::{Visitor, see_other};
use super::{cookie, email, page, sign_in};
use crate::context::{Context, Ctx, random};
use crate::grant::convert_token;
use crate::identity::link::{Arrived, Linked};
use crate::upstream::{Credential, Departure, Provider};

/// How long somebody may take at the provider, in seconds.
const JOURNEY: u64 = 900;
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
    match depart(&cx, &backend, &query.unwrap_or_default()).await {
        Ok(answer) => answer,
        Err(error) => page::refuse(&cx, &visitor, error),
    }
}

async fn depart(cx: &Context, backend: &str, query: &str) -> Result<Response, OAuthError> {
    let provider = provider(cx, backend)?;
    let params = Params::from_form(query.as_bytes())?;
    let journey = Journey {
        backend: backend.to_owned(),
        state: encode_part(&random::<32>()),
        nonce: encode_part(&random::<32>()),
        code_verifier: encode_part(&random::<32>()),
        next: params.get("next").filter(|next| provider.policy.may_lead_to(next)).unwrap_or_default().to_owned(),
        started_at: cx.clock.now(),
    };
    let [challenge, _] = pkce::answered_by(Some(&journey.code_verifier))?;
    let redirect_uri = redirect_uri(cx, backend);
    let going = Departure {
        redirect_uri: &redirect_uri,
        state: &journey.state,
        nonce: &journey.nonce,
        code_challenge: challenge.trim_start_matches("S256:"),
    };
    let url = cx.upstream.authorization_url(provider, going).await?;
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

/// A provider that answers by a form (`response_mode=form_post`) posts from another site, and a browser sends no cookie with
/// that: the answer goes on as a GET of our own.
pub(super) async fn complete_form(
    State(cx): State<Ctx>,
    Path(backend): Path<String>,
    visitor: Visitor,
    body: Result<Body, Refusal>,
) -> Response {
    match body {
        Err(refusal) => page::refuse(&cx, &visitor, refusal.0),
        Ok(Body(params)) => {
            let query = url::form_urlencoded::Serializer::new(String::new())
                .extend_pairs(params.iter().filter(|(name, _)| ["code", "state", "error", "iss"].contains(name)))
                .finish();
            see_other(&format!("{}/complete/{backend}/?{query}", cx.settings.mount.trim_end_matches('/')))
        }
    }
}

pub(super) async fn complete(
    State(cx): State<Ctx>,
    Path(backend): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    visitor: Visitor,
) -> Response {
    let arrived = arrive(&cx, &backend, &query.unwrap_or_default(), &headers).await;
    let mut answer = match (arrived, provider(&cx, &backend)) {
        (Ok(Came::In(linked, next)), Ok(provider)) => {
            let outcome = if linked.is_new { Outcome::NewUser } else { Outcome::SignedIn };
            let next = destination(outcome, &provider.policy, Some(&next)).unwrap_or_default();
            sign_in::enter(&cx, &visitor, &linked.user, "fed", &next).await
        }
        (Ok(Came::Waits(answer)), _) => answer,
        (Err(error), Ok(provider)) => email::refuse(&cx, &visitor, provider, error),
        (Err(error), Err(_)) | (_, Err(error)) => page::refuse(&cx, &visitor, error),
    };
    if let Some(gone) = cookie::journey(&cx, "", 0) {
        answer.headers_mut().append(SET_COOKIE, gone);
    }
    answer
}

/// What came of the way back.
enum Came {
    In(Box<Linked>, String),
    /// An address must be proven first: the answer leads to the page that asks for it.
    Waits(Response),
}

async fn arrive(cx: &Context, backend: &str, query: &str, headers: &HeaderMap) -> Result<Came, OAuthError> {
    let provider = provider(cx, backend)?;
    let params = Params::from_form(query.as_bytes())?;
    let stranger = || {
        let sentence = "This answer was not asked for by this browser, or it came too late. Go back and sign in again.";
        OAuthError::new(ErrorCode::AccessDenied, sentence).with_status(400)
    };
    let sealed = cookie::read(cx, headers, "journey").ok_or_else(stranger)?;
    let bytes = URL_SAFE_NO_PAD.decode(sealed).map_err(|_| stranger())?;
    let opened = cx.keys.open(SEALED_FOR, &bytes).map_err(|_| stranger())?;
    let journey: Journey = serde_json::from_slice(&opened).map_err(|_| stranger())?;
    let is_late = journey.started_at.saturating_add(i64::try_from(JOURNEY).unwrap_or(900)) < cx.clock.now();
    let state = params.get("state").unwrap_or_default();
    let same = aws_lc_rs::constant_time::verify_slices_are_equal(journey.state.as_bytes(), state.as_bytes());
    if journey.backend != backend || same.is_err() || is_late {
        return Err(stranger());
    }
    // RFC 9207: an answer of another provider's is not this one's.
    if params.get("iss").is_some_and(|issuer| !provider.is_issuer(issuer)) {
        return Err(stranger());
    }
    if let Some(word) = params.get("error") {
        let sentence = match word {
            "access_denied" | "user_cancelled_login" | "user_cancelled_authorize" => {
                format!("You said no at {}. Go back to sign in otherwise.", provider.title())
            }
            _ => format!("{} could not sign you in. Go back and try again, or sign in otherwise.", provider.title()),
        };
        return Err(OAuthError::new(ErrorCode::AccessDenied, sentence).with_status(400));
    }
    let credential = Credential::Code {
        code: params.required("code")?.to_owned(),
        redirect_uri: Some(redirect_uri(cx, backend)),
        code_verifier: Some(journey.code_verifier),
    };
    let nonce = provider.entry.takes_id_tokens().then_some(journey.nonce.as_str());
    let identified = convert_token::identify_by(cx, provider, credential, nonce).await?;
    Ok(match convert_token::arrive(cx, provider, &identified).await? {
        Arrived::In(linked) => Came::In(linked, journey.next),
        Arrived::NeedsEmail(_) => Came::Waits(email::begin(cx, provider, &identified, &journey.next).await?),
    })
}
