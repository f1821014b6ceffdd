//! A provider's description: one TOML entry, and what it makes of the provider's answers.
//!
//! Everything that a plain provider needs is data: where to ask, how to send the token, JMESPath expressions from the
//! answer to our [`Profile`], and how to find out to whom a token was issued. `catalog/README.md` says every field.
//! Not here: the asking itself (`vestibule::upstream`).

use std::collections::BTreeMap;
use std::fmt;

use aws_lc_rs::hmac;
use jmespath::{Expression, Variable};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::de::{self, Deserialize, Deserializer};
use serde_json::Value;

use crate::jose::{self, Algorithm};
use crate::profile::Profile;

/// A catalog entry as it is written.
#[derive(Clone, Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// The backend's name on the wire.
    pub name: String,
    /// Its name for people.
    pub title: String,
    /// How it speaks.
    pub protocol: Protocol,
    /// The issuers that its ID tokens may name; the first is the one whose discovery document is read.
    #[serde(default, deserialize_with = "one_or_many")]
    pub issuer: Vec<String>,
    /// Where to ask; what is missing comes from the discovery document.
    #[serde(default)]
    pub endpoints: Endpoints,
    /// What to ask for.
    #[serde(default)]
    pub scope: ScopeEntry,
    /// How a code is redeemed.
    #[serde(default)]
    pub token_request: TokenRequest,
    /// How an access token is sent to the provider.
    #[serde(default)]
    pub token_passing: TokenPassing,
    /// What to ask for the profile: the first answer is the profile, later ones stand in it under their names.
    #[serde(default)]
    pub profile: Vec<ProfileRequest>,
    /// From the answers to our words.
    pub claims: Claims,
    /// How to find out to whom an access token was issued.
    pub audience: Option<Audience>,
    /// What is expected of ID tokens.
    #[serde(default)]
    pub id_token: IdTokenEntry,
    /// What texts of people who mix up codes and tokens begin with.
    #[serde(default)]
    pub code_prefixes: Vec<String>,
    /// Settings of this provider's own, with their defaults, for templates; empty: the operator must give it.
    #[serde(default)]
    pub settings: BTreeMap<String, String>,
    /// Answers, and the profiles they give: documentation and test at once.
    #[serde(default, rename = "example")]
    pub examples: Vec<Example>,
}

/// The keys of an [`Entry`] that an operator may write into `[providers.NAME]`.
pub const ENTRY_KEYS: &[&str] = &[
    "title",
    "protocol",
    "issuer",
    "endpoints",
    "token_request",
    "token_passing",
    "profile",
    "claims",
    "audience",
    "id_token",
    "code_prefixes",
];

/// How a provider speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// OAuth 2.0 with a profile endpoint.
    Oauth2,
    /// OpenID Connect.
    Oidc,
}

impl Protocol {
    /// Its name in the catalog.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Oauth2 => "oauth2",
            Self::Oidc => "oidc",
        }
    }
}

/// Addresses; `{name}` stands for a setting.
#[derive(Clone, Debug, Default, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Endpoints {
    /// Where a browser goes.
    pub authorize: Option<Template>,
    /// Where a code is redeemed.
    pub token: Option<Template>,
    /// Where the keys of ID tokens are.
    pub jwks: Option<Template>,
}

/// The scope that sign-in needs.
#[derive(Clone, Debug, Default, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScopeEntry {
    /// Asked for always.
    #[serde(default)]
    pub default: Vec<String>,
    /// Between two; a blank unless written.
    pub separator: Option<String>,
}

/// How a code is redeemed.
#[derive(Clone, Debug, Default, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenRequest {
    /// POST with a form, or GET with a query.
    #[serde(default)]
    pub method: Method,
    /// Where our secret goes.
    #[serde(default)]
    pub client_auth: ClientAuth,
}

