//! The tables of an entry that say how the provider is asked.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::expression::Expression;
use super::template::Template;
use crate::key_set::{Algorithm, DEFAULT_ALGORITHMS};

/// `[endpoints]`
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Endpoints {
    /// Where a browser is sent.
    pub authorize: Option<Template>,
    /// Where a code is redeemed; OAuth 1.0a: where a token is authorised.
    pub token: Option<Template>,
    /// OAuth 1.0a: where a request token is had.
    pub request_token: Option<Template>,
    /// Who the person is. Its answer is the root of what the claims read.
    pub userinfo: Option<Template>,
    /// The keys that sign ID tokens.
    pub jwks: Option<Template>,
    /// The hosts that an endpoint may have whose host comes out of an answer; `*.` stands for every name below.
    pub hosts: Vec<String>,
}

/// `[authorize]`: how a browser is sent (RFC 6749 §4.1.1).
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AuthorizeRule {
    /// Further parameters.
    pub params: BTreeMap<String, Template>,
    /// Parameters that have another name there.
    pub names: BTreeMap<String, String>,
    /// Parameters that are not sent.
    pub omit: Vec<String>,
    /// The parameter in which the code comes back; without it, `code`.
    pub code: Option<String>,
    /// PKCE (RFC 7636).
    pub pkce: PkceMethod,
    /// Whether a nonce is sent along; without it, where ID tokens are taken.
    pub nonce: Option<bool>,
    /// What stands behind the `#`.
    pub fragment: Option<String>,
    /// Whether the provider sends `state` back. Without it, the answer is bound to the browser by its redirect URI.
    pub no_state: bool,
}

/// `authorize.pkce`
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
pub enum PkceMethod {
    /// `code_challenge_method=S256`.
    #[default]
    S256,
    /// The same, by providers that compare letter by letter with their own spelling.
    #[serde(rename = "s256")]
    LowerCaseS256,
    /// None: the provider refuses unknown parameters.
    #[serde(rename = "off")]
    Off,
}

/// `[scope]`
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ScopeRule {
    /// Asked for at every sign-in.
    pub default: Vec<String>,
    /// What stands between two.
    pub separator: String,
}

impl Default for ScopeRule {
    fn default() -> Self {
        Self { default: Vec::new(), separator: " ".into() }
    }
}

/// `[token]`: how a code is redeemed (RFC 6749 §4.1.3), and what the answer looks like.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TokenRule {
    /// How our credentials go along; without it, as the discovery document says, else in the form.
    pub auth: Option<ClientAuth>,
    /// How the parameters go along.
    pub body: BodyForm,
    /// Further parameters.
    pub params: BTreeMap<String, Template>,
    /// Further query parameters of the endpoint.
    pub query: BTreeMap<String, Template>,
    /// Further headers.
    pub headers: BTreeMap<String, Template>,
    /// Parameters that have another name there.
    pub names: BTreeMap<String, String>,
    /// Parameters that are not sent.
    pub omit: Vec<String>,
    /// Where in the answer everything below is.
    pub answer: Option<Expression>,
    /// Where the access token is; without it, `access_token`.
    pub access_token: Option<Expression>,
    /// Where its seconds to live are; without it, `expires_in`.
    pub expires_in: Option<Expression>,
}

/// `token.auth`
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum ClientAuth {
    /// Both in the form (or wherever the parameters go).
    ClientSecretPost,
    /// An `Authorization: Basic` header.
    ClientSecretBasic,
    /// Both ways at once.
    Both,
    /// The client id in the form, no secret.
    None,
}

/// `token.body`
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum BodyForm {
    /// POST, a form.
    #[default]
    Form,
    /// POST, a JSON object.
    Json,
    /// GET, everything in the query.
    Query,
    /// POST, the parameters in the form and again in the query.
    Doubled,
}

