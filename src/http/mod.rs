//! The only room with axum. This page is the whole route table; an endpoint is a file.

mod account;
mod admin_api;
mod asset;
mod authorize;
mod backends;
pub mod bearer;
mod body;
mod complete;
mod connect;
mod console;
mod cookie;
mod cors;
mod destination;
mod device;
mod disconnect;
mod discovery;
mod download;
mod email;
mod introspect;
mod invalidate;
mod letter;
mod login;
mod logout;
mod metadata;
mod observe;
mod openapi;
mod page;
mod par;
mod passkey;
mod posted;
mod probe;
mod provider_token;
mod register;
mod respond;
mod revoke;
mod routes;
mod second_factor;
mod setback;
mod sign_in;
mod token;
mod userinfo;
mod verify;
mod visitor;

use axum::Router;
use axum::http::HeaderMap;
use axum::middleware;
use axum::routing::{MethodRouter, any, get, post};

use account::{
    address, applications, connections, data, deletion, password, profile, reset, security, sessions, sign_up,
};
use destination::CONNECTIONS;
pub use respond::ApiError;
use routes::Routes;

use crate::context::Ctx;

/// Every endpoint, under its full path, and those paths.
pub fn router(cx: &Ctx) -> (Router, Vec<String>) {
    let mount = cx.settings.mount.trim_end_matches('/').to_owned();
    let document = discovery::document(cx);
    let discovered = || {
        let document = document.clone();
        get(move || async move { discovery::fresh(document) })
    };
    let openapi = openapi::Document::of(cx);
    let openapi = get(move |headers: HeaderMap| async move { openapi.answer(&headers) });
    // Scripts on other origins may call these, for the applications that name their origin.
    let for_scripts: [(&str, MethodRouter<Ctx>); 10] = [
        ("token", post(token::token)),
        ("convert-token", post(token::convert)),
        ("revoke-token", post(revoke::revoke)),
        ("device-authorization", post(device::begin)),
        ("par", post(par::par)),
        ("userinfo", get(userinfo::userinfo).post(userinfo::userinfo)),
        ("jwks", get(discovery::jwks)),
        ("register", post(register::register)),
        (".well-known/openid-configuration", discovered()),
        (".well-known/oauth-authorization-server", discovered()),
    ];
    let endpoints: Vec<(&str, MethodRouter<Ctx>)> = vec![
        ("introspect", post(introspect::introspect)),
        ("provider-token", post(provider_token::fetch)),
        ("invalidate-sessions", post(invalidate::sessions)),
        ("invalidate-refresh-tokens", post(invalidate::refresh_tokens)),
        ("connect-backend", post(connect::connect)),
        ("disconnect-backend", post(connect::take_away)),
        ("backends", get(backends::backends)),
        // A proxy may ask with the method of the request that it guards.
        ("verify", any(verify::verify)),
        ("authorize", get(authorize::get).post(authorize::post)),
        ("consent", post(authorize::consent)),
        ("login/{backend}", get(login::begin).post(login::connect)),
        ("complete/{backend}", get(complete::get).post(complete::post)),
        ("disconnect/{backend}", post(disconnect::all)),
        ("disconnect/{backend}/{association_id}", post(disconnect::one)),
        ("metadata/{backend}", get(metadata::metadata)),
        ("device", get(device::get).post(device::post)),
        ("logout", get(logout::get).post(logout::post)),
        ("logout/confirm", post(logout::confirm)),
        ("register/{client_id}", get(register::get).put(register::put).delete(register::delete)),
        ("applications", get(applications::collection).post(applications::collection)),
        ("applications/register", get(applications::new).post(applications::register)),
        ("applications/{client_id}", get(applications::one).patch(applications::one).delete(applications::one)),
        ("applications/{client_id}/{act}", get(applications::ask).post(applications::act)),
        ("authorized_tokens", get(account::authorized).post(account::withdraw)),
        ("authorized_tokens/{id}", axum::routing::delete(account::withdraw_json)),
        ("style.css", get(asset::style)),
        ("console.js", get(asset::console_script)),
        (passkey::SCRIPT, get(asset::passkeys)),
    ];
    let documents = ["/.well-known/openid-configuration", "/.well-known/oauth-authorization-server"];
    let mut well_known: Vec<String> = Vec::new();
    if !mount.is_empty() {
        well_known.extend(documents.iter().map(|&path| path.to_owned()));
        // RFC 8414 §3.1 puts the issuer's path behind; some clients do so for OpenID Connect too.
        well_known.extend(documents.iter().map(|path| format!("{path}{mount}")));
    }
    let mut open = Routes::default();
    open = both(open, "/.well-known/oauth-protected-resource", &get(discovery::resource));
    open = open.route("/.well-known/oauth-protected-resource/{*path}", get(discovery::resource));
    for path in &well_known {
        open = both(open, path, &discovered());
    }
    for (name, endpoint) in for_scripts {
        open = both(open, &format!("{mount}/{name}"), &endpoint);
    }
    let Routes { router: open, mut paths } = open;
    // Within the layer, so that it sees what a browser asks before a call of another origin.
    let open = open
        .method_not_allowed_fallback(respond::method_not_allowed)
        .layer(middleware::from_fn_with_state(cx.clone(), cors::cors));
    let mut router = Routes::default()
        .route("/healthz", get(probe::healthz))
        .route("/readyz", get(probe::readyz))
        .route("/metrics", get(probe::metrics))
        .route("/openapi.json", openapi)
        .route("/account/", get(account::home))
        .route("/account", get(account::home));
    router = both(router, "/account/sign-in", &get(sign_in::get).post(sign_in::post));
    router = both(router, passkey::SIGN_IN_OPTIONS, &get(passkey::sign_in_options));
    router = both(router, "/account/sign-in/second-factor", &get(second_factor::get).post(second_factor::post));
    router = both(router, "/account/sign-in/second-factor/passkey", &get(second_factor::options));
    for (path, endpoint) in security::pages() {
        router = both(router, path, &endpoint);
    }
    router = both(router, "/account/email", &get(email::get).post(email::post));
    router = both(router, "/account/email/confirm", &get(email::opened).post(email::confirm));
    router = both(router, CONNECTIONS, &get(connections::get));
    let own_pages: Vec<(&str, MethodRouter<Ctx>)> = vec![
        ("sign-up", get(sign_up::get).post(sign_up::post)),
        ("sign-up/confirm", get(sign_up::opened).post(sign_up::confirm)),
        ("password", get(password::get).post(password::post)),
        ("password/reset", get(reset::get).post(reset::post)),
        ("password/new", get(reset::opened).post(reset::set)),
        ("address", get(address::get).post(address::post)),
        ("address/change", get(address::get_change).post(address::change)),
        ("address/confirm", get(address::opened).post(address::confirm)),
        ("profile", get(profile::get).post(profile::post)),
        ("username", get(profile::get_username).post(profile::post_username)),
        ("sessions", get(sessions::get).post(sessions::post)),
        ("sign-out-everywhere", get(sessions::ask_everywhere).post(sessions::everywhere)),
        ("data", get(data::get).post(data::post)),
        ("delete", get(deletion::get).post(deletion::post)),
    ];
    for (name, endpoint) in own_pages {
        router = both(router, &format!("/account/{name}"), &endpoint);
    }
    let administered = cx.settings.console.enabled;
    for (path, endpoint) in console::endpoints().into_iter().chain(admin_api::endpoints(cx)).filter(|_| administered) {
        router = both(router, path, &endpoint);
    }
    for (name, endpoint) in endpoints {
        router = both(router, &format!("{mount}/{name}"), &endpoint);
    }
    paths.extend(router.paths);
    let router = router
        .router
        .merge(open)
        .fallback(respond::not_found)
        .method_not_allowed_fallback(respond::method_not_allowed)
        .layer(middleware::from_fn_with_state(cx.clone(), observe::observe))
        .with_state(cx.clone());
    (router, paths)
}

/// A path answers with and without a slash at its end: Django's clients have it.
fn both(routes: Routes, path: &str, endpoint: &MethodRouter<Ctx>) -> Routes {
    routes.route(path, endpoint.clone()).route(&format!("{path}/"), endpoint.clone())
}
