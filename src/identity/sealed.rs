//! What waits for somebody's return, sealed as JSON: in the database, or with the browser.

use serde::Serialize;
use serde::de::DeserializeOwned;
use vestibule_protocol::{ErrorCode, OAuthError};

use crate::context::Context;

fn purpose(kind: &str) -> String {
    format!("pending {kind}")
}

/// Seals a value as one of this kind.
pub(super) fn seal(cx: &Context, kind: &str, value: &impl Serialize) -> Result<Vec<u8>, OAuthError> {
    let failed = |cause: Box<dyn std::error::Error + Send + Sync>| {
        OAuthError::new(ErrorCode::ServerError, "The server failed; its log tells why.").with_cause(cause)
    };
    let text = serde_json::to_vec(value).map_err(|error| failed(error.into()))?;
    cx.keys.seal(&purpose(kind), &text).map_err(|error| failed(error.into()))
}

/// `None` for what was sealed under a key that is gone: as if it had never been.
pub(super) fn open<T: DeserializeOwned>(cx: &Context, kind: &str, sealed: &[u8]) -> Option<T> {
    serde_json::from_slice(&cx.keys.open(&purpose(kind), sealed).ok()?).ok()
}
