//! The applications that a person has registered: pages under `applications/`, and the same over JSON for a token with the
//! scope `applications` (django-oauth-toolkit's `applications/`).

use axum::Json;
use axum::extract::{FromRequest, FromRequestParts, Path, Request, State};
use axum::http::header::{AUTHORIZATION, CACHE_CONTROL};
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};
use vestibule_protocol::{ClientType, ErrorCode, GrantType, OAuthError, Params, PlainToken, TokenKind};

use super::super::body::bounded;
use super::super::page::{self, Page};
use super::super::respond::{ApiError, Refusal};
use super::super::visitor::{Form, Visitor, see_other};
use super::{caller, moment, signed_in};
use crate::client;
use crate::context::{Context, Ctx, random};
use crate::registration;
use crate::settings::RegistrationByPeople;
use crate::store::application::{self, Application};
use crate::store::user::User;

/// The grants that only staff may give: with them a client speaks for people whom it has not asked.
const FOR_STAFF: [GrantType; 2] = [GrantType::Password, GrantType::JwtBearer];

/// What an owner writes.
#[derive(Clone, Debug, Default)]
struct Written {
    name: String,
    client_type: String,
    grant_types: Vec<String>,
    redirect_uris: Vec<String>,
    post_logout_redirect_uris: Vec<String>,
    allowed_origins: Vec<String>,
    signing_algorithm: String,
}

impl Written {
    fn of_form(params: &Params) -> Self {
        let text = |name: &str| params.get(name).unwrap_or_default().trim().to_owned();
        let lines = |name: &str| text(name).split_whitespace().map(str::to_owned).collect();
        Self {
            name: text("name"),
            client_type: text("client_type"),
            grant_types: params.all("grant_types").map(str::to_owned).collect(),
            redirect_uris: lines("redirect_uris"),
            post_logout_redirect_uris: lines("post_logout_redirect_uris"),
            allowed_origins: lines("allowed_origins"),
            signing_algorithm: text("signing_algorithm"),
        }
    }

    fn of_application(application: &Application) -> Self {
        Self {
            name: application.name.clone(),
            client_type: application.client_type.as_str().to_owned(),
            grant_types: application.grant_types.iter().map(|grant| grant.as_str().to_owned()).collect(),
            redirect_uris: application.redirect_uris.clone(),
            post_logout_redirect_uris: application.post_logout_redirect_uris.clone(),
            allowed_origins: application.allowed_origins.clone(),
            signing_algorithm: application.signing_algorithm.clone(),
        }
    }

    /// Lays the members of a JSON object over; what it does not name stays. Others than these are not an owner's to set.
    fn lay_over(&mut self, members: &Map<String, Value>) -> Result<(), OAuthError> {
        for (name, value) in members {
            let bad = || OAuthError::invalid_request(format!("`{name}` has the wrong type."));
            let text = || value.as_str().map(str::to_owned).ok_or_else(bad);
            let list = || -> Result<Vec<String>, OAuthError> {
                let all = value.as_array().ok_or_else(bad)?;
                all.iter().map(|one| one.as_str().map(str::to_owned).ok_or_else(bad)).collect()
            };
            match name.as_str() {
                "name" => self.name = text()?,
                "client_type" => self.client_type = text()?,
                "grant_types" => self.grant_types = list()?,
                "redirect_uris" => self.redirect_uris = list()?,
                "post_logout_redirect_uris" => self.post_logout_redirect_uris = list()?,
                "allowed_origins" => self.allowed_origins = list()?,
                "signing_algorithm" => self.signing_algorithm = text()?,
                _ => {
                    let sentence = format!("`{name}` cannot be set by an application's owner.");
                    return Err(OAuthError::new(ErrorCode::InvalidClientMetadata, sentence));
                }
            }
        }
        Ok(())
    }

