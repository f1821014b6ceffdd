//! `/admin/keys/`: the keys that sign.

use axum::extract::State;
use axum::response::Response;

use super::view::{Act, Cell, List, Question, Row, Table};
use super::{Notice, Staff, StaffForm};
use crate::admin::{Area, keys};
use crate::context::Ctx;
use crate::http::visitor::see_other;
use crate::signing::State as KeyState;

const LIST: &str = "/admin/keys/";

pub(super) async fn list(State(cx): State<Ctx>, staff: Staff) -> Response {
    let all = match keys::list(&cx, &staff.actor).await {
        Ok(all) => all,
        Err(error) => return staff.refuse(&cx, error),
    };
    let rows = all.into_iter().map(|(key, state)| Row {
        cells: vec![
            Cell::code(&key.kid),
            Cell::code(&key.algorithm),
            match state {
                KeyState::Next => Cell::badge("console_key_next", ""),
                KeyState::Signing => Cell::badge("console_key_signing", ""),
                KeyState::Retired => Cell::badge("console_key_retired", "off"),
            },
            Cell::time(key.created_at),
            Cell::time(key.active_at),
            key.expires_at.map_or_else(|| Cell::none("console_key_no_end"), Cell::time),
        ],
        id: key.kid,
    });
    let may_change = staff.actor.changes(Area::Keys);
    let view = List {
        title: "console_keys",
        intro: Some("console_keys_intro"),
        acts: may_change.then(|| Act::link("console_rotate", format!("{LIST}rotate")).danger()).into_iter().collect(),
        table: Table {
            label: "console_keys",
            columns: vec![
                "console_kid",
                "console_algorithm",
                "console_state",
                "created_at",
                "console_signs_from",
                "console_published_until",
            ],
            rows: rows.collect(),
            empty: "console_no_keys",
            ..Table::default()
        },
        ..List::default()
    };
    let notice = (staff.filter("did") == "rotate").then_some(Notice { text: "console_keys_rotated", undo: None });
    staff.show_with(&cx, "console/list.html", &view, notice)
}

pub(super) async fn ask(State(cx): State<Ctx>, staff: Staff) -> Response {
    if let Err(error) = staff.actor.must_change(Area::Keys) {
        return staff.refuse(&cx, error);
    }
    let question = Question {
        title: "console_rotate_title",
        sentence: "console_rotate_sentence",
        action: format!("{LIST}rotate"),
        button: "console_rotate",
        back_url: LIST.to_owned(),
        ..Question::default()
    };
    staff.show(&cx, "console/confirm.html", &question)
}

pub(super) async fn rotate(State(cx): State<Ctx>, form: StaffForm) -> Response {
    match keys::rotate(&cx, &form.staff.actor).await {
        Ok(()) => see_other(&format!("{LIST}?did=rotate")),
        Err(error) => form.staff.refuse(&cx, error),
    }
}
