//! What a page of the console is made of. Every page is one of four: a list, one thing, a form, a question.
//!
//! A text that is `&'static str` is the key of a text that can be translated; a `String` is shown as it is.

use serde::Serialize;

use super::super::account::moment;

/// A value in a table or beside a label.
#[derive(Debug, Default, Serialize)]
pub(super) struct Cell {
    text: String,
    url: Option<String>,
    kind: &'static str,
    tone: &'static str,
}

impl Cell {
    /// Shown as it is.
    pub fn text(text: impl Into<String>) -> Self {
        Self { text: text.into(), ..Self::default() }
    }

    /// An identifier, a scope, an address.
    pub fn code(text: impl Into<String>) -> Self {
        Self { kind: "code", ..Self::text(text) }
    }

    /// A moment, in seconds since 1970.
    pub fn time(seconds: i64) -> Self {
        Self { kind: "time", ..Self::text(moment(seconds)) }
    }

    /// A moment, or that there was none.
    pub fn optional_time(seconds: Option<i64>) -> Self {
        seconds.map_or_else(|| Self::none("console_never"), Self::time)
    }

    /// A text of ours.
    pub fn word(key: &'static str) -> Self {
        Self { kind: "word", ..Self::text(key) }
    }

    /// A state worth a mark: `tone` is empty, `off` or `bad`.
    pub fn badge(key: &'static str, tone: &'static str) -> Self {
        Self { kind: "badge", tone, ..Self::text(key) }
    }

    /// Yes or no.
    pub fn mark(is_so: bool) -> Self {
        Self::word(if is_so { "console_yes" } else { "console_no" })
    }

    /// That there is nothing, in words of ours.
    pub fn none(key: &'static str) -> Self {
        Self { kind: "none", ..Self::text(key) }
    }

    /// Several lines as they are.
    pub fn block(text: impl Into<String>) -> Self {
        Self { kind: "block", ..Self::text(text) }
    }

    /// With a link.
    pub fn to(self, url: impl Into<String>) -> Self {
        Self { url: Some(url.into()), ..self }
    }
}

/// A row; `id` is what choosing it sends.
#[derive(Debug, Serialize)]
pub(super) struct Row {
    pub id: String,
    pub cells: Vec<Cell>,
}

/// What can be done to all rows that are chosen.
#[derive(Debug, Serialize)]
pub(super) struct Bulk {
    pub action: String,
    /// Of the field with the rows' ids.
    pub name: &'static str,
    pub label: &'static str,
}

/// Rows under columns, a page at a time.
#[derive(Debug, Default, Serialize)]
pub(super) struct Table {
    /// What it is called for whoever cannot see it.
    pub label: &'static str,
    pub columns: Vec<&'static str>,
    pub rows: Vec<Row>,
    /// Said where there is no row.
    pub empty: &'static str,
    pub bulk: Option<Bulk>,
    pub first_url: Option<String>,
    pub next_url: Option<String>,
}

/// A button, or a link that looks like one.
#[derive(Debug, Serialize)]
pub(super) struct Act {
    pub label: &'static str,
    pub url: String,
    /// Whether it acts at once; else it leads to a page.
    pub is_post: bool,
    /// Empty, `primary` or `danger`.
    pub tone: &'static str,
    pub fields: Vec<(&'static str, String)>,
}

impl Act {
    /// Leads to a page.
    pub fn link(label: &'static str, url: impl Into<String>) -> Self {
        Self { label, url: url.into(), is_post: false, tone: "", fields: Vec::new() }
    }

    /// Acts at once.
    pub fn post(label: &'static str, url: impl Into<String>) -> Self {
        Self { is_post: true, ..Self::link(label, url) }
    }

    /// What most come for.
    pub fn primary(self) -> Self {
        Self { tone: "primary", ..self }
    }

    /// What asks again.
    pub fn danger(self) -> Self {
        Self { tone: "danger", ..self }
    }
}

/// A choice of a field.
#[derive(Debug, Serialize)]
pub(super) struct Choice {
    value: String,
    label: String,
    is_plain: bool,
}

impl Choice {
    /// With a text of ours.
    pub fn new(value: impl Into<String>, label: &'static str) -> Self {
        Self { value: value.into(), label: label.to_owned(), is_plain: false }
    }

