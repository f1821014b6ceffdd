//! The entries that come with the program, and the operator's own laid over them.

use std::collections::BTreeMap;

use vestibule_protocol::provider::{ENTRY_KEYS, Entry};

use super::Provider;
use crate::settings::{ProviderSettings, Settings};

/// The entries by name; `oidc` is the base of every provider that is not in the catalog.
const ENTRIES: &[(&str, &str)] = &[
    ("facebook", include_str!("../../catalog/facebook.toml")),
    ("github", include_str!("../../catalog/github.toml")),
    ("google-oauth2", include_str!("../../catalog/google-oauth2.toml")),
    ("oidc", include_str!("../../catalog/oidc.toml")),
];
const BASE: &str = "oidc";

/// What `vestibule provider list` tells of a provider.
#[derive(Clone, Debug)]
pub struct CatalogLine {
    /// The backend's name.
    pub name: String,
    /// Its name for people.
    pub title: String,
    /// `oauth2` or `oidc`.
    pub protocol: &'static str,
    /// The settings that it needs.
    pub needs: Vec<String>,
    /// Whether the configuration enables it.
    pub enabled: bool,
    /// Which of its tokens can be tied to our client.
    pub audience_check: &'static str,
}

/// The names of the catalog's providers.
pub fn catalog_names() -> impl Iterator<Item = String> {
    ENTRIES.iter().map(|(name, _)| (*name).to_owned())
}

/// The keys that may stand in `[providers.NAME]` beside those that every provider has.
pub fn entry_keys(name: &str) -> Vec<String> {
    let own = table(name).and_then(|table| table.get("settings").and_then(toml::Value::as_table).cloned());
    let own = own.into_iter().flat_map(|settings| settings.into_iter().map(|(name, _)| name));
    ENTRY_KEYS.iter().map(|key| (*key).to_owned()).chain(own).collect()
}

/// Every provider of the catalog and of the configuration; enabled are those with a client id, and, where there is no
/// entry in the catalog, an issuer or endpoints.
pub(super) fn load(settings: &Settings) -> Result<BTreeMap<String, Provider>, String> {
    let mut providers = BTreeMap::new();
    let max_calls = settings.outbound.max_concurrent_calls;
    for (name, _) in ENTRIES.iter().filter(|(name, _)| *name != BASE || settings.providers.contains_key(BASE)) {
        let own = settings.providers.get(*name).cloned().unwrap_or_default();
        providers.insert((*name).to_owned(), provider(name, own, max_calls)?);
    }
    for (name, own) in &settings.providers {
        if name == &settings.proprietary_backend_name {
            return Err(format!(
                "providers.{name}: this is the name that this server itself has (`proprietary_backend_name`)"
            ));
        }
        if name.is_empty()
            || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
        {
            return Err(format!("providers.{name}: a provider's name is made of letters, digits, `-`, `_` and `.`"));
        }
        if !providers.contains_key(name) {
            providers.insert(name.clone(), provider(name, own.clone(), max_calls)?);
        }
    }
    Ok(providers)
}

fn table(name: &str) -> Option<toml::Table> {
    let (_, text) = ENTRIES.iter().find(|(known, _)| *known == name)?;
    text.parse().ok()
}

