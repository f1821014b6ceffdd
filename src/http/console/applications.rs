//! `/admin/applications/`: the clients.

use axum::extract::{Path, State};
use axum::response::Response;
use serde_json::{Map, Value};
use vestibule_protocol::{ClientType, GrantType, OAuthError, Params};

use super::view::{
    Act, Bulk, Cell, Choice, Detail, Field, List, Question, Row, Secret, Section, Sheet, Table, fact, facts,
};
use super::{Notice, ROWS, Staff, StaffForm, nothing, segment};
use crate::admin::{Area, applications};
use crate::context::{Context, Ctx};
use crate::http::visitor::see_other;
use crate::registration;
use crate::settings::parse_duration;
use crate::store::application::{self, Application, Listed};
use crate::store::user;

const LIST: &str = "/admin/applications/";

/// What can be given a text of ours: every grant, with the names that django-oauth-toolkit's form has for the first five.
const GRANTS: [(GrantType, &str); 10] = [
    (GrantType::AuthorizationCode, "grant_authorization_code"),
    (GrantType::Implicit, "grant_implicit"),
    (GrantType::Password, "console_grant_password"),
    (GrantType::ClientCredentials, "grant_client_credentials"),
    (GrantType::Hybrid, "grant_hybrid"),
    (GrantType::RefreshToken, "grant_refresh_token"),
    (GrantType::ConvertToken, "grant_convert_token"),
    (GrantType::TokenExchange, "grant_token_exchange"),
    (GrantType::DeviceCode, "grant_device_code"),
    (GrantType::JwtBearer, "grant_jwt_bearer"),
];

pub(super) async fn list(State(cx): State<Ctx>, staff: Staff) -> Response {
    let listed = match staff.filter("state") {
        "active" => Listed::Active,
        "disabled" => Listed::Disabled,
        _ => Listed::All,
    };
    let read = async {
        staff.actor.must_see(Area::Applications)?;
        Ok(application::page(&cx.db, listed, staff.filter("q"), staff.before(), ROWS + 1).await?)
    };
    let mut all: Vec<Application> = match read.await {
        Ok(all) => all,
        Err(error) => return staff.refuse(&cx, error),
    };
    let (first_url, next_url) = staff.pages(&mut all, |application| application.id);
    let rows = all.iter().map(|application| {
        let grants = application.grant_types.iter().map(|grant| grant.as_str()).collect::<Vec<_>>().join(" ");
        Row {
            id: application.client_id.clone(),
            cells: vec![
                Cell::text(&application.name).to(url(&application.client_id)),
                Cell::code(&application.client_id),
                Cell::word(type_label(application.client_type)),
                Cell::code(grants),
                state(application),
                Cell::time(application.created_at),
            ],
        }
    });
    let may_change = staff.actor.changes(Area::Applications);
    let states = vec![
        Choice::new("", "console_all"),
        Choice::new("active", "console_active"),
        Choice::new("disabled", "console_disabled"),
    ];
    let view = List {
        title: "console_applications",
        acts: may_change.then(|| Act::link("application_new", format!("{LIST}new")).primary()).into_iter().collect(),
        action: LIST.to_owned(),
        filters: vec![
            Field::new("search", "q", "console_name_or_client_id", vec![staff.filter("q").to_owned()]),
            Field::select("state", "console_state", staff.filter("state"), states),
        ],
        table: Table {
            label: "console_applications",
            columns: vec!["application_name", "client_id", "client_type", "grant_types", "console_state", "created_at"],
            rows: rows.collect(),
            empty: "console_no_applications",
            bulk: None::<Bulk>,
            first_url,
            next_url,
        },
        ..List::default()
    };
    let notice =
        (staff.filter("did") == "delete").then_some(Notice { text: "console_application_deleted", undo: None });
    staff.show_with(&cx, "console/list.html", &view, notice)
}

fn url(client_id: &str) -> String {
    format!("{LIST}{}/", segment(client_id))
}

fn type_label(client_type: ClientType) -> &'static str {
    match client_type {
        ClientType::Confidential => "console_confidential",
        ClientType::Public => "console_public",
    }
}

