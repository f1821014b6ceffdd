//! `vestibule provider …`: the catalog, and what of it is enabled. Secrets are never shown.

use std::fmt::Write as _;

use clap::Subcommand;
use serde_json::{Value, json};
use vestibule::clock::Clock;
use vestibule::upstream::{CatalogLine, Upstream};

use crate::configuration::Loaded;
use crate::outcome::{Failure, Outcome, Output, print};

#[derive(Subcommand)]
pub enum ProviderCommand {
    /// Every provider: name, protocol, whether it is enabled, how its tokens are audience-checked
    List(Output),
    /// One provider, with what it needs
    Show {
        /// The backend's name
        name: String,
        #[command(flatten)]
        output: Output,
    },
}

pub(super) fn run(loaded: Loaded, command: &ProviderCommand) -> Outcome {
    let upstream = Upstream::new(&loaded.settings, Clock::default()).map_err(Failure::Configuration)?;
    let lines: Vec<CatalogLine> = upstream.catalog().collect();
    match command {
        ProviderCommand::List(output) => {
            let all: Vec<Value> = lines.iter().map(as_json).collect();
            print(*output, &Value::Array(all), || {
                let mut text = String::new();
                for line in &lines {
                    let enabled = if line.enabled { "enabled" } else { "-" };
                    let _ = writeln!(
                        text,
                        "{:<24} {:<8} {:<8} audience check: {}",
                        line.name, line.protocol, enabled, line.audience_check
                    );
                }
                text
            });
        }
        ProviderCommand::Show { name, output } => {
            let line = lines.iter().find(|line| &line.name == name);
            let line = line.ok_or_else(|| {
                Failure::Refused(format!("no provider `{name}`; `vestibule provider list` shows all"))
            })?;
            print(*output, &as_json(line), || {
                let mut text = format!("{} ({})\n", line.title, line.name);
                let _ = writeln!(text, "protocol        {}", line.protocol);
                let _ = writeln!(text, "enabled         {}", if line.enabled { "yes" } else { "no" });
                let _ = writeln!(text, "audience check  {}", line.audience_check);
                let _ = writeln!(text, "needs           {}", line.needs.join(", "));
                if !line.enabled {
                    let _ = writeln!(text, "\nTo enable it:\n[providers.{}]", line.name);
                    for need in &line.needs {
                        let _ = writeln!(text, "{need} = \"…\"");
                    }
                }
                text
            });
        }
    }
    Ok(())
}

fn as_json(line: &CatalogLine) -> Value {
    json!({
        "name": line.name,
        "title": line.title,
        "protocol": line.protocol,
        "needs": line.needs,
        "enabled": line.enabled,
        "audience_check": line.audience_check,
    })
}
