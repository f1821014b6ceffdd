//! An authorization request as a client sends it, and the answer that goes back through the browser (RFC 6749 §4.1,
//! OpenID Connect Core §3, OAuth 2.0 Multiple Response Type Encoding Practices).
//!
//! Not here: who the client is and whether the redirect URI is its own, without which nothing may be answered
//! (`vestibule::authorize`).

use std::str::FromStr;

use serde_json::{Map, Value};

use crate::error::{ErrorCode, OAuthError};
use crate::grant_type::GrantType;
use crate::params::Params;

/// What is asked for: a set of `code`, `token` and `id_token`, never empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResponseType {
    /// An authorization code.
    pub code: bool,
    /// An access token, through the browser.
    pub token: bool,
    /// An ID token, through the browser.
    pub id_token: bool,
}

impl ResponseType {
    /// The ones that there are, as discovery names them.
    pub const ALL: [&str; 7] =
        ["code", "token", "id_token", "id_token token", "code id_token", "code token", "code id_token token"];

    /// What an application must have been given to ask for it.
    pub const fn grant_type(self) -> GrantType {
        match (self.code, self.is_front_channel()) {
            (true, false) => GrantType::AuthorizationCode,
            (true, true) => GrantType::Hybrid,
            _ => GrantType::Implicit,
        }
    }

    /// Whether the answer goes into the fragment where the request does not say (never a token in a query).
    pub const fn is_front_channel(self) -> bool {
        self.token || self.id_token
    }
}

impl FromStr for ResponseType {
    type Err = OAuthError;

    /// The order of the words does not count.
    fn from_str(text: &str) -> Result<Self, OAuthError> {
        let mut words: Vec<&str> = text.split(' ').filter(|word| !word.is_empty()).collect();
        words.sort_unstable();
        let unknown =
            || OAuthError::new(ErrorCode::UnsupportedResponseType, "`response_type` is not one that is known here.");
        words.windows(2).all(|pair| pair[0] != pair[1]).then_some(()).ok_or_else(unknown)?;
        let has = |word: &str| words.contains(&word);
        let known = words.iter().filter(|word| ["code", "token", "id_token"].contains(word)).count();
        if words.is_empty() || known != words.len() {
            return Err(unknown());
        }
        Ok(Self { code: has("code"), token: has("token"), id_token: has("id_token") })
    }
}

/// How the answer travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Carrier {
    /// In the query of the redirect URI.
    Query,
    /// In its fragment.
    Fragment,
    /// In the body of a form that the browser posts there.
    FormPost,
}

/// `response_mode`: a carrier, and whether the answer is one signed JWT (JARM).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResponseMode {
    /// How it travels.
    pub carrier: Carrier,
    /// Whether it is a JWT.
    pub is_jwt: bool,
}

impl ResponseMode {
    /// The ones that there are, as discovery names them.
    pub const ALL: [&str; 7] = ["query", "fragment", "form_post", "jwt", "query.jwt", "fragment.jwt", "form_post.jwt"];

    /// Reads `response_mode`; `None` is the response type's own.
    ///
    /// # Errors
    /// `invalid_request` for an unknown one, and for a token in a query.
    pub fn read(text: Option<&str>, response_type: Option<ResponseType>) -> Result<Self, OAuthError> {
        let front = response_type.is_some_and(ResponseType::is_front_channel);
        let own = if front { Carrier::Fragment } else { Carrier::Query };
        let text = text.unwrap_or_default();
        let (name, is_jwt) = match text.strip_suffix("jwt") {
            Some(rest) => (rest.strip_suffix('.').unwrap_or(rest), true),
            None => (text, false),
        };
        let carrier = match name {
            "" => own,
            "query" => Carrier::Query,
            "fragment" => Carrier::Fragment,
            "form_post" => Carrier::FormPost,
            _ => return Err(OAuthError::invalid_request("`response_mode` is not one that is known here.")),
        };
        if front && carrier == Carrier::Query && !is_jwt {
            return Err(OAuthError::invalid_request(
                "Tokens are never sent in a query: ask for another `response_mode`.",
            ));
        }
        Ok(Self { carrier, is_jwt })
    }
}

/// `prompt` (OpenID Connect Core §3.1.2.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Prompt {
    /// No page may be shown.
    pub none: bool,
    /// The person must prove who they are again.
    pub login: bool,
    /// The person must be asked again what is allowed.
    pub consent: bool,
    /// The person must be able to choose an account.
    pub select_account: bool,
}

