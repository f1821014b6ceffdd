//! `/admin/tokens/`: access and refresh tokens.

use axum::extract::{Path, State};
use axum::response::Response;
use vestibule_protocol::OAuthError;

use super::view::{Act, Bulk, Cell, Choice, Detail, Field, List, Question, Row, Section, Sheet, Table, fact, facts};
use super::{Notice, ROWS, Staff, StaffForm, segment};
use crate::admin::tokens::Whose;
use crate::admin::{Area, tokens};
use crate::context::{Context, Ctx};
use crate::http::page::{language_of, text};
use crate::http::visitor::see_other;
use crate::store::token_list::{self, Filter, Listed};

const LIST: &str = "/admin/tokens/";

pub(super) async fn list(State(cx): State<Ctx>, staff: Staff) -> Response {
    let read = async {
        staff.actor.must_see(Area::Tokens)?;
        let filter = Filter {
            user_id: tokens::user_named(&cx, staff.filter("user")).await?.map(|user| user.id),
            application_id: tokens::application_named(&cx, staff.filter("client_id")).await?.map(|found| found.id),
            scope: staff.filter("scope").to_owned(),
            state: staff.filter("state").to_owned(),
            hint: tokens::hint(staff.filter("q"))?,
        };
        Ok::<_, OAuthError>(token_list::page(&cx.db, &filter, (staff.before(), ROWS), cx.clock.now()).await?)
    };
    let (rows, next) = match read.await {
        Ok(page) => page,
        // Nobody of that name has anything.
        Err(error) if error.status() == 404 => (Vec::new(), None),
        Err(error) => return staff.refuse(&cx, error),
    };
    let may_change = staff.actor.changes(Area::Tokens);
    let (user, client_id) = (staff.filter("user"), staff.filter("client_id"));
    let mut acts = vec![
        Act::link("console_token_find", format!("{LIST}find")),
        Act::link("console_grants", format!("{LIST}grants/")),
    ];
    if may_change && !(user.is_empty() && client_id.is_empty()) {
        acts.push(Act::link("console_tokens_revoke_all", all_url(user, client_id)).danger());
    }
    let states = vec![
        Choice::new("", "console_all"),
        Choice::new("live", "console_token_live"),
        Choice::new("spent", "console_token_spent"),
        Choice::new("revoked", "console_token_revoked"),
        Choice::new("expired", "console_token_expired"),
        Choice::new("ended", "console_token_ended"),
    ];
    let view = List {
        title: "console_tokens",
        intro: Some("console_tokens_intro"),
        acts,
        action: LIST.to_owned(),
        filters: vec![
            Field::text("user", "console_person", user),
            Field::text("client_id", "client_id", client_id),
            Field::text("scope", "console_scope", staff.filter("scope")),
            Field::select("state", "console_state", staff.filter("state"), states),
            Field::new("search", "q", "console_token_beginning", vec![staff.filter("q").to_owned()])
                .hint("console_token_beginning_hint"),
        ],
        table: Table {
            bulk: may_change.then(|| Bulk {
                action: format!("{LIST}revoke"),
                name: "chosen",
                label: "console_tokens_revoke_chosen",
            }),
            first_url: (staff.before() != i64::MAX).then(|| staff.here_with("before", None)),
            next_url: next.map(|before| staff.here_with("before", Some(&before.to_string()))),
            ..table(&rows)
        },
    };
    let notice = (staff.filter("did") == "revoke").then_some(Notice { text: "console_tokens_revoked", undo: None });
    staff.show_with(&cx, "console/list.html", &view, notice)
}

fn table(rows: &[Listed]) -> Table {
    let row = |token: &Listed| Row {
        id: token.id.to_string(),
        cells: vec![
            Cell::code(match token.access_hint.as_str() {
                "" => token.id.to_string(),
                hint => format!("{hint}…"),
            })
            .to(url(token.id)),
            person(token.user.as_ref()),
            application(&token.client_id, &token.application),
            Cell::code(token.grant_type.as_str()),
            Cell::code(token.scope.to_string()),
            Cell::mark(token.refresh_expires_at.is_some()),
            Cell::mark(token.had_id_token()),
            Cell::time(token.created_at),
            Cell::time(token.access_expires_at.max(token.refresh_expires_at.unwrap_or_default())),
            state(token),
        ],
    };
    Table {
        label: "console_tokens",
        columns: vec![
            "console_token",
            "console_person",
            "console_application",
            "console_grant",
            "console_scope",
            "console_refresh_token",
            "console_id_token",
            "console_issued_at",
            "console_expires_at",
            "console_state",
        ],
        rows: rows.iter().map(row).collect(),
        empty: "console_no_tokens",
        ..Table::default()
    }
}

fn url(id: i64) -> String {
    format!("{LIST}{id}/")
}

