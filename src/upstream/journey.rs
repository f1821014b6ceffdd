//! A browser's way to a provider and back: every protocol departs and arrives through here.
//!
//! What must match on the way back (`state`, nonce, PKCE verifier, and what a protocol keeps of its own) travels sealed with
//! the browser; the caller has compared the state before [`Upstream::arrive`].

use std::fmt;

use serde_json::{Map, Value};

use super::by_code::Redemption;
use super::person::Known;
use super::{Identified, Provider, Upstream, keys, oauth1, openid2, quirk, refuse};
use crate::protocol::provider::{PkceMethod, Protocol, template};
use crate::protocol::{OAuthError, Params, TokenDigest};

/// What goes along with the browser, for one sign-in. No `Debug`: the state binds the browser.
#[derive(Clone, Copy)]
pub struct Departure<'a> {
    /// Where the provider sends the browser back to.
    pub redirect_uri: &'a str,
    /// Comes back with it.
    pub state: &'a str,
    /// Comes back in the ID token.
    pub nonce: &'a str,
    /// S256 of the verifier with which the code is redeemed.
    pub code_challenge: &'a str,
    /// What the browser brought (`openid_identifier`, `shop`, `idp` …).
    pub request: &'a Params,
}

/// Where the browser goes. No `Debug`: the address binds the browser.
pub struct Going {
    /// The address.
    pub url: String,
    /// What the protocol must know again on the way back.
    pub kept: Value,
}

/// What came back. No `Debug`: it holds codes.
pub struct Return<'a> {
    /// The parameters.
    pub params: &'a Params,
    /// What the browser had brought at the beginning.
    pub request: &'a Map<String, Value>,
    /// As it was at the departure.
    pub redirect_uri: &'a str,
    /// As it was at the departure.
    pub state: &'a str,
    /// As it was at the departure.
    pub nonce: &'a str,
    /// What the challenge was made of.
    pub code_verifier: &'a str,
    /// As [`Going::kept`].
    pub kept: &'a Value,
    /// The browser's cookies that a provider's script has set, by name.
    pub cookies: &'a (dyn Fn(&str) -> Option<String> + Sync),
}

/// What came though no sign-in of ours asked for it. No `Debug`: it holds tokens.
pub struct Unasked<'a> {
    /// The parameters.
    pub params: &'a Params,
    /// As [`Return::cookies`].
    pub cookies: &'a (dyn Fn(&str) -> Option<String> + Sync),
}

/// How the person, or the provider, ended it. The word is told to the application and the person; nothing else is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Declined {
    /// The person said no.
    ByPerson,
    /// The provider could not or would not.
    ByProvider,
    /// The provider is down or busy.
    ForNow,
}

impl fmt::Debug for Going {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Going(hidden)")
    }
}

/// The names under which a state comes back: OAuth 2.0's, that of a redirect URI that holds it, SAML's.
pub(crate) const STATES: [&str; 3] = ["state", "redirect_state", "RelayState"];

/// Parameters that are the protocol's own, not the entry's (`callback`).
pub(super) const OWN: &[&str] =
    &["code", "state", "redirect_state", "iss", "session_state", "scope", "authuser", "prompt"];

/// Texts that hold a JSON object are read as one: Apple sends the name so, VK its device.
pub(super) fn members<'a>(params: impl Iterator<Item = (&'a str, &'a str)>) -> Map<String, Value> {
    let value = |text: &str| match text.starts_with('{') {
        true => serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.to_owned())),
        false => Value::String(text.to_owned()),
    };
    params.map(|(name, text)| (name.to_owned(), value(text))).collect()
}

/// Parameters of a conversion that are the grant's own.
const OF_THE_GRANT: &[&str] =
    &["grant_type", "client_id", "client_secret", "backend", "token", "code", "redirect_uri", "code_verifier", "nonce"];

/// What of a request's parameters the expressions of an entry find under `callback` or `request`.
pub(crate) fn beside(params: &Params) -> Map<String, Value> {
    members(params.iter().filter(|(name, _)| !OWN.contains(name) && !OF_THE_GRANT.contains(name)))
}

impl Provider {
    /// The redirect URI of one journey. Where no `state` comes back, it travels in it as `redirect_state`.
    pub(super) fn full_redirect_uri(&self, redirect_uri: &str, state: &str) -> String {
        match self.entry.authorize.no_state || !self.protocol().has_codes() {
            true => template::with_query(redirect_uri, "redirect_state", state),
            false => redirect_uri.to_owned(),
        }
    }

    /// Whether no `state` can come back, because the operator registered one fixed callback: the request token binds the
    /// browser then, being secret and sealed with it, and [`Upstream::arrive`] compares it.
    pub fn is_bound_by_token(&self) -> bool {
        self.protocol() == Protocol::Oauth1 && self.entry.oauth1.request_token_params.contains_key("oauth_callback")
    }

    /// The parameters of an answer as everything else reads them: some wrap them up.
    ///
    /// # Errors
    /// 400: they contradict one another.
    pub fn unpacked(&self, params: Params) -> Result<Params, OAuthError> {
        quirk::unpacked(self, params)
    }

