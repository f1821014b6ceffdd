//! `/admin/users/`: the people, and what is asked before and after each act. A person's own page is in `person`.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::{Map, Value};
use vestibule_protocol::{OAuthError, Params};

use super::view::{Act, Cell, Choice, Field, List, Question, Row, Sheet, Table};
use super::{Notice, ROWS, Staff, StaffForm, nothing};
use crate::admin::{Area, Permission, users};
use crate::context::{Context, Ctx};
use crate::http::visitor::see_other;
use crate::identity::disconnect;
use crate::store::association;
use crate::store::user::{self, Listed, User};

pub(super) const LIST: &str = "/admin/users/";

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

pub(super) fn url(id: i64) -> String {
    format!("{LIST}{id}/")
}

/// A number in an address; what is none is nobody's.
pub(super) fn number(text: &str) -> i64 {
    text.parse().unwrap_or_default()
}

pub(super) fn full_name(user: &User) -> String {
    format!("{} {}", user.first_name, user.last_name).trim().to_owned()
}

pub(super) fn state(user: &User) -> Cell {
    match user.is_active {
        true => Cell::badge("console_active", ""),
        false => Cell::badge("console_deactivated", "bad"),
    }
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
        "remove-factors" => {
            question("console_remove_factors_title", "console_remove_factors_sentence", "console_remove_factors")
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
            if let Err(error) = staff.actor.must_change(Area::Associations) {
                return staff.refuse(&cx, error);
            }
            let association_id = number(staff.filter("id"));
            let read = async {
                let all = association::of_user(&cx.db, id).await?;
                let may_go = disconnect::may_go(&cx, id, &all).await?.contains(&association_id);
                Ok((all.into_iter().find(|own| own.id == association_id), may_go))
            };
            let (own, may_go) = match read.await {
                Ok((Some(own), may_go)) => (own, may_go),
                Ok((None, _)) => return staff.refuse(&cx, nothing()),
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
        _ => return staff.refuse(&cx, nothing()),
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
        "remove-factors" => users::remove_factors(&cx, actor, id).await.map(|_| ()),
        "activate" | "deactivate" => users::set_active(&cx, actor, id, act == "activate").await.map(|_| ()),
        "end-session" => users::end_session(&cx, actor, id, which).await,
        "end-sessions" => users::end_sessions(&cx, actor, id).await,
        "end-everything" => users::end_everything(&cx, actor, id).await,
        "disconnect" => users::disconnect(&cx, actor, id, which).await,
        "delete" => match users::delete(&cx, actor, id).await {
            Ok(_) => return see_other(&format!("{LIST}?did=delete")),
            Err(error) => Err(error),
        },
        _ => return staff.refuse(&cx, nothing()),
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