    /// Writes it into an application, if the rules for every application hold, and those for its owner.
    fn apply(&self, cx: &Context, owner: &User, application: &mut Application) -> Result<(), OAuthError> {
        let wrong = |sentence: String| OAuthError::new(ErrorCode::InvalidClientMetadata, sentence);
        application.name.clone_from(&self.name);
        let grants: Result<Vec<GrantType>, String> = self.grant_types.iter().map(|name| name.parse()).collect();
        let grants = grants.map_err(wrong)?;
        let is_new = |grant: &GrantType| FOR_STAFF.contains(grant) && !application.grant_types.contains(grant);
        if let Some(grant) = grants.iter().find(|grant| is_new(grant))
            && !(owner.is_staff || owner.is_superuser)
        {
            return Err(wrong(format!("The grant {grant} is given by staff only.")));
        }
        if grants.is_empty() {
            return Err(wrong("Choose at least one grant.".to_owned()));
        }
        application.grant_types = grants;
        application.redirect_uris.clone_from(&self.redirect_uris);
        application.post_logout_redirect_uris.clone_from(&self.post_logout_redirect_uris);
        application.allowed_origins.clone_from(&self.allowed_origins);
        if !self.signing_algorithm.is_empty() {
            application.signing_algorithm.clone_from(&self.signing_algorithm);
        }
        registration::check(cx, application)?;
        registration::check_has_redirect_uri(application)
    }
}

/// Whether this person may have applications.
fn may_register(cx: &Context, user: &User) -> Result<(), OAuthError> {
    let is_staff = user.is_staff || user.is_superuser;
    match cx.settings.registration.by_people {
        RegistrationByPeople::Everybody => Ok(()),
        RegistrationByPeople::Staff if is_staff => Ok(()),
        _ => {
            let sentence = "Your account may not register applications here.";
            Err(OAuthError::new(ErrorCode::AccessDenied, sentence).with_status(403))
        }
    }
}

/// An application of this person's.
async fn own(cx: &Context, owner: &User, client_id: &str) -> Result<Application, OAuthError> {
    let found = application::find(&cx.db, client_id).await?;
    found
        .filter(|application| application.owner_id == Some(owner.id))
        .ok_or_else(|| OAuthError::invalid_request("You have no application with this client id.").with_status(404))
}

/// Registers what an owner wrote. Gives the secret, which is shown this once.
async fn create(cx: &Context, owner: &User, written: &Written) -> Result<(Application, Option<String>), OAuthError> {
    may_register(cx, owner)?;
    let client_type: ClientType = written
        .client_type
        .parse()
        .map_err(|sentence: String| OAuthError::new(ErrorCode::InvalidClientMetadata, sentence))?;
    let mut application = Application {
        owner_id: Some(owner.id),
        grant_types: Vec::new(),
        ..Application::new(client::new_id(), String::new(), client_type)
    };
    written.apply(cx, owner, &mut application)?;
    let secret = fresh_secret(cx, &mut application)?;
    let stored = application::create(&cx.db, &application, cx.clock.now()).await?;
    let application = stored.ok_or_else(|| OAuthError::unavailable("Try again.", 1))?;
    Ok((application, secret))
}

fn fresh_secret(cx: &Context, application: &mut Application) -> Result<Option<String>, OAuthError> {
    if application.client_type == ClientType::Public {
        return Ok(None);
    }
    let secret = PlainToken::new(TokenKind::ClientSecret, &random()).reveal().to_owned();
    client::set_secret(cx, application, &secret)?;
    Ok(Some(secret))
}

/// Writes a change down. A new secret is made where the old one, of which only the hash is kept, is not enough any more.
async fn save(cx: &Context, mut application: Application) -> Result<(Application, Option<String>), OAuthError> {
    let secret = match client::needs_secret_itself(&application) && application.sealed_secret.is_none() {
        true => fresh_secret(cx, &mut application)?,
        false => None,
    };
    let stored = application::update(&cx.db, &application, cx.clock.now()).await?;
    let gone = || OAuthError::invalid_request("The application was deleted meanwhile.").with_status(404);
    Ok((stored.ok_or_else(gone)?, secret))
}

fn base(cx: &Context) -> String {
    format!("{}/applications/", cx.settings.mount.trim_end_matches('/'))
}

