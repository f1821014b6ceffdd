//! Who calls: an application and its proof (RFC 6749 §2.3, RFC 7523 §2.2, RFC 8705 §2).
//!
//! Not here: how the proof is written in a request (`protocol::client_credentials`), what the application may do
//! (`grant`).

use std::sync::Arc;

use aws_lc_rs::constant_time;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use vestibule_protocol::jwt::{Jwt, encode_part};
use vestibule_protocol::key_set::{Algorithm, KeySet};
use vestibule_protocol::{
    ClientAuthenticationMethod as Method, ClientCredentials, ClientType, ErrorCode, OAuthError, TokenDigest, hex,
};

use crate::context::{Context, random};
use crate::sender::Presented;
use crate::store::application::{self, Application};
use crate::store::change::Change;
use crate::store::seen;

/// What a client's assertion or request object may be signed with: asymmetric, and no RSA with SHA-1.
pub const ASSERTION_ALGORITHMS: &[Algorithm] =
    &[Algorithm::RS256, Algorithm::PS256, Algorithm::ES256, Algorithm::EdDSA];

/// Seconds by which a client's clock and ours may differ.
pub const LEEWAY: i64 = 30;

/// An assertion may not be made to last: so long at most, in seconds.
const LONGEST_ASSERTION: i64 = 3_600;

/// The application that presents these credentials.
///
/// # Errors
/// `invalid_client` for an unknown or disabled application, a wrong secret, assertion or certificate, a secret where there
/// is none to have, or a method that it may not use. One sentence for all, but for what the developer of a known client can
/// mend.
pub async fn authenticate(
    cx: &Context,
    credentials: &ClientCredentials,
    presented: &Presented,
) -> Result<Arc<Application>, OAuthError> {
    let refuse = |sentence: &'static str| {
        let error = OAuthError::invalid_client(sentence);
        if credentials.method == Method::ClientSecretBasic { error.with_basic_challenge() } else { error }
    };
    let application = find(cx, &credentials.client_id).await?;
    let application = application.filter(|application| application.is_active).ok_or_else(|| refuse(UNKNOWN))?;
    let registered = application.token_endpoint_auth_method;
    match (application.client_type, credentials.method, credentials.secret()) {
        (ClientType::Public, _, None) => {}
        // HTTP Basic has no way to leave the secret out; an empty one is none.
        (ClientType::Public, _, Some("")) => {}
        // A public client has no secret, so one that it sends is wrong (RFC 6749 §3.2.1).
        (ClientType::Public, ..) => {
            return Err(refuse("This application is public and has no client secret; send none."));
        }
        (ClientType::Confidential, Method::None, _)
            if matches!(registered, Some(Method::TlsClientAuth | Method::SelfSignedTlsClientAuth)) =>
        {
            let holds = certificate_holds(&application, registered, presented);
            return if holds {
                Ok(application)
            } else {
                Err(refuse("The client's certificate is missing or another one."))
            };
        }
        (ClientType::Confidential, Method::PrivateKeyJwt | Method::ClientSecretJwt, Some(assertion)) => {
            if registered.is_some_and(|only| only != credentials.method) {
                return Err(refuse("This application may not use this client authentication method."));
            }
            check_assertion(cx, &application, credentials.method, assertion, presented).await?;
        }
        (ClientType::Confidential, _, None) => {
            return Err(refuse("This application is confidential: its client secret is required."));
        }
        (ClientType::Confidential, _, Some(secret)) => {
            if !secret_matches(&application, secret, cx.clock.now()) {
                return Err(refuse(UNKNOWN));
            }
            if registered.is_some_and(|only| only != credentials.method) {
                return Err(refuse("This application may not use this client authentication method."));
            }
        }
    }
    Ok(application)
}

const UNKNOWN: &str = "Unknown client, or its credentials are wrong.";

/// An application by client id, out of the cache where that can be believed. Disabled ones too; but not one that came
/// of a document where such are not taken any more.
pub async fn find(cx: &Context, client_id: &str) -> Result<Option<Arc<Application>>, OAuthError> {
    if client_id.len() > 255 {
        return Ok(None);
    }
    let read = application::find(&cx.db, client_id);
    let rests_on = |application: &Application| [Change::Application(application.id)];
    let found = cx.applications.get(&cx.db, client_id.to_owned(), |_| true, rests_on, read).await?;
    let documents = cx.settings.registration.client_id_metadata_documents;
    Ok(found.filter(|application| documents || application.metadata.document_fresh_until.is_none()))
}

