//! What an application is told of a person: who they are to it, and the standard claims that a scope or a request names
//! (OpenID Connect Core §5, §8).

use serde_json::{Map, Value};
use vestibule_protocol::client_metadata::SubjectType;
use vestibule_protocol::jwt::Jwt;
use vestibule_protocol::{OAuthError, Scope};

use crate::client;
use crate::context::Context;
use crate::signing;
use crate::store::application::Application;
use crate::store::user::User;

/// Every claim that can be told, as discovery names them.
pub const SUPPORTED: &[&str] = &[
    "sub",
    "name",
    "given_name",
    "family_name",
    "middle_name",
    "nickname",
    "preferred_username",
    "profile",
    "picture",
    "website",
    "gender",
    "birthdate",
    "zoneinfo",
    "locale",
    "updated_at",
    "email",
    "email_verified",
    "phone_number",
    "phone_number_verified",
    "address",
];

/// The scope that gives a claim (OpenID Connect Core §5.4).
fn scope_of(claim: &str) -> &'static str {
    match claim {
        "email" | "email_verified" => "email",
        "phone_number" | "phone_number_verified" => "phone",
        "address" => "address",
        _ => "profile",
    }
}

/// Who this person is to this application: the same for all, or somebody else for each sector.
///
/// # Errors
/// What the database says of the secret behind pairwise subjects.
pub async fn subject(cx: &Context, application: &Application, user_id: i64) -> Result<String, OAuthError> {
    match application.metadata.subject_type {
        SubjectType::Public => Ok(user_id.to_string()),
        SubjectType::Pairwise => Ok(signing::keys(cx).await?.pairwise_subject(&sector(application), user_id)),
    }
}

/// Whom an ID token of ours is about that was given to this application, and in which session (`sid`). It may have
/// expired: it is a hint (OpenID Connect Core §3.1.2.1). `None`: not ours, changed, or another application's.
///
/// # Errors
/// What the database says of the keys.
pub async fn subject_of_hint(
    cx: &Context,
    application: &Application,
    hint: &str,
) -> Result<Option<Hinted>, OAuthError> {
    let Some(jwt) = Jwt::parse(hint) else { return Ok(None) };
    let signed = match application.signing_algorithm.as_str() {
        "HS256" => client::secret(cx, application).is_ok_and(|secret| jwt.is_signed_with_secret(&secret)),
        _ => signing::keys(cx).await?.has_signed(&jwt),
    };
    let issuer = cx.issuer();
    let is_ours = signed
        && jwt.text("iss") == Some(issuer.as_str())
        && jwt.is_for(&[&application.client_id])
        // A logout token or an access token of ours is no ID token.
        && jwt.is_of_type("JWT");
    let subject = jwt.text("sub").filter(|_| is_ours).map(str::to_owned);
    let session = jwt.text("sid").map(str::to_owned);
    Ok(subject.map(|subject| Hinted { subject, session }))
}

/// What an `id_token_hint` says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hinted {
    /// `sub`
    pub subject: String,
    /// `sid`
    pub session: Option<String>,
}

/// The host of the sector's document, else of the redirect URI (OpenID Connect Core §8.1).
fn sector(application: &Application) -> String {
    let uri = application.metadata.sector_identifier_uri.as_ref().or(application.redirect_uris.first());
    let host = uri.and_then(|uri| url::Url::parse(uri).ok()).and_then(|url| url.host_str().map(str::to_owned));
    host.unwrap_or_else(|| application.client_id.clone())
}

/// The claims of a person that the scope gives or that were named one by one. One without a value is left out (§5.3.2).
pub fn of_person(user: &User, scope: &Scope, named: &[String]) -> Map<String, Value> {
    let is_told = |claim: &str| scope.contains(scope_of(claim)) || named.iter().any(|own| own == claim);
    let mut claims: Map<String, Value> = serde_json::from_str(&user.claims).unwrap_or_default();
    let mut add = |name: &str, value: &str| {
        if !value.is_empty() {
            claims.insert(name.to_owned(), Value::from(value));
        }
    };
    add("preferred_username", &user.username);
    add("given_name", &user.first_name);
    add("family_name", &user.last_name);
    add("name", [user.first_name.as_str(), user.last_name.as_str()].join(" ").trim());
    add("email", &user.email);
    if !user.email.is_empty() {
        claims.insert("email_verified".to_owned(), user.email_verified.into());
    }
    claims.retain(|claim, _| claim != "sub" && SUPPORTED.contains(&claim.as_str()) && is_told(claim));
    claims
}

#[cfg(test)]
mod tests {
    use super::{SUPPORTED, scope_of};

    #[test]
    fn every_claim_belongs_to_a_scope() {
        for claim in SUPPORTED {
            assert!(["profile", "email", "phone", "address"].contains(&scope_of(claim)), "{claim}");
        }
    }
}
