//! Applications that register themselves (RFC 7591) and look after that (RFC 7592), and the rules for whatever an
//! application says of itself, whoever writes it down.

pub mod document;
mod rules;

pub use rules::{check, check_has_redirect_uri};
use rules::{check_sector, metadata_error};
use serde_json::{Map, Value, json};
use vestibule_protocol::authorization::ResponseType;
use vestibule_protocol::client_metadata::ClientMetadata;
use vestibule_protocol::scope::is_admin_scope;
use vestibule_protocol::{
    ClientAuthenticationMethod as Method, ClientType, ErrorCode, GrantType, OAuthError, PlainToken, TokenDigest,
    TokenKind,
};

use crate::client::{self};
use crate::context::{Context, random};
use crate::limits;
use crate::settings::RegistrationMode;
use crate::store::application::{self, Application};
use crate::store::attempt;

/// The grants that nobody gives themselves: with them a client speaks for people whom it has not asked.
const NOT_BY_ONESELF: [GrantType; 3] = [GrantType::Password, GrantType::JwtBearer, GrantType::ConvertToken];

/// Nor those by which a client gets tokens with nobody's consent, where anybody may register.
const NOT_BY_ANYBODY: [GrantType; 2] = [GrantType::ClientCredentials, GrantType::TokenExchange];

/// An application as its registration is answered.
pub struct Registered {
    /// The row.
    pub application: Application,
    /// Shown this once.
    pub client_secret: Option<String>,
    /// Shown at registration only.
    pub registration_token: Option<PlainToken>,
}

/// Registrations from one address within [`REGISTRATION_WINDOW`] seconds, where anybody may register.
const REGISTRATIONS: i64 = 60;
const REGISTRATION_WINDOW: i64 = 3_600;

/// Registers an application for whoever presents this initial access token, or for anybody, as configured. `address` is
/// where the request comes from.
///
/// # Errors
/// 403 where registration is off, 401 for a wrong initial access token, 429 for too many from one address, 400 for
/// metadata that cannot be registered.
pub async fn register(
    cx: &Context,
    initial_token: Option<&str>,
    address: &str,
    wanted: &Map<String, Value>,
) -> Result<Registered, OAuthError> {
    let settings = &cx.settings.registration;
    match settings.mode {
        RegistrationMode::Off => {
            let sentence = "Applications do not register themselves here; ask the operator.";
            return Err(OAuthError::new(ErrorCode::AccessDenied, sentence).with_status(403));
        }
        RegistrationMode::Token => {
            let expected = settings.initial_access_token.as_ref().map(|token| TokenDigest::of(token.reveal()));
            let presented = initial_token.map(TokenDigest::of);
            if !matches!((expected, presented), (Some(one), Some(other)) if one.matches(&other)) {
                return Err(OAuthError::invalid_token("Registering needs the initial access token as Bearer."));
            }
        }
        RegistrationMode::Open => {
            let key = cx.keys.derive("registrations", address.as_bytes());
            let now = cx.clock.now();
            let (tries, until) = attempt::count(&cx.db, key, now, REGISTRATION_WINDOW).await?;
            if tries > REGISTRATIONS {
                let wait = u32::try_from(until - now).unwrap_or(60);
                let sentence = "Too many registrations from this address; try again later.";
                return Err(OAuthError::unavailable(sentence, wait).with_status(429));
            }
        }
    }
    let token = PlainToken::new(TokenKind::RegistrationToken, &random());
    let mut application = Application {
        registration_digest: Some(token.digest()),
        ..Application::new(client::new_id(), String::new(), ClientType::Public)
    };
    lay_over(cx, &mut application, wanted).await?;
    let client_secret = new_secret(cx, &mut application)?;
    let stored = application::create(&cx.db, &application, cx.clock.now()).await?;
    let application = stored.ok_or_else(|| OAuthError::unavailable("Try again.", 1))?;
    Ok(Registered { application, client_secret, registration_token: Some(token) })
}

