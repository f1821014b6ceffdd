//! The providers that there are: the catalog's entries, with the operator's files and keys over them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::{Provider, quirk};
use crate::protocol::provider::source::{locate, parse_source};
use crate::protocol::provider::{
    ENTRY_KEYS, Entry, EntryError, Protocol, Setting, Status, merge, unknown_key, with_standards,
};
use crate::settings::{ProviderSettings, Settings};

/// The catalog's files, by name.
const FILES: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/catalog.rs"));

/// A line of `vestibule provider list`.
#[derive(Clone, Debug)]
pub struct CatalogLine {
    /// The backend name.
    pub name: String,
    /// The entry, with the operator's keys over it.
    pub entry: Entry,
    /// The same as TOML, without its examples: no secret is in it.
    pub table: toml::Table,
    /// The keys that the operator has set, with dots: `scope.default`.
    pub changed: Vec<String>,
    /// The keys that the operator must set, below `providers.NAME`.
    pub needs: Vec<String>,
    /// Those of them that are not set.
    pub missing: Vec<String>,
    /// What its settings are, by name, but for those that are secret.
    pub values: BTreeMap<String, Value>,
    /// Whether the catalog has it; else it is the operator's own.
    pub is_in_catalog: bool,
    /// Whether it is enabled.
    pub enabled: bool,
    /// Which of its tokens can be tied to our client id.
    pub audience_check: &'static str,
}

fn embedded(name: &str) -> Option<&'static str> {
    FILES.iter().find(|(own, _)| *own == name).map(|(_, text)| *text)
}

/// The names of the catalog's providers.
pub fn catalog_names() -> impl Iterator<Item = String> {
    FILES.iter().map(|(name, _)| (*name).to_owned())
}

/// The keys that may stand in `[providers.NAME]` beside those that every provider has: the tables of an entry, and the
/// settings that this one declares.
pub fn entry_keys(name: &str) -> Vec<String> {
    let tables = ENTRY_KEYS.iter().filter_map(|key| key.split('.').next()).map(str::to_owned);
    let table: Option<toml::Table> = embedded(name).and_then(|text| text.parse().ok());
    let declared = table.and_then(|table| table.get("settings")?.as_table().cloned()).unwrap_or_default();
    tables.chain(declared.into_iter().map(|(setting, _)| setting)).collect()
}

/// The operator's own files by name: `provider_folder`.
fn files(settings: &Settings) -> Result<BTreeMap<String, (PathBuf, String)>, String> {
    let Some(folder) = &settings.provider_folder else { return Ok(BTreeMap::new()) };
    let wrong = |path: &Path, error: std::io::Error| format!("provider_folder: {}: {error}", path.display());
    let folder = Path::new(folder);
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(folder).map_err(|error| wrong(folder, error))? {
        let path = entry.map_err(|error| wrong(folder, error))?.path();
        let (Some(name), Some("toml")) = (path.file_stem(), path.extension().and_then(|ending| ending.to_str())) else {
            continue;
        };
        let name = name.to_string_lossy().into_owned();
        let text = fs::read_to_string(&path).map_err(|error| wrong(&path, error))?;
        files.insert(name, (path, text));
    }
    Ok(files)
}

/// The enabled providers by name.
pub(super) fn enabled(settings: &Settings) -> Result<BTreeMap<String, Provider>, String> {
    let files = files(settings)?;
    let mut enabled = BTreeMap::new();
    // A file that is wrong is wrong whether it is enabled or not.
    for name in names(settings, &files) {
        if let Some(provider) = Known::read(settings, &files, &name)?.provider(settings)? {
            enabled.insert(name, provider);
        }
    }
    Ok(enabled)
}

/// A line for every provider there is.
///
/// # Errors
/// One line that names what is wrong with the operator's files or keys.
pub fn lines(settings: &Settings) -> Result<Vec<CatalogLine>, String> {
    let files = files(settings)?;
    let mut names = names(settings, &files);
    names.extend(catalog_names());
    names.into_iter().map(|name| Ok(Known::read(settings, &files, &name)?.line(settings))).collect()
}

