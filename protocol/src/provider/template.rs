//! URL templates: `https://host/v{api_version}/users/{=token_answer.user_id}?proof={appsecret_proof}`.
//!
//! `{name}` is a variable, `{=expression}` what an expression finds in the answers so far, `{{` and `}}` are braces. A value goes into a URL
//! percent-encoded, always: nothing that somebody sent can end a parameter, climb a path or begin a header. Only a setting
//! of the kinds `url` and `host` stands as it is, because it was checked when it was read.

use std::collections::BTreeMap;

use aws_lc_rs::hmac;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::{Deserialize, Deserializer, de};

use super::expression::{Answer, Expression};
use super::setting::{Setting, SettingKind, SettingRule};
use crate::hex;

/// RFC 3986 §2.3: everything but the unreserved characters.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Names that every entry may use beside its own settings.
const BUILT_IN: &[&str] = &["token", "client_id", "client_secret", "appsecret_proof", "app_token", "app_token_proof"];

/// A text with `{variables}`, compiled.
#[derive(Clone, Debug)]
pub struct Template {
    source: String,
    parts: Vec<Part>,
}

#[derive(Clone, Debug)]
enum Part {
    Text(String),
    Variable(String),
    Expression(Expression),
}

/// What a template's variables stand for.
#[derive(Clone, Copy)]
pub struct Variables<'a> {
    /// The access token that was presented.
    pub token: &'a str,
    /// Our client id at the provider.
    pub client_id: &'a str,
    /// Our secret there.
    pub client_secret: &'a str,
    /// What the operator set beside.
    pub settings: &'a BTreeMap<String, Setting>,
    /// The answers so far.
    pub answer: &'a Answer,
}

/// An expression in a template found nothing that can stand there.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{{={0}}}` found nothing that can stand there")]
pub struct NothingThere(pub String);

impl Variables<'_> {
    fn get(&self, name: &str) -> String {
        let app_token = || format!("{}|{}", self.client_id, self.client_secret);
        match name {
            "token" => self.token.to_owned(),
            "client_id" => self.client_id.to_owned(),
            "client_secret" => self.client_secret.to_owned(),
            "appsecret_proof" => self.proof(self.token),
            "app_token" => app_token(),
            "app_token_proof" => self.proof(&app_token()),
            setting => self.settings.get(setting).map(Setting::text).unwrap_or_default().to_owned(),
        }
    }

    /// HMAC-SHA-256 of a token under our secret, in hexadecimal: shows that whoever has the token also has the secret.
    fn proof(&self, token: &str) -> String {
        let key = hmac::Key::new(hmac::HMAC_SHA256, self.client_secret.as_bytes());
        hex(hmac::sign(&key, token.as_bytes()).as_ref())
    }
}

impl Template {
    /// Compiles a template.
    ///
    /// # Errors
    /// A sentence, where a brace has no partner or an expression is none.
    pub fn parse(source: &str) -> Result<Self, String> {
        let bad = || format!("`{source}`: a brace has no partner");
        let mut parts = Vec::new();
        let mut text = String::new();
        let mut rest = source;
        while let Some(at) = rest.find(['{', '}']) {
            let (before, brace) = rest.split_at(at);
            text.push_str(before);
            if let Some(after) = brace.strip_prefix("{{").or_else(|| brace.strip_prefix("}}")) {
                text.extend(brace.chars().next());
                rest = after;
                continue;
            }
            let (name, after) = brace.strip_prefix('{').and_then(|inner| inner.split_once('}')).ok_or_else(bad)?;
            if name.is_empty() || name.contains('{') {
                return Err(bad());
            }
            parts.push(Part::Text(std::mem::take(&mut text)));
            parts.push(match name.strip_prefix('=') {
                Some(expression) => Part::Expression(Expression::parse(expression)?),
                None => Part::Variable(name.to_owned()),
            });
            rest = after;
        }
        text.push_str(rest);
        parts.push(Part::Text(text));
        Ok(Self { source: source.to_owned(), parts })
    }

    /// As it was written.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// The URL: every value percent-encoded, but for settings that are URLs or hosts themselves. An expression at the very
    /// beginning gives the whole address; [`Template::host_is_from_answer`] says that its host must be looked at.
    ///
    /// # Errors
    /// [`NothingThere`]: a value is missing, or would climb a path.
    pub fn url(&self, variables: &Variables<'_>) -> Result<String, NothingThere> {
        let mut url = String::new();
        for part in &self.parts {
            match part {
                Part::Text(text) => url.push_str(text),
                Part::Expression(expression) if url.is_empty() => {
                    url.push_str(&found(expression, variables)?);
                }
                Part::Expression(expression) => {
                    let value = found(expression, variables)?;
                    if in_path(&url) && matches!(value.as_str(), "." | "..") {
                        return Err(NothingThere(expression.source().to_owned()));
                    }
                    url.extend(utf8_percent_encode(&value, ENCODED));
                }
                // Only these are URLs, hosts or words, and were checked.
                Part::Variable(name) if in_authority(&url) => url.push_str(&variables.get(name)),
                Part::Variable(name) => {
                    let value = variables.get(name);
                    if in_path(&url) && matches!(value.as_str(), "." | "..") {
                        return Err(NothingThere(name.clone()));
                    }
                    url.extend(utf8_percent_encode(&value, ENCODED));
                }
            }
        }
        Ok(url)
    }