impl Prompt {
    /// Reads the words. `create` (OpenID Connect Prompt Create) and other words that we do not know are passed over.
    ///
    /// # Errors
    /// `invalid_request` for `none` beside another word.
    pub fn read(text: &str) -> Result<Self, OAuthError> {
        let has = |word: &str| text.split(' ').any(|own| own == word);
        let prompt = Self {
            none: has("none"),
            login: has("login"),
            consent: has("consent"),
            select_account: has("select_account"),
        };
        match prompt.none && text.split(' ').filter(|word| !word.is_empty()).count() > 1 {
            true => Err(OAuthError::invalid_request("`prompt=none` stands alone.")),
            false => Ok(prompt),
        }
    }
}

/// The claims that a request names one by one (OpenID Connect Core §5.5): their names for either place.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RequestedClaims {
    /// For the ID token.
    pub id_token: Vec<String>,
    /// For user info.
    pub userinfo: Vec<String>,
    /// The subject that must be the one who signs in.
    pub subject: Option<String>,
    /// The ways of signing in of which one must be used.
    pub essential_acr: Vec<String>,
}

impl RequestedClaims {
    /// Reads the JSON of `claims`.
    ///
    /// # Errors
    /// `invalid_request` where it is not an object of objects.
    pub fn read(text: &str) -> Result<Self, OAuthError> {
        let bad = || OAuthError::invalid_request("`claims` must be a JSON object (OpenID Connect Core §5.5).");
        let all: Map<String, Value> = serde_json::from_str(text).map_err(|_| bad())?;
        let part = |name: &str| match all.get(name) {
            None | Some(Value::Null) => Ok(Map::new()),
            Some(Value::Object(part)) => Ok(part.clone()),
            Some(_) => Err(bad()),
        };
        let (id_token, userinfo) = (part("id_token")?, part("userinfo")?);
        let texts = |wish: &Value| -> Vec<String> {
            let many = wish.get("values").and_then(Value::as_array).into_iter().flatten();
            wish.get("value").into_iter().chain(many).filter_map(Value::as_str).map(str::to_owned).collect()
        };
        let subject = [&id_token, &userinfo].iter().find_map(|part| part.get("sub")).map(texts);
        let acr = id_token.get("acr").filter(|wish| wish.get("essential") == Some(&Value::Bool(true)));
        Ok(Self {
            subject: subject.and_then(|subjects| subjects.into_iter().next()),
            essential_acr: acr.map(texts).unwrap_or_default(),
            id_token: id_token.keys().cloned().collect(),
            userinfo: userinfo.keys().cloned().collect(),
        })
    }
}

/// The parameters of an authorization request that can be judged without knowing more than the request.
#[derive(Clone, Debug)]
pub struct AuthorizationRequest {
    /// What is asked for.
    pub response_type: ResponseType,
    /// Where the answer goes, as the request names it.
    pub redirect_uri: Option<String>,
    /// The client's own, given back.
    pub state: Option<String>,
    /// For the ID token.
    pub nonce: Option<String>,
    /// What the person may be asked.
    pub prompt: Prompt,
    /// Seconds since the last sign-in after which the person is asked again.
    pub max_age: Option<i64>,
    /// Claims one by one.
    pub claims: RequestedClaims,
}

impl AuthorizationRequest {
    /// Reads the request, whose client and redirect URI are beyond doubt.
    ///
    /// # Errors
    /// What goes back to the client: `invalid_request`, `unsupported_response_type`.
    pub fn read(params: &Params) -> Result<Self, OAuthError> {
        let response_type: ResponseType = params.required("response_type")?.parse()?;
        let nonce = params.get("nonce").map(str::to_owned);
        if response_type.id_token && nonce.is_none() {
            // OpenID Connect Core §3.2.2.1, §3.3.2.11
            return Err(OAuthError::invalid_request("An ID token through the browser needs a `nonce`."));
        }
        let max_age = match params.get("max_age") {
            None => None,
            Some(text) => Some(
                text.parse::<i64>()
                    .ok()
                    .filter(|age| *age >= 0)
                    .ok_or_else(|| OAuthError::invalid_request("`max_age` must be a number of seconds."))?,
            ),
        };
        Ok(Self {
            response_type,
            redirect_uri: params.get("redirect_uri").map(str::to_owned),
            state: params.get("state").map(str::to_owned),
            nonce,
            prompt: Prompt::read(params.get("prompt").unwrap_or_default())?,
            max_age,
            claims: params.get("claims").map(RequestedClaims::read).transpose()?.unwrap_or_default(),
        })
    }
}