/// The names of those that the operator says anything about.
fn names(settings: &Settings, files: &BTreeMap<String, (PathBuf, String)>) -> BTreeSet<String> {
    settings.providers.keys().chain(files.keys()).cloned().collect()
}

/// A provider, with everything that was said about it.
struct Known {
    table: toml::Table,
    entry: Entry,
    values: BTreeMap<String, Setting>,
    ours: ProviderSettings,
    changed: Vec<String>,
}

impl Known {
    fn read(settings: &Settings, files: &BTreeMap<String, (PathBuf, String)>, name: &str) -> Result<Self, String> {
        if name == settings.proprietary_backend_name {
            return Err(format!(
                "providers.{name}: this is the name that this server itself has (proprietary_backend_name)"
            ));
        }
        // It stands in paths, and between blanks in `Authorization: Bearer NAME TOKEN`.
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        if name.is_empty() || !name.bytes().all(plain) {
            return Err(format!("providers.{name}: a provider's name is made of letters, digits, `-`, `_` and `.`"));
        }
        let ours = settings.providers.get(name).cloned().unwrap_or_default();
        let mut table = toml::Table::new();
        let mut changed = Vec::new();
        if let Some(text) = embedded(name) {
            table = text.parse().map_err(|error| format!("the catalog: {name}: {error}"))?;
        }
        let file = files.get(name);
        if let Some((path, text)) = file {
            let own = parse_source(text).map_err(|error| format!("{}: {error}", path.display()))?;
            table = base(name, table, &own).ok_or_else(|| format!("{}: line 1: protocol: not set", path.display()))?;
            changed.extend(keys_of(&own));
            merge(&mut table, own);
            let whole = Entry::from_table(table.clone()).and_then(|entry| fits(&entry, name));
            whole.map_err(|error| format!("{}: {}", path.display(), locate(text, &error)))?;
        }
        let mut table = base(name, table, &ours.entry).ok_or_else(|| {
            format!("providers.{name}.protocol: not set, and the catalog has no provider of that name")
        })?;
        let (over, given) = apart(&table, &ours).map_err(|(key, why)| format!("providers.{name}.{key}: {why}"))?;
        changed.extend(keys_of(&over));
        changed.extend(given.keys().cloned());
        merge(&mut table, over);
        let under = |error: EntryError| format!("providers.{name}: {error}");
        let entry = Entry::from_table(table.clone()).map_err(under)?;
        fits(&entry, name).map_err(|EntryError(why)| format!("providers.{name}.{why}"))?;
        let values = values(&entry, given).map_err(|(key, why)| format!("providers.{name}.{key}: {why}"))?;
        Ok(Self { table, entry, values, ours, changed })
    }

    /// `None`: not enabled.
    fn provider(self, settings: &Settings) -> Result<Option<Provider>, String> {
        let name = self.entry.name.clone();
        let policy = self.ours.policy.over(&settings.social);
        policy.check().map_err(|(key, why)| format!("providers.{name}.{key}: {why}"))?;
        let calls = settings.outbound.max_concurrent_calls;
        let provider = Provider::new(self.entry, self.ours, self.values, policy, calls);
        provider.map_err(|what| format!("providers.{name}: {what}"))
    }