/// `[refresh]`: how an expired access token is made anew (RFC 6749 §6).
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RefreshRule {
    /// Where; without it, the token endpoint.
    pub url: Option<Template>,
    /// How our credentials go along; without it, as for a code.
    pub auth: Option<ClientAuth>,
    /// In place of the standard's parameters; `{token}` is the refresh token, or the access token where `by` says so.
    pub params: BTreeMap<String, Template>,
    /// How the parameters go along; without it, as for a code.
    pub body: Option<BodyForm>,
    /// By which token.
    pub by: RefreshBy,
}

/// `refresh.by`
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum RefreshBy {
    /// The refresh token.
    #[default]
    RefreshToken,
    /// The access token itself, while it is good.
    AccessToken,
    /// It cannot be.
    Nothing,
}

/// `[revoke]`: how a token is ended at the provider (RFC 7009 and what there was before it).
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RevokeRule {
    /// Where.
    pub url: Template,
    /// GET, POST or DELETE.
    #[serde(default = "post")]
    pub method: Method,
    /// Whether our client id and secret go along in an `Authorization: Basic` header.
    #[serde(default)]
    pub basic: bool,
    /// A JSON body.
    pub json: Option<BTreeMap<String, Template>>,
    /// A form body; none, and no JSON: `token={token}` for a POST.
    pub form: Option<BTreeMap<String, Template>>,
    /// Which token is ended.
    #[serde(default)]
    pub by: RevokeBy,
    /// Headers.
    #[serde(default)]
    pub headers: BTreeMap<String, Template>,
}

/// `revoke.by`
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum RevokeBy {
    /// The refresh token; the access token where there is no other.
    #[default]
    RefreshToken,
    /// The access token: the endpoint takes no other, and ends both by it.
    AccessToken,
}

const fn post() -> Method {
    Method::Post
}

/// `[access_token]`: where it goes at user info and `[[profile]]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AccessTokenRule {
    /// Where it goes.
    #[serde(rename = "in")]
    pub place: TokenPlace,
    /// The word before it in the `Authorization` header.
    pub scheme: String,
    /// The name of the header, the query parameter or the form field.
    pub name: Option<String>,
}

impl Default for AccessTokenRule {
    fn default() -> Self {
        Self { place: TokenPlace::Header, scheme: "Bearer".into(), name: None }
    }
}

impl AccessTokenRule {
    /// The name of the query parameter or the form field.
    pub fn parameter(&self) -> &str {
        self.name.as_deref().unwrap_or("access_token")
    }
}

/// `access_token.in`
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum TokenPlace {
    /// `Authorization: SCHEME TOKEN`, or another header of the name with the token alone.
    Header,
    /// `?NAME=TOKEN`.
    Query,
    /// A form body, by POST.
    Body,
    /// Header and query at once.
    Both,
    /// Only where a template says `{token}`.
    Template,
    /// Nowhere: the token is a JWT that says itself who the person is, verified by `[audience]`.
    Itself,
    /// Nowhere: an access token says nothing about the person there, and is not taken.
    Nowhere,
}

/// `[userinfo]`, and the rest of `[[profile]]`: how a request about the person is made and its answer is read.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct RequestRule {
    /// GET or POST; with `json` or `form`, POST.
    pub method: Option<Method>,
    /// Members of a JSON body.
    pub json: Option<BTreeMap<String, Template>>,
    /// Fields of a form body.
    pub form: Option<BTreeMap<String, Template>>,
    /// Further headers.
    pub headers: BTreeMap<String, Template>,
    /// What the answer is written in.
    pub format: Format,
    /// A header of the answer that stands for all of it.
    pub answer_header: Option<String>,
}

/// `userinfo.format`, `profile.format`
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// JSON, also wrapped in a call (`callback( {…} );`). A list is read as the member `list`.
    #[default]
    Json,
    /// `a=b&c=d`.
    Form,
    /// XML: an element is a member, several of one name a list, attributes begin with `@`.
    Xml,
}