/// A new client id. It never begins as a flag of the command line does.
pub fn new_id() -> String {
    loop {
        let id = encode_part(&random::<24>());
        if !id.starts_with('-') {
            return id;
        }
    }
}

/// What is stored of a secret. SHA-256 is right for 256 random bits.
pub fn hash_secret(secret: &str) -> String {
    let mut hash = String::from("sha256$");
    hash.push_str(&hex(TokenDigest::of(secret).as_bytes()));
    hash
}

fn secret_matches(application: &Application, secret: &str, now: i64) -> bool {
    let presented = hash_secret(secret);
    let is = |stored: &str| constant_time::verify_slices_are_equal(stored.as_bytes(), presented.as_bytes()).is_ok();
    let current = application.secret_hash.as_deref().is_some_and(is);
    let previous =
        application.previous_secret.as_ref().is_some_and(|previous| previous.expires_at > now && is(&previous.hash));
    current | previous
}

/// Whether something must be computed with this application's secret, so that its hash is not enough.
pub fn needs_secret_itself(application: &Application) -> bool {
    let metadata = &application.metadata;
    let answers = [
        &metadata.userinfo_signed_response_alg,
        &metadata.introspection_signed_response_alg,
        &metadata.authorization_signed_response_alg,
    ];
    application.client_type == ClientType::Confidential
        && (application.signing_algorithm == "HS256"
            || application.token_endpoint_auth_method == Some(Method::ClientSecretJwt)
            || metadata.request_object_signing_alg.as_deref() == Some("HS256")
            || answers.into_iter().any(|algorithm| algorithm.as_deref() == Some("HS256")))
}

/// Gives an application this secret: its hash, and the secret sealed where [`needs_secret_itself`].
///
/// # Errors
/// `server_error` where sealing fails.
pub fn set_secret(cx: &Context, application: &mut Application, secret: &str) -> Result<(), OAuthError> {
    application.secret_hash = Some(hash_secret(secret));
    application.sealed_secret = match needs_secret_itself(application) {
        true => Some(cx.keys.seal(SEALED_FOR, secret.as_bytes()).map_err(no_secret)?),
        false => None,
    };
    Ok(())
}

const SEALED_FOR: &str = "client secret";

/// The secret itself, of an application for which it is kept.
///
/// # Errors
/// `server_error` where it is not.
pub fn secret(cx: &Context, application: &Application) -> Result<String, OAuthError> {
    let sealed = application.sealed_secret.as_deref().ok_or_else(|| no_secret("no sealed secret"))?;
    let opened = cx.keys.open(SEALED_FOR, sealed).map_err(no_secret)?;
    String::from_utf8(opened).map_err(no_secret)
}

