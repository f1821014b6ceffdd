//! Where a provider's word becomes one of our people: what the operator's hooks are asked, the decision, and what they are
//! told of it. Every way in by a provider goes through here.
//!
//! Not here: whether the provider's word is good (`upstream`), the decision itself (`identity::link`).

use vestibule_protocol::{OAuthError, Profile, Reason};

use crate::context::Context;
use crate::hooks::{self, EventData, EventKind, Person};
use crate::identity::disconnect::{self, Disconnected};
use crate::identity::link::{self, Arrival, Arrived, Linked};
use crate::identity::sign_up::{self, Created, SignUp};
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
            disconnected(cx, &user, association).await;
        }
    }
    Ok(done)
}

/// Tells the hooks that an account at a provider was taken away from this person.
pub async fn disconnected(cx: &Context, user: &User, association: Association) {
    let data = EventData {
        user: Person::from(user),
        backend: association.provider,
        uid: Some(association.uid),
        association_id: Some(association.id),
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

/// Makes the account of somebody who has signed up here and proven their address. The hooks are asked as for a first sign-in
/// by a provider; the backend is this server's own.
///
/// # Errors
/// What the hooks and [`sign_up::create`] say.
pub async fn sign_up(cx: &Context, secret: &str, sign_up: &SignUp) -> Result<Created, OAuthError> {
    let backend = &cx.settings.proprietary_backend_name;
    let profile = Profile {
        uid: sign_up.username.clone(),
        username: Some(sign_up.username.clone()),
        email: Some(sign_up.email.clone()),
        email_verified: true,
        ..Profile::default()
    };
    let profile = hooks::ask(cx, backend, &profile, None).await?;
    let created = sign_up::create(cx, secret, profile).await?;
    if let Created::Done(user) = &created {
        let data = EventData { user: Person::from(user), backend: backend.clone(), uid: None, association_id: None };
        hooks::tell(cx, &[EventKind::UserCreated], data).await;
    }
    Ok(created)
}

/// Deletes a person with everything of theirs. The hooks are told of the accounts at providers that go with them. `false`:
/// they are gone already.
///
/// # Errors
/// What the database says.
pub async fn leave(cx: &Context, user: &User) -> Result<bool, OAuthError> {
    let associations = association::of_user(&cx.db, user.id).await?;
    let is_gone = user::delete(&cx.db, user.id).await?;
    if is_gone {
        for association in associations {
            let data = EventData {
                user: Person::from(user),
                backend: association.provider,
                uid: Some(association.uid),
                association_id: Some(association.id),
            };
            hooks::tell(cx, &[EventKind::AssociationDeleted], data).await;
        }
    }
    Ok(is_gone)
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
        association_id: Some(linked.association_id),
    };
    hooks::tell(cx, &kinds, data).await;
}
