//! `vestibule settings`: every setting as it is in force, and where it came from. Secrets are never shown.

use std::fmt::Write as _;

use serde_json::json;

use crate::configuration::Loaded;
use crate::outcome::{Outcome, Output, print};

pub(super) fn run(loaded: &Loaded, output: Output) -> Outcome {
    let lines = loaded.settings.in_force();
    print(output, &json!(lines), || {
        lines.iter().fold(String::new(), |mut text, line| {
            let value = line.text().unwrap_or_else(|| if line.is_set { "(set)" } else { "(not set)" }.to_owned());
            let origin = match line.origin.name() {
                "" => line.origin.as_str(),
                name => name,
            };
            let _ = writeln!(text, "{} = {value}   [{origin}]", line.name);
            text
        })
    });
    Ok(())
}