    /// Whether this is an answer that no sign-in of ours began, and is taken nevertheless.
    pub fn is_unasked(&self, params: &Params) -> bool {
        let has_state = || STATES.iter().any(|name| params.get(name).is_some());
        self.starts_there() && (quirk::only_starts_there(&self.entry) || !has_state())
    }

    /// Whether an answer that no sign-in of ours began is a reason to begin one.
    pub fn begins_by(&self, params: &Params) -> bool {
        quirk::begins(self, params)
    }

    /// Whether the answer is still behind the `#`, where only a script in the browser sees it: the name under which it stands
    /// there, and goes into the query.
    pub fn in_fragment(&self, params: &Params) -> Option<&'static str> {
        quirk::in_fragment(self, params)
    }

    /// What a SAML identity provider is told of us; `None` for every other protocol.
    ///
    /// # Errors
    /// `provider_misconfigured`.
    pub fn metadata(&self, redirect_uri: &str) -> Result<Option<String>, OAuthError> {
        #[cfg(feature = "saml")]
        if self.protocol() == Protocol::Saml {
            let ours = super::saml::journey::service_provider(self);
            return ours.map(|ours| Some(ours.metadata(redirect_uri))).map_err(|why| refuse::misconfigured(self, why));
        }
        let _ = redirect_uri;
        Ok(None)
    }

    /// Whether what came back is a refusal: of the person's, or of the provider's.
    pub fn declined(&self, params: &Params) -> Option<Declined> {
        let own = match self.protocol() {
            Protocol::Oauth1 => oauth1::declined(params),
            Protocol::Openid2 => openid2::declined(params),
            _ => None,
        };
        if own.is_some() {
            return own;
        }
        let word = params.get("error").or_else(|| params.get("denied").map(|_| "access_denied"))?;
        Some(match word {
            "access_denied"
            | "user_denied"
            | "user_cancelled_login"
            | "user_cancelled_authorize"
            | "user_cancelled_authorization"
            | "cancelled"
            | "canceled"
            | "consent_required" => Declined::ByPerson,
            "temporarily_unavailable" | "server_error" => Declined::ForNow,
            _ => Declined::ByProvider,
        })
    }
}

impl Upstream {
    /// Where a browser is sent to sign in at a provider.
    ///
    /// # Errors
    /// The provider's addresses cannot be had, or what the browser brought is of no use.
    pub async fn depart(&self, provider: &Provider, going: &Departure<'_>) -> Result<Going, OAuthError> {
        match provider.protocol() {
            Protocol::Oauth2 | Protocol::Oidc => {
                if quirk::only_starts_there(&provider.entry) {
                    return Err(refuse::begins_there(provider));
                }
                let url = self.authorization_url(provider, going).await?;
                Ok(Going { url, kept: Value::Null })
            }
            #[cfg(feature = "saml")]
            Protocol::Saml => super::saml::journey::depart(self, provider, going),
            #[cfg(not(feature = "saml"))]
            Protocol::Saml => quirk::depart(provider, going),
            Protocol::Oauth1 => self.depart_with_request_token(provider, going).await,
            Protocol::Openid2 => self.depart_by_openid(provider, going).await,
            Protocol::Cas => self.depart_for_ticket(provider, going),
            Protocol::Signed | Protocol::Form => quirk::depart(provider, going),
        }
    }

    /// Who came back.
    ///
    /// # Errors
    /// As [`Upstream::identify`].
    pub async fn arrive(&self, provider: &Provider, back: &Return<'_>) -> Result<Identified, OAuthError> {
        match provider.protocol() {
            Protocol::Oauth2 | Protocol::Oidc => self.arrive_with_code(provider, back).await,
            #[cfg(feature = "saml")]
            Protocol::Saml => super::saml::journey::arrive(self, provider, back),
            #[cfg(not(feature = "saml"))]
            Protocol::Saml => quirk::arrive(self, provider, back).await,
            Protocol::Oauth1 => self.arrive_with_verifier(provider, back).await,
            Protocol::Openid2 => self.arrive_by_openid(provider, back).await,
            Protocol::Cas => self.arrive_with_ticket(provider, back).await,
            Protocol::Signed | Protocol::Form => quirk::arrive(self, provider, back).await,
        }
    }

    /// Who came by an answer that no sign-in of ours began. Only for a provider that [`Provider::starts_there`].
    ///
    /// # Errors
    /// As [`Upstream::identify`].
    pub async fn arrive_unasked(&self, provider: &Provider, came: &Unasked<'_>) -> Result<Identified, OAuthError> {
        match provider.starts_there() {
            true => quirk::arrive_unasked(self, provider, came).await,
            false => Err(refuse::not_begun_here(provider)),
        }
    }

