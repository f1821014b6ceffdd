//! Vestibule: a provider's token in, a token of your own API out.
//!
//! An axum API opens a [`Vestibule`], merges its [`Vestibule::router`], puts its [`Vestibule::layer`] before its own
//! routes, and asks for a [`CurrentUser`] in its handlers. The `vestibule` program is a user of this crate like any other.

pub mod admin;
pub mod authenticate;
pub mod authorize;
pub mod claims;
pub mod cleanup;
pub mod client;
pub mod clock;
pub mod context;
pub mod entrance;
pub mod grant;
pub mod hooks;
mod http;
pub mod identity;
pub mod issue;
pub mod limits;
pub mod logout;
pub mod mail;
pub mod metrics;
pub mod openapi;
pub mod outbox;
pub mod provider_token;
pub mod registration;
pub mod sender;
pub mod session;
pub mod settings;
pub mod signing;
pub mod statistics;
pub mod store;
pub mod upstream;

use std::future::Future;
use std::sync::Arc;

pub use crate::authenticate::Identity;
pub use crate::http::ApiError;
pub use crate::http::bearer::{Authenticate, AuthenticateLayer, CurrentUser};
pub use crate::settings::Settings;
pub use vestibule_protocol as protocol;

use crate::clock::Clock;
use crate::context::{Context, Ctx, Keys};
use crate::hooks::{Functions, Hooks};
use crate::identity::password::Hasher;
use crate::mail::Mailer;
use crate::store::Db;
use crate::upstream::Upstream;

/// A sentence for the operator that names the setting which is wrong.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct OpenError(String);

impl OpenError {
    /// A mistake in this setting.
    pub fn new(key: &str, sentence: impl std::fmt::Display) -> Self {
        Self(format!("{key}: {sentence}"))
    }
}

/// An OAuth2 provider with its database. Clones share everything.
#[derive(Clone)]
pub struct Vestibule {
    cx: Ctx,
}

impl Vestibule {
    /// Opens the database, brings it to this version's schema, and makes everything ready to serve.
    ///
    /// `keys` are master keys of 32 random bytes, which must not lie in the database: the first seals the providers'
    /// tokens, all open. They are the same on every node and at every start.
    ///
    /// # Errors
    /// A sentence that names the setting: a bad value, a database that does not answer, or one whose secrets are sealed
    /// under a key that is not among `keys`.
    pub async fn open(settings: Settings, keys: &[[u8; 32]]) -> Result<Self, OpenError> {
        Self::builder(settings).open(keys).await
    }

    /// As [`Vestibule::open`], with a clock that can be moved: for tests of what expires.
    ///
    /// # Errors
    /// As [`Vestibule::open`].
    pub async fn open_with_clock(settings: Settings, keys: &[[u8; 32]], clock: Clock) -> Result<Self, OpenError> {
        Self::builder(settings).clock(clock).open(keys).await
    }

    /// For an API that has steps of its own around the decision who somebody is.
    pub fn builder(settings: Settings) -> Builder {
        Builder { settings, clock: Clock::default(), functions: Functions::default() }
    }

    /// Every endpoint, under its full path (`/auth/token`, `/healthz` …): merge it into the API's own router.
    pub fn router(&self) -> axum::Router {
        http::router(&self.cx).0
    }

    /// The paths of [`Vestibule::router`] as axum writes them (`/auth/login/{backend}`): an API's own are others.
    pub fn paths(&self) -> Vec<String> {
        http::router(&self.cx).1
    }

    /// Authenticates the requests of an API's own routes, by our tokens and the providers'.
    pub fn layer(&self) -> AuthenticateLayer {
        AuthenticateLayer::new(self.cx.clone())
    }

    /// Removes what has expired, changes signing keys, delivers sign-outs and writes down what was counted from time to time,
    /// until it is dropped.
    pub async fn clean_up_forever(&self) {
        tokio::join!(cleanup::run_forever(self.cx.clone()), statistics::run_forever(self.cx.clone()));
    }

    /// Writes down what was counted since the last time: call it once when the server has stopped.
    pub async fn close(&self) {
        if let Err(error) = statistics::flush(&self.cx).await {
            tracing::warn!(error = ?error, "could not write down what was counted last");
        }
    }

    /// What the rooms work with, for what this crate has no function for.
    pub fn context(&self) -> &Ctx {
        &self.cx
    }
}

/// How a [`Vestibule`] is opened that has steps of the API's own. A step is an async function; it sees and answers what a
/// webhook does (`[hooks]`).
pub struct Builder {
    settings: Settings,
    clock: Clock,
    functions: Functions,
}

