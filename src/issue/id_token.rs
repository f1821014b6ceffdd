//! ID tokens (OpenID Connect Core §2) and JWT access tokens (RFC 9068).

use aws_lc_rs::digest::{self, SHA256, SHA512};
use serde_json::{Map, Value, json};
use vestibule_protocol::client_metadata::AccessTokenFormat;
use vestibule_protocol::jwt::encode_part;
use vestibule_protocol::{OAuthError, PlainToken, Scope};

use crate::claims;
use crate::client;
use crate::context::Context;
use crate::signing::{self, Algorithm, SigningKeys};
use crate::store::application::Application;
use crate::store::token::TokenContext;
use crate::store::user::User;

/// How long an ID token counts, in seconds.
pub const ID_TOKEN_TTL: i64 = 3_600;

/// What an ID token is made of.
pub struct IdToken<'a> {
    /// Whom it is for.
    pub application: &'a Application,
    /// Whom it is about.
    pub user: &'a User,
    /// The authentication that it tells of.
    pub context: &'a TokenContext,
    /// `sid`.
    pub session: Option<&'a str>,
    /// Claims that the scope gives go into it too: where no access token comes along (§5.4).
    pub scope: Option<&'a Scope>,
    /// For `at_hash`.
    pub access_token: Option<&'a str>,
    /// For `c_hash`.
    pub code: Option<&'a str>,
}

/// Makes an ID token. `None`: the application has none (`signing_algorithm` is `none`).
///
/// # Errors
/// What the database says of the keys.
pub async fn id_token(cx: &Context, parts: IdToken<'_>) -> Result<Option<PlainToken>, OAuthError> {
    let IdToken { application, user, context, session, scope, access_token, code } = parts;
    if application.signing_algorithm == "none" {
        return Ok(None);
    }
    let now = cx.clock.now();
    let mut all = match scope {
        Some(scope) => claims::of_person(user, scope, &context.id_token_claims),
        None => claims::of_person(user, &Scope::default(), &context.id_token_claims),
    };
    let subject = claims::subject(cx, application, user.id).await?;
    let client_id = application.client_id.as_str();
    for (name, value) in
        [("iss", cx.issuer()), ("sub", subject), ("aud", client_id.to_owned()), ("azp", client_id.to_owned())]
    {
        all.insert(name.to_owned(), value.into());
    }
    all.insert("iat".to_owned(), now.into());
    all.insert("exp".to_owned(), (now + ID_TOKEN_TTL).into());
    insert_authentication(&mut all, context);
    let hashed = |text: &str| left_half(&application.signing_algorithm, text);
    let optional = [
        ("nonce", context.nonce.clone()),
        ("sid", session.map(str::to_owned)),
        ("at_hash", access_token.map(hashed)),
        ("c_hash", code.map(hashed)),
    ];
    for (name, value) in optional {
        if let Some(value) = value {
            all.insert(name.to_owned(), value.into());
        }
    }
    sign_for(cx, application, &application.signing_algorithm, "JWT", &Value::Object(all))
        .await
        .map(|jwt| Some(PlainToken::of_jwt(jwt)))
}

fn insert_authentication(claims: &mut Map<String, Value>, context: &TokenContext) {
    if let Some(auth_time) = context.auth_time {
        claims.insert("auth_time".to_owned(), auth_time.into());
    }
    if !context.amr.is_empty() {
        claims.insert("amr".to_owned(), context.amr.split(' ').collect::<Vec<_>>().into());
    }
}

/// Signs claims for an application with the algorithm that it wants; with its own secret for HS256.
///
/// # Errors
/// `server_error` where the application's secret is not at hand.
pub async fn sign_for(
    cx: &Context,
    application: &Application,
    algorithm: &str,
    typ: &str,
    claims: &Value,
) -> Result<String, OAuthError> {
    if algorithm == "HS256" {
        let secret = client::secret(cx, application)?;
        return Ok(signing::sign_with_secret(&secret, typ, claims));
    }
    let algorithm = Algorithm::from_name(algorithm).unwrap_or(Algorithm::Rs256);
    let keys = signing::keys(cx).await?;
    Ok(keys.current(algorithm, cx.clock.now())?.sign(typ, claims)?)
}

