//! Passkeys: added by whoever is signed in, and used as a way in or as the second factor.
//!
//! A ceremony's challenge is sealed with what it is for and given to the browser; it counts once, for five minutes, in the
//! browser that asked for it. A passkey that is a way in is found by what the authenticator says, and verifies its person.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use url::{Host, Url};
use vestibule_protocol::webauthn::{
    ALGORITHMS, AuthenticationResponse, Credential, Expected, RegistrationResponse, WebauthnError,
};
use vestibule_protocol::{OAuthError, TokenDigest};

use super::Passkey;
use crate::context::{Context, random};
use crate::identity::sealed::{open, seal};
use crate::settings::Settings;
use crate::store::user::User;
use crate::store::{passkey, seen};

/// How long a challenge is good, in seconds.
const PATIENCE: i64 = 300;
/// Passkeys that a person may have.
const MOST: usize = 20;
/// The longest name, in characters.
pub const LONGEST_NAME: usize = 64;
const CEREMONY: &str = "passkey ceremony";

/// Who we are to an authenticator (WebAuthn §4).
pub struct RelyingParty {
    id: String,
    origin: String,
}

impl RelyingParty {
    /// `None` where browsers know no passkeys: the public address is an IP address, or is reached without TLS and is not
    /// this machine.
    pub fn of(settings: &Settings) -> Option<Self> {
        let url = Url::parse(&settings.public_url()).ok()?;
        let Some(Host::Domain(host)) = url.host() else { return None };
        let is_secure = url.scheme() == "https" || host == "localhost" || host.ends_with(".localhost");
        is_secure.then(|| Self { id: host.to_owned(), origin: url.origin().ascii_serialization() })
    }

    fn expects<'a>(&'a self, challenge: &'a [u8], must_verify_user: bool) -> Expected<'a> {
        Expected { origin: &self.origin, rp_id: &self.id, challenge, must_verify_user }
    }
}

/// What a challenge is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
enum Purpose {
    Add(i64),
    SignIn,
    SecondFactor(i64),
}

#[derive(Deserialize, Serialize)]
struct Ceremony {
    purpose: Purpose,
    /// What only this browser has.
    browser: String,
    challenge: [u8; 32],
    expires_at: i64,
}

