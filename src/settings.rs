//! Every setting, its default and its sentence; the reference page is generated from [`KEYS`].
//!
//! Not here: where a value comes from (flag, environment, file): the binary merges those and hands over a [`Settings`].

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Deserializer, de};

/// The whole configuration. `Settings::default()` is what an empty file gives.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Address and port to listen on.
    pub listen: String,
    /// What clients see; the issuer is this plus `mount`.
    pub public_url: Option<String>,
    /// Where the OAuth2 endpoints hang.
    pub mount: String,
    /// `sqlite://FILE` or `postgres://USER@HOST/DATABASE`.
    pub database_url: String,
    /// The name this server itself has as a backend.
    pub proprietary_backend_name: String,
    /// The key that seals provider tokens: 32 bytes in base64.
    pub encryption_key: Option<Hidden>,
    /// A file with such keys, one a line: the first seals, all open.
    pub encryption_key_file: Option<String>,
    /// `[database]`
    pub database: DatabaseSettings,
    /// `[http]`
    pub http: HttpSettings,
    /// `[log]`
    pub log: LogSettings,
    /// `[passwords]`
    pub passwords: PasswordSettings,
    /// `[tokens]`
    pub tokens: TokenSettings,
    /// `[scopes]`: name and description; empty stands for `read` and `write`.
    pub scopes: BTreeMap<String, String>,
    /// `[providers.NAME]`
    pub providers: BTreeMap<String, ProviderSettings>,
    /// `[outbound]`
    pub outbound: OutboundSettings,
}

/// `[database]`
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DatabaseSettings {
    /// The most connections to PostgreSQL that one node opens.
    pub max_connections: u32,
    /// How long a request waits for a connection before it is told to come back.
    #[serde(deserialize_with = "duration")]
    pub acquire_timeout: Duration,
    /// How often expired rows are removed.
    #[serde(deserialize_with = "duration")]
    pub cleanup_interval: Duration,
}

/// `[http]`
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HttpSettings {
    /// The largest request body, in bytes.
    pub max_body_bytes: usize,
    /// How long a request may take in all.
    #[serde(deserialize_with = "duration")]
    pub request_timeout: Duration,
    /// How long a client may take to send the head of a request.
    #[serde(deserialize_with = "duration")]
    pub header_timeout: Duration,
    /// How long running requests have to finish after SIGTERM.
    #[serde(deserialize_with = "duration")]
    pub drain_timeout: Duration,
}

/// `[log]`
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LogSettings {
    /// A filter as tracing takes it: `info`, `vestibule=debug`.
    pub level: String,
    /// One JSON object a line, or text for people.
    pub format: LogFormat,
}

/// `log.format`
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    Text,
    /// For machines.
    Json,
}

/// `[passwords]`
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PasswordSettings {
    /// Threads that hash; 0 is one for each processor.
    pub hash_threads: usize,
    /// How many may wait for a hash; beyond that the answer is 503.
    pub hash_queue: usize,
}

/// `[tokens]`
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TokenSettings {
    /// How long an access token lives.
    #[serde(deserialize_with = "duration")]
    pub access_token_ttl: Duration,
    /// How long a refresh token lives when it is not used.
    #[serde(deserialize_with = "duration")]
    pub refresh_token_ttl: Duration,
    /// Whether a refresh gives a new refresh token.
    pub rotate_refresh_tokens: bool,
    /// Within it, the last refresh token asked again gives the same new pair; `0s` is strict.
    #[serde(deserialize_with = "duration")]
    pub refresh_grace: Duration,
    /// What an access token is.
    pub access_token_format: AccessTokenFormat,
    /// Adds `user` {email, first_name, last_name} to the answer, as drf-social-oauth2 does.
    pub user_in_response: bool,
    /// How long a provider's token that was verified in a header is not asked about again.
    #[serde(deserialize_with = "duration")]
    pub provider_token_ttl: Duration,
}

/// `tokens.access_token_format`
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum AccessTokenFormat {
    /// 256 random bits that only this server understands.
    Opaque,
}

