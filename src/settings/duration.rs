//! How a span of time is written in the configuration.

use std::time::Duration;

use serde::{Deserialize, Deserializer, Serializer, de};

/// Reads `90s`, `10m`, `10h`, `30d`, `250ms`, or a bare number of seconds.
///
/// # Errors
/// A sentence that names what it takes.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let bad = || format!("`{text}` is not a duration; write a number and a unit: 250ms, 90s, 10m, 10h, 30d");
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().map_err(|_| bad())?;
    let seconds = match unit.trim() {
        "ms" => return Ok(Duration::from_millis(number)),
        "s" | "" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => return Err(bad()),
    };
    // A century is longer than any lifetime that makes sense, and keeps sums of times far from overflow.
    number.checked_mul(seconds).filter(|total| *total <= 100 * 366 * 86_400).map(Duration::from_secs).ok_or_else(bad)
}

/// Writes it as [`parse_duration`] reads it, in the greatest unit that leaves nothing over.
pub(super) fn serialize<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    let milliseconds = duration.as_millis();
    let units = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];
    match units.into_iter().find(|(_, length)| milliseconds.is_multiple_of(*length)) {
        Some((unit, length)) if milliseconds > 0 => {
            serializer.collect_str(&format_args!("{}{unit}", milliseconds / length))
        }
        _ => serializer.serialize_str("0s"),
    }
}

pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Written {
        Text(String),
        Seconds(u64),
    }
    let text = match Written::deserialize(deserializer) {
        Ok(Written::Text(text)) => text,
        Ok(Written::Seconds(seconds)) => seconds.to_string(),
        Err(_) => {
            return Err(de::Error::custom("not a duration; write a number and a unit: 250ms, 90s, 10m, 10h, 30d"));
        }
    };
    parse_duration(&text).map_err(de::Error::custom)
}
