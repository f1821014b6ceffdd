//! `vestibule key …`: the keys that sign tokens.

use std::fmt::Write as _;

use clap::Subcommand;
use serde_json::Value;
use vestibule::Vestibule;
use vestibule::admin::{Actor, keys};

use crate::outcome::{Outcome, Output, print};

#[derive(Subcommand)]
pub enum KeyCommand {
    /// Every signing key: which one signs, which is next, which ones are only verified with any more
    List(Output),
    /// Let the next keys sign from now on, on every node, and publish new next ones
    Rotate(Output),
}

pub(super) async fn run(vestibule: &Vestibule, command: KeyCommand) -> Outcome {
    let (cx, actor) = (vestibule.context(), Actor::operator());
    let (output, is_rotation) = match command {
        KeyCommand::List(output) => (output, false),
        KeyCommand::Rotate(output) => (output, true),
    };
    if is_rotation {
        keys::rotate(cx, &actor).await?;
    }
    let all = keys::list(cx, &actor).await?;
    let json: Vec<Value> = all.iter().map(|(key, state)| keys::described(key, *state)).collect();
    print(output, &Value::Array(json), || {
        all.iter().fold(String::new(), |mut text, (key, state)| {
            let _ = writeln!(text, "{:<44} {:<6} {}", key.kid, key.algorithm, state.as_str());
            text
        })
    });
    Ok(())
}