/// `[providers.NAME]`
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct ProviderSettings {
    /// Our client id at the provider.
    pub client_id: Option<String>,
    /// Our secret there.
    pub client_secret: Option<Hidden>,
    /// Added to the catalog's default scope.
    pub scope: Vec<String>,
    /// May tokens be converted that cannot be tied to this client?
    pub accept_unverified_audience: bool,
    /// What happens when a new person's e-mail address belongs to an account.
    pub on_taken_email: OnTakenEmail,
    /// Only people with an address in one of these domains; empty is everybody.
    pub allowed_domains: Vec<String>,
    /// Only people with one of these addresses; empty is everybody.
    pub allowed_emails: Vec<String>,
    /// Further client ids of the same project, whose tokens count as ours.
    pub client_ids: Vec<String>,
    /// Whether people we do not know yet may come in; the default is yes.
    pub allow_signup: Option<bool>,
    /// A catalog entry's keys, and what this one provider needs beside (tenant, domain …).
    #[serde(flatten)]
    pub entry: toml::Table,
}

/// `providers.NAME.on_taken_email`
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum OnTakenEmail {
    /// `email_in_use`.
    #[default]
    Refuse,
    /// Into that account, where both sides verified the address.
    Associate,
    /// A second account with the same address.
    Create,
}

/// `[outbound]`
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OutboundSettings {
    /// How long a provider has for a whole answer.
    #[serde(deserialize_with = "duration")]
    pub timeout: Duration,
    /// The largest answer taken from a provider, in bytes after decompression.
    pub max_answer_bytes: usize,
    /// How many calls to one provider may run at once.
    pub max_concurrent_calls: usize,
    /// Whether provider URLs may resolve to loopback and private ranges.
    pub allow_private_addresses: bool,
    /// Rewrites outbound origins. An address named here is the operator's choice and not guarded.
    pub origin_map: BTreeMap<String, String>,
}

/// A secret out of the configuration. `Debug` does not show it.
#[derive(Clone, Deserialize, PartialEq, Eq)]
#[serde(transparent)]
pub struct Hidden(String);

impl Hidden {
    /// Hides this text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Hidden {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("(hidden)")
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            listen: "127.0.0.1:8000".into(),
            public_url: None,
            mount: "/auth".into(),
            database_url: "sqlite://vestibule.db".into(),
            proprietary_backend_name: "Django".into(),
            encryption_key: None,
            encryption_key_file: None,
            database: DatabaseSettings::default(),
            http: HttpSettings::default(),
            log: LogSettings::default(),
            passwords: PasswordSettings::default(),
            tokens: TokenSettings::default(),
            scopes: BTreeMap::new(),
            providers: BTreeMap::new(),
            outbound: OutboundSettings::default(),
        }
    }
}

impl Settings {
    /// What clients see, without a slash at the end.
    pub fn public_url(&self) -> String {
        match &self.public_url {
            Some(url) => url.trim_end_matches('/').to_owned(),
            None => format!("http://{}", self.listen),
        }
    }

    /// Every scope that an application can ask for, beside OpenID Connect's own, with its description.
    pub fn scopes(&self) -> Vec<(&str, &str)> {
        if self.scopes.is_empty() {
            return vec![("read", "Reading scope"), ("write", "Writing scope")];
        }
        self.scopes.iter().map(|(name, description)| (name.as_str(), description.as_str())).collect()
    }
}

impl Default for DatabaseSettings {
    fn default() -> Self {
        Self { max_connections: 16, acquire_timeout: Duration::from_secs(3), cleanup_interval: Duration::from_secs(60) }
    }
}

impl Default for HttpSettings {
    fn default() -> Self {
        Self {
            max_body_bytes: 2 * 1024 * 1024,
            request_timeout: Duration::from_secs(60),
            header_timeout: Duration::from_secs(10),
            drain_timeout: Duration::from_secs(20),
        }
    }
}

impl Default for LogSettings {
    fn default() -> Self {
        Self { level: "info".into(), format: LogFormat::Text }
    }
}

impl Default for PasswordSettings {
    fn default() -> Self {
        Self { hash_threads: 0, hash_queue: 128 }
    }
}

