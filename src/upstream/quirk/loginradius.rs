//! LoginRadius: its page, or its script in a page of the operator's, comes back with a token that our secret turns into an
//! access token.

use super::super::journey::{Departure, Return};
use super::super::outbound::Call;
use super::super::person::Known;
use super::super::{Identified, Provider, Upstream, must_be_fit, refuse};
use crate::protocol::OAuthError;
use crate::protocol::provider::template::with_query;

pub(super) fn depart(provider: &Provider, going: &Departure<'_>) -> Result<String, OAuthError> {
    let back = provider.full_redirect_uri(going.redirect_uri, going.state);
    Ok(with_query(&provider.authorize()?, "return_url", &back))
}

pub(super) async fn arrive(
    upstream: &Upstream,
    provider: &Provider,
    back: &Return<'_>,
) -> Result<Identified, OAuthError> {
    let token = back.params.required("token")?;
    must_be_fit("token", token)?;
    let url = with_query(&provider.token_url()?, "token", token);
    let url = with_query(&url, "secret", provider.secret().unwrap_or_default());
    let call = Call { secrets: provider.secrets(token), ..Call::get(url) };
    let granted = upstream.granted(provider, call, refuse::code_rejected).await?;
    let tokens = granted.tokens;
    let known = Known { token_answer: granted.answer, request: back.request.clone(), ..Known::default() };
    let access_token = tokens.access_token.as_deref().unwrap_or_default();
    let profile = upstream.person(provider, access_token, &known).await?.profile;
    Ok(Identified { profile, expires_at: tokens.expires_at, tokens, once: None })
}