impl Builder {
    /// With a clock that can be moved: for tests of what expires.
    #[must_use]
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// Asks this function before it is decided who somebody is whom a provider has vouched for. It may refuse them, or change
    /// what is stored of them. One that fails, panics or takes more than three seconds keeps them out for now (503).
    #[must_use]
    pub fn before_sign_in<F, Fut>(mut self, function: F) -> Self
    where
        F: Fn(hooks::Arrival) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<hooks::Verdict, hooks::BoxError>> + Send + 'static,
    {
        self.functions.ask(function);
        self
    }

    /// Tells this function what has happened, after it has been committed. It is told once; one that fails is logged.
    #[must_use]
    pub fn on_event<F, Fut>(mut self, function: F) -> Self
    where
        F: Fn(hooks::Event) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), hooks::BoxError>> + Send + 'static,
    {
        self.functions.tell(function);
        self
    }

    /// Opens the database, brings it to this version's schema, and makes everything ready to serve.
    ///
    /// # Errors
    /// As [`Vestibule::open`].
    pub async fn open(self, keys: &[[u8; 32]]) -> Result<Vestibule, OpenError> {
        let Self { settings, clock, functions } = self;
        check(&settings)?;
        let (hooks, listeners) =
            Hooks::new(&settings, functions).map_err(|(key, sentence)| OpenError::new(&key, sentence))?;
        let upstream = Upstream::new(&settings, clock.clone()).map_err(OpenError)?;
        let mailer = Mailer::new(&settings.mail).map_err(|(key, sentence)| OpenError::new(key, sentence))?;
        let needs_mail = |provider: &&upstream::Provider| provider.policy.needs_mail() || provider.is_by_mail();
        if let Some(provider) = upstream.providers().find(needs_mail).filter(|_| !mailer.is_there()) {
            let sentence = format!(
                "must be set: people who come by {} may have to prove an address (require_email, force_email_validation)",
                provider.name()
            );
            return Err(OpenError::new("mail.smtp_url", sentence));
        }
        if settings.accounts.signup == settings::SignUp::Open && !mailer.is_there() {
            let sentence = "must be set: whoever signs up has to prove an address (accounts.signup)";
            return Err(OpenError::new("mail.smtp_url", sentence));
        }
        let keys = Keys::new(keys).map_err(|error| OpenError::new("encryption_key", error))?;
        let hasher =
            Hasher::new(&settings.passwords).map_err(|error| OpenError::new("passwords.hash_threads", error))?;
        let db = Db::open(&settings.database_url, &settings.database)
            .await
            .map_err(|error| OpenError::new("database_url", error))?;
        let database = |error: store::Error| OpenError::new("database_url", describe(&error));
        store::migrate::migrate(&db, clock.now()).await.map_err(database)?;
        check_keys(&db, &keys, clock.now()).await?;
        let cx = Arc::new(Context {
            settings,
            clock,
            db,
            keys: Arc::new(keys),
            upstream,
            hasher,
            mailer,
            hooks,
            metrics: metrics::Metrics::default(),
            statistics: statistics::Statistics::default(),
            tokens: store::cache::Cache::new(100_000),
            applications: store::cache::Cache::new(10_000),
            signing_keys: store::cache::Cache::new(1),
        });
        hooks::work(Arc::downgrade(&cx), listeners);
        signing::maintain(&cx).await.map_err(|error| OpenError::new("signing_keys", describe(&error)))?;
        Ok(Vestibule { cx })
    }
}

/// An error with its causes, in one line.
pub fn describe(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text = format!("{text}: {cause}");
        next = cause.source();
    }
    text
}

