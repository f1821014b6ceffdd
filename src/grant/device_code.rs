//! Devices without a browser (RFC 8628): they show a short code, somebody types it elsewhere, they poll for tokens.

use vestibule_protocol::{ErrorCode, GrantType, OAuthError, Params, PlainToken, Scope, TokenDigest, TokenKind};

use super::TokenRequest;
use crate::context::{Context, random};
use crate::issue::{self, TokenResponse};
use crate::limits;
use crate::session::Session;
use crate::store::application::{self, Application};
use crate::store::attempt;
use crate::store::device_code::{self, NewDeviceCode, Poll, Waiting};
use crate::store::token::TokenContext;

/// Letters of a code to be typed: no vowels, so no words, and none that look like another (RFC 8628 §6.1).
const ALPHABET: &[u8; 20] = b"BCDFGHJKLMNPQRSTVWXZ";
const LENGTH: usize = 8;

/// Wrong codes that one person may type within [`GUESS_WINDOW`] seconds.
const GUESSES: i64 = 5;
const GUESS_WINDOW: i64 = 300;

/// What a device is told (RFC 8628 §3.2). No `Debug`: the code to be typed is in it.
pub struct DeviceAuthorization {
    /// What it polls with.
    pub device_code: PlainToken,
    /// What it shows.
    pub user_code: String,
    /// Seconds that both count.
    pub expires_in: i64,
    /// Seconds between two polls.
    pub interval: i64,
}

/// A device asks to begin.
///
/// # Errors
/// `unauthorized_client`, `invalid_scope`, `invalid_target`.
pub async fn begin(
    cx: &Context,
    application: &Application,
    params: &Params,
) -> Result<DeviceAuthorization, OAuthError> {
    if !application.may_use(GrantType::DeviceCode) {
        let sentence = "This application was not given `device-code`.";
        return Err(OAuthError::new(ErrorCode::UnauthorizedClient, sentence));
    }
    let scope = match params.get("scope") {
        Some(text) => limits::scope(cx, application, text)?,
        None => limits::default_scope(cx, application),
    };
    let resources = limits::resources(cx, params)?;
    let now = cx.clock.now();
    let seconds = |duration: std::time::Duration| i64::try_from(duration.as_secs()).unwrap_or(600);
    let (ttl, interval) =
        (seconds(cx.settings.authorization.device_code_ttl), seconds(cx.settings.authorization.device_poll_interval));
    // Two devices with the same code to be typed at the same time are as good as impossible; then another is drawn.
    for _ in 0..5 {
        let device_code = PlainToken::new(TokenKind::DeviceCode, &random());
        let user_code = new_user_code();
        let new = NewDeviceCode {
            digest: device_code.digest(),
            user_code: digest_of(cx, &user_code),
            application_id: application.id,
            application_epoch: application.token_epoch,
            scope: scope.clone(),
            context: TokenContext { resources: resources.clone(), ..TokenContext::default() },
            family: issue::new_family(),
            poll_interval: interval,
            expires_at: now + ttl,
        };
        if device_code::insert(&cx.db, new, now).await? {
            return Ok(DeviceAuthorization { device_code, user_code, expires_in: ttl, interval });
        }
    }
    Err(OAuthError::unavailable("Too many devices are waiting; try again shortly.", 5))
}

/// Eight letters in two groups. Bytes beyond the last whole round of the alphabet are not used, so all are alike likely.
fn new_user_code() -> String {
    let mut code = String::new();
    while code.len() < LENGTH + 1 {
        for byte in random::<16>().into_iter().filter(|byte| *byte < 240) {
            if code.len() == LENGTH / 2 {
                code.push('-');
            }
            if code.len() < LENGTH + 1 {
                code.push(char::from(ALPHABET[usize::from(byte) % ALPHABET.len()]));
            }
        }
    }
    code
}

/// However it was typed: only its letters count (RFC 8628 §6.1). Under a key, because it is short.
fn digest_of(cx: &Context, user_code: &str) -> [u8; 32] {
    let letters: String = user_code.chars().filter(char::is_ascii_alphanumeric).collect();
    cx.keys.derive("device user code", letters.to_ascii_uppercase().as_bytes())
}

