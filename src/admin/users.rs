//! People: made, changed, let in and kept out, given a password or rights, signed out, disconnected and deleted.
//!
//! Who may change people may change those without rights; the account of staff or of a superuser is a superuser's to change.
//! What is written comes as one JSON object in the names of [`described`], whoever asks.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};
use vestibule_protocol::{ErrorCode, OAuthError};

use super::actor::{Actor, Area, Permission};
use super::{Decided, associations, difference, not_found};
use crate::claims;
use crate::context::{Context, Ctx, random};
use crate::identity::password::{Weakness, weakness};
use crate::identity::sign_in::hash_error;
use crate::logout;
use crate::store::user::{self, NewUser, User};
use crate::store::{self, BoxFuture, Tx, audit, passkey, recovery_code, session, totp};

/// What a change gives, and what is noted of it beside the difference.
type Changed<T> = Decided<(T, Map<String, Value>)>;

/// Claims that a person's columns say.
const OWN_CLAIMS: [&str; 6] = ["sub", "preferred_username", "given_name", "family_name", "email", "email_verified"];

/// A person by id.
///
/// # Errors
/// 404 where there is none, 403 for whoever may not see them.
pub async fn find(cx: &Context, actor: &Actor, id: i64) -> Result<User, OAuthError> {
    actor.must_see(Area::Users)?;
    user::find(&cx.db, id).await?.ok_or_else(gone)
}

/// A person, without password and claims.
pub fn described(user: &User) -> Value {
    json!({
        "id": user.id,
        "username": user.username,
        "email": user.email,
        "email_verified": user.email_verified,
        "first_name": user.first_name,
        "last_name": user.last_name,
        "is_active": user.is_active,
        "is_staff": user.is_staff,
        "is_superuser": user.is_superuser,
        "has_password": user.has_password(),
        "date_joined": user.date_joined,
        "last_login": user.last_login,
    })
}

/// As [`described`], with the standard claims.
pub fn described_with_claims(user: &User) -> Value {
    let mut members = described(user);
    members["claims"] = serde_json::from_str(&user.claims).unwrap_or_else(|_| json!({}));
    members
}

/// Makes a person. `password` among the members is theirs in plain; without one they have none.
///
/// # Errors
/// 403, and 400 for members that a person cannot have.
pub async fn create(cx: &Ctx, actor: &Actor, members: &Map<String, Value>) -> Result<User, OAuthError> {
    actor.must_change(Area::Users)?;
    let mut members = members.clone();
    let password = match members.remove("password") {
        None | Some(Value::Null) => None,
        Some(Value::String(password)) => {
            let text = |name: &str| members.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
            Some(encoded(cx, actor, &password, &text("username"), &text("email")).await?)
        }
        Some(_) => return Err(wrong("password", "`password` has the wrong type.")),
    };
    let is_superuser = match members.remove("is_superuser") {
        None | Some(Value::Bool(false)) => false,
        Some(Value::Bool(true)) => {
            actor.must_be_superuser("Only a superuser makes a superuser.")?;
            true
        }
        Some(_) => return Err(wrong("is_superuser", "`is_superuser` has the wrong type.")),
    };
    let mut new = NewUser { password, is_superuser, ..NewUser::default() };
    lay_over(&mut new, &members)?;
    if new.username.is_empty() {
        return Err(bad_username());
    }
    let taken = taken(&new.username);
    let (now, actor) = (cx.clock.now(), actor.clone());
    let created = cx.db.write(move |tx| {
        Box::pin(async move {
            let Some(created) = user::insert(tx, &new, now).await? else { return Ok(None) };
            note(tx, &actor, now, "user.create", &created, described_with_claims(&created)).await?;
            Ok(Some(created))
        })
    });
    created.await?.ok_or(taken)
}

