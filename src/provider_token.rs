//! Providers' tokens kept usable: an application that the operator trusts with them fetches a person's, fresh if need be.
//!
//! Of many who need the same fresh token, on any node, one asks the provider; the others wait for what it brings. A provider
//! that rotates its refresh tokens would end them all otherwise. No transaction is open while it is asked.

use std::time::Duration;

use vestibule_protocol::{ErrorCode, OAuthError, Params, Reason};

use crate::authenticate;
use crate::context::{Context, Ctx};
use crate::identity::link::purpose_of;
use crate::store::application::Application;
use crate::store::association::{self, Association};
use crate::store::user::{self, User};
use crate::upstream::{Provider, ProviderTokens};

/// A token that ends within so many seconds has ended, as python-social-auth has it.
const EARLY: i64 = 5;
/// Seconds after which whoever could not be served may ask again.
const RETRY_AFTER: u32 = 2;
/// How often those who wait look.
const GLANCE: Duration = Duration::from_millis(100);

/// A token for the provider's API. No `Debug`: it is one.
pub struct Fetched {
    /// What goes to the provider's API.
    pub access_token: String,
    /// How it is used there.
    pub token_type: String,
    /// Seconds until it ends, if the provider has said so.
    pub expires_in: Option<i64>,
    /// What it may, if the provider has said so.
    pub scope: Option<String>,
    /// The secret of an OAuth 1.0a token.
    pub token_secret: Option<String>,
    /// The association that it belongs to.
    pub association_id: i64,
}

/// A person's token of a provider, for an application whose credentials were right.
///
/// # Errors
/// `unauthorized_client` for an application that the operator does not trust with such tokens; `invalid_request` for
/// parameters that name nobody; `invalid_grant` with the [`Reason`] where there is no token to be had without the person.
pub async fn fetch(cx: &Ctx, application: &Application, params: &Params) -> Result<Fetched, OAuthError> {
    if !application.metadata.provider_tokens {
        let sentence = "This application may not fetch people's tokens of providers; its operator can allow it \
                        (vestibule app update CLIENT_ID --provider-tokens).";
        return Err(OAuthError::new(ErrorCode::UnauthorizedClient, sentence).with_status(403));
    }
    let backend = params.required("backend")?;
    let provider = cx.upstream.provider(backend).ok_or_else(|| {
        OAuthError::invalid_request("No enabled backend has this name (GET backends lists them).")
            .with_reason(Reason::UnknownBackend)
            .with_field("backend")
    })?;
    let forced = match params.get("refresh") {
        None | Some("false") => false,
        Some("true") => true,
        Some(_) => return Err(OAuthError::invalid_request("`refresh` is `true` or `false`.").with_field("refresh")),
    };
    let person = person(cx, params).await?;
    let association = choose(cx, provider, &person, params.get("association_id")).await?;
    let id = association.id;
    let (tokens, is_fresh) = usable(cx, provider, association, forced).await?;
    let fetched = answer(cx, provider, id, tokens, params.get("scope"))?;
    tracing::info!(
        client_id = application.client_id,
        user_id = person.id,
        backend,
        association_id = id,
        refreshed = is_fresh,
        "a provider's token was fetched"
    );
    Ok(fetched)
}

