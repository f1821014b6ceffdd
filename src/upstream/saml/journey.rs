//! A browser's way to an identity provider and back: what the settings say, around [`ServiceProvider`].

use serde_json::{Value, json};

use super::{Answering, Refusal, Request, SamlSettings, ServiceProvider};
use crate::protocol::provider::Answer;
use crate::protocol::{OAuthError, Reason};
use crate::upstream::journey::{Departure, Going, Return};
use crate::upstream::person::person_of;
use crate::upstream::{Identified, Provider, ProviderTokens, Upstream, refuse};

/// The service provider of an entry's settings.
///
/// # Errors
/// One line that names the key that is wrong.
pub(in crate::upstream) fn service_provider(provider: &Provider) -> Result<ServiceProvider, String> {
    let ours = provider.settings.entry.iter().filter(|(name, _)| provider.entry.settings.contains_key(*name));
    let table = ours.map(|(name, value)| (name.clone(), value.clone())).collect();
    ServiceProvider::new(SamlSettings::from_table(table)?)
}

/// Where the browser is sent.
pub(in crate::upstream) fn depart(
    upstream: &Upstream,
    provider: &Provider,
    going: &Departure<'_>,
) -> Result<Going, OAuthError> {
    let ours = service_provider(provider).map_err(|why| refuse::misconfigured(provider, why))?;
    let named = ours.named(going.request.get("idp"));
    let idp = named.map_err(|refusal| OAuthError::invalid_request(format!("{refusal}.")).with_field("idp"))?;
    let id = request_id(going.nonce);
    let request =
        Request { id: &id, consumer_url: going.redirect_uri, relay_state: going.state, now: upstream.clock.now() };
    let url = ours.address(idp, request).map_err(|refusal| refuse::misconfigured(provider, refusal.to_string()))?;
    Ok(Going { url, kept: json!({ "idp": idp }) })
}

/// Who came back.
pub(in crate::upstream) fn arrive(
    upstream: &Upstream,
    provider: &Provider,
    back: &Return<'_>,
) -> Result<Identified, OAuthError> {
    let ours = service_provider(provider).map_err(|why| refuse::misconfigured(provider, why))?;
    let id = request_id(back.nonce);
    let idp = back.kept.get("idp").and_then(Value::as_str).unwrap_or_default();
    let posted = back.params.required("SAMLResponse")?;
    let answering = Answering { idp, request_id: &id };
    let judged = ours.judge(posted, Some(answering), back.redirect_uri, upstream.clock.now());
    let signed_in = judged.map_err(|refusal| rejected(provider, &refusal))?;
    let answer = ours.answer(&signed_in).map_err(|refusal| rejected(provider, &refusal))?;
    let members = answer.as_object().cloned().unwrap_or_default();
    let person = person_of(provider, Answer::new(members, []))?;
    Ok(Identified {
        profile: person.profile,
        tokens: ProviderTokens::default(),
        expires_at: signed_in.session_expires_at,
        once: None,
    })
}

/// The nonce is as random as an id has to be (SAML Core §1.3.4), and with a `_` before it an XML name.
fn request_id(nonce: &str) -> String {
    format!("_{nonce}")
}

fn rejected(provider: &Provider, refusal: &Refusal) -> OAuthError {
    let description = format!("The answer of {} is not taken: {refusal}.", provider.title());
    let error = OAuthError::invalid_grant(description).with_reason(Reason::TokenRejected);
    match refusal.cause() {
        Some(cause) => error.with_cause(cause.to_owned()),
        None => error,
    }
}
