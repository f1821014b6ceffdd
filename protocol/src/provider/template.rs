//! URL templates: `https://host/v{api_version}/me?fields=id&proof={appsecret_proof}`.
//!
//! A value goes into a URL percent-encoded, always: nothing that a client sent can end a parameter or begin a header. And
//! what a client sent never stands before the `?`, where `..` would be a path.

use std::collections::BTreeMap;

use aws_lc_rs::hmac;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::{Deserialize, Deserializer, de};

use crate::hex;

/// RFC 3986 §2.3: everything but the unreserved characters.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Names that every entry may use beside its own settings.
const BUILT_IN: &[&str] = &["token", "client_id", "client_secret", "appsecret_proof", "app_token", "app_token_proof"];

/// A text with `{variables}`, compiled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    source: String,
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    Variable(String),
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
    pub settings: &'a BTreeMap<String, String>,
}

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
            setting => self.settings.get(setting).cloned().unwrap_or_default(),
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
    /// A sentence, where a brace has no partner.
    pub fn parse(source: &str) -> Result<Self, String> {
        let bad = || format!("`{source}`: a brace has no partner");
        let mut parts = Vec::new();
        let mut rest = source;
        while let Some((text, after)) = rest.split_once('{') {
            let (name, after) = after.split_once('}').ok_or_else(bad)?;
            if text.contains('}') || name.is_empty() || name.contains('{') {
                return Err(bad());
            }
            parts.push(Part::Text(text.to_owned()));
            parts.push(Part::Variable(name.to_owned()));
            rest = after;
        }
        if rest.contains('}') {
            return Err(bad());
        }
        parts.push(Part::Text(rest.to_owned()));
        Ok(Self { source: source.to_owned(), parts })
    }

    /// The URL: every value percent-encoded.
    pub fn url(&self, variables: &Variables<'_>) -> String {
        self.fill(|name| utf8_percent_encode(&variables.get(name), ENCODED).to_string())
    }

    /// The text as it is, for a JSON or form body that encodes by itself.
    pub fn plain(&self, variables: &Variables<'_>) -> String {
        self.fill(|name| variables.get(name))
    }

    fn fill(&self, value: impl Fn(&str) -> String) -> String {
        self.parts
            .iter()
            .map(|part| match part {
                Part::Text(text) => text.clone(),
                Part::Variable(name) => value(name),
            })
            .collect()
    }

    fn variables(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().filter_map(|part| match part {
            Part::Variable(name) => Some(name.as_str()),
            Part::Text(_) => None,
        })
    }

    /// Refuses a variable that is neither built in nor a setting of the entry.
    pub(super) fn known(&self, is_setting: impl Fn(&str) -> bool) -> Result<(), String> {
        match self.variables().find(|name| !BUILT_IN.contains(name) && !is_setting(name)) {
            None => Ok(()),
            Some(name) => Err(format!("`{}`: there is no variable `{{{name}}}`", self.source)),
        }
    }

    /// Refuses what is no http URL, and a presented token before its `?`.
    pub(super) fn check_url(&self) -> Result<(), String> {
        let source = &self.source;
        let parsed = url::Url::parse(&self.fill(|_| "x".to_owned()));
        if !parsed.is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host()) {
            return Err(format!("`{source}` is not an http or https URL"));
        }
        let path = source.split('?').next().unwrap_or_default();
        if ["{token}", "{client_secret}", "{app_token}"].iter().any(|variable| path.contains(variable)) {
            return Err(format!("`{source}`: a token or a secret stands only after the `?`"));
        }
        Ok(())
    }

    /// Whether a variable in it is made of our secret.
    pub(super) fn uses_client_secret(&self) -> bool {
        self.variables()
            .any(|name| matches!(name, "client_secret" | "appsecret_proof" | "app_token" | "app_token_proof"))
    }
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