/// What somebody sees who typed a code: who asks, and for what.
pub struct Question {
    /// Who asks.
    pub application: Application,
    /// For what.
    pub scope: Scope,
    context: TokenContext,
}

/// Somebody typed a code. From now on nobody else may decide about it. `None`: no device waits with this code.
///
/// # Errors
/// 429 for whoever typed too many wrong ones.
pub async fn look_up(cx: &Context, session: &Session, user_code: &str) -> Result<Option<Question>, OAuthError> {
    let now = cx.clock.now();
    let guesses = cx.keys.derive("device code guesses", &session.user.id.to_be_bytes());
    // Counted before it is known to be wrong: many at once are many.
    let (tries, until) = attempt::count(&cx.db, guesses, now, GUESS_WINDOW).await?;
    if tries > GUESSES {
        let wait = u32::try_from(until - now).unwrap_or(60);
        let sentence = "Too many wrong codes; wait a few minutes.";
        return Err(OAuthError::unavailable(sentence, wait).with_status(429));
    }
    let digest = digest_of(cx, user_code);
    let waiting = device_code::claim(&cx.db, digest, session.user.id, session.user.token_epoch, now).await?;
    let Some(Waiting { application_id, scope, context }) = waiting else { return Ok(None) };
    attempt::take_back(&cx.db, guesses).await?;
    let application = application::find_by_id(&cx.db, application_id).await?;
    Ok(application.filter(|application| application.is_active).map(|application| Question {
        application,
        scope,
        context,
    }))
}

/// The person says yes or no. `false`: the device does not wait any more, or is somebody else's.
///
/// # Errors
/// As [`look_up`].
pub async fn decide(cx: &Context, session: &Session, user_code: &str, is_approved: bool) -> Result<bool, OAuthError> {
    let Some(question) = look_up(cx, session, user_code).await? else { return Ok(false) };
    let context = TokenContext { auth_time: Some(session.auth_time), amr: session.amr.clone(), ..question.context };
    let now = cx.clock.now();
    let digest = digest_of(cx, user_code);
    Ok(device_code::decide(&cx.db, digest, session.user.id, is_approved, &context, now).await?)
}

pub(super) async fn run(cx: &Context, request: TokenRequest<'_>) -> Result<TokenResponse, OAuthError> {
    let refused = || OAuthError::invalid_grant("The device code is unknown, used, or another client's.");
    let presented = request.params.required("device_code")?;
    let digest = TokenDigest::of_presented(TokenKind::DeviceCode, presented).ok_or_else(refused)?;
    let (application_id, now) = (request.application.id, cx.clock.now());
    let poll = cx
        .db
        .write(move |tx| Box::pin(async move { device_code::poll(tx, digest, application_id, now).await }))
        .await?;
    match poll {
        Poll::Unknown | Poll::Spent => Err(refused()),
        Poll::Expired => Err(OAuthError::new(ErrorCode::ExpiredToken, "The device code has expired; begin again.")),
        Poll::TooSoon(interval) => {
            let sentence = format!("Asked too soon; wait {interval} seconds between two polls from now on.");
            Err(OAuthError::new(ErrorCode::SlowDown, sentence))
        }
        Poll::Pending => Err(OAuthError::new(ErrorCode::AuthorizationPending, "Nobody has decided yet; ask again.")),
        Poll::Denied => Err(OAuthError::new(ErrorCode::AccessDenied, "The person said no.")),
        Poll::Approved(redeemed) => issue::device(cx, request.application, *redeemed, &request.sender).await,
    }
}

#[cfg(test)]
mod tests {
    use super::new_user_code;

    #[test]
    fn a_code_to_be_typed_has_eight_consonants_in_two_groups() {
        for _ in 0..50 {
            let code = new_user_code();
            let (one, other) = code.split_once('-').unwrap();
            assert_eq!((one.len(), other.len()), (4, 4), "{code}");
            assert!(code.bytes().all(|byte| byte == b'-' || super::ALPHABET.contains(&byte)), "{code}");
        }
    }
}
