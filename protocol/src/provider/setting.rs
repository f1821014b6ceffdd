//! What a provider needs beside a client id and a secret: a tenant, a domain, a key. Each has a kind, so that a value of an
//! operator's cannot break the URL that it goes into.

use serde::Deserialize;
use serde_json::Value;

/// `[settings.NAME]`
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SettingRule {
    /// What it may be.
    pub kind: SettingKind,
    /// What it is where the operator says nothing; without one, the operator must.
    pub default: Option<toml::Value>,
    /// Whether it may stay empty.
    pub optional: bool,
    /// What it is for, in a sentence.
    pub description: Option<String>,
}

/// `settings.NAME.kind`
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum SettingKind {
    /// A plain word, fit for a host or a path: letters, digits, `.`, `_` and `-`.
    #[default]
    Word,
    /// A host, with a port if need be; a scheme before it and a slash behind are taken off.
    Host,
    /// An http or https URL; a slash at its end is taken off.
    Url,
    /// Any text in one line.
    Text,
    /// Several texts.
    List,
    /// True or false.
    Flag,
    /// A text that is never shown: a key, a certificate, also of several lines.
    Secret,
    /// A table that the protocol's driver reads itself.
    Table,
}

impl SettingKind {
    /// The word of the entry.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Word => "word",
            Self::Host => "host",
            Self::Url => "url",
            Self::Text => "text",
            Self::List => "list",
            Self::Flag => "flag",
            Self::Secret => "secret",
            Self::Table => "table",
        }
    }

    /// The value, checked and written as this kind is used.
    ///
    /// # Errors
    /// What it may be.
    pub fn read(self, value: &toml::Value) -> Result<Setting, String> {
        let text = match value {
            toml::Value::String(text) => Some(text.trim().to_owned()),
            toml::Value::Integer(number) => Some(number.to_string()),
            // `api_version = 24.0`
            toml::Value::Float(number) => Some(format!("{number:?}")),
            _ => None,
        };
        let wants = |what: &str| match &text {
            Some(text) if self != Self::Secret => Err(format!("`{text}` is not {what}")),
            _ => Err(format!("is not {what}")),
        };
        match (self, &text) {
            (Self::Word, Some(text)) if is_word(text) => Ok(Setting::Text(text.clone())),
            (Self::Word, _) => wants("a word of letters, digits, `.`, `_` and `-`"),
            (Self::Host, Some(text)) => match host(text) {
                Some(host) => Ok(Setting::Text(host)),
                None => wants("a host"),
            },
            (Self::Url, Some(text)) => match url(text) {
                Some(url) => Ok(Setting::Text(url)),
                None => wants("an http or https URL without query and fragment"),
            },
            (Self::Text, Some(text)) if !text.chars().any(char::is_control) => Ok(Setting::Text(text.clone())),
            (Self::Text, _) => wants("a text in one line"),
            (Self::Secret, Some(text)) => Ok(Setting::Secret(text.clone())),
            (Self::List, _) => {
                let one = |item: &toml::Value| item.as_str().map(str::to_owned);
                let items: Option<Vec<String>> = value.as_array().and_then(|items| items.iter().map(one).collect());
                items.map(Setting::List).ok_or_else(|| "is not a list of texts".to_owned())
            }
            (Self::Flag, _) => value.as_bool().map(Setting::Flag).ok_or_else(|| "is not true or false".to_owned()),
            (Self::Table, _) => {
                value.as_table().cloned().map(Setting::Table).ok_or_else(|| "is not a table".to_owned())
            }
            (Self::Host, None) => wants("a host"),
            (Self::Url, None) => wants("an http or https URL"),
            (Self::Secret, None) => wants("a text"),
        }
    }
}

/// A setting's value. `Debug` shows no secret.
#[derive(Clone, PartialEq)]
pub enum Setting {
    /// A word, a host, a URL or a text.
    Text(String),
    /// Never shown.
    Secret(String),
    /// Several.
    List(Vec<String>),
    /// True or false.
    Flag(bool),
    /// For a driver.
    Table(toml::Table),
}

impl Setting {
    /// The text; empty for what is none.
    pub fn text(&self) -> &str {
        match self {
            Self::Text(text) | Self::Secret(text) => text,
            _ => "",
        }
    }

    /// What expressions may read: no secret, and no table.
    pub fn shown(&self) -> Option<Value> {
        match self {
            Self::Text(text) => Some(Value::String(text.clone())),
            Self::List(items) => Some(items.iter().cloned().map(Value::String).collect()),
            Self::Flag(yes) => Some(Value::Bool(*yes)),
            Self::Secret(_) | Self::Table(_) => None,
        }
    }
}

impl std::fmt::Debug for Setting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.shown() {
            Some(value) => write!(f, "{value}"),
            None => f.write_str("(hidden)"),
        }
    }
}

/// It goes into a host or a path: no `/`, no `@`, no `..`.
fn is_word(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    text.starts_with(|c: char| c.is_ascii_alphanumeric()) && text.chars().all(plain) && !text.contains("..")
}

fn host(text: &str) -> Option<String> {
    let bare = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://")).unwrap_or(text);
    let bare = bare.trim_end_matches('/');
    let (name, port) = bare.split_once(':').map_or((bare, None), |(name, port)| (name, Some(port)));
    (is_word(name) && port.is_none_or(|port| port.parse::<u16>().is_ok())).then(|| bare.to_owned())
}

fn url(text: &str) -> Option<String> {
    let parsed = url::Url::parse(text).ok()?;
    let plain = matches!(parsed.scheme(), "http" | "https")
        && parsed.has_host()
        && parsed.username().is_empty()
        && parsed.password().is_none()
        && parsed.query().is_none()
        && parsed.fragment().is_none()
        && !text.contains(['{', '}']);
    plain.then(|| text.trim_end_matches('/').to_owned())
}
