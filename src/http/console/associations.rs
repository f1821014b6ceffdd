//! `/admin/associations/`: which accounts at providers are whose.

use axum::extract::{Path, State};
use axum::response::Response;
use serde_json::Value;
use vestibule_protocol::OAuthError;

use super::tokens::person;
use super::view::{Act, Cell, Detail, Field, List, Question, Row, Table, fact};
use super::{Notice, ROWS, Staff, StaffForm};
use crate::admin::{Area, associations, tokens};
use crate::context::Ctx;
use crate::http::disconnect as disconnecting;
use crate::http::visitor::see_other;
use crate::identity::disconnect::may_go;
use crate::store::association::{self, Association, Filter};
use crate::store::user::User;

const LIST: &str = "/admin/associations/";

pub(super) async fn list(State(cx): State<Ctx>, staff: Staff) -> Response {
    let read = async {
        staff.actor.must_see(Area::Associations)?;
        let filter = Filter {
            provider: staff.filter("provider").to_owned(),
            user_id: tokens::user_named(&cx, staff.filter("user")).await?.map(|user| user.id),
            uid: staff.filter("uid").to_owned(),
        };
        Ok::<_, OAuthError>(association::page(&cx.db, &filter, staff.before(), ROWS + 1).await?)
    };
    let mut all: Vec<(Association, User)> = match read.await {
        Ok(all) => all,
        // Nobody of that name has anything.
        Err(error) if error.status() == 404 => Vec::new(),
        Err(error) => return staff.refuse(&cx, error),
    };
    let (first_url, next_url) = staff.pages(&mut all, |(own, _)| own.id);
    let row = |(own, user): &(Association, User)| Row {
        id: own.id.to_string(),
        cells: vec![
            Cell::text(&own.provider).to(url(own.id)),
            Cell::code(&own.uid),
            owner(user),
            Cell::time(own.created_at),
            Cell::time(own.updated_at),
            Cell::mark(own.sealed_tokens.is_some()),
        ],
    };
    let view = List {
        title: "console_associations",
        action: LIST.to_owned(),
        filters: vec![
            Field::text("provider", "console_provider", staff.filter("provider")),
            Field::text("user", "console_person", staff.filter("user")),
            Field::text("uid", "console_uid", staff.filter("uid")).hint("console_uid_hint"),
        ],
        table: Table {
            label: "console_associations",
            columns: vec![
                "console_provider",
                "console_uid",
                "console_person",
                "created_at",
                "console_updated_at",
                "console_keeps_tokens",
            ],
            rows: all.iter().map(row).collect(),
            empty: "console_no_associations",
            first_url,
            next_url,
            ..Table::default()
        },
        ..List::default()
    };
    let notice =
        (staff.filter("did") == "disconnect").then_some(Notice { text: "console_association_gone", undo: None });
    staff.show_with(&cx, "console/list.html", &view, notice)
}

fn url(id: i64) -> String {
    format!("{LIST}{id}/")
}

fn owner(user: &User) -> Cell {
    person(Some(&(user.id, user.username.clone())))
}

pub(super) async fn show(State(cx): State<Ctx>, Path(id): Path<String>, staff: Staff) -> Response {
    let (own, user) = match associations::find(&cx, &staff.actor, id.parse().unwrap_or_default()).await {
        Ok(found) => found,
        Err(error) => return staff.refuse(&cx, error),
    };
    let mut facts = vec![
        fact("console_provider", Cell::code(&own.provider)),
        fact("console_uid", Cell::code(&own.uid)),
        fact("console_person", owner(&user)),
        fact("created_at", Cell::time(own.created_at)),
        fact("console_updated_at", Cell::time(own.updated_at)),
        fact("console_keeps_tokens", Cell::mark(own.sealed_tokens.is_some())),
    ];
    let extra = associations::extra(&own);
    if !extra.is_empty() {
        facts.push(fact("console_extra_data", Cell::block(format!("{:#}", Value::from(extra)))));
    }
    let may_change = staff.actor.changes(Area::Associations);
    let view = Detail {
        heading: format!("{}: {}", own.provider, own.uid),
        acts: may_change
            .then(|| Act::link("console_disconnect", format!("{}disconnect", url(own.id))).danger())
            .into_iter()
            .collect(),
        facts,
        back_url: LIST.to_owned(),
        back_label: "console_associations",
        ..Detail::default()
    };
    staff.show(&cx, "console/show.html", &view)
}

/// Asks whether to take it away, and says if nobody could get into the account any more.
pub(super) async fn ask(State(cx): State<Ctx>, Path(id): Path<String>, staff: Staff) -> Response {
    let read = async {
        let (own, user) = associations::find_to_disconnect(&cx, &staff.actor, id.parse().unwrap_or_default()).await?;
        let all = association::of_user(&cx.db, user.id).await?;
        let is_last = !may_go(&cx, user.id, &all).await?.contains(&own.id);
        Ok::<_, OAuthError>((own, user, is_last))
    };
    let (own, user, is_last) = match read.await {
        Ok(read) => read,
        Err(error) => return staff.refuse(&cx, error),
    };
    let view = Question {
        title: "console_disconnect_title",
        heading: Some(format!("{}: {} ({})", own.provider, own.uid, user.username)),
        sentence: if is_last { "console_all_disconnect_last_sentence" } else { "console_all_disconnect_sentence" },
        action: format!("{}disconnect", url(own.id)),
        fields: Vec::new(),
        button: "console_disconnect",
        back_url: url(own.id),
    };
    staff.show(&cx, "console/confirm.html", &view)
}

pub(super) async fn disconnect(State(cx): State<Ctx>, Path(id): Path<String>, form: StaffForm) -> Response {
    let StaffForm { staff, .. } = form;
    match disconnecting::as_staff(&cx, &staff.actor, id.parse().unwrap_or_default()).await {
        Ok(()) => see_other(&format!("{LIST}?did=disconnect")),
        Err(error) => staff.refuse(&cx, error),
    }
}
