//! How a client says who it is: by secret (RFC 6749 §2.3), by a signed assertion (RFC 7523), by a certificate (RFC 8705),
//! or not at all.
//!
//! Not here: whether it is (`vestibule::client`).

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::error::OAuthError;
use crate::jwt::Jwt;
use crate::params::{Params, decode_form};

/// A client authentication method, by its name in RFC 7591 §2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientAuthenticationMethod {
    /// HTTP Basic.
    ClientSecretBasic,
    /// `client_secret` in the body.
    ClientSecretPost,
    /// A JWT signed with the client's own key (OpenID Connect Core §9).
    PrivateKeyJwt,
    /// A JWT signed with the client secret.
    ClientSecretJwt,
    /// A certificate of a known authority, by its subject (RFC 8705 §2.1).
    TlsClientAuth,
    /// A certificate that was registered itself (RFC 8705 §2.2).
    SelfSignedTlsClientAuth,
    /// No secret: a public client.
    None,
}

impl ClientAuthenticationMethod {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::ClientSecretBasic,
        Self::ClientSecretPost,
        Self::PrivateKeyJwt,
        Self::ClientSecretJwt,
        Self::TlsClientAuth,
        Self::SelfSignedTlsClientAuth,
        Self::None,
    ];

    /// Whether it works with a client secret.
    pub const fn needs_secret(self) -> bool {
        matches!(self, Self::ClientSecretBasic | Self::ClientSecretPost | Self::ClientSecretJwt)
    }

    /// The name on the wire and in the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ClientSecretBasic => "client_secret_basic",
            Self::ClientSecretPost => "client_secret_post",
            Self::PrivateKeyJwt => "private_key_jwt",
            Self::ClientSecretJwt => "client_secret_jwt",
            Self::TlsClientAuth => "tls_client_auth",
            Self::SelfSignedTlsClientAuth => "self_signed_tls_client_auth",
            Self::None => "none",
        }
    }
}

impl FromStr for ClientAuthenticationMethod {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|method| method.as_str() == text).ok_or_else(|| {
            let known: Vec<_> = Self::ALL.iter().map(|method| method.as_str()).collect();
            format!("unknown token endpoint auth method `{text}`; known are {}", known.join(", "))
        })
    }
}

/// What a client presented. `Debug` does not show the secret.
#[derive(Clone, PartialEq, Eq)]
pub struct ClientCredentials {
    /// Who it says it is.
    pub client_id: String,
    /// How it proves that. A request without any proof says `None`, also one whose certificate is its proof.
    pub method: ClientAuthenticationMethod,
    secret: Option<String>,
}

/// `client_assertion_type` (RFC 7523 §2.2).
pub const JWT_ASSERTION: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

impl ClientCredentials {
    /// Reads the `Authorization` header, if it is Basic, and the body.
    ///
    /// # Errors
    /// `invalid_request` for two methods at once or two different clients, `invalid_client` for no client at all or a
    /// Basic header that cannot be read.
    pub fn read(authorization: Option<&[u8]>, params: &Params) -> Result<Self, OAuthError> {
        let in_body = params.get("client_id");
        if let Some(assertion) = params.get("client_assertion") {
            return Self::of_assertion(assertion, in_body, authorization.and_then(basic).is_some(), params);
        }
        let Some(encoded) = authorization.and_then(basic) else {
            let client_id = in_body.ok_or_else(|| {
                OAuthError::invalid_client("No client: send `client_id` in the body, or HTTP Basic.")
                    .with_field("client_id")
            })?;
            let secret = params.get("client_secret").map(str::to_owned);
            let method = match secret {
                Some(_) => ClientAuthenticationMethod::ClientSecretPost,
                None => ClientAuthenticationMethod::None,
            };
            return Ok(Self { client_id: client_id.to_owned(), method, secret });
        };
        if params.get("client_secret").is_some() {
            return Err(OAuthError::invalid_request("The client authenticates in two ways at once (RFC 6749 §2.3)."));
        }
        let (client_id, secret) = decode_basic(encoded).ok_or_else(|| {
            OAuthError::invalid_client("The Basic header cannot be read: base64 of form-encoded id, colon, secret.")
                .with_basic_challenge()
        })?;
        if in_body.is_some_and(|in_body| in_body != client_id) {
            return Err(OAuthError::invalid_request("The Basic header and `client_id` name two different clients."));
        }
        Ok(Self { client_id, method: ClientAuthenticationMethod::ClientSecretBasic, secret: Some(secret) })
    }

