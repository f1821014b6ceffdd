//! The only room with axum. This page is the whole route table; an endpoint is a file.

mod backends;
pub mod bearer;
mod body;
mod connect;
mod introspect;
mod invalidate;
mod observe;
mod probe;
mod respond;
mod revoke;
mod token;
mod userinfo;
mod verify;

use axum::Router;
use axum::middleware;
use axum::routing::{MethodRouter, any, get, post};

pub use respond::ApiError;

use crate::context::Ctx;

/// Every endpoint, under its full path.
pub fn router(cx: &Ctx) -> Router {
    let mount = cx.settings.mount.trim_end_matches('/').to_owned();
    let endpoints: [(&str, MethodRouter<Ctx>); 11] = [
        ("token", post(token::token)),
        ("convert-token", post(token::convert)),
        ("revoke-token", post(revoke::revoke)),
        ("introspect", post(introspect::introspect)),
        ("invalidate-sessions", post(invalidate::sessions)),
        ("invalidate-refresh-tokens", post(invalidate::refresh_tokens)),
        ("connect-backend", post(connect::connect)),
        ("disconnect-backend", post(connect::disconnect)),
        ("backends", get(backends::backends)),
        // A proxy may ask with the method of the request that it guards.
        ("verify", any(verify::verify)),
        ("userinfo", get(userinfo::userinfo).post(userinfo::userinfo)),
    ];
    let mut router = Router::new()
        .route("/healthz", get(probe::healthz))
        .route("/readyz", get(probe::readyz))
        .route("/metrics", get(probe::metrics));
    for (name, endpoint) in endpoints {
        // Every path answers with and without a slash at its end: Django's clients have it.
        router =
            router.route(&format!("{mount}/{name}"), endpoint.clone()).route(&format!("{mount}/{name}/"), endpoint);
    }
    router
        .fallback(respond::not_found)
        .method_not_allowed_fallback(respond::method_not_allowed)
        .layer(middleware::from_fn_with_state(cx.clone(), observe::observe))
        .with_state(cx.clone())
}
