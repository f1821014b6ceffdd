//! `/admin/users/`: the people.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::{Map, Value};
use vestibule_protocol::{OAuthError, Params};

use super::view::{Act, Cell, Choice, Detail, Fact, Field, List, Question, Row, Section, Sheet, Table, fact};
use super::{Notice, ROWS, Staff, StaffForm, segment};
use crate::admin::{Area, Permission, users};
use crate::context::{Context, Ctx};
use crate::http::respond;
use crate::http::visitor::see_other;
use crate::identity::disconnect;
use crate::session;
use crate::store::association;
use crate::store::consent;
use crate::store::user::{self, Listed, User};

const LIST: &str = "/admin/users/";

/// So many are shown of those who are searched for.
const FOUND: usize = 50;

pub(super) async fn list(State(cx): State<Ctx>, staff: Staff) -> Response {
    let listed = match staff.filter("state") {
        "active" => Listed::Active,
        "deactivated" => Listed::Deactivated,
        "staff" => Listed::Staff,
        "superusers" => Listed::Superusers,
        _ => Listed::All,
    };
    let read = async {
        staff.actor.must_see(Area::Users)?;
        match staff.filter("q") {
            "" => Ok((user::page(&cx.db, listed, staff.before(), ROWS + 1).await?, false)),
            text => Ok(user::search(&cx.db, listed, text, FOUND).await?),
        }
    };
    let (mut all, has_more) = match read.await {
        Ok(read) => read,
        Err(error) => return staff.refuse(&cx, error),
    };
    let (first_url, next_url) = match staff.filter("q") {
        "" => staff.pages(&mut all, |user| user.id),
        _ => (None, None),
    };
    let rows = all.iter().map(|user| {
        let rights = match (user.is_superuser, user.is_staff) {
            (true, _) => Cell::badge("console_superuser", ""),
            (false, true) => Cell::badge("console_staff", ""),
            (false, false) => Cell::none("console_no_rights"),
        };
        Row {
            id: user.id.to_string(),
            cells: vec![
                Cell::text(&user.username).to(url(user.id)),
                Cell::text(&user.email),
                Cell::text(full_name(user)),
                state(user),
                rights,
                Cell::time(user.date_joined),
                Cell::optional_time(user.last_login),
            ],
        }
    });
    let states = vec![
        Choice::new("", "console_all"),
        Choice::new("active", "console_active"),
        Choice::new("deactivated", "console_deactivated"),
        Choice::new("staff", "console_staff"),
        Choice::new("superusers", "console_superusers"),
    ];
    let may_change = staff.actor.changes(Area::Users);
    let view = List {
        title: "console_users",
        intro: has_more.then_some("console_users_more"),
        acts: may_change.then(|| Act::link("console_user_new", format!("{LIST}new")).primary()).into_iter().collect(),
        action: LIST.to_owned(),
        filters: vec![
            Field::new("search", "q", "console_user_search", vec![staff.filter("q").to_owned()]),
            Field::select("state", "console_state", staff.filter("state"), states),
        ],
        table: Table {
            label: "console_users",
            columns: vec![
                "username",
                "console_email",
                "console_full_name",
                "console_state",
                "console_rights",
                "console_joined",
                "console_last_login",
            ],
            rows: rows.collect(),
            empty: "console_no_users",
            bulk: None,
            first_url,
            next_url,
        },
    };
    let notice = (staff.filter("did") == "delete").then_some(Notice { text: "console_user_deleted", undo: None });
    staff.show_with(&cx, "console/list.html", &view, notice)
}

fn url(id: i64) -> String {
    format!("{LIST}{id}/")
}

/// A number in an address; what is none is nobody's.
fn number(text: &str) -> i64 {
    text.parse().unwrap_or_default()
}

fn full_name(user: &User) -> String {
    format!("{} {}", user.first_name, user.last_name).trim().to_owned()
}

fn state(user: &User) -> Cell {
    match user.is_active {
        true => Cell::badge("console_active", ""),
        false => Cell::badge("console_deactivated", "bad"),
    }
}