    /// RFC 7523 §3: the assertion's subject is the client; whether its signature holds is for whoever knows the keys.
    fn of_assertion(
        assertion: &str,
        in_body: Option<&str>,
        has_basic: bool,
        params: &Params,
    ) -> Result<Self, OAuthError> {
        if has_basic || params.get("client_secret").is_some() {
            return Err(OAuthError::invalid_request("The client authenticates in two ways at once (RFC 6749 §2.3)."));
        }
        if params.get("client_assertion_type") != Some(JWT_ASSERTION) {
            return Err(OAuthError::invalid_request(
                "`client_assertion_type` must be urn:ietf:params:oauth:client-assertion-type:jwt-bearer.",
            ));
        }
        let unreadable = || OAuthError::invalid_client("The client assertion is not a signed JWT with a subject.");
        let jwt = Jwt::parse(assertion).ok_or_else(unreadable)?;
        let client_id = jwt.text("sub").ok_or_else(unreadable)?.to_owned();
        if in_body.is_some_and(|in_body| in_body != client_id) {
            return Err(OAuthError::invalid_client("The client assertion's subject is not `client_id`."));
        }
        let is_symmetric =
            jwt.header.get("alg").and_then(serde_json::Value::as_str).is_some_and(|alg| alg.starts_with("HS"));
        let method = match is_symmetric {
            true => ClientAuthenticationMethod::ClientSecretJwt,
            false => ClientAuthenticationMethod::PrivateKeyJwt,
        };
        Ok(Self { client_id, method, secret: Some(assertion.to_owned()) })
    }

    /// The secret, or the assertion, that it presented.
    pub fn secret(&self) -> Option<&str> {
        self.secret.as_deref()
    }
}

impl fmt::Debug for ClientCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientCredentials")
            .field("client_id", &self.client_id)
            .field("method", &self.method)
            .finish_non_exhaustive()
    }
}

/// What stands behind `Basic`, in any letter case.
fn basic(header: &[u8]) -> Option<&[u8]> {
    let (scheme, rest) = header.split_at_checked(6)?;
    scheme.eq_ignore_ascii_case(b"Basic ").then(|| rest.trim_ascii())
}

/// Base64 of `id:secret`, both form-encoded (RFC 6749 §2.3.1).
fn decode_basic(encoded: &[u8]) -> Option<(String, String)> {
    let pair = STANDARD.decode(encoded).ok()?;
    let at = pair.iter().position(|&byte| byte == b':')?;
    let client_id = decode_form(&pair[..at])?;
    let secret = decode_form(&pair[at + 1..])?;
    (!client_id.is_empty() && !client_id.contains('\0') && !secret.contains('\0')).then_some((client_id, secret))
}

#[cfg(test)]
mod tests {
    use super::{ClientAuthenticationMethod, ClientCredentials};
    use crate::params::Params;

    fn read(header: Option<&str>, body: &str) -> Result<ClientCredentials, crate::OAuthError> {
        ClientCredentials::read(header.map(str::as_bytes), &Params::from_form(body.as_bytes()).unwrap())
    }

    #[test]
    fn basic_body_and_none_are_told_apart() {
        let basic = read(Some("basic YTpi"), "client_id=a").unwrap();
        assert_eq!(
            (basic.client_id.as_str(), basic.secret(), basic.method),
            ("a", Some("b"), ClientAuthenticationMethod::ClientSecretBasic)
        );

        let post = read(None, "client_id=a&client_secret=b").unwrap();
        assert_eq!((post.secret(), post.method), (Some("b"), ClientAuthenticationMethod::ClientSecretPost));

        let public = read(Some("Bearer x"), "client_id=a&client_secret=").unwrap();
        assert_eq!((public.secret(), public.method), (None, ClientAuthenticationMethod::None));
    }

    #[test]
    fn two_methods_or_two_clients_are_refused() {
        // attack 5
        assert_eq!(
            read(Some("Basic YTpi"), "client_id=a&client_secret=b").unwrap_err().code.as_str(),
            "invalid_request"
        );
        assert_eq!(read(Some("Basic YTpi"), "client_id=c").unwrap_err().code.as_str(), "invalid_request");
        assert_eq!(read(None, "").unwrap_err().code.as_str(), "invalid_client");
        assert_eq!(read(Some("Basic %%%"), "").unwrap_err().code.as_str(), "invalid_client");
    }

    #[test]
    fn id_and_secret_in_basic_are_form_encoded() {
        // attack 11
        use base64::Engine as _;
        let encoded = base64::engine::general_purpose::STANDARD.encode("a%3Ab:%3A%25%2B+%C3%B6");

        let credentials = read(Some(&format!("Basic {encoded}")), "").unwrap();

        assert_eq!((credentials.client_id.as_str(), credentials.secret()), ("a:b", Some(":%+ ö")));
        assert!(!format!("{credentials:?}").contains('ö'));
    }
}