/// Changes what the members name; the rest stays. Another address is not verified, unless the members say so.
///
/// # Errors
/// 403, 404, and 400 for members that a person cannot have.
pub async fn change(cx: &Ctx, actor: &Actor, id: i64, members: &Map<String, Value>) -> Result<User, OAuthError> {
    let members = members.clone();
    let change = decide(cx, actor, id, "user.change", move |tx, before| {
        Box::pin(async move {
            let mut details = NewUser {
                username: before.username.clone(),
                email: before.email.clone(),
                email_verified: before.email_verified,
                first_name: before.first_name.clone(),
                last_name: before.last_name.clone(),
                claims: before.claims.clone(),
                ..NewUser::default()
            };
            if let Err(error) = lay_over(&mut details, &members) {
                return Ok(Err(error));
            }
            let after = User {
                username: details.username,
                email: details.email,
                email_verified: details.email_verified,
                first_name: details.first_name,
                last_name: details.last_name,
                claims: details.claims,
                ..before
            };
            user::update_details(tx, &after).await?;
            done(())
        })
    });
    change.await.map(|(user, ())| user)
}

/// Lets a person in again, or keeps them out: then every session and token of theirs ends for good.
///
/// # Errors
/// 403, also for oneself and for the last superuser, and 404.
pub async fn set_active(cx: &Ctx, actor: &Actor, id: i64, active: bool) -> Result<User, OAuthError> {
    if !active {
        must_be_another(actor, id, "Nobody deactivates themself.")?;
    }
    let act = if active { "user.activate" } else { "user.deactivate" };
    let by = actor.clone();
    let change = decide(cx, actor, id, act, move |tx, before| {
        Box::pin(async move {
            if !active && let Err(error) = must_leave_a_superuser(tx, &by, &before).await? {
                return Ok(Err(error));
            }
            user::set_active_in(tx, id, active).await?;
            done(if active { Vec::new() } else { session::end_all_in(tx, id).await? })
        })
    });
    let (user, ended) = change.await?;
    tell(cx, id, &ended).await?;
    Ok(user)
}

/// Deletes a person with everything that is theirs, and gives them as they were.
///
/// # Errors
/// 403, also for oneself and for the last superuser, and 404.
pub async fn delete(cx: &Ctx, actor: &Actor, id: i64) -> Result<User, OAuthError> {
    must_be_another(actor, id, "Nobody deletes themself here.")?;
    let by = actor.clone();
    let change = decide(cx, actor, id, "user.delete", move |tx, before| {
        Box::pin(async move {
            if let Err(error) = must_leave_a_superuser(tx, &by, &before).await? {
                return Ok(Err(error));
            }
            let ended = session::end_all_in(tx, id).await?;
            user::delete_in(tx, id).await?;
            let detail = described_with_claims(&before).as_object().cloned().unwrap_or_default();
            Ok(Ok((ended, detail)))
        })
    });
    let (user, ended) = change.await?;
    tell(cx, id, &ended).await?;
    Ok(user)
}

/// Sets a person's password, or takes it away, and ends their sessions: whoever had the old one is out.
///
/// # Errors
/// 403, 404, and 400 for a password that is not acceptable.
pub async fn set_password(cx: &Ctx, actor: &Actor, id: i64, password: Option<&str>) -> Result<User, OAuthError> {
    actor.must_change(Area::Users)?;
    let (act, encoded) = match password {
        Some(password) => {
            let user = user::find(&cx.db, id).await?.ok_or_else(gone)?;
            ("user.set_password", Some(encoded(cx, actor, password, &user.username, &user.email).await?))
        }
        None => ("user.remove_password", None),
    };
    let change = decide(cx, actor, id, act, move |tx, _| {
        Box::pin(async move {
            user::set_password_in(tx, id, encoded).await?;
            done(session::end_all_in(tx, id).await?)
        })
    });
    let (user, ended) = change.await?;
    tell(cx, id, &ended).await?;
    Ok(user)
}

/// Takes every second factor away from a person who has lost theirs (passkeys, the authenticator app, recovery codes), and
/// ends their sessions.
///
/// # Errors
/// 403 and 404.
pub async fn remove_factors(cx: &Ctx, actor: &Actor, id: i64) -> Result<User, OAuthError> {
    let change = decide(cx, actor, id, "user.remove_factors", move |tx, _| {
        Box::pin(async move {
            let passkeys = passkey::delete_all_in(tx, id).await?;
            let app = totp::delete_in(tx, id).await?;
            let codes = recovery_code::delete_all_in(tx, id).await?;
            let ended = session::end_all_in(tx, id).await?;
            let mut detail = Map::new();
            detail.insert("passkeys".to_owned(), passkeys.into());
            detail.insert("authenticator_app".to_owned(), app.into());
            detail.insert("recovery_codes".to_owned(), codes.into());
            Ok(Ok((ended, detail)))
        })
    });
    let (user, ended) = change.await?;
    tell(cx, id, &ended).await?;
    Ok(user)
}