fn state(application: &Application) -> Cell {
    match application.is_active {
        true => Cell::badge("console_active", ""),
        false => Cell::badge("console_disabled", "bad"),
    }
}

pub(super) async fn show(State(cx): State<Ctx>, Path(client_id): Path<String>, staff: Staff) -> Response {
    match applications::find(&cx, &staff.actor, &client_id).await {
        Ok(application) => detail(&cx, &staff, &application, None).await,
        Err(error) => staff.refuse(&cx, error),
    }
}

async fn detail(cx: &Context, staff: &Staff, application: &Application, secret: Option<String>) -> Response {
    let url = url(&application.client_id);
    let owner = match application.owner_id {
        None => None,
        Some(id) => match user::find(&cx.db, id).await {
            Ok(owner) => owner,
            Err(error) => return staff.refuse(cx, error.into()),
        },
    };
    let is_confidential = application.client_type == ClientType::Confidential;
    let mut acts = Vec::new();
    if staff.actor.changes(Area::Applications) {
        acts.push(Act::link("change", format!("{url}change")).primary());
        acts.extend(is_confidential.then(|| Act::link("client_secret_new", format!("{url}rotate-secret"))));
        acts.push(match application.is_active {
            true => Act::link("console_disable", format!("{url}disable")).danger(),
            false => Act::post("console_enable", format!("{url}enable")),
        });
        acts.push(Act::link("delete", format!("{url}delete")).danger());
    }
    let method = application
        .token_endpoint_auth_method
        .map_or_else(|| Cell::none("console_any_method"), |method| Cell::code(method.as_str()));
    let owner = owner.map_or_else(
        || Cell::none("console_nobody"),
        |owner| Cell::text(&owner.username).to(format!("/admin/users/{}/", owner.id)),
    );
    let mut shown = vec![
        fact("client_id", Cell::code(&application.client_id)),
        fact("client_type", Cell::word(type_label(application.client_type))),
        facts("grant_types", application.grant_types.iter().map(|grant| grant.as_str())),
        facts("redirect_uris", &application.redirect_uris),
        facts("post_logout_redirect_uris", &application.post_logout_redirect_uris),
        facts("allowed_origins", &application.allowed_origins),
        match application.scopes.is_empty() {
            true => fact("console_scopes", Cell::none("console_every_scope")),
            false => facts("console_scopes", application.scopes.iter()),
        },
        fact("console_auth_method", method),
        fact("signing_algorithm", Cell::code(&application.signing_algorithm)),
        fact("console_owner", owner),
        fact("console_skip_authorization", Cell::mark(application.skip_authorization)),
        fact("console_resource_server", Cell::mark(application.is_resource_server)),
        facts("console_jwks_uri", &application.jwks_uri),
        fact("created_at", Cell::time(application.created_at)),
        fact("console_updated_at", Cell::time(application.updated_at)),
    ];
    let metadata = serde_json::to_value(&application.metadata).unwrap_or_default();
    if metadata.as_object().is_some_and(|members| !members.is_empty()) {
        shown.push(fact("console_metadata", Cell::block(format!("{metadata:#}"))));
    }
    if let Some(previous) = application.previous_secret.as_ref().filter(|previous| previous.expires_at > cx.clock.now())
    {
        shown.push(fact("console_previous_secret_until", Cell::time(previous.expires_at)));
    }
    let view = Detail {
        heading: application.name.clone(),
        badges: vec![state(application)],
        sections: secret.iter().map(|secret| first_calls(cx, application, secret)).collect(),
        secret: secret.map(|text| Secret { label: "client_secret", text, sentence: "client_secret_once" }),
        acts,
        facts: shown,
        back_url: LIST.to_owned(),
        back_label: "console_applications",
    };
    let undo = |label, act: &str| Some(Act::post(label, format!("{url}{act}")));
    let notice = match staff.filter("did") {
        "change" => Some(Notice { text: "console_saved", undo: None }),
        "disable" => Some(Notice { text: "console_application_disabled", undo: undo("console_enable", "enable") }),
        "enable" => Some(Notice { text: "console_application_enabled", undo: undo("console_disable", "disable") }),
        _ => None,
    };
    staff.show_with(cx, "console/show.html", &view, notice)
}