/// An HTTP method; a token request's is POST and a question's is GET unless the entry says otherwise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize)]
pub enum Method {
    /// With a query.
    #[serde(rename = "GET")]
    Get,
    /// With a body.
    #[default]
    #[serde(rename = "POST")]
    Post,
}

/// Where our secret goes at the token endpoint.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClientAuth {
    /// Among the parameters.
    #[default]
    ClientSecretPost,
    /// HTTP Basic.
    ClientSecretBasic,
}

/// How an access token is sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TokenPassing {
    /// `Authorization: Bearer …`
    #[default]
    Bearer,
    /// `Authorization: token …`
    Token,
    /// `?access_token=…`
    Query,
}

/// One question about the person.
#[derive(Clone, Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProfileRequest {
    /// Where its answer stands in the first one's; the first has none.
    pub name: Option<String>,
    /// Where to ask; empty: the discovery document's user info endpoint.
    pub url: Option<Template>,
    /// Further parameters.
    #[serde(default)]
    pub query: BTreeMap<String, Template>,
    /// Whether a refusal is no harm.
    #[serde(default)]
    pub optional: bool,
}

/// JMESPath expressions into the answers, or into the claims of an ID token.
#[derive(Clone, Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Claims {
    /// The identifier.
    pub uid: Path,
    /// What the person goes by.
    pub username: Option<Path>,
    /// The address.
    pub email: Option<Path>,
    /// Whether the provider verified it.
    pub email_verified: Option<Path>,
    /// The whole name, where there are no parts.
    pub fullname: Option<Path>,
    /// Given name.
    pub first_name: Option<Path>,
    /// Family name.
    pub last_name: Option<Path>,
}

/// How to find out to whom an access token was issued.
#[derive(Clone, Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Audience {
    /// The question.
    #[serde(default = "get")]
    pub method: Method,
    /// Where.
    pub url: Template,
    /// Its parameters.
    #[serde(default)]
    pub query: BTreeMap<String, Template>,
    /// Its body, as JSON.
    #[serde(default)]
    pub json: BTreeMap<String, Template>,
    /// Whether our id and secret go along by HTTP Basic.
    #[serde(default)]
    pub basic: bool,
    /// Statuses that mean: another client's token.
    #[serde(default)]
    pub foreign_status: Vec<u16>,
    /// Statuses that mean: our credentials are wrong.
    #[serde(default)]
    pub misconfigured_status: Vec<u16>,
    /// The client ids in the answer: a text or a list.
    pub audiences: Path,
    /// The person in the answer, which must be the profile's.
    pub subject: Option<Path>,
    /// Whether the token is good.
    pub valid: Option<Path>,
    /// When it expires, in seconds from now.
    pub expires_in: Option<Path>,
    /// When it expires, in seconds since 1970; 0 is never.
    pub expires_at: Option<Path>,
}

/// What is expected of ID tokens.
#[derive(Clone, Debug, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct IdTokenEntry {
    /// Whether there are any.
    pub accepted: bool,
    /// What may sign them.
    #[serde(deserialize_with = "algorithms")]
    pub algorithms: Vec<Algorithm>,
    /// Whether the provider puts the SHA-256 of the nonce into them.
    pub nonce_hashed: bool,
}

impl Default for IdTokenEntry {
    fn default() -> Self {
        Self { accepted: true, algorithms: jose::DEFAULT_ALGORITHMS.to_vec(), nonce_hashed: false }
    }
}

/// An answer, and the profile it gives.
#[derive(Clone, Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Example {
    /// JSON, with later requests' answers under their names.
    pub answer: String,
    /// What is read out of it.
    pub profile: ExampleProfile,
}

/// A [`Profile`] as it is written.
#[derive(Clone, Debug, Default, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ExampleProfile {
    /// See [`Profile`].
    pub uid: String,
    /// See [`Profile`].
    pub username: Option<String>,
    /// See [`Profile`].
    pub email: Option<String>,
    /// See [`Profile`].
    pub email_verified: bool,
    /// See [`Profile`].
    pub first_name: Option<String>,
    /// See [`Profile`].
    pub last_name: Option<String>,
}