fn all_url(user: &str, client_id: &str) -> String {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    query.append_pair("user", user).append_pair("client_id", client_id);
    format!("{LIST}revoke-all?{}", query.finish())
}

/// A person, with a link to them.
pub(super) fn person(user: Option<&(i64, String)>) -> Cell {
    user.map_or_else(
        || Cell::none("console_nobody"),
        |(id, username)| Cell::text(username).to(format!("/admin/users/{id}/")),
    )
}

/// An application, with a link to it.
pub(super) fn application(client_id: &str, name: &str) -> Cell {
    let shown = if name.is_empty() { client_id } else { name };
    Cell::text(shown).to(format!("/admin/applications/{}/", segment(client_id)))
}

fn state(token: &Listed) -> Cell {
    match token.state.as_str() {
        "live" => Cell::badge("console_token_live", ""),
        "spent" => Cell::badge("console_token_spent", "off"),
        "revoked" => Cell::badge("console_token_revoked", "bad"),
        "ended" => Cell::badge("console_token_ended", "bad"),
        _ => Cell::badge("console_token_expired", "off"),
    }
}

pub(super) async fn show(State(cx): State<Ctx>, Path(id): Path<String>, staff: Staff) -> Response {
    // What is no number is no token's.
    match tokens::find(&cx, &staff.actor, id.parse().unwrap_or_default()).await {
        Ok(token) => detail(&cx, &staff, &token).await,
        Err(error) => staff.refuse(&cx, error),
    }
}

async fn detail(cx: &Context, staff: &Staff, token: &Listed) -> Response {
    let family = match token_list::of_family(&cx.db, token.family, cx.clock.now()).await {
        Ok(family) => family,
        Err(error) => return staff.refuse(cx, error.into()),
    };
    let context = token.context.clone().unwrap_or_default();
    let mut shown = vec![
        fact("console_person", person(token.user.as_ref())),
        fact("console_application", application(&token.client_id, &token.application)),
        fact("console_grant", Cell::code(token.grant_type.as_str())),
        facts("console_scope", token.scope.iter()),
        fact("console_issued_at", Cell::time(token.created_at)),
        fact("console_access_expires_at", Cell::time(token.access_expires_at)),
        fact(
            "console_refresh_expires_at",
            token.refresh_expires_at.map_or_else(|| Cell::none("console_none_went_with_it"), Cell::time),
        ),
        fact("console_id_token", Cell::mark(token.had_id_token())),
        fact("console_consumed_at", Cell::optional_time(token.consumed_at)),
        fact("console_revoked_at", Cell::optional_time(token.revoked_at)),
        fact("console_refresh_revoked_at", Cell::optional_time(token.refresh_revoked_at)),
        facts("console_access_hint", Some(&token.access_hint).filter(|hint| !hint.is_empty())),
        fact("console_generation", Cell::text(token.generation.to_string())),
        fact("console_sign_in", Cell::code(token.family.to_string())),
        facts("console_session", &token.session),
        facts("console_bound_key", &context.jkt),
        facts("console_bound_certificate", &context.certificate),
        facts("console_resources", &context.resources),
        facts("console_amr", context.amr.split_whitespace()),
        fact("console_auth_time", Cell::optional_time(context.auth_time)),
    ];
    shown.extend(context.actor.map(|actor| fact("console_acts_for", Cell::block(format!("{actor:#}")))));
    let may_change = staff.actor.changes(Area::Tokens);
    let revoke = || Act {
        fields: vec![("chosen", token.id.to_string())],
        ..Act::post("console_token_revoke", format!("{LIST}revoke"))
    };
    let view = Detail {
        heading: match token.access_hint.as_str() {
            "" => token.id.to_string(),
            hint => format!("{hint}…"),
        },
        badges: vec![state(token)],
        acts: may_change.then(|| revoke().danger()).into_iter().collect(),
        facts: shown,
        sections: vec![Section {
            title: "console_token_family",
            intro: Some("console_token_family_intro"),
            table: Some(table(&family)),
            acts: Vec::new(),
        }],
        back_url: LIST.to_owned(),
        back_label: "console_tokens",
        ..Detail::default()
    };
    staff.show(cx, "console/show.html", &view)
}

fn token_sheet(error: Option<&OAuthError>) -> Sheet {
    let field = Field::new("password", "token", "console_whole_token", Vec::new()).required();
    Sheet {
        title: "console_token_find",
        intro: Some("console_token_find_intro"),
        action: format!("{LIST}find"),
        fields: vec![field.judged(error.and_then(|error| error.field))],
        button: "console_token_find",
        back_url: LIST.to_owned(),
        error: error.map(|error| error.description.to_string()),
        ..Sheet::default()
    }
}

