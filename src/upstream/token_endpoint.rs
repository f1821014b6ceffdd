//! The token endpoint of a provider: a code redeemed, a token refreshed, a token ended (RFC 6749 §4.1.3 and §6, RFC 7009).

use reqwest::Method;
use serde_json::{Map, Value};

use super::outbound::{Answer, Body, Call};
use super::person::Known;
use super::{Provider, ProviderTokens, Upstream, keys, quirk, refuse};
use crate::protocol::OAuthError;
use crate::protocol::provider::{self, BodyForm, ClientAuth, Expression, RefreshBy, RevokeBy, Variables, template};

/// What the token endpoint gave. No `Debug`: it holds tokens.
pub(super) struct Granted {
    pub tokens: ProviderTokens,
    /// All of its answer, for the claims.
    pub answer: Map<String, Value>,
}

/// What came of a code that was made up.
pub(super) struct Tried {
    pub answer: Answer,
    /// RFC 6749 §5.2's, or one of the provider's own.
    pub word: String,
    /// What it means.
    pub refusal: OAuthError,
}

/// Parameters of the token endpoint, before the entry renames or omits them.
pub(super) type Fields = Vec<(String, String)>;

impl Upstream {
    /// Redeems a code with our own credentials. That the provider does proves that it was made for us.
    pub(super) async fn redeem(
        &self,
        provider: &Provider,
        code: &str,
        redirect_uri: Option<&str>,
        code_verifier: Option<&str>,
        known: &Known,
    ) -> Result<Granted, OAuthError> {
        let mut fields = vec![("grant_type".to_owned(), "authorization_code".to_owned()), ("code".into(), code.into())];
        fields.extend(redirect_uri.map(|uri| ("redirect_uri".to_owned(), uri.to_owned())));
        fields.extend(code_verifier.map(|verifier| ("code_verifier".to_owned(), verifier.to_owned())));
        let further = quirk::code_fields(provider, known)?;
        fields.extend(further.iter().cloned());
        let context = known.answer(provider, "");
        let call = self.redemption(provider, &context, fields, [Some(code), code_verifier]).await?;
        let granted = self.granted(provider, call, refuse::code_rejected).await?;
        quirk::check_token_answer(provider, &further, &granted.answer)?;
        Ok(granted)
    }

    /// What the provider says to a code that it never gave: by that one sees whether it knows us.
    pub(super) async fn try_code(&self, provider: &Provider, redirect_uri: &str) -> Result<Tried, OAuthError> {
        let (code, verifier) = ("vestibule-made-this-code-up", "vestibule-made-this-verifier-up-for-a-test-of-it");
        let mut fields = vec![("grant_type".to_owned(), "authorization_code".to_owned()), ("code".into(), code.into())];
        fields.push(("redirect_uri".into(), redirect_uri.into()));
        if provider.entry.authorize.pkce != provider::PkceMethod::Off {
            fields.push(("code_verifier".into(), verifier.into()));
        }
        // What a callback would bring beside the code is made up by nobody.
        fields.extend(quirk::code_fields(provider, &Known::default()).unwrap_or_default());
        let context = Known::default().answer(provider, "");
        let call = self.redemption(provider, &context, fields, [Some(code), None]).await?;
        let answer = self.ask(provider, call).await?;
        let members = answer.object().or_else(|| answer.form());
        let word = members.as_ref().and_then(|members| members.get("error")).and_then(Value::as_str);
        let word = word.unwrap_or_default().to_owned();
        let refusal = refusal(provider, &answer, members.as_ref(), refuse::code_rejected);
        Ok(Tried { answer, word, refusal })
    }

    /// A call that redeems a code.
    async fn redemption(
        &self,
        provider: &Provider,
        context: &provider::Answer,
        fields: Fields,
        secrets: [Option<&str>; 2],
    ) -> Result<Call, OAuthError> {
        let (url, auth) = self.token_endpoint(provider, &provider.variables("", context)).await?;
        let mut call = self.token_call(provider, url, auth, provider.entry.token.body, fields, context)?;
        call.secrets.extend(secrets.into_iter().flatten().map(str::to_owned));
        Ok(call)
    }

