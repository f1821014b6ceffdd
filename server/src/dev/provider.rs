//! A small but real OpenID Connect provider, for development only: whoever is named is signed in, without a password.
//!
//! It speaks to Vestibule over HTTP like any provider on the internet, so that what works with it works with them:
//! discovery, keys, codes with PKCE, access tokens, signed ID tokens, user info and token info. Everything is in memory,
//! bounded, and gone at the end. Only `vestibule dev` mounts it; there is no setting that would.
//! Not here: refresh tokens, consent, pages.

use std::sync::{Arc, Mutex, PoisonError};

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{SHA256, digest};
use axum::extract::{RawQuery, State};
use axum::http::header::{AUTHORIZATION, CACHE_CONTROL, LOCATION, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use url::Url;
use vestibule::clock::Clock;
use vestibule::signing::{self, Algorithm, KeyError, SigningKey};
use vestibule_protocol::{Bearer, ClientCredentials, ErrorCode, OAuthError, Params};

use super::kept::Kept;
use super::person::Person;

/// Where it hangs on the server's own listener.
pub const MOUNT: &str = "/dev-provider";

/// How long its tokens live, in seconds: as long as Vestibule's own, so that a printed line stays good.
const TOKEN_TTL: i64 = 36_000;

/// How long a code can be redeemed, in seconds.
const CODE_TTL: i64 = 60;

/// Who is signed in where nobody is named.
const SOMEBODY: &str = "grace";

/// The provider; clones share everything.
#[derive(Clone)]
pub struct Provider(Arc<Inner>);

struct Inner {
    issuer: String,
    client_id: String,
    client_secret: String,
    key: SigningKey,
    clock: Clock,
    codes: Mutex<Kept<Code>>,
    tokens: Mutex<Kept<AccessToken>>,
}

/// What a code stands for (RFC 6749 §4.1.2).
struct Code {
    person: Person,
    client_id: String,
    redirect_uri: Option<String>,
    challenge: Option<String>,
    nonce: Option<String>,
    expires_at: i64,
}

/// What an access token stands for.
#[derive(Clone)]
struct AccessToken {
    person: Person,
    client_id: String,
    expires_at: i64,
}

/// A refusal, as JSON.
struct Refusal(OAuthError);

impl From<OAuthError> for Refusal {
    fn from(error: OAuthError) -> Self {
        Self(error)
    }
}

impl From<KeyError> for Refusal {
    fn from(error: KeyError) -> Self {
        Self(OAuthError::new(ErrorCode::ServerError, "No randomness.").with_cause(error))
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.0.status()).unwrap_or(StatusCode::BAD_REQUEST);
        let body = Json(json!({"error": self.0.code, "error_description": self.0.description}));
        match self.0.code {
            ErrorCode::InvalidToken => {
                (status, [(WWW_AUTHENTICATE, "Bearer error=\"invalid_token\"")], body).into_response()
            }
            ErrorCode::InvalidClient => (status, [(WWW_AUTHENTICATE, "Basic")], body).into_response(),
            _ => (status, body).into_response(),
        }
    }
}

impl Provider {
    /// A provider with a new key. `issuer` is its address with [`MOUNT`]; the client is the one confidential client that it
    /// knows, and every other client id is a public client.
    ///
    /// # Errors
    /// When the system gives no randomness.
    pub fn new(issuer: String, client_id: String, client_secret: String, clock: Clock) -> Result<Self, KeyError> {
        let (codes, tokens) = (Mutex::default(), Mutex::default());
        Ok(Self(Arc::new(Inner {
            issuer,
            client_id,
            client_secret,
            key: SigningKey::from_pkcs8(Algorithm::Es256, &signing::generate(Algorithm::Es256)?)?,
            clock,
            codes,
            tokens,
        })))
    }

    /// Its endpoints, under [`MOUNT`].
    pub fn router(&self) -> Router {
        let endpoints = Router::new()
            .route("/.well-known/openid-configuration", get(configuration))
            .route("/jwks", get(jwks))
            .route("/authorize", get(authorize))
            .route("/token", post(token))
            .route("/userinfo", get(userinfo).post(userinfo))
            .route("/tokeninfo", get(tokeninfo))
            .with_state(self.clone());
        Router::new().nest(MOUNT, endpoints)
    }

