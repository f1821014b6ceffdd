//! Tokens, the codes that become them, and consents: found, and ended.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use vestibule_protocol::jwt::Jwt;
use vestibule_protocol::{OAuthError, TokenDigest, secret};

use super::actor::{Actor, Area};
use super::{must_be_over_all, not_found};
use crate::context::{Context, Ctx};
use crate::store::application::{self, Application};
use crate::store::token_list::{self, Listed};
use crate::store::user::{self, User};
use crate::store::{self, Tx, audit, consent, grant_list, token};

/// Rows that one act ends, at most.
pub const MANY: usize = 1_000;

/// Whose tokens: a person's, an application's, or a person's at an application.
#[derive(Clone, Debug)]
pub enum Whose {
    /// Everything that this person has.
    User(User),
    /// Everything that this application was given.
    Application(Application),
    /// What the application has for the person.
    Both(User, Application),
}

impl Whose {
    /// The person of this name, the application of this client id, or what one has of the other.
    ///
    /// # Errors
    /// 404 where there is none, 400 where none is named.
    pub async fn named(cx: &Context, username: &str, client_id: &str) -> Result<Self, OAuthError> {
        Ok(match (user_named(cx, username).await?, application_named(cx, client_id).await?) {
            (Some(user), Some(application)) => Self::Both(user, application),
            (Some(user), None) => Self::User(user),
            (None, Some(application)) => Self::Application(application),
            (None, None) => {
                let sentence = "Name the tokens: by `ids`, by `user`, by `client_id`, or by the last two together.";
                return Err(OAuthError::invalid_request(sentence));
            }
        })
    }

    /// The person's and the application's number.
    pub fn ids(&self) -> (Option<i64>, Option<i64>) {
        match self {
            Self::User(user) => (Some(user.id), None),
            Self::Application(application) => (None, Some(application.id)),
            Self::Both(user, application) => (Some(user.id), Some(application.id)),
        }
    }
}

/// The person of this username; empty: `None`.
///
/// # Errors
/// 404 where there is none.
pub async fn user_named(cx: &Context, username: &str) -> Result<Option<User>, OAuthError> {
    let missing = || not_found(format!("No person has the username `{username}`.")).with_field("user");
    match username {
        "" => Ok(None),
        name => user::find_by_username(&cx.db, name).await?.ok_or_else(missing).map(Some),
    }
}

/// The application of this client id; empty: `None`.
///
/// # Errors
/// 404 where there is none.
pub async fn application_named(cx: &Context, client_id: &str) -> Result<Option<Application>, OAuthError> {
    let missing = || not_found("There is no application with this client id.").with_field("client_id");
    match client_id {
        "" => Ok(None),
        name => application::find(&cx.db, name).await?.ok_or_else(missing).map(Some),
    }
}

/// A row of the token table.
///
/// # Errors
/// 404 where there is none, 403 for whoever may not see it.
pub async fn find(cx: &Context, actor: &Actor, id: i64) -> Result<Listed, OAuthError> {
    actor.must_see(Area::Tokens)?;
    token_list::find(&cx.db, id, cx.clock.now()).await?.ok_or_else(gone)
}

/// The row of a whole access or refresh token, which is neither kept nor logged.
///
/// # Errors
/// 404 where there is none, 400 for what is no token of this server, 403.
pub async fn find_by_token(cx: &Context, actor: &Actor, token: &str) -> Result<Listed, OAuthError> {
    actor.must_see(Area::Tokens)?;
    // A JWT access token is stored under its id; whether it is ours, the row says.
    let digest = match secret::is_ours(token) {
        true => Some(TokenDigest::of(token)),
        false => Jwt::parse(token).and_then(|jwt| jwt.text("jti").map(TokenDigest::of)),
    };
    let sentence = "This is no whole access or refresh token of this server: something of it is missing or wrong.";
    let digest = digest.ok_or_else(|| OAuthError::invalid_request(sentence).with_field("token"))?;
    let id = token_list::find_by_digest(&cx.db, digest).await?.ok_or_else(gone)?;
    find(cx, actor, id).await
}

/// What somebody has of the beginning of an access token, without its prefix: what rows can be found by. Empty: nothing.
///
/// # Errors
/// 400 for fewer than four characters, and for a whole token, which must not stand in an address.
pub fn hint(beginning: &str) -> Result<String, OAuthError> {
    let wrong = |sentence: &'static str| Err(OAuthError::invalid_request(sentence).with_field("q"));
    if secret::is_ours(beginning) || beginning.matches('.').count() >= 2 {
        return wrong("A whole token must not stand in an address: look it up by the form for a whole token.");
    }
    let rest = beginning.strip_prefix("vat_").unwrap_or(beginning);
    match rest.chars().count() {
        0 if beginning.is_empty() => Ok(String::new()),
        0..4 => wrong("Give at least four characters of the access token behind `vat_`."),
        _ => Ok(rest.chars().take(8).collect()),
    }
}

/// Ends the sign-ins that these rows belong to and says how many those are.
///
/// # Errors
/// 403; 404 where a row is gone, and then none has ended; 400 for none or too many.
pub async fn revoke(cx: &Ctx, actor: &Actor, ids: Vec<i64>) -> Result<usize, OAuthError> {
    actor.must_change(Area::Tokens)?;
    must_be_some(ids.len())?;
    let (now, actor) = (cx.clock.now(), actor.clone());
    let revoked = cx.db.write(move |tx| {
        Box::pin(async move {
            let (mut families, mut people) = (BTreeSet::new(), BTreeSet::new());
            for &id in &ids {
                let Some(row) = token_list::find_in(tx, id, now).await? else { return Ok(Err(gone())) };
                families.insert(row.family);
                people.extend(row.user.map(|(id, _)| id));
            }
            if let Err(refused) = must_be_over_all(tx, &actor, people).await? {
                return Ok(Err(refused));
            }
            for &family in &families {
                token::revoke_family(tx, family, now).await?;
            }
            let detail = json!({ "ids": ids, "sign_ins": families.len() });
            note(tx, &actor, now, "token.revoke", "token", &ids, detail).await?;
            Ok(Ok(families.len()))
        })
    });
    revoked.await?
}

