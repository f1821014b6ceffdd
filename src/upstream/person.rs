//! Asking a provider about a person: user info and every further request of the entry, and what comes of the answers.

use futures_util::future::try_join_all;
use reqwest::Method;
use serde_json::{Map, Value};

use super::outbound::{self, Body, Call};
use super::token_endpoint::filled;
use super::{Provider, Upstream, keys, oauth1, quirk, refuse};
use crate::protocol::OAuthError;
use crate::protocol::profile::Profile;
use crate::protocol::provider::{
    self, Answer, Format, ProfileRequest, Protocol, RequestRule, Template, TokenPlace, Variables, template,
};

/// What is known before the provider is asked about the person. No `Debug`: it holds tokens.
#[derive(Clone, Default)]
pub(super) struct Known {
    /// What the token endpoint answered.
    pub token_answer: Map<String, Value>,
    /// The claims of a verified ID token.
    pub id_token: Map<String, Value>,
    /// What the browser, or the application, brought from there. Nobody vouches for it.
    pub callback: Map<String, Value>,
    /// What the browser set out with.
    pub request: Map<String, Value>,
    /// The secret of an OAuth 1.0a token. No expression reads it.
    pub token_secret: Option<String>,
}

/// What goes along with every request about the person.
#[derive(Clone, Copy)]
struct Token<'a> {
    text: &'a str,
    /// OAuth 1.0a: with it requests are signed.
    secret: Option<&'a str>,
    now: i64,
}

/// A person, and the answers that say so.
pub(super) struct Person {
    pub profile: Profile,
    pub answer: Answer,
}

impl Known {
    /// What every expression may read, beside the answers about the person.
    fn members(&self, provider: &Provider) -> Vec<(String, Value)> {
        let object = |name: &str, members: &Map<String, Value>| (name.to_owned(), Value::Object(members.clone()));
        vec![
            object("token_answer", &self.token_answer),
            object("id_token", &self.id_token),
            object("callback", &self.callback),
            object("request", &self.request),
            ("settings".to_owned(), provider.shown_settings()),
        ]
    }

    /// The same for a template, with the access token.
    pub fn answer(&self, provider: &Provider, token: &str) -> Answer {
        let token = ("access_token".to_owned(), Value::String(token.to_owned()));
        Answer::new(Map::new(), self.members(provider).into_iter().chain([token]))
    }
}

impl Upstream {
    /// Who it is whose access token this is, as the provider tells.
    pub(super) async fn person(&self, provider: &Provider, token: &str, known: &Known) -> Result<Person, OAuthError> {
        let entry = &provider.entry;
        let userinfo = self.userinfo_url(provider).await?;
        let now_or_later = |template: &Template| !template.needs_an_answer();
        let (at_once, later): (Vec<_>, Vec<_>) = entry
            .profile
            .iter()
            .filter(|request| request.only_with.as_ref().is_none_or(|setting| provider.has_value(setting)))
            .partition(|request| now_or_later(&request.url));
        let before = known.answer(provider, token);
        let with = Token { text: token, secret: known.token_secret.as_deref(), now: self.clock.now() };
        let early = match &userinfo {
            Some(Userinfo::Template(template)) if !now_or_later(template) => None,
            early => early.as_ref(),
        };
        let further = try_join_all(at_once.iter().map(|request| self.further(provider, request, with, &before)));
        let (root, mut named) = tokio::try_join!(self.root(provider, early, with, &before), further)?;
        let mut root = root.unwrap_or_default();
        let so_far = |root: &Map<String, Value>, named: &[(String, Value)]| {
            let token = ("access_token".to_owned(), Value::String(token.to_owned()));
            let known = known.members(provider).into_iter().chain([token]);
            Answer::new(root.clone(), named.iter().cloned().chain(known))
        };
        if early.is_none() && userinfo.is_some() {
            let answer = so_far(&root, &named);
            root = self.root(provider, userinfo.as_ref(), with, &answer).await?.unwrap_or_default();
        }
        for request in later {
            let answer = so_far(&root, &named);
            named.push(self.further(provider, request, with, &answer).await?);
        }
        // A request that was not made is null, also where the root has a member of its name.
        let missing = entry.profile.iter().filter(|request| !named.iter().any(|(name, _)| *name == request.name));
        let missing: Vec<_> = missing.map(|request| (request.name.clone(), Value::Null)).collect();
        named.extend(missing);
        one_subject(provider, &known.id_token, &root)?;
        // What user info says goes over what the ID token says: it is newer.
        let mut members = known.id_token.clone();
        members.extend(root);
        let answer = Answer::new(members, named.into_iter().chain(known.members(provider)));
        person_of(provider, answer)
    }

