//! The grants that an application can be given, by their names on the wire and on the command line.

use std::fmt;
use std::str::FromStr;

/// A grant that an application may use. [`fmt::Display`] and [`FromStr`] speak the command line's names, which are
/// also what is stored; [`GrantType::wire`] is `grant_type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum GrantType {
    /// RFC 6749 §4.1.
    AuthorizationCode,
    /// RFC 6749 §4.2.
    Implicit,
    /// OpenID Connect Core §3.3.
    Hybrid,
    /// RFC 6749 §4.3.
    Password,
    /// RFC 6749 §4.4.
    ClientCredentials,
    /// RFC 6749 §6.
    RefreshToken,
    /// A provider's token or code for one of ours.
    ConvertToken,
    /// RFC 8693.
    TokenExchange,
    /// RFC 8628.
    DeviceCode,
    /// RFC 7523.
    JwtBearer,
}

impl GrantType {
    /// All of them, in the order of the documentation.
    pub const ALL: [Self; 10] = [
        Self::AuthorizationCode,
        Self::Implicit,
        Self::Hybrid,
        Self::Password,
        Self::ClientCredentials,
        Self::RefreshToken,
        Self::ConvertToken,
        Self::TokenExchange,
        Self::DeviceCode,
        Self::JwtBearer,
    ];

    /// What an application gets that names none.
    pub const DEFAULT: [Self; 3] = [Self::AuthorizationCode, Self::RefreshToken, Self::ConvertToken];

    /// The name on the command line and in the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AuthorizationCode => "authorization-code",
            Self::Implicit => "implicit",
            Self::Hybrid => "hybrid",
            Self::Password => "password",
            Self::ClientCredentials => "client-credentials",
            Self::RefreshToken => "refresh-token",
            Self::ConvertToken => "convert-token",
            Self::TokenExchange => "token-exchange",
            Self::DeviceCode => "device-code",
            Self::JwtBearer => "jwt-bearer",
        }
    }

    /// The value of `grant_type`; `implicit` and `hybrid` never reach the token endpoint under theirs.
    pub const fn wire(self) -> &'static str {
        match self {
            Self::AuthorizationCode => "authorization_code",
            Self::Implicit => "implicit",
            Self::Hybrid => "hybrid",
            Self::Password => "password",
            Self::ClientCredentials => "client_credentials",
            Self::RefreshToken => "refresh_token",
            Self::ConvertToken => "convert_token",
            Self::TokenExchange => "urn:ietf:params:oauth:grant-type:token-exchange",
            Self::DeviceCode => "urn:ietf:params:oauth:grant-type:device_code",
            Self::JwtBearer => "urn:ietf:params:oauth:grant-type:jwt-bearer",
        }
    }

    /// Whether the person's browser is sent back to a redirect URI.
    pub const fn redirects(self) -> bool {
        matches!(self, Self::AuthorizationCode | Self::Implicit | Self::Hybrid)
    }

    /// Whether an application that was given `self` may use `wanted` at the token endpoint.
    ///
    /// Clients of the Django stack rely on more than equality: whoever signs people in by password or code may also
    /// convert, and whoever is handed a refresh token may use it.
    pub const fn covers(self, wanted: Self) -> bool {
        match wanted {
            Self::ConvertToken => matches!(self, Self::ConvertToken | Self::Password | Self::AuthorizationCode),
            Self::RefreshToken => {
                !matches!(self, Self::ClientCredentials | Self::Implicit | Self::JwtBearer | Self::TokenExchange)
            }
            // OpenID Connect Core §3.3: half of a hybrid answer is a code.
            Self::AuthorizationCode => matches!(self, Self::AuthorizationCode | Self::Hybrid),
            _ => self as u8 == wanted as u8,
        }
    }
}

impl fmt::Display for GrantType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for GrantType {
    type Err = String;

    /// Takes the command line's spelling and the wire's (`client-credentials`, `client_credentials`).
    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|grant| grant.as_str() == text || grant.wire() == text).ok_or_else(|| {
            let known: Vec<_> = Self::ALL.iter().map(|grant| grant.as_str()).collect();
            format!("unknown grant type `{text}`; known are {}", known.join(", "))
        })
    }
}

/// Whether an application can keep a secret (RFC 6749 §2.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ClientType {
    /// Runs on a server, has a secret.
    Confidential,
    /// Runs on the person's device, has none.
    Public,
}

impl ClientType {
    /// The name on the command line and in the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Confidential => "confidential",
            Self::Public => "public",
        }
    }
}

impl fmt::Display for ClientType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for ClientType {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "confidential" => Ok(Self::Confidential),
            "public" => Ok(Self::Public),
            _ => Err(format!("unknown client type `{text}`; known are confidential, public")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::GrantType;

    #[test]
    fn every_name_parses_back() {
        for grant in GrantType::ALL {
            assert_eq!(grant.as_str().parse(), Ok(grant));
            assert_eq!(grant.wire().parse(), Ok(grant));
        }
    }

    #[test]
    fn password_covers_refresh_and_conversion_and_client_credentials_cover_neither() {
        assert!(GrantType::Password.covers(GrantType::RefreshToken));
        assert!(GrantType::Password.covers(GrantType::ConvertToken));
        assert!(!GrantType::ClientCredentials.covers(GrantType::RefreshToken));
        assert!(!GrantType::ConvertToken.covers(GrantType::Password));
    }
}
