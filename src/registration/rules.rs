//! The rules that every application keeps, whoever registers it: itself, its owner, or the operator.

use serde_json::Value;
use vestibule_protocol::client_metadata::SubjectType;
use vestibule_protocol::key_set::KeySet;
use vestibule_protocol::{
    ClientAuthenticationMethod as Method, ClientType, ErrorCode, GrantType, OAuthError, redirect_uri,
};

use crate::client::ASSERTION_ALGORITHMS;
use crate::context::Context;
use crate::store::application::Application;

pub(super) fn metadata_error(sentence: impl Into<String>) -> OAuthError {
    OAuthError::new(ErrorCode::InvalidClientMetadata, sentence.into())
}

/// The rules that every application keeps, whoever registers it.
///
/// # Errors
/// `invalid_redirect_uri`, `invalid_client_metadata`, with a sentence that names what is wrong.
pub fn check(cx: &Context, application: &Application) -> Result<(), OAuthError> {
    let metadata = &application.metadata;
    let wildcards = cx.settings.authorization.allow_uri_wildcards;
    for uri in application.redirect_uris.iter().chain(&application.post_logout_redirect_uris) {
        redirect_uri::check(uri, wildcards)
            .map_err(|sentence| OAuthError::new(ErrorCode::InvalidRedirectUri, sentence))?;
        if uri.contains(char::is_whitespace) {
            return Err(OAuthError::new(ErrorCode::InvalidRedirectUri, "A redirect URI holds a blank."));
        }
    }
    if application.name.trim().is_empty() || application.name.chars().count() > 200 {
        return Err(metadata_error("The name must have 1 to 200 characters."));
    }
    for origin in &application.allowed_origins {
        let parsed = url::Url::parse(origin).ok().map(|url| url.origin().ascii_serialization());
        if parsed.as_deref() != Some(origin) {
            return Err(metadata_error(format!("`{origin}` is not an origin such as https://app.example.")));
        }
    }
    if application.client_type == ClientType::Public && application.grant_types.contains(&GrantType::ClientCredentials)
    {
        return Err(metadata_error(
            "client-credentials is for confidential applications: a public one cannot prove who it is (RFC 6749 §4.4).",
        ));
    }
    check_algorithms(application)?;
    if let Some(jwks) = &application.jwks {
        let keys = serde_json::from_str::<Value>(jwks).ok();
        let has_private = keys
            .as_ref()
            .and_then(|set| set["keys"].as_array())
            .is_some_and(|keys| keys.iter().any(vestibule_protocol::jwk::is_private));
        if has_private {
            return Err(metadata_error("`jwks` holds a private key; register public ones."));
        }
        if KeySet::parse(jwks.as_bytes()).is_err() {
            return Err(metadata_error("`jwks` is not a JWK set with a key to verify signatures: {\"keys\": […]}."));
        }
    }
    let addresses = [
        ("jwks_uri", &application.jwks_uri),
        ("sector_identifier_uri", &metadata.sector_identifier_uri),
        ("backchannel_logout_uri", &metadata.backchannel_logout_uri),
        ("frontchannel_logout_uri", &metadata.frontchannel_logout_uri),
        ("initiate_login_uri", &metadata.initiate_login_uri),
        ("client_uri", &metadata.client_uri),
        ("logo_uri", &metadata.logo_uri),
        ("policy_uri", &metadata.policy_uri),
        ("tos_uri", &metadata.tos_uri),
    ];
    for (name, uri) in addresses {
        let is_mapped = |uri: &str| cx.upstream.is_mapped(uri);
        let fits = |uri: &String| {
            url::Url::parse(uri).is_ok_and(|url| {
                url.fragment().is_none()
                    && url.username().is_empty()
                    && (url.scheme() == "https" || is_mapped(uri) || is_loopback(&url))
            })
        };
        if uri.as_ref().is_some_and(|uri| !fits(uri)) {
            return Err(metadata_error(format!("`{name}` must be an https address without a fragment.")));
        }
    }
    if metadata.subject_type == SubjectType::Pairwise && metadata.sector_identifier_uri.is_none() {
        let mut hosts: Vec<_> = application
            .redirect_uris
            .iter()
            .filter_map(|uri| url::Url::parse(uri).ok()?.host_str().map(str::to_owned))
            .collect();
        hosts.sort_unstable();
        hosts.dedup();
        if hosts.len() > 1 {
            return Err(metadata_error(
                "With redirect URIs on several hosts, pairwise subjects need a `sector_identifier_uri` (OpenID Connect Core §8.1).",
            ));
        }
    }
    if metadata.default_max_age.is_some_and(|age| age < 0) {
        return Err(metadata_error("`default_max_age` must be a number of seconds."));
    }
    Ok(())
}

