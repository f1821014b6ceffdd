//! Before every call of the admin API: who calls, and whether the same call was answered already.

use axum::body::{Body, Bytes};
use axum::extract::{FromRequestParts, Request, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderName, HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http_body_util::BodyExt as _;
use serde::{Deserialize, Serialize};
use vestibule_protocol::{OAuthError, TokenDigest};

use crate::admin::Actor;
use crate::context::Ctx;
use crate::http::body::{Caller, bounded};
use crate::http::respond::ApiError;
use crate::http::visitor::address;
use crate::store::idempotency::{self, Known};

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");
/// How long an answer is kept, and how long a call may be under way before its key is free again, in seconds.
const KEPT: i64 = 86_400;
const UNDER_WAY: i64 = 120;

/// An answer as it is kept, sealed.
#[derive(Serialize, Deserialize)]
struct Kept {
    status: u16,
    content_type: String,
    body: Vec<u8>,
}

pub(super) async fn gate(State(cx): State<Ctx>, request: Request, next: Next) -> Response {
    let (mut parts, body) = request.into_parts();
    let place = address(&cx, &parts);
    let caller = match Caller::from_request_parts(&mut parts, &cx).await {
        Ok(Caller(identity)) => identity,
        Err(refusal) => return refusal.into_response(),
    };
    let actor = match Actor::caller(&cx, &caller, &place).await {
        Ok(actor) => actor,
        Err(error) => return ApiError(error).into_response(),
    };
    // No name holds a NUL, and PostgreSQL refuses to look for one.
    if parts.uri.path_and_query().is_some_and(|what| what.as_str().contains("%00")) {
        return ApiError(OAuthError::invalid_request("The address holds a NUL.")).into_response();
    }
    let body = match bounded(&cx, &parts.headers, body).await {
        Ok(body) => body,
        Err(error) => return ApiError(error).into_response(),
    };
    let writes = ![Method::GET, Method::HEAD, Method::OPTIONS].contains(&parts.method);
    let key = match parts.headers.get(&IDEMPOTENCY_KEY).filter(|_| writes) {
        None => None,
        Some(key) if (1..=255).contains(&key.len()) => {
            // A key is one caller's own: another's same word is another key.
            let whose = format!("{:?} {}\n", actor.user_id(), actor.name());
            Some(digest(&cx, "idempotency key", &[whose.as_bytes(), key.as_bytes()]))
        }
        Some(_) => {
            let error = OAuthError::invalid_request("An Idempotency-Key has 1 to 255 characters.");
            return ApiError(error).into_response();
        }
    };
    let what = parts.uri.path_and_query().map(ToString::to_string).unwrap_or_default();
    let asked = digest(&cx, "idempotency request", &[parts.method.as_str().as_bytes(), what.as_bytes(), &body]);
    parts.extensions.insert(actor);
    let request = Request::from_parts(parts, Body::from(body));
    match key {
        None => worded(next.run(request).await),
        Some(key) => once(&cx, key, asked, request, next).await.unwrap_or_else(|error| ApiError(error).into_response()),
    }
}

/// Answers a call for the first time, or as it was answered then.
async fn once(
    cx: &Ctx,
    key: TokenDigest,
    asked: TokenDigest,
    request: Request,
    next: Next,
) -> Result<Response, OAuthError> {
    let now = cx.clock.now();
    match idempotency::begin(&cx.db, key, asked, now, now + UNDER_WAY).await? {
        Known::New => {}
        Known::Other => {
            let sentence = "Another request came with this Idempotency-Key; a key is for one request.";
            return Err(OAuthError::invalid_request(sentence).with_status(422));
        }
        Known::UnderWay => {
            let sentence = "The request with this Idempotency-Key is being answered; try again shortly.";
            return Err(OAuthError::invalid_request(sentence).with_status(409));
        }
        Known::Answered(sealed) => {
            let broken = |error: &dyn std::fmt::Display| crate::store::Error::broken(error.to_string());
            let plain = cx.keys.open("idempotent answer", &sealed).map_err(|error| broken(&error))?;
            let kept: Kept = serde_json::from_slice(&plain).map_err(|error| broken(&error))?;
            let mut answer = (StatusCode::from_u16(kept.status).unwrap_or_default(), kept.body).into_response();
            answer.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
            answer.headers_mut().insert("cache-control", HeaderValue::from_static("no-store"));
            if let Ok(content_type) = HeaderValue::from_str(&kept.content_type) {
                answer.headers_mut().insert(CONTENT_TYPE, content_type);
            }
            return Ok(answer);
        }
    }
    let (parts, body) = worded(next.run(request).await).into_parts();
    let body: Bytes = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    // What failed here may succeed when it is sent again; what was refused would be refused again.
    if parts.status.is_server_error() || parts.status == StatusCode::TOO_MANY_REQUESTS {
        idempotency::forget(&cx.db, key).await?;
    } else {
        let content_type = parts.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let kept = Kept { status: parts.status.as_u16(), content_type: content_type.to_owned(), body: body.to_vec() };
        let plain = serde_json::to_vec(&kept).map_err(crate::store::Error::broken)?;
        let sealed = cx
            .keys
            .seal("idempotent answer", &plain)
            .map_err(|error| crate::store::Error::broken(error.to_string()))?;
        idempotency::finish(&cx.db, key, sealed, now + KEPT).await?;
    }
    Ok(Response::from_parts(parts, Body::from(body)))
}

/// What axum says of an address that it cannot read is no sentence of ours.
fn worded(answer: Response) -> Response {
    let is_plain = answer.headers().get(CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"text/plain"));
    match answer.status() {
        StatusCode::BAD_REQUEST if is_plain => {
            let sentence = "A part of the address or of its query is not what it should be: a number, mostly.";
            ApiError(OAuthError::invalid_request(sentence)).into_response()
        }
        _ => answer,
    }
}

fn digest(cx: &Ctx, purpose: &str, parts: &[&[u8]]) -> TokenDigest {
    let input: Vec<u8> =
        parts.iter().flat_map(|part| [&(part.len() as u64).to_be_bytes()[..], part].concat()).collect();
    TokenDigest::from_bytes(&cx.keys.derive(purpose, &input)).unwrap_or_else(|| TokenDigest::of(purpose))
}
