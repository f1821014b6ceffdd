//! Last.fm: a token comes back, and a signed call makes a session of it. The session's key is the access token.
//!
//! <https://www.last.fm/api/webauth>

use reqwest::Method;

use super::super::journey::{Departure, Return};
use super::super::outbound::{Body, Call};
use super::super::person::Known;
use super::super::{Identified, Provider, Upstream, must_be_fit, refuse};
use super::md5_hex;
use crate::protocol::OAuthError;
use crate::protocol::provider::template::with_query;

pub(super) fn depart(provider: &Provider, going: &Departure<'_>) -> Result<String, OAuthError> {
    let back = provider.full_redirect_uri(going.redirect_uri, going.state);
    Ok(with_query(&provider.authorize()?, "cb", &back))
}

pub(super) async fn arrive(
    upstream: &Upstream,
    provider: &Provider,
    back: &Return<'_>,
) -> Result<Identified, OAuthError> {
    let token = back.params.required("token")?;
    must_be_fit("token", token)?;
    let mut fields = vec![
        ("api_key".to_owned(), provider.client_id().to_owned()),
        ("method".to_owned(), "auth.getSession".to_owned()),
        ("token".to_owned(), token.to_owned()),
    ];
    // Names and values in the order of the names, then the secret.
    let text: String = fields.iter().map(|(name, value)| format!("{name}{value}")).collect();
    fields.push(("api_sig".into(), md5_hex(&format!("{text}{}", provider.secret().unwrap_or_default()))));
    fields.push(("format".into(), "json".into()));
    let url = provider.token_url()?;
    let call =
        Call { method: Method::POST, body: Body::Form(fields), secrets: provider.secrets(token), ..Call::get(url) };
    let granted = upstream.granted(provider, call, refuse::code_rejected).await?;
    let known = Known { id_token: granted.answer, ..Known::default() };
    let profile = upstream.person_of_known(provider, &known)?.profile;
    Ok(Identified { profile, expires_at: granted.tokens.expires_at, tokens: granted.tokens, once: None })
}
