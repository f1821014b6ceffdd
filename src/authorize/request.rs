//! Where an authorization request comes from: the address, a form, a signed object (RFC 9101), a push before (RFC 9126), or
//! the sealed form in which it waited for the person.

use std::borrow::Cow;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use vestibule_protocol::{ErrorCode, OAuthError, Params, PlainToken, TokenDigest, TokenKind};

use super::destination::{destination_of, named_client};
use super::request_object;
use crate::context::{Context, random};
use crate::store::application::Application;
use crate::store::pushed_request;

/// How long a request waits for the person, in seconds.
const WAITS: i64 = 3_600;

/// What stands before the name of a pushed request (RFC 9126 §2.2).
const REQUEST_URI_PREFIX: &str = "urn:ietf:params:oauth:request_uri:";

const SEALED_FOR: &str = "authorization request";
const PUSHED_FOR: &str = "pushed request";

/// A request with what is known of its way here.
#[derive(Clone, Debug)]
pub struct ResumedRequest {
    /// What it says.
    pub params: Params,
    /// When it was judged first, in seconds since 1970; `None`: it is now.
    pub started_at: Option<i64>,
    /// Whether it was pushed.
    pub is_pushed: bool,
    /// Whether the client signed it.
    pub is_signed: bool,
    /// Whether the person has chosen to go on as who they are (`prompt=select_account`).
    pub is_account_chosen: bool,
    /// The key of the proof that came with the push.
    pub dpop_jkt: Option<String>,
    /// What was wrong with its signed object: told where the answer goes.
    pub refusal: Option<ToldError>,
}

/// An error that can wait.
#[derive(Clone, Debug)]
pub struct ToldError {
    code: ErrorCode,
    description: Cow<'static, str>,
}

impl ToldError {
    pub(super) fn to_error(&self) -> OAuthError {
        OAuthError::new(self.code, self.description.clone())
    }
}

impl From<OAuthError> for ToldError {
    fn from(error: OAuthError) -> Self {
        Self { code: error.code, description: error.description }
    }
}

/// The form that is sealed.
#[derive(Serialize, Deserialize)]
struct Kept {
    params: Vec<(String, String)>,
    started_at: Option<i64>,
    sealed_at: i64,
    is_pushed: bool,
    is_signed: bool,
    is_account_chosen: bool,
    dpop_jkt: Option<String>,
}

impl ResumedRequest {
    /// A request that comes as it is.
    pub fn plain(params: Params) -> Self {
        Self {
            params,
            started_at: None,
            is_pushed: false,
            is_signed: false,
            is_account_chosen: false,
            dpop_jkt: None,
            refusal: None,
        }
    }

    fn kept(&self, started_at: Option<i64>, sealed_at: i64) -> Kept {
        let params = self.params.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        Kept {
            params,
            started_at,
            sealed_at,
            is_pushed: self.is_pushed,
            is_signed: self.is_signed,
            is_account_chosen: self.is_account_chosen,
            dpop_jkt: self.dpop_jkt.clone(),
        }
    }

    fn from_kept(kept: Kept) -> Result<Self, OAuthError> {
        Ok(Self {
            params: Params::from_pairs(kept.params)?,
            started_at: kept.started_at,
            is_pushed: kept.is_pushed,
            is_signed: kept.is_signed,
            is_account_chosen: kept.is_account_chosen,
            dpop_jkt: kept.dpop_jkt,
            refusal: None,
        })
    }

    /// The request as it travels with the browser while the person signs in or agrees.
    ///
    /// # Errors
    /// `server_error` where sealing fails.
    pub fn seal(&self, cx: &Context) -> Result<String, OAuthError> {
        let now = cx.clock.now();
        self.sealed(cx, self.started_at.or(Some(now)), now)
    }

    /// As [`ResumedRequest::seal`], of a request that has not been judged yet.
    ///
    /// # Errors
    /// As there.
    pub fn seal_unjudged(&self, cx: &Context) -> Result<String, OAuthError> {
        self.sealed(cx, self.started_at, cx.clock.now())
    }

    fn sealed(&self, cx: &Context, started_at: Option<i64>, now: i64) -> Result<String, OAuthError> {
        let text = serde_json::to_vec(&self.kept(started_at, now)).map_err(server_error)?;
        Ok(URL_SAFE_NO_PAD.encode(cx.keys.seal(SEALED_FOR, &text).map_err(server_error)?))
    }

    /// Opens what [`ResumedRequest::seal`] made.
    ///
    /// # Errors
    /// `invalid_request` for what it did not make, or made more than an hour ago.
    pub fn open(cx: &Context, sealed: &str) -> Result<Self, OAuthError> {
        let old = || {
            OAuthError::invalid_request("This sign-in has waited too long; go back to the application and begin again.")
        };
        let bytes = URL_SAFE_NO_PAD.decode(sealed).map_err(|_| old())?;
        let kept: Kept =
            serde_json::from_slice(&cx.keys.open(SEALED_FOR, &bytes).map_err(|_| old())?).map_err(|_| old())?;
        if kept.sealed_at + WAITS < cx.clock.now() {
            return Err(old());
        }
        Self::from_kept(kept)
    }
}