/// Whether the buttons of this person's acts are of use to whoever looks.
fn may_act_on(staff: &Staff, user: &User) -> bool {
    let has_rights = user.is_staff || user.is_superuser;
    staff.actor.changes(Area::Users) && (staff.actor.is_superuser() || !has_rights)
}

pub(super) async fn show(State(cx): State<Ctx>, Path(id): Path<String>, staff: Staff) -> Response {
    let shown = async {
        let user = users::find(&cx, &staff.actor, number(&id)).await?;
        detail(&cx, &staff, &user).await
    };
    let (view, notice) = match shown.await {
        Ok(shown) => shown,
        Err(error) => return staff.refuse(&cx, error),
    };
    staff.show_with(&cx, "console/show.html", &view, notice)
}

async fn detail(cx: &Context, staff: &Staff, user: &User) -> Result<(Detail, Option<Notice>), OAuthError> {
    let url = url(user.id);
    let permissions = Permission::of_stored(&user::permissions(&cx.db, user.id).await?);
    let may_act = may_act_on(staff, user);
    let mut badges = vec![state(user)];
    badges.extend(user.is_superuser.then(|| Cell::badge("console_superuser", "")));
    badges.extend((user.is_staff && !user.is_superuser).then(|| Cell::badge("console_staff", "")));
    let email = match user.email.as_str() {
        "" => Cell::none("console_none"),
        email => Cell::text(email),
    };
    let rights = match (user.is_superuser, permissions.is_empty()) {
        (true, _) => vec![Cell::word("console_every_permission")],
        (false, true) => vec![Cell::none("console_no_rights")],
        (false, false) => users::words(&permissions).into_iter().map(Cell::code).collect(),
    };
    let mut facts = vec![
        fact("console_id", Cell::code(user.id.to_string())),
        fact("console_email", email),
        fact("console_email_verified", Cell::mark(user.email_verified)),
        fact("console_full_name", Cell::text(full_name(user))),
        fact("console_has_password", Cell::mark(user.has_password())),
        Fact { label: "console_rights", cells: rights },
        fact("console_joined", Cell::time(user.date_joined)),
        fact("console_last_login", Cell::optional_time(user.last_login)),
    ];
    let claims: Map<String, Value> = serde_json::from_str(&user.claims).unwrap_or_default();
    if !claims.is_empty() {
        facts.push(fact("console_claims", Cell::block(format!("{:#}", Value::from(claims)))));
    }
    let view = Detail {
        heading: user.username.clone(),
        badges,
        secret: None,
        acts: if may_act { acts(staff, user, &url) } else { Vec::new() },
        facts,
        sections: sections(cx, staff, user, may_act).await?,
        back_url: LIST.to_owned(),
        back_label: "console_users",
    };
    let undo = |label, act: &str| Some(Act::post(label, format!("{url}{act}")));
    let notice = match staff.filter("did") {
        "new" => Some(Notice { text: "console_user_created", undo: None }),
        "change" | "rights" => Some(Notice { text: "console_saved", undo: None }),
        "set-password" => Some(Notice { text: "console_password_set", undo: None }),
        "remove-password" => Some(Notice { text: "console_password_removed", undo: None }),
        "deactivate" => Some(Notice { text: "console_user_deactivated", undo: undo("console_activate", "activate") }),
        "activate" => Some(Notice { text: "console_user_activated", undo: None }),
        "end-session" => Some(Notice { text: "console_session_ended", undo: None }),
        "end-sessions" => Some(Notice { text: "console_sessions_ended", undo: None }),
        "end-everything" => Some(Notice { text: "console_everything_ended", undo: None }),
        "disconnect" => Some(Notice { text: "console_user_disconnected", undo: None }),
        _ => None,
    };
    Ok((view, notice))
}