impl Default for TokenSettings {
    fn default() -> Self {
        Self {
            access_token_ttl: Duration::from_secs(36_000),
            refresh_token_ttl: Duration::from_secs(30 * 86_400),
            rotate_refresh_tokens: true,
            refresh_grace: Duration::from_secs(10),
            access_token_format: AccessTokenFormat::Opaque,
            user_in_response: false,
            provider_token_ttl: Duration::from_secs(60),
        }
    }
}

impl Default for OutboundSettings {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(10),
            max_answer_bytes: 1024 * 1024,
            max_concurrent_calls: 64,
            allow_private_addresses: false,
            origin_map: BTreeMap::new(),
        }
    }
}

/// Reads `90s`, `10m`, `10h`, `30d`, `250ms`, or a bare number of seconds.
///
/// # Errors
/// A sentence that names what it takes.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let bad = || format!("`{text}` is not a duration; write a number and a unit: 250ms, 90s, 10m, 10h, 30d");
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().map_err(|_| bad())?;
    let seconds = match unit.trim() {
        "ms" => return Ok(Duration::from_millis(number)),
        "s" | "" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => return Err(bad()),
    };
    // A century is longer than any lifetime that makes sense, and keeps sums of times far from overflow.
    number.checked_mul(seconds).filter(|total| *total <= 100 * 366 * 86_400).map(Duration::from_secs).ok_or_else(bad)
}

fn duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Written {
        Text(String),
        Seconds(u64),
    }
    let text = match Written::deserialize(deserializer) {
        Ok(Written::Text(text)) => text,
        Ok(Written::Seconds(seconds)) => seconds.to_string(),
        Err(_) => {
            return Err(de::Error::custom("not a duration; write a number and a unit: 250ms, 90s, 10m, 10h, 30d"));
        }
    };
    parse_duration(&text).map_err(de::Error::custom)
}

/// A key as the reference page and the check for unknown keys know it. `*` stands for a name of the operator's.
pub struct Key {
    /// The key with its tables: `tokens.access_token_ttl`.
    pub name: &'static str,
    /// The default as one would write it; empty where there is none.
    pub default: &'static str,
    /// What it does.
    pub sentence: &'static str,
}

const fn key(name: &'static str, default: &'static str, sentence: &'static str) -> Key {
    Key { name, default, sentence }
}