/// Why a passkey was not added or does not count.
#[derive(Debug, thiserror::Error)]
pub enum PasskeyError {
    /// The challenge is too old, was used, or was given for something else or to another browser.
    #[error("the challenge is not good, or not any more")]
    Stale,
    /// The answer is not as it should be.
    #[error(transparent)]
    Refused(#[from] WebauthnError),
    /// Nobody's passkey, or not of the person that it should be.
    #[error("the passkey is not known, or is another person's")]
    Unknown,
    /// Somebody has this credential already.
    #[error("the credential is somebody's already")]
    Taken,
    /// The person has too many.
    #[error("there are as many passkeys as one person may have")]
    TooMany,
    /// The server failed.
    #[error(transparent)]
    Failed(#[from] OAuthError),
}

impl From<crate::store::Error> for PasskeyError {
    fn from(error: crate::store::Error) -> Self {
        Self::Failed(error.into())
    }
}

/// What a page's script hands to the authenticator, and what it brings back beside the answer.
fn begin(cx: &Context, purpose: Purpose, browser: &str, mut options: Value) -> Result<Value, OAuthError> {
    let challenge = random::<32>();
    let expires_at = cx.clock.now() + PATIENCE;
    let ceremony = Ceremony { purpose, browser: browser_of(browser), challenge, expires_at };
    options["challenge"] = URL_SAFE_NO_PAD.encode(challenge).into();
    options["timeout"] = (PATIENCE * 1000).into();
    Ok(json!({ "publicKey": options, "ceremony": URL_SAFE_NO_PAD.encode(seal(cx, CEREMONY, &ceremony)?) }))
}

/// The challenge of a ceremony, once.
async fn end(cx: &Context, purpose: Purpose, browser: &str, sealed: &str) -> Result<[u8; 32], PasskeyError> {
    let bytes = URL_SAFE_NO_PAD.decode(sealed).map_err(|_| PasskeyError::Stale)?;
    let ceremony: Ceremony = open(cx, CEREMONY, &bytes).ok_or(PasskeyError::Stale)?;
    let is_own = ceremony.purpose == purpose && ceremony.browser == browser_of(browser);
    if !is_own || ceremony.expires_at <= cx.clock.now() {
        return Err(PasskeyError::Stale);
    }
    let digest = TokenDigest::of(&["passkey challenge ", &URL_SAFE_NO_PAD.encode(ceremony.challenge)].concat());
    match seen::is_first(&cx.db, digest, ceremony.expires_at).await? {
        true => Ok(ceremony.challenge),
        false => Err(PasskeyError::Stale),
    }
}

fn browser_of(browser: &str) -> String {
    URL_SAFE_NO_PAD.encode(TokenDigest::of(browser).as_bytes())
}

fn descriptors(passkeys: &[Passkey]) -> Value {
    let descriptor = |own: &Passkey| {
        let id = URL_SAFE_NO_PAD.encode(&own.credential_id);
        let transports: Vec<&str> = own.transports.split(' ').filter(|word| !word.is_empty()).collect();
        json!({ "type": "public-key", "id": id, "transports": transports })
    };
    passkeys.iter().map(descriptor).collect()
}

/// What `navigator.credentials.create` is asked, as JSON (§5.4): a passkey that can be found without a name, and that
/// verifies its person.
///
/// # Errors
/// What the database says.
pub async fn options_to_add(
    cx: &Context,
    party: &RelyingParty,
    user: &User,
    browser: &str,
) -> Result<Value, OAuthError> {
    let handle = passkey::handle_of(&cx.db, user.id, random::<32>().to_vec()).await?;
    let own = passkey::of_user(&cx.db, user.id).await?;
    let full_name = [user.first_name.as_str(), user.last_name.as_str()].join(" ");
    let display_name = if full_name.trim().is_empty() { user.username.as_str() } else { full_name.trim() };
    let algorithms: Vec<_> = ALGORITHMS.iter().map(|number| json!({ "type": "public-key", "alg": number })).collect();
    let options = json!({
        "rp": { "id": party.id, "name": cx.settings.pages.site_name },
        "user": { "id": URL_SAFE_NO_PAD.encode(handle), "name": user.username, "displayName": display_name },
        "pubKeyCredParams": algorithms,
        "excludeCredentials": descriptors(&own),
        "authenticatorSelection": { "residentKey": "required", "requireResidentKey": true, "userVerification": "required" },
        "attestation": "none",
    });
    begin(cx, Purpose::Add(user.id), browser, options)
}

/// Adds the passkey that was made.
///
/// # Errors
/// [`PasskeyError`].
pub async fn add(
    cx: &Context,
    party: &RelyingParty,
    user: &User,
    browser: &str,
    (sealed, answer): (&str, &str),
    name: &str,
) -> Result<(), PasskeyError> {
    let challenge = end(cx, Purpose::Add(user.id), browser, sealed).await?;
    let new = RegistrationResponse::parse(answer)?.judge(&party.expects(&challenge, true))?;
    if passkey::of_user(&cx.db, user.id).await?.len() >= MOST {
        return Err(PasskeyError::TooMany);
    }
    let new = Passkey {
        id: 0,
        user_id: user.id,
        credential_id: new.id,
        public_key: new.public_key,
        sign_count: new.sign_count.into(),
        is_backup_eligible: new.is_backup_eligible,
        is_backed_up: new.is_backed_up,
        transports: new.transports.join(" "),
        name: name.to_owned(),
        created_at: cx.clock.now(),
        last_used_at: None,
    };
    if passkey::insert(&cx.db, new).await? { Ok(()) } else { Err(PasskeyError::Taken) }
}

/// What `navigator.credentials.get` is asked, as JSON (§5.5), by whoever signs in without a name.
///
/// # Errors
/// What the sealing says.
pub fn options_to_sign_in(cx: &Context, party: &RelyingParty, browser: &str) -> Result<Value, OAuthError> {
    let options = json!({ "rpId": party.id, "userVerification": "required" });
    begin(cx, Purpose::SignIn, browser, options)
}

/// The person whose passkey has answered and has verified them, and how that was (RFC 8176 §2).
///
/// # Errors
/// [`PasskeyError`].
pub async fn sign_in(
    cx: &Context,
    party: &RelyingParty,
    browser: &str,
    (sealed, answer): (&str, &str),
) -> Result<(User, String), PasskeyError> {
    let challenge = end(cx, Purpose::SignIn, browser, sealed).await?;
    let answer = AuthenticationResponse::parse(answer)?;
    let (own, user, handle) = found(cx, &answer).await?;
    // §7.2: who has named nobody is named by the authenticator.
    if answer.user_handle()?.as_deref() != Some(&handle) || !user.is_active {
        return Err(PasskeyError::Unknown);
    }
    use_once(cx, &answer, &party.expects(&challenge, true), &own).await?;
    Ok((user, format!("{} user mfa", key_word(&own))))
}

/// What `navigator.credentials.get` is asked, as JSON, by whoever has given their password: no PIN on top of that.
///
/// # Errors
/// What the database says.
pub async fn options_for(cx: &Context, party: &RelyingParty, user: &User, browser: &str) -> Result<Value, OAuthError> {
    let own = passkey::of_user(&cx.db, user.id).await?;
    let options = json!({ "rpId": party.id, "allowCredentials": descriptors(&own), "userVerification": "discouraged" });
    begin(cx, Purpose::SecondFactor(user.id), browser, options)
}

/// Takes the answer of a passkey of this person, who has given their password, and says how they came in (RFC 8176 §2).
///
/// # Errors
/// [`PasskeyError`].
pub async fn second(
    cx: &Context,
    party: &RelyingParty,
    user: &User,
    browser: &str,
    (sealed, answer): (&str, &str),
) -> Result<String, PasskeyError> {
    let challenge = end(cx, Purpose::SecondFactor(user.id), browser, sealed).await?;
    let answer = AuthenticationResponse::parse(answer)?;
    let (own, owner, handle) = found(cx, &answer).await?;
    if owner.id != user.id || answer.user_handle()?.is_some_and(|told| told != handle) {
        return Err(PasskeyError::Unknown);
    }
    use_once(cx, &answer, &party.expects(&challenge, false), &own).await?;
    Ok(format!("pwd {} user mfa", key_word(&own)))
}

async fn found(cx: &Context, answer: &AuthenticationResponse) -> Result<(Passkey, User, Vec<u8>), PasskeyError> {
    passkey::find(&cx.db, answer.credential_id()?).await?.ok_or(PasskeyError::Unknown)
}

async fn use_once(
    cx: &Context,
    answer: &AuthenticationResponse,
    expected: &Expected<'_>,
    own: &Passkey,
) -> Result<(), PasskeyError> {
    let credential = Credential {
        public_key: &own.public_key,
        sign_count: u32::try_from(own.sign_count).unwrap_or(u32::MAX),
        is_backup_eligible: own.is_backup_eligible,
    };
    let used = answer.judge(expected, &credential)?;
    let now = cx.clock.now();
    match passkey::note_use(&cx.db, own, used.sign_count.into(), used.is_backed_up, now).await? {
        true => Ok(()),
        // Somebody else has used it since it was read: of two with one count one is a copy.
        false => Err(WebauthnError::CounterWentBack.into()),
    }
}

/// A key that may be copied is not bound to hardware.
fn key_word(own: &Passkey) -> &'static str {
    if own.is_backup_eligible { "swk" } else { "hwk" }
}

#[cfg(test)]
mod tests {
    use super::RelyingParty;
    use crate::settings::Settings;

    #[test]
    fn passkeys_need_a_name_and_tls_or_this_machine() {
        let of = |url: &str| {
            let settings = Settings { public_url: Some(url.to_owned()), ..Settings::default() };
            RelyingParty::of(&settings).map(|party| (party.id, party.origin))
        };
        let party = |id: &str, origin: &str| Some((id.to_owned(), origin.to_owned()));
        assert_eq!(of("https://login.example.com/"), party("login.example.com", "https://login.example.com"));
        assert_eq!(
            of("https://login.example.com:8443/x"),
            party("login.example.com", "https://login.example.com:8443")
        );
        assert_eq!(of("http://localhost:8000"), party("localhost", "http://localhost:8000"));
        for none in ["http://login.example.com", "http://127.0.0.1:8000", "https://[::1]", "https://10.0.0.1"] {
            assert_eq!(of(none), None, "{none}");
        }
    }
}
