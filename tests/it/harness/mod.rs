//! What a test stands on: a server on a socket, on a database of its own, with a clock that can be moved and providers
//! that answer from this machine.

mod answer;
pub mod authenticator;
pub mod browser;
pub mod document;
pub mod guest;
pub mod issuer;
pub mod key;
pub mod mailbox;
mod postgres;
pub mod recorded;
#[cfg(feature = "saml")]
pub mod saml_idp;
pub mod scripted;
pub mod stand_in;

use std::sync::Arc;

pub use answer::Answer;
use tempfile::TempDir;
use vestibule::clock::Clock;
use vestibule::protocol::{ClientType, GrantType};
use vestibule::settings::{Hidden, ProviderSettings, Settings};
use vestibule::store::application::{self, Application};
use vestibule::store::user::{self, NewUser, User};
use vestibule::{Vestibule, client};

pub use stand_in::StandIn;

/// Which database a test runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    Sqlite,
    Postgres,
}

/// Makes two tests of one: on SQLite and on PostgreSQL.
macro_rules! on_both_databases {
    ($(#[$attribute:meta])* async fn $name:ident($test:ident: $kind:ty) $body:block) => {
        mod $name {
            #[allow(unused_imports, reason = "a short test may need nothing of its file")]
            use super::*;

            async fn run($test: $kind) $body

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn on_sqlite() {
                run(<$kind>::new(crate::harness::Engine::Sqlite).await).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn on_postgres() {
                run(<$kind>::new(crate::harness::Engine::Postgres).await).await;
            }
        }
    };
}
pub(crate) use on_both_databases;

/// What a server is made of, before it runs.
pub struct Setup {
    pub engine: Engine,
    pub settings: Settings,
    pub stand_in: StandIn,
    directory: TempDir,
}

/// A server that runs.
pub struct Test {
    pub engine: Engine,
    pub vestibule: Vestibule,
    pub base: String,
    pub clock: Clock,
    pub stand_in: StandIn,
    pub http: reqwest::Client,
    settings: Settings,
    directory: Arc<TempDir>,
    server: tokio::task::JoinHandle<()>,
}

/// An application that a test registered.
#[derive(Clone)]
pub struct App {
    pub row: Application,
    pub client_id: String,
    pub secret: Option<String>,
}

/// As `public_url`: the name of this machine, with whatever port the server gets.
pub const ON_LOCALHOST: &str = "http://localhost:0";
pub const KEY: [u8; 32] = [42; 32];
pub const PASSWORD: &str = "correct horse battery staple";

impl Setup {
    pub async fn new(engine: Engine) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let stand_in = StandIn::start().await;
        let mut settings = Settings {
            database_url: match engine {
                Engine::Sqlite => format!("sqlite://{}", directory.path().join("test.db").display()),
                Engine::Postgres => postgres::create_database().await,
            },
            ..Settings::default()
        };
        settings.outbound.origin_map = stand_in.origin_map();
        settings.outbound.timeout = std::time::Duration::from_millis(1500);
        for name in ["google-oauth2", "facebook", "github"] {
            settings.providers.insert(name.to_owned(), enabled(&format!("{name}-id"), &format!("{name}-secret")));
        }
        Self { engine, settings, stand_in, directory }
    }

    pub fn provider(&mut self, name: &str) -> &mut ProviderSettings {
        self.settings.providers.entry(name.to_owned()).or_default()
    }

    pub async fn start(self) -> Test {
        let clock = Clock::default();
        let directory = Arc::new(self.directory);
        Test::run(self.engine, self.settings, self.stand_in, clock, directory).await
    }
}

pub fn enabled(client_id: &str, client_secret: &str) -> ProviderSettings {
    ProviderSettings {
        client_id: Some(client_id.to_owned()),
        client_secret: Some(Hidden::new(client_secret)),
        ..ProviderSettings::default()
    }
}

impl Test {
    pub async fn new(engine: Engine) -> Self {
        Setup::new(engine).await.start().await
    }

    async fn run(
        engine: Engine,
        mut settings: Settings,
        stand_in: StandIn,
        clock: Clock,
        directory: Arc<TempDir>,
    ) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        settings.listen = listener.local_addr().unwrap().to_string();
        let base = format!("http://{}", settings.listen);
        // Passkeys are for names, not for addresses.
        if settings.public_url.as_deref() == Some(ON_LOCALHOST) {
            settings.public_url = Some(format!("http://localhost:{}", listener.local_addr().unwrap().port()));
        }
        let vestibule = Vestibule::open_with_clock(settings.clone(), &[KEY], clock.clone()).await.unwrap();
        let router = vestibule.router();
        let server = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        let http = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build().unwrap();
        let test = Self { engine, vestibule, base, clock, stand_in, http, settings, directory, server };
        test.wait_for_notifications().await;
        test
    }

    /// On PostgreSQL a node believes its cache only once it hears the others; tests are about nodes that do.
    async fn wait_for_notifications(&self) {
        let changes = self.vestibule.context().db.changes();
        for _ in 0..500 {
            if self.engine == Engine::Sqlite || changes.heard() {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        panic!("the listener did not come up");
    }

    /// A further server on the same database, with the same clock and keys.
    pub async fn second_node(&self) -> Self {
        let (settings, stand_in) = (self.settings.clone(), self.stand_in.clone());
        Self::run(self.engine, settings, stand_in, self.clock.clone(), self.directory.clone()).await
    }

    /// A further server as [`Test::second_node`] starts one, with other settings.
    pub async fn second_node_with(&self, change: impl FnOnce(&mut Settings)) -> Self {
        let (mut settings, stand_in) = (self.settings.clone(), self.stand_in.clone());
        change(&mut settings);
        Self::run(self.engine, settings, stand_in, self.clock.clone(), self.directory.clone()).await
    }

    /// The same server after an end and a new start: nothing of its memory is left.
    pub async fn restarted(self) -> Self {
        let (settings, stand_in) = (self.settings.clone(), self.stand_in.clone());
        let (engine, clock, directory) = (self.engine, self.clock.clone(), self.directory.clone());
        drop(self);
        Self::run(engine, settings, stand_in, clock, directory).await
    }

    /// The database's files (SQLite) as one text of bytes, or everything in its tables (PostgreSQL).
    pub async fn stored(&self) -> Vec<u8> {
        match self.engine {
            Engine::Sqlite => {
                let mut all = Vec::new();
                for entry in std::fs::read_dir(self.directory.path()).unwrap() {
                    all.extend(std::fs::read(entry.unwrap().path()).unwrap());
                }
                all
            }
            Engine::Postgres => postgres::dump(&self.settings.database_url).await,
        }
    }

    pub fn url(&self, path: &str) -> String {
        if path.starts_with('/') { format!("{}{path}", self.base) } else { format!("{}/auth/{path}", self.base) }
    }

    pub async fn person(&self, username: &str) -> User {
        self.person_with(NewUser { username: username.to_owned(), ..NewUser::default() }).await
    }

    pub async fn person_with(&self, mut new: NewUser) -> User {
        let cx = self.vestibule.context();
        if new.password.is_none() {
            new.password = Some(cx.hasher.hash(PASSWORD, [7; 16]).await.unwrap());
        }
        user::create(&cx.db, new, self.clock.now()).await.unwrap().expect("a free username")
    }

    pub async fn find_person(&self, username: &str) -> Option<User> {
        user::find_by_username(&self.vestibule.context().db, username).await.unwrap()
    }

    pub async fn people(&self) -> Vec<User> {
        user::list(&self.vestibule.context().db, 0, 1000).await.unwrap()
    }

    /// A confidential application with these grants.
    pub async fn app(&self, grants: &[GrantType]) -> App {
        self.app_with(|app| app.grant_types = grants.to_vec()).await
    }

    pub async fn public_app(&self, grants: &[GrantType]) -> App {
        self.app_with(|app| {
            app.grant_types = grants.to_vec();
            app.client_type = ClientType::Public;
        })
        .await
    }

    pub async fn app_with(&self, change: impl FnOnce(&mut Application)) -> App {
        register(&self.vestibule, change).await
    }

    pub async fn post(&self, path: &str, form: &[(&str, &str)]) -> Answer {
        Answer::of(self.http.post(self.url(path)).form(form)).await
    }

    /// A call of an application, authenticated in the body.
    pub async fn call(&self, path: &str, app: &App, form: &[(&str, &str)]) -> Answer {
        let mut all = vec![("client_id", app.client_id.as_str())];
        all.extend(app.secret.as_deref().map(|secret| ("client_secret", secret)));
        all.extend(form);
        self.post(path, &all).await
    }

    /// A call with an `Authorization` header.
    pub async fn get_as(&self, path: &str, authorization: &str) -> Answer {
        Answer::of(self.http.get(self.url(path)).header("authorization", authorization)).await
    }

    pub async fn post_as(&self, path: &str, authorization: &str, form: &[(&str, &str)]) -> Answer {
        Answer::of(self.http.post(self.url(path)).header("authorization", authorization).form(form)).await
    }

    /// The tokens of a sign-in by password.
    pub async fn password(&self, app: &App, username: &str) -> Answer {
        self.password_with_scope(app, username, "").await
    }

    pub async fn password_with_scope(&self, app: &App, username: &str, scope: &str) -> Answer {
        let form = [("grant_type", "password"), ("username", username), ("password", PASSWORD), ("scope", scope)];
        let answer = self.call("token", app, &form).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer
    }

    pub async fn refresh(&self, app: &App, refresh_token: &str) -> Answer {
        self.call("token", app, &[("grant_type", "refresh_token"), ("refresh_token", refresh_token)]).await
    }

    /// A conversion by token.
    pub async fn convert(&self, app: &App, backend: &str, token: &str) -> Answer {
        self.call("convert-token", app, &[("grant_type", "convert_token"), ("backend", backend), ("token", token)])
            .await
    }

    /// What the server answers to these bytes, however odd they are, until it closes or a second has passed.
    pub async fn raw(&self, request: &[u8]) -> String {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        let mut socket = tokio::net::TcpStream::connect(&self.settings.listen).await.unwrap();
        socket.write_all(request).await.unwrap();
        let mut answer = Vec::new();
        let _ = tokio::time::timeout(std::time::Duration::from_secs(1), socket.read_to_end(&mut answer)).await;
        String::from_utf8_lossy(&answer).into_owned()
    }

    /// Whether a protected API takes this access token.
    pub async fn accepts(&self, access_token: &str) -> bool {
        match self.get_as("verify", &format!("Bearer {access_token}")).await.status {
            200 => true,
            401 => false,
            other => panic!("verify answered {other}"),
        }
    }
}

/// Registers a confidential application; `change` says in what it differs from one with the password grant.
pub async fn register(vestibule: &Vestibule, change: impl FnOnce(&mut Application)) -> App {
    static COUNT: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(1);
    let number = COUNT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    let secret = format!("secret-of-application-{number}-0123456789abcdef");
    let mut new = Application {
        secret_hash: Some(client::hash_secret(&secret)),
        grant_types: vec![GrantType::Password],
        ..Application::new(format!("client-{number}"), format!("Application {number}"), ClientType::Confidential)
    };
    change(&mut new);
    let public = new.client_type == ClientType::Public;
    if public {
        new.secret_hash = None;
    }
    let cx = vestibule.context();
    let row = application::create(&cx.db, &new, cx.clock.now()).await.unwrap().expect("a free client id");
    App { client_id: row.client_id.clone(), row, secret: (!public).then_some(secret) }
}

impl Drop for Test {
    fn drop(&mut self) {
        self.server.abort();
    }
}