    /// An access token and an ID token of this person for this client.
    fn issue(&self, person: Person, client_id: &str, nonce: Option<&str>) -> Result<Value, KeyError> {
        let now = self.0.clock.now();
        let expires_at = now + TOKEN_TTL;
        let mut claims = json!(person);
        if let Value::Object(claims) = &mut claims {
            claims.insert("iss".to_owned(), self.0.issuer.as_str().into());
            claims.insert("aud".to_owned(), client_id.into());
            claims.insert("iat".to_owned(), now.into());
            claims.insert("exp".to_owned(), expires_at.into());
            if let Some(nonce) = nonce {
                claims.insert("nonce".to_owned(), nonce.into());
            }
        }
        let id_token = self.0.key.sign("JWT", &claims)?;
        let token = AccessToken { person, client_id: client_id.to_owned(), expires_at };
        let access_token = format!("dev_{}", random_text());
        self.0.tokens.lock().unwrap_or_else(PoisonError::into_inner).keep(access_token.clone(), token);
        Ok(json!({
            "access_token": access_token,
            "token_type": "Bearer",
            "expires_in": TOKEN_TTL,
            "scope": "openid profile email",
            "id_token": id_token,
        }))
    }

    fn access_token(&self, presented: &str) -> Option<AccessToken> {
        let now = self.0.clock.now();
        let tokens = self.0.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        tokens.get(presented).filter(|token| token.expires_at > now).cloned()
    }

    /// Redeems a code (RFC 6749 §4.1.3, RFC 7636 §4.6). It is gone after the first attempt, whatever becomes of it.
    fn redeem(&self, client: &ClientCredentials, params: &Params) -> Result<Value, Refusal> {
        let ours = client.client_id == self.0.client_id;
        let secret = client.secret().unwrap_or_default();
        if ours && verify_slices_are_equal(secret.as_bytes(), self.0.client_secret.as_bytes()).is_err() {
            return Err(OAuthError::invalid_client("The client secret is wrong or missing.").into());
        }
        let presented = params.required("code")?;
        let refused = |sentence: &'static str| Err(OAuthError::invalid_grant(sentence).into());
        let taken = self.0.codes.lock().unwrap_or_else(PoisonError::into_inner).take(presented);
        let Some(code) = taken else { return refused("The code is unknown or was redeemed before.") };
        if code.expires_at <= self.0.clock.now() {
            return refused("The code has expired.");
        }
        if code.client_id != client.client_id {
            return refused("The code was issued to another client.");
        }
        if code.redirect_uri.as_deref() != params.get("redirect_uri") {
            return refused("`redirect_uri` is not the one of the authorization request.");
        }
        match (code.challenge, params.get("code_verifier")) {
            (Some(challenge), Some(verifier)) if challenge == s256(verifier) => {}
            (Some(_), _) => return refused("`code_verifier` does not fit the challenge (RFC 7636 §4.6)."),
            (None, Some(_)) => return refused("`code_verifier` was sent, but the request had no challenge."),
            (None, None) if !ours => return refused("A public client needs PKCE."),
            (None, None) => {}
        }
        Ok(self.issue(code.person, &code.client_id, code.nonce.as_deref())?)
    }
}

/// `GET /.well-known/openid-configuration` (OpenID Connect Discovery §4).
async fn configuration(State(provider): State<Provider>) -> Json<Value> {
    let issuer = &provider.0.issuer;
    Json(json!({
        "issuer": issuer,
        "authorization_endpoint": format!("{issuer}/authorize"),
        "token_endpoint": format!("{issuer}/token"),
        "userinfo_endpoint": format!("{issuer}/userinfo"),
        "jwks_uri": format!("{issuer}/jwks"),
        "response_types_supported": ["code"],
        "grant_types_supported": ["authorization_code", "password"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["ES256"],
        "scopes_supported": ["openid", "profile", "email"],
        "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post", "none"],
        "code_challenge_methods_supported": ["S256"],
        "authorization_response_iss_parameter_supported": true,
    }))
}

/// `GET /jwks`.
async fn jwks(State(provider): State<Provider>) -> Json<Value> {
    Json(json!({ "keys": [provider.0.key.public_jwk()] }))
}

