//! The console: pages under `/admin/` for staff. This page is its route table and its door; an area is a file.
//!
//! Not here: what may be done and what is noted of it (`admin`), the same over JSON (`admin_api`).

mod applications;
mod associations;
mod audit;
mod chart;
pub(super) mod dashboard;
mod grants;
mod keys;
mod person;
mod providers;
mod settings;
mod tokens;
mod users;
mod view;

use axum::extract::{FromRequest, FromRequestParts, OriginalUri, Request};
use axum::http::request::Parts;
use axum::response::Response;
use axum::routing::{MethodRouter, get, post};
use serde::Serialize;
use serde_json::{Value, json};
use vestibule_protocol::{ErrorCode, OAuthError, Params};

use super::page::{self, Page};
use super::visitor::{Form, Visitor, see_other};
use crate::admin::{Actor, Area};
use crate::context::{Context, Ctx};
use crate::identity::second_factor::is_shown_by;

/// Every page, under its full path.
pub(super) fn endpoints() -> Vec<(&'static str, MethodRouter<Ctx>)> {
    vec![
        ("/admin", get(dashboard::dashboard)),
        ("/admin/applications", get(applications::list)),
        ("/admin/applications/new", get(applications::new).post(applications::create)),
        ("/admin/applications/{client_id}", get(applications::show)),
        ("/admin/applications/{client_id}/{act}", get(applications::ask).post(applications::act)),
        ("/admin/users", get(users::list)),
        ("/admin/users/new", get(users::new).post(users::create)),
        ("/admin/users/{id}", get(person::show)),
        ("/admin/users/{id}/{act}", get(users::ask).post(users::act)),
        ("/admin/tokens", get(tokens::list)),
        ("/admin/tokens/find", get(tokens::ask_for_token).post(tokens::find)),
        ("/admin/tokens/revoke", post(tokens::revoke_chosen)),
        ("/admin/tokens/revoke-all", get(tokens::ask_all).post(tokens::revoke_all)),
        ("/admin/tokens/grants", get(grants::list)),
        ("/admin/tokens/grants/{act}", post(grants::act)),
        ("/admin/tokens/{id}", get(tokens::show)),
        ("/admin/associations", get(associations::list)),
        ("/admin/associations/{id}", get(associations::show)),
        ("/admin/associations/{id}/disconnect", get(associations::ask).post(associations::disconnect)),
        ("/admin/keys", get(keys::list)),
        ("/admin/keys/rotate", get(keys::ask).post(keys::rotate)),
        ("/admin/providers", get(providers::list)),
        ("/admin/providers/{name}", get(providers::show)),
        ("/admin/providers/{name}/test", get(providers::show).post(providers::test)),
        ("/admin/audit", get(audit::list)),
        ("/admin/audit/export", post(audit::export)),
        ("/admin/settings", get(settings::list)),
    ]
}

/// Rows on a page.
const ROWS: i64 = 50;

/// A member of staff who looks at a page.
pub(super) struct Staff {
    pub visitor: Visitor,
    pub actor: Actor,
    /// The page's own path and query.
    here: String,
    query: Params,
}

/// A form of a page of the console.
pub(super) struct StaffForm {
    pub staff: Staff,
    pub params: Params,
}

impl FromRequestParts<Ctx> for Staff {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, cx: &Ctx) -> Result<Self, Response> {
        let visitor = Visitor::from_request_parts(parts, cx).await?;
        let uri = parts.extensions.get::<OriginalUri>().map_or(&parts.uri, |OriginalUri(uri)| uri);
        let here = uri.path_and_query().map(ToString::to_string).unwrap_or_default();
        let query = match Params::from_form(uri.query().unwrap_or_default().as_bytes()) {
            Ok(query) => query,
            Err(error) => return Err(page::refuse(cx, &visitor, error)),
        };
        Self::of(cx, visitor, here, query).await
    }
}

impl FromRequest<Ctx> for StaffForm {
    type Rejection = Response;

    async fn from_request(request: Request, cx: &Ctx) -> Result<Self, Response> {
        let here = request.uri().path().to_owned();
        let Form { params, visitor } = Form::from_request(request, cx).await?;
        let query = Params::default();
        Ok(Self { staff: Staff::of(cx, visitor, here, query).await?, params })
    }
}

