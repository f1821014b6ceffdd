//! A person by an authorization code, redeemed with our own credentials (RFC 6749 §4.1.3, RFC 7636).
//!
//! That the provider redeems it for us proves that it was made for us, so no audience check is needed.

use reqwest::Method;
use serde_json::{Map, Value};

use super::outbound::{Answer, Body, Call};
use super::{Identified, Provider, ProviderTokens, Upstream, keys, refuse};
use crate::protocol::OAuthError;
use crate::protocol::provider::{TokenRequest, claims, template};

/// What of a code's request the client knows.
pub(super) struct Redemption<'a> {
    pub code: &'a str,
    pub redirect_uri: Option<&'a str>,
    pub code_verifier: Option<&'a str>,
    pub nonce: Option<&'a str>,
}

impl Upstream {
    pub(super) async fn by_code(
        &self,
        provider: &Provider,
        redemption: Redemption<'_>,
    ) -> Result<Identified, OAuthError> {
        let tokens = self.redeem(provider, &redemption).await?;
        let id_token = tokens.id_token.as_deref().filter(|_| provider.entry.takes_id_tokens());
        let profile = match (id_token, tokens.access_token.as_deref()) {
            (Some(id_token), _) => self.by_id_token(provider, id_token, redemption.nonce).await?.profile,
            (None, _) if redemption.nonce.is_some() => return Err(refuse::nonce_without_id_token(provider)),
            (None, Some(access_token)) => self.profile(provider, access_token).await?,
            (None, None) => return Err(refuse::bad_answer(provider, "a token answer without a token".into())),
        };
        let expires_at = tokens.expires_at;
        Ok(Identified { profile, tokens, expires_at })
    }

    async fn redeem(&self, provider: &Provider, redemption: &Redemption<'_>) -> Result<ProviderTokens, OAuthError> {
        let (url, request) = self.token_endpoint(provider).await?;
        let call = token_call(provider, url, request, redemption);
        let answer =
            self.outbound.call(&provider.lane, call).await.map_err(|failure| refuse::failed(provider, failure))?;
        let members = answer.object();
        let refused =
            members.as_ref().is_some_and(|members| members.get("error").is_some_and(|error| !error.is_null()));
        if refused || !answer.is_success() {
            return Err(refusal(provider, &answer, members.as_ref()));
        }
        // The body holds tokens, so none of it goes to the log.
        let bad = || refuse::bad_answer(provider, "the token endpoint's answer has no token".into());
        let members = members.ok_or_else(bad)?;
        let text =
            |name: &str| members.get(name).and_then(Value::as_str).filter(|text| !text.is_empty()).map(str::to_owned);
        let lives = members.get("expires_in").and_then(|value| value.as_i64().or_else(|| value.as_str()?.parse().ok()));
        let tokens = ProviderTokens {
            access_token: text("access_token"),
            refresh_token: text("refresh_token"),
            id_token: text("id_token"),
            token_type: text("token_type"),
            scope: text("scope"),
            expires_at: lives.map(|seconds| self.clock.now().saturating_add(seconds)),
        };
        // It goes into a header or a URL next, and came from outside like any other token.
        let fit = |token: &Option<String>| token.as_deref().is_none_or(super::is_fit);
        if !fit(&tokens.access_token) || !fit(&tokens.id_token) {
            return Err(bad());
        }
        Ok(tokens)
    }

    async fn token_endpoint(&self, provider: &Provider) -> Result<(String, TokenRequest), OAuthError> {
        let entry = &provider.entry;
        if let Some(template) = &entry.endpoints.token {
            let request = entry.token_request.unwrap_or(TokenRequest::ClientSecretPost);
            return Ok((template.url(&provider.variables("")), request));
        }
        let found = keys::discovery(&self.outbound, provider, self.clock.now()).await;
        let document = found.map_err(|error| error.refusal(provider))?;
        // OpenID Connect Discovery §3: Basic is what a document means that does not say.
        let offers_basic = document
            .token_endpoint_auth_methods_supported
            .as_ref()
            .is_none_or(|methods| methods.iter().any(|method| method == "client_secret_basic"));
        let offered = if offers_basic { TokenRequest::ClientSecretBasic } else { TokenRequest::ClientSecretPost };
        let missing = || refuse::misconfigured(provider, "no token endpoint is known".into());
        Ok((document.token_endpoint.clone().ok_or_else(missing)?, entry.token_request.unwrap_or(offered)))
    }
}

fn token_call(provider: &Provider, url: String, request: TokenRequest, redemption: &Redemption<'_>) -> Call {
    let mut fields = vec![("grant_type", "authorization_code"), ("code", redemption.code)];
    fields.extend(redemption.redirect_uri.map(|uri| ("redirect_uri", uri)));
    fields.extend(redemption.code_verifier.map(|verifier| ("code_verifier", verifier)));
    let secret = provider.secret();
    // A public client at the provider has no secret, and then its id goes into the body (RFC 6749 §3.2.1).
    let basic = secret.filter(|_| request == TokenRequest::ClientSecretBasic);
    if basic.is_none() {
        fields.push(("client_id", provider.client_id()));
        fields.extend(secret.map(|secret| ("client_secret", secret)));
    }
    // Some answer in a form unless plain JSON is asked for.
    let mut headers = provider.headers();
    headers.retain(|(name, _)| !name.eq_ignore_ascii_case("accept"));
    let mut secrets = provider.secrets(redemption.code);
    secrets.extend(redemption.code_verifier.map(str::to_owned));
    let owned =
        |fields: Vec<(&str, &str)>| fields.into_iter().map(|(name, value)| (name.into(), value.into())).collect();
    let (method, url, body) = match request {
        TokenRequest::Query => {
            let url = fields.iter().fold(url, |url, (name, value)| template::with_query(&url, name, value));
            (Method::GET, url, Body::None)
        }
        _ => (Method::POST, url, Body::Form(owned(fields))),
    };
    let basic = basic.map(|secret| (provider.client_id().to_owned(), secret.to_owned()));
    Call { method, url, headers, basic, body, secrets }
}

/// What a refusal at the token endpoint means (RFC 6749 §5.2). Some come with status 200.
fn refusal(provider: &Provider, answer: &Answer, members: Option<&Map<String, Value>>) -> OAuthError {
    let rules = &provider.entry.errors;
    let read = members.map(|members| claims::Answer::new(members.clone(), []));
    let means = |rule: &Option<claims::Expression>| {
        read.as_ref().is_some_and(|read| rule.as_ref().is_some_and(|rule| rule.is_true(read)))
    };
    let word = members.and_then(|members| members.get("error")).and_then(Value::as_str).unwrap_or_default();
    let excerpt = answer.excerpt();
    if answer.exhausted || means(&rules.busy) {
        return refuse::provider_down(provider, excerpt);
    }
    if means(&rules.misconfigured) {
        return refuse::misconfigured(provider, excerpt);
    }
    match (word, answer.status) {
        ("invalid_client" | "unauthorized_client" | "unsupported_grant_type", _) => {
            refuse::misconfigured(provider, excerpt)
        }
        ("server_error" | "temporarily_unavailable", _) | (_, 500..) => refuse::provider_down(provider, excerpt),
        ("", 401 | 403) => refuse::misconfigured(provider, excerpt),
        (_, 200..300 | 400..500) => refuse::code_rejected(provider, excerpt),
        _ => refuse::bad_answer(provider, excerpt),
    }
}