/// Whose token is asked for: by our number, by username, or by an access token of ours that is theirs.
async fn person(cx: &Context, params: &Params) -> Result<User, OAuthError> {
    let given: Vec<&'static str> =
        ["user_id", "username", "subject_token"].into_iter().filter(|name| params.get(name).is_some()).collect();
    let (name, value) = match given.as_slice() {
        [only] => (*only, params.required(only)?),
        [] => {
            let sentence = "Say whose token: `user_id`, `username` or `subject_token` is required.";
            return Err(OAuthError::invalid_request(sentence).with_field("user_id"));
        }
        _ => {
            return Err(OAuthError::invalid_request(
                "Send one of `user_id`, `username` and `subject_token`, not several.",
            ));
        }
    };
    let nobody = |sentence: &'static str| OAuthError::invalid_request(sentence).with_field(name);
    let found = match name {
        "user_id" => {
            let id: i64 = value.parse().map_err(|_| nobody("`user_id` is a whole number."))?;
            user::find(&cx.db, id).await?
        }
        "username" => user::find_by_username(&cx.db, value).await?,
        _ => {
            let token = authenticate::access_token(cx, value).await?;
            let token = token
                .ok_or_else(|| nobody("`subject_token` is not an access token of this server that is good now."))?;
            let is_bound =
                token.context.as_ref().is_some_and(|context| context.jkt.is_some() || context.certificate.is_some());
            if is_bound {
                return Err(nobody("A token that is bound to a key cannot stand for its person here."));
            }
            token.user.clone()
        }
    };
    let found = found.ok_or_else(|| nobody("There is no such person."))?;
    if !found.is_active {
        return Err(inactive());
    }
    Ok(found)
}

fn inactive() -> OAuthError {
    let sentence = "This person's account was deactivated; its administrator can activate it.";
    OAuthError::invalid_grant(sentence).with_reason(Reason::PersonInactive)
}

fn not_connected(provider: &Provider) -> OAuthError {
    OAuthError::invalid_grant(format!(
        "This person has no account of {} connected here: they sign in with it first, or connect it (POST connect-backend).",
        provider.title()
    ))
}

/// The association that is meant.
async fn choose(
    cx: &Context,
    provider: &Provider,
    person: &User,
    wanted: Option<&str>,
) -> Result<Association, OAuthError> {
    let mut own = association::of_user(&cx.db, person.id).await?;
    own.retain(|association| association.provider == provider.name());
    if let Some(wanted) = wanted {
        let none = || {
            OAuthError::invalid_request("This person has no such association with this backend.")
                .with_field("association_id")
        };
        let id: i64 = wanted.parse().map_err(|_| none())?;
        return own.into_iter().find(|association| association.id == id).ok_or_else(none);
    }
    if own.len() > 1 {
        let ids: Vec<_> = own.iter().map(|association| association.id.to_string()).collect();
        let sentence = format!(
            "This person has several accounts of {} connected; name one by `association_id`: {}.",
            provider.title(),
            ids.join(", ")
        );
        return Err(OAuthError::invalid_request(sentence).with_field("association_id"));
    }
    own.pop().ok_or_else(|| not_connected(provider))
}

/// Tokens of which the access token is good for a while, and whether the provider was asked for them now.
async fn usable(
    cx: &Ctx,
    provider: &Provider,
    first: Association,
    forced: bool,
) -> Result<(ProviderTokens, bool), OAuthError> {
    let tokens = open(cx, provider, &first)?;
    if !forced && is_good(cx, &tokens) {
        return Ok((tokens, false));
    }
    must_be_renewable(provider, &tokens)?;
    cx.upstream.renewable(provider, &tokens)?;
    let read = first.sealed_tokens.clone().unwrap_or_default();
    let patience = cx.settings.outbound.timeout.saturating_mul(2);
    let started = tokio::time::Instant::now();
    let mut now_stored = first;
    loop {
        let now = cx.clock.now();
        let is_asked = now_stored.refreshing_until.is_some_and(|until| until > now);
        if !is_asked && now_stored.sealed_tokens.as_ref() == Some(&read) {
            let until = now + lease(cx);
            if association::begin_refresh(&cx.db, now_stored.id, read.clone(), now, until).await? {
                return Ok((ask(cx, provider, now_stored, tokens, until).await?, true));
            }
        } else if now_stored.sealed_tokens.as_ref() != Some(&read) {
            // Whoever asked has brought these, or the person has signed in anew.
            let tokens = open(cx, provider, &now_stored)?;
            if tokens.is_ended {
                return Err(ended(provider));
            }
            return if is_good(cx, &tokens) { Ok((tokens, true)) } else { Err(busy(provider)) };
        }
        if started.elapsed() > patience {
            return Err(busy(provider));
        }
        tokio::time::sleep(GLANCE).await;
        let was_asked = is_asked;
        let (found, owner) =
            association::find_by_id(&cx.db, now_stored.id).await?.ok_or_else(|| not_connected(provider))?;
        if !owner.is_active {
            return Err(inactive());
        }
        // It was asked, and brought nothing: asking it again for each who waited would not help it.
        if was_asked && found.refreshing_until.is_none() && found.sealed_tokens.as_ref() == Some(&read) {
            return Err(busy(provider));
        }
        now_stored = found;
    }
}

