//! The audit log: read, and taken away as a file.

use serde_json::json;
use vestibule_protocol::{OAuthError, instant};

use super::actor::{Actor, Area};
use crate::context::{Context, Ctx};
use crate::store::audit::{self, Filter, Noted};

/// Entries that are read at once for an export.
const PIECE: i64 = 1_000;

/// The names of the filters, as they stand in an address: `since` and `until` are days (`2026-11-24`) or instants
/// (`2026-11-24T14:26:15Z`); a day counts as a whole.
pub const FILTERS: [&str; 6] = ["actor", "act", "kind", "target", "since", "until"];

/// The filter that these values make; empty ones take everything.
///
/// # Errors
/// 400 that names the date which is none.
pub fn filter<'q>(value: impl Fn(&'static str) -> &'q str) -> Result<Filter, OAuthError> {
    let date = |name: &'static str, whole_day: i64| match value(name) {
        "" => Ok(None),
        text if text.contains('T') => instant::read(text).map(Some).ok_or_else(|| no_date(name)),
        text => match instant::read(&format!("{text}T00:00:00Z")) {
            Some(midnight) => Ok(Some(midnight + whole_day)),
            None => Err(no_date(name)),
        },
    };
    Ok(Filter {
        actor: value("actor").to_owned(),
        act: value("act").to_owned(),
        target_kind: value("kind").to_owned(),
        target: value("target").to_owned(),
        since: date("since", 0)?,
        until: date("until", 86_400)?,
    })
}

fn no_date(name: &'static str) -> OAuthError {
    let sentence = format!("`{name}` is a day such as 2026-11-24, or an instant such as 2026-11-24T14:26:15Z.");
    OAuthError::invalid_request(sentence).with_field(name)
}

/// Entries that are older than the one numbered `before`, the youngest first, at most `limit`.
///
/// # Errors
/// 403 for whoever may not see them.
pub async fn list(
    cx: &Context,
    actor: &Actor,
    filter: &Filter,
    before: i64,
    limit: i64,
) -> Result<Vec<Noted>, OAuthError> {
    actor.must_see(Area::Audit)?;
    Ok(audit::page(&cx.db, filter, before, limit).await?)
}

/// What an export is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// RFC 4180, for spreadsheets.
    Csv,
    /// One JSON object a line.
    JsonLines,
}

impl Format {
    /// By its name; `None` for one that there is not.
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "csv" => Some(Self::Csv),
            "jsonl" => Some(Self::JsonLines),
            _ => None,
        }
    }

    /// Its name, which is a file's ending too.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Csv => "csv",
            Self::JsonLines => "jsonl",
        }
    }
}

/// An export under way: it is read piece by piece, however long it is.
pub struct Export {
    cx: Ctx,
    filter: Filter,
    format: Format,
    /// The number of the last entry that was read; `None`: there is nothing more.
    before: Option<i64>,
    is_begun: bool,
}

/// Begins an export of everything that the filter takes, the youngest first, and notes it.
///
/// # Errors
/// 403 for whoever may not see it.
pub async fn export(cx: &Ctx, actor: &Actor, filter: Filter, format: Format) -> Result<Export, OAuthError> {
    actor.must_see(Area::Audit)?;
    let date = |at: Option<i64>| at.map(instant::write);
    let detail = json!({
        "format": format.as_str(),
        "actor": filter.actor,
        "act": filter.act,
        "kind": filter.target_kind,
        "target": filter.target,
        "since": date(filter.since),
        "until": date(filter.until),
    });
    let entry = actor.entry(cx.clock.now(), "audit.export", ("audit", None, format.as_str()), detail);
    cx.db.write(move |tx| Box::pin(async move { audit::note(tx, entry).await })).await?;
    Ok(Export { cx: cx.clone(), filter, format, before: Some(i64::MAX), is_begun: false })
}

impl Export {
    /// What it is written in.
    pub fn format(&self) -> Format {
        self.format
    }

    /// The next piece; `None` at the end.
    ///
    /// # Errors
    /// What the database says.
    pub async fn next(&mut self) -> Result<Option<String>, OAuthError> {
        let Some(before) = self.before else { return Ok(None) };
        let rows = audit::page(&self.cx.db, &self.filter, before, PIECE).await?;
        let is_last = rows.len() < PIECE as usize;
        self.before = rows.last().filter(|_| !is_last).map(|last| last.id);
        let mut text = String::new();
        if self.format == Format::Csv && !std::mem::replace(&mut self.is_begun, true) {
            text.push_str("id,at,actor,via,address,act,target_kind,target_id,target,detail\r\n");
        }
        for row in &rows {
            match self.format {
                Format::Csv => text.push_str(&record(row)),
                Format::JsonLines => {
                    text.push_str(&serde_json::to_string(row).unwrap_or_default());
                    text.push('\n');
                }
            }
        }
        Ok(Some(text))
    }
}

/// An entry as a record of a CSV file (RFC 4180 §2).
fn record(row: &Noted) -> String {
    let detail = row.detail.to_string();
    let fields = [
        row.id.to_string(),
        instant::write(row.at),
        field(&row.actor),
        field(&row.via),
        field(&row.address),
        field(&row.act),
        field(&row.target_kind),
        row.target_id.map(|id| id.to_string()).unwrap_or_default(),
        field(&row.target),
        field(&detail),
    ];
    fields.join(",") + "\r\n"
}

/// A field, with an apostrophe before what a spreadsheet would take for a formula, and quoted where it must be.
fn field(text: &str) -> String {
    let is_formula = text.starts_with(['=', '+', '-', '@', '\t', '\r', '\n', '＝', '＋', '－', '＠']);
    let text = format!("{}{text}", if is_formula { "'" } else { "" });
    match text.contains([',', '"', '\r', '\n']) {
        true => format!("\"{}\"", text.replace('"', "\"\"")),
        false => text,
    }
}

#[cfg(test)]
mod tests {
    use super::{field, filter};

    #[test]
    fn a_field_is_quoted_as_rfc_4180_says_and_is_no_formula() {
        assert_eq!(field("plain text"), "plain text");
        assert_eq!(field("a,b"), "\"a,b\"");
        assert_eq!(field("say \"x\"\r\n"), "\"say \"\"x\"\"\r\n\"");
        assert_eq!(field("=1+1"), "'=1+1");
        assert_eq!(field("@SUM(A1,A2)"), "\"'@SUM(A1,A2)\"");
        for bad in ["+1", "-1", "\t=1", "\r=1", "\n=1", "＝1"] {
            assert!(field(bad).trim_start_matches('"').starts_with('\''), "{bad:?}");
        }
        assert_eq!(field(""), "");
    }

    #[test]
    fn a_day_counts_as_a_whole_and_an_instant_as_it_stands() {
        let of = |since: &'static str, until: &'static str| {
            filter(|name| match name {
                "since" => since,
                "until" => until,
                _ => "",
            })
        };
        let day = of("1970-01-02", "1970-01-02").unwrap();
        assert_eq!((day.since, day.until), (Some(86_400), Some(2 * 86_400)));
        assert_eq!(of("1970-01-01T00:00:07Z", "").unwrap().since, Some(7));
        for bad in ["yesterday", "1970-1-1", "1970-01-01T", "24.11.2026"] {
            assert_eq!(of("", bad).unwrap_err().field, Some("until"), "{bad}");
        }
    }
}
