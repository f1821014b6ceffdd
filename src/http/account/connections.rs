//! `/account/connections`: which accounts at providers are a person's, and which could be.

use axum::extract::State;
use axum::response::Response;
use serde_json::{Map, Value, json};
use vestibule_protocol::OAuthError;

use super::{moment, signed_in};
use crate::context::{Context, Ctx};
use crate::http::destination::CONNECTIONS;
use crate::http::page::{self, Page};
use crate::http::setback::login_url;
use crate::http::visitor::Visitor;
use crate::identity::disconnect;
use crate::store::association::{self, Association};
use crate::store::user::User;
use crate::upstream::Provider;

pub async fn get(State(cx): State<Ctx>, visitor: Visitor) -> Response {
    let session = match signed_in(&visitor, CONNECTIONS) {
        Ok(session) => session,
        Err(answer) => return *answer,
    };
    match context(&cx, &session.user).await {
        Ok(context) => Page::new("connections.html", context).show(&cx, &visitor),
        Err(error) => page::refuse(&cx, &visitor, error),
    }
}

async fn context(cx: &Context, user: &User) -> Result<Value, OAuthError> {
    let all = association::of_user(&cx.db, user.id).await?;
    let may_go = disconnect::may_go(cx, user.id, &all).await?;
    let mount = cx.settings.mount.trim_end_matches('/');
    let connected = all.iter().map(|own| {
        json!({
            "provider": cx.upstream.provider(&own.provider).map_or(own.provider.as_str(), Provider::title),
            "name": name(own),
            "uid": own.uid,
            "connected_at": moment(own.created_at),
            "may_go": may_go.contains(&own.id),
            "action": format!("{mount}/disconnect/{}/{}/", own.provider, own.id),
        })
    });
    let is_connected = |provider: &Provider| all.iter().any(|own| own.provider == provider.name());
    let others = cx.upstream.providers().filter(|provider| provider.has_browser_flow() && !is_connected(provider));
    let others =
        others.map(|provider| json!({ "title": provider.title(), "url": login_url(cx, provider.name(), CONNECTIONS) }));
    Ok(json!({ "connected": connected.collect::<Vec<_>>(), "others": others.collect::<Vec<_>>() }))
}

/// What the person is called at the provider, as far as the operator keeps that.
fn name(own: &Association) -> Option<String> {
    const NAMES: [&str; 8] =
        ["username", "login", "screen_name", "preferred_username", "email", "name", "fullname", "display_name"];
    let extra: Map<String, Value> = serde_json::from_str(&own.extra).unwrap_or_default();
    let text = |name: &&str| extra.get(*name).and_then(Value::as_str).filter(|text| !text.is_empty());
    NAMES.iter().find_map(text).map(str::to_owned)
}
