//! Every setting with its default; its sentence is in `keys`, of which the reference page is generated.
//!
//! Not here: where a value comes from (flag, environment, file): the binary merges those and hands over a [`Settings`].

mod accounts;
mod console;
mod duration;
mod hooks;
mod in_force;
mod keys;
mod mail;
mod social;

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
pub use vestibule_protocol::client_metadata::AccessTokenFormat;

pub use accounts::{AccountSettings, SignUp};
pub use console::ConsoleSettings;
pub use duration::parse_duration;
pub use hooks::{HOOK_EVENTS, HookSettings, OnFailure};
pub use in_force::{Line, Origin, Origins};
pub use keys::{KEYS, Key};
pub use mail::MailSettings;
pub use social::{OnTakenEmail, Policy, PolicySettings};

/// The whole configuration. `Settings::default()` is what an empty file gives.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Address and port to listen on.
    pub listen: String,
    /// What clients see; the issuer is this plus `mount`.
    pub public_url: Option<String>,
    /// Where the OAuth2 endpoints hang.
    pub mount: String,
    /// `sqlite://FILE` or `postgres://USER@HOST/DATABASE`.
    #[serde(serialize_with = "in_force::serialize_database_url")]
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
    /// `[accounts]`
    pub accounts: AccountSettings,
    /// `[console]`
    pub console: ConsoleSettings,
    /// `[tokens]`
    pub tokens: TokenSettings,
    /// `[authorization]`
    pub authorization: AuthorizationSettings,
    /// `[sessions]`
    pub sessions: SessionSettings,
    /// `[pages]`
    pub pages: PageSettings,
    /// `[signing_keys]`
    pub signing_keys: SigningKeySettings,
    /// `[registration]`
    pub registration: RegistrationSettings,
    /// `[mutual_tls]`
    pub mutual_tls: MutualTlsSettings,
    /// `[dpop]`
    pub dpop: DpopSettings,
    /// `[scopes]`: name and description; empty stands for `read` and `write`.
    pub scopes: BTreeMap<String, String>,
    /// `[mail]`
    pub mail: MailSettings,
    /// `[social]`: what holds for all providers.
    pub social: Policy,
    /// `[providers.NAME]`
    pub providers: BTreeMap<String, ProviderSettings>,
    /// A folder with catalog entries of the operator's own, one TOML file a provider.
    pub provider_folder: Option<String>,
    /// `[hooks.NAME]`
    pub hooks: BTreeMap<String, HookSettings>,
    /// `[outbound]`
    pub outbound: OutboundSettings,
    /// Where the values came from, as far as whoever merged them says.
    #[serde(skip)]
    pub origins: Origins,
}

/// `[database]`
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct DatabaseSettings {
    /// The most connections to PostgreSQL that one node opens.
    pub max_connections: u32,
    /// How long a request waits for a connection before it is told to come back.
    #[serde(with = "duration")]
    pub acquire_timeout: Duration,
    /// How often expired rows are removed.
    #[serde(with = "duration")]
    pub cleanup_interval: Duration,
}

/// `[http]`
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct HttpSettings {
    /// The largest request body, in bytes.
    pub max_body_bytes: usize,
    /// How long a request may take in all.
    #[serde(with = "duration")]
    pub request_timeout: Duration,
    /// The header by which a proxy tells the client's address; the last address in it counts.
    pub client_address_header: Option<String>,
    /// How long a client may take to send the head of a request.
    #[serde(with = "duration")]
    pub header_timeout: Duration,
    /// How long running requests have to finish after SIGTERM.
    #[serde(with = "duration")]
    pub drain_timeout: Duration,
}

/// `[log]`
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct LogSettings {
    /// A filter as tracing takes it: `info`, `vestibule=debug`.
    pub level: String,
    /// One JSON object a line, or text for people.
    pub format: LogFormat,
}

/// `log.format`
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    Text,
    /// For machines.
    Json,
}

/// `[passwords]`
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct PasswordSettings {
    /// Threads that hash; 0 is one for each processor.
    pub hash_threads: usize,
    /// How many may wait for a hash; beyond that the answer is 503.
    pub hash_queue: usize,
}

