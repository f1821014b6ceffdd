//! Applications: made, changed, given a new secret, enabled, disabled and deleted.
//!
//! What is written comes as one JSON object in the names in which an application is described ([`registration::described`]),
//! whoever asks: a form's fields and the command line's flags are turned into the same.

use serde_json::{Map, Value};
use vestibule_protocol::client_metadata::ClientMetadata;
use vestibule_protocol::scope::is_admin_scope;
use vestibule_protocol::{ClientType, ErrorCode, OAuthError, PlainToken, Scope, TokenKind};

use super::actor::{Actor, Area};
use super::{Decided, difference, not_found};
use crate::client;
use crate::context::{Context, Ctx, random};
use crate::limits;
use crate::registration;
use crate::store::application::{self, Application, PreviousSecret};
use crate::store::{self, Tx, audit, user};

/// An application, and its secret where one was just made: it is shown this once.
pub type WithSecret = (Application, Option<String>);

/// An application by client id.
///
/// # Errors
/// 404 where there is none, 403 for whoever may not see it.
pub async fn find(cx: &Context, actor: &Actor, client_id: &str) -> Result<Application, OAuthError> {
    actor.must_see(Area::Applications)?;
    application::find(&cx.db, client_id).await?.ok_or_else(gone)
}

/// Registers an application. Its client id and secret are made here unless the members name them.
///
/// # Errors
/// 403, and 400 for members that cannot be registered.
pub async fn create(cx: &Ctx, actor: &Actor, members: &Map<String, Value>) -> Result<WithSecret, OAuthError> {
    actor.must_change(Area::Applications)?;
    let mut members = members.clone();
    let client_type: ClientType = match members.remove("client_type") {
        None => {
            return Err(metadata_error("`client_type` is required: confidential or public.").with_field("client_type"));
        }
        Some(value) => value.as_str().unwrap_or_default().parse().map_err(metadata_error)?,
    };
    let client_id = match members.remove("client_id") {
        None => client::new_id(),
        Some(value) => value.as_str().filter(|id| is_client_id(id)).map(str::to_owned).ok_or_else(|| {
            metadata_error("A client id has 1 to 255 characters, of ASCII and without blanks.").with_field("client_id")
        })?,
    };
    let given_secret = members.remove("client_secret");
    let names_grants = members.contains_key("grant_types");
    let mut new = Application::new(client_id, String::new(), client_type);
    lay_over(cx, actor, &mut new, &resolved(cx, members).await?)?;
    registration::check(cx, &new)?;
    if names_grants {
        registration::check_has_redirect_uri(&new)?;
    }
    let secret = match given_secret {
        None => fresh_secret(cx, &mut new)?,
        Some(value) => Some(chosen_secret(cx, &mut new, value.as_str().unwrap_or_default())?),
    };
    let (now, actor) = (cx.clock.now(), actor.clone());
    let created = cx.db.write(move |tx| {
        Box::pin(async move {
            let Some(created) = application::insert(tx, &new, now).await? else { return Ok(None) };
            note(tx, &actor, now, "application.create", &created, registration::described(&created)).await?;
            Ok(Some(created))
        })
    });
    let taken = || metadata_error("This client id is taken.").with_field("client_id");
    Ok((created.await?.ok_or_else(taken)?, secret))
}

/// Changes what the members name; the rest stays. Gives a new secret where the old one, of which only the hash is kept, is
/// not enough any more.
///
/// # Errors
/// 403, 404, and 400 for members that cannot be registered.
pub async fn change(
    cx: &Ctx,
    actor: &Actor,
    client_id: &str,
    members: &Map<String, Value>,
) -> Result<WithSecret, OAuthError> {
    actor.must_change(Area::Applications)?;
    let members = resolved(cx, members.clone()).await?;
    let names_grants = members.contains_key("grant_types");
    let change = {
        let (cx, actor) = (cx.clone(), actor.clone());
        move |application: &mut Application| {
            if members.get("client_type").is_some_and(|value| value != application.client_type.as_str()) {
                let sentence = "An application's type cannot be changed; register another.";
                return Err(metadata_error(sentence).with_field("client_type"));
            }
            lay_over(&cx, &actor, application, &members)?;
            registration::check(&cx, application)?;
            if names_grants {
                registration::check_has_redirect_uri(application)?;
            }
            match client::needs_secret_itself(application) && application.sealed_secret.is_none() {
                true => fresh_secret(&cx, application),
                false => Ok(None),
            }
        }
    };
    decide(cx, actor, client_id, "application.change", change).await
}

/// Enables or disables an application. Disabling ends every token that it was given, for good.
///
/// # Errors
/// 403 and 404.
pub async fn set_active(cx: &Ctx, actor: &Actor, client_id: &str, active: bool) -> Result<Application, OAuthError> {
    let act = if active { "application.enable" } else { "application.disable" };
    let change = move |application: &mut Application| {
        application.is_active = active;
        Ok(None)
    };
    decide(cx, actor, client_id, act, change).await.map(|(application, _)| application)
}