    /// What is known without asking: the claims of an ID token, or the answer of the token endpoint.
    pub(super) fn person_of_known(&self, provider: &Provider, known: &Known) -> Result<Person, OAuthError> {
        let unasked = provider.entry.profile.iter().map(|request| (request.name.clone(), Value::Null));
        let members = unasked.chain(known.members(provider));
        person_of(provider, Answer::new(known.id_token.clone(), members))
    }

    /// Where user info is; `None` where the entry has none and no discovery document does.
    async fn userinfo_url<'a>(&self, provider: &'a Provider) -> Result<Option<Userinfo<'a>>, OAuthError> {
        if let Some(template) = &provider.entry.endpoints.userinfo {
            return Ok(Some(Userinfo::Template(template)));
        }
        if provider.discovery_url().is_none() {
            return Ok(None);
        }
        let found = keys::discovery(&self.outbound, provider, self.clock.now()).await;
        let document = found.map_err(|error| error.refusal(provider))?;
        Ok(document.userinfo_endpoint.clone().map(Userinfo::Discovered))
    }

    /// Whether user info or any other request about the person can be made.
    pub(super) async fn can_ask(&self, provider: &Provider) -> Result<bool, OAuthError> {
        Ok(!provider.entry.profile.is_empty() || self.userinfo_url(provider).await?.is_some())
    }

    async fn root(
        &self,
        provider: &Provider,
        userinfo: Option<&Userinfo<'_>>,
        token: Token<'_>,
        before: &Answer,
    ) -> Result<Option<Map<String, Value>>, OAuthError> {
        let variables = provider.variables(token.text, before);
        let url = match userinfo {
            None => return Ok(None),
            Some(Userinfo::Template(template)) => provider.endpoint(template, &variables)?,
            Some(Userinfo::Discovered(url)) => url.clone(),
        };
        let rule = &provider.entry.userinfo;
        let answer = self.ask(provider, about_person(provider, rule, url, &variables, token)?).await?;
        let value = match quirk::read(provider, &answer, self.clock.now())? {
            Some(value) => value,
            None => accepted(provider, rule, &answer)?,
        };
        match value {
            Value::Object(members) => Ok(Some(members)),
            list @ Value::Array(_) if provider.entry.claims.uid.source().contains("list") => {
                Ok(Some(Map::from_iter([("list".to_owned(), list)])))
            }
            text @ Value::String(_) if rule.answer_header.is_some() => {
                Ok(Some(Map::from_iter([("answer_header".to_owned(), text)])))
            }
            _ => Err(refuse::bad_answer(provider, answer.excerpt())),
        }
    }

    async fn further(
        &self,
        provider: &Provider,
        request: &ProfileRequest,
        token: Token<'_>,
        before: &Answer,
    ) -> Result<(String, Value), OAuthError> {
        let variables = provider.variables(token.text, before);
        let nothing = |request: &ProfileRequest| (request.name.clone(), Value::Null);
        let url = match provider.endpoint(&request.url, &variables) {
            // What it would ask about is not there.
            Err(_) if request.optional => return Ok(nothing(request)),
            url => url?,
        };
        let answer = self.ask(provider, about_person(provider, &request.rule, url, &variables, token)?).await?;
        if request.membership && !answer.exhausted && matches!(answer.status, 302 | 401 | 403 | 404) {
            let sentence = format!("this account of {} is not a member there", provider.title());
            return Err(refuse::not_allowed(provider, &sentence).with_cause(answer.excerpt()));
        }
        if request.optional && !answer.exhausted && matches!(answer.status, 401 | 403 | 404) {
            return Ok(nothing(request));
        }
        if request.membership && answer.is_success() && answer.body.is_empty() {
            return Ok((request.name.clone(), Value::Bool(true)));
        }
        Ok((request.name.clone(), accepted(provider, &request.rule, &answer)?))
    }

    pub(super) async fn ask(&self, provider: &Provider, call: Call) -> Result<outbound::Answer, OAuthError> {
        self.outbound.call(&provider.lane, call).await.map_err(|failure| refuse::failed(provider, failure))
    }
}

enum Userinfo<'a> {
    Template(&'a Template),
    Discovered(String),
}

/// OpenID Connect Core §5.3.2: user info of another subject must not be used.
fn one_subject(
    provider: &Provider,
    id_token: &Map<String, Value>,
    userinfo: &Map<String, Value>,
) -> Result<(), OAuthError> {
    match (id_token.get("sub"), userinfo.get("sub")) {
        (Some(one), Some(other)) if one != other => Err(refuse::two_people(provider)),
        _ => Ok(()),
    }
}

/// The person that the answers describe, if they meet what the entry demands.
pub(super) fn person_of(provider: &Provider, answer: Answer) -> Result<Person, OAuthError> {
    let profile = provider.entry.claims.profile(&answer, &provider.entry.extra);
    let profile = profile.map_err(|error| refuse::profile_incomplete(provider, error.to_string()))?;
    let unmet = provider.entry.require.iter().find(|requirement| !requirement.that.is_true(&answer));
    if let Some(unmet) = unmet {
        return Err(refuse::not_allowed(provider, &unmet.otherwise));
    }
    Ok(Person { profile, answer })
}