fn acts(staff: &Staff, user: &User, url: &str) -> Vec<Act> {
    let is_self = staff.actor.user_id() == Some(user.id);
    let mut acts = vec![Act::link("change", format!("{url}change")).primary()];
    if staff.actor.is_superuser() && !is_self {
        acts.push(Act::link("console_rights", format!("{url}rights")));
    }
    acts.push(Act::link("console_set_password", format!("{url}set-password")));
    if user.has_password() {
        acts.push(Act::link("console_remove_password", format!("{url}remove-password")).danger());
    }
    acts.push(Act::link("console_end_everything", format!("{url}end-everything")).danger());
    if !user.is_active {
        acts.push(Act::post("console_activate", format!("{url}activate")));
    } else if !is_self {
        acts.push(Act::link("console_deactivate", format!("{url}deactivate")).danger());
    }
    if !is_self {
        acts.push(Act::link("delete", format!("{url}delete")).danger());
    }
    acts
}

/// Where the person is signed in, with what they come in, what they have allowed, and what else there is of them.
async fn sections(cx: &Context, staff: &Staff, user: &User, may_act: bool) -> Result<Vec<Section>, OAuthError> {
    let url = url(user.id);
    let end = |label: &'static str, act: String| may_act.then(|| Cell::word(label).to(format!("{url}{act}")));
    let sessions = session::of_user(cx, user.id).await?;
    let has_sessions = !sessions.is_empty();
    let rows = sessions.iter().map(|session| {
        let mut cells = vec![
            Cell::text(&session.address),
            Cell::text(&session.user_agent),
            Cell::time(session.created_at),
            Cell::time(session.last_seen_at),
        ];
        cells.extend(end("console_end_session", format!("end-session?id={}", session.id)));
        Row { id: session.id.to_string(), cells }
    });
    let mut columns = vec!["console_address", "console_browser", "console_began", "console_last_seen"];
    columns.extend(may_act.then_some("console_act"));
    let end_all =
        (may_act && has_sessions).then(|| Act::link("console_end_sessions", format!("{url}end-sessions")).danger());
    let sessions = Section {
        title: "console_sessions",
        intro: None,
        table: Some(table("console_sessions", columns, rows.collect(), "console_no_sessions")),
        acts: end_all.into_iter().collect(),
    };

    let rows = association::of_user(&cx.db, user.id).await?.into_iter().map(|own| {
        let act = format!("disconnect?id={}", own.id);
        let mut cells = vec![Cell::code(own.provider), Cell::code(own.uid), Cell::time(own.created_at)];
        cells.extend(end("console_disconnect", act));
        Row { id: own.id.to_string(), cells }
    });
    let mut columns = vec!["console_provider", "connection_uid", "connection_since"];
    columns.extend(may_act.then_some("console_act"));
    let associations = Section {
        title: "console_associations",
        table: Some(table("console_associations", columns, rows.collect(), "console_no_associations_of_user")),
        ..Section::default()
    };

    let rows = consent::of_user(&cx.db, user.id).await?.into_iter().map(|consent| {
        let application = Cell::text(consent.name).to(format!("/admin/applications/{}/", segment(&consent.client_id)));
        let cells = vec![application, Cell::code(consent.scope.to_string()), Cell::time(consent.updated_at)];
        Row { id: consent.id.to_string(), cells }
    });
    let columns = vec!["console_application", "console_scopes", "console_allowed_at"];
    let consents = Section {
        title: "console_consents",
        table: Some(table("console_consents", columns, rows.collect(), "console_no_consents")),
        ..Section::default()
    };

    let whose: String = url::form_urlencoded::byte_serialize(user.username.as_bytes()).collect();
    let mut elsewhere = Vec::new();
    if staff.actor.sees(Area::Tokens) {
        elsewhere.push(Act::link("console_tokens_of_user", format!("/admin/tokens/?user={whose}")));
    }
    if staff.actor.sees(Area::Audit) {
        elsewhere.push(Act::link("console_audit_of_user", format!("/admin/audit/?kind=user&target={whose}")));
    }
    let mut all = vec![sessions, associations, consents];
    if !elsewhere.is_empty() {
        all.push(Section { title: "console_elsewhere", acts: elsewhere, ..Section::default() });
    }
    Ok(all)
}