impl From<ExampleProfile> for Profile {
    fn from(written: ExampleProfile) -> Self {
        let ExampleProfile { uid, username, email, email_verified, first_name, last_name } = written;
        Self { uid, username, email, email_verified, first_name, last_name }
    }
}

/// A provider's answer holds no identifier that can be one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the answer has no identifier")]
pub struct NoIdentifier;

impl Claims {
    /// What the answer says of the person. Nothing but these expressions is ever read of it.
    ///
    /// # Errors
    /// [`NoIdentifier`] where `uid` is missing, empty, or neither a text nor a whole number.
    pub fn profile(&self, answer: &Value) -> Result<Profile, NoIdentifier> {
        let text = |path: &Option<Path>| path.as_ref().and_then(|path| path.text(answer));
        let mut profile = Profile {
            uid: self.uid.text(answer).ok_or(NoIdentifier)?,
            username: text(&self.username),
            email: text(&self.email),
            email_verified: self.email_verified.as_ref().is_some_and(|path| path.is_true(answer)),
            first_name: text(&self.first_name),
            last_name: text(&self.last_name),
        };
        if let Some(name) = text(&self.fullname) {
            profile.split_full_name(&name);
        }
        Ok(profile)
    }
}

/// To whom a token was issued, as its provider says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proof {
    /// The client ids.
    pub audiences: Vec<String>,
    /// The person.
    pub subject: Option<String>,
    /// Whether the token is good.
    pub valid: bool,
    /// In seconds since 1970.
    pub expires_at: Option<i64>,
}

impl Audience {
    /// Reads the provider's answer. `now` in seconds since 1970.
    pub fn proof(&self, answer: &Value, now: i64) -> Proof {
        let found = self.audiences.search(answer);
        let audiences = match &found {
            Value::Array(all) => all.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
            Value::String(one) => vec![one.clone()],
            _ => Vec::new(),
        };
        let number = |path: &Option<Path>| {
            path.as_ref().and_then(|path| path.text(answer)).and_then(|text| text.parse::<i64>().ok())
        };
        let expires_at = number(&self.expires_in)
            .map(|seconds| now.saturating_add(seconds))
            .or(number(&self.expires_at).filter(|at| *at > 0));
        Proof {
            audiences,
            subject: self.subject.as_ref().and_then(|path| path.text(answer)),
            valid: self.valid.as_ref().is_none_or(|path| path.is_true(answer)),
            expires_at,
        }
    }
}

/// A JMESPath expression, compiled once.
#[derive(Clone)]
pub struct Path(Expression<'static>);

impl Path {
    /// What it finds; `null` for nothing.
    fn search(&self, answer: &Value) -> Value {
        let found = Variable::from_serializable(answer).and_then(|variable| self.0.search(variable));
        found.ok().and_then(|found| serde_json::to_value(&*found).ok()).unwrap_or(Value::Null)
    }

    /// A text that is not empty, or a whole number as text: 1 and "1" are one person, "01" and 1.0 are not that person.
    fn text(&self, answer: &Value) -> Option<String> {
        match self.search(answer) {
            Value::String(text) if !text.is_empty() && !text.contains('\0') => Some(text),
            Value::Number(number) if number.is_i64() || number.is_u64() => Some(number.to_string()),
            _ => None,
        }
    }

    /// `true`, or "true" as some providers write it.
    fn is_true(&self, answer: &Value) -> bool {
        matches!(self.search(answer), Value::Bool(true)) || self.search(answer) == "true"
    }
}

impl fmt::Debug for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_str())
    }
}

impl<'de> Deserialize<'de> for Path {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        jmespath::compile(&text)
            .map(Self)
            .map_err(|error| de::Error::custom(format!("`{text}` is not JMESPath: {error}")))
    }
}

