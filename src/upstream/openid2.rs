//! OpenID Authentication 2.0, the relying party's side: who answers for an identifier, and whether an answer is theirs.
//!
//! Without associations: the provider is asked about its own answer (§11.4.2). An answer is taken once; that is remembered
//! by the caller ([`Identified::once`]), on every node.

use reqwest::{Method, Url};
use serde_json::{Value, json};

use super::journey::{Declined, Departure, Going, Return, members};
use super::outbound::{Body, Call};
use super::person::Known;
use super::{Identified, Provider, ProviderTokens, Upstream, refuse};
use crate::protocol::openid2::{self, Assertion, Document, Service, Target, Wanted};
use crate::protocol::provider::template;
use crate::protocol::{OAuthError, Params, TokenDigest};

/// How far an answer's time may be from ours, in seconds: the whole journey takes no longer.
const LEEWAY: i64 = 300;
/// How often somebody's page may lead elsewhere.
const MOST_REDIRECTS: usize = 5;

/// What a page says of an identifier, and where it was in the end: that is the identifier (§7.2).
struct Found {
    at: String,
    services: Vec<Service>,
}

/// Whether everything is there that the protocol needs.
///
/// # Errors
/// The key that is wrong.
pub(super) fn check(provider: &Provider) -> Result<(), String> {
    match provider.entry.openid2.identifier_prefix.as_deref() {
        Some(prefix) if openid2::normalized(prefix).is_none() => {
            Err("`openid2.identifier_prefix` is not the beginning of an address".into())
        }
        _ => Ok(()),
    }
}

/// Whether an answer says no (§10.2).
pub(super) fn declined(params: &Params) -> Option<Declined> {
    match params.get("openid.mode")? {
        "cancel" => Some(Declined::ByPerson),
        "setup_needed" | "error" => Some(Declined::ByProvider),
        _ => None,
    }
}

fn wanted(provider: &Provider) -> Wanted<'_> {
    let rule = &provider.entry.openid2;
    Wanted { attributes: &rule.attributes, registration: &rule.registration }
}

/// §9.2: the origin of where the browser comes back to.
fn realm(return_to: &str) -> Option<String> {
    Some(format!("{}/", Url::parse(return_to).ok()?.origin().ascii_serialization()))
}

impl Upstream {
    /// §7.3 and §9.
    pub(super) async fn depart_by_openid(
        &self,
        provider: &Provider,
        going: &Departure<'_>,
    ) -> Result<Going, OAuthError> {
        let identifier = self.identifier(provider, going)?;
        let found = self.discover(provider, identifier).await?;
        let nobody = || refuse::no_openid(provider, format!("{}: no OpenID 2.0 provider", found.at));
        let service = found.services.first().ok_or_else(nobody)?;
        if Url::parse(&service.endpoint).ok().is_none_or(|url| !matches!(url.scheme(), "http" | "https")) {
            return Err(nobody());
        }
        let (claimed, local) = match &service.target {
            Target::Anybody => (None, None),
            Target::Claimed { local_id } => (Some(found.at.as_str()), local_id.as_deref()),
        };
        let return_to = provider.full_redirect_uri(going.redirect_uri, going.state);
        let realm = realm(&return_to).unwrap_or_default();
        let fields = openid2::request(claimed, local, &return_to, &realm, wanted(provider));
        let further = provider.settings.auth_extra_arguments.iter();
        let fields = fields.into_iter().chain(further.map(|(name, value)| (name.clone(), value.clone())));
        let url = fields.fold(service.endpoint.clone(), |url, (name, value)| template::with_query(&url, &name, &value));
        let kept = json!({
            "endpoint": service.endpoint, "claimed": claimed, "local": local.or(claimed)
        });
        Ok(Going { url, kept })
    }

    /// §11.
    pub(super) async fn arrive_by_openid(
        &self,
        provider: &Provider,
        back: &Return<'_>,
    ) -> Result<Identified, OAuthError> {
        let now = self.clock.now();
        let return_to = provider.full_redirect_uri(back.redirect_uri, back.state);
        let rejected = |why: &str| refuse::assertion_rejected(provider, why);
        let assertion = Assertion::read(back.params, &return_to, now, LEEWAY);
        let assertion = assertion.map_err(|wrong| rejected(&wrong.to_string()))?;
        let kept = |name: &str| back.kept.get(name).and_then(Value::as_str);
        if kept("endpoint") != Some(assertion.endpoint) {
            return Err(rejected("somebody else than who was asked made it"));
        }
        if let Some(prefix) = &provider.entry.openid2.identifier_prefix
            && !assertion.claimed_id.starts_with(prefix.as_str())
        {
            return Err(rejected("the identifier is not one of this provider"));
        }
        // §11.2: whoever answers must be who the identifier itself names.
        let claimed = openid2::without_fragment(assertion.claimed_id);
        let was_asked = kept("claimed") == Some(claimed) && kept("local") == Some(assertion.identity);
        if !was_asked {
            let url = openid2::normalized(claimed).filter(|url| url.as_str() == claimed);
            let found =
                self.discover(provider, url.ok_or_else(|| rejected("the identifier is not an address"))?).await?;
            let speaks = |service: &Service| match &service.target {
                Target::Anybody => false,
                Target::Claimed { local_id } => {
                    service.endpoint == assertion.endpoint
                        && local_id.as_deref().unwrap_or(claimed) == assertion.identity
                }
            };
            if found.at != claimed || !found.services.iter().any(speaks) {
                return Err(rejected("who made it may not speak for this identifier"));
            }
        }
        self.confirm(provider, &assertion).await?;
        let claims = assertion.claims(wanted(provider));
        let known = Known { id_token: claims, request: back.request.clone(), ..Known::default() };
        let person = match self.can_ask(provider).await? {
            true => self.person(provider, "", &known).await?,
            false => self.person_of_known(provider, &known)?,
        };
        let proof = format!("openid2 {} {}", assertion.endpoint, assertion.nonce);
        // A copy is of now until its time is too far back.
        let once = Some((TokenDigest::of(&proof), now.saturating_add(2 * LEEWAY + 1)));
        Ok(Identified { profile: person.profile, tokens: ProviderTokens::default(), expires_at: None, once })
    }

