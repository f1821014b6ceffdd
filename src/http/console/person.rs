//! `/admin/users/{id}/`: one of the people.

use axum::extract::{Path, State};
use axum::response::Response;
use serde_json::{Map, Value};
use vestibule_protocol::OAuthError;

use super::users::{LIST, full_name, number, state, url};
use super::view::{Act, Cell, Detail, Fact, Row, Section, Table, fact};
use super::{Notice, Staff, segment};
use crate::admin::{Area, Permission, users};
use crate::context::{Context, Ctx};
use crate::identity::second_factor;
use crate::session;
use crate::store::association;
use crate::store::consent;
use crate::store::user::{self, User};

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
    let factors = second_factor::of(cx, user.id).await?;
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
        fact("console_passkeys", Cell::text(factors.passkeys.len().to_string())),
        fact("console_app", Cell::mark(factors.totp.is_some())),
        fact("console_recovery_codes", Cell::text(factors.recovery_codes.to_string())),
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
        acts: if may_act { acts(staff, user, &url, factors.is_any()) } else { Vec::new() },
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
        "remove-factors" => Some(Notice { text: "console_factors_removed", undo: None }),
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

fn acts(staff: &Staff, user: &User, url: &str, has_factor: bool) -> Vec<Act> {
    let is_self = staff.actor.user_id() == Some(user.id);
    let mut acts = vec![Act::link("change", format!("{url}change")).primary()];
    if staff.actor.is_superuser() && !is_self {
        acts.push(Act::link("console_rights", format!("{url}rights")));
    }
    acts.push(Act::link("console_set_password", format!("{url}set-password")));
    if user.has_password() {
        acts.push(Act::link("console_remove_password", format!("{url}remove-password")).danger());
    }
    if has_factor {
        acts.push(Act::link("console_remove_factors", format!("{url}remove-factors")).danger());
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

    let may_disconnect = staff.actor.changes(Area::Associations);
    let rows = association::of_user(&cx.db, user.id).await?.into_iter().map(|own| {
        let act = format!("disconnect?id={}", own.id);
        let mut cells = vec![Cell::code(own.provider), Cell::code(own.uid), Cell::time(own.created_at)];
        cells.extend(end("console_disconnect", act).filter(|_| may_disconnect));
        Row { id: own.id.to_string(), cells }
    });
    let mut columns = vec!["console_provider", "connection_uid", "connection_since"];
    columns.extend((may_act && may_disconnect).then_some("console_act"));
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