/// `GET /authorize` (RFC 6749 §4.1.1): no page, a code at once for whom `login_hint` or `username` names. Without a
/// `redirect_uri` the answer is the code itself, for curl.
async fn authorize(State(provider): State<Provider>, RawQuery(query): RawQuery) -> Result<Response, Refusal> {
    let params = Params::from_form(query.unwrap_or_default().as_bytes())?;
    let redirect_uri = params
        .get("redirect_uri")
        .map(Url::parse)
        .transpose()
        .map_err(|error| OAuthError::invalid_request("`redirect_uri` is not an absolute URI.").with_cause(error))?;
    if params.get("response_type").is_some_and(|wanted| wanted != "code") {
        return Err(OAuthError::invalid_request("Only `response_type=code` is known here.").into());
    }
    if params.get("code_challenge").is_some() && params.get("code_challenge_method") != Some("S256") {
        return Err(OAuthError::invalid_request("Only `code_challenge_method=S256` is known here.").into());
    }
    let username = params.get("login_hint").or_else(|| params.get("username")).unwrap_or(SOMEBODY);
    let owned = |name: &str| params.get(name).map(str::to_owned);
    let code = Code {
        person: Person::named(username, &params)?,
        client_id: owned("client_id").unwrap_or_else(|| provider.0.client_id.clone()),
        redirect_uri: owned("redirect_uri"),
        challenge: owned("code_challenge"),
        nonce: owned("nonce"),
        expires_at: provider.0.clock.now() + CODE_TTL,
    };
    let plain = random_text();
    provider.0.codes.lock().unwrap_or_else(PoisonError::into_inner).keep(plain.clone(), code);
    let Some(mut location) = redirect_uri else {
        return Ok(([(CACHE_CONTROL, "no-store")], format!("{plain}\n")).into_response());
    };
    location.query_pairs_mut().append_pair("code", &plain).append_pair("iss", &provider.0.issuer);
    if let Some(state) = params.get("state") {
        location.query_pairs_mut().append_pair("state", state);
    }
    Ok((StatusCode::FOUND, [(LOCATION, location.as_str()), (CACHE_CONTROL, "no-store")]).into_response())
}

/// `POST /token`: redeems a code, or signs in whom `username` names; that one also with another client's id, to see what
/// becomes of a token that is somebody else's.
async fn token(
    State(provider): State<Provider>,
    headers: HeaderMap,
    body: axum::body::Bytes,
) -> Result<Response, Refusal> {
    let params = Params::from_form(&body)?;
    let tokens = match params.get("grant_type") {
        Some("authorization_code") => {
            let authorization = headers.get(AUTHORIZATION).map(|value| value.as_bytes());
            provider.redeem(&ClientCredentials::read(authorization, &params)?, &params)?
        }
        None | Some("password") => {
            let person = Person::named(params.required("username")?, &params)?;
            let client_id = params.get("client_id").unwrap_or(&provider.0.client_id);
            provider.issue(person, client_id, params.get("nonce"))?
        }
        Some(_) => {
            let sentence = "Known here are authorization_code and password.";
            return Err(OAuthError::new(ErrorCode::UnsupportedGrantType, sentence).into());
        }
    };
    Ok(([(CACHE_CONTROL, "no-store")], Json(tokens)).into_response())
}

/// `GET`/`POST /userinfo` (OpenID Connect Core §5.3).
async fn userinfo(State(provider): State<Provider>, headers: HeaderMap) -> Result<Json<Person>, Refusal> {
    let presented = Bearer::parse(headers.get(AUTHORIZATION).map(|value| value.as_bytes()));
    let Ok(Bearer::Own(presented)) = presented else {
        return Err(OAuthError::invalid_token("Send `Authorization: Bearer` and an access token.").into());
    };
    let token = provider.access_token(presented);
    let token = token.ok_or_else(|| OAuthError::invalid_token("The access token is unknown or has expired."))?;
    Ok(Json(token.person))
}

/// `GET /tokeninfo?access_token=`: whose token it is and whom it was issued to, as Google answers it.
async fn tokeninfo(State(provider): State<Provider>, RawQuery(query): RawQuery) -> Result<Json<Value>, Refusal> {
    let params = Params::from_form(query.unwrap_or_default().as_bytes())?;
    let token = provider
        .access_token(params.required("access_token")?)
        .ok_or_else(|| OAuthError::invalid_token("The access token is unknown or has expired.").with_status(400))?;
    Ok(Json(json!({
        "aud": token.client_id,
        "sub": token.person.sub,
        "exp": token.expires_at,
        "expires_in": token.expires_at - provider.0.clock.now(),
    })))
}

/// 256 random bits in base64url.
pub fn random_text() -> String {
    URL_SAFE_NO_PAD.encode(vestibule::context::random::<32>())
}

fn s256(verifier: &str) -> String {
    URL_SAFE_NO_PAD.encode(digest(&SHA256, verifier.as_bytes()))
}

#[cfg(test)]
mod tests;
