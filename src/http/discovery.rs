//! What this server says of itself: OpenID Connect Discovery, RFC 8414, RFC 9728, and its keys (RFC 7517). It lists what is
//! there and nothing else.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use serde_json::{Map, Value, json};
use vestibule_protocol::authorization::{ResponseMode, ResponseType};
use vestibule_protocol::dpop;
use vestibule_protocol::{ClientAuthenticationMethod as Method, GrantType};

use super::respond::{self, Refusal};
use crate::client::ASSERTION_ALGORITHMS;
use crate::context::{Context, Ctx};
use crate::grant;
use crate::settings::RegistrationMode;
use crate::signing::{self, Algorithm};
use crate::{claims, limits};

/// How long a client may keep what it has read, in seconds: less than the lead with which keys are published.
const FRESH: &str = "public, max-age=300";

/// The discovery document, written once: it follows from the settings.
pub(super) fn document(cx: &Context) -> Bytes {
    let issuer = cx.issuer();
    let at = |path: &str| json!(format!("{issuer}/{path}"));
    let signs: Vec<&str> = Algorithm::ALL.iter().map(|algorithm| algorithm.as_str()).chain(["HS256"]).collect();
    let asymmetric: Vec<String> = ASSERTION_ALGORITHMS.iter().map(|algorithm| format!("{algorithm:?}")).collect();
    let with_secret: Vec<&str> = asymmetric.iter().map(String::as_str).chain(["HS256"]).collect();
    let proofs: Vec<String> = dpop::ALGORITHMS.iter().map(|algorithm| format!("{algorithm:?}")).collect();
    let mutual_tls = &cx.settings.mutual_tls;
    let has_method = |method: &&Method| match method {
        Method::TlsClientAuth => mutual_tls.subject_header.is_some(),
        Method::SelfSignedTlsClientAuth => mutual_tls.certificate_header.is_some(),
        _ => true,
    };
    let methods: Vec<&str> = Method::ALL.iter().filter(has_method).map(|method| method.as_str()).collect();
    let proving: Vec<&str> = methods.iter().copied().filter(|method| *method != "none").collect();
    let grants: Vec<&str> = grant::KNOWN.into_iter().chain([GrantType::Implicit]).map(GrantType::wire).collect();
    let scopes: Vec<String> = limits::known_scopes(&cx.settings).iter().map(str::to_owned).collect();
    let mut members = Map::new();
    for (name, value) in [
        ("issuer", json!(issuer)),
        ("authorization_endpoint", at("authorize")),
        ("token_endpoint", at("token")),
        ("userinfo_endpoint", at("userinfo")),
        ("jwks_uri", at("jwks")),
        ("revocation_endpoint", at("revoke-token")),
        ("introspection_endpoint", at("introspect")),
        ("end_session_endpoint", at("logout")),
        ("device_authorization_endpoint", at("device-authorization")),
        ("pushed_authorization_request_endpoint", at("par")),
        ("require_pushed_authorization_requests", json!(false)),
        ("scopes_supported", json!(scopes)),
        ("response_types_supported", json!(ResponseType::ALL)),
        ("response_modes_supported", json!(ResponseMode::ALL)),
        ("grant_types_supported", json!(grants)),
        ("subject_types_supported", json!(["public", "pairwise"])),
        ("id_token_signing_alg_values_supported", json!(signs)),
        ("userinfo_signing_alg_values_supported", json!(signs)),
        ("introspection_signing_alg_values_supported", json!(signs)),
        ("authorization_signing_alg_values_supported", json!(signs)),
        ("request_object_signing_alg_values_supported", json!(with_secret)),
        ("token_endpoint_auth_methods_supported", json!(methods)),
        ("token_endpoint_auth_signing_alg_values_supported", json!(with_secret)),
        ("revocation_endpoint_auth_methods_supported", json!(methods)),
        ("revocation_endpoint_auth_signing_alg_values_supported", json!(with_secret)),
        ("introspection_endpoint_auth_methods_supported", json!(proving)),
        ("introspection_endpoint_auth_signing_alg_values_supported", json!(with_secret)),
        ("code_challenge_methods_supported", json!(["S256"])),
        ("dpop_signing_alg_values_supported", json!(proofs)),
        ("claims_supported", json!(claims_supported())),
        ("claim_types_supported", json!(["normal"])),
        ("prompt_values_supported", json!(["none", "login", "consent", "select_account"])),
        ("display_values_supported", json!(["page"])),
        ("ui_locales_supported", json!(["en", "de", "fr", "es"])),
        ("claims_parameter_supported", json!(true)),
        ("request_parameter_supported", json!(true)),
        ("request_uri_parameter_supported", json!(false)),
        ("require_request_uri_registration", json!(false)),
        ("authorization_response_iss_parameter_supported", json!(true)),
        ("backchannel_logout_supported", json!(true)),
        ("backchannel_logout_session_supported", json!(true)),
        ("frontchannel_logout_supported", json!(true)),
        ("frontchannel_logout_session_supported", json!(true)),
        ("protected_resources", json!(cx.settings.resources())),
    ] {
        members.insert(name.to_owned(), value);
    }
    if mutual_tls.certificate_header.is_some() {
        members.insert("tls_client_certificate_bound_access_tokens".to_owned(), true.into());
    }
    if cx.settings.registration.mode != RegistrationMode::Off {
        members.insert("registration_endpoint".to_owned(), at("register"));
    }
    if cx.settings.registration.client_id_metadata_documents {
        members.insert("client_id_metadata_document_supported".to_owned(), true.into());
    }
    Bytes::from(Value::Object(members).to_string())
}