/// Makes a person staff or a superuser or neither, and gives them `permissions`: what the members do not name stays. A
/// superuser is staff; whoever is not staff has no permission.
///
/// # Errors
/// 403 for whoever is no superuser, for oneself and for the last superuser, 404, and 400 for a word that is no permission.
pub async fn set_rights(cx: &Ctx, actor: &Actor, id: i64, members: &Map<String, Value>) -> Result<User, OAuthError> {
    actor.must_change(Area::Users)?;
    actor.must_be_superuser("Only a superuser gives and takes rights.")?;
    must_be_another(actor, id, "Nobody changes their own rights.")?;
    let (mut is_staff, mut is_superuser, mut permissions) = (None, None, None);
    for (name, value) in members {
        match name.as_str() {
            "is_staff" => is_staff = Some(value.as_bool().ok_or_else(|| wrong("is_staff", "Say true or false."))?),
            "is_superuser" => {
                is_superuser = Some(value.as_bool().ok_or_else(|| wrong("is_superuser", "Say true or false."))?);
            }
            "permissions" => {
                let words = value.as_array().ok_or_else(|| wrong("permissions", "`permissions` is a list."))?;
                let read = |word: &Value| word.as_str().unwrap_or_default().parse::<Permission>();
                let all: Result<BTreeSet<_>, _> = words.iter().map(read).collect();
                permissions = Some(all.map_err(|sentence| wrong("permissions", sentence))?);
            }
            _ => return Err(OAuthError::invalid_request(format!("`{name}` is none of a person's rights."))),
        }
    }
    let by = actor.clone();
    let change = decide(cx, actor, id, "user.set_rights", move |tx, before| {
        Box::pin(async move {
            let held = Permission::of_stored(&user::permissions_in(tx, id).await?);
            let is_superuser = is_superuser.unwrap_or(before.is_superuser);
            let is_staff = is_superuser || is_staff.unwrap_or(before.is_staff);
            let given = if is_staff { permissions.unwrap_or_else(|| held.clone()) } else { BTreeSet::new() };
            if !is_superuser && let Err(error) = must_leave_a_superuser(tx, &by, &before).await? {
                return Ok(Err(error));
            }
            let (held, given) = (words(&held), words(&given));
            user::set_rights(tx, id, is_staff, is_superuser, &given.join(" ")).await?;
            let mut detail = Map::new();
            if held != given {
                detail.insert("permissions".to_owned(), json!([held, given]));
            }
            Ok(Ok(((), detail)))
        })
    });
    change.await.map(|(user, ())| user)
}

/// The words of permissions, each of which [`set_rights`] reads.
pub fn words(permissions: &BTreeSet<Permission>) -> Vec<String> {
    permissions.iter().map(ToString::to_string).collect()
}

/// Ends one session of a person.
///
/// # Errors
/// 403 and 404.
pub async fn end_session(cx: &Ctx, actor: &Actor, id: i64, session_id: i64) -> Result<(), OAuthError> {
    let change = decide(cx, actor, id, "user.end_session", move |tx, _| {
        Box::pin(async move {
            match session::end_in(tx, session_id, id).await? {
                Some(public_id) => done(vec![public_id]),
                None => Ok(Err(not_found("This person has no session with this number."))),
            }
        })
    });
    let (_, ended) = change.await?;
    tell(cx, id, &ended).await
}

/// Ends every session of a person; their applications' tokens live on.
///
/// # Errors
/// 403 and 404.
pub async fn end_sessions(cx: &Ctx, actor: &Actor, id: i64) -> Result<(), OAuthError> {
    let change = decide(cx, actor, id, "user.end_sessions", move |tx, _| {
        Box::pin(async move { done(session::end_all_in(tx, id).await?) })
    });
    let (_, ended) = change.await?;
    tell(cx, id, &ended).await
}