/// The application whose registration access token this is.
///
/// # Errors
/// `invalid_token` for another one's, or none: who asks learns nothing of which client ids exist (RFC 7592 §2.1).
pub async fn managed(cx: &Context, client_id: &str, token: Option<&str>) -> Result<Application, OAuthError> {
    let refuse = || OAuthError::invalid_token("Send the registration access token of this client as Bearer.");
    let presented = token.and_then(|token| TokenDigest::of_presented(TokenKind::RegistrationToken, token));
    let application = application::find(&cx.db, client_id).await?.filter(|application| application.is_active);
    match (application, presented) {
        (Some(application), Some(presented))
            if application.registration_digest.is_some_and(|own| own.matches(&presented)) =>
        {
            Ok(application)
        }
        _ => Err(refuse()),
    }
}

/// Replaces what an application says of itself (RFC 7592 §2.2).
///
/// # Errors
/// 400 for metadata that cannot be registered, or that belongs to another client.
pub async fn replace(cx: &Context, before: Application, wanted: &Map<String, Value>) -> Result<Registered, OAuthError> {
    if wanted.get("client_id").and_then(Value::as_str) != Some(&before.client_id) {
        return Err(metadata_error("`client_id` must be this client's (RFC 7592 §2.2)."));
    }
    if let Some(secret) = wanted.get("client_secret") {
        let is_ours = secret.as_str().map(client::hash_secret) == before.secret_hash;
        if !is_ours {
            return Err(metadata_error("`client_secret` cannot be chosen; leave it out, or send the present one."));
        }
    }
    let blank = Application::new(before.client_id.clone(), String::new(), ClientType::Public);
    let mut application = Application {
        id: before.id,
        registration_digest: before.registration_digest,
        secret_hash: before.secret_hash.clone(),
        sealed_secret: before.sealed_secret.clone(),
        token_epoch: before.token_epoch,
        ..kept_by_operator(&before, blank)
    };
    lay_over(cx, &mut application, wanted).await?;
    let had_secret = before.client_type == ClientType::Confidential && application.secret_hash.is_some();
    let needs_it = client::needs_secret_itself(&application) && application.sealed_secret.is_none();
    let client_secret = match application.client_type {
        ClientType::Confidential if had_secret && !needs_it => None,
        _ => new_secret(cx, &mut application)?,
    };
    let stored = application::update(&cx.db, &application, cx.clock.now()).await?;
    let application = stored.ok_or_else(|| OAuthError::invalid_token("The registration was deleted meanwhile."))?;
    Ok(Registered { application, client_secret, registration_token: None })
}

/// What the operator has decided about an application, whatever it says of itself now.
fn kept_by_operator(before: &Application, blank: Application) -> Application {
    Application {
        owner_id: before.owner_id,
        scopes: before.scopes.clone(),
        skip_authorization: before.skip_authorization,
        is_resource_server: before.is_resource_server,
        previous_secret: before.previous_secret.clone(),
        metadata: ClientMetadata { provider_tokens: before.metadata.provider_tokens, ..ClientMetadata::default() },
        ..blank
    }
}

/// Gives a confidential application whose method needs one a new secret.
fn new_secret(cx: &Context, application: &mut Application) -> Result<Option<String>, OAuthError> {
    let works_with_one = application.client_type == ClientType::Confidential
        && (application.token_endpoint_auth_method.is_none_or(Method::needs_secret)
            || client::needs_secret_itself(application));
    if !works_with_one {
        application.secret_hash = None;
        application.sealed_secret = None;
        return Ok(None);
    }
    let secret = PlainToken::new(TokenKind::ClientSecret, &random()).reveal().to_owned();
    client::set_secret(cx, application, &secret)?;
    Ok(Some(secret))
}

