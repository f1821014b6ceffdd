//! The command line: what there is to type, and who does it.

mod app;
mod key;
mod operate;
mod provider;
mod settings;
mod trial;
mod user;

use std::path::PathBuf;

use clap::{Parser, Subcommand};
use vestibule::Vestibule;

use crate::configuration::{self, Flags, Loaded};
use crate::outcome::{Failure, Outcome, Output};
use crate::{dev, keys, logging};

/// An OAuth2 provider and social sign-in for REST APIs: a provider's token in, a token of your own API out.
#[derive(Parser)]
#[command(name = "vestibule", version, about, max_term_width = 100)]
pub struct Cli {
    /// The configuration file (default: vestibule.toml in the working directory, if it is there)
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// sqlite://FILE or postgres://USER@HOST/DATABASE
    #[arg(long, global = true, value_name = "URL")]
    database_url: Option<String>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Migrate the database, then serve until SIGTERM or Ctrl-C
    Serve {
        /// Address and port to listen on
        #[arg(long, value_name = "ADDR")]
        listen: Option<String>,
    },
    /// The tour: a throw-away server with a development provider, and curl lines to paste
    Dev {
        /// Address and port to listen on
        #[arg(long, value_name = "ADDR")]
        listen: Option<String>,
        #[command(flatten)]
        output: Output,
    },
    /// Bring the database to this version's schema
    Migrate(Output),
    /// People
    #[command(subcommand)]
    User(user::UserCommand),
    /// Applications
    #[command(subcommand)]
    App(Box<app::AppCommand>),
    /// The catalog of providers
    #[command(subcommand)]
    Provider(provider::ProviderCommand),
    /// The keys that sign tokens
    #[command(subcommand)]
    Key(key::KeyCommand),
    /// Validate the configuration, the database and each enabled provider
    Check(Output),
    /// Every setting in force, with where it came from; of a secret only whether it is set
    Settings(Output),
    /// Delete what has expired (a running server does so by itself)
    Cleanup(Output),
    /// Print the OpenAPI 3.1 document of a server with this configuration; the database is not asked
    Openapi(Output),
}

/// Runs what was typed.
pub async fn run(cli: Cli) -> Outcome {
    let mut flags = Flags { config: cli.config, database_url: cli.database_url, listen: None };
    match cli.command {
        Command::Serve { listen } => {
            flags.listen = listen;
            operate::serve(load(&flags)?).await
        }
        Command::Dev { listen, output } => {
            flags.listen = listen;
            let mut loaded = configuration::load(&flags).map_err(Failure::Configuration)?;
            if !loaded.names_log_level {
                // A line a request would stand between the lines that are there to be pasted.
                loaded.settings.log.level = "warn".to_owned();
            }
            logging::start(&loaded.settings.log).map_err(Failure::Configuration)?;
            dev::run(loaded, output).await
        }
        Command::Migrate(output) => operate::migrate(load(&flags)?, output).await,
        Command::User(command) => user::run(&open(load(&flags)?).await?, command).await,
        Command::App(command) => app::run(&open(load(&flags)?).await?, *command).await,
        Command::Provider(provider::ProviderCommand::Test { name, output }) => {
            trial::test(load(&flags)?, &name, output).await
        }
        Command::Provider(command) => provider::run(load(&flags)?, &command),
        Command::Key(command) => key::run(&open(load(&flags)?).await?, command).await,
        Command::Check(output) => operate::check(load(&flags)?, output).await,
        Command::Settings(output) => settings::run(&load(&flags)?, output),
        Command::Cleanup(output) => operate::cleanup(&open(load(&flags)?).await?, output).await,
        Command::Openapi(_) => operate::openapi(&load(&flags)?),
    }
}

fn load(flags: &Flags) -> Result<Loaded, Failure> {
    let loaded = configuration::load(flags).map_err(Failure::Configuration)?;
    logging::start(&loaded.settings.log).map_err(Failure::Configuration)?;
    Ok(loaded)
}

/// Opens the database and everything else, for a command that works on it.
async fn open(loaded: Loaded) -> Result<Vestibule, Failure> {
    let masters = keys::masters(&loaded.settings).map_err(Failure::Configuration)?;
    let opened = Vestibule::open(loaded.settings, &masters.keys).await;
    let vestibule = opened.map_err(|error| Failure::Configuration(error.to_string()))?;
    masters.announce();
    Ok(vestibule)
}

/// The first line of stdin, without its end.
fn line_of_stdin() -> Result<String, Failure> {
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).map_err(|error| Failure::Refused(format!("cannot read stdin: {error}")))?;
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}

/// What was asked for cannot be done, in the words of the rule that says so.
fn refused(error: vestibule::protocol::OAuthError) -> Failure {
    match error.cause {
        None => Failure::Refused(error.description.into_owned()),
        Some(_) => error.into(),
    }
}
