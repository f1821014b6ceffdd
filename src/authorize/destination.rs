//! Who asks, and where the answer goes: what must be beyond doubt before a client is told anything (RFC 9700 §4.1).

use std::sync::Arc;

use vestibule_protocol::authorization::{ResponseMode, ResponseType};
use vestibule_protocol::{OAuthError, Params, redirect_uri};

use crate::client;
use crate::context::Context;
use crate::registration;
use crate::store::application::Application;

/// Where an answer goes: beyond doubt.
#[derive(Clone)]
pub(super) struct Destination {
    pub redirect_uri: String,
    pub mode: ResponseMode,
    pub state: Option<String>,
}

/// The application that a request names.
///
/// # Errors
/// 400 for a page of our own.
pub(super) async fn named_client(cx: &Context, params: &Params) -> Result<Arc<Application>, OAuthError> {
    let client_id = params.required("client_id")?;
    let found = match registration::document::is_document_url(cx, client_id) {
        true => Some(registration::document::client(cx, client_id).await?),
        false => client::find(cx, client_id).await?,
    };
    found.filter(|application| application.is_active).ok_or_else(|| {
        OAuthError::invalid_request("No application has this `client_id`, or it is disabled.").with_field("client_id")
    })
}

/// Where the answer to a request goes, beyond doubt.
///
/// # Errors
/// For a page of our own: an unknown client, or a redirect URI that is not its own.
pub(super) async fn destination_of(
    cx: &Context,
    params: &Params,
) -> Result<(Arc<Application>, Destination), OAuthError> {
    let application = named_client(cx, params).await?;
    let wildcards = cx.settings.authorization.allow_uri_wildcards;
    let is_openid = params.get("scope").is_some_and(|scope| scope.split(' ').any(|word| word == "openid"));
    let uri = match (params.get("redirect_uri"), application.redirect_uris.as_slice()) {
        (Some(uri), registered) if redirect_uri::is_registered(registered, uri, wildcards) => uri.to_owned(),
        (Some(_), _) => {
            let sentence =
                "This `redirect_uri` is not one that the application has registered. It is compared letter by letter.";
            return Err(OAuthError::invalid_request(sentence).with_field("redirect_uri"));
        }
        (None, [only]) if !is_openid && !only.contains('*') => only.clone(),
        (None, _) => return Err(OAuthError::missing("redirect_uri")),
    };
    let response_type = params.get("response_type").and_then(|text| text.parse::<ResponseType>().ok());
    // An unknown mode is told by the response type's own.
    let mode = ResponseMode::read(params.get("response_mode"), response_type)
        .or_else(|_| ResponseMode::read(None, response_type))?;
    let state = params.get("state").map(str::to_owned);
    Ok((application, Destination { redirect_uri: uri, mode, state }))
}