/// A redirect URI with these members in its query or fragment (RFC 6749 §4.1.2: a query that is there stays).
pub fn with_members(redirect_uri: &str, carrier: Carrier, members: &[(&str, String)]) -> String {
    let encoded = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(members).finish();
    let separator = match carrier {
        Carrier::Fragment => "#",
        _ if !redirect_uri.contains('?') => "?",
        _ if redirect_uri.ends_with(['?', '&']) => "",
        _ => "&",
    };
    [redirect_uri, separator, &encoded].concat()
}

#[cfg(test)]
mod tests {
    use super::{AuthorizationRequest, Carrier, RequestedClaims, ResponseMode, ResponseType, with_members};
    use crate::params::Params;

    fn read(query: &str) -> Result<AuthorizationRequest, crate::OAuthError> {
        AuthorizationRequest::read(&Params::from_form(query.as_bytes()).unwrap())
    }

    #[test]
    fn response_types_are_sets() {
        let hybrid: ResponseType = "id_token code".parse().unwrap();
        assert!(hybrid.code && hybrid.id_token && !hybrid.token);
        for known in ResponseType::ALL {
            assert!(known.parse::<ResponseType>().is_ok(), "{known}");
        }
        for bad in ["", " ", "codes", "code code", "none", "code none", "CODE"] {
            assert_eq!(bad.parse::<ResponseType>().unwrap_err().code.as_str(), "unsupported_response_type", "{bad}");
        }
    }

    #[test]
    fn a_token_never_goes_into_a_query() {
        let (code, implicit) = ("code".parse().ok(), "id_token token".parse().ok());
        assert_eq!(ResponseMode::read(None, code).unwrap().carrier, Carrier::Query);
        assert_eq!(ResponseMode::read(None, implicit).unwrap().carrier, Carrier::Fragment);
        assert!(ResponseMode::read(Some("query"), implicit).is_err());
        assert!(ResponseMode::read(Some("web_message"), code).is_err());
        let jarm = ResponseMode::read(Some("jwt"), code).unwrap();
        assert_eq!((jarm.carrier, jarm.is_jwt), (Carrier::Query, true));
        let form = ResponseMode::read(Some("form_post.jwt"), code).unwrap();
        assert_eq!((form.carrier, form.is_jwt), (Carrier::FormPost, true));
        for known in ResponseMode::ALL {
            assert!(ResponseMode::read(Some(known), code).is_ok(), "{known}");
        }
    }

    #[test]
    fn what_a_request_lacks_is_said() {
        // attacks 37, 39
        assert_eq!(read("client_id=a").unwrap_err().field, Some("response_type"));
        assert_eq!(read("response_type=code+id_token").unwrap_err().code.as_str(), "invalid_request");
        assert!(read("response_type=code&nonce=n&prompt=login+consent&max_age=0").is_ok());
        assert!(read("response_type=code&prompt=none+login").is_err());
        assert!(read("response_type=code&max_age=-1").is_err());
        assert!(read("response_type=code&claims=[]").is_err());
        assert!(read("response_type=code&claims=%7B%22userinfo%22:1%7D").is_err());
    }

    #[test]
    fn claims_are_named_for_either_place() {
        let claims = RequestedClaims::read(
            r#"{"userinfo": {"name": {"essential": true}}, "id_token": {"sub": {"value": "7"}, "acr": {"essential": true, "values": ["a", "b"]}}}"#,
        )
        .unwrap();

        assert_eq!((claims.userinfo, claims.subject.as_deref()), (vec!["name".to_owned()], Some("7")));
        assert_eq!(claims.essential_acr, ["a", "b"]);
    }

    #[test]
    fn members_join_what_is_there() {
        let members = [("code", "a b".to_owned()), ("state", "x\r\ny".to_owned())];
        assert_eq!(with_members("https://a/cb", Carrier::Query, &members), "https://a/cb?code=a+b&state=x%0D%0Ay");
        assert_eq!(with_members("https://a/cb?z", Carrier::Query, &members[..1]), "https://a/cb?z&code=a+b");
        assert_eq!(with_members("https://a/cb?z", Carrier::Fragment, &members[..1]), "https://a/cb?z#code=a+b");
    }
}
