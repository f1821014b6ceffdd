//! What an entry cannot say as data, by the name in its `quirk`: one file each, shared by the providers that have it.
//!
//! The rooms around it ask here at fixed places (at the start, before a call, at the way out and back), one `match` each; a
//! provider without a quirk passes through.

mod apple;
mod azure_assertion;
mod discourse;
mod draugiem;
mod facebook_app;
mod github_app;
mod google_onetap;
mod lastfm;
mod loginradius;
mod mediawiki;
mod odnoklassniki;
mod shopify;
mod signed_request;
mod telegram;
mod twilio;
mod vk_app;
mod vk_id;
mod vk_openapi;

use aws_lc_rs::{constant_time, hmac};
use md5::{Digest as _, Md5};
use serde_json::{Map, Value};

use super::journey::{Departure, Going, Return, Unasked};
use super::outbound::{Answer, Call};
use super::person::Known;
use super::token_endpoint::Fields;
use super::{Identified, Provider, ProviderTokens, Upstream, refuse};
use crate::protocol::provider::Entry;
use crate::protocol::{OAuthError, Params};

/// Every quirk there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Quirk {
    Apple,
    AzureAssertion,
    Discourse,
    Draugiem,
    FacebookApp,
    GithubApp,
    GoogleOnetap,
    LastFm,
    LoginRadius,
    MediaWiki,
    Odnoklassniki,
    OdnoklassnikiApp,
    Shopify,
    SignedRequest,
    Telegram,
    Twilio,
    VkApp,
    VkId,
    VkOpenapi,
}

/// Their names in the catalog.
pub(super) const QUIRKS: &[(&str, Quirk)] = &[
    ("apple", Quirk::Apple),
    ("azure-assertion", Quirk::AzureAssertion),
    ("discourse", Quirk::Discourse),
    ("draugiem", Quirk::Draugiem),
    ("facebook-app", Quirk::FacebookApp),
    ("github-app", Quirk::GithubApp),
    ("google-onetap", Quirk::GoogleOnetap),
    ("lastfm", Quirk::LastFm),
    ("loginradius", Quirk::LoginRadius),
    ("mediawiki", Quirk::MediaWiki),
    ("odnoklassniki", Quirk::Odnoklassniki),
    ("odnoklassniki-app", Quirk::OdnoklassnikiApp),
    ("shopify", Quirk::Shopify),
    ("signed-request", Quirk::SignedRequest),
    ("telegram", Quirk::Telegram),
    ("twilio", Quirk::Twilio),
    ("vk-app", Quirk::VkApp),
    ("vk-id", Quirk::VkId),
    ("vk-openapi", Quirk::VkOpenapi),
];

/// The quirk of an entry.
pub(super) fn of(entry: &Entry) -> Option<Quirk> {
    let name = entry.quirk.as_ref()?;
    QUIRKS.iter().find(|(own, _)| own == name).map(|(_, quirk)| *quirk)
}

/// Whether there is a quirk of this name.
pub(super) fn is_known(name: &str) -> bool {
    QUIRKS.iter().any(|(own, _)| *own == name)
}

/// What proves at the token endpoint that we are the client.
pub(super) struct Credentials {
    /// The client secret.
    pub secret: Option<String>,
    /// Parameters in its place.
    pub fields: Fields,
}

/// Whether a sign-in needs our client id though the protocol does not always.
pub(super) fn needs_client_id(entry: &Entry) -> bool {
    use Quirk::{FacebookApp, LastFm, LoginRadius, Shopify, Twilio, VkApp};
    matches!(of(entry), Some(FacebookApp | LastFm | LoginRadius | Shopify | Twilio | VkApp))
}

/// Whether a sign-in needs our secret though no template has it.
pub(super) fn needs_client_secret(entry: &Entry) -> bool {
    use Quirk::{
        Apple, Discourse, Draugiem, FacebookApp, LastFm, LoginRadius, MediaWiki, Odnoklassniki, OdnoklassnikiApp,
        Shopify, SignedRequest, VkApp, VkOpenapi,
    };
    let signs = matches!(
        of(entry),
        Some(Apple | Discourse | Draugiem | FacebookApp | LastFm | LoginRadius | MediaWiki | Odnoklassniki)
    );
    signs || matches!(of(entry), Some(OdnoklassnikiApp | Shopify | SignedRequest | VkApp | VkOpenapi))
}