    /// Marks what proves who somebody is as used, once it is known to be good.
    ///
    /// # Errors
    /// It was used before, as far as this process remembers; it must not be good for longer than that.
    pub(super) fn only_once(&self, provider: &Provider, proof: &str) -> Result<(), OAuthError> {
        let key = (provider.name().to_owned(), TokenDigest::of(proof));
        match self.used.entry(key).or_insert(()).is_fresh() {
            true => Ok(()),
            false => Err(refuse::stale_answer(provider)),
        }
    }

    async fn arrive_with_code(&self, provider: &Provider, back: &Return<'_>) -> Result<Identified, OAuthError> {
        // RFC 9207: an answer of another provider's is not this one's.
        if back.params.get("iss").is_some_and(|issuer| !provider.is_issuer(issuer)) {
            return Err(refuse::other_providers_answer(provider));
        }
        let code_name = provider.entry.authorize.code.as_deref().unwrap_or("code");
        let known = Known {
            callback: members(back.params.iter().filter(|(name, _)| !OWN.contains(name) && *name != code_name)),
            request: back.request.clone(),
            ..Known::default()
        };
        let code = back.params.get(code_name).ok_or_else(|| OAuthError::missing("code"))?;
        super::must_be_fit("code", code)?;
        let redirect_uri = provider.full_redirect_uri(back.redirect_uri, back.state);
        let sends_verifier = provider.entry.authorize.pkce != PkceMethod::Off;
        let redemption = Redemption {
            code,
            redirect_uri: Some(&redirect_uri),
            code_verifier: Some(back.code_verifier).filter(|_| sends_verifier),
            nonce: Some(back.nonce).filter(|_| provider.sends_nonce()),
            known,
        };
        self.by_code(provider, redemption).await
    }

    /// RFC 6749 §4.1.1, RFC 7636, OpenID Connect Core §3.1.2.1.
    async fn authorization_url(&self, provider: &Provider, going: &Departure<'_>) -> Result<String, OAuthError> {
        let entry = &provider.entry;
        let known = Known { request: members(going.request.iter()), ..Known::default() };
        let answer = known.answer(provider, "");
        let variables = provider.variables("", &answer);
        let endpoint = match &entry.endpoints.authorize {
            Some(template) => provider.endpoint(template, &variables)?,
            None => {
                let found = keys::discovery(&self.outbound, provider, self.clock.now()).await;
                let document = found.map_err(|error| error.refusal(provider))?;
                let missing = || refuse::misconfigured(provider, "no authorization endpoint is known".into());
                document.authorization_endpoint.clone().ok_or_else(missing)?
            }
        };
        let rule = &entry.authorize;
        let redirect_uri = provider.full_redirect_uri(going.redirect_uri, going.state);
        let scope = provider.scope().join(&entry.scope.separator);
        let mut members: Vec<(&str, &str)> =
            vec![("response_type", "code"), ("client_id", provider.client_id()), ("redirect_uri", &redirect_uri)];
        if !rule.no_state {
            members.push(("state", going.state));
        }
        match rule.pkce {
            PkceMethod::Off => {}
            method => members.extend([
                ("code_challenge", going.code_challenge),
                ("code_challenge_method", if method == PkceMethod::S256 { "S256" } else { "s256" }),
            ]),
        }
        if provider.sends_nonce() {
            members.push(("nonce", going.nonce));
        }
        if !scope.is_empty() {
            members.push(("scope", &scope));
        }
        members.retain(|(name, _)| !rule.omit.iter().any(|omitted| omitted == name));
        let renamed = members.into_iter().map(|(name, value)| {
            let name = rule.names.get(name).map_or(name, String::as_str);
            (name.to_owned(), value.to_owned())
        });
        let mut all: Vec<(String, String)> = renamed.collect();
        all.extend(quirk::authorize_fields(provider, &redirect_uri));
        for (name, value) in &rule.params {
            // One that is made of what the browser did not bring is not sent.
            if let Ok(value) = value.plain(&variables)
                && !value.is_empty()
            {
                all.push((name.clone(), value));
            }
        }
        for (name, value) in &provider.settings.auth_extra_arguments {
            all.retain(|(own, _)| own != name);
            all.push((name.clone(), value.clone()));
        }
        // Those that look at the fragment compare the whole address with a pattern.
        if rule.fragment.is_some() {
            all.sort();
        }
        let mut url = reqwest::Url::parse(&endpoint)
            .map_err(|_| refuse::misconfigured(provider, "its authorization endpoint is no address".into()))?;
        url.query_pairs_mut().extend_pairs(all);
        url.set_fragment(rule.fragment.as_deref());
        Ok(url.to_string())
    }
}

impl Provider {
    /// Whether a nonce goes along and must come back.
    pub(super) fn sends_nonce(&self) -> bool {
        self.entry.authorize.nonce.unwrap_or(self.entry.takes_id_tokens())
    }

    /// What is asked for: the entry's and the operator's.
    pub(super) fn scope(&self) -> Vec<String> {
        let default = if self.settings.ignore_default_scope { &[] } else { self.entry.scope.default.as_slice() };
        let more = self.settings.scope.iter().filter(|word| !default.contains(word));
        default.iter().chain(more).cloned().collect()
    }
}