/// A text with places for values: `https://api.example/{tenant}/me`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template(Vec<Piece>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(String),
    Variable(String),
}

/// What a template's places stand for. `Debug` shows names only.
#[derive(Clone, Default)]
pub struct Variables(BTreeMap<String, String>);

impl fmt::Debug for Variables {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// What may stand in a part of a path without changing what comes after it.
const IN_URL: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

impl Variables {
    /// The variables of one call: our credentials, a token, the provider's settings, and the two proofs that Facebook
    /// asks for (HMAC-SHA-256 under our secret, of the token and of the application's own token `id|secret`).
    pub fn new(client_id: &str, client_secret: &str, token: &str, settings: &BTreeMap<String, String>) -> Self {
        let proof = |of: &str| {
            let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, client_secret.as_bytes()), of.as_bytes());
            jose::hex(tag.as_ref())
        };
        let app_token = format!("{client_id}|{client_secret}");
        let mut all = settings.clone();
        for (name, value) in [
            ("appsecret_proof", proof(token)),
            ("app_token_proof", proof(&app_token)),
            ("client_id", client_id.to_owned()),
            ("client_secret", client_secret.to_owned()),
            ("token", token.to_owned()),
        ] {
            all.insert(name.to_owned(), value);
        }
        Self(all)
    }
}

/// The variables that every provider has.
const COMMON: [&str; 5] = ["appsecret_proof", "app_token_proof", "client_id", "client_secret", "token"];

impl Template {
    /// The text with its values, percent-encoded so that none can reach beyond its place in a URL. Settings that hold a
    /// whole origin (`https://…`) at the beginning stand as they are: they are the operator's.
    pub fn url(&self, variables: &Variables) -> String {
        let mut out = String::new();
        for piece in &self.0 {
            match piece {
                Piece::Text(text) => out.push_str(text),
                Piece::Variable(name) => {
                    let value = variables.0.get(name).map(String::as_str).unwrap_or_default();
                    match out.is_empty() {
                        true => out.push_str(value),
                        false => out.extend(utf8_percent_encode(value, IN_URL)),
                    }
                }
            }
        }
        out
    }

    /// The text with its values as they are: for what is encoded where it is put (a query, JSON).
    pub fn plain(&self, variables: &Variables) -> String {
        let value = |piece: &Piece| match piece {
            Piece::Text(text) => text.clone(),
            Piece::Variable(name) => variables.0.get(name).cloned().unwrap_or_default(),
        };
        self.0.iter().map(value).collect()
    }

    fn variables(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|piece| match piece {
            Piece::Variable(name) => Some(name.as_str()),
            Piece::Text(_) => None,
        })
    }
}

impl<'de> Deserialize<'de> for Template {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let mut pieces = Vec::new();
        let mut rest = text.as_str();
        while let Some((before, after)) = rest.split_once('{') {
            let (name, after) = after
                .split_once('}')
                .ok_or_else(|| de::Error::custom(format!("`{text}` has a brace that is not closed")))?;
            if !before.is_empty() {
                pieces.push(Piece::Text(before.to_owned()));
            }
            pieces.push(Piece::Variable(name.to_owned()));
            rest = after;
        }
        if !rest.is_empty() {
            pieces.push(Piece::Text(rest.to_owned()));
        }
        Ok(Self(pieces))
    }
}

