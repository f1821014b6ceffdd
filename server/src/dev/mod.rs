//! `vestibule dev`: everything that the tour needs in one process, and the tour itself, printed.
//!
//! It is `serve` with four things added: a database that is thrown away (unless one is named), the development provider
//! on the same listener (`provider`), who takes part (`demo`), and curl lines with real values in them (`tour`).
//! For development only: the provider signs in whoever is named, so nothing here is reachable from any other command.

mod demo;
mod kept;
mod person;
mod provider;
mod tour;

use std::fmt::Write as _;
use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use serde_json::json;
use tempfile::TempDir;
use url::Url;
use vestibule::Vestibule;
use vestibule::context::random;
use vestibule::settings::{ProviderSettings, SignUp};

use demo::Demo;
use provider::{MOUNT, Provider, random_text};
use tour::{Command, Tour};

use crate::configuration::Loaded;
use crate::outcome::{Failure, Output};
use crate::{keys, serve};

/// The name of the provider on the wire.
const BACKEND: &str = "dev";

/// Our client id there.
const CLIENT_ID: &str = "vestibule-dev";

/// Comes before the names that are made in a database that was there before.
const PREFIX: &str = "vestibule-dev-";

/// The provider, as an operator would write one of their own into the configuration.
fn provider_settings(issuer: &str, client_secret: &str) -> Result<ProviderSettings, Failure> {
    let written = format!(
        r#"
        title = "Development provider"
        protocol = "oidc"
        issuer = "{issuer}"
        client_id = "{CLIENT_ID}"
        client_secret = "{client_secret}"

        [audience]
        url = "{issuer}/tokeninfo?access_token={{token}}"
        audience = "aud"
        subject = "sub"
        expires_in = "expires_in"
        "#
    );
    toml::from_str(&written).map_err(|error| Failure::Configuration(format!("providers.{BACKEND}: {error}")))
}

/// Serves, with everything that the tour needs, and prints the tour: on the database that the configuration names, which is
/// kept, or on one in a temporary directory, which is not.
///
/// # Errors
/// One line for the operator.
pub async fn run(loaded: Loaded, output: Output) -> Result<(), Failure> {
    let Loaded { mut settings, names_database, .. } = loaded;
    let (listener, address) = serve::bind(&settings.listen).await.map_err(|sentence| {
        Failure::Configuration(format!("{sentence}; another port would be `vestibule dev --listen 127.0.0.1:8001`"))
    })?;
    if !address.ip().is_loopback() {
        tracing::warn!("whoever reaches {address} can sign in as anybody at the provider `{BACKEND}`");
    }
    let throw_away = if names_database { None } else { Some(ThrowAway::new()?) };
    let keys = match &throw_away {
        Some(directory) => {
            settings.database_url = directory.database_url();
            let mail = &mut settings.mail;
            if mail.smtp_url.is_none() && mail.folder.is_none() {
                mail.folder = Some(directory.mail_folder());
            }
            // Nothing is kept, so that whoever signs up harms nobody.
            if address.ip().is_loopback() {
                settings.accounts.signup = SignUp::Open;
            }
            tracing::info!(folder = settings.mail.folder, "mails are written into a folder");
            vec![random()]
        }
        None => keys::masters(&settings).map_err(Failure::Configuration)?.keys,
    };
    let base_url = base_url(address);
    let issuer = format!("{base_url}{MOUNT}");
    let client_secret = random_text();
    settings.listen = address.to_string();
    settings.public_url.get_or_insert_with(|| base_url.clone());
    settings.providers.insert(BACKEND.to_owned(), provider_settings(&issuer, &client_secret)?);
    // Named here, the address is not guarded although it is this machine's own.
    settings.outbound.origin_map.insert(base_url.clone(), base_url.clone());

    let opened = Vestibule::open(settings, &keys).await;
    let vestibule = opened.map_err(|error| Failure::Configuration(error.to_string()))?;
    let cx = vestibule.context();
    let provider = Provider::new(issuer, CLIENT_ID.to_owned(), client_secret, cx.clock.clone());
    let provider = provider.map_err(|_| Failure::Refused("the system gives no random bytes".to_owned()))?;
    let prefix = if names_database { PREFIX } else { "" };
    let demo = demo::set_up(cx, prefix).await.map_err(|error| Failure::Refused(vestibule::describe(&error)))?;

    let show = async {
        let tour = Tour::new(&base_url, &cx.settings, &demo)?;
        let page = Page {
            base_url: &base_url,
            database: cx.settings.database_url_to_show(),
            throw_away: !names_database,
            demo: &demo,
            commands: tour.commands().await?,
        };
        // Whoever closed the output still has the server.
        let mut stdout = std::io::stdout();
        let text = if output.json { page.json() } else { page.text() };
        let _ = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
        std::future::pending::<Result<(), String>>().await
    };
    let ready = |listener: &_| {
        if !output.json {
            serve::announce(listener);
        }
    };
    let ended = tokio::select! {
        biased;
        served = serve::run(listener, &vestibule, provider.router(), ready) => served,
        failed = show => failed,
    };
    ended.map_err(Failure::Refused)
}