/// `applications`: a page and its form, or JSON for whoever sends a token.
pub(in super::super) async fn collection(State(cx): State<Ctx>, request: Request) -> Response {
    if request.headers().contains_key(AUTHORIZATION) {
        return collection_json(&cx, request).await;
    }
    let (mut parts, _) = request.into_parts();
    let visitor = match Visitor::from_request_parts(&mut parts, &cx).await {
        Ok(visitor) => visitor,
        Err(answer) => return answer,
    };
    let session = match signed_in(&visitor, &base(&cx)) {
        Ok(session) => session,
        Err(answer) => return *answer,
    };
    match application::of_owner(&cx.db, session.user.id).await {
        Ok(all) => {
            let rows: Vec<_> = all
                .iter()
                .map(|application| {
                    json!({
                        "name": application.name,
                        "client_id": application.client_id,
                        "client_type": application.client_type.as_str(),
                        "url": format!("{}{}/", base(&cx), application.client_id),
                    })
                })
                .collect();
            let context = json!({ "applications": rows, "new_url": format!("{}register/", base(&cx)) });
            Page::new("applications.html", context).show(&cx, &visitor)
        }
        Err(error) => page::refuse(&cx, &visitor, error.into()),
    }
}

async fn collection_json(cx: &Ctx, request: Request) -> Response {
    let answered = async {
        let (mut parts, body) = request.into_parts();
        let owner = caller(cx, &mut parts).await.map_err(IntoResponse::into_response)?;
        let refuse = |error: OAuthError| Refusal(error).into_response();
        if parts.method == Method::POST {
            let body = bounded(cx, &parts.headers, body).await.map_err(refuse)?;
            let mut written = Written { client_type: "confidential".to_owned(), ..Written::default() };
            written.grant_types = GrantType::DEFAULT.iter().map(|grant| grant.as_str().to_owned()).collect();
            written.lay_over(&object(&body).map_err(refuse)?).map_err(refuse)?;
            let (application, secret) = create(cx, &owner, &written).await.map_err(refuse)?;
            return Ok(described(StatusCode::CREATED, &application, secret));
        }
        let all = application::of_owner(&cx.db, owner.id).await.map_err(|error| refuse(error.into()))?;
        let all: Vec<_> = all.iter().map(registration::described).collect();
        Ok::<_, Response>(([(CACHE_CONTROL, "no-store")], Json(json!({ "applications": all }))).into_response())
    };
    answered.await.unwrap_or_else(|refusal| refusal)
}

fn object(body: &[u8]) -> Result<Map<String, Value>, OAuthError> {
    serde_json::from_slice(body)
        .map_err(|error| OAuthError::invalid_request("The body must be one JSON object.").with_cause(error))
}

fn described(status: StatusCode, application: &Application, secret: Option<String>) -> Response {
    let mut members = registration::described(application);
    if let Some(secret) = secret {
        members["client_secret"] = secret.into();
    }
    (status, [(CACHE_CONTROL, "no-store")], Json(members)).into_response()
}

/// `applications/{client_id}`: a page, or JSON for whoever sends a token.
pub(in super::super) async fn one(State(cx): State<Ctx>, Path(client_id): Path<String>, request: Request) -> Response {
    if request.headers().contains_key(AUTHORIZATION) {
        return one_json(&cx, &client_id, request).await;
    }
    let (mut parts, _) = request.into_parts();
    if parts.method != Method::GET && parts.method != Method::HEAD {
        return ApiError(OAuthError::invalid_request("Send a token to change this over JSON.").with_status(401))
            .into_response();
    }
    let visitor = match Visitor::from_request_parts(&mut parts, &cx).await {
        Ok(visitor) => visitor,
        Err(answer) => return answer,
    };
    let session = match signed_in(&visitor, &base(&cx)) {
        Ok(session) => session,
        Err(answer) => return *answer,
    };
    match own(&cx, &session.user, &client_id).await {
        Ok(application) => show(&cx, &visitor, &application, None),
        Err(error) => page::refuse(&cx, &visitor, error),
    }
}

