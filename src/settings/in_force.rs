//! What is in force, key by key, and where each value came from.
//!
//! The lines are made of the settings as they are written out again, so none can be forgotten. No secret is in them: what
//! is [`Hidden`](super::Hidden) is written as a mark.

use std::collections::BTreeMap;

use serde::{Serialize, Serializer};
use serde_json::{Value, json};

use super::{Hidden, HookSettings, KEYS, Key, ProviderSettings, Settings};

/// Where a value came from; a later one of these goes before an earlier one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(tag = "kind", content = "name", rename_all = "lowercase")]
pub enum Origin {
    /// Nothing said anything.
    Default,
    /// The program that this server is a part of.
    Program,
    /// A file, by its path.
    File(String),
    /// An environment variable, by its name.
    Environment(String),
    /// A flag of the command line: `--listen`.
    Flag(String),
}

impl Origin {
    /// The word for it.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::Program => "program",
            Self::File(_) => "file",
            Self::Environment(_) => "environment",
            Self::Flag(_) => "flag",
        }
    }

    /// Which file, variable or flag.
    pub fn name(&self) -> &str {
        match self {
            Self::Default | Self::Program => "",
            Self::File(name) | Self::Environment(name) | Self::Flag(name) => name,
        }
    }
}

/// Where values came from, as whoever merged them has noted it. Settings that a program makes have none.
#[derive(Clone, Debug, Default)]
pub struct Origins(BTreeMap<Vec<String>, Origin>);

impl Origins {
    /// The value under this key came from there, whatever was said of it before.
    pub fn note(&mut self, path: Vec<String>, origin: Origin) {
        self.0.retain(|own, _| !own.starts_with(&path));
        self.0.insert(path, origin);
    }

    fn of(&self, path: &[String]) -> Option<&Origin> {
        let below = self.0.range(path.to_vec()..).take_while(|(own, _)| own.starts_with(path));
        below.map(|(_, origin)| origin).max()
    }
}

/// One key as it is in force.
#[derive(Clone, Debug, Serialize)]
pub struct Line {
    /// The key with its tables: `providers.github.client_id`.
    pub name: String,
    /// Whether there is a value.
    pub is_set: bool,
    /// The value; `null` where there is none, and of a secret.
    pub value: Value,
    /// See [`Key::default`].
    pub default: &'static str,
    /// See [`Key::sentence`].
    pub sentence: &'static str,
    /// Where it came from.
    pub origin: Origin,
}

impl Line {
    /// The value as people read it; `None` where there is none or it is a secret.
    pub fn text(&self) -> Option<String> {
        match &self.value {
            Value::Null => None,
            Value::String(text) => Some(text.clone()),
            other => Some(other.to_string()),
        }
    }
}

/// What is said of the keys of a catalog entry.
const OF_ENTRY: &str = "A key of this provider's catalog entry.";

impl Settings {
    /// Every key there is, as it is in force. Of a table with a name of the operator's (`providers.NAME`, `hooks.NAME`) only
    /// the keys that are not as they are anyhow.
    pub fn in_force(&self) -> Vec<Line> {
        let scopes = self.scopes().into_iter().map(|(name, what)| (name.to_owned(), what.to_owned())).collect();
        let whole = Self { public_url: Some(self.public_url()), scopes, ..self.clone() };
        let all = All {
            written: written(self),
            whole: written(&whole),
            default: written(&Self::default()),
            origins: &self.origins,
        };
        let mut lines = Vec::new();
        for keys in KEYS.chunk_by(|one, other| table_of(one) == table_of(other)) {
            match keys.first().and_then(table_of) {
                None => lines.extend(keys.iter().map(|key| all.line(key, path_of(key, "")))),
                Some(table) => all.named(table, keys, &mut lines),
            }
        }
        lines
    }
}

/// The settings in the three ways in which they are compared.
struct All<'a> {
    written: Value,
    whole: Value,
    default: Value,
    origins: &'a Origins,
}