/// The form for a whole token: posted, for what stands in an address is kept in many places.
pub(super) async fn ask_for_token(State(cx): State<Ctx>, staff: Staff) -> Response {
    match staff.actor.must_see(Area::Tokens) {
        Ok(()) => staff.show(&cx, "console/form.html", &token_sheet(None)),
        Err(error) => staff.refuse(&cx, error),
    }
}

pub(super) async fn find(State(cx): State<Ctx>, form: StaffForm) -> Response {
    let StaffForm { staff, params } = form;
    let token = params.get("token").unwrap_or_default().trim();
    match tokens::find_by_token(&cx, &staff.actor, token).await {
        Ok(found) => see_other(&url(found.id)),
        Err(error) if error.status() == 403 => staff.refuse(&cx, error),
        Err(error) => {
            let mut answer = staff.show(&cx, "console/form.html", &token_sheet(Some(&error)));
            *answer.status_mut() = axum::http::StatusCode::from_u16(error.status()).unwrap_or_default();
            answer
        }
    }
}

/// Asks whether to end the chosen sign-ins, and ends them.
pub(super) async fn revoke_chosen(State(cx): State<Ctx>, form: StaffForm) -> Response {
    let StaffForm { staff, params } = form;
    let ids: Vec<i64> = params.all("chosen").filter_map(|id| id.parse().ok()).collect();
    if params.get("confirm").is_some() {
        return match tokens::revoke(&cx, &staff.actor, ids).await {
            Ok(_) => see_other(&format!("{LIST}?did=revoke")),
            Err(error) => staff.refuse(&cx, error),
        };
    }
    if let Err(error) = staff.actor.must_change(Area::Tokens) {
        return staff.refuse(&cx, error);
    }
    if ids.is_empty() {
        return staff.refuse(&cx, OAuthError::invalid_request("Choose at least one."));
    }
    let count = ids.len().to_string();
    let view = Question {
        title: "console_tokens_revoke_title",
        heading: Some(text(&cx, &language_of(&cx, &staff.visitor), "console_tokens_count", &[("count", &count)])),
        sentence: "console_tokens_revoke_sentence",
        action: format!("{LIST}revoke"),
        fields: ids.iter().map(|id| ("chosen", id.to_string())).collect(),
        button: "console_token_revoke",
        back_url: LIST.to_owned(),
    };
    staff.show(&cx, "console/confirm.html", &view)
}

/// Asks whether to end all tokens of a person, of an application, or of both, and says how many are live.
pub(super) async fn ask_all(State(cx): State<Ctx>, staff: Staff) -> Response {
    let (user, client_id) = (staff.filter("user"), staff.filter("client_id"));
    let counted = async {
        staff.actor.must_change(Area::Tokens)?;
        let whose = Whose::named(&cx, user, client_id).await?;
        let (user_id, application_id) = whose.ids();
        let counted = token_list::count_live(&cx.db, user_id, application_id, cx.clock.now()).await?;
        Ok::<_, OAuthError>((whose, counted))
    };
    let (whose, (count, has_older)) = match counted.await {
        Ok(counted) => counted,
        Err(error) => return staff.refuse(&cx, error),
    };
    let (names, sentence) = match &whose {
        Whose::User(user) => (user.username.clone(), "console_tokens_all_user_sentence"),
        Whose::Application(application) => (application.name.clone(), "console_tokens_all_application_sentence"),
        Whose::Both(user, application) => {
            (format!("{}, {}", user.username, application.name), "console_tokens_all_both_sentence")
        }
    };
    let key = if has_older { "console_tokens_count_at_least" } else { "console_tokens_count_live" };
    let counted = text(&cx, &language_of(&cx, &staff.visitor), key, &[("count", &count.to_string())]);
    let view = Question {
        title: "console_tokens_revoke_all_title",
        heading: Some(format!("{names}: {counted}")),
        sentence,
        action: format!("{LIST}revoke-all"),
        fields: vec![("user", user.to_owned()), ("client_id", client_id.to_owned())],
        button: "console_tokens_revoke_all",
        back_url: LIST.to_owned(),
    };
    staff.show(&cx, "console/confirm.html", &view)
}

pub(super) async fn revoke_all(State(cx): State<Ctx>, form: StaffForm) -> Response {
    let StaffForm { staff, params } = form;
    let done = async {
        staff.actor.must_change(Area::Tokens)?;
        let name = |name: &str| params.get(name).unwrap_or_default().to_owned();
        let whose = Whose::named(&cx, &name("user"), &name("client_id")).await?;
        tokens::revoke_all(&cx, &staff.actor, whose).await
    };
    match done.await {
        Ok(()) => see_other(&format!("{LIST}?did=revoke")),
        Err(error) => staff.refuse(&cx, error),
    }
}
