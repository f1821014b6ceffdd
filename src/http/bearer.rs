//! For an API that embeds this crate: the layer that authenticates, and what a handler asks for.
//!
//! The layer is Django REST Framework's authentication class: a request with no credentials goes through as nobody's, one
//! with bad ones is 401. The extractor is the permission: [`CurrentUser`] refuses nobody's request.

use std::ops::Deref;
use std::task::{Context, Poll};

use axum::extract::{FromRequestParts, Request};
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use tower::{Layer, Service};
use vestibule_protocol::{ErrorCode, OAuthError, Scope};

use super::body::{presented_at_api, single};
use super::respond::{ApiError, name_metadata};
use crate::authenticate::{self, Accept, Identity};
use crate::context::Ctx;
use crate::store::BoxFuture;
use crate::store::user::User;

/// Authenticates requests by `Authorization: Bearer`, for all routes of a router or for one.
#[derive(Clone)]
pub struct AuthenticateLayer {
    cx: Ctx,
    accept: Accept,
}

impl AuthenticateLayer {
    pub(crate) fn new(cx: Ctx) -> Self {
        Self { cx, accept: Accept::Both }
    }

    /// Takes our own tokens only.
    #[must_use]
    pub fn own_tokens_only(self) -> Self {
        Self { accept: Accept::OwnTokens, ..self }
    }

    /// Takes the providers' tokens only.
    #[must_use]
    pub fn provider_tokens_only(self) -> Self {
        Self { accept: Accept::ProviderTokens, ..self }
    }
}

impl<S> Layer<S> for AuthenticateLayer {
    type Service = Authenticate<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Authenticate { inner, layer: self.clone() }
    }
}

/// What [`AuthenticateLayer`] makes of a service.
#[derive(Clone)]
pub struct Authenticate<S> {
    inner: S,
    layer: AuthenticateLayer,
}

impl<S> Service<Request> for Authenticate<S>
where
    S: Service<Request, Response = Response> + Clone + Send + 'static,
    S::Future: Send,
{
    type Response = Response;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<Response, S::Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let fresh = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, fresh); // the one that is ready
        let AuthenticateLayer { cx, accept } = self.layer.clone();
        Box::pin(async move {
            let (mut parts, body) = request.into_parts();
            match identify(&cx, &mut parts, accept).await {
                Ok(Some(identity)) => drop(parts.extensions.insert(identity)),
                Ok(None) => {}
                Err(error) => {
                    let mut response = ApiError(error).into_response();
                    name_metadata(&cx, &mut response);
                    return Ok(response);
                }
            }
            let mut response = inner.call(Request::from_parts(parts, body)).await?;
            name_metadata(&cx, &mut response);
            Ok(response)
        })
    }
}

async fn identify(cx: &Ctx, parts: &mut Parts, accept: Accept) -> Result<Option<Identity>, OAuthError> {
    let Some(header) = single(&parts.headers, AUTHORIZATION)?.map(<[u8]>::to_vec) else { return Ok(None) };
    let presented = presented_at_api(cx, parts)?;
    let identity = authenticate::bearer(cx, Some(&header), &presented, accept).await?;
    identity.must_be_for(&cx.settings, None)?;
    Ok(Some(identity))
}

/// The person who makes a request, in a handler below [`AuthenticateLayer`]. Reads as a [`User`].
///
/// Refuses with 401 a request of nobody's, and with 403 one of an application that speaks for itself.
#[derive(Clone, Debug)]
pub struct CurrentUser {
    identity: Identity,
    user: User,
}

impl CurrentUser {
    /// What the request may do.
    pub fn scope(&self) -> &Scope {
        self.identity.scope()
    }

    /// How the request was authenticated.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Goes on only if the token carries every scope in `needed`, words between blanks.
    ///
    /// # Errors
    /// 403 `insufficient_scope` (RFC 6750 §3.1).
    pub fn require_scope(&self, needed: &str) -> Result<(), ApiError> {
        require_scope(self.scope(), needed).map_err(ApiError)
    }
}

/// Whether a scope has every word of `needed`.
pub(super) fn require_scope(scope: &Scope, needed: &str) -> Result<(), OAuthError> {
    match Scope::from_stored(needed).is_within(scope) {
        true => Ok(()),
        false => {
            Err(OAuthError::new(ErrorCode::InsufficientScope, "The token does not carry the scope that this needs."))
        }
    }
}

impl Deref for CurrentUser {
    type Target = User;

    fn deref(&self) -> &User {
        &self.user
    }
}

impl<S: Sync> FromRequestParts<S> for CurrentUser {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, ApiError> {
        let identity = parts.extensions.get::<Identity>().cloned().ok_or_else(|| {
            ApiError(OAuthError::invalid_request(vestibule_protocol::BearerError::Missing.to_string()).with_status(401))
        })?;
        let user = person(&identity)?.clone();
        Ok(Self { identity, user })
    }
}

/// The person of a request that must have one.
///
/// # Errors
/// 403 for an application that speaks for itself.
pub(super) fn person(identity: &Identity) -> Result<&User, OAuthError> {
    identity.user().ok_or_else(|| {
        OAuthError::new(ErrorCode::InsufficientScope, "This token speaks for an application, not for a person.")
    })
}