/// Reads metadata in the names of RFC 7591 §2 over an application.
///
/// # Errors
/// `invalid_redirect_uri`, `invalid_client_metadata`.
async fn lay_over(cx: &Context, application: &mut Application, wanted: &Map<String, Value>) -> Result<(), OAuthError> {
    let text = |name: &str| -> Result<Option<String>, OAuthError> {
        match wanted.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) if text.len() <= 2_048 && !text.chars().any(char::is_control) => {
                Ok(Some(text.clone()))
            }
            Some(_) => Err(metadata_error(format!("`{name}` must be a text of at most 2048 characters."))),
        }
    };
    let list = |name: &str| -> Result<Vec<String>, OAuthError> {
        let bad = || metadata_error(format!("`{name}` must be a list of at most 50 texts."));
        match wanted.get(name) {
            None | Some(Value::Null) => Ok(Vec::new()),
            Some(Value::Array(many)) if many.len() <= 50 => {
                many.iter().map(|one| one.as_str().map(str::to_owned).ok_or_else(bad)).collect()
            }
            Some(_) => Err(bad()),
        }
    };
    let method = text("token_endpoint_auth_method")?;
    let method: Method = method.as_deref().unwrap_or("client_secret_basic").parse().map_err(metadata_error)?;
    application.client_type = if method == Method::None { ClientType::Public } else { ClientType::Confidential };
    application.token_endpoint_auth_method = Some(method);
    application.name = text("client_name")?.unwrap_or_else(|| application.client_id.clone());
    let is_open = cx.settings.registration.mode != RegistrationMode::Token;
    application.grant_types = grants(wanted, &list("grant_types")?, &list("response_types")?, is_open)?;
    application.redirect_uris = list("redirect_uris")?;
    application.post_logout_redirect_uris = list("post_logout_redirect_uris")?;
    application.allowed_origins = list("allowed_origins")?;
    if let Some(scope) = text("scope")? {
        let known = limits::known_scopes(&cx.settings);
        // RFC 7591 §2: what is unknown here is left out, not refused.
        application.scopes = scope.split(' ').filter(|word| known.contains(word) && !is_admin_scope(word)).collect();
        if application.scopes.is_empty() {
            // Of none at all would come all.
            return Err(metadata_error(format!("`scope` names none that there is; there are {known}.")));
        }
    }
    application.jwks = match wanted.get("jwks") {
        None | Some(Value::Null) => None,
        Some(jwks) => Some(jwks.to_string()),
    };
    application.jwks_uri = text("jwks_uri")?;
    if application.jwks.is_some() && application.jwks_uri.is_some() {
        return Err(metadata_error("Send `jwks` or `jwks_uri`, not both (RFC 7591 §2)."));
    }
    application.signing_algorithm = text("id_token_signed_response_alg")?.unwrap_or_else(|| "RS256".to_owned());
    let mut rest = wanted.clone();
    rest.remove("document_fresh_until");
    rest.remove("provider_tokens");
    let metadata = serde_json::from_value::<ClientMetadata>(Value::Object(rest))
        .map_err(|error| metadata_error(format!("A member has the wrong type: {error}.")))?;
    application.metadata = ClientMetadata { provider_tokens: application.metadata.provider_tokens, ..metadata };
    check(cx, application)?;
    check_has_redirect_uri(application)?;
    check_sector(cx, application).await
}

/// The grants of `grant_types` and `response_types` together (RFC 7591 §2.1).
fn grants(
    wanted: &Map<String, Value>,
    grant_types: &[String],
    response_types: &[String],
    is_open: bool,
) -> Result<Vec<GrantType>, OAuthError> {
    let mut grants: Vec<GrantType> = Vec::new();
    for name in grant_types {
        let grant: GrantType = name.parse().map_err(metadata_error)?;
        if NOT_BY_ONESELF.contains(&grant) || is_open && NOT_BY_ANYBODY.contains(&grant) {
            return Err(metadata_error(format!("The grant `{name}` is given by the operator only.")));
        }
        grants.push(grant);
    }
    if !wanted.contains_key("grant_types") {
        grants.push(GrantType::AuthorizationCode);
    }
    for text in response_types {
        let unknown = |_| metadata_error(format!("The response type `{text}` is not known here."));
        let response_type: ResponseType = text.parse().map_err(unknown)?;
        grants.push(response_type.grant_type());
    }
    let mut unique = Vec::new();
    for grant in grants {
        if !unique.contains(&grant) {
            unique.push(grant);
        }
    }
    Ok(unique)
}

