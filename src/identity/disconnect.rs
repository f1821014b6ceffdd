//! Takes accounts at a provider, or passkeys, away from a person, unless nobody could get into their account any more.

use vestibule_protocol::OAuthError;
use vestibule_protocol::seal::SealError;

use super::link::purpose_of;
use crate::context::Context;
use crate::store::association::{self, Association};
use crate::store::{passkey, recovery_code, user};

/// What came of disconnecting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disconnected {
    /// It is gone.
    Done,
    /// There is no such association, or it is somebody else's or another provider's.
    NotTheirs,
    /// Without it nobody could get into the account any more.
    LastWayIn,
}

/// The providers that people sign in with, and those that only connect accounts.
struct WaysIn {
    open: Vec<String>,
    never: Vec<String>,
}

impl WaysIn {
    fn of(cx: &Context) -> Self {
        let mut own = Self { open: Vec::new(), never: Vec::new() };
        for provider in cx.upstream.providers() {
            let names = if provider.signs_in() { &mut own.open } else { &mut own.never };
            names.push(provider.name().to_owned());
        }
        own
    }

    /// Whether somebody can sign in by one of these associations.
    fn is_any_open<'a>(&self, associations: impl IntoIterator<Item = &'a Association>) -> bool {
        associations.into_iter().any(|own| self.open.contains(&own.provider))
    }

    /// Which of a person's associations go: those of a provider, or the one with this id.
    fn choose<'a>(
        &self,
        all: &'a [Association],
        has_own_way: bool,
        provider: &str,
        id: Option<i64>,
    ) -> Result<Vec<&'a Association>, Disconnected> {
        let is_chosen = |own: &&Association| own.provider == provider && id.is_none_or(|id| own.id == id);
        let (chosen, left): (Vec<_>, Vec<_>) = all.iter().partition(is_chosen);
        if chosen.is_empty() {
            return Err(Disconnected::NotTheirs);
        }
        // A provider that is not enabled now may be again: what is left of it is no way in, what is taken of it may be one.
        let may_be_lost = !self.never.iter().any(|never| never == provider);
        let is_left = has_own_way || self.is_any_open(left);
        match may_be_lost && !is_left {
            true => Err(Disconnected::LastWayIn),
            false => Ok(chosen),
        }
    }
}

/// Whether a person can get in without any provider: by a password or a passkey.
async fn has_own_way(cx: &Context, user_id: i64) -> Result<bool, OAuthError> {
    let has_password = user::find(&cx.db, user_id).await?.is_some_and(|user| user.has_password());
    Ok(has_password || !passkey::of_user(&cx.db, user_id).await?.is_empty())
}

/// Removes a person's passkey, unless nobody could get into their account any more.
///
/// # Errors
/// What the database says.
pub async fn remove_passkey(cx: &Context, user_id: i64, id: i64) -> Result<Disconnected, OAuthError> {
    let ways_in = WaysIn::of(cx);
    let outcome = cx.db.write(move |tx| {
        Box::pin(async move {
            tx.lock(&format!("associations of {user_id}")).await?;
            let all = passkey::of_user_in(tx, user_id).await?;
            if !all.iter().any(|own| own.id == id) {
                return Ok(Disconnected::NotTheirs);
            }
            let has_password = user::find_in(tx, user_id).await?.is_some_and(|user| user.has_password());
            let associations = association::of_user_in(tx, user_id).await?;
            if all.len() == 1 && !has_password && !ways_in.is_any_open(&associations) {
                return Ok(Disconnected::LastWayIn);
            }
            passkey::delete(tx, id, user_id).await?;
            recovery_code::delete_unneeded(tx, user_id).await?;
            Ok(Disconnected::Done)
        })
    });
    Ok(outcome.await?)
}

/// The associations that [`disconnect`] would take away; `Err` of the inner result is why it would not.
///
/// # Errors
/// What the database says.
pub async fn chosen(
    cx: &Context,
    user_id: i64,
    provider: &str,
    id: Option<i64>,
) -> Result<Result<Vec<Association>, Disconnected>, OAuthError> {
    let all = association::of_user(&cx.db, user_id).await?;
    let chosen = WaysIn::of(cx).choose(&all, has_own_way(cx, user_id).await?, provider, id);
    Ok(chosen.map(|chosen| chosen.into_iter().cloned().collect()))
}