/// Whoever chooses a grant that sends browsers back must say where.
///
/// # Errors
/// `invalid_redirect_uri`.
pub fn check_has_redirect_uri(application: &Application) -> Result<(), OAuthError> {
    match application.redirect_uris.is_empty() && application.grant_types.iter().any(|grant| grant.redirects()) {
        true => {
            let sentence = "A grant that sends browsers back needs a redirect URI.";
            Err(OAuthError::new(ErrorCode::InvalidRedirectUri, sentence))
        }
        false => Ok(()),
    }
}

/// For an application on the same machine, while it is being written.
fn is_loopback(url: &url::Url) -> bool {
    url.scheme() == "http" && matches!(url.host_str(), Some("127.0.0.1" | "[::1]" | "localhost"))
}

fn check_algorithms(application: &Application) -> Result<(), OAuthError> {
    let metadata = &application.metadata;
    let is_public = application.client_type == ClientType::Public;
    let answers = [
        ("id_token_signed_response_alg", Some(&application.signing_algorithm)),
        ("userinfo_signed_response_alg", metadata.userinfo_signed_response_alg.as_ref()),
        ("introspection_signed_response_alg", metadata.introspection_signed_response_alg.as_ref()),
        ("authorization_signed_response_alg", metadata.authorization_signed_response_alg.as_ref()),
    ];
    for (name, algorithm) in answers {
        let known = match algorithm.map(String::as_str) {
            None | Some("RS256" | "ES256" | "EdDSA") => true,
            Some("none") => name == "id_token_signed_response_alg",
            Some("HS256") if is_public => {
                return Err(metadata_error(format!(
                    "`{name}`: HS256 needs a client secret, which a public application has not."
                )));
            }
            Some("HS256") => true,
            Some(_) => false,
        };
        if !known {
            return Err(metadata_error(format!("`{name}` can be RS256, ES256, EdDSA or HS256.")));
        }
    }
    for (name, algorithm) in [
        ("token_endpoint_auth_signing_alg", &metadata.token_endpoint_auth_signing_alg),
        ("request_object_signing_alg", &metadata.request_object_signing_alg),
    ] {
        let Some(algorithm) = algorithm else { continue };
        let known =
            algorithm == "HS256" || algorithm.parse().is_ok_and(|algorithm| ASSERTION_ALGORITHMS.contains(&algorithm));
        if !known {
            return Err(metadata_error(format!("`{name}` can be RS256, PS256, ES256, EdDSA or HS256.")));
        }
    }
    let has_keys = application.jwks.is_some() || application.jwks_uri.is_some();
    match application.token_endpoint_auth_method {
        Some(Method::None) if !is_public => {
            Err(metadata_error("The authentication method `none` is for public applications only."))
        }
        Some(method) if is_public && method != Method::None => {
            Err(metadata_error("A public application proves nothing: its authentication method is `none`."))
        }
        Some(Method::PrivateKeyJwt) if !has_keys => {
            Err(metadata_error("`private_key_jwt` needs `jwks` or `jwks_uri`."))
        }
        Some(Method::SelfSignedTlsClientAuth) if application.jwks.is_none() => {
            Err(metadata_error("`self_signed_tls_client_auth` needs `jwks` with `x5c` certificates."))
        }
        Some(Method::TlsClientAuth) if metadata.tls_client_auth_subject_dn.is_none() => {
            Err(metadata_error("`tls_client_auth` needs `tls_client_auth_subject_dn`."))
        }
        _ => Ok(()),
    }
}

/// The document of a sector must name every redirect URI (OpenID Connect Core §8.1).
pub(super) async fn check_sector(cx: &Context, application: &Application) -> Result<(), OAuthError> {
    let Some(uri) = &application.metadata.sector_identifier_uri else { return Ok(()) };
    let unread = "The document at `sector_identifier_uri` could not be read.";
    let document = cx.upstream.client_document(uri).await.map_err(|error| metadata_error(unread).with_cause(error))?;
    let named: Vec<&str> = document.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    match application.redirect_uris.iter().all(|uri| named.contains(&uri.as_str())) {
        true => Ok(()),
        false => Err(metadata_error("The document at `sector_identifier_uri` does not name every redirect URI.")),
    }
}
