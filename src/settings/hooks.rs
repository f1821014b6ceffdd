//! `[hooks.NAME]`: webhooks that are asked before somebody comes in, and told of what happened.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use super::{Hidden, duration};

/// What a hook can be asked or told, by its name on the wire.
pub const HOOK_EVENTS: [&str; 5] =
    ["person.arriving", "user.created", "association.created", "user.signed_in", "association.deleted"];

/// `[hooks.NAME]`
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct HookSettings {
    /// Where it is.
    pub url: String,
    /// `whsec_` and 24 to 64 bytes in base64; two between blanks while one is changed.
    pub secret: Hidden,
    /// What it is asked or told; empty is everything.
    pub events: Vec<String>,
    /// How long it may take to answer.
    #[serde(with = "duration")]
    pub timeout: Duration,
    /// What happens to an arrival that it could not be asked about.
    pub on_failure: OnFailure,
}

/// `hooks.NAME.on_failure`
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum OnFailure {
    /// Nobody comes in unasked.
    #[default]
    Refuse,
    /// As if it had not been there.
    Allow,
}

impl Default for HookSettings {
    fn default() -> Self {
        Self {
            url: String::new(),
            secret: Hidden::new(""),
            events: Vec::new(),
            timeout: Duration::from_secs(3),
            on_failure: OnFailure::Refuse,
        }
    }
}

impl HookSettings {
    /// Whether it is asked or told of this.
    pub fn hears(&self, event: &str) -> bool {
        self.events.is_empty() || self.events.iter().any(|own| own == event)
    }

    /// The secrets that sign, as bytes.
    ///
    /// # Errors
    /// A sentence that does not repeat them.
    pub fn secrets(&self) -> Result<Vec<Vec<u8>>, String> {
        let bad =
            || "must be `whsec_` and 24 to 64 random bytes in base64: echo whsec_$(openssl rand -base64 32)".to_owned();
        let read = |text: &str| {
            let bytes = text.strip_prefix("whsec_").and_then(|text| STANDARD.decode(text).ok());
            bytes.filter(|bytes| (24..=64).contains(&bytes.len())).ok_or_else(bad)
        };
        let all: Vec<_> = self.secret.reveal().split_whitespace().map(read).collect::<Result<_, _>>()?;
        if all.is_empty() { Err(bad()) } else { Ok(all) }
    }

    /// Looks for values that nothing could be done with.
    ///
    /// # Errors
    /// The name of the setting, and a sentence.
    pub fn check(&self) -> Result<(), (&'static str, String)> {
        let is_address = url::Url::parse(&self.url).is_ok_and(|url| {
            matches!(url.scheme(), "http" | "https") && url.username().is_empty() && url.fragment().is_none()
        });
        if !is_address {
            return Err(("url", "must be an http or https address, without user and fragment".to_owned()));
        }
        self.secrets().map_err(|sentence| ("secret", sentence))?;
        if let Some(unknown) = self.events.iter().find(|event| !HOOK_EVENTS.contains(&event.as_str())) {
            return Err(("events", format!("`{unknown}` is not one of {}", HOOK_EVENTS.join(", "))));
        }
        if self.timeout.is_zero() || self.timeout > Duration::from_secs(30) {
            return Err(("timeout", "must be more than 0 and 30s at most".to_owned()));
        }
        Ok(())
    }
}