/// The claims of a person, and those that ID tokens have of their own.
fn claims_supported() -> Vec<&'static str> {
    let of_tokens = ["iss", "aud", "exp", "iat", "auth_time", "amr", "azp", "nonce", "sid"];
    claims::SUPPORTED.iter().copied().chain(of_tokens).collect()
}

/// An answer that a client may keep for a while.
pub(super) fn fresh(document: Bytes) -> Response {
    ([(CONTENT_TYPE, "application/json"), (CACHE_CONTROL, FRESH)], document).into_response()
}

pub(super) async fn jwks(State(cx): State<Ctx>) -> Result<Response, Refusal> {
    let published = signing::keys(&cx).await?.published(cx.clock.now());
    Ok(([(CACHE_CONTROL, FRESH)], Json(published)).into_response())
}

/// RFC 9728: what the API that this server stands before, or that embeds it, says of itself.
pub(super) async fn resource(State(cx): State<Ctx>, path: Option<Path<String>>) -> Response {
    let wanted = path.map(|Path(path)| format!("/{}", path.trim_matches('/'))).unwrap_or_default();
    let resources = cx.settings.resources();
    let own_path = |resource: &String| url::Url::parse(resource).map(|url| url.path().trim_end_matches('/').to_owned());
    let found = resources.iter().find(|resource| own_path(resource).is_ok_and(|path| path == wanted));
    // Without a path it is the first, wherever that is.
    let found = found.or_else(|| resources.first().filter(|_| wanted.is_empty()));
    let Some(resource) = found else { return respond::not_found().await };
    let scopes: Vec<String> = limits::known_scopes(&cx.settings).iter().map(str::to_owned).collect();
    let proofs: Vec<String> = dpop::ALGORITHMS.iter().map(|algorithm| format!("{algorithm:?}")).collect();
    let document = json!({
        "resource": resource,
        "authorization_servers": [cx.issuer()],
        "scopes_supported": scopes,
        "bearer_methods_supported": ["header"],
        "dpop_signing_alg_values_supported": proofs,
        "resource_name": cx.settings.pages.site_name,
    });
    fresh(Bytes::from(document.to_string()))
}
