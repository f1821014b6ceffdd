//! Codes of an authenticator app (TOTP, RFC 6238): six digits, a new one every 30 seconds, by HMAC-SHA-1, which is what all
//! apps know.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::{Deserialize, Serialize};
use vestibule_protocol::OAuthError;

use crate::context::{Context, random};
use crate::identity::sealed::{open, seal};
use crate::store::totp;
use crate::store::user::User;

use super::failed;

/// Seconds that a code stands for.
const STEP: i64 = 30;
/// So many steps a clock may be off (RFC 6238 §5.2).
const TOLERANCE: i64 = 1;
/// RFC 4226 §4 recommends 160 bits.
const SECRET_LEN: usize = 20;
/// How long a secret waits for its first code, in seconds.
const PATIENCE: i64 = 1_800;
const SET_UP: &str = "set-up of an app";

/// A secret that is shown to a person, and waits with the browser for its first code.
pub struct SetUp {
    /// For typing: base32 in groups of four.
    pub secret: String,
    /// For the app: `otpauth://totp/…`.
    pub address: String,
    /// What the form brings back.
    pub sealed: String,
}

#[derive(Deserialize, Serialize)]
struct Waiting {
    user_id: i64,
    secret: [u8; SECRET_LEN],
    expires_at: i64,
}

/// What came of the first code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Confirmed {
    /// The app is the person's from now on.
    Done,
    /// It is not this secret's code.
    WrongCode,
    /// The set-up is too old, somebody else's, or the person has an app by now.
    Stale,
}

/// Begins to set up an app, or shows what was begun (`sealed`) once more.
///
/// # Errors
/// What the sealing says.
pub fn begin(cx: &Context, user: &User, sealed: Option<&str>) -> Result<SetUp, OAuthError> {
    let waiting = sealed.and_then(|sealed| read(cx, user.id, sealed)).unwrap_or_else(|| Waiting {
        user_id: user.id,
        secret: random(),
        expires_at: cx.clock.now() + PATIENCE,
    });
    let secret = base32(&waiting.secret);
    let encoded = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
    let site = encoded(&cx.settings.pages.site_name);
    // The label is for the app's list; the parameters are its defaults, which some apps want to see all the same.
    let address = format!(
        "otpauth://totp/{site}:{}?secret={secret}&issuer={site}&algorithm=SHA1&digits=6&period={STEP}",
        encoded(&user.username)
    );
    let groups: Vec<_> = secret.as_bytes().chunks(4).map(|group| String::from_utf8_lossy(group)).collect();
    let sealed = URL_SAFE_NO_PAD.encode(seal(cx, SET_UP, &waiting)?);
    Ok(SetUp { secret: groups.join(" "), address, sealed })
}

fn read(cx: &Context, user_id: i64, sealed: &str) -> Option<Waiting> {
    let waiting: Waiting = open(cx, SET_UP, &URL_SAFE_NO_PAD.decode(sealed).ok()?)?;
    (waiting.user_id == user_id && waiting.expires_at > cx.clock.now()).then_some(waiting)
}

/// Ends the set-up with the app's first code.
///
/// # Errors
/// What the database says.
pub async fn confirm(cx: &Context, user_id: i64, sealed: &str, code: &str) -> Result<Confirmed, OAuthError> {
    let Some(waiting) = read(cx, user_id, sealed) else { return Ok(Confirmed::Stale) };
    let now = cx.clock.now();
    let digits: String = code.chars().filter(char::is_ascii_digit).collect();
    let Some(step) = step_of(&waiting.secret, &digits, now) else { return Ok(Confirmed::WrongCode) };
    let sealed = cx.keys.seal(&purpose(user_id), &waiting.secret).map_err(failed)?;
    match totp::insert(&cx.db, user_id, sealed, step, now).await? {
        true => Ok(Confirmed::Done),
        false => Ok(Confirmed::Stale),
    }
}

/// Takes a code, once.
pub(super) async fn take(cx: &Context, user_id: i64, code: &str) -> Result<bool, OAuthError> {
    let Some(own) = totp::find(&cx.db, user_id).await? else { return Ok(false) };
    let secret = cx.keys.open(&purpose(user_id), &own.sealed_secret).map_err(failed)?;
    let now = cx.clock.now();
    match step_of(&secret, code, now) {
        Some(step) => Ok(totp::take_step(&cx.db, user_id, own.sealed_secret, step, now).await?),
        None => Ok(false),
    }
}

fn purpose(user_id: i64) -> String {
    format!("totp of {user_id}")
}

/// The time step whose code this is, near `now`: the latest, because no earlier one counts after it.
fn step_of(secret: &[u8], given: &str, now: i64) -> Option<i64> {
    let at = now / STEP;
    let is_its = |step: &i64| verify_slices_are_equal(code(secret, *step).as_bytes(), given.as_bytes()).is_ok();
    (at - TOLERANCE..=at + TOLERANCE).rev().find(is_its)
}

/// RFC 4226 §5.3, with the time step as the counter.
fn code(secret: &[u8], step: i64) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, secret);
    let tag = hmac::sign(&key, &step.to_be_bytes());
    let tag = tag.as_ref();
    let offset = usize::from(tag.last().copied().unwrap_or_default() & 15);
    let word = tag.get(offset..offset + 4).unwrap_or_default();
    let number = word.iter().fold(0_u32, |number, byte| number << 8 | u32::from(*byte)) & 0x7FFF_FFFF;
    format!("{:06}", number % 1_000_000)
}

/// RFC 4648 §6, without padding.
pub(super) fn base32(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let digit = |number: u64| char::from(ALPHABET[usize::from((number & 31) as u8)]);
    let mut text = String::new();
    for group in bytes.chunks(5) {
        let number = (0..5).fold(0_u64, |number, at| number << 8 | u64::from(group.get(at).copied().unwrap_or(0)));
        let digits = (group.len() * 8).div_ceil(5);
        text.extend((0..digits).map(|at| digit(number >> (35 - 5 * at))));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{base32, code, step_of};

    const SECRET: &[u8] = b"12345678901234567890";

    #[test]
    fn the_codes_are_those_of_the_rfc() {
        // RFC 6238 appendix B, of whose eight digits six are shown.
        for (time, eight) in [
            (59, "94287082"),
            (1_111_111_109, "07081804"),
            (1_111_111_111, "14050471"),
            (1_234_567_890, "89005924"),
            (2_000_000_000, "69279037"),
            (20_000_000_000, "65353130"),
        ] {
            assert_eq!(code(SECRET, time / 30), eight[2..], "{time}");
        }
    }

    #[test]
    fn a_clock_may_be_off_by_one_step() {
        let now = 1_234_567_890;
        for (off, is_taken) in [(-60, false), (-30, true), (0, true), (30, true), (60, false)] {
            let step = (now + off) / 30;
            assert_eq!(step_of(SECRET, &code(SECRET, step), now), is_taken.then_some(step), "{off}");
        }
        for odd in ["", "0", "0000000", "12345"] {
            assert_eq!(step_of(SECRET, odd, now), None, "{odd}");
        }
    }

    #[test]
    fn base32_is_that_of_the_rfc() {
        // RFC 4648 §10
        for (plain, encoded) in
            [("", ""), ("f", "MY"), ("fo", "MZXQ"), ("foo", "MZXW6"), ("foob", "MZXW6YQ"), ("foobar", "MZXW6YTBOI")]
        {
            assert_eq!(base32(plain.as_bytes()), encoded);
        }
    }
}