/// An application as its owner and the operator see it: the stable form of `app … --json` and of the JSON endpoints.
pub fn described(application: &Application) -> Value {
    let grants: Vec<_> = application.grant_types.iter().map(|grant| grant.as_str()).collect();
    json!({
        "client_id": application.client_id,
        "name": application.name,
        "client_type": application.client_type.as_str(),
        "grant_types": grants,
        "redirect_uris": application.redirect_uris,
        "post_logout_redirect_uris": application.post_logout_redirect_uris,
        "allowed_origins": application.allowed_origins,
        "scopes": application.scopes.iter().collect::<Vec<_>>(),
        "token_endpoint_auth_method": application.token_endpoint_auth_method.map(|method| method.as_str()),
        "jwks": application.jwks.as_deref().and_then(|text| serde_json::from_str::<Value>(text).ok()),
        "jwks_uri": application.jwks_uri,
        "signing_algorithm": application.signing_algorithm,
        "owner_id": application.owner_id,
        "skip_authorization": application.skip_authorization,
        "resource_server": application.is_resource_server,
        "is_active": application.is_active,
        "metadata": application.metadata,
        "created_at": application.created_at,
        "updated_at": application.updated_at,
    })
}

/// An application in the names of RFC 7591 §3.2.1, without its secret.
pub fn as_json(cx: &Context, application: &Application) -> Map<String, Value> {
    let mut members = match serde_json::to_value(&application.metadata) {
        Ok(Value::Object(members)) => members,
        _ => Map::new(),
    };
    members.remove("document_fresh_until");
    members.remove("provider_tokens");
    let grants: Vec<&str> = application.grant_types.iter().map(|grant| grant.wire()).collect();
    let method = application.token_endpoint_auth_method.unwrap_or(match application.client_type {
        ClientType::Public => Method::None,
        ClientType::Confidential => Method::ClientSecretBasic,
    });
    let mut add = |name: &str, value: Value| {
        let is_empty = value.is_null() || value.as_array().is_some_and(Vec::is_empty) || value.as_str() == Some("");
        if !is_empty {
            members.insert(name.to_owned(), value);
        }
    };
    add("client_id", json!(application.client_id));
    add("client_name", json!(application.name));
    add("client_id_issued_at", json!(application.created_at));
    add("grant_types", json!(grants));
    add("response_types", json!(response_types(&application.grant_types)));
    add("redirect_uris", json!(application.redirect_uris));
    add("post_logout_redirect_uris", json!(application.post_logout_redirect_uris));
    add("allowed_origins", json!(application.allowed_origins));
    add("token_endpoint_auth_method", json!(method.as_str()));
    add("id_token_signed_response_alg", json!(application.signing_algorithm));
    add("scope", json!(application.scopes.to_string()));
    add("jwks_uri", json!(application.jwks_uri));
    add("jwks", application.jwks.as_deref().and_then(|text| serde_json::from_str(text).ok()).unwrap_or(Value::Null));
    if application.registration_digest.is_some() {
        let uri = format!("{}/register/{}", cx.issuer(), application.client_id);
        add("registration_client_uri", json!(uri));
    }
    members
}

fn response_types(grants: &[GrantType]) -> Vec<&'static str> {
    let mut types = Vec::new();
    if grants.contains(&GrantType::AuthorizationCode) {
        types.push("code");
    }
    if grants.contains(&GrantType::Implicit) {
        types.extend(["token", "id_token", "id_token token"]);
    }
    if grants.contains(&GrantType::Hybrid) {
        types.extend(["code id_token", "code token", "code id_token token"]);
    }
    types
}