fn provider(name: &str, settings: ProviderSettings, max_calls: usize) -> Result<Provider, String> {
    let wrong = |error: &dyn std::fmt::Display| {
        // One line: what the parser draws below its sentence is of no use without the text.
        let sentence = error.to_string();
        format!("providers.{name}: {}", sentence.lines().next_back().unwrap_or(&sentence))
    };
    let known = table(name);
    let is_own = known.is_none();
    let mut written = known.or_else(|| table(BASE)).unwrap_or_default();
    if is_own {
        written.insert("name".to_owned(), name.into());
        written.insert("title".to_owned(), name.into());
        written.remove("example");
        if settings.entry.get("protocol").is_none() {
            return Err(format!(
                "providers.{name}: is not in the catalog (`vestibule provider list`); for one of your own write `protocol = \"oidc\"` and `issuer`"
            ));
        }
    }
    for (key, value) in settings.entry.clone() {
        if let Some(own) =
            written.get_mut("settings").and_then(toml::Value::as_table_mut).and_then(|own| own.get_mut(&key))
        {
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            *own = text.into();
        } else if ENTRY_KEYS.contains(&key.as_str()) {
            lay_over(&mut written, key, value);
        } else {
            return Err(format!("providers.{name}.{key}: unknown key"));
        }
    }
    let entry: Entry = written.try_into().map_err(|error: toml::de::Error| wrong(&error))?;
    entry.check().map_err(|error| wrong(&error))?;
    let enabled = settings.client_id.as_deref().is_some_and(|id| !id.is_empty());
    if enabled && is_own && entry.issuer.is_empty() && entry.profile.iter().all(|request| request.url.is_none()) {
        return Err(format!("providers.{name}.issuer: is missing; without it nothing is known of this provider"));
    }
    if enabled && let Some((missing, _)) = entry.settings.iter().find(|(_, value)| value.is_empty()) {
        return Err(format!("providers.{name}.{missing}: this provider needs it"));
    }
    Ok(Provider::new(entry, settings, enabled, max_calls))
}

/// Tables are merged key by key; everything else is replaced.
fn lay_over(table: &mut toml::Table, key: String, value: toml::Value) {
    match (table.get_mut(&key), value) {
        (Some(toml::Value::Table(below)), toml::Value::Table(above)) => {
            above.into_iter().for_each(|(key, value)| lay_over(below, key, value));
        }
        (_, value) => drop(table.insert(key, value)),
    }
}

impl Provider {
    pub(super) fn line(&self) -> CatalogLine {
        let mut needs = vec!["client_id".to_owned(), "client_secret".to_owned()];
        needs.extend(self.entry.settings.iter().filter(|(_, value)| value.is_empty()).map(|(name, _)| name.clone()));
        let audience_check = match (self.entry.audience.is_some(), self.entry.takes_id_tokens()) {
            (true, true) => "access token and ID token",
            (true, false) => "access token",
            (false, true) => "ID token only",
            (false, false) => "none",
        };
        CatalogLine {
            name: self.name().to_owned(),
            title: self.title().to_owned(),
            protocol: self.protocol(),
            needs,
            enabled: self.enabled,
            audience_check,
        }
    }
}

#[cfg(test)]
mod tests {
    use vestibule_protocol::Profile;
    use vestibule_protocol::provider::Entry;

    use super::{ENTRIES, load};
    use crate::settings::{ProviderSettings, Settings};

    #[test]
    fn every_example_gives_its_profile() {
        for (name, text) in ENTRIES {
            let entry: Entry = toml::from_str(text).unwrap_or_else(|error| panic!("{name}: {error}"));
            entry.check().unwrap_or_else(|error| panic!("{name}: {error}"));
            assert_eq!(&entry.name, name);
            assert!(!entry.examples.is_empty(), "{name} has no example");
            for example in &entry.examples {
                let answer = serde_json::from_str(&example.answer).unwrap();
                assert_eq!(entry.claims.profile(&answer), Ok(Profile::from(example.profile.clone())), "{name}");
            }
        }
    }

    fn with(name: &str, toml: &str) -> Result<(), String> {
        let settings: ProviderSettings = toml::from_str(toml).unwrap();
        load(&Settings { providers: [(name.to_owned(), settings)].into(), ..Settings::default() }).map(|_| ())
    }

    #[test]
    fn a_mistake_in_the_configuration_is_named() {
        assert_eq!(with("mine", "client_id = 'x'\nprotocol = 'oidc'\nissuer = 'https://x.example'"), Ok(()));
        assert_eq!(with("facebook", "client_id = 'x'\napi_version = '23.0'"), Ok(()));
        assert!(with("mine", "client_id = 'x'").unwrap_err().starts_with("providers.mine: is not in the catalog"));
        assert!(with("mine", "client_id = 'x'\nprotocol = 'oidc'").unwrap_err().starts_with("providers.mine.issuer: "));
        assert!(with("github", "tenant = 'x'").unwrap_err().starts_with("providers.github.tenant: "));
        assert!(with("github", "token_passing = 'pigeon'").unwrap_err().starts_with("providers.github: "));
        assert!(with("Django", "client_id = 'x'").unwrap_err().contains("proprietary_backend_name"));
    }
}