async fn one_json(cx: &Ctx, client_id: &str, request: Request) -> Response {
    let answered = async {
        let (mut parts, body) = request.into_parts();
        let owner = caller(cx, &mut parts).await.map_err(IntoResponse::into_response)?;
        let refuse = |error: OAuthError| Refusal(error).into_response();
        let mut application = own(cx, &owner, client_id).await.map_err(refuse)?;
        if parts.method == Method::DELETE {
            application::delete(&cx.db, application.id).await.map_err(|error| refuse(error.into()))?;
            return Ok(StatusCode::NO_CONTENT.into_response());
        }
        if parts.method == Method::PATCH {
            let body = bounded(cx, &parts.headers, body).await.map_err(refuse)?;
            let mut written = Written::of_application(&application);
            written.lay_over(&object(&body).map_err(refuse)?).map_err(refuse)?;
            if written.client_type != application.client_type.as_str() {
                let sentence = "An application's type cannot be changed; register another.";
                return Err(refuse(OAuthError::new(ErrorCode::InvalidClientMetadata, sentence)));
            }
            written.apply(cx, &owner, &mut application).map_err(refuse)?;
            let (application, secret) = save(cx, application).await.map_err(refuse)?;
            return Ok(described(StatusCode::OK, &application, secret));
        }
        Ok::<_, Response>(described(StatusCode::OK, &application, None))
    };
    answered.await.unwrap_or_else(|refusal| refusal)
}

fn show(cx: &Context, visitor: &Visitor, application: &Application, secret: Option<&str>) -> Response {
    let url = format!("{}{}", base(cx), application.client_id);
    let mut shown = registration::described(application);
    shown["created_at"] = moment(application.created_at).into();
    let context = json!({
        "application": shown,
        "secret": secret,
        "edit_url": format!("{url}/update/"),
        "delete_url": format!("{url}/delete/"),
        "rotate_url": format!("{url}/rotate-secret/"),
        "list_url": base(cx),
        "is_confidential": application.client_type == ClientType::Confidential,
    });
    Page::new("application.html", context).show(cx, visitor)
}

fn show_form(
    cx: &Context,
    visitor: &Visitor,
    written: &Written,
    client_id: Option<&str>,
    error: Option<&OAuthError>,
) -> Response {
    let is_staff = visitor.session.as_ref().is_some_and(|session| session.user.is_staff || session.user.is_superuser);
    let choices: Vec<_> = GrantType::ALL
        .iter()
        .filter(|grant| {
            is_staff || !FOR_STAFF.contains(grant) || written.grant_types.iter().any(|own| own == grant.as_str())
        })
        .map(|grant| json!({ "value": grant.as_str(), "label": format!("grant_{}", grant.as_str().replace('-', "_")) }))
        .collect();
    let (action, back_url) = match client_id {
        None => (format!("{}register/", base(cx)), base(cx)),
        Some(client_id) => (format!("{}{client_id}/update/", base(cx)), format!("{}{client_id}/", base(cx))),
    };
    let context = json!({
        "action": action,
        "back_url": back_url,
        "is_new": client_id.is_none(),
        "error": error.map(|error| error.description.as_ref()),
        "grant_choices": choices,
        "algorithm_choices": ["RS256", "ES256", "EdDSA", "HS256", "none"],
        "values": {
            "name": written.name,
            "client_type": written.client_type,
            "grant_types": written.grant_types,
            "redirect_uris": written.redirect_uris.join("\n"),
            "post_logout_redirect_uris": written.post_logout_redirect_uris.join("\n"),
            "allowed_origins": written.allowed_origins.join("\n"),
            "signing_algorithm": written.signing_algorithm,
        },
    });
    let status = if error.is_some() { StatusCode::BAD_REQUEST } else { StatusCode::OK };
    Page { status, ..Page::new("application_form.html", context) }.show(cx, visitor)
}

