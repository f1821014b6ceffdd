//! Odnoklassniki: its calls are signed, and so is what starts an application inside a page of its own.
//!
//! <https://apiok.ru/en/dev/methods/>

use reqwest::Method;
use serde_json::{Map, Value};

use super::super::journey::Unasked;
use super::super::outbound::{Body, Call};
use super::super::person::{Known, accepted};
use super::super::token_endpoint::Fields;
use super::super::{Identified, Provider, ProviderTokens, Upstream, must_be_fit, refuse};
use super::signed_request::{query, sorted};
use super::{is_same, md5_hex};
use crate::protocol::OAuthError;
use crate::protocol::provider::template::with_query;

/// Signs a call with somebody's token: over everything but the token, and the MD5 of token and secret behind.
pub(super) fn sign(provider: &Provider, call: &mut Call, token: &str) {
    let params = query(&call.url).into_iter().filter(|(name, _)| name != "access_token");
    let key = md5_hex(&format!("{token}{}", provider.secret().unwrap_or_default()));
    let signature = md5_hex(&format!("{}{key}", sorted(params).concat()));
    call.url = with_query(&call.url, "sig", &signature);
}

/// Who started the application: its launch is signed with our secret, Odnoklassniki says whose session that is and that it
/// lives, and then who they are.
pub(super) async fn arrive(
    upstream: &Upstream,
    provider: &Provider,
    came: &Unasked<'_>,
) -> Result<Identified, OAuthError> {
    let secret = provider.secret().unwrap_or_default();
    let (user, session) = (came.params.required("logged_user_id")?, came.params.required("session_key")?);
    let session_secret = came.params.required("session_secret_key")?;
    for (name, value) in [("session_key", session), ("session_secret_key", session_secret)] {
        must_be_fit(name, value)?;
    }
    let signature = came.params.required("auth_sig")?.to_ascii_lowercase();
    if !is_same(&md5_hex(&format!("{user}{session}{secret}")), &signature) {
        return Err(refuse::other_providers_answer(provider));
    }
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let base = [pair("application_key", provider.value("public_name")), pair("format", "JSON")];
    let signed = |more: Vec<(String, String)>, key: &str| -> Fields {
        let mut fields: Fields = base.iter().cloned().chain(more).collect();
        fields.push(("sig".into(), md5_hex(&format!("{}{key}", sorted(fields.clone()).concat()))));
        fields
    };
    let template = provider.entry.endpoints.userinfo.as_ref();
    let missing = || refuse::misconfigured(provider, "no `endpoints.userinfo`".into());
    let url = provider.fixed(template.ok_or_else(missing)?).map_err(|_| missing())?;
    let mut secrets = provider.secrets(session);
    secrets.push(session_secret.to_owned());
    // Whose session it is, by a call that only the session's own secret can sign.
    let mut fields = signed(vec![pair("method", "users.getLoggedInUser")], session_secret);
    fields.push(pair("session_key", session));
    let call = Call { method: Method::POST, body: Body::Form(fields), secrets, ..Call::get(url.clone()) };
    let answer = upstream.ask(provider, call).await?;
    let of_session = match accepted(provider, &provider.entry.userinfo, &answer)? {
        Value::String(id) => id,
        Value::Number(id) => id.to_string(),
        _ => return Err(refuse::bad_answer(provider, answer.excerpt())),
    };
    if of_session != user {
        return Err(refuse::two_people(provider));
    }
    let asked =
        vec![pair("method", "users.getInfo"), pair("uids", user), pair("fields", "uid,first_name,last_name,name")];
    let url = signed(asked, secret).iter().fold(url, |url, (name, value)| with_query(&url, name, value));
    let answer = upstream.ask(provider, Call { secrets: provider.secrets(session), ..Call::get(url) }).await?;
    let root: Map<String, Value> = match accepted(provider, &provider.entry.userinfo, &answer)? {
        Value::Array(people) => match <[Value; 1]>::try_from(people) {
            Ok([Value::Object(person)]) => person,
            _ => return Err(refuse::bad_answer(provider, answer.excerpt())),
        },
        _ => return Err(refuse::bad_answer(provider, answer.excerpt())),
    };
    let profile = upstream.person_of_known(provider, &Known { id_token: root, ..Known::default() })?.profile;
    match profile.uid == user {
        true => Ok(Identified { profile, tokens: ProviderTokens::default(), expires_at: None, once: None }),
        false => Err(refuse::two_people(provider)),
    }
}