/// What to paste for a first token, while the secret is there to be in it.
fn first_calls(cx: &Context, application: &Application, secret: &str) -> Section {
    let mut pairs = url::form_urlencoded::Serializer::new(String::new());
    pairs.append_pair("client_id", &application.client_id).append_pair("client_secret", secret);
    let client = pairs.finish();
    let calls = [
        (GrantType::Password, "grant_type=password&username=USERNAME&password=PASSWORD"),
        (GrantType::ClientCredentials, "grant_type=client_credentials"),
        (GrantType::ConvertToken, "grant_type=convert_token&backend=BACKEND&token=TOKEN"),
    ];
    let calls = calls.into_iter().filter(|(grant, _)| application.may_use(*grant)).map(|(grant, call)| Row {
        id: grant.as_str().to_owned(),
        cells: vec![
            Cell::code(grant.as_str()),
            Cell::block(format!("curl -d '{client}&{call}' {}/token", cx.issuer())),
        ],
    });
    Section {
        title: "console_first_token",
        intro: Some("console_first_token_intro"),
        table: Some(Table {
            label: "console_first_token",
            columns: vec!["console_grant", "console_call"],
            rows: calls.collect(),
            empty: "console_first_token_by_browser",
            ..Table::default()
        }),
        acts: Vec::new(),
    }
}

pub(super) async fn new(State(cx): State<Ctx>, staff: Staff) -> Response {
    if let Err(error) = staff.actor.must_change(Area::Applications) {
        return staff.refuse(&cx, error);
    }
    let grants = GrantType::DEFAULT.iter().map(|grant| grant.as_str().into()).collect::<Vec<Value>>();
    let mut members = Map::new();
    members.insert("client_type".to_owned(), "confidential".into());
    members.insert("grant_types".to_owned(), grants.into());
    members.insert("signing_algorithm".to_owned(), "RS256".into());
    members.insert("owner".to_owned(), staff.actor.name().into());
    sheet(&cx, &staff, &members, None, None)
}

pub(super) async fn create(State(cx): State<Ctx>, form: StaffForm) -> Response {
    let StaffForm { staff, params } = form;
    let members = match members(&params, true) {
        Ok(members) => members,
        Err((members, error)) => return sheet(&cx, &staff, &members, None, Some(error)),
    };
    match applications::create(&cx, &staff.actor, &members).await {
        Ok((application, secret)) => detail(&cx, &staff, &application, secret).await,
        Err(error) if error.status() == 400 => sheet(&cx, &staff, &members, None, Some(error)),
        Err(error) => staff.refuse(&cx, error),
    }
}

/// The question or the form before an act.
pub(super) async fn ask(
    State(cx): State<Ctx>,
    Path((client_id, act)): Path<(String, String)>,
    staff: Staff,
) -> Response {
    let found = async {
        staff.actor.must_change(Area::Applications)?;
        applications::find(&cx, &staff.actor, &client_id).await
    };
    let application = match found.await {
        Ok(application) => application,
        Err(error) => return staff.refuse(&cx, error),
    };
    let url = url(&client_id);
    let question = |title, sentence, button| Question {
        title,
        heading: Some(format!("{} ({client_id})", application.name)),
        sentence,
        action: format!("{url}{act}"),
        fields: Vec::new(),
        button,
        back_url: url.clone(),
    };
    let question = match act.as_str() {
        "change" => {
            let owner = match application.owner_id {
                Some(id) => user::find(&cx.db, id).await.ok().flatten().map(|owner| owner.username),
                None => None,
            };
            let mut members = match registration::described(&application) {
                Value::Object(members) => members,
                _ => Map::new(),
            };
            members.insert("owner".to_owned(), owner.unwrap_or_default().into());
            return sheet(&cx, &staff, &members, Some(&client_id), None);
        }
        "rotate-secret" => {
            let overlaps = vec![
                Choice::new("0s", "console_overlap_none"),
                Choice::new("1h", "console_overlap_hour"),
                Choice::new("1d", "console_overlap_day"),
                Choice::new("7d", "console_overlap_week"),
            ];
            let view = Sheet {
                title: "client_secret_new",
                heading: Some(application.name.clone()),
                intro: Some("console_rotate_intro"),
                action: format!("{url}{act}"),
                fields: vec![Field::select("overlap", "console_overlap", "1d", overlaps)],
                button: "client_secret_new",
                back_url: url,
                ..Sheet::default()
            };
            return staff.show(&cx, "console/form.html", &view);
        }
        "disable" => question("console_disable_title", "console_disable_sentence", "console_disable"),
        "delete" => question("console_application_delete_title", "console_application_delete_sentence", "delete"),
        _ => return staff.refuse(&cx, nothing()),
    };
    staff.show(&cx, "console/confirm.html", &question)
}