/// Gives an application a new secret; the old one counts for so many seconds more.
///
/// # Errors
/// 403, 404, and 400 for a public application, which has none.
pub async fn rotate_secret(cx: &Ctx, actor: &Actor, client_id: &str, overlap: i64) -> Result<WithSecret, OAuthError> {
    let expires_at = cx.clock.now() + overlap;
    let context = cx.clone();
    let change = move |application: &mut Application| {
        if application.client_type == ClientType::Public {
            return Err(OAuthError::invalid_request("A public application has no client secret."));
        }
        application.previous_secret =
            application.secret_hash.take().filter(|_| overlap > 0).map(|hash| PreviousSecret { hash, expires_at });
        fresh_secret(&context, application)
    };
    decide(cx, actor, client_id, "application.rotate_secret", change).await
}

/// Deletes an application with all its tokens and consents, and gives it as it was.
///
/// # Errors
/// 403 and 404.
pub async fn delete(cx: &Ctx, actor: &Actor, client_id: &str) -> Result<Application, OAuthError> {
    actor.must_change(Area::Applications)?;
    let (now, actor, client_id) = (cx.clock.now(), actor.clone(), client_id.to_owned());
    let deleted = cx.db.write(move |tx| {
        Box::pin(async move {
            let Some(found) = application::find_in(tx, &client_id).await? else { return Ok(None) };
            application::delete_in(tx, found.id).await?;
            note(tx, &actor, now, "application.delete", &found, registration::described(&found)).await?;
            Ok(Some(found))
        })
    });
    deleted.await?.ok_or_else(gone)
}

/// Reads an application, changes it, writes it and notes the difference, in one transaction.
async fn decide<F>(
    cx: &Ctx,
    actor: &Actor,
    client_id: &str,
    act: &'static str,
    change: F,
) -> Result<WithSecret, OAuthError>
where
    F: FnOnce(&mut Application) -> Result<Option<String>, OAuthError> + Send + 'static,
{
    actor.must_change(Area::Applications)?;
    let (now, actor, client_id) = (cx.clock.now(), actor.clone(), client_id.to_owned());
    let decided = cx.db.write(move |tx| {
        Box::pin(async move {
            tx.lock(&format!("application {client_id}")).await?;
            let decided: Decided<WithSecret> = async {
                let Some(before) = application::find_in(tx, &client_id).await? else { return Ok(Err(gone())) };
                let mut after = before.clone();
                let secret = match change(&mut after) {
                    Ok(secret) => secret,
                    Err(error) => return Ok(Err(error)),
                };
                let Some(after) = application::update_in(tx, &after, now).await? else { return Ok(Err(gone())) };
                let detail = difference(&registration::described(&before), &registration::described(&after));
                note(tx, &actor, now, act, &after, detail).await?;
                Ok(Ok((after, secret)))
            }
            .await;
            decided
        })
    });
    decided.await?
}

async fn note(
    tx: &mut Tx<'_>,
    actor: &Actor,
    now: i64,
    act: &'static str,
    application: &Application,
    detail: Value,
) -> store::Result<()> {
    let target = ("application", Some(application.id), application.client_id.as_str());
    audit::note(tx, actor.entry(now, act, target, detail)).await
}

/// The members with the owner's username in place of their number found out.
async fn resolved(cx: &Context, mut members: Map<String, Value>) -> Result<Map<String, Value>, OAuthError> {
    if let Some(owner) = members.remove("owner") {
        let username = owner.as_str().unwrap_or_default();
        let id =
            match username {
                "" => None,
                name => Some(user::find_by_username(&cx.db, name).await?.map(|user| user.id).ok_or_else(|| {
                    metadata_error(format!("No person has the username `{name}`.")).with_field("owner")
                })?),
            };
        members.insert("owner_id".to_owned(), id.into());
    }
    Ok(members)
}