fn table(label: &'static str, columns: Vec<&'static str>, rows: Vec<Row>, empty: &'static str) -> Table {
    Table { label, columns, rows, empty, ..Table::default() }
}

pub(super) async fn new(State(cx): State<Ctx>, staff: Staff) -> Response {
    match staff.actor.must_change(Area::Users) {
        Ok(()) => sheet(&cx, &staff, &Map::new(), None, None),
        Err(error) => staff.refuse(&cx, error),
    }
}

pub(super) async fn create(State(cx): State<Ctx>, form: StaffForm) -> Response {
    let StaffForm { staff, params } = form;
    let mut members = match members(&params) {
        Ok(members) => members,
        Err((members, error)) => return sheet(&cx, &staff, &members, None, Some(error)),
    };
    if let Some(password) = params.get("password").filter(|password| !password.is_empty()) {
        members.insert("password".to_owned(), password.into());
    }
    match users::create(&cx, &staff.actor, &members).await {
        Ok(user) => see_other(&format!("{}?did=new", url(user.id))),
        Err(error) if error.status() == 400 => sheet(&cx, &staff, &members, None, Some(error)),
        Err(error) => staff.refuse(&cx, error),
    }
}

/// The question or the form before an act.
pub(super) async fn ask(State(cx): State<Ctx>, Path((id, act)): Path<(String, String)>, staff: Staff) -> Response {
    let id = number(&id);
    let found = async {
        staff.actor.must_change(Area::Users)?;
        users::find(&cx, &staff.actor, id).await
    };
    let user = match found.await {
        Ok(user) => user,
        Err(error) => return staff.refuse(&cx, error),
    };
    let question = |title, sentence, button| Question {
        title,
        heading: Some(user.username.clone()),
        sentence,
        action: format!("{}{act}", url(id)),
        fields: Vec::new(),
        button,
        back_url: url(id),
    };
    let which = || vec![("id", staff.filter("id").to_owned())];
    let question = match act.as_str() {
        "change" => {
            let members = users::described_with_claims(&user).as_object().cloned().unwrap_or_default();
            return sheet(&cx, &staff, &members, Some(&user), None);
        }
        "set-password" => return password_sheet(&cx, &staff, &user, None),
        "rights" => {
            let held = match user::permissions(&cx.db, id).await {
                Ok(stored) => users::words(&Permission::of_stored(&stored)),
                Err(error) => return staff.refuse(&cx, error.into()),
            };
            return rights_sheet(&cx, &staff, &user, held, None);
        }
        "remove-password" => {
            question("console_remove_password_title", "console_remove_password_sentence", "console_remove_password")
        }
        "deactivate" => question("console_deactivate_title", "console_deactivate_sentence", "console_deactivate"),
        "delete" => question("console_user_delete_title", "console_user_delete_sentence", "delete"),
        "end-sessions" => {
            question("console_end_sessions_title", "console_end_sessions_sentence", "console_end_sessions")
        }
        "end-everything" => {
            question("console_end_everything_title", "console_end_everything_sentence", "console_end_everything")
        }
        "end-session" => Question {
            fields: which(),
            ..question("console_end_session_title", "console_end_session_sentence", "console_end_session")
        },
        "disconnect" => {
            let association_id = number(staff.filter("id"));
            let read = async {
                let all = association::of_user(&cx.db, id).await?;
                let may_go = disconnect::may_go(&cx, id, &all).await?.contains(&association_id);
                Ok((all.into_iter().find(|own| own.id == association_id), may_go))
            };
            let (own, may_go) = match read.await {
                Ok((Some(own), may_go)) => (own, may_go),
                Ok((None, _)) => return respond::not_found().await,
                Err(error) => return staff.refuse(&cx, error),
            };
            let sentence = match may_go {
                true => "console_disconnect_sentence",
                false => "console_disconnect_last_sentence",
            };
            Question {
                heading: Some(format!("{}: {} {}", user.username, own.provider, own.uid)),
                fields: which(),
                ..question("console_disconnect_title", sentence, "console_disconnect")
            }
        }
        _ => return respond::not_found().await,
    };
    staff.show(&cx, "console/confirm.html", &question)
}

