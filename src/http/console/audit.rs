//! `/admin/audit/`: who did what.

use axum::extract::State;
use axum::response::Response;
use serde_json::Value;
use vestibule_protocol::OAuthError;

use super::view::{Act, Cell, Field, List, Row, Table};
use super::{ROWS, Staff, StaffForm};
use crate::admin::audit::{self, FILTERS, Format};
use crate::context::Ctx;
use crate::http::download;
use crate::store::audit::Noted;

const LIST: &str = "/admin/audit/";

pub(super) async fn list(State(cx): State<Ctx>, staff: Staff) -> Response {
    let read = async {
        let filter = audit::filter(|name| staff.filter(name))?;
        audit::list(&cx, &staff.actor, &filter, staff.before(), ROWS + 1).await
    };
    let mut all: Vec<Noted> = match read.await {
        Ok(all) => all,
        Err(error) => return staff.refuse(&cx, error),
    };
    let (first_url, next_url) = staff.pages(&mut all, |entry| entry.id);
    let rows = all.iter().map(|entry| Row {
        id: entry.id.to_string(),
        cells: vec![
            Cell::time(entry.at),
            match entry.actor_id {
                Some(id) => Cell::text(&entry.actor).to(format!("/admin/users/{id}/")),
                None => Cell::text(&entry.actor),
            },
            Cell::code(&entry.via),
            Cell::code(&entry.address),
            Cell::code(&entry.act),
            Cell::text(format!("{} {}", entry.target_kind, entry.target)),
            match changes(entry) {
                lines if lines.is_empty() => Cell::none("console_nothing_changed"),
                lines => Cell::block(lines),
            },
        ],
    });
    let field = |kind, name: &'static str, label| Field::new(kind, name, label, vec![staff.filter(name).to_owned()]);
    let export = |label, format: Format| {
        let filters = FILTERS.into_iter().map(|name| (name, staff.filter(name).to_owned()));
        let fields = filters.chain([("format", format.as_str().to_owned())]).filter(|(_, value)| !value.is_empty());
        Act { fields: fields.collect(), ..Act::post(label, format!("{LIST}export")) }
    };
    let view = List {
        title: "console_audit",
        acts: vec![export("console_audit_csv", Format::Csv), export("console_audit_jsonl", Format::JsonLines)],
        action: LIST.to_owned(),
        filters: vec![
            field("search", "actor", "console_audit_actor"),
            field("search", "act", "console_audit_act").hint("console_audit_act_hint"),
            field("search", "kind", "console_audit_kind"),
            field("search", "target", "console_audit_target"),
            field("date", "since", "console_audit_since"),
            field("date", "until", "console_audit_until"),
        ],
        table: Table {
            label: "console_audit",
            columns: vec![
                "console_audit_at",
                "console_audit_actor",
                "console_audit_via",
                "console_audit_address",
                "console_audit_act",
                "console_audit_target",
                "console_audit_changes",
            ],
            rows: rows.collect(),
            empty: "console_no_audit",
            bulk: None,
            first_url,
            next_url,
        },
        ..List::default()
    };
    staff.show(&cx, "console/list.html", &view)
}

pub(super) async fn export(State(cx): State<Ctx>, form: StaffForm) -> Response {
    let StaffForm { staff, params } = form;
    let begin = async {
        let format = Format::from_name(params.get("format").unwrap_or_default());
        let format = format.ok_or_else(|| OAuthError::invalid_request("`format` is `csv` or `jsonl`."))?;
        let filter = audit::filter(|name| params.get(name).unwrap_or_default().trim())?;
        audit::export(&cx, &staff.actor, filter, format).await
    };
    match begin.await {
        Ok(export) => download::audit(&cx, export),
        Err(error) => staff.refuse(&cx, error),
    }
}

/// What an entry tells beside, a line a member: `name: before → after` of what was changed, `name: value` of the rest.
fn changes(entry: &Noted) -> String {
    // What is made and what is gone is told as it was, and has no before.
    let is_whole = [".create", ".delete"].iter().any(|ending| entry.act.ends_with(ending));
    let line = |(name, value): (&String, &Value)| match value.as_array().map(Vec::as_slice) {
        Some([before, after]) if !is_whole => format!("{name}: {} → {}", shown(before), shown(after)),
        _ => format!("{name}: {}", shown(value)),
    };
    let is_said =
        |(_, value): &(&String, &Value)| !value.is_null() && *value != "" && **value != Value::Array(Vec::new());
    let members = entry.detail.as_object().into_iter().flatten().filter(is_said);
    members.map(line).collect::<Vec<_>>().join("\n")
}

fn shown(value: &Value) -> String {
    match value {
        Value::Null => "–".to_owned(),
        Value::String(text) if !text.is_empty() => text.clone(),
        Value::Array(all) if !all.is_empty() => all.iter().map(shown).collect::<Vec<_>>().join(" "),
        other => other.to_string(),
    }
}