pub(super) async fn act(
    State(cx): State<Ctx>,
    Path((client_id, act)): Path<(String, String)>,
    form: StaffForm,
) -> Response {
    let StaffForm { staff, params } = form;
    let url = url(&client_id);
    let done = match act.as_str() {
        "change" => {
            let members = match members(&params, false) {
                Ok(members) => members,
                Err((members, error)) => return sheet(&cx, &staff, &members, Some(&client_id), Some(error)),
            };
            match applications::change(&cx, &staff.actor, &client_id, &members).await {
                Ok((application, Some(secret))) => return detail(&cx, &staff, &application, Some(secret)).await,
                Err(error) if error.status() == 400 => {
                    return sheet(&cx, &staff, &members, Some(&client_id), Some(error));
                }
                done => done.map(|_| ()),
            }
        }
        "rotate-secret" => {
            let overlap = parse_duration(params.get("overlap").unwrap_or("0s")).unwrap_or_default();
            let overlap = i64::try_from(overlap.as_secs()).unwrap_or(0);
            match applications::rotate_secret(&cx, &staff.actor, &client_id, overlap).await {
                Ok((application, secret)) => return detail(&cx, &staff, &application, secret).await,
                Err(error) => Err(error),
            }
        }
        "enable" | "disable" => {
            applications::set_active(&cx, &staff.actor, &client_id, act == "enable").await.map(|_| ())
        }
        "delete" => match applications::delete(&cx, &staff.actor, &client_id).await {
            Ok(_) => return see_other(&format!("{LIST}?did=delete")),
            Err(error) => Err(error),
        },
        _ => return staff.refuse(&cx, nothing()),
    };
    match done {
        Ok(()) => see_other(&format!("{url}?did={act}")),
        Err(error) => staff.refuse(&cx, error),
    }
}

/// A form's fields as the members of an application; with an error the members as far as they can be shown again.
fn members(params: &Params, is_new: bool) -> Result<Map<String, Value>, (Map<String, Value>, OAuthError)> {
    let text = |name: &str| params.get(name).unwrap_or_default().trim().to_owned();
    let lines = |name: &str| text(name).split_whitespace().map(Value::from).collect::<Vec<_>>();
    let mut members = Map::new();
    for name in ["name", "signing_algorithm", "owner", "token_endpoint_auth_method", "jwks_uri"] {
        members.insert(name.to_owned(), text(name).into());
    }
    if is_new {
        members.insert("client_type".to_owned(), text("client_type").into());
    }
    for name in ["redirect_uris", "post_logout_redirect_uris", "allowed_origins", "scopes"] {
        members.insert(name.to_owned(), lines(name).into());
    }
    let grants: Vec<Value> = params.all("grant_types").map(Value::from).collect();
    members.insert("grant_types".to_owned(), grants.into());
    for name in ["skip_authorization", "resource_server"] {
        members.insert(name.to_owned(), params.get(name).is_some().into());
    }
    match serde_json::from_str::<Value>(Some(text("metadata").as_str()).filter(|text| !text.is_empty()).unwrap_or("{}"))
    {
        Ok(Value::Object(metadata)) => members.insert("metadata".to_owned(), metadata.into()),
        _ => {
            let error = OAuthError::invalid_request("The metadata must be one JSON object.").with_field("metadata");
            return Err((members, error));
        }
    };
    Ok(members)
}

