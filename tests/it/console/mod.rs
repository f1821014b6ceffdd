//! The console without scripts and the admin API: every page and act, as a superuser, as staff with few rights, as somebody
//! and as nobody. What a real browser makes of it is in `browser`.

mod applications;
mod associations;
mod audit_log;
mod dashboard;
mod door;
mod idempotency;
mod keys;
mod providers;
mod settings;
mod tokens;
mod users;

use serde_json::Value;
use vestibule::protocol::GrantType::{ClientCredentials, Password};
use vestibule::store::audit::{self, Filter};
use vestibule::store::user::{self, User};

use crate::harness::guest::{Form, Guest};
use crate::harness::{Answer, App, Test};

/// A member of staff with these permissions; `*` makes a superuser.
pub async fn staff(t: &Test, username: &str, permissions: &'static str) -> User {
    let person = t.person(username).await;
    let is_superuser = permissions == "*";
    let permissions = if is_superuser { "" } else { permissions };
    let db = &t.vestibule.context().db;
    db.write(move |tx| Box::pin(async move { user::set_rights(tx, person.id, true, is_superuser, permissions).await }))
        .await
        .unwrap();
    t.find_person(username).await.unwrap()
}

/// A browser in which a member of staff with these permissions is signed in.
pub async fn desk<'t>(t: &'t Test, username: &str, permissions: &'static str) -> Guest<'t> {
    staff(t, username, permissions).await;
    let guest = Guest::new(t);
    guest.enter(username).await;
    guest
}

/// A page of the console, which has no text that is only a key.
pub async fn page(guest: &Guest<'_>, path: &str) -> Answer {
    let answer = guest.open(path).await;
    assert_eq!(answer.status, 200, "{path}: {answer:?}");
    is_worded(&answer);
    answer
}

/// No text of a page is only its key.
pub fn is_worded(answer: &Answer) {
    let bare = answer.text.split(['>', '"']).find(|text| text.starts_with("console_"));
    assert_eq!(bare, None, "{answer:?}");
}

/// A page's text, with the slashes that are escaped in it.
pub fn plain(answer: &Answer) -> String {
    answer.text.replace("&#x2f;", "/")
}

/// The form of a page with this action at its end.
pub fn form_to(answer: &Answer, end: &str) -> Form {
    let all = answer.forms();
    let found = all.iter().find(|form| form.action.trim_end_matches('/').ends_with(end));
    found.unwrap_or_else(|| panic!("no form to {end} on {answer:?}")).clone()
}

/// An application that may call the admin API, for itself and for people.
pub async fn admin_app(t: &Test) -> App {
    t.app_with(|app| {
        app.grant_types = vec![Password, ClientCredentials];
        app.scopes = "read write admin:read admin:write".split(' ').collect();
    })
    .await
}

/// `Bearer` of this person, or of the application itself where the name is empty, with this scope.
pub async fn bearer(t: &Test, app: &App, username: &str, scope: &str) -> String {
    let answer = match username {
        "" => t.call("token", app, &[("grant_type", "client_credentials"), ("scope", scope)]).await,
        _ => t.password_with_scope(app, username, scope).await,
    };
    assert_eq!(answer.status, 200, "{answer:?}");
    format!("Bearer {}", answer.access_token())
}

/// A call of the admin API with a JSON body; `null` is none.
pub async fn call(t: &Test, method: &str, path: &str, authorization: &str, body: Value) -> Answer {
    let request = t.http.request(method.parse().unwrap(), t.url(path)).header("authorization", authorization);
    Answer::of(if body.is_null() { request } else { request.json(&body) }).await
}

/// The newest entries of the audit log: who, by which way, what, to what.
pub async fn noted(t: &Test) -> Vec<String> {
    let all = audit::page(&t.vestibule.context().db, &Filter::default(), i64::MAX, 50).await.unwrap();
    all.iter().map(|entry| format!("{} {} {} {}", entry.actor, entry.via, entry.act, entry.target)).collect()
}
