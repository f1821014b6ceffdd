//! An entry out of a file of its own: a mistake is told with its line and key.

use super::{EntryError, unknown_key};

/// What is wrong with a file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {what}")]
pub struct SourceError {
    /// From 1 on.
    pub line: usize,
    /// The key, and what is wrong with it.
    pub what: String,
}

/// Where in a file's text the mistake of an entry is that was read from it; line 1 where the key stands elsewhere.
pub fn locate(text: &str, error: &EntryError) -> SourceError {
    // The sentences of `Entry::check` begin with their key; serde's name it at their end.
    let key = error.0.split(": ").next().filter(|key| !key.contains(' ')).map(str::to_owned);
    let key = key.or_else(|| error.0.rsplit_once("in `").map(|(_, key)| key.trim_end_matches('`').to_owned()));
    SourceError { line: key.map_or(1, |key| line_of(text, &key)), what: error.0.clone() }
}

/// Reads a file's text as a table of keys that entries have; it may be a part of an entry, to lie over another.
///
/// # Errors
/// [`SourceError`] with line and key.
pub fn parse_source(text: &str) -> Result<toml::Table, SourceError> {
    let table: toml::Table = text.parse().map_err(|error: toml::de::Error| {
        let line = error.span().map_or(1, |span| line_at(text, span.start));
        SourceError { line, what: error.message().to_owned() }
    })?;
    if let Some(key) = unknown_key(&table) {
        let line = line_of(text, &key);
        return Err(SourceError { line, what: format!("{key}: there is no such key in a provider's entry") });
    }
    Ok(table)
}

fn line_at(text: &str, offset: usize) -> usize {
    text.get(..offset).unwrap_or(text).matches('\n').count() + 1
}

/// The line of a dotted key; of its table where the key itself is not there.
fn line_of(text: &str, key: &str) -> usize {
    let Ok(document) = toml::de::DeTable::parse(text) else { return 1 };
    let mut found = 0;
    let mut table = Some(document.get_ref());
    for part in key.split('.') {
        let Some((name, value)) = table.and_then(|table| table.iter().find(|(name, _)| name.get_ref() == part)) else {
            break;
        };
        found = name.span().start;
        table = match value.get_ref() {
            toml::de::DeValue::Table(inner) => Some(inner),
            // Of several tables of one name, the first that has the key would be a guess: the first.
            toml::de::DeValue::Array(items) => items.iter().next().and_then(|item| item.get_ref().as_table()),
            _ => None,
        };
    }
    line_at(text, found)
}