/// Whether everything is there that the quirk needs.
///
/// # Errors
/// What is missing, for the operator.
pub(super) fn check(provider: &Provider) -> Result<(), String> {
    use Quirk::{FacebookApp, GoogleOnetap, OdnoklassnikiApp, Telegram, VkApp};
    let quirk = of(&provider.entry);
    let proves_itself = matches!(quirk, Some(FacebookApp | GoogleOnetap | OdnoklassnikiApp | Telegram | VkApp));
    if provider.entry.starts_there && !proves_itself {
        return Err("`starts_there` cannot be set: an answer of this provider does not prove that it is fresh".into());
    }
    match quirk {
        Some(Quirk::Apple) => apple::check(provider),
        Some(Quirk::AzureAssertion) => azure_assertion::check(provider),
        Some(Quirk::Telegram) => telegram::check(provider),
        _ => Ok(()),
    }
}

/// Our credentials for the provider.
///
/// # Errors
/// `misconfigured`.
pub(super) fn credentials(provider: &Provider, now: i64) -> Result<Credentials, OAuthError> {
    let own = provider.secret().map(str::to_owned);
    match of(&provider.entry) {
        Some(Quirk::Apple) => {
            Ok(Credentials { secret: Some(apple::client_secret(provider, now)?), fields: Vec::new() })
        }
        Some(Quirk::AzureAssertion) if own.is_none() => {
            Ok(Credentials { secret: None, fields: azure_assertion::fields(provider)? })
        }
        _ => Ok(Credentials { secret: own, fields: Vec::new() }),
    }
}

/// Further parameters of the provider's sign-in page.
pub(super) fn authorize_fields(provider: &Provider, redirect_uri: &str) -> Fields {
    match of(&provider.entry) {
        Some(Quirk::Draugiem) => draugiem::authorize_fields(provider, redirect_uri),
        _ => Vec::new(),
    }
}

/// Further parameters with which a code is redeemed.
///
/// # Errors
/// Something did not come along that is needed.
pub(super) fn code_fields(provider: &Provider, known: &Known) -> Result<Fields, OAuthError> {
    match of(&provider.entry) {
        Some(Quirk::VkId) => vk_id::code_fields(known),
        _ => Ok(Vec::new()),
    }
}

/// Further parameters with which a token is renewed.
///
/// # Errors
/// Something was not kept that is needed.
pub(super) fn refresh_fields(provider: &Provider, tokens: &ProviderTokens) -> Result<Fields, OAuthError> {
    match of(&provider.entry) {
        Some(Quirk::VkId) => vk_id::refresh_fields(provider, tokens),
        _ => Ok(Vec::new()),
    }
}

/// Looks at what the token endpoint answered to these parameters.
///
/// # Errors
/// It is the answer to something else.
pub(super) fn check_token_answer(
    provider: &Provider,
    sent: &Fields,
    answer: &Map<String, Value>,
) -> Result<(), OAuthError> {
    match of(&provider.entry) {
        Some(Quirk::VkId) => vk_id::check_token_answer(provider, sent, answer),
        _ => Ok(()),
    }
}

/// What of a sign-in must be known again when its token is refreshed.
pub(super) fn kept(provider: &Provider, known: &Known) -> Vec<(String, Value)> {
    match of(&provider.entry) {
        Some(Quirk::VkId) => vk_id::kept(known),
        _ => Vec::new(),
    }
}

/// Signs a call about the person.
pub(super) fn sign(provider: &Provider, call: &mut Call, token: &str) {
    match of(&provider.entry) {
        Some(Quirk::SignedRequest) => signed_request::sign(provider, call),
        Some(Quirk::Odnoklassniki) => odnoklassniki::sign(provider, call, token),
        _ => {}
    }
}

/// An answer about the person that is neither JSON nor a form; `None` where it is one of those.
///
/// # Errors
/// It is not what the provider signed for us.
pub(super) fn read(provider: &Provider, answer: &Answer, now: i64) -> Result<Option<Value>, OAuthError> {
    match of(&provider.entry) {
        Some(Quirk::MediaWiki) => mediawiki::read(provider, answer, now).map(Some),
        _ => Ok(None),
    }
}

/// The parameters of an answer as everything else reads them.
///
/// # Errors
/// 400: they contradict one another.
pub(super) fn unpacked(provider: &Provider, params: Params) -> Result<Params, OAuthError> {
    match of(&provider.entry) {
        Some(Quirk::VkId) => vk_id::unpacked(params),
        Some(Quirk::Telegram) => telegram::unpacked(params),
        _ => Ok(params),
    }
}

/// Whether an answer that no sign-in of ours began is a reason to begin one.
pub(super) fn begins(provider: &Provider, params: &Params) -> bool {
    of(&provider.entry) == Some(Quirk::GithubApp) && github_app::is_installation(params)
}

/// Under which name the answer is still behind the `#`, where only a script sees it.
pub(super) fn in_fragment(provider: &Provider, params: &Params) -> Option<&'static str> {
    match of(&provider.entry) {
        Some(Quirk::Telegram) => telegram::in_fragment(params),
        _ => None,
    }
}