    /// The text as it is, for a header, or a JSON or form body that encodes by itself.
    ///
    /// # Errors
    /// As [`Template::url`].
    pub fn plain(&self, variables: &Variables<'_>) -> Result<String, NothingThere> {
        let mut plain = String::new();
        for part in &self.parts {
            match part {
                Part::Text(text) => plain.push_str(text),
                Part::Variable(name) => plain.push_str(&variables.get(name)),
                Part::Expression(expression) => plain.push_str(&found(expression, variables)?),
            }
        }
        Ok(plain)
    }

    fn variables(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().filter_map(|part| match part {
            Part::Variable(name) => Some(name.as_str()),
            _ => None,
        })
    }

    /// The expressions in it.
    pub fn expressions(&self) -> impl Iterator<Item = &Expression> {
        self.parts.iter().filter_map(|part| match part {
            Part::Expression(expression) => Some(expression),
            _ => None,
        })
    }

    /// Whether it needs an answer of the provider's first.
    pub fn needs_an_answer(&self) -> bool {
        self.expressions().next().is_some()
    }

    /// Whether its host comes out of an answer, so that it must be on the entry's list (`endpoints.hosts`).
    pub fn host_is_from_answer(&self) -> bool {
        let mut before = String::new();
        for part in &self.parts {
            match part {
                Part::Text(text) => before.push_str(text),
                Part::Variable(_) => before.push('x'),
                Part::Expression(_) if in_authority(&before) => return true,
                Part::Expression(_) => before.push('x'),
            }
        }
        false
    }

    /// Refuses a variable that is neither built in nor a setting of the entry.
    pub(super) fn known(&self, settings: &BTreeMap<String, SettingRule>) -> Result<(), String> {
        match self.variables().find(|name| !BUILT_IN.contains(name) && !settings.contains_key(*name)) {
            None => Ok(()),
            Some(name) => Err(format!("`{}`: there is no variable `{{{name}}}`", self.source)),
        }
    }

    /// Refuses what is no http URL, a secret before its `?`, and a variable in the host that could be anything.
    pub(super) fn check_url(&self, settings: &BTreeMap<String, SettingRule>) -> Result<(), String> {
        let source = &self.source;
        let mut url = String::new();
        for part in &self.parts {
            match part {
                Part::Text(text) => url.push_str(text),
                Part::Expression(_) if url.is_empty() => url.push_str("https://x.example/x"),
                Part::Expression(_) => url.push('x'),
                Part::Variable(name) => {
                    let kind = settings.get(name).map(|rule| rule.kind);
                    let fits = match kind {
                        Some(SettingKind::Url) => url.is_empty(),
                        Some(SettingKind::Host) => url.ends_with("://"),
                        Some(SettingKind::Word) => !url.is_empty(),
                        Some(SettingKind::Text) => !in_authority(&url),
                        Some(SettingKind::Secret) => in_query(&url),
                        Some(_) => false,
                        None if name == "client_id" => !in_authority(&url),
                        None if name == "token" => !in_authority(&url),
                        None => in_query(&url),
                    };
                    if !fits {
                        return Err(format!("`{source}`: `{{{name}}}` cannot stand there"));
                    }
                    url.push_str(if kind == Some(SettingKind::Url) { "https://x.example" } else { "x" });
                }
            }
        }
        let parsed = url::Url::parse(&url);
        if !parsed.is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host()) {
            return Err(format!("`{source}` is not an http or https URL"));
        }
        Ok(())
    }

    /// Whether a variable in it is made of our secret.
    pub(super) fn uses_client_secret(&self) -> bool {
        self.variables()
            .any(|name| matches!(name, "client_secret" | "appsecret_proof" | "app_token" | "app_token_proof"))
    }
}

fn found(expression: &Expression, variables: &Variables<'_>) -> Result<String, NothingThere> {
    let nothing = || NothingThere(expression.source().to_owned());
    expression.identifier(variables.answer).or_else(|| expression.plain(variables.answer)).ok_or_else(nothing)
}

/// Whether what comes next still belongs to scheme, host or port.
fn in_authority(before: &str) -> bool {
    before.split_once("://").is_none_or(|(_, rest)| !rest.contains(['/', '?', '#']))
}

fn in_query(before: &str) -> bool {
    before.contains('?')
}

fn in_path(before: &str) -> bool {
    !in_authority(before) && !in_query(before)
}

impl<'de> Deserialize<'de> for Template {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}

/// Appends a query parameter to a URL, encoded.
pub fn with_query(url: &str, name: &str, value: &str) -> String {
    let separator = if url.contains('?') { '&' } else { '?' };
    format!("{url}{separator}{}={}", utf8_percent_encode(name, ENCODED), utf8_percent_encode(value, ENCODED))
}
