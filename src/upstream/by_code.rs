//! An authorization code, redeemed by us with our credentials (RFC 6749 §4.1.3, RFC 7636 §4.5): that it works shows that
//! it was issued to our client.

use reqwest::Method;
use serde_json::Value;
use vestibule_protocol::provider::{self, ClientAuth};

use super::outbound::{Body, Call};
use super::refuse::Trouble;
use super::{
    Identified, Provider, ProviderTokens, Upstream, by_access_token, by_id_token, check_text, excerpt, object,
};

pub(super) async fn identify(
    upstream: &Upstream,
    provider: &Provider,
    code: &str,
    redirect_uri: Option<&str>,
    code_verifier: Option<&str>,
    nonce: Option<&str>,
) -> Result<Identified, Trouble> {
    check_text(code)?;
    code_verifier.map(check_text).transpose()?;
    let answer = redeem(upstream, provider, code, redirect_uri, code_verifier).await?;
    let text = |name: &str| answer.get(name).and_then(Value::as_str).filter(|text| !text.is_empty()).map(str::to_owned);
    let tokens = ProviderTokens {
        access_token: text("access_token"),
        refresh_token: text("refresh_token"),
        id_token: text("id_token"),
        scope: text("scope"),
    };
    let now = upstream.clock.now();
    let expires_at = answer.get("expires_in").and_then(Value::as_i64).map(|seconds| now.saturating_add(seconds));
    let id_token = tokens.id_token.as_deref().filter(|_| provider.entry.takes_id_tokens());
    let profile = match (id_token, tokens.access_token.as_deref()) {
        (Some(id_token), _) => {
            let verified = by_id_token::verify(upstream, provider, id_token, nonce).await?;
            provider.entry.claims.profile(&Value::Object(verified.claims)).map_err(|_| Trouble::NoIdentifier)?
        }
        // A nonce that was asked for and can be found nowhere is no nonce that matches.
        (None, _) if nonce.is_some() => return Err(Trouble::NonceMismatch),
        (None, Some(access_token)) => by_access_token::profile(upstream, provider, access_token).await?,
        (None, None) => {
            return Err(Trouble::BadAnswer("neither an access token nor an ID token for the code".to_owned()));
        }
    };
    Ok(Identified { profile, tokens, expires_at })
}

async fn redeem(
    upstream: &Upstream,
    provider: &Provider,
    code: &str,
    redirect_uri: Option<&str>,
    code_verifier: Option<&str>,
) -> Result<Value, Trouble> {
    let (url, client_auth) = endpoint(upstream, provider).await?;
    let mut params = vec![("grant_type", "authorization_code".to_owned()), ("code", code.to_owned())];
    params.extend(redirect_uri.map(|uri| ("redirect_uri", uri.to_owned())));
    params.extend(code_verifier.map(|verifier| ("code_verifier", verifier.to_owned())));
    let mut call = Call::get(url);
    match client_auth {
        ClientAuth::ClientSecretBasic => call.basic = Some((provider.client_id(), provider.client_secret())),
        ClientAuth::ClientSecretPost => {
            params.push(("client_id", provider.client_id().to_owned()));
            if provider.settings.client_secret.is_some() {
                params.push(("client_secret", provider.client_secret().to_owned()));
            }
        }
    }
    match provider.entry.token_request.method {
        provider::Method::Get => call.query = params,
        provider::Method::Post => {
            call.method = Method::POST;
            call.body = Body::Form(params);
        }
    }
    let answer = upstream.ask(provider, call).await?;
    let said = serde_json::from_slice::<Value>(&answer.body).unwrap_or_default();
    // GitHub says `error` with status 200.
    let error = said.get("error").and_then(Value::as_str);
    match (answer.status, error) {
        (
            _,
            Some(
                "invalid_client"
                | "unauthorized_client"
                | "incorrect_client_credentials"
                | "redirect_uri_mismatch"
                | "unsupported_grant_type",
            ),
        ) => Err(Trouble::Misconfigured(excerpt(&answer.body))),
        (200..=299, None) => object(&answer.body),
        (401, _) => Err(Trouble::Misconfigured(excerpt(&answer.body))),
        (status, _) => Err(Trouble::CodeRejected(format!("status {status}: {}", excerpt(&answer.body)))),
    }
}

/// Where codes are redeemed, and how we say who we are there.
async fn endpoint(upstream: &Upstream, provider: &Provider) -> Result<(String, ClientAuth), Trouble> {
    if let Some(template) = &provider.entry.endpoints.token {
        return Ok((template.url(&provider.variables("")), provider.entry.token_request.client_auth));
    }
    let discovery = upstream.discovery(provider).await?;
    let url = discovery
        .token_endpoint
        .clone()
        .ok_or(Trouble::Misconfigured("the discovery document names no token endpoint".into()))?;
    // OpenID Connect Discovery §3: Basic is what a silent document means.
    let basic = discovery
        .token_endpoint_auth_methods_supported
        .as_ref()
        .is_none_or(|methods| methods.iter().any(|method| method == "client_secret_basic"));
    Ok((url, if basic { ClientAuth::ClientSecretBasic } else { ClientAuth::ClientSecretPost }))
}