    /// What these tokens are renewed by.
    ///
    /// # Errors
    /// `token_expired`: there is nothing.
    pub fn renewable<'t>(&self, provider: &Provider, tokens: &'t ProviderTokens) -> Result<&'t str, OAuthError> {
        let by = match provider.entry.refresh.by {
            RefreshBy::RefreshToken => tokens.refresh_token.as_deref(),
            RefreshBy::AccessToken => tokens.access_token.as_deref(),
            RefreshBy::Nothing => None,
        };
        by.ok_or_else(|| refuse::cannot_be_refreshed(provider))
    }

    /// A fresh access token (RFC 6749 §6). What the answer does not say anew stays as it was.
    ///
    /// # Errors
    /// `token_rejected`: the provider ended it, and the person must sign in again. The others as [`Upstream::identify`].
    pub async fn refresh(&self, provider: &Provider, tokens: &ProviderTokens) -> Result<ProviderTokens, OAuthError> {
        let rule = &provider.entry.refresh;
        let by = self.renewable(provider, tokens)?;
        let kept = Map::from_iter(tokens.kept.clone());
        let context = Known { token_answer: kept, ..Known::default() }.answer(provider, by);
        let variables = provider.variables(by, &context);
        let unfilled = |error: provider::NothingThere| refuse::misconfigured(provider, error.to_string());
        let further = quirk::refresh_fields(provider, tokens)?;
        let mut fields = match rule.params.is_empty() {
            true => vec![("grant_type".to_owned(), "refresh_token".to_owned()), ("refresh_token".into(), by.into())],
            false => filled(&rule.params, &variables).map_err(unfilled)?,
        };
        fields.extend(further.iter().cloned());
        let (url, auth) = match &rule.url {
            Some(url) => {
                let auth = rule.auth.or(provider.entry.token.auth).unwrap_or(ClientAuth::ClientSecretPost);
                (provider.endpoint(url, &variables)?, auth)
            }
            None => {
                let (url, auth) = self.token_endpoint(provider, &variables).await?;
                (url, rule.auth.unwrap_or(auth))
            }
        };
        let body = rule.body.unwrap_or(provider.entry.token.body);
        let mut call = self.token_call(provider, url, auth, body, fields, &context)?;
        call.secrets.extend(provider.secrets(by));
        let granted = self.granted(provider, call, refuse::refresh_rejected).await?;
        quirk::check_token_answer(provider, &further, &granted.answer)?;
        let fresh = granted.tokens;
        Ok(ProviderTokens {
            refresh_token: fresh.refresh_token.or_else(|| tokens.refresh_token.clone()),
            id_token: fresh.id_token.or_else(|| tokens.id_token.clone()),
            scope: fresh.scope.or_else(|| tokens.scope.clone()),
            kept: tokens.kept.clone(),
            ..fresh
        })
    }

    /// Ends the tokens at the provider, where its entry says how. `false`: it does not.
    ///
    /// # Errors
    /// What the provider refuses, or that it cannot be reached.
    pub async fn revoke(&self, provider: &Provider, tokens: &ProviderTokens) -> Result<bool, OAuthError> {
        let Some(rule) = &provider.entry.revoke else { return Ok(false) };
        let token = match rule.by {
            RevokeBy::RefreshToken => tokens.refresh_token.as_deref().or(tokens.access_token.as_deref()),
            RevokeBy::AccessToken => tokens.access_token.as_deref(),
        };
        let Some(token) = token else { return Ok(false) };
        let answer = Known::default().answer(provider, token);
        let secret = quirk::credentials(provider, self.clock.now())?.secret.unwrap_or_default();
        let variables = Variables { client_secret: &secret, ..provider.variables(token, &answer) };
        let unfilled = |error: provider::NothingThere| refuse::misconfigured(provider, error.to_string());
        let mut headers = provider.headers(&variables);
        headers.extend(filled(&rule.headers, &variables).map_err(unfilled)?);
        let method = match rule.method {
            provider::Method::Get => Method::GET,
            provider::Method::Post => Method::POST,
            provider::Method::Delete => Method::DELETE,
        };
        let body = match (&rule.json, &rule.form) {
            (Some(json), _) => Body::json(filled(json, &variables).map_err(unfilled)?),
            (None, Some(form)) => Body::Form(filled(form, &variables).map_err(unfilled)?),
            (None, None) if method == Method::POST => Body::Form(vec![("token".into(), token.into())]),
            (None, None) => Body::None,
        };
        let basic = || (provider.client_id().to_owned(), secret.clone());
        let url = provider.endpoint(&rule.url, &variables)?;
        let secrets = provider.secrets(token);
        let call = Call { method, url, headers, basic: rule.basic.then(basic), body, secrets };
        let answer = self.ask(provider, call).await?;
        match answer.is_success() {
            true => Ok(true),
            false if answer.status >= 500 => Err(refuse::provider_down(provider, answer.excerpt())),
            false => Err(refuse::token_rejected(provider, answer.excerpt())),
        }
    }

    /// Where the token endpoint is, and how our credentials go there.
    async fn token_endpoint(
        &self,
        provider: &Provider,
        variables: &Variables<'_>,
    ) -> Result<(String, ClientAuth), OAuthError> {
        let entry = &provider.entry;
        if let Some(template) = &entry.endpoints.token {
            let auth = entry.token.auth.unwrap_or(ClientAuth::ClientSecretPost);
            return Ok((provider.endpoint(template, variables)?, auth));
        }
        let found = keys::discovery(&self.outbound, provider, self.clock.now()).await;
        let document = found.map_err(|error| error.refusal(provider))?;
        // OpenID Connect Discovery §3: Basic is what a document means that does not say.
        let offers_basic = document
            .token_endpoint_auth_methods_supported
            .as_ref()
            .is_none_or(|methods| methods.iter().any(|method| method == "client_secret_basic"));
        let offered = if offers_basic { ClientAuth::ClientSecretBasic } else { ClientAuth::ClientSecretPost };
        let missing = || refuse::misconfigured(provider, "no token endpoint is known".into());
        Ok((document.token_endpoint.clone().ok_or_else(missing)?, entry.token.auth.unwrap_or(offered)))
    }

    fn token_call(
        &self,
        provider: &Provider,
        url: String,
        auth: ClientAuth,
        body: BodyForm,
        mut fields: Fields,
        context: &provider::Answer,
    ) -> Result<Call, OAuthError> {
        let rule = &provider.entry.token;
        let variables = provider.variables("", context);
        let unfilled = |error: provider::NothingThere| refuse::misconfigured(provider, error.to_string());
        let credentials = quirk::credentials(provider, self.clock.now())?;
        let secret = credentials.secret.as_deref();
        // A public client at the provider has no secret, and then its id goes into the body (RFC 6749 §3.2.1).
        let by_header = matches!(auth, ClientAuth::ClientSecretBasic | ClientAuth::Both);
        let basic = secret.filter(|_| by_header).map(|secret| (provider.client_id().to_owned(), secret.to_owned()));
        if basic.is_none() || auth == ClientAuth::Both {
            fields.push(("client_id".into(), provider.client_id().into()));
            fields
                .extend(secret.filter(|_| auth != ClientAuth::None).map(|text| ("client_secret".into(), text.into())));
        }
        fields.extend(credentials.fields);
        fields.retain(|(name, _)| !rule.omit.contains(name));
        for (name, _) in &mut fields {
            if let Some(other) = rule.names.get(name) {
                name.clone_from(other);
            }
        }
        fields.extend(filled(&rule.params, &variables).map_err(unfilled)?);
        let mut url = url;
        for (name, value) in filled(&rule.query, &variables).map_err(unfilled)? {
            url = template::with_query(&url, &name, &value);
        }
        let in_query =
            |url: String| fields.iter().fold(url, |url, (name, value)| template::with_query(&url, name, value));
        let (method, url, body) = match body {
            BodyForm::Query => (Method::GET, in_query(url), Body::None),
            BodyForm::Doubled => (Method::POST, in_query(url), Body::Form(fields)),
            BodyForm::Form => (Method::POST, url, Body::Form(fields)),
            BodyForm::Json => {
                let members = fields.into_iter().map(|(name, value)| (name, Value::String(value)));
                (Method::POST, url, Body::Json(Value::Object(members.collect())))
            }
        };
        // Some answer in a form unless plain JSON is asked for.
        let mut headers = provider.headers(&variables);
        headers.retain(|(name, _)| !name.eq_ignore_ascii_case("accept"));
        headers.extend(filled(&rule.headers, &variables).map_err(unfilled)?);
        Ok(Call { method, url, headers, basic, body, secrets: provider.secrets("") })
    }

    pub(super) async fn granted(
        &self,
        provider: &Provider,
        call: Call,
        rejected: fn(&Provider, String) -> OAuthError,
    ) -> Result<Granted, OAuthError> {
        let answer = self.ask(provider, call).await?;
        let rule = &provider.entry.token;
        let members = answer.object().or_else(|| answer.form());
        let is_error = |value: Option<&Value>| value.is_some_and(|error| !error.is_null());
        let refused = members.as_ref().is_some_and(|members| match &provider.entry.errors.refused {
            Some(refused) => refused.is_true(&provider::Answer::new(members.clone(), [])),
            None => false,
        } || is_error(members.get("error")));
        if refused || !answer.is_success() {
            return Err(refusal(provider, &answer, members.as_ref(), rejected));
        }
        // The body holds tokens, so none of it goes to the log.
        let bad = || refuse::bad_answer(provider, "the token endpoint's answer has no token".into());
        let mut members = members.ok_or_else(bad)?;
        if let Some(inner) = &rule.answer {
            let Some(Value::Object(inner)) = inner.value(&provider::Answer::new(members, [])) else {
                return Err(bad());
            };
            members = inner;
        }
        let read = provider::Answer::new(members.clone(), []);
        let text =
            |name: &str| members.get(name).and_then(Value::as_str).filter(|text| !text.is_empty()).map(str::to_owned);
        let at = |path: &Option<Expression>, name: &str| match path {
            Some(path) => path.plain(&read),
            None => text(name),
        };
        let lives = match &rule.expires_in {
            Some(path) => path.number(&read),
            None => members.get("expires_in").and_then(|value| value.as_i64().or_else(|| value.as_str()?.parse().ok())),
        };
        let tokens = ProviderTokens {
            access_token: at(&rule.access_token, "access_token"),
            refresh_token: text("refresh_token"),
            id_token: text("id_token"),
            token_type: text("token_type"),
            scope: text("scope"),
            expires_at: lives.map(|seconds| self.clock.now().saturating_add(seconds)),
            ..ProviderTokens::default()
        };
        // It goes into a header or a URL next, and came from outside like any other token.
        let fit = |token: &Option<String>| token.as_deref().is_none_or(super::is_fit);
        if !fit(&tokens.access_token) || !fit(&tokens.id_token) || tokens.is_empty() {
            return Err(bad());
        }
        Ok(Granted { tokens, answer: members })
    }
}