/// The left half of the hash that goes with the signature's algorithm (§3.1.3.6); Ed25519's is SHA-512.
fn left_half(algorithm: &str, text: &str) -> String {
    let hash = digest::digest(if algorithm == "EdDSA" { &SHA512 } else { &SHA256 }, text.as_bytes());
    encode_part(hash.as_ref().get(..hash.as_ref().len() / 2).unwrap_or_default())
}

/// What this application's access tokens are.
pub(super) fn access_token_format(cx: &Context, application: &Application) -> AccessTokenFormat {
    application.metadata.access_token_format.unwrap_or(cx.settings.tokens.access_token_format)
}

/// What a JWT access token says.
pub(super) struct JwtAccessToken<'a> {
    pub application: &'a Application,
    pub user_id: Option<i64>,
    pub scope: &'a Scope,
    pub context: Option<&'a TokenContext>,
    /// By which it is looked up.
    pub id: &'a str,
    pub created_at: i64,
    pub expires_at: i64,
}

/// Makes a JWT access token (RFC 9068 §2.2).
pub(super) async fn jwt_access_token(cx: &Context, parts: JwtAccessToken<'_>) -> Result<String, OAuthError> {
    let JwtAccessToken { application, user_id, scope, context, id, created_at, expires_at } = parts;
    let subject = match user_id {
        Some(user_id) => claims::subject(cx, application, user_id).await?,
        None => application.client_id.clone(),
    };
    let empty = TokenContext::default();
    let context = context.unwrap_or(&empty);
    let audience = match context.resources.as_slice() {
        [] => json!(cx.settings.public_url()),
        [one] => json!(one),
        many => json!(many),
    };
    let mut claims = Map::new();
    for (name, value) in [
        ("iss", json!(cx.issuer())),
        ("sub", json!(subject)),
        ("aud", audience),
        ("client_id", json!(application.client_id)),
        ("iat", json!(created_at)),
        ("exp", json!(expires_at)),
        ("jti", json!(id)),
        ("scope", json!(scope.to_string())),
    ] {
        claims.insert(name.to_owned(), value);
    }
    insert_authentication(&mut claims, context);
    if let Some(confirmation) = confirmation(context) {
        claims.insert("cnf".to_owned(), confirmation);
    }
    if let Some(actor) = &context.actor {
        claims.insert("act".to_owned(), actor.clone());
    }
    let keys = signing::keys(cx).await?;
    sign_access_token(cx, &keys, application, &Value::Object(claims))
}

fn sign_access_token(
    cx: &Context,
    keys: &SigningKeys,
    application: &Application,
    claims: &Value,
) -> Result<String, OAuthError> {
    // A resource server knows no client's secret: what is not asymmetric becomes RS256 (RFC 9068 §2.1).
    let algorithm = Algorithm::from_name(&application.signing_algorithm).unwrap_or(Algorithm::Rs256);
    Ok(keys.current(algorithm, cx.clock.now())?.sign("at+jwt", claims)?)
}

/// What a token is bound to, as `cnf` (RFC 7800 §3, RFC 9449 §6.1, RFC 8705 §3.1).
pub fn confirmation(context: &TokenContext) -> Option<Value> {
    let mut members = Map::new();
    if let Some(jkt) = &context.jkt {
        members.insert("jkt".to_owned(), jkt.clone().into());
    }
    if let Some(thumbprint) = &context.certificate {
        members.insert("x5t#S256".to_owned(), thumbprint.clone().into());
    }
    (!members.is_empty()).then_some(Value::Object(members))
}