/// `[tokens]`
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct TokenSettings {
    /// How long an access token lives.
    #[serde(with = "duration")]
    pub access_token_ttl: Duration,
    /// How long a refresh token lives when it is not used.
    #[serde(with = "duration")]
    pub refresh_token_ttl: Duration,
    /// Whether a refresh gives a new refresh token.
    pub rotate_refresh_tokens: bool,
    /// Within it, the last refresh token asked again gives the same new pair; `0s` is strict.
    #[serde(with = "duration")]
    pub refresh_grace: Duration,
    /// What an access token is.
    pub access_token_format: AccessTokenFormat,
    /// Adds `user` {email, first_name, last_name} to the answer, as drf-social-oauth2 does.
    pub user_in_response: bool,
    /// How long a provider's token that was verified in a header is not asked about again.
    #[serde(with = "duration")]
    pub provider_token_ttl: Duration,
}

/// `[authorization]`
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct AuthorizationSettings {
    /// How long an authorization code can be redeemed.
    #[serde(with = "duration")]
    pub code_ttl: Duration,
    /// How long a pushed request can be used.
    #[serde(with = "duration")]
    pub pushed_request_ttl: Duration,
    /// How long a device waits for its code to be typed.
    #[serde(with = "duration")]
    pub device_code_ttl: Duration,
    /// The time between two polls of a device.
    #[serde(with = "duration")]
    pub device_poll_interval: Duration,
    /// Whether redirect URIs may have a `*` at the beginning of their host.
    pub allow_uri_wildcards: bool,
    /// The APIs that tokens can be asked for by `resource`; empty: this server's own address.
    pub resources: Vec<String>,
}

/// `[sessions]`
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct SessionSettings {
    /// After so long without a request a session ends.
    #[serde(with = "duration")]
    pub idle_ttl: Duration,
    /// After so long it ends in any case.
    #[serde(with = "duration")]
    pub absolute_ttl: Duration,
}

/// `[pages]`
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct PageSettings {
    /// What the pages call this server.
    pub site_name: String,
    /// A folder with templates and translations that go before our own.
    pub folder: Option<String>,
    /// The language where the browser names none that there is.
    pub locale: String,
}

/// `[signing_keys]`
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct SigningKeySettings {
    /// How long a key signs.
    #[serde(with = "duration")]
    pub rotate_every: Duration,
}

/// `[registration]`
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct RegistrationSettings {
    /// Who may register an application over HTTP.
    pub mode: RegistrationMode,
    /// What must be presented where `mode` is `token`.
    pub initial_access_token: Option<Hidden>,
    /// Whether a client id may be the address of a document about the client.
    pub client_id_metadata_documents: bool,
    /// Which people may register applications of their own on their pages.
    pub by_people: RegistrationByPeople,
}

/// `registration.by_people`
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum RegistrationByPeople {
    /// Nobody.
    Off,
    /// Staff only.
    Staff,
    /// Whoever can sign in.
    Everybody,
}

/// `registration.mode`
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum RegistrationMode {
    /// Nobody.
    Off,
    /// Whoever has the initial access token.
    Token,
    /// Anybody.
    Open,
}

/// `[mutual_tls]`: what a proxy that ends TLS says of the client's certificate.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct MutualTlsSettings {
    /// The header with the certificate, PEM (also percent-encoded) or DER in base64.
    pub certificate_header: Option<String>,
    /// The header with the subject's distinguished name of a certificate that the proxy has verified.
    pub subject_header: Option<String>,
}

/// `[dpop]`
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct DpopSettings {
    /// Whether every proof must have a nonce of this server's.
    pub require_nonce: bool,
}

/// `[providers.NAME]`
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub struct ProviderSettings {
    /// Whether it is enabled; without it, whether a client id is set, or anything at all where none is needed.
    pub enabled: Option<bool>,
    /// Our client id at the provider.
    pub client_id: Option<String>,
    /// Our secret there.
    pub client_secret: Option<Hidden>,
    /// Added to the catalog's default scope.
    pub scope: Vec<String>,
    /// Whether the catalog's default scope is left out.
    pub ignore_default_scope: bool,
    /// Further parameters of the provider's sign-in page.
    pub auth_extra_arguments: BTreeMap<String, String>,
    /// May tokens be converted that cannot be tied to this client?
    pub accept_unverified_audience: bool,
    /// Further client ids of the same project, whose tokens count as ours.
    pub client_ids: Vec<String>,
    /// Who gets in and as whom, where it differs from `[social]`.
    #[serde(flatten)]
    pub policy: PolicySettings,
    /// Whether there is a table of it in the configuration.
    #[serde(skip, default = "written")]
    pub is_written: bool,
    /// A catalog entry's keys, and what this one provider needs beside (tenant, domain …).
    #[serde(flatten, serialize_with = "in_force::serialize_entry")]
    pub entry: toml::Table,
}