/// The ids of a person's associations that they may take away one by one.
///
/// # Errors
/// What the database says.
pub async fn may_go(cx: &Context, user_id: i64, all: &[Association]) -> Result<Vec<i64>, OAuthError> {
    let has_own_way = has_own_way(cx, user_id).await?;
    let ways_in = WaysIn::of(cx);
    let goes = |own: &&Association| ways_in.choose(all, has_own_way, &own.provider, Some(own.id)).is_ok();
    Ok(all.iter().filter(goes).map(|own| own.id).collect())
}

/// The provider's tokens that an association holds, as they were sealed.
///
/// # Errors
/// They were sealed under a key that this server does not have.
pub fn tokens(cx: &Context, association: &Association) -> Result<Option<Vec<u8>>, SealError> {
    let purpose = purpose_of(&association.provider, &association.uid);
    association.sealed_tokens.as_deref().map(|sealed| cx.keys.open(&purpose, sealed)).transpose()
}

/// Takes the accounts at a provider away from a person, or the one with this id.
///
/// # Errors
/// What the database says.
pub async fn disconnect(
    cx: &Context,
    user_id: i64,
    provider: &str,
    id: Option<i64>,
) -> Result<Disconnected, OAuthError> {
    let (provider, ways_in) = (provider.to_owned(), WaysIn::of(cx));
    let outcome = cx
        .db
        .write(move |tx| {
            Box::pin(async move {
                // Two at once must not both see the other one as the way that is left.
                tx.lock(&format!("associations of {user_id}")).await?;
                let all = association::of_user_in(tx, user_id).await?;
                let has_password = user::find_in(tx, user_id).await?.is_some_and(|user| user.has_password());
                let has_own_way = has_password || !passkey::of_user_in(tx, user_id).await?.is_empty();
                match ways_in.choose(&all, has_own_way, &provider, id) {
                    Ok(chosen) => {
                        for own in chosen {
                            association::delete(tx, own.id, user_id).await?;
                        }
                        Ok(Disconnected::Done)
                    }
                    Err(refused) => Ok(refused),
                }
            })
        })
        .await?;
    Ok(outcome)
}

#[cfg(test)]
mod tests {
    use super::{Disconnected, WaysIn};
    use crate::store::association::Association;

    fn own(id: i64, provider: &str) -> Association {
        Association {
            id,
            user_id: 1,
            provider: provider.to_owned(),
            uid: id.to_string(),
            sealed_tokens: None,
            created_at: 0,
            extra: "{}".to_owned(),
            refreshing_until: None,
            updated_at: 0,
        }
    }

    #[test]
    fn the_last_way_in_stays() {
        let ways_in = WaysIn { open: vec!["github".into(), "google".into()], never: vec!["stripe".into()] };
        let of = |all: &[Association], has_password, provider: &str, id| {
            let chosen = ways_in.choose(all, has_password, provider, id);
            chosen.map(|chosen| chosen.iter().map(|own| own.id).collect::<Vec<_>>())
        };
        let all = [own(1, "github"), own(2, "github"), own(3, "stripe"), own(4, "switched-off")];
        assert_eq!(of(&all, false, "github", Some(1)), Ok(vec![1]));
        assert_eq!(of(&all, false, "github", None), Err(Disconnected::LastWayIn));
        assert_eq!(of(&all, true, "github", None), Ok(vec![1, 2]));
        assert_eq!(of(&all, false, "github", Some(3)), Err(Disconnected::NotTheirs));
        assert_eq!(of(&all, false, "google", None), Err(Disconnected::NotTheirs));
        assert_eq!(of(&all[2..], false, "stripe", None), Ok(vec![3]), "nobody signs in with it");
        assert_eq!(of(&all[2..], false, "switched-off", None), Err(Disconnected::LastWayIn), "it may be one again");
        assert_eq!(of(&all, false, "switched-off", None), Ok(vec![4]));
    }
}