/// A request about the person, with the token where the entry wants it.
fn about_person(
    provider: &Provider,
    rule: &RequestRule,
    url: String,
    variables: &Variables<'_>,
    token: Token<'_>,
) -> Result<Call, OAuthError> {
    let place = &provider.entry.access_token;
    let mut headers = provider.headers(variables);
    let unfilled = |error: provider::NothingThere| refuse::profile_incomplete(provider, error.to_string());
    headers.extend(filled(&rule.headers, variables).map_err(unfilled)?);
    let body = match (&rule.json, &rule.form) {
        (Some(json), _) => Body::json(filled(json, variables).map_err(unfilled)?),
        (None, Some(form)) => Body::Form(filled(form, variables).map_err(unfilled)?),
        (None, None) => Body::None,
    };
    let mut call = Call { headers, secrets: provider.secrets(variables.token), ..Call::get(url) };
    if rule.method == Some(provider::Method::Post) || rule.json.is_some() || rule.form.is_some() {
        call.method = Method::POST;
        call.body = body;
    }
    if provider.protocol() == Protocol::Oauth1 {
        // The signature is over the final URL and form, so it comes last.
        call.secrets.extend(token.secret.map(str::to_owned));
        oauth1::sign(provider, &mut call, token.secret.map(|secret| (token.text, secret)), &[], token.now)?;
        return Ok(call);
    }
    if provider.protocol().has_codes() || provider.protocol() == Protocol::Signed {
        with_token(place, &mut call, variables.token);
    }
    quirk::sign(provider, &mut call, variables.token);
    Ok(call)
}

/// Puts the token where the entry wants it.
pub(super) fn with_token(rule: &provider::AccessTokenRule, call: &mut Call, token: &str) {
    if matches!(rule.place, TokenPlace::Header | TokenPlace::Both) {
        let (name, value) = match (&rule.name, rule.place) {
            (Some(name), TokenPlace::Header) => (name.clone(), token.to_owned()),
            _ => ("authorization".to_owned(), format!("{} {token}", rule.scheme)),
        };
        call.headers.push((name, value));
    }
    if matches!(rule.place, TokenPlace::Query | TokenPlace::Both) {
        call.url = template::with_query(&call.url, rule.parameter(), token);
    }
    if rule.place == TokenPlace::Body {
        call.method = Method::POST;
        let field = (rule.parameter().to_owned(), token.to_owned());
        match &mut call.body {
            Body::Form(fields) => fields.push(field),
            body => *body = Body::Form(vec![field]),
        }
    }
}

/// What an answer says that is neither a refusal nor an outage.
pub(super) fn accepted(
    provider: &Provider,
    rule: &RequestRule,
    answer: &outbound::Answer,
) -> Result<Value, OAuthError> {
    if !answer.is_success() {
        return Err(refusal(provider, answer));
    }
    if let Some(name) = &rule.answer_header {
        let value = answer.header(name).map(|text| Value::String(text.to_owned()));
        return value.ok_or_else(|| refuse::bad_answer(provider, format!("an answer without the header {name}")));
    }
    let value = match rule.format {
        Format::Json => answer.json(),
        Format::Form => answer.form().map(Value::Object),
        Format::Xml => answer.xml(),
    };
    let value = value.ok_or_else(|| refuse::bad_answer(provider, answer.excerpt()))?;
    if is_refusal(provider, &value) {
        return Err(refusal(provider, answer));
    }
    Ok(value)
}

/// Some refuse with status 200.
fn is_refusal(provider: &Provider, value: &Value) -> bool {
    let Value::Object(members) = value else { return false };
    match &provider.entry.errors.refused {
        Some(refused) => refused.is_true(&Answer::new(members.clone(), [])),
        None => members.get("error").is_some_and(|error| error.is_string() || error.is_object()),
    }
}

/// What a refusal at user info means.
fn refusal(provider: &Provider, answer: &outbound::Answer) -> OAuthError {
    let rules = &provider.entry.errors;
    let means = answer.meaning();
    let excerpt = answer.excerpt();
    if answer.exhausted || means(&rules.busy) {
        return refuse::provider_down(provider, excerpt);
    }
    if means(&rules.expired) {
        return refuse::token_expired(provider);
    }
    if means(&rules.misconfigured) {
        return refuse::misconfigured(provider, excerpt);
    }
    match answer.status {
        200..300 | 400 | 401 | 403 | 404 => refuse::token_rejected(provider, excerpt),
        500.. => refuse::provider_down(provider, excerpt),
        _ => refuse::bad_answer(provider, excerpt),
    }
}