/// Whether nobody can be sent there: the provider alone begins.
pub(super) fn only_starts_there(entry: &Entry) -> bool {
    use Quirk::{FacebookApp, GoogleOnetap, OdnoklassnikiApp, VkApp};
    matches!(of(entry), Some(FacebookApp | GoogleOnetap | OdnoklassnikiApp | VkApp))
}

/// Where a browser is sent by a provider that signs its answer.
///
/// # Errors
/// What the browser brought is of no use, or nobody can be sent there.
pub(super) fn depart(provider: &Provider, going: &Departure<'_>) -> Result<Going, OAuthError> {
    let url = match of(&provider.entry) {
        Some(Quirk::Discourse) => discourse::depart(provider, going),
        Some(Quirk::LastFm) => lastfm::depart(provider, going),
        Some(Quirk::LoginRadius) => loginradius::depart(provider, going),
        Some(Quirk::Shopify) => shopify::depart(provider, going),
        Some(Quirk::Telegram) => telegram::depart(provider, going),
        Some(Quirk::Twilio) => twilio::depart(provider, going),
        Some(Quirk::VkOpenapi) => Ok(vk_openapi::depart(provider, going)),
        _ => Err(refuse::begins_there(provider)),
    };
    Ok(Going { url: url?, kept: Value::Null })
}

/// Who came back, by a provider that signs its answer.
///
/// # Errors
/// As [`Upstream::identify`].
pub(super) async fn arrive(
    upstream: &Upstream,
    provider: &Provider,
    back: &Return<'_>,
) -> Result<Identified, OAuthError> {
    let now = upstream.clock.now();
    match of(&provider.entry) {
        Some(Quirk::Discourse) => upstream.signed(provider, back, discourse::arrive(provider, back)?),
        Some(Quirk::LastFm) => lastfm::arrive(upstream, provider, back).await,
        Some(Quirk::LoginRadius) => loginradius::arrive(upstream, provider, back).await,
        Some(Quirk::Shopify) => shopify::arrive(upstream, provider, back).await,
        Some(Quirk::Telegram) => {
            let members = telegram::verified(provider, back.params, now, telegram::OLDEST)?;
            upstream.signed(provider, back, members)
        }
        Some(Quirk::Twilio) => upstream.signed(provider, back, twilio::arrive(provider, back)?),
        Some(Quirk::VkOpenapi) => upstream.signed(provider, back, vk_openapi::arrive(provider, back, now)?),
        _ => Err(refuse::begins_there(provider)),
    }
}

/// Who came by an answer that no sign-in of ours began.
///
/// # Errors
/// As [`Upstream::identify`].
pub(super) async fn arrive_unasked(
    upstream: &Upstream,
    provider: &Provider,
    came: &Unasked<'_>,
) -> Result<Identified, OAuthError> {
    match of(&provider.entry) {
        Some(Quirk::FacebookApp) => facebook_app::arrive(upstream, provider, came).await,
        Some(Quirk::GoogleOnetap) => google_onetap::arrive(upstream, provider, came).await,
        Some(Quirk::OdnoklassnikiApp) => odnoklassniki::arrive(upstream, provider, came).await,
        Some(Quirk::Telegram) => telegram::arrive_unasked(upstream, provider, came),
        Some(Quirk::VkApp) => vk_app::arrive(upstream, provider, came).await,
        _ => Err(refuse::not_begun_here(provider)),
    }
}

impl Upstream {
    /// The person of an answer whose members were verified: they are the root of what the claims read.
    fn signed(
        &self,
        provider: &Provider,
        back: &Return<'_>,
        members: Map<String, Value>,
    ) -> Result<Identified, OAuthError> {
        let known = Known { id_token: members, request: back.request.clone(), ..Known::default() };
        let profile = self.person_of_known(provider, &known)?.profile;
        Ok(Identified { profile, tokens: ProviderTokens::default(), expires_at: None, once: None })
    }
}

/// Parameters of ours in an answer: no provider signs them.
const OURS: [&str; 2] = ["redirect_state", "state"];

/// Whether a text that came is the one that was computed, in constant time.
fn is_same(computed: &str, came: &str) -> bool {
    constant_time::verify_slices_are_equal(computed.as_bytes(), came.as_bytes()).is_ok()
}

fn hmac_sha256(key: &[u8], text: &str) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text.as_bytes()).as_ref().to_vec()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// MD5 in hexadecimal. Broken long since, but these providers sign with nothing else.
fn md5_hex(text: &str) -> String {
    hex(&Md5::digest(text.as_bytes()))
}
