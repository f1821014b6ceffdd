//! Accounts at providers: seen, and taken away from their people.

use serde_json::{Map, Value, json};
use vestibule_protocol::OAuthError;

use super::actor::{Actor, Area};
use super::{must_be_over, not_found};
use crate::context::{Context, Ctx};
use crate::entrance;
use crate::store::association::{self, Association};
use crate::store::audit;
use crate::store::user::User;

/// An association by its number, and whose it is.
///
/// # Errors
/// 404 where there is none, 403 for whoever may not see it.
pub async fn find(cx: &Context, actor: &Actor, id: i64) -> Result<(Association, User), OAuthError> {
    actor.must_see(Area::Associations)?;
    association::find_by_id(&cx.db, id).await?.ok_or_else(gone)
}

/// As [`find`], for whoever may take it away.
///
/// # Errors
/// 404 where there is none, 403 for whoever may not.
pub async fn find_to_disconnect(cx: &Context, actor: &Actor, id: i64) -> Result<(Association, User), OAuthError> {
    actor.must_change(Area::Associations)?;
    let found = association::find_by_id(&cx.db, id).await?.ok_or_else(gone)?;
    must_be_over(actor, &found.1)?;
    Ok(found)
}

/// What is kept of the provider's answer, without what could be a secret: tokens are sealed elsewhere, but an operator may have
/// chosen to keep anything.
pub fn extra(association: &Association) -> Map<String, Value> {
    const SECRET: [&str; 4] = ["token", "secret", "password", "assertion"];
    let all: Map<String, Value> = serde_json::from_str(&association.extra).unwrap_or_default();
    all.into_iter().filter(|(name, _)| !SECRET.iter().any(|word| name.to_lowercase().contains(word))).collect()
}

/// Takes an account away from its person, also where it is their last way in: whoever asks was told. The caller has told the
/// provider, where the operator wants that.
///
/// # Errors
/// 403, 404.
pub async fn disconnect(cx: &Ctx, actor: &Actor, id: i64) -> Result<(), OAuthError> {
    actor.must_change(Area::Associations)?;
    let (now, actor) = (cx.clock.now(), actor.clone());
    let gone_now = cx.db.write(move |tx| {
        Box::pin(async move {
            let Some((own, user)) = association::find_by_id_in(tx, id).await? else { return Ok(Err(gone())) };
            if let Err(refused) = must_be_over(&actor, &user) {
                return Ok(Err(refused));
            }
            association::delete(tx, own.id, user.id).await?;
            let detail = json!({ "provider": own.provider, "uid": own.uid });
            let target = ("user", Some(user.id), user.username.as_str());
            audit::note(tx, actor.entry(now, "association.delete", target, detail)).await?;
            Ok(Ok((own, user)))
        })
    });
    let (own, user) = gone_now.await??;
    entrance::disconnected(cx, &user, own).await;
    Ok(())
}

fn gone() -> OAuthError {
    not_found("There is no such association.")
}