/// `applications/register`: the form for a new one.
pub(in super::super) async fn new(State(cx): State<Ctx>, visitor: Visitor) -> Response {
    match signed_in(&visitor, &format!("{}register/", base(&cx))) {
        Err(answer) => *answer,
        Ok(session) => match may_register(&cx, &session.user) {
            Err(error) => page::refuse(&cx, &visitor, error),
            Ok(()) => {
                let grant_types = vec!["authorization-code".to_owned(), "refresh-token".to_owned()];
                let blank = Written { grant_types, signing_algorithm: "RS256".to_owned(), ..Written::default() };
                show_form(&cx, &visitor, &blank, None, None)
            }
        },
    }
}

pub(in super::super) async fn register(State(cx): State<Ctx>, form: Form) -> Response {
    let Form { params, visitor } = form;
    let session = match signed_in(&visitor, &base(&cx)) {
        Ok(session) => session,
        Err(answer) => return *answer,
    };
    let written = Written::of_form(&params);
    match create(&cx, &session.user, &written).await {
        Ok((application, secret)) => show(&cx, &visitor, &application, secret.as_deref()),
        Err(error) if error.status() == 400 => show_form(&cx, &visitor, &written, None, Some(&error)),
        Err(error) => page::refuse(&cx, &visitor, error),
    }
}

/// `applications/{client_id}/{act}`: the form to change it, or the question whether to delete it.
pub(in super::super) async fn ask(
    State(cx): State<Ctx>,
    Path((client_id, act)): Path<(String, String)>,
    visitor: Visitor,
) -> Response {
    let session = match signed_in(&visitor, &base(&cx)) {
        Ok(session) => session,
        Err(answer) => return *answer,
    };
    match (own(&cx, &session.user, &client_id).await, act.as_str()) {
        (Err(error), _) => page::refuse(&cx, &visitor, error),
        (Ok(application), "update") => {
            show_form(&cx, &visitor, &Written::of_application(&application), Some(&client_id), None)
        }
        (Ok(application), "delete") => {
            let url = format!("{}{client_id}/", base(&cx));
            let context = json!({
                "action": format!("{url}delete/"),
                "application": { "name": application.name, "client_id": application.client_id },
                "back_url": url,
            });
            Page::new("application_delete.html", context).show(&cx, &visitor)
        }
        (Ok(_), _) => super::super::respond::not_found().await,
    }
}

/// `applications/{client_id}/{act}`: changes it, deletes it, or gives it a new secret.
pub(in super::super) async fn act(
    State(cx): State<Ctx>,
    Path((client_id, act)): Path<(String, String)>,
    request: Request,
) -> Response {
    let Form { params, visitor } = match Form::from_request(request, &cx).await {
        Ok(form) => form,
        Err(answer) => return answer,
    };
    let session = match signed_in(&visitor, &base(&cx)) {
        Ok(session) => session,
        Err(answer) => return *answer,
    };
    let mut application = match own(&cx, &session.user, &client_id).await {
        Ok(application) => application,
        Err(error) => return page::refuse(&cx, &visitor, error),
    };
    match act.as_str() {
        "update" => {
            let written = Written::of_form(&params);
            let changed = async {
                written.apply(&cx, &session.user, &mut application)?;
                save(&cx, application).await
            };
            match changed.await {
                Ok((application, secret)) => show(&cx, &visitor, &application, secret.as_deref()),
                Err(error) if error.status() == 400 => {
                    show_form(&cx, &visitor, &written, Some(&client_id), Some(&error))
                }
                Err(error) => page::refuse(&cx, &visitor, error),
            }
        }
        "delete" => match application::delete(&cx.db, application.id).await {
            Ok(_) => see_other(&base(&cx)),
            Err(error) => page::refuse(&cx, &visitor, error.into()),
        },
        "rotate-secret" => {
            let rotated = async {
                let secret = fresh_secret(&cx, &mut application)?;
                application.previous_secret = None;
                save(&cx, application).await.map(|(application, _)| (application, secret))
            };
            match rotated.await {
                Ok((application, secret)) => show(&cx, &visitor, &application, secret.as_deref()),
                Err(error) => page::refuse(&cx, &visitor, error),
            }
        }
        _ => super::super::respond::not_found().await,
    }
}
