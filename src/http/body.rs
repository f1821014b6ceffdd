//! What every endpoint reads of a request: the parameters of its body, and who calls.
//!
//! The body is bounded before it is read. Parameters count in the body only: a query string ends up in logs
//! (RFC 6749 §2.3.1), so it is refused rather than ignored.

use axum::body::{Bytes, to_bytes};
use axum::extract::{FromRequest, FromRequestParts, OriginalUri, Request};
use axum::http::header::{ACCEPT, AUTHORIZATION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::request::Parts;
use axum::http::{HeaderMap, header::HeaderName};
use base64::Engine as _;
use vestibule_protocol::{ClientCredentials, ErrorCode, OAuthError, Params};

use super::cors::CalledBy;
use super::respond::{ApiError, Refusal};
use super::visitor::address;
use crate::authenticate::{self, Accept, Identity};
use crate::context::{Context, Ctx};
use crate::sender::{Certificate, Presented};

/// The parameters of a body.
pub(super) struct Body(pub Params);

/// A call to an endpoint that authenticates clients.
pub(super) struct ClientCall {
    pub credentials: ClientCredentials,
    pub params: Params,
    /// Keys that came along.
    pub presented: Presented,
    accept: String,
}

impl ClientCall {
    /// Whether `Accept` names this media type.
    pub fn wants(&self, media_type: &str) -> bool {
        self.accept.split(',').any(|range| range.split(';').next().unwrap_or_default().trim() == media_type)
    }
}

/// Who makes a request, by its Bearer header.
pub(super) struct Caller(pub Identity);

impl FromRequest<Ctx> for Body {
    type Rejection = Refusal;

    async fn from_request(request: Request, cx: &Ctx) -> Result<Self, Refusal> {
        if request.uri().query().is_some_and(|query| !query.is_empty()) {
            let sentence = "Parameters are taken from the body only; send none in the query string.";
            return Err(OAuthError::invalid_request(sentence).into());
        }
        let (parts, body) = request.into_parts();
        let media_type = media_type(&parts.headers);
        let body = bounded(cx, &parts.headers, body).await?;
        match media_type.as_str() {
            "application/json" => Ok(Self(Params::from_json(&body)?)),
            "application/x-www-form-urlencoded" => Ok(Self(Params::from_form(&body)?)),
            _ if body.is_empty() => Ok(Self(Params::default())),
            _ => {
                let sentence = "Send the body as application/x-www-form-urlencoded or application/json, and say so in Content-Type.";
                Err(OAuthError::invalid_request(sentence).into())
            }
        }
    }
}

impl FromRequest<Ctx> for ClientCall {
    type Rejection = Refusal;

    async fn from_request(request: Request, cx: &Ctx) -> Result<Self, Refusal> {
        let authorization = single(request.headers(), AUTHORIZATION)?.map(<[u8]>::to_vec);
        let (mut parts, body) = request.into_parts();
        let presented = presented(cx, &mut parts)?;
        let called_by = parts.extensions.get::<CalledBy>().cloned();
        let accept = parts.headers.get(ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
        let Body(params) = Body::from_request(Request::from_parts(parts, body), cx).await?;
        let credentials = ClientCredentials::read(authorization.as_deref(), &params)?;
        if let Some(called_by) = called_by {
            called_by.note(&credentials.client_id);
        }
        Ok(Self { credentials, params, presented, accept })
    }
}

impl FromRequestParts<Ctx> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, cx: &Ctx) -> Result<Self, ApiError> {
        let presented = presented_at_api(cx, parts)?;
        let header = single(&parts.headers, AUTHORIZATION)?;
        let identity = authenticate::bearer(cx, header, &presented, Accept::Both).await?;
        if let (Some(called_by), Some(client_id)) = (parts.extensions.get::<CalledBy>(), identity.client_id()) {
            called_by.note(client_id);
        }
        Ok(Self(identity))
    }
}

const DPOP: HeaderName = HeaderName::from_static("dpop");

/// As [`presented`], for a request to an API. Most bring nothing along, and are spared the rest.
pub(super) fn presented_at_api(cx: &Context, parts: &mut Parts) -> Result<Presented, OAuthError> {
    let certificates = &cx.settings.mutual_tls;
    let has_none = !parts.headers.contains_key(DPOP)
        && certificates.certificate_header.is_none()
        && certificates.subject_header.is_none();
    if has_none { Ok(Presented::default()) } else { presented(cx, parts) }
}