impl All<'_> {
    fn line(&self, key: &Key, path: Vec<String>) -> Line {
        let value = at(&self.whole, &path).cloned().unwrap_or_default();
        let is_as_default = at(&self.written, &path) == at(&self.default, &path);
        let otherwise = || if is_as_default { Origin::Default } else { Origin::Program };
        Line {
            name: path.join("."),
            is_set: !value.is_null(),
            value: if value == mark() { Value::Null } else { value },
            default: key.default,
            sentence: key.sentence,
            origin: self.origins.of(&path).cloned().unwrap_or_else(otherwise),
        }
    }

    /// The lines of a table whose members have names of the operator's.
    fn named(&self, table: &str, keys: &[Key], lines: &mut Vec<Line>) {
        let usual = match table {
            "providers" => written(&ProviderSettings::default()),
            "hooks" => written(&HookSettings::default()),
            _ => Value::Null,
        };
        let parts: Vec<String> = table.split('.').map(str::to_owned).collect();
        for (name, members) in at(&self.whole, &parts).and_then(Value::as_object).into_iter().flatten() {
            for key in keys {
                let path = path_of(key, name);
                let own = path.get(parts.len() + 1).map_or("", String::as_str);
                if own.is_empty() || members.get(own) != usual.get(own) || self.origins.of(&path).is_some() {
                    lines.push(self.line(key, path));
                }
            }
            for member in members.as_object().into_iter().flatten().map(|(member, _)| member) {
                let path = [&parts[..], &[name.clone(), member.clone()]].concat();
                if !keys.iter().any(|key| path_of(key, name) == path) {
                    lines.push(self.line(&Key { name: "", default: "", sentence: OF_ENTRY }, path));
                }
            }
        }
    }
}

/// `providers` of `providers.*.client_id`, `outbound.origin_map` of `outbound.origin_map.*`.
fn table_of(key: &Key) -> Option<&'static str> {
    key.name.split_once(".*").map(|(table, _)| table)
}

fn path_of(key: &Key, name: &str) -> Vec<String> {
    key.name.split('.').map(|part| if part == "*" { name } else { part }.to_owned()).collect()
}

fn at<'v>(value: &'v Value, path: &[String]) -> Option<&'v Value> {
    path.iter().try_fold(value, |value, part| value.get(part)).filter(|value| !value.is_null())
}

fn written(settings: &impl Serialize) -> Value {
    serde_json::to_value(settings).unwrap_or_default()
}

/// What stands in the place of a secret.
fn mark() -> Value {
    json!({ "is_set": true })
}

impl Serialize for Hidden {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.reveal().is_empty() { serializer.serialize_none() } else { mark().serialize(serializer) }
    }
}

/// A catalog entry's keys; which of their values are secret only the entry tells, so none is written.
pub(super) fn serialize_entry<S: Serializer>(entry: &toml::Table, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(entry.keys().map(|key| (key, mark())))
}

/// A database's address without the password that may stand in it.
pub(super) fn serialize_database_url<S: Serializer>(url: &str, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&without_password(url))
}