fn server_error(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> OAuthError {
    OAuthError::new(ErrorCode::ServerError, "The server failed; its log tells why.").with_cause(cause)
}

/// Reads a request as it comes: `resume`, a pushed one, a signed object, or plain parameters.
///
/// # Errors
/// For a page of our own: a request that is unknown, used, expired or another client's.
pub async fn read(cx: &Context, params: Params) -> Result<ResumedRequest, OAuthError> {
    if let Some(sealed) = params.get("resume") {
        return ResumedRequest::open(cx, sealed);
    }
    let Some(name) = params.get("request_uri").and_then(|uri| uri.strip_prefix(REQUEST_URI_PREFIX)) else {
        return Ok(with_object(cx, params).await);
    };
    let gone = || {
        let sentence = "This `request_uri` is unknown, used, expired, or another client's; push the request again.";
        OAuthError::new(ErrorCode::InvalidRequestUri, sentence)
    };
    let application = named_client(cx, &params).await?;
    let digest = TokenDigest::of_presented(TokenKind::RequestUri, name).ok_or_else(gone)?;
    let sealed = pushed_request::take(&cx.db, digest, application.id, cx.clock.now()).await?.ok_or_else(gone)?;
    let kept: Kept =
        serde_json::from_slice(&cx.keys.open(PUSHED_FOR, &sealed).map_err(server_error)?).map_err(server_error)?;
    ResumedRequest::from_kept(kept)
}

/// The parameters of the signed object in place of those around it (RFC 9101 §6.3). What is wrong with it is told where
/// the answer goes, if that is known.
async fn with_object(cx: &Context, params: Params) -> ResumedRequest {
    let refuse = |params: Params, error: OAuthError| ResumedRequest {
        refusal: Some(error.into()),
        ..ResumedRequest::plain(params)
    };
    if params.get("request_uri").is_some() {
        let sentence = "A `request_uri` is taken only from a pushed request (RFC 9126).";
        return refuse(params, OAuthError::new(ErrorCode::RequestUriNotSupported, sentence));
    }
    if params.get("request").is_none() {
        return ResumedRequest::plain(params);
    }
    match request_object::read(cx, &params).await {
        Ok(inner) => ResumedRequest { is_signed: true, ..ResumedRequest::plain(inner) },
        Err(error) => refuse(params, error),
    }
}

/// Takes a request that a client pushes, after judging all of it that can be judged now (RFC 9126 §2.1). Gives its name and
/// the seconds that it counts.
///
/// # Errors
/// 400 with the word that the authorize endpoint would use.
pub async fn push(
    cx: &Context,
    application: &Arc<Application>,
    params: Params,
    dpop_jkt: Option<String>,
) -> Result<(String, i64), OAuthError> {
    if params.get("request_uri").is_some() {
        return Err(OAuthError::invalid_request("A pushed request has no `request_uri` of its own (RFC 9126 §2.1)."));
    }
    // How the client proved who it is belongs to this call, not to the request.
    let own = params
        .iter()
        .filter(|(name, _)| !["client_secret", "client_assertion", "client_assertion_type"].contains(name));
    let mut pairs: Vec<(String, String)> = own.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    if params.get("client_id").is_none() {
        pairs.push(("client_id".to_owned(), application.client_id.clone()));
    }
    let mut request = with_object(cx, Params::from_pairs(pairs)?).await;
    if let Some(error) = request.refusal.take() {
        return Err(error.to_error());
    }
    if request.params.get("client_id") != Some(&application.client_id) {
        return Err(OAuthError::invalid_request("The request is another client's than the one that pushes it."));
    }
    if let (Some(named), Some(proved)) = (request.params.get("dpop_jkt"), &dpop_jkt)
        && named != proved
    {
        return Err(OAuthError::new(ErrorCode::InvalidDpopProof, "`dpop_jkt` is not the key of the DPoP proof."));
    }
    request.is_pushed = true;
    request.dpop_jkt = dpop_jkt;
    let (_, destination) = destination_of(cx, &request.params).await?;
    super::examine(cx, &request, application.clone(), destination).await?;
    let now = cx.clock.now();
    let ttl = i64::try_from(cx.settings.authorization.pushed_request_ttl.as_secs()).unwrap_or(90);
    let text = serde_json::to_vec(&request.kept(None, now)).map_err(server_error)?;
    let sealed = cx.keys.seal(PUSHED_FOR, &text).map_err(server_error)?;
    let name = PlainToken::new(TokenKind::RequestUri, &random());
    pushed_request::insert(&cx.db, name.digest(), application.id, sealed, now + ttl).await?;
    Ok((format!("{REQUEST_URI_PREFIX}{}", name.reveal()), ttl))
}
