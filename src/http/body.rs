//! What every endpoint reads of a request: the parameters of its body, and who calls.
//!
//! The body is bounded before it is read. Parameters count in the body only: a query string ends up in logs
//! (RFC 6749 §2.3.1), so it is refused rather than ignored.

use axum::body::to_bytes;
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::header::{AUTHORIZATION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::request::Parts;
use axum::http::{HeaderMap, header::HeaderName};
use vestibule_protocol::{ClientCredentials, OAuthError, Params};

use super::respond::{ApiError, Refusal};
use crate::authenticate::{self, Accept, Identity};
use crate::context::Ctx;

/// The parameters of a body.
pub(super) struct Body(pub Params);

/// A call to an endpoint that authenticates clients.
pub(super) struct ClientCall {
    pub credentials: ClientCredentials,
    pub params: Params,
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
        let limit = cx.settings.http.max_body_bytes;
        let headers = request.headers();
        let announced =
            headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()).and_then(|text| text.parse::<u64>().ok());
        if announced.is_some_and(|length| length > limit as u64) {
            return Err(too_large(limit).into());
        }
        if headers.get(CONTENT_ENCODING).is_some_and(|encoding| !encoding.as_bytes().eq_ignore_ascii_case(b"identity"))
        {
            return Err(OAuthError::invalid_request("The body is compressed; send it as it is.").into());
        }
        let media_type = media_type(headers);
        let body = to_bytes(request.into_body(), limit).await.map_err(|error| match is_too_large(&error) {
            true => too_large(limit),
            false => OAuthError::invalid_request("The body could not be read.").with_cause(error),
        })?;
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
        let Body(params) = Body::from_request(request, cx).await?;
        let credentials = ClientCredentials::read(authorization.as_deref(), &params)?;
        Ok(Self { credentials, params })
    }
}

impl FromRequestParts<Ctx> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, cx: &Ctx) -> Result<Self, ApiError> {
        let header = single(&parts.headers, AUTHORIZATION)?;
        Ok(Self(authenticate::bearer(cx, header, Accept::Both).await?))
    }
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