/// Ends all tokens of these, and the codes that could become some. Of a person that ends their browser sessions too.
///
/// # Errors
/// 403; 404 where they are gone.
pub async fn revoke_all(cx: &Ctx, actor: &Actor, whose: Whose) -> Result<(), OAuthError> {
    actor.must_change(Area::Tokens)?;
    let (now, actor) = (cx.clock.now(), actor.clone());
    let revoked = cx.db.write(move |tx| {
        Box::pin(async move {
            if let Err(refused) = must_be_over_all(tx, &actor, whose.ids().0.into_iter().collect()).await? {
                return Ok(Err(refused));
            }
            let (target, detail) = match &whose {
                Whose::User(user) => {
                    user::end_tokens_in(tx, user.id).await?;
                    (("user", Some(user.id), user.username.clone()), json!({}))
                }
                Whose::Application(application) => {
                    application::end_all(tx, application.id).await?;
                    (("application", Some(application.id), application.client_id.clone()), json!({}))
                }
                Whose::Both(user, application) => {
                    consent::end_everything(tx, user.id, application.id, now).await?;
                    (("user", Some(user.id), user.username.clone()), json!({ "client_id": application.client_id }))
                }
            };
            let (kind, id, name) = target;
            audit::note(tx, actor.entry(now, "token.revoke_all", (kind, id, &name), detail)).await?;
            Ok(Ok(()))
        })
    });
    revoked.await?
}

/// Removes codes and device codes that wait, by their digests, and says how many there were.
///
/// # Errors
/// 403, and then all are still there; 400 for none or too many.
pub async fn delete_codes(cx: &Ctx, actor: &Actor, digests: Vec<TokenDigest>) -> Result<usize, OAuthError> {
    actor.must_change(Area::Tokens)?;
    must_be_some(digests.len())?;
    let (now, actor) = (cx.clock.now(), actor.clone());
    let deleted = cx.db.write(move |tx| {
        Box::pin(async move {
            let mut people = BTreeSet::new();
            for &digest in &digests {
                people.extend(grant_list::whose_code(tx, digest).await?);
            }
            if let Err(refused) = must_be_over_all(tx, &actor, people).await? {
                return Ok(Err(refused));
            }
            let mut deleted = Vec::new();
            for digest in digests {
                if let Some((user_id, application_id)) = grant_list::delete_code(tx, digest).await? {
                    deleted.push(json!({ "user_id": user_id, "application_id": application_id }));
                }
            }
            let count = deleted.len();
            if count > 0 {
                note(tx, &actor, now, "code.delete", "code", &[], json!({ "codes": deleted })).await?;
            }
            Ok(Ok(count))
        })
    });
    deleted.await?
}

/// Takes consents back, with every token and code that came of them, and says how many there were.
///
/// # Errors
/// 403, and then all are still there; 400 for none or too many.
pub async fn withdraw(cx: &Ctx, actor: &Actor, ids: Vec<i64>) -> Result<usize, OAuthError> {
    actor.must_change(Area::Tokens)?;
    must_be_some(ids.len())?;
    let (now, actor) = (cx.clock.now(), actor.clone());
    let withdrawn = cx.db.write(move |tx| {
        Box::pin(async move {
            let mut people = BTreeSet::new();
            for &id in &ids {
                people.extend(grant_list::whose_consent(tx, id).await?);
            }
            if let Err(refused) = must_be_over_all(tx, &actor, people).await? {
                return Ok(Err(refused));
            }
            let mut withdrawn = Vec::new();
            for &id in &ids {
                if let Some((user_id, application_id)) = consent::withdraw_in(tx, id, now).await? {
                    withdrawn.push(json!({ "user_id": user_id, "application_id": application_id }));
                }
            }
            let count = withdrawn.len();
            if count > 0 {
                note(tx, &actor, now, "consent.withdraw", "consent", &ids, json!({ "consents": withdrawn })).await?;
            }
            Ok(Ok(count))
        })
    });
    withdrawn.await?
}

async fn note(
    tx: &mut Tx<'_>,
    actor: &Actor,
    now: i64,
    act: &'static str,
    kind: &'static str,
    ids: &[i64],
    detail: Value,
) -> store::Result<()> {
    let one = ids.first().filter(|_| ids.len() == 1).copied();
    let target = one.map_or_else(|| "several".to_owned(), |id| id.to_string());
    audit::note(tx, actor.entry(now, act, (kind, one, &target), detail)).await
}

fn must_be_some(count: usize) -> Result<(), OAuthError> {
    match count {
        0 => Err(OAuthError::invalid_request("Choose at least one.")),
        1..=MANY => Ok(()),
        _ => Err(OAuthError::invalid_request(format!("Choose at most {MANY} at a time."))),
    }
}

fn gone() -> OAuthError {
    not_found("There is no such token; one that has expired is removed.")
}

/// A code's digest as it is named in lists: 64 hexadecimal digits.
pub fn digest_of(text: &str) -> Option<TokenDigest> {
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    let bytes: Option<Vec<u8>> = (0..32).map(|at| u8::from_str_radix(text.get(2 * at..2 * at + 2)?, 16).ok()).collect();
    TokenDigest::from_bytes(&bytes?)
}
