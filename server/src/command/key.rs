//! `vestibule key …`: the keys that sign tokens.

use std::fmt::Write as _;

use clap::Subcommand;
use serde_json::{Value, json};
use vestibule::store::signing_key::{self, StoredKey};
use vestibule::{Vestibule, signing};

use crate::outcome::{Outcome, Output, print};

#[derive(Subcommand)]
pub enum KeyCommand {
    /// Every signing key: which one signs, which is next, which ones are only verified with any more
    List(Output),
    /// Let the next keys sign from now on, on every node, and publish new next ones
    Rotate(Output),
}

pub(super) async fn run(vestibule: &Vestibule, command: KeyCommand) -> Outcome {
    let cx = vestibule.context();
    let (output, is_rotation) = match command {
        KeyCommand::List(output) => (output, false),
        KeyCommand::Rotate(output) => (output, true),
    };
    if is_rotation {
        signing::rotate(cx).await?;
    }
    let now = cx.clock.now();
    let keys = signing_key::living(&cx.db, now).await?;
    let rows: Vec<(&StoredKey, &str)> =
        keys.iter().filter(|key| key.algorithm != "HS256").map(|key| (key, state(&keys, key, now))).collect();
    let json: Vec<Value> = rows
        .iter()
        .map(|(key, state)| {
            json!({
                "kid": key.kid,
                "algorithm": key.algorithm,
                "state": state,
                "created_at": key.created_at,
                "active_at": key.active_at,
                "expires_at": key.expires_at,
            })
        })
        .collect();
    print(output, &Value::Array(json), || {
        rows.iter().fold(String::new(), |mut text, (key, state)| {
            let _ = writeln!(text, "{:<44} {:<6} {state}", key.kid, key.algorithm);
            text
        })
    });
    Ok(())
}

fn state(all: &[StoredKey], key: &StoredKey, now: i64) -> &'static str {
    if key.active_at > now {
        return "next";
    }
    let is_followed = all.iter().any(|other| {
        other.algorithm == key.algorithm
            && other.active_at <= now
            && (other.active_at, &other.kid) > (key.active_at, &key.kid)
    });
    if is_followed { "retired" } else { "signing" }
}