/// Longer than asking can take: the discovery document, then the token endpoint.
fn lease(cx: &Context) -> i64 {
    i64::try_from(cx.settings.outbound.timeout.as_secs()).unwrap_or(60).saturating_mul(2).saturating_add(5)
}

/// Asks the provider, and stores what it gives. It runs to its end also where whoever wanted the tokens goes away: the
/// provider may have ended the old ones.
async fn ask(
    cx: &Ctx,
    provider: &Provider,
    association: Association,
    tokens: ProviderTokens,
    until: i64,
) -> Result<ProviderTokens, OAuthError> {
    let (cx, name) = (cx.clone(), provider.name().to_owned());
    let asked = tokio::spawn(async move {
        let outcome = match cx.upstream.provider(&name) {
            Some(provider) => renew(&cx, provider, &association, &tokens).await,
            None => Err(failed("the provider is gone")),
        };
        let ended = association::end_refresh(&cx.db, association.id, until).await;
        let tokens = outcome?;
        ended?;
        Ok(tokens)
    });
    asked.await.unwrap_or_else(|error| Err(failed(error)))
}

async fn renew(
    cx: &Context,
    provider: &Provider,
    association: &Association,
    tokens: &ProviderTokens,
) -> Result<ProviderTokens, OAuthError> {
    let fresh = match cx.upstream.refresh(provider, tokens).await {
        Ok(fresh) => ProviderTokens { scope: narrower(fresh.scope.as_deref(), tokens.scope.as_deref()), ..fresh },
        Err(error) if error.reason == Some(Reason::TokenRejected) => {
            // Marked, so that it is not tried at each request. Whatever is there by now instead is not touched.
            let marked = ProviderTokens { is_ended: true, ..tokens.clone() };
            store(cx, provider, association, &marked).await?;
            return Err(error);
        }
        Err(error) => return Err(error),
    };
    if fresh.access_token.is_none() {
        return Err(no_access_token(provider));
    }
    if store(cx, provider, association, &fresh).await? {
        return Ok(fresh);
    }
    // The person has signed in meanwhile. What they brought stays, but for a refresh token that has just been spent.
    for _ in 0..5 {
        let Some((now_stored, owner)) = association::find_by_id(&cx.db, association.id).await? else {
            return Err(not_connected(provider));
        };
        if !owner.is_active {
            return Err(inactive());
        }
        let newer = open(cx, provider, &now_stored)?;
        if newer.refresh_token.is_none() || newer.refresh_token != tokens.refresh_token {
            break;
        }
        let carried = ProviderTokens { refresh_token: fresh.refresh_token.clone(), ..newer };
        if store(cx, provider, &now_stored, &carried).await? {
            break;
        }
    }
    Ok(fresh)
}

/// Stores tokens in the place of those that were read. `false`: there are others by now.
async fn store(
    cx: &Context,
    provider: &Provider,
    association: &Association,
    tokens: &ProviderTokens,
) -> Result<bool, OAuthError> {
    let sealed = cx.keys.seal(&purpose(provider, association), &tokens.to_json()).map_err(failed)?;
    let read = association.sealed_tokens.clone().unwrap_or_default();
    Ok(association::refreshed(&cx.db, association.id, read, sealed, cx.clock.now()).await?)
}

/// What may be told of the scope of a fresh token: it never grows (RFC 6749 §6).
fn narrower(fresh: Option<&str>, before: Option<&str>) -> Option<String> {
    let words =
        |text: &str| text.split([' ', ',']).filter(|word| !word.is_empty()).map(str::to_owned).collect::<Vec<_>>();
    match (fresh, before) {
        (Some(fresh), Some(before)) => {
            let before = words(before);
            let kept: Vec<_> = words(fresh).into_iter().filter(|word| before.contains(word)).collect();
            Some(kept.join(" "))
        }
        (fresh, before) => fresh.or(before).map(str::to_owned),
    }
}

