//! CAS 3.0: a ticket, and what the server says of it (§2.5). A ticket is good once, and for the service that it was made for:
//! ours holds the state.

use serde_json::Value;

use super::journey::{Departure, Going, Return};
use super::outbound::Call;
use super::person::Known;
use super::{Identified, Provider, ProviderTokens, Upstream, refuse};
use crate::protocol::OAuthError;
use crate::protocol::cas::{self, Refused};
use crate::protocol::provider::template;

/// Whether everything is there that the protocol needs.
///
/// # Errors
/// The key that is missing.
pub(super) fn check(provider: &Provider) -> Result<(), String> {
    let endpoints = &provider.entry.endpoints;
    match (&endpoints.authorize, &endpoints.token) {
        (None, _) => Err("`endpoints.authorize` is not set".into()),
        (_, None) => Err("`endpoints.token` is not set".into()),
        _ => Ok(()),
    }
}

impl Upstream {
    /// §2.1.
    pub(super) fn depart_for_ticket(&self, provider: &Provider, going: &Departure<'_>) -> Result<Going, OAuthError> {
        let service = provider.full_redirect_uri(going.redirect_uri, going.state);
        let url = template::with_query(&provider.authorize()?, "service", &service);
        Ok(Going { url, kept: Value::Null })
    }

    /// §2.5.
    pub(super) async fn arrive_with_ticket(
        &self,
        provider: &Provider,
        back: &Return<'_>,
    ) -> Result<Identified, OAuthError> {
        let ticket = back.params.required("ticket")?;
        super::must_be_fit("ticket", ticket)?;
        let service = provider.full_redirect_uri(back.redirect_uri, back.state);
        let url = template::with_query(&provider.token_url()?, "service", &service);
        let url = template::with_query(&url, "ticket", ticket);
        let mut headers = provider.plain_headers();
        headers.retain(|(name, _)| !name.eq_ignore_ascii_case("accept"));
        headers.push(("accept".into(), "application/xml, application/json;q=0.9".into()));
        let call = Call { headers, secrets: provider.secrets(ticket), ..Call::get(url) };
        let answer = self.ask(provider, call).await?;
        if answer.exhausted || answer.status >= 500 {
            return Err(refuse::provider_down(provider, answer.excerpt()));
        }
        let bad = || refuse::bad_answer(provider, answer.excerpt());
        let read = answer.xml().or_else(|| answer.json()).filter(|_| answer.is_success()).ok_or_else(bad)?;
        let members = cas::person(&read).map_err(|refused| match refused {
            Refused::Malformed => bad(),
            Refused::Failure(code) => match code.as_str() {
                "INTERNAL_ERROR" => refuse::provider_down(provider, code),
                "INVALID_REQUEST" | "UNAUTHORIZED_SERVICE" => refuse::misconfigured(provider, code),
                _ => refuse::ticket_rejected(provider, code),
            },
        })?;
        let known = Known { id_token: members, request: back.request.clone(), ..Known::default() };
        let profile = self.person_of_known(provider, &known)?.profile;
        Ok(Identified { profile, tokens: ProviderTokens::default(), expires_at: None, once: None })
    }
}
