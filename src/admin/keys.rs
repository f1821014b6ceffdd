//! Keys that sign tokens: seen, and changed before their time.

use serde_json::{Value, json};
use vestibule_protocol::OAuthError;

use super::actor::{Actor, Area};
use crate::context::Context;
use crate::signing::{self, State};
use crate::store::signing_key::StoredKey;

/// Every key that signs, will sign or is still verified with.
///
/// # Errors
/// 403 for whoever may not see them.
pub async fn list(cx: &Context, actor: &Actor) -> Result<Vec<(StoredKey, State)>, OAuthError> {
    actor.must_see(Area::Keys)?;
    signing::list(cx).await
}

/// Lets the next keys sign from now on, on every node, and publishes new next ones. What the keys before have signed counts on
/// until it ends.
///
/// # Errors
/// 403 for whoever may not change them.
pub async fn rotate(cx: &Context, actor: &Actor) -> Result<(), OAuthError> {
    actor.must_change(Area::Keys)?;
    let (now, actor) = (cx.clock.now(), actor.clone());
    signing::rotate(cx, move |signing| {
        actor.entry(now, "key.rotate", ("key", None, &signing.join(" ")), json!({ "signing": signing }))
    })
    .await
}

/// A key as it is shown to programs; its private half never is.
pub fn described(key: &StoredKey, state: State) -> Value {
    json!({
        "kid": key.kid,
        "algorithm": key.algorithm,
        "state": state.as_str(),
        "created_at": key.created_at,
        "active_at": key.active_at,
        "expires_at": key.expires_at,
    })
}
