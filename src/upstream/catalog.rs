//! The providers that there are: the catalog's entries, with the operator's configuration over them.

use std::collections::BTreeMap;

use super::Provider;
use crate::protocol::provider::{ENTRY_KEYS, Entry, Protocol, SettingRule, merge, unknown_key};
use crate::settings::{ProviderSettings, Settings};

/// The catalog's files.
const FILES: &[&str] = &[
    include_str!("../../catalog/facebook.toml"),
    include_str!("../../catalog/github.toml"),
    include_str!("../../catalog/google-oauth2.toml"),
    include_str!("../../catalog/oidc.toml"),
];

/// What an operator's own OpenID Connect provider starts from.
const OIDC_BASE: &str = include_str!("../../catalog/oidc.toml");

/// A line of `vestibule provider list`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CatalogLine {
    /// The backend name.
    pub name: String,
    /// The name that people know it by.
    pub title: String,
    /// `oauth2` or `oidc`.
    pub protocol: &'static str,
    /// The keys that the operator must set, below `providers.NAME`.
    pub needs: Vec<String>,
    /// Whether they are.
    pub enabled: bool,
    /// Which of its tokens can be tied to our client id.
    pub audience_check: &'static str,
}

/// The catalog's entries by name.
fn entries() -> impl Iterator<Item = (String, toml::Table)> {
    FILES.iter().filter_map(|file| {
        let table: toml::Table = file.parse().ok()?;
        Some((table.get("name")?.as_str()?.to_owned(), table))
    })
}

/// The names of the catalog's providers.
pub fn catalog_names() -> impl Iterator<Item = String> {
    entries().map(|(name, _)| name)
}

/// The keys that may stand in `[providers.NAME]` beside those that every provider has: the tables of an entry, and the
/// settings that this one declares.
pub fn entry_keys(name: &str) -> Vec<String> {
    let tables = ENTRY_KEYS.iter().filter_map(|key| key.split('.').next()).map(str::to_owned);
    let table = entries().find(|(known, _)| known == name).map(|(_, table)| table);
    let declared = table.and_then(|table| table.get("settings")?.as_table().cloned()).unwrap_or_default();
    tables.chain(declared.into_iter().map(|(setting, _)| setting)).collect()
}

/// The enabled providers by name, and a line for every known one.
pub(super) fn read(settings: &Settings) -> Result<(BTreeMap<String, Provider>, Vec<CatalogLine>), String> {
    let mut known = BTreeMap::new();
    for (name, table) in entries() {
        known.insert(name, (table, ProviderSettings::default()));
    }
    let from_catalog = known.clone();
    for (name, ours) in &settings.providers {
        if name == &settings.proprietary_backend_name {
            return Err(format!(
                "providers.{name}: this is the name that this server itself has (proprietary_backend_name)"
            ));
        }
        // It stands in paths, and between blanks in `Authorization: Bearer NAME TOKEN`.
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        if name.is_empty() || !name.bytes().all(plain) {
            return Err(format!("providers.{name}: a provider's name is made of letters, digits, `-`, `_` and `.`"));
        }
        let base = match from_catalog.get(name) {
            Some((table, _)) => table.clone(),
            None => base_for(name, ours)?,
        };
        known.insert(name.clone(), (base, ours.clone()));
    }
    let mut enabled = BTreeMap::new();
    let mut lines = Vec::new();
    for (name, (base, ours)) in known {
        let named = |what: String| format!("providers.{name}: {what}");
        let (entry, extra) = lay_over(base, &ours).map_err(|error| error.under(&name))?;
        let mut line = describe(&entry, &ours);
        let policy = ours.policy.over(&settings.social);
        policy.check().map_err(|(key, why)| format!("providers.{name}.{key}: {why}"))?;
        if let Some(provider) =
            Provider::new(entry, ours, extra, policy, settings.outbound.max_concurrent_calls).map_err(named)?
        {
            line.enabled = true;
            enabled.insert(name.clone(), provider);
        }
        lines.push(line);
    }
    Ok((enabled, lines))
}