/// A directory for a database, which is removed with it.
struct ThrowAway(TempDir);

impl ThrowAway {
    fn new() -> Result<Self, Failure> {
        let made = tempfile::Builder::new().prefix("vestibule-dev-").tempdir();
        made.map(Self).map_err(|error| Failure::Refused(format!("cannot make a temporary directory: {error}")))
    }

    fn mail_folder(&self) -> String {
        self.0.path().join("mails").display().to_string()
    }

    fn database_url(&self) -> String {
        format!("sqlite://{}", self.0.path().join("vestibule.db").display())
    }
}

/// How this machine reaches a listener: as an origin is written (RFC 6454 §6.2), because `outbound.origin_map` knows it so.
fn base_url(address: SocketAddr) -> String {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    let url = format!("http://{}", SocketAddr::new(ip, address.port()));
    Url::parse(&url).map_or(url, |url| url.origin().ascii_serialization())
}

/// What there is to print, once the server answers.
struct Page<'a> {
    base_url: &'a str,
    database: String,
    throw_away: bool,
    demo: &'a Demo,
    commands: Vec<Command>,
}

impl Page<'_> {
    /// Everything but the curl lines is a comment to a shell, so that the whole page can be pasted.
    fn text(&self) -> String {
        let Self { base_url, database, demo, .. } = self;
        let (person, superuser) = (&demo.person, &demo.superuser);
        let mut text = String::new();
        let mut line = |line: std::fmt::Arguments<'_>| _ = writeln!(text, "{line}");
        let kind = if self.throw_away { "Throw-away database" } else { "Database" };
        line(format_args!("# {kind}: {database}"));
        line(format_args!("# Person: {}, password {}", person.username, person.password));
        line(format_args!("# Superuser: {}, password {}", superuser.username, superuser.password));
        line(format_args!("# Console, for the superuser: {base_url}/admin/"));
        line(format_args!("# Application: client id {}, client secret {}", demo.client_id, demo.client_secret));
        line(format_args!("# Provider `{BACKEND}`, which signs in whoever is named: {base_url}{MOUNT}"));
        for (number, Command { title, command }) in (1..).zip(&self.commands) {
            line(format_args!("\n# {number}. {title}\n{command}"));
        }
        let end = if self.throw_away { " and removes the database" } else { "; the database stays" };
        line(format_args!("\n# Ctrl-C ends it{end}."));
        text
    }

    fn json(&self) -> String {
        let login = |login: &demo::Login| json!({"username": login.username, "password": login.password});
        let page = json!({
            "base_url": self.base_url,
            "provider_url": format!("{}{MOUNT}", self.base_url),
            "database": self.database,
            "person": login(&self.demo.person),
            "superuser": login(&self.demo.superuser),
            "console_url": format!("{}/admin/", self.base_url),
            "application": {"client_id": self.demo.client_id, "client_secret": self.demo.client_secret},
            "commands": self.commands,
        });
        format!("{page}\n")
    }
}

#[cfg(test)]
mod tests {
    use super::{base_url, provider_settings};

    #[test]
    fn a_listener_is_reached_on_this_machine_by_the_origin_that_a_url_would_have() {
        let of = |address: &str| base_url(address.parse().unwrap());

        assert_eq!(of("127.0.0.1:8000"), "http://127.0.0.1:8000");
        assert_eq!(of("0.0.0.0:8000"), "http://127.0.0.1:8000");
        assert_eq!(of("[::]:8000"), "http://[::1]:8000");
        assert_eq!(of("127.0.0.1:80"), "http://127.0.0.1");
    }

    #[test]
    fn the_provider_is_described_as_an_operator_would() {
        let settings = provider_settings("http://127.0.0.1:8000/dev-provider", "hush").unwrap();

        assert_eq!(settings.client_id.as_deref(), Some("vestibule-dev"));
        assert!(settings.entry["audience"]["url"].as_str().unwrap().ends_with("?access_token={token}"));
        assert!(!format!("{settings:?}").contains("hush"));
    }
}
