//! `vestibule provider …`: the catalog, and what of it is enabled. Secrets are never shown.

use std::fmt::Write as _;

use clap::Subcommand;
use serde_json::{Value, json};
use vestibule::upstream::{self, CatalogLine};

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
    /// Try a provider: client id, secret, endpoints, certificates and clock, as far as it can be told without a person
    Test {
        /// The backend's name
        name: String,
        #[command(flatten)]
        output: Output,
    },
}

pub(super) fn run(loaded: Loaded, command: &ProviderCommand) -> Outcome {
    let lines = upstream::lines(&loaded.settings).map_err(Failure::Configuration)?;
    match command {
        ProviderCommand::List(output) => {
            let all: Vec<Value> = lines.iter().map(as_json).collect();
            print(*output, &Value::Array(all), || {
                let mut text = String::new();
                for line in &lines {
                    let state = if line.enabled { "enabled" } else { line.entry.status.as_str() };
                    let _ = writeln!(
                        text,
                        "{:<28} {:<8} {:<10} audience check: {}",
                        line.name,
                        line.entry.protocol.as_str(),
                        state,
                        line.audience_check
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
            let mut value = as_json(line);
            value["entry"] = serde_json::to_value(&line.table).unwrap_or_default();
            value["changed"] = json!(line.changed);
            print(*output, &value, || describe(line));
        }
        // It asks the provider, so it is done where that can be waited for.
        ProviderCommand::Test { .. } => {}
    }
    Ok(())
}

/// The whole entry, with what the operator changed.
fn describe(line: &CatalogLine) -> String {
    let entry = &line.entry;
    let mut text = format!("{} ({})\n", entry.title, line.name);
    let mut row = |name: &str, value: &str| {
        let _ = writeln!(text, "{name:<15} {value}");
    };
    row("protocol", entry.protocol.as_str());
    row("status", entry.status.as_str());
    if let Some(note) = &entry.note {
        row("note", note);
    }
    row("enabled", if line.enabled { "yes" } else { "no" });
    row("audience check", line.audience_check);
    row("needs", &line.needs.join(", "));
    if let Some(register) = &entry.register {
        row("register at", register);
    }
    for (name, rule) in &entry.settings {
        let default = match &rule.default {
            Some(default) => format!("default {default}"),
            None if rule.optional => "optional".to_owned(),
            None => "must be set".to_owned(),
        };
        let what = rule.description.as_deref().map(|what| format!(": {what}")).unwrap_or_default();
        row("setting", &format!("{name} ({}, {default}){what}", rule.kind.as_str()));
    }
    row("changed by you", if line.changed.is_empty() { "nothing" } else { "" });
    for key in &line.changed {
        let _ = writeln!(text, "  {key}");
    }
    if !line.enabled && !line.is_shut_down() {
        let _ = writeln!(text, "\nTo enable it:\n[providers.{}]", line.name);
        for need in &line.needs {
            let _ = writeln!(text, "{need} = \"…\"");
        }
    }
    let _ = writeln!(text, "\nIts entry:\n{}", toml::to_string(&line.table).unwrap_or_default());
    text
}

fn as_json(line: &CatalogLine) -> Value {
    json!({
        "name": line.name,
        "title": line.entry.title,
        "protocol": line.entry.protocol.as_str(),
        "status": line.entry.status.as_str(),
        "note": line.entry.note,
        "needs": line.needs,
        "enabled": line.enabled,
        "audience_check": line.audience_check,
    })
}