/// Every key there is.
pub const KEYS: &[Key] = &[
    key("listen", "\"127.0.0.1:8000\"", "Address and port to listen on."),
    key(
        "public_url",
        "\"http://127.0.0.1:8000\"",
        "What clients see; the issuer is this plus `mount`. Without it, `http://` and the listen address.",
    ),
    key("mount", "\"/auth\"", "Where the OAuth2 endpoints hang."),
    key("database_url", "\"sqlite://vestibule.db\"", "`sqlite://FILE` or `postgres://USER@HOST/DATABASE`."),
    key("proprietary_backend_name", "\"Django\"", "The name this server itself has as a backend."),
    key(
        "encryption_key",
        "",
        "The key that seals provider tokens: 32 random bytes in base64 (`openssl rand -base64 32`). The same on every node.",
    ),
    key(
        "encryption_key_file",
        "",
        "A file with such keys, one a line: the first seals, all open. Without either setting a key is made at the first start: beside the SQLite file, or for PostgreSQL in the user's state directory.",
    ),
    key("database.max_connections", "16", "The most connections to PostgreSQL that one node opens."),
    key("database.acquire_timeout", "\"3s\"", "How long a request waits for a connection before the answer is 503."),
    key("database.cleanup_interval", "\"60s\"", "How often a running server removes what has expired."),
    key("http.max_body_bytes", "2097152", "The largest request body, in bytes; a larger one is 413."),
    key("http.request_timeout", "\"60s\"", "How long a request may take in all."),
    key("http.header_timeout", "\"10s\"", "How long a client may take to send the head of a request."),
    key("http.drain_timeout", "\"20s\"", "How long running requests have to finish after SIGTERM."),
    key(
        "log.level",
        "\"info\"",
        "What is logged: `error`, `warn`, `info`, `debug`, or a filter such as `info,vestibule=debug`.",
    ),
    key("log.format", "\"text\"", "`text` for people, `json` for machines: one object a line."),
    key("passwords.hash_threads", "0", "Threads that hash passwords; 0 is one for each processor."),
    key(
        "passwords.hash_queue",
        "128",
        "How many sign-ins may wait for a hash; beyond that the answer is 503 with `Retry-After`.",
    ),
    key("tokens.access_token_ttl", "\"10h\"", "How long an access token lives."),
    key("tokens.refresh_token_ttl", "\"30d\"", "How long a refresh token lives when it is not used."),
    key("tokens.rotate_refresh_tokens", "true", "Whether a refresh gives a new refresh token and ends the old one."),
    key(
        "tokens.refresh_grace",
        "\"10s\"",
        "Within it, the last refresh token asked again gives the same new pair; `0s` is strict.",
    ),
    key("tokens.access_token_format", "\"opaque\"", "What an access token is."),
    key(
        "tokens.user_in_response",
        "false",
        "Adds `user` {email, first_name, last_name} to the token answer, as drf-social-oauth2 does.",
    ),
    key(
        "tokens.provider_token_ttl",
        "\"60s\"",
        "How long a provider's token that was verified in an `Authorization` header is not asked about again; never past its own expiry.",
    ),
    key(
        "scopes.*",
        "read, write",
        "A scope's name, and its description. With none, there are `read` and `write`. All are default.",
    ),
    key("providers.*.client_id", "", "Our client id at the provider. A provider with one is enabled."),
    key("providers.*.client_secret", "", "Our secret at the provider."),
    key("providers.*.scope", "[]", "Added to the catalog's default scope."),
    key(
        "providers.*.accept_unverified_audience",
        "false",
        "May tokens be converted that cannot be tied to this client? Only for providers that nobody else's application uses.",
    ),
    key(
        "providers.*.on_taken_email",
        "\"refuse\"",
        "A new person's e-mail address belongs to an account: `refuse`, `associate` (into that account, only where both sides verified the address) or `create` (a second account).",
    ),
    key(
        "providers.*.allowed_domains",
        "[]",
        "Only people with an address in one of these domains; empty is everybody.",
    ),
    key("providers.*.allowed_emails", "[]", "Only people with one of these addresses; empty is everybody."),
    key(
        "providers.*.client_ids",
        "[]",
        "Further client ids of the same project (iOS, Android) whose tokens count as ours.",
    ),
    key("providers.*.allow_signup", "true", "Whether people we do not know yet may come in."),
    key("outbound.timeout", "\"10s\"", "How long a provider has for a whole answer."),
    key(
        "outbound.max_answer_bytes",
        "1048576",
        "The largest answer taken from a provider, in bytes after decompression.",
    ),
    key("outbound.max_concurrent_calls", "64", "How many calls to one provider may run at once; more wait."),
    key(
        "outbound.allow_private_addresses",
        "false",
        "Whether provider URLs may resolve to loopback and private ranges.",
    ),
    key(
        "outbound.origin_map.*",
        "",
        "Rewrites an outbound origin, for gateways and for tests. An address named here is not guarded.",
    ),
];

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Settings, parse_duration};

    #[test]
    fn durations_are_written_with_a_unit() {
        assert_eq!(parse_duration("10h"), Ok(Duration::from_secs(36_000)));
        assert_eq!(parse_duration("30d"), Ok(Duration::from_secs(2_592_000)));
        assert_eq!(parse_duration("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(parse_duration("0s"), Ok(Duration::ZERO));
        for bad in ["", "h", "10 weeks", "-1s", "1.5h", "99999999999999999999s", "9999999d"] {
            assert!(parse_duration(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_empty_file_gives_the_defaults_and_secrets_do_not_show() {
        let settings: Settings =
            toml::from_str("[providers.github]\nclient_id = 'x'\nclient_secret = 'hush-hush'\ntenant_id = 't'")
                .unwrap();

        assert_eq!(settings.tokens.access_token_ttl.as_secs(), 36_000);
        assert_eq!(settings.providers["github"].entry["tenant_id"].as_str(), Some("t"));
        assert!(!format!("{settings:?}").contains("hush-hush"));
    }
}