/// `[[profile]]`: a request beside user info. One whose templates hold expressions waits for the answers of those that do
/// not, and of user info.
#[derive(Clone, Debug, Deserialize)]
pub struct ProfileRequest {
    /// Under which its answer appears.
    pub name: String,
    /// Where it is asked.
    pub url: Template,
    /// Whether a refusal (401, 403, 404) just leaves it out.
    #[serde(default)]
    pub optional: bool,
    /// Whether a refusal (302, 401, 403, 404) means that the person is not a member, and may not come in.
    #[serde(default)]
    pub membership: bool,
    /// Asked only where this setting has a value.
    pub only_with: Option<String>,
    /// How it is asked and read.
    #[serde(flatten)]
    pub rule: RequestRule,
}

/// `[[require]]`: what must hold of the answers for the person to come in.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Requirement {
    /// True if it holds.
    pub that: Expression,
    /// What the person is told otherwise.
    pub otherwise: String,
}

/// `[audience]`: how the provider tells for whom an access token was made.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AudienceCheck {
    /// What is looked at.
    #[serde(default, rename = "of")]
    pub source: AudienceSource,
    /// GET or POST.
    #[serde(default)]
    pub method: Method,
    /// Where it is asked.
    pub url: Option<Template>,
    /// Asked only where this setting has a value; otherwise nothing is proven.
    pub only_with: Option<String>,
    /// Whether our client id and secret go along in an `Authorization: Basic` header.
    #[serde(default)]
    pub basic: bool,
    /// Whether the token goes along as at user info.
    #[serde(default)]
    pub bearer: bool,
    /// Further headers.
    #[serde(default)]
    pub headers: BTreeMap<String, Template>,
    /// A JSON body.
    pub json: Option<BTreeMap<String, Template>>,
    /// A form body.
    pub form: Option<BTreeMap<String, Template>>,
    /// For whom the token was made: a text, or a list of which one must be ours. Without it, `valid` must be true of our
    /// own application's tokens only.
    pub audience: Option<Expression>,
    /// What must be found there in place of the client id: a setting's name (Kakao has a number beside the key).
    pub is_setting: Option<String>,
    /// Whose token it is; must be the profile's identifier.
    pub subject: Option<Expression>,
    /// Whether it is good.
    pub valid: Option<Expression>,
    /// Seconds that it still lives.
    pub expires_in: Option<Expression>,
    /// When it ends, in seconds since 1970; 0 is never.
    pub expires_at: Option<Expression>,
    /// An answer that means "another client's token".
    pub foreign: Option<Expression>,
    /// Statuses that mean "another client's token".
    #[serde(default)]
    pub foreign_statuses: Vec<u16>,
    /// Statuses that mean "no such token".
    #[serde(default = "bad_request")]
    pub rejected_statuses: Vec<u16>,
    /// Statuses that mean "your own credentials are wrong".
    #[serde(default = "unauthorized")]
    pub misconfigured_statuses: Vec<u16>,
}

impl AudienceCheck {
    /// Whether no question is asked: the calls about the person prove it.
    pub fn is_in_calls(&self) -> bool {
        self.source == AudienceSource::Calls
    }
}

fn bad_request() -> Vec<u16> {
    vec![400]
}

fn unauthorized() -> Vec<u16> {
    vec![401, 403]
}

/// `audience.of`
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum AudienceSource {
    /// An answer to a request of its own (`audience.url`).
    #[default]
    Request,
    /// The answers about the person.
    Profile,
    /// The access token itself: a JWT, verified by the provider's keys.
    Jwt,
    /// Nothing: every call about the person proves it, being signed with our secret or sent with our key.
    Calls,
}

/// A request's method.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "UPPERCASE")]
pub enum Method {
    /// Everything is in the URL.
    #[default]
    Get,
    /// With a body.
    Post,
    /// To end something.
    Delete,
}

/// `[id_token]`
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct IdTokenRule {
    /// What may sign.
    pub algorithms: Vec<Algorithm>,
    /// How the request's nonce comes back.
    pub nonce: NonceForm,
    /// Whether it has every claim, so that user info is not asked beside it.
    pub complete: bool,
    /// The oldest that is taken, in seconds since it was issued.
    pub max_age: Option<i64>,
    /// Whether `at_hash` is compared where it is there and an access token came along (§3.1.3.8).
    pub at_hash: bool,
}

