//! The program `vestibule`: reads the configuration, runs one command, and says in one line what is wrong if it cannot.
//!
//! Exit status: 0 done, 1 the command could not do what was asked, 2 the configuration or the call is wrong.
//! Not here: rules. Everything that decides about people, applications and tokens is in the library.

mod command;
mod configuration;
mod dev;
mod keys;
mod linger;
mod logging;
mod outcome;
mod serve;
mod strict;

use std::process::ExitCode;

use clap::Parser as _;

use outcome::Failure;

fn main() -> ExitCode {
    let cli = command::Cli::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("vestibule: cannot start: {error}");
            return ExitCode::from(1);
        }
    };
    let ended = runtime.block_on(command::run(cli));
    logging::finish();
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Refused(sentence)) => {
            eprintln!("vestibule: {sentence}");
            ExitCode::from(1)
        }
        Err(Failure::Configuration(sentence)) => {
            eprintln!("vestibule: {sentence}");
            ExitCode::from(2)
        }
    }
}