/// The beginning of an entry that the catalog does not have.
fn base_for(name: &str, ours: &ProviderSettings) -> Result<toml::Table, String> {
    let named = |title: &str| toml::Table::from_iter([("name".into(), name.into()), ("title".into(), title.into())]);
    match ours.entry.get("protocol").and_then(toml::Value::as_str) {
        Some("oidc") => {
            let mut base: toml::Table = OIDC_BASE.parse().map_err(|error| format!("the catalog: {error}"))?;
            merge(&mut base, named(name));
            Ok(base)
        }
        Some(_) => Ok(named(name)),
        None => Err(format!("providers.{name}.protocol: not set, and the catalog has no provider of that name")),
    }
}

/// What is wrong, and whether it already names its key.
enum Wrong {
    Key(String, String),
    Entry(String),
}

impl Wrong {
    fn under(self, name: &str) -> String {
        match self {
            Self::Key(key, why) => format!("providers.{name}.{key}: {why}"),
            Self::Entry(why) => format!("providers.{name}: {why}"),
        }
    }
}

/// The entry with the operator's keys over it, and the values of its settings.
fn lay_over(mut table: toml::Table, ours: &ProviderSettings) -> Result<(Entry, BTreeMap<String, String>), Wrong> {
    let declared = |table: &toml::Table| {
        let names = table.get("settings").and_then(toml::Value::as_table);
        names.map(|names| names.keys().cloned().collect::<Vec<_>>()).unwrap_or_default()
    };
    let mut over = ours.entry.clone();
    let names: Vec<_> = declared(&table).into_iter().chain(declared(&over)).collect();
    let mut values = BTreeMap::new();
    for name in names {
        if let Some(value) = over.remove(&name) {
            values.insert(name.clone(), setting_value(&value).map_err(|why| Wrong::Key(name, why))?);
        }
    }
    if let Some(key) = unknown_key(&over) {
        return Err(Wrong::Key(key, "there is no such key".into()));
    }
    merge(&mut table, over);
    let entry = Entry::from_table(table).map_err(|error| Wrong::Entry(error.to_string()))?;
    for (name, SettingRule { default }) in &entry.settings {
        if let Some(default) = default {
            values.entry(name.clone()).or_insert_with(|| default.clone());
        }
    }
    Ok((entry, values))
}

/// A setting goes into a host or a path, so it is a plain word: no `/`, no `@`, no `..`.
fn setting_value(value: &toml::Value) -> Result<String, String> {
    let text = match value {
        toml::Value::String(text) => text.clone(),
        toml::Value::Integer(number) => number.to_string(),
        // `api_version = 24.0`
        toml::Value::Float(number) => format!("{number:?}"),
        _ => return Err("not a text".into()),
    };
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    let good = text.starts_with(|c: char| c.is_ascii_alphanumeric()) && text.chars().all(plain) && !text.contains("..");
    if good { Ok(text) } else { Err(format!("`{text}` may hold letters, digits, `.`, `_` and `-` only")) }
}

fn describe(entry: &Entry, ours: &ProviderSettings) -> CatalogLine {
    let mut needs = vec!["client_id".to_owned()];
    if entry.needs_client_secret() {
        needs.push("client_secret".into());
    }
    if entry.protocol == Protocol::Oidc && (entry.issuer.is_none() || ours.entry.contains_key("issuer")) {
        needs.push("issuer".into());
    }
    needs.extend(entry.settings.iter().filter(|(_, rule)| rule.default.is_none()).map(|(name, _)| name.clone()));
    CatalogLine {
        name: entry.name.clone(),
        title: entry.title.clone(),
        protocol: entry.protocol.as_str(),
        needs,
        enabled: false,
        audience_check: match (entry.audience.is_some(), entry.takes_id_tokens() || entry.protocol == Protocol::Oidc) {
            (true, true) => "access token and ID token",
            (true, false) => "access token",
            (false, true) => "ID token only",
            (false, false) => "none",
        },
    }
}
