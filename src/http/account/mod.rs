//! A person's own pages: who they are, where they are signed in, what they have allowed, which applications are theirs.

pub mod address;
pub mod applications;
pub mod connections;
pub mod data;
pub mod deletion;
pub mod password;
pub mod profile;
pub mod reset;
pub mod security;
pub mod sessions;
pub mod sign_up;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::header::{AUTHORIZATION, CACHE_CONTROL};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::json;
use vestibule_protocol::scope::APPLICATIONS_SCOPE;
use vestibule_protocol::{OAuthError, Scope, instant};

use super::authorize::scopes;
use super::bearer::{person, require_scope};
use super::body::Caller;
use super::destination::CONNECTIONS;
use super::page::{self, Page};
use super::respond::ApiError;
use super::visitor::{Form, Visitor, see_other};
use crate::context::{Context, Ctx};
use crate::identity::password::Weakness;
use crate::session::Session;
use crate::store::consent::{self, Consent};
use crate::store::user::User;

/// Whoever looks at one of these pages, or the way to the sign-in page.
pub(super) fn signed_in<'v>(visitor: &'v Visitor, path: &str) -> Result<&'v Session, Box<Response>> {
    visitor.session.as_ref().ok_or_else(|| {
        let next: String = url::form_urlencoded::byte_serialize(path.as_bytes()).collect();
        Box::new(see_other(&format!("/account/sign-in?next={next}")))
    })
}

/// How long after proving who they are somebody may do what an open browser alone is not enough for, in seconds.
const FRESH: i64 = 900;

/// As [`signed_in`], for what nobody should do who merely finds an open browser: only soon after the person has proved who
/// they are, else they do so again first.
pub(super) fn freshly_signed_in<'v>(
    cx: &Context,
    visitor: &'v Visitor,
    path: &str,
) -> Result<&'v Session, Box<Response>> {
    let session = signed_in(visitor, path)?;
    match cx.clock.now() - session.auth_time <= FRESH {
        true => Ok(session),
        false => {
            let next: String = url::form_urlencoded::byte_serialize(path.as_bytes()).collect();
            Err(Box::new(see_other(&format!("/account/sign-in?again=1&next={next}"))))
        }
    }
}

/// The page with this status: for a form that is shown again.
pub(super) fn with_status(mut page: Response, status: u16) -> Response {
    *page.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST);
    page
}

/// A page that says one thing, with the way back to the account.
pub(super) fn done(cx: &Context, visitor: &Visitor, heading: &str, sentence: &str) -> Response {
    let context =
        json!({ "heading": heading, "sentence": sentence, "link_url": "/account/", "link_text": "account_title" });
    Page::new("message.html", context).show(cx, visitor)
}

/// What is wrong with a new password, as the key of a text.
pub(super) fn weakness_key(weakness: Weakness) -> &'static str {
    match weakness {
        Weakness::Short => "password_too_short",
        Weakness::Long => "password_too_long",
        Weakness::Common => "password_too_common",
        Weakness::Own => "password_is_own",
    }
}

/// A moment for people, in UTC.
pub(super) fn moment(seconds: i64) -> String {
    let text = instant::write(seconds);
    let (date, time) = text.split_once('T').unwrap_or_default();
    format!("{date} {} UTC", time.get(..5).unwrap_or_default())
}

pub(super) async fn home(State(cx): State<Ctx>, visitor: Visitor) -> Response {
    let session = match signed_in(&visitor, "/account/") {
        Ok(session) => session,
        Err(answer) => return *answer,
    };
    let mount = cx.settings.mount.trim_end_matches('/');
    let link = |url: &str, text: &str| json!({ "url": url, "text": text });
    let mut data = vec![link(data::PAGE, "data_title")];
    if cx.settings.accounts.deletion {
        data.push(link(deletion::PAGE, "account_delete_title"));
    }
    let is_staff = session.user.is_staff || session.user.is_superuser;
    let console = match is_staff && cx.settings.console.enabled {
        true => vec![link("/admin/", "console_enter")],
        false => Vec::new(),
    };
    let groups = [
        (
            "group_profile",
            vec![
                link(profile::PAGE, "profile_title"),
                link(profile::USERNAME, "username_title"),
                link(address::PAGE, "address_title"),
            ],
        ),
        ("group_security", vec![link(password::PAGE, "password_title"), link(security::PAGE, "security_title")]),
        (
            "group_connections",
            vec![
                link(CONNECTIONS, "connections_title"),
                link(&format!("{mount}/authorized_tokens/"), "authorized_title"),
                link(&format!("{mount}/applications/"), "applications_title"),
            ],
        ),
        ("group_devices", vec![link(sessions::PAGE, "sessions_title"), link(sessions::EVERYWHERE, "everywhere_title")]),
        ("group_data", data),
        ("console_title", console),
    ];
    let groups = groups.into_iter().filter(|(_, links)| !links.is_empty());
    let groups: Vec<_> = groups.map(|(title, links)| json!({ "title": title, "links": links })).collect();
    let context = json!({
        "username": session.user.username,
        "email": session.user.email,
        "groups": groups,
        "sign_out_url": format!("{mount}/logout"),
    });
    Page::new("account.html", context).show(&cx, &visitor)
}

