//! OAuth 1.0a (RFC 5849): a request token, the person's word, an access token, and signed requests about the person.
//!
//! The request token's secret travels sealed with the browser. That the provider takes our signature over an access token
//! proves that it was made for us.

use reqwest::{Method, Url};
use serde_json::{Map, Value, json};

use super::journey::{Declined, Departure, Going, OWN, Return, members};
use super::outbound::{Answer, Body, Call};
use super::person::Known;
use super::token_endpoint::filled;
use super::{Identified, Provider, ProviderTokens, Upstream, is_fit, refuse};
use crate::protocol::provider::{self, NothingThere, SignatureMethod, template};
use crate::protocol::{OAuthError, Params, hex, oauth1};

/// Signs a call as it is now: nothing of its URL or form may change after (§3.4.1). `token` is the token and its secret,
/// `further` what else goes into the header.
pub(super) fn sign(
    provider: &Provider,
    call: &mut Call,
    token: Option<(&str, &str)>,
    further: &[(&str, &str)],
    now: i64,
) -> Result<(), OAuthError> {
    let method = provider.entry.oauth1.signature;
    let mut random = [0; 16];
    aws_lc_rs::rand::fill(&mut random)
        .map_err(|_| OAuthError::unavailable("No randomness is to be had; try again.", 1))?;
    let (nonce, timestamp) = (hex(&random), now.to_string());
    let mut params = vec![
        ("oauth_consumer_key", provider.client_id()),
        ("oauth_signature_method", method.as_str()),
        ("oauth_timestamp", timestamp.as_str()),
        ("oauth_nonce", nonce.as_str()),
        ("oauth_version", "1.0"),
    ];
    params.extend(token.map(|(text, _)| ("oauth_token", text)));
    params.extend(further);
    let misconfigured = |why: &str| refuse::misconfigured(provider, why.to_owned());
    let url = Url::parse(&call.url).map_err(|_| misconfigured("an endpoint is not a URL"))?;
    let form: &[(String, String)] = match &call.body {
        Body::Form(fields) => fields,
        _ => &[],
    };
    let of_form = form.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let base = oauth1::base_string(call.method.as_str(), &url, params.iter().copied().chain(of_form));
    let (secret, token_secret) = (provider.secret().unwrap_or_default(), token.map_or("", |(_, secret)| secret));
    let signature = oauth1::signature(method, &base, secret, token_secret);
    let signature = signature.ok_or_else(|| misconfigured("`oauth1.signature` is not supported"))?;
    params.push(("oauth_signature", &signature));
    call.headers.push(("authorization".into(), oauth1::header(params)));
    Ok(())
}

/// Whether everything is there that the protocol needs.
///
/// # Errors
/// The key that is wrong or missing.
pub(super) fn check(provider: &Provider) -> Result<(), String> {
    let endpoints = &provider.entry.endpoints;
    let signs_by_key = provider.entry.oauth1.signature == SignatureMethod::RsaSha1;
    if signs_by_key && !oauth1::is_private_key(provider.secret().unwrap_or_default()) {
        return Err("`client_secret` is no private key: RSA-SHA1 wants one, PKCS #8 or PKCS #1 in PEM".to_owned());
    }
    for (key, endpoint) in
        [("request_token", &endpoints.request_token), ("authorize", &endpoints.authorize), ("token", &endpoints.token)]
    {
        if endpoint.is_none() {
            return Err(format!("`endpoints.{key}` is not set"));
        }
    }
    Ok(())
}

/// Whether the person said no: a verifier comes with every yes (§2.2).
pub(super) fn declined(params: &Params) -> Option<Declined> {
    if params.get("oauth_verifier").is_some_and(|verifier| !verifier.is_empty()) {
        return None;
    }
    match params.get("oauth_problem") {
        None | Some("user_refused" | "permission_denied") => Some(Declined::ByPerson),
        Some(_) => Some(Declined::ByProvider),
    }
}