    /// Whose identifier the sign-in begins with: the entry's, or what the person typed.
    fn identifier(&self, provider: &Provider, going: &Departure<'_>) -> Result<Url, OAuthError> {
        let text = match &provider.entry.openid2.identifier {
            Some(template) => {
                let known = Known { request: members(going.request.iter()), ..Known::default() };
                let answer = known.answer(provider, "");
                let variables = provider.variables("", &answer);
                let url = template.url(&variables);
                let url = url.map_err(|error| refuse::no_openid(provider, error.to_string()))?;
                let is_foreign = template.host_is_from_answer() && !provider.is_allowed_host(&url);
                match is_foreign {
                    true => return Err(refuse::no_openid(provider, "not one of `endpoints.hosts`".into())),
                    false => url,
                }
            }
            None => going.request.required("openid_identifier")?.to_owned(),
        };
        openid2::normalized(&text).ok_or_else(|| refuse::no_openid(provider, "not an address".into()))
    }

    /// §7.3. Every step goes through the guard of addresses, so nobody's page leads us into our own network.
    async fn discover(&self, provider: &Provider, identifier: Url) -> Result<Found, OAuthError> {
        let nobody = |why: &str| refuse::no_openid(provider, why.to_owned());
        let mut at = identifier.clone();
        // Where the identifier ended, once its page only says where the document is.
        let mut settled: Option<Url> = None;
        for _ in 0..=MOST_REDIRECTS {
            let accept = "application/xrds+xml, text/html;q=0.5, application/xhtml+xml;q=0.4";
            let headers = vec![("accept".to_owned(), accept.to_owned())];
            let answer = self.ask(provider, Call { headers, ..Call::get(at.to_string()) }).await?;
            let elsewhere = |place: &str| {
                let mut place = at.join(place).ok()?;
                place.set_fragment(None);
                matches!(place.scheme(), "http" | "https").then_some(place)
            };
            if matches!(answer.status, 301 | 302 | 303 | 307 | 308) {
                at = answer.header("location").and_then(elsewhere).ok_or_else(|| nobody("leads nowhere"))?;
                continue;
            }
            if answer.exhausted || answer.status >= 500 {
                return Err(refuse::provider_down(provider, answer.excerpt()));
            }
            if !answer.is_success() {
                return Err(refuse::no_openid(provider, answer.excerpt()));
            }
            let location = answer.header("x-xrds-location").filter(|_| settled.is_none());
            let document = match location.and_then(elsewhere) {
                Some(place) if place != at => Document::Elsewhere(place.into()),
                _ => openid2::read(&String::from_utf8_lossy(&answer.body)),
            };
            match document {
                Document::Services(services) => {
                    return Ok(Found { at: settled.unwrap_or(at).into(), services });
                }
                Document::Elsewhere(_) if settled.is_some() => return Err(nobody("leads in circles")),
                Document::Elsewhere(place) => {
                    let place = elsewhere(&place).ok_or_else(|| nobody("leads nowhere"))?;
                    settled = Some(std::mem::replace(&mut at, place));
                }
            }
        }
        Err(nobody("leads to too many places"))
    }

    /// §11.4.2: asks the provider whether the answer is its own.
    async fn confirm(&self, provider: &Provider, assertion: &Assertion<'_>) -> Result<(), OAuthError> {
        let headers = vec![("accept".to_owned(), "*/*".to_owned())];
        let body = Body::Form(assertion.question());
        let call = Call { method: Method::POST, headers, body, ..Call::get(assertion.endpoint.to_owned()) };
        let answer = self.ask(provider, call).await?;
        if answer.exhausted || answer.status >= 500 {
            return Err(refuse::provider_down(provider, answer.excerpt()));
        }
        let text = std::str::from_utf8(&answer.body).unwrap_or_default();
        match answer.is_success() && openid2::is_valid(text) {
            true => Ok(()),
            false => Err(refuse::assertion_rejected(provider, "the provider does not know it as its own")
                .with_cause(answer.excerpt())),
        }
    }
}