impl Staff {
    /// Whoever is signed in and is staff; others are sent to sign in, or away.
    async fn of(cx: &Ctx, visitor: Visitor, here: String, query: Params) -> Result<Self, Response> {
        let Some(session) = &visitor.session else {
            let next: String = url::form_urlencoded::byte_serialize(here.as_bytes()).collect();
            return Err(see_other(&format!("/account/sign-in?next={next}")));
        };
        match Actor::staff(cx, &session.user, &visitor.browser.address).await {
            Ok(Some(_)) if cx.settings.console.require_second_factor && !is_shown_by(&session.amr) => {
                let sentence = "The console asks for a second factor. Set one up under /account/security if you have none, sign out, and sign in with it.";
                let error = OAuthError::new(ErrorCode::AccessDenied, sentence).with_status(403);
                Err(page::refuse(cx, &visitor, error))
            }
            Ok(Some(actor)) => Ok(Self { visitor, actor, here, query }),
            Ok(None) => {
                let error = OAuthError::new(ErrorCode::AccessDenied, "The console is for staff.").with_status(403);
                Err(page::refuse(cx, &visitor, error))
            }
            Err(error) => Err(page::refuse(cx, &visitor, error)),
        }
    }

    /// A filter of a list, from the page's query.
    fn filter(&self, name: &str) -> &str {
        self.query.get(name).unwrap_or_default().trim()
    }

    /// Where a list goes on: rows with smaller numbers than this.
    fn before(&self) -> i64 {
        self.query.get("before").and_then(|text| text.parse().ok()).unwrap_or(i64::MAX)
    }

    /// The page's address with this in its query, in place of what is there under the name.
    fn here_with(&self, name: &str, value: Option<&str>) -> String {
        let (path, query) = self.here.split_once('?').unwrap_or((&self.here, ""));
        let mut pairs = url::form_urlencoded::Serializer::new(String::new());
        for (own, own_value) in url::form_urlencoded::parse(query.as_bytes()) {
            if own != name && own != "did" {
                pairs.append_pair(&own, &own_value);
            }
        }
        if let Some(value) = value {
            pairs.append_pair(name, value);
        }
        match pairs.finish() {
            query if query.is_empty() => path.to_owned(),
            query => format!("{path}?{query}"),
        }
    }

    /// The addresses of a list's first and next page: `rows` are one more than the page shows where there is a next one.
    fn pages<T>(&self, rows: &mut Vec<T>, id: impl Fn(&T) -> i64) -> (Option<String>, Option<String>) {
        let has_more = rows.len() > ROWS as usize;
        rows.truncate(ROWS as usize);
        let next = rows.last().filter(|_| has_more).map(|last| self.here_with("before", Some(&id(last).to_string())));
        let first = self.query.get("before").map(|_| self.here_with("before", None));
        (first, next)
    }

    /// Shows a page of the console.
    fn show(&self, cx: &Context, template: &'static str, view: &impl Serialize) -> Response {
        self.show_with(cx, template, view, None)
    }

    /// Shows a page that also says what has just been done, and offers to undo it.
    fn show_with(
        &self,
        cx: &Context,
        template: &'static str,
        view: &impl Serialize,
        notice: Option<Notice>,
    ) -> Response {
        let mut context = serde_json::to_value(view).unwrap_or_else(|_| json!({}));
        context["nav"] = self.nav(cx);
        context["notice"] = serde_json::to_value(notice).unwrap_or(Value::Null);
        Page { script: Some("console.js"), ..Page::new(template, context) }.show(cx, &self.visitor)
    }

    fn nav(&self, cx: &Context) -> Value {
        let path = self.here.split('?').next().unwrap_or_default();
        let links: Vec<Value> = Area::ALL
            .into_iter()
            .filter(|area| self.actor.sees(*area))
            .map(|area| {
                let url = area_url(area);
                let is_current = match area {
                    Area::Dashboard => path.trim_end_matches('/') == "/admin",
                    _ => path.starts_with(url.trim_end_matches('/')),
                };
                json!({ "url": url, "label": format!("console_{}", area.as_str()), "is_current": is_current })
            })
            .collect();
        let mount = cx.settings.mount.trim_end_matches('/');
        json!({ "username": self.actor.name(), "links": links, "sign_out_url": format!("{mount}/logout") })
    }

    /// Shows why something was not done.
    fn refuse(&self, cx: &Context, error: OAuthError) -> Response {
        page::refuse(cx, &self.visitor, error)
    }
}

/// There is no such page.
fn nothing() -> OAuthError {
    OAuthError::invalid_request("There is nothing at this address.").with_status(404)
}

/// What has just been done.
#[derive(Debug, Serialize)]
struct Notice {
    text: &'static str,
    undo: Option<view::Act>,
}

/// Where an area begins.
fn area_url(area: Area) -> String {
    match area {
        Area::Dashboard => "/admin/".to_owned(),
        _ => format!("/admin/{}/", area.as_str()),
    }
}

/// A text as one segment of a path.
fn segment(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
}