pub(super) async fn act(State(cx): State<Ctx>, Path((id, act)): Path<(String, String)>, form: StaffForm) -> Response {
    let StaffForm { staff, params } = form;
    let id = number(&id);
    let actor = &staff.actor;
    let which = number(params.get("id").unwrap_or_default());
    let done = match act.as_str() {
        "change" | "rights" | "set-password" => return save(&cx, &staff, id, &act, &params).await,
        "remove-password" => users::set_password(&cx, actor, id, None).await.map(|_| ()),
        "activate" | "deactivate" => users::set_active(&cx, actor, id, act == "activate").await.map(|_| ()),
        "end-session" => users::end_session(&cx, actor, id, which).await,
        "end-sessions" => users::end_sessions(&cx, actor, id).await,
        "end-everything" => users::end_everything(&cx, actor, id).await,
        "disconnect" => users::disconnect(&cx, actor, id, which).await,
        "delete" => match users::delete(&cx, actor, id).await {
            Ok(_) => return see_other(&format!("{LIST}?did=delete")),
            Err(error) => Err(error),
        },
        _ => return respond::not_found().await,
    };
    match done {
        Ok(()) => see_other(&format!("{}?did={act}", url(id))),
        Err(error) => staff.refuse(&cx, error),
    }
}

/// What a form asks for; with an error the form comes again.
async fn save(cx: &Ctx, staff: &Staff, id: i64, act: &str, params: &Params) -> Response {
    let user = match users::find(cx, &staff.actor, id).await {
        Ok(user) => user,
        Err(error) => return staff.refuse(cx, error),
    };
    let (done, again): (_, Box<dyn Fn(OAuthError) -> Response + Send>) = match act {
        "set-password" => {
            let done = users::set_password(cx, &staff.actor, id, params.get("password").or(Some(""))).await;
            (done, Box::new(|error| password_sheet(cx, staff, &user, Some(error))))
        }
        "rights" => {
            let permissions: Vec<String> = params.all("permissions").map(str::to_owned).collect();
            let mut members = Map::new();
            members.insert("is_staff".to_owned(), params.get("is_staff").is_some().into());
            members.insert("is_superuser".to_owned(), params.get("is_superuser").is_some().into());
            members.insert("permissions".to_owned(), permissions.clone().into());
            let done = users::set_rights(cx, &staff.actor, id, &members).await;
            let user = &user;
            (done, Box::new(move |error| rights_sheet(cx, staff, user, permissions.clone(), Some(error))))
        }
        _ => {
            let members = match members(params) {
                Ok(members) => members,
                Err((members, error)) => return sheet(cx, staff, &members, Some(&user), Some(error)),
            };
            let done = users::change(cx, &staff.actor, id, &members).await;
            let user = &user;
            (done, Box::new(move |error| sheet(cx, staff, &members, Some(user), Some(error))))
        }
    };
    match done {
        Ok(_) => see_other(&format!("{}?did={act}", url(id))),
        Err(error) if error.status() == 400 => again(error),
        Err(error) => staff.refuse(cx, error),
    }
}

/// A form's fields as the members of a person; with an error the members as far as they can be shown again.
fn members(params: &Params) -> Result<Map<String, Value>, (Map<String, Value>, OAuthError)> {
    let text = |name: &str| params.get(name).unwrap_or_default().trim().to_owned();
    let mut members = Map::new();
    for name in ["username", "email", "first_name", "last_name"] {
        members.insert(name.to_owned(), text(name).into());
    }
    members.insert("email_verified".to_owned(), params.get("email_verified").is_some().into());
    let claims = match text("claims") {
        claims if claims.is_empty() => Ok(Value::Object(Map::new())),
        claims => serde_json::from_str::<Value>(&claims),
    };
    match claims {
        Ok(claims) => {
            members.insert("claims".to_owned(), claims);
            Ok(members)
        }
        Err(_) => {
            members.insert("claims".to_owned(), text("claims").into());
            Err((members, OAuthError::invalid_request("The claims must be one JSON object.").with_field("claims")))
        }
    }
}

