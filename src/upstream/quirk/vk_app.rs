//! An application inside a page of VK's, by the old iframe interface: VK starts it with the number of the person, a key that
//! our secret made of it, and an access token.
//!
//! The key never changes, so it proves nothing of now: that VK takes the token, and says that it is this person's, does.

use super::super::journey::Unasked;
use super::super::outbound::Call;
use super::super::person::{Known, accepted};
use super::super::{Identified, Provider, ProviderTokens, Upstream, must_be_fit, refuse};
use super::{is_same, md5_hex};
use crate::protocol::OAuthError;
use crate::protocol::provider::template::with_query;

pub(super) async fn arrive(
    upstream: &Upstream,
    provider: &Provider,
    came: &Unasked<'_>,
) -> Result<Identified, OAuthError> {
    let (viewer, application) = (came.params.required("viewer_id")?, came.params.required("api_id")?);
    let (key, token) = (came.params.required("auth_key")?, came.params.required("access_token")?);
    must_be_fit("access_token", token)?;
    let computed = md5_hex(&format!("{}_{viewer}_{}", provider.client_id(), provider.secret().unwrap_or_default()));
    if application != provider.client_id() || !is_same(&computed, &key.to_ascii_lowercase()) {
        return Err(refuse::other_providers_answer(provider));
    }
    let is_user = match provider.value("usermode") {
        "" | "0" => true,
        "2" => is_app_user(upstream, provider, token, viewer).await?,
        _ => came.params.get("is_app_user") == Some("1"),
    };
    if !is_user {
        return Err(refuse::not_allowed(provider, "it does not use the application yet"));
    }
    let profile = upstream.person(provider, token, &Known::default()).await?.profile;
    if profile.uid != viewer {
        return Err(refuse::two_people(provider));
    }
    let tokens = ProviderTokens { access_token: Some(token.to_owned()), ..ProviderTokens::default() };
    Ok(Identified { profile, tokens, expires_at: None, once: None })
}

async fn is_app_user(upstream: &Upstream, provider: &Provider, token: &str, viewer: &str) -> Result<bool, OAuthError> {
    let params = [("user_id", viewer), ("v", provider.value("api_version")), ("access_token", token)];
    let url = "https://api.vk.ru/method/users.isAppUser".to_owned();
    let url = params.into_iter().fold(url, |url, (name, value)| with_query(&url, name, value));
    let answer = upstream.ask(provider, Call { secrets: provider.secrets(token), ..Call::get(url) }).await?;
    let value = accepted(provider, &provider.entry.userinfo, &answer)?;
    Ok(value.get("response").is_some_and(|response| response.as_i64() == Some(1) || response == "1"))
}
