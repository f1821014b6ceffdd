//! An answer that a provider posted and that is too long for a query: it waits sealed for the GET of our own that follows,
//! which brings the cookies that a post from another site does not.

use vestibule_protocol::jwt::encode_part;
use vestibule_protocol::{ErrorCode, OAuthError, Params, TokenDigest};

use crate::context::{Context, random};
use crate::store::pending;

/// How long it waits, in seconds: as long as a browser takes for a redirect.
const PATIENCE: i64 = 60;
/// The longest answer, in bytes: SAML's have signatures and certificates in them.
const LONGEST: usize = 256 * 1024;
const KIND: &str = "posted answer";

/// Keeps an answer, as a form; gives the handle under which it is had once.
///
/// # Errors
/// It is too long, or what the database says.
pub(super) async fn keep(cx: &Context, form: &str) -> Result<String, OAuthError> {
    if form.len() > LONGEST {
        return Err(OAuthError::invalid_request("This answer of the provider is too long."));
    }
    let handle = encode_part(&random::<32>());
    let sealed = cx.keys.seal(KIND, form.as_bytes()).map_err(|error| {
        OAuthError::new(ErrorCode::ServerError, "The server failed; its log tells why.").with_cause(error)
    })?;
    pending::insert(&cx.db, TokenDigest::of(&handle), KIND, sealed, cx.clock.now() + PATIENCE).await?;
    Ok(handle)
}

/// The answer of a handle, once. `None`: unknown, had before, or too late.
///
/// # Errors
/// What the database says.
pub(super) async fn take(cx: &Context, handle: &str) -> Result<Option<Params>, OAuthError> {
    let sealed = pending::take(&cx.db, TokenDigest::of(handle), KIND, cx.clock.now()).await?;
    let opened = sealed.and_then(|sealed| cx.keys.open(KIND, &sealed).ok());
    opened.map(|form| Params::from_form(&form)).transpose()
}