/// A database's address without the password that may stand in it, before the host or as a parameter.
pub(super) fn without_password(url: &str) -> String {
    match url::Url::parse(url) {
        Ok(mut parsed) if parsed.password().is_some() || parsed.query().is_some() => {
            // Only an address without a host takes no password, and that had none.
            let _ = parsed.set_password(None);
            parsed.set_query(None);
            parsed.to_string()
        }
        Ok(_) => url.to_owned(),
        // It is not known where in it a password would stand.
        Err(_) => url.split_once("://").map_or_else(String::new, |(scheme, _)| format!("{scheme}://…")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::super::{KEYS, Settings};
    use super::{Line, Origin, path_of, without_password};

    /// Settings in which every key is set; `*` is `mine`.
    fn full() -> Settings {
        let mut text = String::new();
        let mut settings = Settings::default();
        for key in KEYS {
            let value = match key.name {
                "scopes.*" | "outbound.origin_map.*" => "\"x\"",
                "providers.*.enabled" => "true",
                "providers.*.auth_extra_arguments" => "{ prompt = \"x\" }",
                _ if key.default.is_empty() => "\"hush-hush\"",
                _ => key.default,
            };
            // One line a key, whatever table went before.
            text += &format!("{} = {value}\n", path_of(key, "mine").join("."));
            settings.origins.note(path_of(key, "mine"), Origin::File("file.toml".to_owned()));
        }
        Settings { origins: settings.origins, ..toml::from_str(&text).unwrap() }
    }

    fn line(lines: &[Line], name: &str) -> Line {
        lines.iter().find(|line| line.name == name).unwrap_or_else(|| panic!("no line {name}")).clone()
    }

    #[test]
    fn every_key_has_a_line_and_every_value_a_key() {
        let lines = full().in_force();
        for key in KEYS {
            let found = line(&lines, &path_of(key, "mine").join("."));
            assert!(found.is_set && found.origin == Origin::File("file.toml".to_owned()), "{found:?}");
            assert!((found.default, found.sentence) == (key.default, key.sentence));
        }
        assert_eq!(lines.len(), KEYS.len());

        fn leaves(value: &Value, path: &str, found: &mut Vec<String>) {
            match value.as_object().filter(|object| !object.is_empty()) {
                Some(object) => object.iter().for_each(|(name, value)| leaves(value, &format!("{path}.{name}"), found)),
                None => found.push(path.trim_start_matches('.').to_owned()),
            }
        }
        let mut found = Vec::new();
        leaves(&super::written(&Settings::default()), "", &mut found);
        for leaf in found {
            let is_known = KEYS.iter().any(|key| key.name == leaf || super::table_of(key) == Some(leaf.as_str()));
            assert!(is_known, "{leaf} is no key of KEYS");
        }
    }

    #[test]
    fn no_secret_is_in_a_line() {
        let mut settings = full();
        settings.database_url = "postgres://ada:hush-hush@db.example/x?password=hush-hush".to_owned();
        let entry = "sp_private_key = 'hush-hush'\nclient_secret = 'hush-hush'\nheaders = { x = 'hush-hush' }";
        settings.providers.insert("saml".to_owned(), toml::from_str(entry).unwrap());

        let lines = settings.in_force();

        for name in [
            "encryption_key",
            "mail.smtp_url",
            "hooks.mine.secret",
            "registration.initial_access_token",
            "providers.mine.client_secret",
            "providers.saml.client_secret",
            "providers.saml.sp_private_key",
            "providers.saml.headers",
        ] {
            let secret = line(&lines, name);
            assert!(secret.is_set && secret.value.is_null() && secret.text().is_none(), "{secret:?}");
        }
        assert_eq!(line(&lines, "database_url").value, "postgres://ada@db.example/x");
        let secrets = ["encryption_key", "smtp_url", "secret", "initial_access_token"];
        let shown = lines.iter().filter(|line| secrets.iter().any(|secret| line.name.ends_with(secret)));
        assert!(!format!("{:?}", shown.collect::<Vec<_>>()).contains("hush"));
        assert!(
            !format!("{:?}", lines.iter().filter(|line| line.name.contains("saml")).collect::<Vec<_>>())
                .contains("hush")
        );
        assert_eq!(without_password("postgres://a:hush@[bad"), "postgres://…");
        assert_eq!(without_password("postgres://me:hush@host/db"), "postgres://me@host/db");
        assert_eq!(without_password("sqlite://vestibule.db"), "sqlite://vestibule.db");
    }

    #[test]
    fn a_value_is_shown_as_it_counts_with_where_it_came_from() {
        let mut settings = Settings { listen: "127.0.0.1:9".to_owned(), ..Settings::default() };
        settings.tokens.refresh_grace = std::time::Duration::from_millis(1_500);

        let lines = settings.in_force();

        let seen = |name: &str| {
            let line = line(&lines, name);
            (line.text().unwrap_or_default(), line.origin.as_str())
        };
        assert_eq!(seen("listen"), ("127.0.0.1:9".to_owned(), "program"));
        assert_eq!(seen("public_url"), ("http://127.0.0.1:9".to_owned(), "default"));
        assert_eq!(seen("tokens.refresh_grace"), ("1500ms".to_owned(), "program"));
        assert_eq!(seen("tokens.access_token_ttl"), ("10h".to_owned(), "default"));
        assert_eq!(seen("sessions.idle_ttl"), ("14d".to_owned(), "default"));
        assert_eq!(seen("scopes.read"), ("Reading scope".to_owned(), "default"));
        assert_eq!(seen("encryption_key"), (String::new(), "default"));
        assert!(!lines.iter().any(|line| line.name.starts_with("providers.")));
    }
}