fn check(settings: &Settings) -> Result<(), OpenError> {
    let mount = &settings.mount;
    let plain =
        mount.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'-' | b'_' | b'.' | b'~'));
    if !mount.starts_with('/') || mount.contains("//") || !plain {
        return Err(OpenError::new("mount", format!("`{mount}` is not a path such as /auth")));
    }
    let url = settings.public_url();
    let parsed = url::Url::parse(&url)
        .map_err(|error| OpenError::new("public_url", format!("`{url}` is not an address: {error}")))?;
    if !matches!(parsed.scheme(), "http" | "https") || parsed.query().is_some() || parsed.fragment().is_some() {
        return Err(OpenError::new(
            "public_url",
            format!("`{url}` is not an http or https address without query and fragment"),
        ));
    }
    settings.accounts.check().map_err(|(key, sentence)| OpenError::new(&format!("accounts.{key}"), sentence))?;
    settings.social.check().map_err(|(key, sentence)| OpenError::new(&format!("social.{key}"), sentence))?;
    for (name, _) in settings.scopes() {
        if name.contains(' ') || protocol::Scope::parse(name).map_or(true, |scope| scope.is_empty()) {
            return Err(OpenError::new(
                &format!("scopes.{name}"),
                "holds a character that a scope cannot have (RFC 6749 §3.3)",
            ));
        }
    }
    for (key, duration) in [
        ("tokens.access_token_ttl", settings.tokens.access_token_ttl),
        ("tokens.refresh_token_ttl", settings.tokens.refresh_token_ttl),
        ("database.cleanup_interval", settings.database.cleanup_interval),
        ("authorization.code_ttl", settings.authorization.code_ttl),
        ("authorization.pushed_request_ttl", settings.authorization.pushed_request_ttl),
        ("authorization.device_code_ttl", settings.authorization.device_code_ttl),
        ("authorization.device_poll_interval", settings.authorization.device_poll_interval),
        ("sessions.idle_ttl", settings.sessions.idle_ttl),
        ("sessions.absolute_ttl", settings.sessions.absolute_ttl),
        ("signing_keys.rotate_every", settings.signing_keys.rotate_every),
    ] {
        if duration.as_secs() == 0 {
            return Err(OpenError::new(key, "must be at least 1s"));
        }
    }
    for (key, header) in [
        ("http.client_address_header", &settings.http.client_address_header),
        ("mutual_tls.certificate_header", &settings.mutual_tls.certificate_header),
        ("mutual_tls.subject_header", &settings.mutual_tls.subject_header),
    ] {
        if header.as_deref().is_some_and(|name| ::http::HeaderName::from_bytes(name.as_bytes()).is_err()) {
            return Err(OpenError::new(key, "is not the name of a header"));
        }
    }
    if settings.registration.mode == settings::RegistrationMode::Token
        && settings.registration.initial_access_token.as_ref().is_none_or(|token| token.reveal().len() < 16)
    {
        let sentence = "must be set, with 16 characters at least, where `registration.mode` is `token`";
        return Err(OpenError::new("registration.initial_access_token", sentence));
    }
    for resource in &settings.authorization.resources {
        let fits = url::Url::parse(resource).is_ok_and(|url| url.fragment().is_none());
        if !fits {
            let sentence = format!("`{resource}` is not an absolute address without a fragment (RFC 8707 §2)");
            return Err(OpenError::new("authorization.resources", sentence));
        }
    }
    // With none of these nothing could ever be answered.
    for (key, is_zero) in [
        ("database.max_connections", settings.database.max_connections == 0),
        ("database.acquire_timeout", settings.database.acquire_timeout.is_zero()),
        ("mail.timeout", settings.mail.timeout.is_zero()),
        ("http.max_body_bytes", settings.http.max_body_bytes == 0),
        ("http.request_timeout", settings.http.request_timeout.is_zero()),
        ("http.header_timeout", settings.http.header_timeout.is_zero()),
        ("outbound.timeout", settings.outbound.timeout.is_zero()),
        ("outbound.max_answer_bytes", settings.outbound.max_answer_bytes == 0),
        ("outbound.max_concurrent_calls", settings.outbound.max_concurrent_calls == 0),
    ] {
        if is_zero {
            return Err(OpenError::new(key, "must be more than 0"));
        }
    }
    Ok(())
}

/// A database whose secrets are sealed under a key that is not here is not served: they would be lost without a word.
async fn check_keys(db: &Db, keys: &Keys, now: i64) -> Result<(), OpenError> {
    let ours = keys.ids();
    let database = |error: store::Error| OpenError::new("database_url", describe(&error));
    let missing: Vec<String> =
        store::seal_key::all(db).await.map_err(database)?.into_iter().filter(|id| !ours.contains(id)).collect();
    if !missing.is_empty() {
        let sentence = format!(
            "this database holds provider tokens sealed under the key {}, which is not among the keys given ({}); \
             give it back as a further line of `encryption_key_file`",
            missing.join(", "),
            ours.join(", ")
        );
        return Err(OpenError::new("encryption_key", sentence));
    }
    match ours.first() {
        Some(current) => store::seal_key::add(db, current, now).await.map_err(database),
        None => Ok(()),
    }
}

impl Context {
    /// Who issues: the public address and the mount (RFC 8414 §2).
    pub fn issuer(&self) -> String {
        self.settings.issuer()
    }
}