/// The form for a new person, or to change one.
fn sheet(
    cx: &Context,
    staff: &Staff,
    members: &Map<String, Value>,
    user: Option<&User>,
    error: Option<OAuthError>,
) -> Response {
    let text = |name: &str| members.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let is_verified = members.get("email_verified").and_then(Value::as_bool).unwrap_or_default();
    let claims = match members.get("claims") {
        Some(Value::Object(claims)) if !claims.is_empty() => format!("{:#}", Value::from(claims.clone())),
        Some(Value::String(claims)) => claims.clone(),
        _ => String::new(),
    };
    let mut fields = vec![
        Field::text("username", "username", text("username")).required(),
        Field::new("email", "email", "console_email", vec![text("email")]),
        Field::mark("email_verified", "console_email_verified", is_verified).hint("console_email_verified_hint"),
        Field::text("first_name", "console_first_name", text("first_name")),
        Field::text("last_name", "console_last_name", text("last_name")),
    ];
    if user.is_none() {
        fields.push(Field::new("password", "password", "password", Vec::new()).hint("console_password_hint"));
    }
    let claims = Field::lines("claims", "console_claims", vec![claims]).hint("console_claims_hint");
    let view = Sheet {
        title: if user.is_some() { "console_user_change" } else { "console_user_new" },
        heading: user.map(|user| user.username.clone()),
        action: user.map_or_else(|| format!("{LIST}new"), |user| format!("{}change", url(user.id))),
        fields,
        more: vec![claims],
        button: if user.is_some() { "save" } else { "console_create" },
        back_url: user.map_or_else(|| LIST.to_owned(), |user| url(user.id)),
        ..Sheet::default()
    };
    judged(cx, staff, view, error)
}

fn password_sheet(cx: &Context, staff: &Staff, user: &User, error: Option<OAuthError>) -> Response {
    let view = Sheet {
        title: "console_set_password",
        heading: Some(user.username.clone()),
        intro: Some("console_set_password_intro"),
        action: format!("{}set-password", url(user.id)),
        fields: vec![Field::new("password", "password", "password", Vec::new()).required()],
        button: "console_set_password",
        back_url: url(user.id),
        ..Sheet::default()
    };
    judged(cx, staff, view, error)
}

fn rights_sheet(
    cx: &Context,
    staff: &Staff,
    user: &User,
    permissions: Vec<String>,
    error: Option<OAuthError>,
) -> Response {
    let choices = Permission::all().map(|permission| Choice::plain(permission.to_string())).collect();
    let view = Sheet {
        title: "console_rights",
        heading: Some(user.username.clone()),
        intro: Some("console_rights_intro"),
        action: format!("{}rights", url(user.id)),
        fields: vec![
            Field::mark("is_staff", "console_staff", user.is_staff).hint("console_staff_hint"),
            Field::mark("is_superuser", "console_superuser", user.is_superuser).hint("console_superuser_hint"),
            Field::checkboxes("permissions", "console_permissions", permissions, choices)
                .hint("console_permissions_hint"),
        ],
        button: "save",
        back_url: url(user.id),
        ..Sheet::default()
    };
    judged(cx, staff, view, error)
}

/// Shows a form, with what is wrong with what was sent.
fn judged(cx: &Context, staff: &Staff, view: Sheet, error: Option<OAuthError>) -> Response {
    let wrong = error.as_ref().and_then(|error| error.field);
    let marked = |fields: Vec<Field>| fields.into_iter().map(|field| field.judged(wrong)).collect();
    let view = Sheet {
        fields: marked(view.fields),
        more: marked(view.more),
        error: error.as_ref().map(|error| error.description.to_string()),
        ..view
    };
    let mut answer = staff.show(cx, "console/form.html", &view);
    if let Some(error) = error {
        *answer.status_mut() = StatusCode::from_u16(error.status()).unwrap_or_default();
    }
    answer
}