impl Default for IdTokenRule {
    fn default() -> Self {
        Self {
            algorithms: DEFAULT_ALGORITHMS.to_vec(),
            nonce: NonceForm::Plain,
            complete: false,
            max_age: None,
            at_hash: true,
        }
    }
}

/// `id_token.nonce`
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum NonceForm {
    /// As it was sent.
    Plain,
    /// Its SHA-256 in hexadecimal.
    Sha256,
}

/// `[errors]`: expressions over an answer's JSON; true means it.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ErrorRules {
    /// A refusal, though the status says success.
    pub refused: Option<Expression>,
    /// Too many calls, or down: the same may succeed later.
    pub busy: Option<Expression>,
    /// The token was good once.
    pub expired: Option<Expression>,
    /// Our own credentials are wrong.
    pub misconfigured: Option<Expression>,
}

/// `[oauth1]` (RFC 5849)
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OAuth1Rule {
    /// How requests are signed.
    pub signature: SignatureMethod,
    /// How a request token is asked for.
    pub request_token_method: Method,
    /// How a request token is traded for an access token.
    pub token_method: Method,
    /// Further parameters when a request token is asked for.
    pub request_token_params: BTreeMap<String, Template>,
}

impl Default for OAuth1Rule {
    fn default() -> Self {
        Self {
            signature: SignatureMethod::HmacSha1,
            request_token_method: Method::Get,
            token_method: Method::Get,
            request_token_params: BTreeMap::new(),
        }
    }
}

/// `oauth1.signature` (RFC 5849 §3.4)
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
pub enum SignatureMethod {
    /// §3.4.2
    #[serde(rename = "HMAC-SHA1")]
    HmacSha1,
    /// The same with SHA-256.
    #[serde(rename = "HMAC-SHA256")]
    HmacSha256,
    /// §3.4.3
    #[serde(rename = "RSA-SHA1")]
    RsaSha1,
    /// §3.4.4
    #[serde(rename = "PLAINTEXT")]
    Plaintext,
}

impl SignatureMethod {
    /// The word on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::HmacSha1 => "HMAC-SHA1",
            Self::HmacSha256 => "HMAC-SHA256",
            Self::RsaSha1 => "RSA-SHA1",
            Self::Plaintext => "PLAINTEXT",
        }
    }
}

/// `[openid2]` (OpenID Authentication 2.0)
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OpenId2Rule {
    /// Whose identifier is discovered: the provider's, or one made of what the person typed. Without it, the person types
    /// all of it (`openid_identifier`).
    pub identifier: Option<Template>,
    /// Attribute Exchange 1.0: a name of ours and the attribute's type.
    pub attributes: BTreeMap<String, String>,
    /// Simple Registration 1.1: the fields asked for.
    pub registration: Vec<String>,
    /// What every identifier of this provider begins with.
    pub identifier_prefix: Option<String>,
}

/// `[[example]]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Example {
    /// What user info answers, or the claims of an ID token, or what a driver makes of its answer: JSON.
    #[serde(default = "empty_object")]
    pub answer: String,
    /// What each `[[profile]]` answers: JSON by name; also `token_answer`, `id_token`, `callback`, `request`.
    #[serde(default)]
    pub answers: BTreeMap<String, String>,
    /// What the operator has set.
    #[serde(default)]
    pub settings: toml::Table,
    /// What we make of it.
    pub profile: ExampleProfile,
}

fn empty_object() -> String {
    "{}".into()
}

/// `example.profile`
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(default, deny_unknown_fields)]
#[expect(missing_docs, reason = "the fields are those of `Profile`")]
pub struct ExampleProfile {
    pub uid: String,
    pub username: Option<String>,
    pub email: Option<String>,
    pub email_verified: bool,
    pub first_name: Option<String>,
    pub last_name: Option<String>,
}
