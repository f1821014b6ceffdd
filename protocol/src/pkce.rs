//! Proof Key for Code Exchange (RFC 7636): whoever redeems a code is whoever asked for it.

use aws_lc_rs::digest;

use crate::error::OAuthError;
use crate::jwt::encode_part;
use crate::params::Params;

/// A code challenge as an authorization request names it, in the form that is stored: `S256:…` or `plain:…`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Challenge(String);

impl Challenge {
    /// Reads `code_challenge` and `code_challenge_method`. `None`: the request has no challenge.
    ///
    /// # Errors
    /// `invalid_request` for a method without a challenge, an unknown one, `plain` where it is not allowed, and a challenge
    /// of another form than RFC 7636 §4.2 gives it. The absent method is `plain` (§4.3).
    pub fn read(params: &Params, plain_allowed: bool) -> Result<Option<Self>, OAuthError> {
        let method = params.get("code_challenge_method");
        let Some(challenge) = params.get("code_challenge") else {
            // An empty challenge counts as none, and then the method says that one was meant.
            return match method {
                None => Ok(None),
                Some(_) => Err(OAuthError::missing("code_challenge")),
            };
        };
        match method.unwrap_or("plain") {
            "S256" if challenge.len() == 43 && is_unreserved(challenge) => Ok(Some(Self(format!("S256:{challenge}")))),
            "plain" if plain_allowed && is_verifier(challenge) => Ok(Some(Self(format!("plain:{challenge}")))),
            "S256" | "plain" if plain_allowed => {
                Err(OAuthError::invalid_request("`code_challenge` does not have the form of RFC 7636 §4.2."))
            }
            "S256" => Err(OAuthError::invalid_request(
                "`code_challenge` must be the SHA-256 of the verifier in base64url: 43 characters (RFC 7636 §4.2).",
            )),
            _ => Err(OAuthError::invalid_request("Send `code_challenge_method=S256`; no other is taken.")),
        }
    }

    /// The stored form.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The stored challenges that this verifier answers, one a method. An absent verifier answers the absent challenge only,
/// and a present one never does (RFC 9700 §4.8.2).
///
/// # Errors
/// `invalid_grant` for a verifier of another form than RFC 7636 §4.1 gives it.
pub fn answered_by(verifier: Option<&str>) -> Result<[String; 2], OAuthError> {
    let Some(verifier) = verifier else { return Ok([String::new(), String::new()]) };
    if !is_verifier(verifier) {
        return Err(OAuthError::invalid_grant("`code_verifier` does not have the form of RFC 7636 §4.1."));
    }
    let hash = digest::digest(&digest::SHA256, verifier.as_bytes());
    Ok([format!("S256:{}", encode_part(hash.as_ref())), format!("plain:{verifier}")])
}

fn is_verifier(text: &str) -> bool {
    (43..=128).contains(&text.len()) && is_unreserved(text)
}

fn is_unreserved(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~'))
}

#[cfg(test)]
mod tests {
    use super::{Challenge, answered_by};
    use crate::params::Params;

    fn read(query: &str, plain_allowed: bool) -> Result<Option<Challenge>, crate::OAuthError> {
        Challenge::read(&Params::from_form(query.as_bytes()).unwrap(), plain_allowed)
    }

    #[test]
    fn the_verifier_of_the_rfc_answers_its_challenge() {
        // RFC 7636 appendix B
        let query = "code_challenge=E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM&code_challenge_method=S256";
        let challenge = read(query, false).unwrap().unwrap();

        let answered = answered_by(Some("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk")).unwrap();

        assert!(answered.contains(&challenge.as_str().to_owned()));
        assert!(!answered.contains(&String::new()));
        assert_eq!(answered_by(None).unwrap()[0], "");
        assert!(answered_by(Some("short")).is_err());
    }

    #[test]
    fn plain_odd_and_half_challenges_are_refused() {
        // attack 61
        let long = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
        assert_eq!(read("", false).unwrap(), None);
        for bad in [
            format!("code_challenge={long}"),
            format!("code_challenge={long}&code_challenge_method=plain"),
            format!("code_challenge={long}&code_challenge_method=s256"),
            format!("code_challenge={long}&code_challenge_method=S512"),
            "code_challenge=&code_challenge_method=S256".to_owned(),
            "code_challenge_method=S256".to_owned(),
            "code_challenge=short&code_challenge_method=S256".to_owned(),
        ] {
            assert_eq!(read(&bad, false).unwrap_err().code.as_str(), "invalid_request", "{bad}");
        }
        assert!(read(&format!("code_challenge={long}&code_challenge_method=plain"), true).unwrap().is_some());
        assert!(read("code_challenge=short&code_challenge_method=plain", true).is_err());
    }
}