fn no_secret(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> OAuthError {
    let sentence = "This application needs a new client secret: rotate it (`vestibule app rotate-secret`).";
    OAuthError::new(ErrorCode::ServerError, sentence).with_cause(cause)
}

/// RFC 7523 §3, and OpenID Connect Core §9 for what must be in it.
async fn check_assertion(
    cx: &Context,
    application: &Application,
    method: Method,
    assertion: &str,
    presented: &Presented,
) -> Result<(), OAuthError> {
    let refuse = |sentence: &'static str| OAuthError::invalid_client(sentence);
    let jwt = Jwt::parse(assertion).ok_or_else(|| refuse("The client assertion is not a signed JWT."))?;
    let signed = match method {
        Method::ClientSecretJwt => {
            let secret = secret(cx, application).map_err(|error| refuse(UNKNOWN).with_cause(error))?;
            jwt.is_signed_with_secret(&secret)
        }
        _ => {
            is_signed_by_client(cx, application, &jwt, application.metadata.token_endpoint_auth_signing_alg.as_deref())
                .await?
        }
    };
    if !signed {
        return Err(refuse("The client assertion's signature is not of a key that this client has registered."));
    }
    if jwt.text("sub") != Some(&application.client_id) {
        return Err(refuse("The client assertion's `sub` must be the client id."));
    }
    if !jwt.claims.contains_key("jti") {
        return Err(refuse("The client assertion needs a `jti`, so that it can be used once only."));
    }
    let url = presented.url.trim_end_matches('/');
    holds_once(cx, application, &jwt, "client assertion", url).await?.map_err(refuse)
}

/// Whether an assertion that this client has signed is its own, for this server, for now, and seen for the first time
/// (RFC 7523 §3). `url` is where it was sent. `Err`: the sentence that says what does not hold.
///
/// # Errors
/// What the database says.
pub async fn holds_once(
    cx: &Context,
    application: &Application,
    jwt: &Jwt<'_>,
    purpose: &str,
    url: &str,
) -> Result<Result<(), &'static str>, OAuthError> {
    if jwt.text("iss") != Some(&application.client_id) {
        return Ok(Err("The assertion's `iss` must be the client id."));
    }
    let issuer = cx.issuer();
    let token_endpoint = format!("{issuer}/token");
    if !jwt.is_for(&[&issuer, &token_endpoint, url]) {
        return Ok(Err("The assertion's `aud` is not this server."));
    }
    let now = cx.clock.now();
    if !jwt.is_current(now, LEEWAY) {
        return Ok(Err("The assertion is expired, not valid yet, or has no `exp`."));
    }
    let expires_at = jwt.instant("exp").ok().flatten().unwrap_or(now);
    if expires_at > now + LONGEST_ASSERTION {
        return Ok(Err("The assertion's `exp` is more than an hour ahead; make a new one for each request."));
    }
    let Some(id) = jwt.claims.get("jti") else { return Ok(Ok(())) };
    let Some(id) = id.as_str().filter(|id| (1..=512).contains(&id.len())) else {
        return Ok(Err("The assertion's `jti` must be a text of at most 512 characters."));
    };
    let digest = TokenDigest::of(&format!("{purpose} {} {id}", application.client_id));
    match seen::is_first(&cx.db, digest, expires_at + LEEWAY + 1).await? {
        true => Ok(Ok(())),
        false => Ok(Err("The assertion was used before; make a new one for each request.")),
    }
}

/// Whether a key that this client has registered signed this, with `only` or any algorithm that is taken.
///
/// # Errors
/// `invalid_client` where its `jwks_uri` cannot be read.
pub async fn is_signed_by_client(
    cx: &Context,
    application: &Application,
    jwt: &Jwt<'_>,
    only: Option<&str>,
) -> Result<bool, OAuthError> {
    let named = only.and_then(|name| name.parse::<Algorithm>().ok());
    let allowed: Vec<Algorithm> = match (only, named) {
        (Some(_), None) => return Ok(false),
        (_, Some(one)) => ASSERTION_ALGORITHMS.iter().copied().filter(|algorithm| *algorithm == one).collect(),
        (None, None) => ASSERTION_ALGORITHMS.to_vec(),
    };
    if !jwt.algorithm().is_some_and(|algorithm| allowed.contains(&algorithm)) {
        return Ok(false);
    }
    if let Some(jwks) = &application.jwks {
        return Ok(KeySet::parse(jwks.as_bytes()).is_ok_and(|keys| jwt.is_signed_by(&keys, &allowed)));
    }
    let Some(url) = &application.jwks_uri else { return Ok(false) };
    if jwt.is_signed_by(&*cx.upstream.client_keys(url, false).await?, &allowed) {
        return Ok(true);
    }
    // The client may have changed its keys since they were read.
    Ok(jwt.is_signed_by(&*cx.upstream.client_keys(url, true).await?, &allowed))
}

/// RFC 8705 §2: by the subject that a proxy has verified, or by the certificate itself among the registered keys (`x5c`).
fn certificate_holds(application: &Application, method: Option<Method>, presented: &Presented) -> bool {
    let Some(certificate) = &presented.certificate else { return false };
    match method {
        Some(Method::TlsClientAuth) => {
            let registered = application.metadata.tls_client_auth_subject_dn.as_deref();
            registered.is_some_and(|registered| certificate.subject.as_deref() == Some(registered))
        }
        Some(Method::SelfSignedTlsClientAuth) => {
            let set = application.jwks.as_deref().and_then(|text| serde_json::from_str::<serde_json::Value>(text).ok());
            let keys = set.as_ref().and_then(|set| set.get("keys")).and_then(|keys| keys.as_array());
            let registered = keys.into_iter().flatten().filter_map(|key| key.get("x5c")?.get(0)?.as_str());
            !certificate.der.is_empty()
                && registered
                    .filter_map(|text| STANDARD.decode(text).ok())
                    .any(|der| constant_time::verify_slices_are_equal(&der, &certificate.der).is_ok())
        }
        _ => false,
    }
}