impl Upstream {
    /// A request token (§2.1), and the address where the person says yes (§2.2).
    pub(super) async fn depart_with_request_token(
        &self,
        provider: &Provider,
        going: &Departure<'_>,
    ) -> Result<Going, OAuthError> {
        let rule = &provider.entry.oauth1;
        let known = Known { request: members(going.request.iter()), ..Known::default() };
        let context = known.answer(provider, "");
        let variables = provider.variables("", &context);
        let unfilled = |error: NothingThere| refuse::misconfigured(provider, error.to_string());
        let missing = |key: &str| refuse::misconfigured(provider, format!("`endpoints.{key}` is not set"));
        let endpoints = &provider.entry.endpoints;
        let request_token = endpoints.request_token.as_ref().ok_or_else(|| missing("request_token"))?;
        let callback = provider.full_redirect_uri(going.redirect_uri, going.state);
        // What begins like one of the protocol's own goes where those go, in their place.
        let further = filled(&rule.request_token_params, &variables).map_err(unfilled)?;
        let (of_header, fields): (Vec<_>, Vec<_>) =
            further.into_iter().partition(|(name, _)| name.starts_with("oauth_"));
        let mut own: Vec<(&str, &str)> = vec![("oauth_callback", &callback)];
        own.retain(|(name, _)| !of_header.iter().any(|(other, _)| other == name));
        own.extend(of_header.iter().map(|(name, value)| (name.as_str(), value.as_str())));
        let url = provider.endpoint(request_token, &variables)?;
        let call = prepared(provider, rule.request_token_method, url, fields);
        let answer = self.send_signed(provider, call, None, &own).await?;
        let refused = |provider: &Provider, cause: String| refuse::misconfigured(provider, cause);
        let answered = granted(provider, &answer, refused)?;
        let text = |name: &str| answered.get(name).and_then(Value::as_str).unwrap_or_default();
        if text("oauth_callback_confirmed") != "true" {
            // Without it anybody's yes could be finished by anybody: OAuth 1.0, whose hole 1.0a closed.
            return Err(refuse::bad_answer(provider, "`oauth_callback_confirmed` is not `true`".into()));
        }
        let authorize = endpoints.authorize.as_ref().ok_or_else(|| missing("authorize"))?;
        let mut url =
            template::with_query(&provider.endpoint(authorize, &variables)?, "oauth_token", text("oauth_token"));
        let scope = provider.scope().join(&provider.entry.scope.separator);
        let params = &provider.entry.authorize;
        let mut all: Vec<(String, String)> = Vec::new();
        if !scope.is_empty() {
            all.push((params.names.get("scope").map_or("scope", String::as_str).to_owned(), scope));
        }
        all.extend(filled(&params.params, &variables).map_err(unfilled)?);
        for (name, value) in &provider.settings.auth_extra_arguments {
            all.retain(|(own, _)| own != name);
            all.push((name.clone(), value.clone()));
        }
        for (name, value) in &all {
            url = template::with_query(&url, name, value);
        }
        Ok(Going { url, kept: json!({ "token": text("oauth_token"), "secret": text("oauth_token_secret") }) })
    }

    /// An access token for the verifier (§2.3), and whose it is.
    pub(super) async fn arrive_with_verifier(
        &self,
        provider: &Provider,
        back: &Return<'_>,
    ) -> Result<Identified, OAuthError> {
        let kept = |name: &str| back.kept.get(name).and_then(Value::as_str).unwrap_or_default();
        let (token, verifier) = (back.params.required("oauth_token")?, back.params.required("oauth_verifier")?);
        let same = aws_lc_rs::constant_time::verify_slices_are_equal(kept("token").as_bytes(), token.as_bytes());
        if token.is_empty() || same.is_err() {
            return Err(refuse::other_providers_answer(provider));
        }
        super::must_be_fit("oauth_verifier", verifier)?;
        let url = provider.token_url()?;
        let call = prepared(provider, provider.entry.oauth1.token_method, url, Vec::new());
        let further = [("oauth_verifier", verifier)];
        let answer = self.send_signed(provider, call, Some((token, kept("secret"))), &further).await?;
        let answered = granted(provider, &answer, refuse::verifier_rejected)?;
        let text = |name: &str| answered.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        let (token, secret) = (text("oauth_token"), text("oauth_token_secret"));
        let known = Known {
            token_answer: answered,
            callback: members(back.params.iter().filter(|(name, _)| !OWN.contains(name))),
            request: back.request.clone(),
            token_secret: Some(secret.clone()),
            ..Known::default()
        };
        let person = match self.can_ask(provider).await? {
            true => self.person(provider, &token, &known).await?,
            false => self.person_of_known(provider, &known)?,
        };
        Ok(identified(person.profile, token, secret))
    }

