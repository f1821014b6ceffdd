//! `/admin/settings/`: the configuration in force.

use axum::extract::State;
use axum::response::Response;

use super::Staff;
use super::view::{Cell, Field, List, Row, Table};
use crate::admin::settings;
use crate::context::Ctx;
use crate::settings::Origin;

pub(super) async fn list(State(cx): State<Ctx>, staff: Staff) -> Response {
    let lines = match settings::list(&cx, &staff.actor, staff.filter("q")) {
        Ok(lines) => lines,
        Err(error) => return staff.refuse(&cx, error),
    };
    let rows = lines.into_iter().map(|line| Row {
        cells: vec![
            Cell::code(&line.name),
            match line.text() {
                Some(text) => Cell::code(text),
                None if line.is_set => Cell::word("console_set"),
                None => Cell::none("console_not_set"),
            },
            if line.default.is_empty() { Cell::none("console_no_default") } else { Cell::code(line.default) },
            match line.origin {
                Origin::Default => Cell::none("console_origin_default"),
                Origin::Program => Cell::word("console_origin_program"),
                Origin::File(name) | Origin::Environment(name) | Origin::Flag(name) => Cell::code(name),
            },
            Cell::text(line.sentence),
        ],
        id: line.name,
    });
    let view = List {
        title: "console_settings",
        intro: Some("console_settings_intro"),
        action: "/admin/settings/".to_owned(),
        filters: vec![Field::new("search", "q", "console_settings_search", vec![staff.filter("q").to_owned()])],
        table: Table {
            label: "console_settings",
            columns: vec![
                "console_setting",
                "console_value",
                "console_default",
                "console_origin",
                "console_what_it_does",
            ],
            rows: rows.collect(),
            empty: "console_no_settings",
            ..Table::default()
        },
        ..List::default()
    };
    staff.show(&cx, "console/list.html", &view)
}
