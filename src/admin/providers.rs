//! The catalog of providers: what of it is enabled, what the rest would need, and whether one works.

use serde_json::{Value, json};
use vestibule_protocol::{ErrorCode, OAuthError};

use super::actor::{Actor, Area};
use super::not_found;
use crate::context::{Context, Ctx};
use crate::settings::{Policy, PolicySettings};
use crate::store::audit;
use crate::upstream::{CatalogLine, Trial};

/// Which providers are listed.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wanted<'a> {
    /// What stands in the name or the title, in upper case or lower; empty is everything.
    pub text: &'a str,
    /// What it speaks: `oidc`; empty is everything.
    pub protocol: &'a str,
    /// `enabled`, or the service's own state: `live`, `legacy`, `shut down`; empty is everything.
    pub state: &'a str,
}

impl Wanted<'_> {
    fn has(&self, line: &CatalogLine) -> bool {
        let text = self.text.to_lowercase();
        let is_state = match self.state {
            "" => true,
            "enabled" => line.enabled,
            state => line.entry.status.as_str() == state,
        };
        is_state
            && (line.name.to_lowercase().contains(&text) || line.entry.title.to_lowercase().contains(&text))
            && (self.protocol.is_empty() || line.entry.protocol.as_str() == self.protocol)
    }
}

/// The catalog, the enabled ones first.
///
/// # Errors
/// 403 for whoever may not see it.
pub fn list<'c>(cx: &'c Context, actor: &Actor, wanted: Wanted<'_>) -> Result<Vec<&'c CatalogLine>, OAuthError> {
    actor.must_see(Area::Providers)?;
    let mut lines: Vec<&CatalogLine> = catalog(cx)?.iter().filter(|line| wanted.has(line)).collect();
    lines.sort_by_key(|line| !line.enabled);
    Ok(lines)
}

/// A provider by its backend name.
///
/// # Errors
/// 404 where there is none, 403 for whoever may not see it.
pub fn find<'c>(cx: &'c Context, actor: &Actor, name: &str) -> Result<&'c CatalogLine, OAuthError> {
    actor.must_see(Area::Providers)?;
    catalog(cx)?.iter().find(|line| line.name == name).ok_or_else(gone)
}

fn catalog(cx: &Context) -> Result<&[CatalogLine], OAuthError> {
    // The server would not have started with one that is wrong; a file can have changed since.
    let failed = |sentence: String| {
        OAuthError::new(ErrorCode::ServerError, "The catalog cannot be read; the server's log tells why.")
            .with_cause(sentence)
    };
    cx.upstream.catalog(&cx.settings).map_err(failed)
}

/// Tries a provider as `vestibule provider test` does. It takes as long as the provider does, within `outbound.timeout` a call.
///
/// # Errors
/// 403, 404, 400 for one that is not enabled, and 409 while somebody else tries it.
pub async fn try_out(cx: &Ctx, actor: &Actor, name: &str) -> Result<Trial, OAuthError> {
    actor.must_change(Area::Providers)?;
    find(cx, actor, name)?;
    let provider = cx
        .upstream
        .provider(name)
        .ok_or_else(|| OAuthError::invalid_request("This provider is not enabled, so there is nothing to be tried."))?;
    let trial = cx.upstream.try_out_alone(provider, &cx.settings.redirect_uri(name)).await.ok_or_else(|| {
        OAuthError::invalid_request("Somebody is trying this provider at the moment; try again shortly.")
            .with_status(409)
    })?;
    let entry =
        actor.entry(cx.clock.now(), "provider.test", ("provider", None, name), json!({ "ok": trial.is_good() }));
    cx.db.write(move |tx| Box::pin(async move { audit::note(tx, entry).await })).await?;
    Ok(trial)
}

/// One rule of who gets in by a provider, and as whom.
#[derive(Clone, Debug)]
pub struct Rule {
    /// `allow_signup`
    pub name: String,
    /// What holds.
    pub value: Value,
    /// Whether the provider's own table says so; else `[social]` does.
    pub is_own: bool,
}

/// The rules of a provider that are not as they are anyhow.
pub fn rules(cx: &Context, name: &str) -> Vec<Rule> {
    let own = cx.settings.providers.get(name).map(|own| own.policy.clone()).unwrap_or_default();
    let written = |policy: &Policy| serde_json::to_value(policy).unwrap_or_default();
    let (usual, holds) = (written(&Policy::default()), written(&own.over(&cx.settings.social)));
    let own = serde_json::to_value(&own).unwrap_or_default();
    let rule = |name: &&str| {
        let is_own = own.get(*name).is_some_and(|value| !value.is_null());
        let value = holds.get(*name).cloned().unwrap_or_default();
        (is_own || usual.get(*name) != Some(&value)).then(|| Rule { name: (*name).to_owned(), value, is_own })
    };
    PolicySettings::NAMES.iter().filter_map(rule).collect()
}

/// A provider as it is shown to programs; no secret is in it.
pub fn described(cx: &Context, line: &CatalogLine) -> Value {
    let rules: serde_json::Map<String, Value> =
        rules(cx, &line.name).into_iter().map(|rule| (rule.name, rule.value)).collect();
    json!({
        "name": line.name,
        "title": line.entry.title,
        "protocol": line.entry.protocol.as_str(),
        "status": line.entry.status.as_str(),
        "note": line.entry.note,
        "enabled": line.enabled,
        "needs": line.needs,
        "missing": line.missing,
        "settings": line.values,
        "audience_check": line.audience_check,
        "redirect_uri": cx.settings.redirect_uri(&line.name),
        "register": line.entry.register,
        "policy": rules,
    })
}

fn gone() -> OAuthError {
    not_found("There is no provider of this name.")
}
