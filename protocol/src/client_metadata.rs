//! Client metadata (RFC 7591 §2 and its registry): what an application may say of itself beside its grants and redirect
//! URIs. It is stored as one JSON object, in the registry's names.

use serde::{Deserialize, Serialize};

/// What an access token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AccessTokenFormat {
    /// 256 random bits that only this server understands.
    Opaque,
    /// A JWT that whoever has our keys understands (RFC 9068).
    Jwt,
}

impl std::str::FromStr for AccessTokenFormat {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "opaque" => Ok(Self::Opaque),
            "jwt" => Ok(Self::Jwt),
            _ => Err(format!("unknown access token format `{text}`; known are opaque and jwt")),
        }
    }
}

/// Who a person is to an application (OpenID Connect Core §8).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SubjectType {
    /// The same to all.
    #[default]
    Public,
    /// Somebody else to each sector.
    Pairwise,
}

impl std::str::FromStr for SubjectType {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "public" => Ok(Self::Public),
            "pairwise" => Ok(Self::Pairwise),
            _ => Err(format!("unknown subject type `{text}`; known are public and pairwise")),
        }
    }
}

/// What an authorization request of this application must have of PKCE.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PkceRule {
    /// A challenge, by S256.
    #[default]
    Required,
    /// A challenge, also a plain one.
    Plain,
    /// Nothing; a challenge that is there counts. For confidential applications only.
    Optional,
}

impl std::str::FromStr for PkceRule {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "required" => Ok(Self::Required),
            "plain" => Ok(Self::Plain),
            "optional" => Ok(Self::Optional),
            _ => Err(format!("unknown PKCE rule `{text}`; known are required, plain and optional")),
        }
    }
}

/// The metadata of an application. Every member has the default that its RFC gives it; only others are stored.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ClientMetadata {
    /// What its access tokens are; `None`: as `tokens.access_token_format` says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub access_token_format: Option<AccessTokenFormat>,
    /// What its requests must have of PKCE.
    #[serde(skip_serializing_if = "is_default")]
    pub pkce: PkceRule,
    /// Whether its authorization requests must be pushed (RFC 9126 §6).
    #[serde(skip_serializing_if = "is_default")]
    pub require_pushed_authorization_requests: bool,
    /// Whether its authorization requests must be signed (RFC 9101 §10.5).
    #[serde(skip_serializing_if = "is_default")]
    pub require_signed_request_object: bool,
    /// Whether its tokens must be bound to a key (RFC 9449 §5.2).
    #[serde(skip_serializing_if = "is_default")]
    pub dpop_bound_access_tokens: bool,
    /// Whether its tokens are bound to its certificate (RFC 8705 §3.4).
    #[serde(skip_serializing_if = "is_default")]
    pub tls_client_certificate_bound_access_tokens: bool,
    /// The distinguished name of its certificate, as the proxy writes it (RFC 8705 §2.1.2).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls_client_auth_subject_dn: Option<String>,
    /// Who people are to it.
    #[serde(skip_serializing_if = "is_default")]
    pub subject_type: SubjectType,
    /// Where a list of its redirect URIs is, which makes one sector of them (OpenID Connect Core §8.1).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sector_identifier_uri: Option<String>,
    /// How its client assertions are signed; `None`: by any algorithm that is taken.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_endpoint_auth_signing_alg: Option<String>,
    /// How user info is signed for it; `None`: not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub userinfo_signed_response_alg: Option<String>,
    /// How introspection is signed for it; `None`: only where it asks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub introspection_signed_response_alg: Option<String>,
    /// How authorization answers are signed for it, where they are (JARM); `None`: by RS256.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub authorization_signed_response_alg: Option<String>,
    /// How its request objects are signed; `None`: by any algorithm that is taken.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_object_signing_alg: Option<String>,
    /// Where it is told of a sign-out (OpenID Connect Back-Channel Logout).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backchannel_logout_uri: Option<String>,
    /// Whether the logout token must name the session.
    #[serde(skip_serializing_if = "is_default")]
    pub backchannel_logout_session_required: bool,
    /// What the browser loads at a sign-out (OpenID Connect Front-Channel Logout).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub frontchannel_logout_uri: Option<String>,
    /// Whether that must name the session.
    #[serde(skip_serializing_if = "is_default")]
    pub frontchannel_logout_session_required: bool,
    /// Seconds since the last sign-in after which the person is asked again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default_max_age: Option<i64>,
    /// Whether `auth_time` must be in its ID tokens; it always is.
    #[serde(skip_serializing_if = "is_default")]
    pub require_auth_time: bool,
    /// Its home page, for the consent page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_uri: Option<String>,
    /// Its picture. Kept and given back; our pages load nothing from elsewhere.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub logo_uri: Option<String>,
    /// What it does with people's data.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy_uri: Option<String>,
    /// Its terms.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tos_uri: Option<String>,
    /// Where a third party begins a sign-in (OpenID Connect Core §4).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub initiate_login_uri: Option<String>,
    /// Whom to write to.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub contacts: Vec<String>,
    /// What kind of program it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub software_id: Option<String>,
    /// Which version of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub software_version: Option<String>,
    /// Whether it may fetch people's tokens of providers; the operator's word, never its own.
    #[serde(skip_serializing_if = "is_default")]
    pub provider_tokens: bool,
    /// Until when what was read of a client id metadata document counts, in seconds since 1970; `None`: it is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub document_fresh_until: Option<i64>,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

#[cfg(test)]
mod tests {
    use super::{ClientMetadata, PkceRule};

    #[test]
    fn what_has_its_default_is_not_written() {
        assert_eq!(serde_json::to_string(&ClientMetadata::default()).unwrap(), "{}");
        let plain = ClientMetadata { pkce: PkceRule::Plain, ..ClientMetadata::default() };
        let text = serde_json::to_string(&plain).unwrap();
        assert_eq!(text, r#"{"pkce":"plain"}"#);
        assert_eq!(serde_json::from_str::<ClientMetadata>(&text).unwrap(), plain);
    }
}