/// Lays the members over an application.
fn lay_over(
    cx: &Context,
    actor: &Actor,
    application: &mut Application,
    members: &Map<String, Value>,
) -> Result<(), OAuthError> {
    for (name, value) in members {
        let bad = || metadata_error(format!("`{name}` has the wrong type.")).with_field(member(name));
        let text = || value.as_str().map(|text| text.trim().to_owned()).ok_or_else(bad);
        let optional = || match value {
            Value::Null => Ok(None),
            _ => text().map(|text| Some(text).filter(|text| !text.is_empty())),
        };
        let mark = || value.as_bool().ok_or_else(bad);
        let list = || -> Result<Vec<String>, OAuthError> {
            let all = value.as_array().ok_or_else(bad)?;
            all.iter().map(|one| one.as_str().map(str::to_owned).ok_or_else(bad)).collect()
        };
        let wrong = |sentence: String| metadata_error(sentence).with_field(member(name));
        match name.as_str() {
            "name" => application.name = text()?,
            "client_type" => {}
            "grant_types" => {
                application.grant_types =
                    list()?.iter().map(|grant| grant.parse()).collect::<Result<_, _>>().map_err(wrong)?;
                if application.grant_types.is_empty() {
                    return Err(wrong("Choose at least one grant.".to_owned()));
                }
            }
            "redirect_uris" => application.redirect_uris = list()?,
            "post_logout_redirect_uris" => application.post_logout_redirect_uris = list()?,
            "allowed_origins" => application.allowed_origins = list()?,
            "scopes" => {
                let scopes: Scope = list()?.iter().map(String::as_str).collect();
                let known = limits::known_scopes(&cx.settings);
                if !scopes.is_within(&known) {
                    return Err(wrong(format!("The scopes of this server are: {known}.")));
                }
                let gains = scopes.iter().any(|scope| is_admin_scope(scope) && !application.scopes.contains(scope));
                if gains {
                    actor.must_be_superuser("Only a superuser lets an application ask for an admin scope.")?;
                }
                application.scopes = scopes;
            }
            "token_endpoint_auth_method" => {
                application.token_endpoint_auth_method =
                    optional()?.map(|method| method.parse()).transpose().map_err(wrong)?;
            }
            "jwks" => {
                application.jwks = match value {
                    Value::Null => None,
                    Value::Object(_) => Some(value.to_string()),
                    _ => return Err(bad()),
                }
            }
            "jwks_uri" => application.jwks_uri = optional()?,
            "signing_algorithm" => application.signing_algorithm = text()?,
            "owner_id" => application.owner_id = value.as_i64(),
            "skip_authorization" => application.skip_authorization = mark()?,
            "resource_server" => application.is_resource_server = mark()?,
            "metadata" => {
                let mut all = match serde_json::to_value(&application.metadata) {
                    Ok(Value::Object(all)) => all,
                    _ => Map::new(),
                };
                all.extend(value.as_object().ok_or_else(bad)?.clone());
                application.metadata = serde_json::from_value::<ClientMetadata>(Value::Object(all))
                    .map_err(|error| wrong(format!("`metadata`: {error}")))?;
            }
            _ => return Err(metadata_error(format!("`{name}` is nothing that an application has."))),
        }
    }
    Ok(())
}

/// A member's name as one of ours, for the error that names it.
fn member(name: &str) -> &'static str {
    const MEMBERS: [&str; 13] = [
        "name",
        "grant_types",
        "redirect_uris",
        "post_logout_redirect_uris",
        "allowed_origins",
        "scopes",
        "token_endpoint_auth_method",
        "jwks",
        "jwks_uri",
        "signing_algorithm",
        "skip_authorization",
        "resource_server",
        "metadata",
    ];
    MEMBERS.into_iter().find(|known| *known == name).unwrap_or("members")
}

fn fresh_secret(cx: &Context, application: &mut Application) -> Result<Option<String>, OAuthError> {
    if application.client_type == ClientType::Public {
        return Ok(None);
    }
    let secret = PlainToken::new(TokenKind::ClientSecret, &random()).reveal().to_owned();
    client::set_secret(cx, application, &secret)?;
    Ok(Some(secret))
}

/// A secret that somebody else made; what was copied out of a database is none.
fn chosen_secret(cx: &Context, application: &mut Application, secret: &str) -> Result<String, OAuthError> {
    let wrong = |sentence: &'static str| Err(metadata_error(sentence).with_field("client_secret"));
    if application.client_type == ClientType::Public {
        return wrong("A public application has no client secret: whoever has the application would have it.");
    }
    if secret.is_empty() {
        return wrong("A client secret is not empty.");
    }
    let schemes = ["sha256", "pbkdf2_sha256", "pbkdf2_sha1", "argon2", "bcrypt", "bcrypt_sha256", "scrypt"];
    if secret.split_once('$').is_some_and(|(scheme, _)| schemes.contains(&scheme)) {
        return wrong("This looks like the hash of a secret; give the secret itself, or none to have one made.");
    }
    client::set_secret(cx, application, secret)?;
    Ok(secret.to_owned())
}

fn is_client_id(id: &str) -> bool {
    (1..=255).contains(&id.len()) && id.bytes().all(|byte| (b'!'..=b'~').contains(&byte))
}

fn metadata_error(sentence: impl Into<String>) -> OAuthError {
    OAuthError::new(ErrorCode::InvalidClientMetadata, sentence.into())
}

fn gone() -> OAuthError {
    not_found("There is no application with this client id.")
}