/// Templates as fields. One that comes out empty is not sent.
pub(super) fn filled(
    templates: &std::collections::BTreeMap<String, provider::Template>,
    variables: &Variables<'_>,
) -> Result<Fields, provider::NothingThere> {
    let all = templates.iter().map(|(name, value)| Ok((name.clone(), value.plain(variables)?)));
    all.filter(|field| field.as_ref().map_or(true, |(_, value)| !value.is_empty())).collect()
}

/// What a refusal at the token endpoint means (RFC 6749 §5.2). Some come with status 200.
fn refusal(
    provider: &Provider,
    answer: &Answer,
    members: Option<&Map<String, Value>>,
    rejected: fn(&Provider, String) -> OAuthError,
) -> OAuthError {
    let rules = &provider.entry.errors;
    let means = answer.meaning();
    let error = members.and_then(|members| members.get("error"));
    let word = error.and_then(Value::as_str).unwrap_or_default();
    // Where errors have numbers, the entry knows those that are our own fault.
    let is_numbered = rules.misconfigured.is_some() && error.is_some_and(Value::is_number);
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
        ("", 401 | 403) if !is_numbered => refuse::misconfigured(provider, excerpt),
        (_, 200..300 | 400..500) => rejected(provider, excerpt),
        _ => refuse::bad_answer(provider, excerpt),
    }
}
