//! Authorization requests as signed JWTs (RFC 9101).

use serde_json::Value;
use vestibule_protocol::jwt::Jwt;
use vestibule_protocol::{ErrorCode, OAuthError, Params};

use super::destination::named_client;
use crate::client::{self, LEEWAY};
use crate::context::Context;

/// Claims of the JWT itself, which are no parameters.
const OWN: &[&str] = &["iss", "aud", "exp", "nbf", "iat", "jti", "sub"];

/// The parameters in the object of `request`. Those around it do not count, but must not contradict who asks.
///
/// # Errors
/// `invalid_request_object` for one that is not signed by this client, not for this server, or does not hold now.
pub(super) async fn read(cx: &Context, params: &Params) -> Result<Params, OAuthError> {
    let refuse = |sentence: &'static str| OAuthError::new(ErrorCode::InvalidRequestObject, sentence);
    let application = named_client(cx, params).await?;
    let jwt =
        Jwt::parse(params.required("request")?).ok_or_else(|| refuse("The request object is not a signed JWT."))?;
    if jwt.algorithm().is_none() {
        return Err(refuse("The request object is not signed by an algorithm that is taken here; `none` never is."));
    }
    let only = application.metadata.request_object_signing_alg.as_deref();
    let signed = match only {
        Some("HS256") => jwt.is_signed_with_secret(&client::secret(cx, &application)?),
        _ => client::is_signed_by_client(cx, &application, &jwt, only).await?,
    };
    if !signed {
        return Err(refuse("The request object's signature is not of a key that this client has registered."));
    }
    if jwt.text("client_id").is_some_and(|client_id| client_id != application.client_id)
        || jwt.text("iss").is_some_and(|issuer| issuer != application.client_id)
    {
        return Err(refuse("The request object is another client's."));
    }
    let issuer = cx.issuer();
    if jwt.claims.contains_key("aud") && !jwt.is_for(&[&issuer]) {
        return Err(refuse("The request object's `aud` is not this server."));
    }
    let now = cx.clock.now();
    let expired = match jwt.instant("exp") {
        Ok(at) => at.is_some_and(|at| at.saturating_add(LEEWAY) <= now),
        Err(_) => true,
    };
    let early = match jwt.instant("nbf") {
        Ok(at) => at.is_some_and(|at| at.saturating_sub(LEEWAY) > now),
        Err(_) => true,
    };
    if expired || early {
        return Err(refuse("The request object has expired or is not valid yet."));
    }
    // RFC 9101 §4: an object holds no object.
    if jwt.claims.contains_key("request") || jwt.claims.contains_key("request_uri") {
        return Err(refuse("The request object must not hold `request` or `request_uri`."));
    }
    let mut pairs = vec![("client_id".to_owned(), application.client_id.clone())];
    for (name, value) in &jwt.claims {
        if OWN.contains(&name.as_str()) || name == "client_id" {
            continue;
        }
        match value {
            Value::String(text) => pairs.push((name.clone(), text.clone())),
            Value::Number(number) => pairs.push((name.clone(), number.to_string())),
            Value::Array(many) if name == "resource" => {
                pairs.extend(many.iter().filter_map(Value::as_str).map(|text| (name.clone(), text.to_owned())));
            }
            Value::Object(_) => pairs.push((name.clone(), value.to_string())),
            _ => {}
        }
    }
    Params::from_pairs(pairs)
}