/// What was read was written.
fn written() -> bool {
    true
}

/// `[outbound]`
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct OutboundSettings {
    /// How long a provider has for a whole answer.
    #[serde(with = "duration")]
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

/// A secret out of the configuration. Neither `Debug` nor what is written of it shows it.
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
            accounts: AccountSettings::default(),
            console: ConsoleSettings::default(),
            tokens: TokenSettings::default(),
            authorization: AuthorizationSettings::default(),
            sessions: SessionSettings::default(),
            pages: PageSettings::default(),
            signing_keys: SigningKeySettings::default(),
            registration: RegistrationSettings::default(),
            mutual_tls: MutualTlsSettings::default(),
            dpop: DpopSettings::default(),
            scopes: BTreeMap::new(),
            mail: MailSettings::default(),
            social: Policy::default(),
            providers: BTreeMap::new(),
            provider_folder: None,
            hooks: BTreeMap::new(),
            outbound: OutboundSettings::default(),
            origins: Origins::default(),
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

    /// The database's address, without the password that may stand in it.
    pub fn database_url_to_show(&self) -> String {
        in_force::without_password(&self.database_url)
    }

    /// Who issues: the public address and the mount (RFC 8414 §2).
    pub fn issuer(&self) -> String {
        format!("{}{}", self.public_url(), self.mount.trim_end_matches('/'))
    }

    /// Where a provider sends a browser back to: what is registered there.
    pub fn redirect_uri(&self, backend: &str) -> String {
        format!("{}/complete/{backend}/", self.issuer())
    }

    /// Whether clients reach this server by https.
    pub fn is_https(&self) -> bool {
        self.public_url.as_deref().is_some_and(|url| url.starts_with("https://"))
    }

    /// The name of a cookie of ours: bound to this host where it travels by https (RFC 6265bis §4.1.3.2).
    pub fn cookie_name(&self, base: &str) -> String {
        if self.is_https() { format!("__Host-vestibule_{base}") } else { format!("vestibule_{base}") }
    }

    /// The APIs that tokens can be asked for (RFC 8707).
    pub fn resources(&self) -> Vec<String> {
        match self.authorization.resources.is_empty() {
            true => vec![self.public_url()],
            false => self.authorization.resources.clone(),
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
            client_address_header: None,
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

impl Default for AuthorizationSettings {
    fn default() -> Self {
        Self {
            code_ttl: Duration::from_secs(60),
            pushed_request_ttl: Duration::from_secs(90),
            device_code_ttl: Duration::from_secs(600),
            device_poll_interval: Duration::from_secs(5),
            allow_uri_wildcards: false,
            resources: Vec::new(),
        }
    }
}

impl Default for SessionSettings {
    fn default() -> Self {
        Self { idle_ttl: Duration::from_secs(14 * 86_400), absolute_ttl: Duration::from_secs(30 * 86_400) }
    }
}

impl Default for PageSettings {
    fn default() -> Self {
        Self { site_name: "Vestibule".to_owned(), folder: None, locale: "en".to_owned() }
    }
}

impl Default for SigningKeySettings {
    fn default() -> Self {
        Self { rotate_every: Duration::from_secs(90 * 86_400) }
    }
}

impl Default for RegistrationSettings {
    fn default() -> Self {
        Self {
            mode: RegistrationMode::Off,
            initial_access_token: None,
            client_id_metadata_documents: false,
            by_people: RegistrationByPeople::Everybody,
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
    fn durations_are_written_as_they_are_read() {
        for text in ["0s", "250ms", "1500ms", "90s", "10m", "10h", "25h", "30d"] {
            let settings: super::SessionSettings = toml::from_str(&format!("idle_ttl = '{text}'")).unwrap();
            assert_eq!(serde_json::to_value(settings).unwrap()["idle_ttl"], text);
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