/// What a person has allowed, as a page or, for a script with a token, as JSON.
pub(super) async fn authorized(State(cx): State<Ctx>, headers: HeaderMap, request: axum::extract::Request) -> Response {
    let (mut parts, _) = request.into_parts();
    if headers.contains_key(AUTHORIZATION) {
        let listed = async {
            let user = caller(&cx, &mut parts).await?;
            let all = consent::of_user(&cx.db, user.id).await.map_err(OAuthError::from)?;
            Ok::<_, ApiError>(all.iter().map(as_json).collect::<Vec<_>>())
        };
        return match listed.await {
            Ok(all) => ([(CACHE_CONTROL, "no-store")], Json(json!({ "authorized": all }))).into_response(),
            Err(error) => error.into_response(),
        };
    }
    let visitor = match <Visitor as axum::extract::FromRequestParts<Ctx>>::from_request_parts(&mut parts, &cx).await {
        Ok(visitor) => visitor,
        Err(answer) => return answer,
    };
    let mount = cx.settings.mount.trim_end_matches('/').to_owned();
    let session = match signed_in(&visitor, &format!("{mount}/authorized_tokens/")) {
        Ok(session) => session,
        Err(answer) => return *answer,
    };
    let all = match consent::of_user(&cx.db, session.user.id).await {
        Ok(all) => all,
        Err(error) => return page::refuse(&cx, &visitor, error.into()),
    };
    let rows: Vec<_> = all.iter().map(|consent| row(&cx, consent)).collect();
    let context = json!({ "authorized": rows, "action": format!("{mount}/authorized_tokens/") });
    Page::new("authorized.html", context).show(&cx, &visitor)
}

fn row(cx: &Context, consent: &Consent) -> serde_json::Value {
    json!({
        "id": consent.id,
        "name": consent.name,
        "scopes": scopes(cx, &consent.scope, &Scope::default()),
        "granted_at": moment(consent.updated_at),
    })
}

fn as_json(consent: &Consent) -> serde_json::Value {
    json!({
        "id": consent.id,
        "client_id": consent.client_id,
        "name": consent.name,
        "scope": consent.scope.to_string(),
        "granted_at": consent.updated_at,
    })
}

/// Who calls with a token, and may look after their applications with it.
pub(super) async fn caller(cx: &Ctx, parts: &mut axum::http::request::Parts) -> Result<User, ApiError> {
    let Caller(identity) = <Caller as axum::extract::FromRequestParts<Ctx>>::from_request_parts(parts, cx).await?;
    let user = person(&identity)?.clone();
    require_scope(identity.scope(), APPLICATIONS_SCOPE)?;
    Ok(user)
}

/// Asks again, and then takes a consent back with every token that came of it.
pub(super) async fn withdraw(State(cx): State<Ctx>, form: Form) -> Response {
    let Form { params, visitor } = form;
    let mount = cx.settings.mount.trim_end_matches('/').to_owned();
    let list = format!("{mount}/authorized_tokens/");
    let session = match signed_in(&visitor, &list) {
        Ok(session) => session,
        Err(answer) => return *answer,
    };
    let id = params.get("id").and_then(|id| id.parse::<i64>().ok()).unwrap_or_default();
    if params.get("confirm").is_some() {
        return match consent::withdraw(&cx.db, id, session.user.id, cx.clock.now()).await {
            Ok(_) => see_other(&list),
            Err(error) => page::refuse(&cx, &visitor, error.into()),
        };
    }
    let all = match consent::of_user(&cx.db, session.user.id).await {
        Ok(all) => all,
        Err(error) => return page::refuse(&cx, &visitor, error.into()),
    };
    match all.iter().find(|consent| consent.id == id) {
        Some(consent) => {
            let context = json!({ "action": list, "id": id, "name": consent.name, "back_url": list });
            Page::new("authorized_confirm.html", context).show(&cx, &visitor)
        }
        None => see_other(&list),
    }
}

/// `DELETE authorized_tokens/{id}` with a token.
pub(super) async fn withdraw_json(
    State(cx): State<Ctx>,
    Path(id): Path<String>,
    Caller(identity): Caller,
) -> Result<StatusCode, ApiError> {
    let user = person(&identity)?;
    require_scope(identity.scope(), APPLICATIONS_SCOPE)?;
    let id = id.parse().unwrap_or_default(); // what is no number is nobody's
    let withdrawn = consent::withdraw(&cx.db, id, user.id, cx.clock.now()).await.map_err(OAuthError::from)?;
    match withdrawn {
        Some(()) => Ok(StatusCode::NO_CONTENT),
        None => {
            Err(OAuthError::invalid_request("You have not authorized anything with this id.").with_status(404).into())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::moment;

    #[test]
    fn a_moment_is_a_day_and_an_hour() {
        assert_eq!(moment(0), "1970-01-01 00:00 UTC");
        assert_eq!(moment(951_782_400), "2000-02-29 00:00 UTC");
        assert_eq!(moment(1_795_547_819), "2026-11-24 19:16 UTC");
    }
}