/// The form for a new application, or to change one.
fn sheet(
    cx: &Context,
    staff: &Staff,
    members: &Map<String, Value>,
    client_id: Option<&str>,
    error: Option<OAuthError>,
) -> Response {
    let text = |name: &str| members.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let list = |name: &str| -> Vec<String> {
        let all = members.get(name).and_then(Value::as_array);
        all.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
    };
    let mark = |name: &str| members.get(name).and_then(Value::as_bool).unwrap_or_default();
    let grants = GRANTS.into_iter().map(|(grant, label)| Choice::new(grant.as_str(), label)).collect();
    let types =
        vec![Choice::new("confidential", "client_type_confidential"), Choice::new("public", "client_type_public")];
    let algorithms = ["RS256", "ES256", "EdDSA", "HS256", "none"].map(Choice::plain).into();
    let mut methods = vec![Choice::new("", "console_any_method")];
    methods.extend(
        [
            "client_secret_basic",
            "client_secret_post",
            "client_secret_jwt",
            "private_key_jwt",
            "tls_client_auth",
            "self_signed_tls_client_auth",
            "none",
        ]
        .map(Choice::plain),
    );
    let metadata = match members.get("metadata") {
        Some(Value::Object(metadata)) if !metadata.is_empty() => format!("{:#}", Value::from(metadata.clone())),
        _ => String::new(),
    };
    let mut fields = vec![Field::text("name", "application_name", text("name")).required()];
    if client_id.is_none() {
        let chosen = vec![text("client_type")];
        fields.push(Field::radios("client_type", "client_type", chosen, types));
    }
    fields.extend([
        Field::checkboxes("grant_types", "grant_types", list("grant_types"), grants),
        Field::lines("redirect_uris", "redirect_uris", list("redirect_uris")).hint("one_per_line"),
        Field::text("owner", "console_owner", text("owner")).hint("console_owner_hint"),
        Field::mark("skip_authorization", "console_skip_authorization", mark("skip_authorization"))
            .hint("console_skip_authorization_hint"),
    ]);
    let more = vec![
        Field::lines("post_logout_redirect_uris", "post_logout_redirect_uris", list("post_logout_redirect_uris"))
            .hint("one_per_line"),
        Field::lines("allowed_origins", "allowed_origins", list("allowed_origins")).hint("allowed_origins_hint"),
        Field::lines("scopes", "console_scopes", list("scopes")).hint("console_scopes_hint"),
        Field::select("signing_algorithm", "signing_algorithm", text("signing_algorithm"), algorithms),
        Field::select("token_endpoint_auth_method", "console_auth_method", text("token_endpoint_auth_method"), methods),
        Field::text("jwks_uri", "console_jwks_uri", text("jwks_uri")),
        Field::mark("resource_server", "console_resource_server", mark("resource_server"))
            .hint("console_resource_server_hint"),
        Field::lines("metadata", "console_metadata", vec![metadata]).hint("console_metadata_hint"),
    ];
    let wrong = error.as_ref().and_then(|error| error.field);
    let judged = |fields: Vec<Field>| fields.into_iter().map(|field| field.judged(wrong)).collect();
    let view = Sheet {
        title: if client_id.is_some() { "application_change" } else { "application_new" },
        heading: client_id.map(|_| text("name")),
        intro: client_id.is_none().then_some("console_application_new_intro"),
        action: client_id.map_or_else(|| format!("{LIST}new"), |id| format!("{}change", url(id))),
        fields: judged(fields),
        more: judged(more),
        button: if client_id.is_some() { "save" } else { "register" },
        back_url: client_id.map_or_else(|| LIST.to_owned(), url),
        error: error.as_ref().map(|error| error.description.to_string()),
    };
    let mut answer = staff.show(cx, "console/form.html", &view);
    if let Some(error) = error {
        *answer.status_mut() = axum::http::StatusCode::from_u16(error.status()).unwrap_or_default();
    }
    answer
}