    /// A person by `oauth_token=…&oauth_token_secret=…`, as an application got them.
    pub(super) async fn by_token_pair(&self, provider: &Provider, presented: &str) -> Result<Identified, OAuthError> {
        let (token, secret) = oauth1::pair(presented).ok_or_else(|| refuse::no_token_pair(provider))?;
        if !is_fit(&token) || secret.len() > super::MAX_TOKEN_BYTES {
            return Err(refuse::no_token_pair(provider));
        }
        if provider.entry.claims.uid.source().contains("token_answer") || !self.can_ask(provider).await? {
            return Err(refuse::token_pair_is_not_enough(provider));
        }
        if !provider.audience().is_some_and(provider::AudienceCheck::is_in_calls)
            && !provider.settings.accept_unverified_audience
        {
            return Err(refuse::unproven_audience(provider));
        }
        let known = Known { token_secret: Some(secret.clone()), ..Known::default() };
        let person = self.person(provider, &token, &known).await?;
        Ok(identified(person.profile, token, secret))
    }

    async fn send_signed(
        &self,
        provider: &Provider,
        mut call: Call,
        token: Option<(&str, &str)>,
        further: &[(&str, &str)],
    ) -> Result<Answer, OAuthError> {
        let presented = token.iter().flat_map(|(text, secret)| [*text, *secret]);
        call.secrets.extend(presented.chain(further.iter().map(|(_, value)| *value)).map(str::to_owned));
        sign(provider, &mut call, token, further, self.clock.now())?;
        self.ask(provider, call).await
    }
}

fn identified(profile: crate::protocol::Profile, token: String, secret: String) -> Identified {
    let tokens = ProviderTokens { access_token: Some(token), token_secret: Some(secret), ..ProviderTokens::default() };
    Identified { profile, tokens, expires_at: None, once: None }
}

/// A call to one of the two token endpoints, not signed yet.
fn prepared(provider: &Provider, method: provider::Method, url: String, fields: Vec<(String, String)>) -> Call {
    let mut headers = provider.plain_headers();
    // They answer in a form.
    headers.retain(|(name, _)| !name.eq_ignore_ascii_case("accept"));
    headers.push(("accept".into(), "*/*".into()));
    let call = Call { headers, secrets: provider.secrets(""), ..Call::get(url) };
    match method {
        provider::Method::Post if fields.is_empty() => Call { method: Method::POST, ..call },
        provider::Method::Post => Call { method: Method::POST, body: Body::Form(fields), ..call },
        _ => {
            let url =
                fields.iter().fold(call.url.clone(), |url, (name, value)| template::with_query(&url, name, value));
            Call { url, ..call }
        }
    }
}

/// The members of a token endpoint's answer, which has a token and its secret.
fn granted(
    provider: &Provider,
    answer: &Answer,
    refused: impl Fn(&Provider, String) -> OAuthError,
) -> Result<Map<String, Value>, OAuthError> {
    if answer.exhausted || answer.status >= 500 {
        return Err(refuse::provider_down(provider, answer.excerpt()));
    }
    if (400..500).contains(&answer.status) {
        return Err(refused(provider, answer.excerpt()));
    }
    // The body holds tokens, so none of it goes to the log.
    let bad = || refuse::bad_answer(provider, "a token endpoint's answer has no token and secret".into());
    let members = answer.form().or_else(|| answer.object()).filter(|_| answer.is_success()).ok_or_else(bad)?;
    let text = |name: &str| members.get(name).and_then(Value::as_str);
    let is_whole = text("oauth_token").is_some_and(is_fit)
        && text("oauth_token_secret").is_some_and(|secret| secret.len() <= super::MAX_TOKEN_BYTES);
    if is_whole { Ok(members) } else { Err(bad()) }
}
