//! How a command ends: what it prints, and why it fails.

use std::io::Write as _;

use serde_json::Value;
use vestibule::store;

/// How a command answers.
#[derive(clap::Args, Clone, Copy)]
pub struct Output {
    /// Print one JSON object or array, and nothing else
    #[arg(long)]
    pub json: bool,
}

/// Why a command ends with another status than 0.
#[derive(Debug)]
pub enum Failure {
    /// What was asked for cannot be done: status 1.
    Refused(String),
    /// The configuration is wrong or what it names cannot be reached: status 2.
    Configuration(String),
}

impl From<store::Error> for Failure {
    fn from(error: store::Error) -> Self {
        Self::Refused(vestibule::describe(&error))
    }
}

impl From<vestibule::protocol::OAuthError> for Failure {
    fn from(error: vestibule::protocol::OAuthError) -> Self {
        Self::Refused(vestibule::describe(&error))
    }
}

/// What a command ends with.
pub type Outcome = Result<(), Failure>;

/// Prints an answer: as JSON, or as people read it. A reader that has seen enough (`| head`) may leave.
pub fn print(output: Output, json: &Value, text: impl FnOnce() -> String) {
    let mut stdout = std::io::stdout();
    let _ = match output.json {
        true => writeln!(stdout, "{json}"),
        false => writeln!(stdout, "{}", text().trim_end()),
    };
}