/// The keys that a request brings along, and the address for which a proof must be made.
pub(super) fn presented(cx: &Context, parts: &mut Parts) -> Result<Presented, OAuthError> {
    let headers = &parts.headers;
    let proof = match single(headers, DPOP) {
        Ok(proof) => proof.map(|proof| String::from_utf8_lossy(proof).into_owned()),
        // RFC 9449 §4.3: not more than one.
        Err(_) => {
            let sentence = "There are two `DPoP` headers; send one proof.";
            return Err(OAuthError::new(ErrorCode::InvalidDpopProof, sentence));
        }
    };
    Ok(Presented {
        proof,
        certificate: certificate(cx, headers),
        method: parts.method.as_str().to_owned(),
        // As the client wrote it, also where a router is nested in another.
        url: format!(
            "{}{}",
            cx.settings.public_url(),
            parts.extensions.get::<OriginalUri>().map_or(&parts.uri, |OriginalUri(uri)| uri).path()
        ),
        address: address(cx, parts),
    })
}

/// The client's certificate in the headers that a proxy sets, where the operator has said so (RFC 8705 §6.5).
fn certificate(cx: &Context, headers: &HeaderMap) -> Option<Certificate> {
    let header = |name: &Option<String>| {
        let value = headers.get(name.as_deref()?)?.to_str().ok()?;
        Some(value.trim().to_owned()).filter(|value| !value.is_empty())
    };
    let subject = header(&cx.settings.mutual_tls.subject_header);
    let der = header(&cx.settings.mutual_tls.certificate_header).and_then(|text| der(&text)).unwrap_or_default();
    (subject.is_some() || !der.is_empty()).then_some(Certificate { der, subject })
}

/// PEM, percent-encoded as nginx writes it or on one line, or the base64 of RFC 9440 between colons.
fn der(text: &str) -> Option<Vec<u8>> {
    let text = percent_encoding::percent_decode_str(text).decode_utf8().ok()?;
    let inner = match text.split_once("-----BEGIN CERTIFICATE-----") {
        Some((_, rest)) => rest.split_once("-----END CERTIFICATE-----")?.0,
        None => text.trim_matches(':'),
    };
    let compact: String = inner.chars().filter(|c| !c.is_whitespace()).collect();
    base64::engine::general_purpose::STANDARD.decode(compact).ok().filter(|der| !der.is_empty())
}

/// A whole body, within the limit, as it was sent.
pub(super) async fn bounded(cx: &Context, headers: &HeaderMap, body: axum::body::Body) -> Result<Bytes, OAuthError> {
    let limit = cx.settings.http.max_body_bytes;
    let announced =
        headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()).and_then(|text| text.parse::<u64>().ok());
    if announced.is_some_and(|length| length > limit as u64) {
        return Err(too_large(limit));
    }
    if headers.get(CONTENT_ENCODING).is_some_and(|encoding| !encoding.as_bytes().eq_ignore_ascii_case(b"identity")) {
        return Err(OAuthError::invalid_request("The body is compressed; send it as it is."));
    }
    to_bytes(body, limit).await.map_err(|error| match is_too_large(&error) {
        true => too_large(limit),
        false => OAuthError::invalid_request("The body could not be read.").with_cause(error),
    })
}

/// A header's value, which must not be there twice.
pub(super) fn single(headers: &HeaderMap, name: HeaderName) -> Result<Option<&[u8]>, OAuthError> {
    let mut values = headers.get_all(&name).iter();
    match (values.next(), values.next()) {
        (_, Some(_)) => Err(OAuthError::invalid_request(format!("There are two `{name}` headers."))),
        (value, None) => Ok(value.map(|value| value.as_bytes())),
    }
}

fn media_type(headers: &HeaderMap) -> String {
    let text = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    text.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

fn too_large(limit: usize) -> OAuthError {
    OAuthError::invalid_request(format!("The body is larger than {limit} bytes.")).with_status(413)
}

fn is_too_large(error: &axum::Error) -> bool {
    let mut source = std::error::Error::source(error);
    while let Some(error) = source {
        if error.is::<http_body_util::LengthLimitError>() {
            return true;
        }
        source = error.source();
    }
    false
}