/// Ends every session and every token of a person, for good.
///
/// # Errors
/// 403 and 404.
pub async fn end_everything(cx: &Ctx, actor: &Actor, id: i64) -> Result<(), OAuthError> {
    let change = decide(cx, actor, id, "user.end_everything", move |tx, _| {
        Box::pin(async move {
            user::end_tokens_in(tx, id).await?;
            done(session::end_all_in(tx, id).await?)
        })
    });
    let (_, ended) = change.await?;
    tell(cx, id, &ended).await
}

/// Takes an account at a provider away from a person.
///
/// # Errors
/// What [`associations::disconnect`] says, and 404 for an account of somebody else.
pub async fn disconnect(cx: &Ctx, actor: &Actor, id: i64, association_id: i64) -> Result<(), OAuthError> {
    actor.must_change(Area::Associations)?;
    let (_, owner) = associations::find(cx, actor, association_id).await?;
    match owner.id == id {
        true => associations::disconnect(cx, actor, association_id).await,
        false => Err(not_found("This person has no association with this number.")),
    }
}

/// Reads a person, does something to them and notes the difference, in one transaction. Gives the person as they are now;
/// of one who is gone, as they were.
async fn decide<T, F>(cx: &Ctx, actor: &Actor, id: i64, act: &'static str, change: F) -> Result<(User, T), OAuthError>
where
    T: Send + 'static,
    F: for<'t, 'c> FnOnce(&'t mut Tx<'c>, User) -> BoxFuture<'t, Changed<T>> + Send + 'static,
{
    actor.must_change(Area::Users)?;
    let (now, actor) = (cx.clock.now(), actor.clone());
    let decided = cx.db.write(move |tx| {
        Box::pin(async move {
            tx.lock(&format!("user {id}")).await?;
            let Some(before) = user::find_in(tx, id).await? else { return Ok(Err(gone())) };
            if before.is_staff || before.is_superuser {
                let sentence = "Only a superuser acts on the account of staff or of a superuser.";
                if let Err(error) = actor.must_be_superuser(sentence) {
                    return Ok(Err(error));
                }
            }
            let (given, more) = match change(tx, before.clone()).await? {
                Ok(changed) => changed,
                Err(error) => return Ok(Err(error)),
            };
            let after = user::find_in(tx, id).await?.unwrap_or_else(|| before.clone());
            let mut detail = difference(&described_with_claims(&before), &described_with_claims(&after));
            for (name, value) in more {
                detail[name] = value;
            }
            note(tx, &actor, now, act, &after, detail).await?;
            Ok(Ok((after, given)))
        })
    });
    match decided.await {
        // The username is all of a person that nobody else may have.
        Err(error @ store::Error::Conflict(_)) => Err(wrong("username", "This username is taken.").with_cause(error)),
        decided => decided?,
    }
}

/// That there is nothing to be noted beside the difference.
fn done<T>(given: T) -> Changed<T> {
    Ok(Ok((given, Map::new())))
}

async fn note(
    tx: &mut Tx<'_>,
    actor: &Actor,
    now: i64,
    act: &'static str,
    user: &User,
    detail: Value,
) -> store::Result<()> {
    audit::note(tx, actor.entry(now, act, ("user", Some(user.id), &user.username), detail)).await
}

/// Tells the applications of sessions that have ended.
async fn tell(cx: &Ctx, id: i64, ended: &[String]) -> Result<(), OAuthError> {
    for public_id in ended {
        logout::tell(cx, public_id, id).await?;
    }
    Ok(())
}

fn must_be_another(actor: &Actor, id: i64, sentence: &'static str) -> Result<(), OAuthError> {
    match actor.user_id() == Some(id) {
        true => Err(OAuthError::new(ErrorCode::AccessDenied, sentence).with_status(403)),
        false => Ok(()),
    }
}

/// Whether somebody could still do everything without this person. The command line can make a superuser at any time.
async fn must_leave_a_superuser(tx: &mut Tx<'_>, actor: &Actor, user: &User) -> Decided<()> {
    if !user.is_superuser || !user.is_active || actor.is_operator() {
        return Ok(Ok(()));
    }
    // Two who go at once must not both see the other one stay.
    tx.lock("superusers").await?;
    Ok(match user::has_other_superuser(tx, user.id).await? {
        true => Ok(()),
        false => {
            let sentence = "This is the last active superuser; make another one first.";
            Err(OAuthError::new(ErrorCode::AccessDenied, sentence).with_status(403))
        }
    })
}

/// The encoding of a password that is acceptable for somebody with this username and address. Who runs the command line
/// chooses as they like.
async fn encoded(
    cx: &Context,
    actor: &Actor,
    password: &str,
    username: &str,
    email: &str,
) -> Result<String, OAuthError> {
    if password.is_empty() {
        return Err(wrong("password", "The password is empty."));
    }
    let min_length = cx.settings.accounts.password_min_length;
    let weakness = weakness(password, min_length, username, email).filter(|_| !actor.is_operator());
    if let Some(weakness) = weakness {
        let sentence = match weakness {
            Weakness::Short => format!("The password needs at least {min_length} characters."),
            Weakness::Long => "The password is longer than 4096 bytes.".to_owned(),
            Weakness::Common => "Many people use this password, so it is tried first.".to_owned(),
            Weakness::Own => "The password is the person's username or address.".to_owned(),
        };
        return Err(wrong("password", sentence));
    }
    cx.hasher.hash(password, random()).await.map_err(hash_error)
}

/// Lays the members over a person's details.
fn lay_over(details: &mut NewUser, members: &Map<String, Value>) -> Result<(), OAuthError> {
    if members.contains_key("email") {
        let email = line(members, "email", 254)?;
        if !email.is_empty() && (!email.contains('@') || email.contains(char::is_whitespace)) {
            return Err(wrong("email", format!("`{email}` is not an e-mail address.")));
        }
        // Whoever types an address vouches for nothing; the mark is set apart.
        details.email_verified &= email == details.email;
        details.email = email;
    }
    for (name, value) in members {
        match name.as_str() {
            "email" => {}
            "username" => {
                details.username =
                    line(members, "username", 150).ok().filter(|name| !name.is_empty()).ok_or_else(bad_username)?;
            }
            "first_name" => details.first_name = line(members, "first_name", 150)?,
            "last_name" => details.last_name = line(members, "last_name", 150)?,
            "email_verified" => {
                let mark = value.as_bool().ok_or_else(|| wrong("email_verified", "Say true or false."))?;
                if mark && details.email.is_empty() {
                    return Err(wrong("email_verified", "Without an address there is none to be verified."));
                }
                details.email_verified = mark;
            }
            "claims" => {
                let bad = || wrong("claims", "`claims` is one JSON object.");
                let before: Map<String, Value> = serde_json::from_str(&details.claims).unwrap_or_default();
                for (claim, value) in value.as_object().ok_or_else(bad)? {
                    let is_one = claims::SUPPORTED.contains(&claim.as_str()) && !OWN_CLAIMS.contains(&claim.as_str());
                    // What came from elsewhere may stay as it is.
                    if !is_one && before.get(claim) != Some(value) {
                        let sentence = format!("`{claim}` is no standard claim, or one that has a field of its own.");
                        return Err(wrong("claims", sentence));
                    }
                }
                details.claims = value.to_string();
            }
            _ => return Err(OAuthError::invalid_request(format!("`{name}` is nothing that can be set of a person."))),
        }
    }
    Ok(())
}

/// A member that is one line of text.
fn line(members: &Map<String, Value>, name: &'static str, characters: usize) -> Result<String, OAuthError> {
    let text = members.get(name).and_then(Value::as_str).map(str::trim);
    let fits = |text: &&str| text.chars().count() <= characters && !text.chars().any(char::is_control);
    let sentence =
        || format!("`{name}` is a text of at most {characters} characters, none of them a control character.");
    text.filter(fits).map(str::to_owned).ok_or_else(|| wrong(name, sentence()))
}

fn bad_username() -> OAuthError {
    wrong("username", "A username has 1 to 150 characters, none of them a control character.")
}

fn taken(username: &str) -> OAuthError {
    wrong("username", format!("The username `{username}` is taken."))
}

fn wrong(field: &'static str, sentence: impl Into<std::borrow::Cow<'static, str>>) -> OAuthError {
    OAuthError::invalid_request(sentence).with_field(field)
}

fn gone() -> OAuthError {
    not_found("There is no person with this id.")
}
