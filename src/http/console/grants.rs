//! `/admin/tokens/grants/`: codes that wait, and consents.

use axum::extract::{Path, State};
use axum::response::Response;
use vestibule_protocol::{OAuthError, hex};

use super::tokens::{application, person};
use super::view::{Act, Bulk, Cell, Choice, Field, List, Question, Row, Table};
use super::{Notice, ROWS, Staff, StaffForm, nothing};
use crate::admin::{Area, tokens};
use crate::context::Ctx;
use crate::http::page::{language_of, text};
use crate::http::visitor::see_other;
use crate::store::grant_list::{self, Filter, ListedConsent, WaitingCode};

const LIST: &str = "/admin/tokens/grants/";

pub(super) async fn list(State(cx): State<Ctx>, staff: Staff) -> Response {
    let kind = match staff.filter("kind") {
        kind @ ("codes" | "devices") => kind,
        _ => "consents",
    };
    let read = async {
        staff.actor.must_see(Area::Tokens)?;
        let filter = Filter {
            user_id: tokens::user_named(&cx, staff.filter("user")).await?.map(|user| user.id),
            application_id: tokens::application_named(&cx, staff.filter("client_id")).await?.map(|found| found.id),
        };
        let now = cx.clock.now();
        Ok::<_, OAuthError>(match kind {
            "codes" => codes(&grant_list::codes(&cx.db, filter, 200, now).await?, "console_codes"),
            "devices" => codes(&grant_list::device_codes(&cx.db, filter, 200, now).await?, "console_device_codes"),
            _ => {
                let mut rows = grant_list::consents(&cx.db, filter, staff.before(), ROWS + 1).await?;
                let (first_url, next_url) = staff.pages(&mut rows, |consent| consent.id);
                Table { first_url, next_url, ..consents(&rows) }
            }
        })
    };
    let mut table = match read.await {
        Ok(table) => table,
        // Nobody of that name has anything.
        Err(error) if error.status() == 404 => match kind {
            "codes" => codes(&[], "console_codes"),
            "devices" => codes(&[], "console_device_codes"),
            _ => consents(&[]),
        },
        Err(error) => return staff.refuse(&cx, error),
    };
    table.bulk = staff.actor.changes(Area::Tokens).then(|| match kind {
        "consents" => Bulk { action: format!("{LIST}withdraw"), name: "chosen", label: "console_consents_withdraw" },
        _ => Bulk { action: format!("{LIST}delete"), name: "chosen", label: "console_codes_delete" },
    });
    let kinds = vec![
        Choice::new("consents", "console_all_consents"),
        Choice::new("codes", "console_codes"),
        Choice::new("devices", "console_device_codes"),
    ];
    let view = List {
        title: "console_grants",
        intro: Some("console_grants_intro"),
        acts: vec![Act::link("console_tokens", "/admin/tokens/")],
        action: LIST.to_owned(),
        filters: vec![
            Field::select("kind", "console_grant_kind", kind, kinds),
            Field::text("user", "console_person", staff.filter("user")),
            Field::text("client_id", "client_id", staff.filter("client_id")),
        ],
        table,
    };
    let notice = match staff.filter("did") {
        "withdraw" => Some(Notice { text: "console_consents_withdrawn", undo: None }),
        "delete" => Some(Notice { text: "console_codes_deleted", undo: None }),
        _ => None,
    };
    staff.show_with(&cx, "console/list.html", &view, notice)
}

fn codes(all: &[WaitingCode], label: &'static str) -> Table {
    let row = |code: &WaitingCode| Row {
        id: hex(code.digest.as_bytes()),
        cells: vec![
            person(code.user.as_ref()),
            application(&code.client_id, ""),
            Cell::code(code.scope.to_string()),
            Cell::word(match (code.is_approved, &code.user) {
                (Some(true), _) => "console_code_approved",
                (Some(false), _) => "console_code_denied",
                (None, _) => "console_code_waits",
            }),
            Cell::time(code.expires_at),
        ],
    };
    Table {
        label,
        columns: vec!["console_person", "console_application", "console_scope", "console_state", "console_expires_at"],
        rows: all.iter().map(row).collect(),
        empty: "console_no_codes",
        ..Table::default()
    }
}

fn consents(all: &[ListedConsent]) -> Table {
    let row = |consent: &ListedConsent| Row {
        id: consent.id.to_string(),
        cells: vec![
            person(Some(&(consent.user_id, consent.username.clone()))),
            application(&consent.client_id, ""),
            Cell::code(consent.scope.to_string()),
            Cell::time(consent.created_at),
            Cell::time(consent.updated_at),
        ],
    };
    Table {
        label: "console_all_consents",
        columns: vec!["console_person", "console_application", "console_scope", "created_at", "console_updated_at"],
        rows: all.iter().map(row).collect(),
        empty: "console_all_no_consents",
        ..Table::default()
    }
}

/// Asks whether to withdraw or delete what was chosen, and does it.
pub(super) async fn act(State(cx): State<Ctx>, Path(act): Path<String>, form: StaffForm) -> Response {
    let StaffForm { staff, params } = form;
    let ids: Vec<String> = params.all("chosen").map(str::to_owned).collect();
    let is_sure = params.get("confirm").is_some();
    let done = match act.as_str() {
        "withdraw" if is_sure => {
            let ids = ids.iter().filter_map(|id| id.parse().ok()).collect();
            tokens::withdraw(&cx, &staff.actor, ids).await
        }
        "delete" if is_sure => {
            let digests = ids.iter().filter_map(|id| tokens::digest_of(id)).collect();
            tokens::delete_codes(&cx, &staff.actor, digests).await
        }
        "withdraw" | "delete" => match staff.actor.must_change(Area::Tokens) {
            Ok(()) if ids.is_empty() => Err(OAuthError::invalid_request("Choose at least one.")),
            done => done.map(|()| 0),
        },
        _ => return staff.refuse(&cx, nothing()),
    };
    match done {
        Err(error) => staff.refuse(&cx, error),
        Ok(_) if is_sure => {
            let kind = if act == "withdraw" { "consents" } else { "codes" };
            see_other(&format!("{LIST}?kind={kind}&did={act}"))
        }
        Ok(_) => {
            let (title, sentence, button) = match act.as_str() {
                "withdraw" => (
                    "console_consents_withdraw_title",
                    "console_consents_withdraw_sentence",
                    "console_consents_withdraw",
                ),
                _ => ("console_codes_delete_title", "console_codes_delete_sentence", "console_codes_delete"),
            };
            let count = ids.len().to_string();
            let language = language_of(&cx, &staff.visitor);
            let view = Question {
                title,
                heading: Some(text(&cx, &language, "console_grants_count", &[("count", &count)])),
                sentence,
                action: format!("{LIST}{act}"),
                fields: ids.into_iter().map(|id| ("chosen", id)).collect(),
                button,
                back_url: LIST.to_owned(),
            };
            staff.show(&cx, "console/confirm.html", &view)
        }
    }
}