impl Entry {
    /// Checks what a type cannot say.
    ///
    /// # Errors
    /// A sentence that names the key.
    pub fn check(&self) -> Result<(), String> {
        let endpoints = [&self.endpoints.authorize, &self.endpoints.token, &self.endpoints.jwks];
        let of_profile = self.profile.iter().flat_map(|request| request.url.iter().chain(request.query.values()));
        let of_audience = self.audience.iter().flat_map(|audience| {
            std::iter::once(&audience.url).chain(audience.query.values()).chain(audience.json.values())
        });
        for template in endpoints.into_iter().flatten().chain(of_profile).chain(of_audience) {
            for name in template.variables() {
                if !COMMON.contains(&name) && !self.settings.contains_key(name) {
                    return Err(format!(
                        "`{{{name}}}` stands for nothing: it is neither a setting of this provider nor one of {}",
                        COMMON.join(", ")
                    ));
                }
            }
        }
        if self.protocol == Protocol::Oauth2 && self.profile.is_empty() {
            return Err("profile: an oauth2 provider needs at least one request for the profile".to_owned());
        }
        if self.profile.iter().skip(1).any(|request| request.name.is_none()) {
            return Err("profile: every request but the first needs a name".to_owned());
        }
        Ok(())
    }

    /// Whether a posted ID token can be verified: there are issuers, and ID tokens are taken.
    pub fn takes_id_tokens(&self) -> bool {
        self.id_token.accepted && !self.issuer.is_empty()
    }
}

const fn get() -> Method {
    Method::Get
}

fn one_or_many<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    #[derive(serde::Deserialize)]
    #[serde(untagged)]
    enum Written {
        One(String),
        Many(Vec<String>),
    }
    Ok(match Written::deserialize(deserializer)? {
        Written::One(one) => vec![one],
        Written::Many(many) => many,
    })
}

fn algorithms<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Algorithm>, D::Error> {
    let names = Vec::<String>::deserialize(deserializer)?;
    names
        .iter()
        .map(|name| name.parse().map_err(|_| de::Error::custom(format!("`{name}` is no algorithm of RFC 7518"))))
        .collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::json;

    use super::{Entry, Template, Variables};

    fn entry(more: &str) -> Result<Entry, toml::de::Error> {
        let text = format!(
            "name = 'x'\ntitle = 'X'\nprotocol = 'oauth2'\n[claims]\nuid = 'id'\n{more}\n[[profile]]\nurl = 'https://x.example/me'"
        );
        toml::from_str(&text)
    }

    #[test]
    fn an_identifier_is_a_text_or_a_whole_number() {
        // attack 115
        let claims = entry("").unwrap().claims;
        let uid = |id| claims.profile(&json!({ "id": id })).map(|profile| profile.uid).ok();

        assert_eq!(uid(json!(1)), uid(json!("1")));
        assert_eq!(uid(json!("01")).as_deref(), Some("01"));
        assert_eq!(uid(json!(0)).as_deref(), Some("0"));
        for nobody in [json!(1.0), json!(""), json!(null), json!(true), json!([1]), json!({"a": 1}), json!("a\u{0}")] {
            assert_eq!(uid(nobody), None);
        }
        assert!(claims.profile(&json!([])).is_err());
    }

    #[test]
    fn a_value_cannot_reach_beyond_its_place_in_a_url() {
        // attacks 129, 239
        let template: Template = serde_json::from_value(json!("https://x.example/{shop}/me")).unwrap();
        let settings = BTreeMap::from([("shop".to_owned(), "a/../b?c#d\r\nHost: e@f".to_owned())]);

        let url = template.url(&Variables::new("id", "secret", "token", &settings));

        assert_eq!(url, "https://x.example/a%2F..%2Fb%3Fc%23d%0D%0AHost%3A%20e%40f/me");
    }

    #[test]
    fn mistakes_in_an_entry_are_named() {
        assert!(entry("nmae = 'id'").unwrap_err().to_string().contains("nmae"));
        assert!(entry("username = 'a b ['").unwrap_err().to_string().contains("JMESPath"));
        let stray = entry("[endpoints]\ntoken = 'https://{tenant}.example/token'").unwrap();
        assert!(stray.check().unwrap_err().contains("{tenant}"));
    }

    #[test]
    fn debug_of_variables_shows_no_value() {
        assert!(!format!("{:?}", Variables::new("id", "hush", "hush-too", &BTreeMap::new())).contains("hush"));
    }
}
