//! Where a provider's word becomes one of our people: what the operator's hooks are asked, the decision, and what they are
//! told of it. Every way in by a provider goes through here.
//!
//! Not here: whether the provider's word is good (`upstream`), the decision itself (`identity::link`).

use vestibule_protocol::{OAuthError, Profile, Reason};

use crate::context::Context;
use crate::hooks::{self, EventData, EventKind, Person};
use crate::identity::disconnect::{self, Disconnected};
use crate::identity::link::{self, Arrival, Arrived, Linked};
use crate::identity::waiting::{self, Waiting};
use crate::store::association::{self, Association};
use crate::store::user::{self, User};
use crate::upstream::{Identified, Provider};

/// The person of this account at a provider, made if it is nobody yet.
///
/// # Errors
/// What the hooks and [`link::sign_in`] say.
pub async fn sign_in(cx: &Context, provider: &Provider, identified: &Identified) -> Result<Linked, OAuthError> {
    must_sign_in(provider)?;
    let profile = hooks::ask(cx, provider.name(), &identified.profile, None).await?;
    link_and_tell(cx, provider, &profile, identified).await
}

/// As [`sign_in`], in a browser, whose person can be asked for what is missing: then `identified` is as the hooks want it.
///
/// # Errors
/// What the hooks and [`link::arrive`] say.
pub async fn arrive(cx: &Context, provider: &Provider, identified: &mut Identified) -> Result<Arrived, OAuthError> {
    must_sign_in(provider)?;
    identified.profile = hooks::ask(cx, provider.name(), &identified.profile, None).await?;
    let tokens = identified.tokens.to_json();
    let arrived = link::arrive(cx, &arrival(provider, &identified.profile, &tokens)).await?;
    if let Arrived::In(linked) = &arrived {
        tell(cx, provider.name(), &identified.profile.uid, linked, true).await;
    }
    Ok(arrived)
}

/// As [`sign_in`], for somebody who comes with the provider's token at every request.
///
/// # Errors
/// As [`sign_in`].
pub async fn pass(cx: &Context, provider: &Provider, token: &str, identified: &Identified) -> Result<User, OAuthError> {
    must_sign_in(provider)?;
    let profile = hooks::ask_remembered(cx, provider.name(), token, &identified.profile).await?;
    // Looked up at every request: whoever was deactivated or disconnected since the provider was asked is out.
    match association::find(&cx.db, provider.name(), &profile.uid).await? {
        Some(found) if link::may_come_in(&profile, &provider.policy, &found) => Ok(found.1),
        _ => Ok(link_and_tell(cx, provider, &profile, identified).await?.user),
    }
}

/// Connects an account at a provider to a person who is signed in.
///
/// # Errors
/// What the hooks and [`link::connect`] say.
pub async fn connect(
    cx: &Context,
    provider: &Provider,
    identified: &Identified,
    user: &User,
) -> Result<Linked, OAuthError> {
    let profile = hooks::ask(cx, provider.name(), &identified.profile, Some(user)).await?;
    let tokens = identified.tokens.to_json();
    let linked = link::connect(cx, &arrival(provider, &profile, &tokens), user).await?;
    tell(cx, provider.name(), &profile.uid, &linked, false).await;
    Ok(linked)
}

/// Takes the accounts at a provider away from a person, or the one with this id.
///
/// # Errors
/// What [`disconnect::disconnect`] says.
pub async fn disconnect(
    cx: &Context,
    user_id: i64,
    backend: &str,
    id: Option<i64>,
) -> Result<Disconnected, OAuthError> {
    let before = disconnect::chosen(cx, user_id, backend, id).await?.unwrap_or_default();
    let done = disconnect::disconnect(cx, user_id, backend, id).await?;
    if done == Disconnected::Done
        && let Some(user) = user::find(&cx.db, user_id).await?
    {
        for association in before {
            tell_disconnected(cx, &user, association).await;
        }
    }
    Ok(done)
}

/// Tells hooks that an association is gone.
pub async fn tell_disconnected(cx: &Context, user: &User, association: Association) {
    let data = EventData {
        user: Person::from(user),
        backend: association.provider,
        uid: Some(association.uid),
        association_id: association.id,
    };
    hooks::tell(cx, &[EventKind::AssociationDeleted], data).await;
}

/// Ends the waiting of a sign-in whose address is proven. The hooks are asked again: now there is an address.
///
/// # Errors
/// What the hooks and [`waiting::finish`] say.
pub async fn finish(
    cx: &Context,
    provider: &Provider,
    secret: &str,
    waiting: &Waiting,
) -> Result<Option<(Linked, Waiting)>, OAuthError> {
    let mut profile = waiting.profile.clone();
    if let Some(email) = waiting.asked_email() {
        profile.email = Some(email.to_owned());
        profile.email_verified = true;
        // Of the form that asks for nothing else, the address is the identifier.
        if profile.uid.is_empty() {
            profile.uid = user::email_key(email);
        }
    }
    let judged = hooks::ask(cx, provider.name(), &profile, None).await?;
    let uid = judged.uid.clone();
    let finished = waiting::finish(cx, secret, &provider.policy, profile.email.as_deref(), judged).await?;
    if let Some((linked, _)) = &finished {
        tell(cx, provider.name(), &uid, linked, true).await;
    }
    Ok(finished)
}

fn must_sign_in(provider: &Provider) -> Result<(), OAuthError> {
    if provider.entry.connect_only {
        let sentence = format!("{} only connects accounts; nobody signs in with it.", provider.title());
        return Err(OAuthError::invalid_grant(sentence).with_reason(Reason::PersonNotAllowed));
    }
    Ok(())
}

fn arrival<'a>(provider: &'a Provider, profile: &'a Profile, tokens: &'a [u8]) -> Arrival<'a> {
    Arrival { provider: provider.name(), profile, policy: &provider.policy, tokens, proven_email: None }
}

async fn link_and_tell(
    cx: &Context,
    provider: &Provider,
    profile: &Profile,
    identified: &Identified,
) -> Result<Linked, OAuthError> {
    let tokens = identified.tokens.to_json();
    let linked = link::sign_in(cx, &arrival(provider, profile, &tokens)).await?;
    tell(cx, provider.name(), &profile.uid, &linked, true).await;
    Ok(linked)
}

async fn tell(cx: &Context, backend: &str, uid: &str, linked: &Linked, signed_in: bool) {
    let kinds = [
        (linked.is_new, EventKind::UserCreated),
        (linked.is_new_association, EventKind::AssociationCreated),
        (signed_in, EventKind::SignedIn),
    ];
    let kinds: Vec<_> = kinds.into_iter().filter(|(has, _)| *has).map(|(_, kind)| kind).collect();
    let data = EventData {
        user: Person::from(&linked.user),
        backend: backend.to_owned(),
        uid: Some(uid.to_owned()),
        association_id: linked.association_id,
    };
    hooks::tell(cx, &kinds, data).await;
}