    fn line(self, settings: &Settings) -> CatalogLine {
        let entry = &self.entry;
        let mut needs = Vec::new();
        if entry.protocol.needs_client_id() || quirk::needs_client_id(entry) {
            needs.push("client_id".to_owned());
        }
        if entry.needs_client_secret() || quirk::needs_client_secret(entry) {
            needs.push("client_secret".into());
        }
        let says_issuer = entry.issuer.is_some() || entry.discovery.is_some();
        if entry.protocol == Protocol::Oidc && (!says_issuer || self.ours.entry.contains_key("issuer")) {
            needs.push("issuer".into());
        }
        let must = entry.settings.iter().filter(|(_, rule)| rule.default.is_none() && !rule.optional);
        needs.extend(must.map(|(name, _)| name.clone()));
        let is_set = |need: &&String| match need.as_str() {
            "client_id" => self.ours.client_id.is_some(),
            "client_secret" => self.ours.client_secret.as_ref().is_some_and(|secret| !secret.reveal().is_empty()),
            "issuer" => says_issuer,
            setting => self.values.contains_key(setting),
        };
        let missing = needs.iter().filter(|need| !is_set(need)).cloned().collect();
        let by_access_token = entry.audience.is_some() && entry.takes_access_tokens();
        let by_id_token = entry.takes_id_tokens() || entry.protocol == Protocol::Oidc;
        let mut table = with_standards(self.table.clone());
        table.remove("example");
        CatalogLine {
            name: entry.name.clone(),
            is_in_catalog: embedded(&entry.name).is_some(),
            needs,
            missing,
            values: self.values.iter().filter_map(|(name, value)| Some((name.clone(), value.shown()?))).collect(),
            changed: self.changed.clone(),
            audience_check: match (by_access_token, by_id_token) {
                (true, true) => "access token and ID token",
                (true, false) if entry.audience.as_ref().is_some_and(|check| check.is_in_calls()) => "inherent",
                (true, false) => "access token",
                (false, true) => "ID token only",
                (false, false) if entry.protocol.has_codes() => "none",
                (false, false) => "inherent",
            },
            table,
            entry: self.entry.clone(),
            enabled: self.provider(settings).is_ok_and(|provider| provider.is_some()),
        }
    }
}

/// What an entry by itself does not show: that it is the one asked for, and that its quirk is one that there is.
fn fits(entry: &Entry, name: &str) -> Result<(), EntryError> {
    if entry.name != name {
        return Err(EntryError(format!("name: it must be `{name}`")));
    }
    match entry.quirk.as_deref().filter(|quirk| !quirk::is_known(quirk)) {
        Some(quirk) => Err(EntryError(format!("quirk: there is no quirk `{quirk}`"))),
        None => Ok(()),
    }
}

/// The beginning of an entry that the catalog does not have; `None` where nothing says what it speaks.
fn base(name: &str, known: toml::Table, over: &toml::Table) -> Option<toml::Table> {
    if !known.is_empty() {
        return Some(known);
    }
    over.get("protocol")?;
    Some(toml::Table::from_iter([("name".into(), name.into()), ("title".into(), name.into())]))
}

/// The operator's keys: those of the entry, and the values of its settings.
fn apart(table: &toml::Table, ours: &ProviderSettings) -> Result<(toml::Table, toml::Table), (String, String)> {
    let declared = |table: &toml::Table| {
        let names = table.get("settings").and_then(toml::Value::as_table);
        names.map(|names| names.keys().cloned().collect::<Vec<_>>()).unwrap_or_default()
    };
    let mut over = ours.entry.clone();
    let names: Vec<_> = declared(table).into_iter().chain(declared(&over)).collect();
    let given = names.into_iter().filter_map(|name| over.remove(&name).map(|value| (name, value))).collect();
    match unknown_key(&over) {
        Some(key) => Err((key, "there is no such key".into())),
        None => Ok((over, given)),
    }
}

/// What the settings are: as the operator says, else their defaults.
fn values(entry: &Entry, given: toml::Table) -> Result<BTreeMap<String, Setting>, (String, String)> {
    let mut values = BTreeMap::new();
    for (name, rule) in &entry.settings {
        if let Some(value) = given.get(name).or(rule.default.as_ref()) {
            let value = rule.kind.read(value).map_err(|why| (name.clone(), why))?;
            values.insert(name.clone(), value);
        }
    }
    Ok(values)
}

/// Every key of a table, with dots.
fn keys_of(table: &toml::Table) -> Vec<String> {
    let below = |(key, value): (&String, &toml::Value)| match value {
        toml::Value::Table(inner) => keys_of(inner).into_iter().map(|inner| format!("{key}.{inner}")).collect(),
        _ => vec![key.clone()],
    };
    table.iter().flat_map(below).collect()
}

impl CatalogLine {
    /// Whether it cannot be enabled any more.
    pub fn is_shut_down(&self) -> bool {
        self.entry.status == Status::ShutDown
    }
}