fn is_good(cx: &Context, tokens: &ProviderTokens) -> bool {
    tokens.access_token.is_some() && tokens.expires_at.is_none_or(|at| at > cx.clock.now() + EARLY)
}

fn must_be_renewable(provider: &Provider, tokens: &ProviderTokens) -> Result<(), OAuthError> {
    if tokens.is_ended {
        return Err(ended(provider));
    }
    if tokens.access_token.is_none() && tokens.refresh_token.is_none() {
        return Err(no_access_token(provider));
    }
    Ok(())
}

/// `association`'s tokens, opened.
fn open(cx: &Context, provider: &Provider, association: &Association) -> Result<ProviderTokens, OAuthError> {
    let Some(sealed) = association.sealed_tokens.as_deref() else { return Err(no_access_token(provider)) };
    let opened = cx.keys.open(&purpose(provider, association), sealed).map_err(failed)?;
    serde_json::from_slice(&opened).map_err(failed)
}

fn purpose(provider: &Provider, association: &Association) -> String {
    purpose_of(provider.name(), &association.uid)
}

fn answer(
    cx: &Context,
    provider: &Provider,
    association_id: i64,
    tokens: ProviderTokens,
    wanted: Option<&str>,
) -> Result<Fetched, OAuthError> {
    if let (Some(wanted), Some(has)) = (wanted, tokens.scope.as_deref()) {
        let has: Vec<&str> = has.split([' ', ',']).collect();
        if let Some(missing) = wanted.split(' ').find(|word| !word.is_empty() && !has.contains(word)) {
            let sentence = format!(
                "The person has not granted `{missing}` at {}: they sign in again with that scope.",
                provider.title()
            );
            return Err(OAuthError::invalid_scope(sentence));
        }
    }
    let kind = if tokens.token_secret.is_some() { "OAuth" } else { "Bearer" };
    Ok(Fetched {
        access_token: tokens.access_token.ok_or_else(|| no_access_token(provider))?,
        token_type: tokens.token_type.unwrap_or_else(|| kind.to_owned()),
        expires_in: tokens.expires_at.map(|at| (at - cx.clock.now()).max(0)),
        scope: tokens.scope,
        token_secret: tokens.token_secret,
        association_id,
    })
}

fn ended(provider: &Provider) -> OAuthError {
    let sentence = format!("{} has ended this access: the person must sign in with it again.", provider.title());
    OAuthError::invalid_grant(sentence).with_reason(Reason::TokenRejected)
}

fn no_access_token(provider: &Provider) -> OAuthError {
    let sentence = format!(
        "No access token of {} is kept for this person (an ID token alone brings none): they sign in with it in a browser, or their application sends a `code`.",
        provider.title()
    );
    OAuthError::invalid_grant(sentence).with_reason(Reason::TokenRejected)
}

fn busy(provider: &Provider) -> OAuthError {
    let sentence =
        format!("{} is asked for a fresh token already, or has just failed to give one; try again.", provider.title());
    OAuthError::unavailable(sentence, RETRY_AFTER).with_reason(Reason::ProviderUnreachable)
}

fn failed(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> OAuthError {
    OAuthError::new(ErrorCode::ServerError, "The server failed; its log tells why.").with_cause(cause)
}

#[cfg(test)]
mod tests {
    use super::narrower;

    #[test]
    fn a_fresh_token_is_never_told_to_be_more_than_it_was() {
        assert_eq!(narrower(Some("a b c"), Some("c a")).as_deref(), Some("a c"));
        assert_eq!(narrower(Some("a,b"), Some("b,a")).as_deref(), Some("a b"));
        assert_eq!(narrower(None, Some("a")).as_deref(), Some("a"));
        assert_eq!(narrower(Some("a"), None).as_deref(), Some("a"));
        assert_eq!(narrower(None, None), None);
    }
}
