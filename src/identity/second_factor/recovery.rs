//! Recovery codes: ten, shown once, each good once, for whoever has lost the rest.
//!
//! 80 random bits each, so a fast hash is right for them.

use vestibule_protocol::{OAuthError, TokenDigest};

use super::totp::base32;
use crate::context::{Context, random};
use crate::store::recovery_code;

const COUNT: usize = 10;

/// Gives a person new codes in place of all that they have. They are told now and never again.
///
/// # Errors
/// What the database says.
pub async fn renew(cx: &Context, user_id: i64) -> Result<Vec<String>, OAuthError> {
    let codes: Vec<String> = (0..COUNT).map(|_| base32(&random::<10>())).collect();
    let digests = codes.iter().map(|code| digest(user_id, code)).collect();
    recovery_code::replace(&cx.db, user_id, digests, cx.clock.now()).await?;
    Ok(codes.iter().map(|code| grouped(code)).collect())
}

/// Takes a code, once, however its letters are written.
pub(super) async fn take(cx: &Context, user_id: i64, code: &str) -> Result<bool, OAuthError> {
    Ok(recovery_code::take(&cx.db, user_id, digest(user_id, code)).await?)
}

fn digest(user_id: i64, code: &str) -> TokenDigest {
    TokenDigest::of(&format!("recovery code of {user_id}: {}", code.to_ascii_lowercase()))
}

/// As it is read and typed: in groups of four.
pub(super) fn grouped(code: &str) -> String {
    let letters: Vec<char> = code.to_ascii_lowercase().chars().collect();
    letters.chunks(4).map(|group| group.iter().collect::<String>()).collect::<Vec<_>>().join("-")
}

#[cfg(test)]
mod tests {
    #[test]
    fn codes_are_written_in_groups() {
        assert_eq!(super::grouped("ABCDEFGHIJKLMNOP"), "abcd-efgh-ijkl-mnop");
    }
}