    /// That is its own label.
    pub fn plain(value: impl Into<String>) -> Self {
        let value = value.into();
        Self { label: value.clone(), value, is_plain: true }
    }
}

/// A field of a form.
#[derive(Debug, Serialize)]
pub(super) struct Field {
    /// `text`, `search`, `email`, `password`, `number`, `lines`, `select`, `checkboxes`, `radios`, `mark`
    kind: &'static str,
    name: &'static str,
    label: &'static str,
    hint: Option<&'static str>,
    values: Vec<String>,
    choices: Vec<Choice>,
    is_required: bool,
    is_invalid: bool,
    autocomplete: &'static str,
}

impl Field {
    /// A field of this kind with these values.
    pub fn new(kind: &'static str, name: &'static str, label: &'static str, values: Vec<String>) -> Self {
        let autocomplete = if kind == "password" { "new-password" } else { "off" };
        Self {
            kind,
            name,
            label,
            hint: None,
            values: values.into_iter().filter(|value| !value.is_empty()).collect(),
            choices: Vec::new(),
            is_required: false,
            is_invalid: false,
            autocomplete,
        }
    }

    /// A line of text.
    pub fn text(name: &'static str, label: &'static str, value: impl Into<String>) -> Self {
        Self::new("text", name, label, vec![value.into()])
    }

    /// Lines, one value each.
    pub fn lines(name: &'static str, label: &'static str, values: Vec<String>) -> Self {
        Self::new("lines", name, label, values)
    }

    /// One of several.
    pub fn select(name: &'static str, label: &'static str, value: impl Into<String>, choices: Vec<Choice>) -> Self {
        // The empty value is a choice like another.
        Self { choices, values: vec![value.into()], ..Self::new("select", name, label, Vec::new()) }
    }

    /// Any of several.
    pub fn checkboxes(name: &'static str, label: &'static str, values: Vec<String>, choices: Vec<Choice>) -> Self {
        Self { choices, ..Self::new("checkboxes", name, label, values) }
    }

    /// Exactly one of a few, all of them seen.
    pub fn radios(name: &'static str, label: &'static str, values: Vec<String>, choices: Vec<Choice>) -> Self {
        Self { choices, ..Self::new("radios", name, label, values) }
    }

    /// Yes or no.
    pub fn mark(name: &'static str, label: &'static str, is_so: bool) -> Self {
        Self::new("mark", name, label, vec![if is_so { "1" } else { "" }.to_owned()])
    }

    /// With a sentence under its label.
    pub fn hint(self, hint: &'static str) -> Self {
        Self { hint: Some(hint), ..self }
    }

    /// That must be filled in.
    pub fn required(self) -> Self {
        Self { is_required: true, ..self }
    }

    /// Marks the field that an error names.
    pub fn judged(self, wrong: Option<&str>) -> Self {
        Self { is_invalid: wrong == Some(self.name), ..self }
    }
}

/// A page with a table.
#[derive(Debug, Default, Serialize)]
pub(super) struct List {
    pub title: &'static str,
    pub intro: Option<&'static str>,
    pub acts: Vec<Act>,
    /// Where the filters are sent.
    pub action: String,
    pub filters: Vec<Field>,
    pub table: Table,
}

/// A label with its values.
#[derive(Debug, Serialize)]
pub(super) struct Fact {
    pub label: &'static str,
    pub cells: Vec<Cell>,
}

/// One label, one value.
pub(super) fn fact(label: &'static str, cell: Cell) -> Fact {
    Fact { label, cells: vec![cell] }
}

/// One label, several values.
pub(super) fn facts<T: Into<String>>(label: &'static str, values: impl IntoIterator<Item = T>) -> Fact {
    Fact { label, cells: values.into_iter().map(Cell::code).collect() }
}

/// What is shown this once.
#[derive(Debug, Serialize)]
pub(super) struct Secret {
    pub label: &'static str,
    pub text: String,
    pub sentence: &'static str,
}

/// A part of a page about one thing.
#[derive(Debug, Default, Serialize)]
pub(super) struct Section {
    pub title: &'static str,
    pub intro: Option<&'static str>,
    pub table: Option<Table>,
    pub acts: Vec<Act>,
}

/// A page about one thing.
#[derive(Debug, Default, Serialize)]
pub(super) struct Detail {
    pub heading: String,
    pub badges: Vec<Cell>,
    pub secret: Option<Secret>,
    pub acts: Vec<Act>,
    pub facts: Vec<Fact>,
    pub sections: Vec<Section>,
    pub back_url: String,
    pub back_label: &'static str,
}

/// A page with a form.
#[derive(Debug, Default, Serialize)]
pub(super) struct Sheet {
    pub title: &'static str,
    pub heading: Option<String>,
    pub intro: Option<&'static str>,
    pub action: String,
    pub fields: Vec<Field>,
    /// Those that few need.
    pub more: Vec<Field>,
    pub button: &'static str,
    pub back_url: String,
    pub error: Option<String>,
}

/// A page that asks again.
#[derive(Debug, Default, Serialize)]
pub(super) struct Question {
    pub title: &'static str,
    /// What it is about.
    pub heading: Option<String>,
    /// What will happen, and whether it can be undone.
    pub sentence: &'static str,
    pub action: String,
    pub fields: Vec<(&'static str, String)>,
    pub button: &'static str,
    pub back_url: String,
}
