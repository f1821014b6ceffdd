//! `/account/data`: everything that is stored of a person, as one file (GDPR articles 15 and 20). No secret is in it, also
//! none of the person's own: neither password nor token, nor a digest of one.

use axum::extract::State;
use axum::http::HeaderValue;
use axum::http::header::{CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use vestibule_protocol::{OAuthError, instant};

use super::{freshly_signed_in, signed_in};
use crate::context::{Context, Ctx};
use crate::http::page::{self, Page};
use crate::http::visitor::{Form, Visitor};
use crate::identity::second_factor;
use crate::registration;
use crate::session;
use crate::store::user::User;
use crate::store::{application, association, consent, token};

pub const PAGE: &str = "/account/data";

pub async fn get(State(cx): State<Ctx>, visitor: Visitor) -> Response {
    match signed_in(&visitor, PAGE) {
        Ok(_) => {
            let context = json!({ "action": PAGE, "back_url": "/account/" });
            Page::new("data.html", context).show(&cx, &visitor)
        }
        Err(answer) => *answer,
    }
}

pub async fn post(State(cx): State<Ctx>, form: Form) -> Response {
    let Form { visitor, .. } = form;
    let session = match freshly_signed_in(&cx, &visitor, PAGE) {
        Ok(session) => session,
        Err(answer) => return *answer,
    };
    match everything(&cx, &session.user).await {
        Ok(data) => {
            let headers = [
                (CONTENT_TYPE, HeaderValue::from_static("application/json")),
                (CONTENT_DISPOSITION, HeaderValue::from_static("attachment; filename=\"account.json\"")),
                (CACHE_CONTROL, HeaderValue::from_static("no-store")),
            ];
            (headers, format!("{data:#}\n")).into_response()
        }
        Err(error) => page::refuse(&cx, &visitor, error),
    }
}

/// A JSON object that we have stored as text.
fn stored(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_default()
}

async fn everything(cx: &Context, user: &User) -> Result<Value, OAuthError> {
    let moment = |at: Option<i64>| at.map(instant::write);
    let associations = association::of_user(&cx.db, user.id).await?;
    let associations = associations.iter().map(|own| {
        json!({
            "provider": own.provider,
            "uid": own.uid,
            "connected_at": instant::write(own.created_at),
            "extra": stored(&own.extra),
        })
    });
    let sessions = session::of_user(cx, user.id).await?;
    let sessions = sessions.iter().map(|own| {
        json!({
            "sid": own.public_id,
            "begun_at": instant::write(own.created_at),
            "last_used_at": instant::write(own.last_seen_at),
            "expires_at": instant::write(own.expires_at),
            "signed_in_by": own.amr,
            "address": own.address,
            "last_address": own.last_address,
            "user_agent": own.user_agent,
        })
    });
    let consents = consent::of_user(&cx.db, user.id).await?;
    let consents = consents.iter().map(|own| {
        json!({
            "client_id": own.client_id,
            "application": own.name,
            "scope": own.scope.to_string(),
            "granted_at": instant::write(own.updated_at),
        })
    });
    let tokens = token::of_user(&cx.db, user.id).await?;
    let tokens = tokens.iter().map(|own| {
        json!({
            "client_id": own.client_id,
            "grant_type": own.grant_type,
            "scope": own.scope,
            "sid": own.session,
            "issued_at": instant::write(own.created_at),
            "expires_at": instant::write(own.access_expires_at),
            "refresh_expires_at": moment(own.refresh_expires_at),
            "refreshed_at": moment(own.consumed_at),
            "ended_at": moment(own.revoked_at),
        })
    });
    let applications = application::of_owner(&cx.db, user.id).await?;
    let factors = second_factor::of(cx, user.id).await?;
    let passkeys = factors.passkeys.iter().map(|own| {
        json!({
            "name": own.name,
            "added_at": instant::write(own.created_at),
            "last_used_at": moment(own.last_used_at),
        })
    });
    Ok(json!({
        "profile": {
            "id": user.id,
            "username": user.username,
            "email": user.email,
            "email_verified": user.email_verified,
            "first_name": user.first_name,
            "last_name": user.last_name,
            "has_password": user.has_password(),
            "is_staff": user.is_staff,
            "is_superuser": user.is_superuser,
            "joined_at": instant::write(user.date_joined),
            "last_sign_in_at": moment(user.last_login),
            "claims": stored(&user.claims),
        },
        "connected_accounts": associations.collect::<Vec<_>>(),
        "passkeys": passkeys.collect::<Vec<_>>(),
        "authenticator_app_added_at": moment(factors.totp.map(|own| own.created_at)),
        "recovery_codes_left": factors.recovery_codes,
        "sessions": sessions.collect::<Vec<_>>(),
        "consents": consents.collect::<Vec<_>>(),
        "tokens": tokens.collect::<Vec<_>>(),
        "applications": applications.iter().map(registration::described).collect::<Vec<_>>(),
    }))
}
