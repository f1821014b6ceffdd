//! `[accounts]`: what people may do about their own accounts.

use serde::{Deserialize, Serialize};

/// NIST SP 800-63B §5.1.1.2: a password that somebody chooses has at least so many characters.
const SHORTEST: usize = 8;

/// `[accounts]`
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct AccountSettings {
    /// Whether anybody may make an account with a password.
    pub signup: SignUp,
    /// The shortest new password, in characters.
    pub password_min_length: usize,
    /// Whether people may delete their accounts.
    pub deletion: bool,
}

/// `accounts.signup`
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum SignUp {
    /// Nobody. The default: most who put a server before an API know whom they let in, and one who forgets the setting
    /// must not have opened the door to everybody.
    Off,
    /// Whoever proves an e-mail address.
    Open,
}

impl Default for AccountSettings {
    fn default() -> Self {
        Self { signup: SignUp::Off, password_min_length: SHORTEST, deletion: true }
    }
}

impl AccountSettings {
    /// Looks for values that nothing could be done with.
    ///
    /// # Errors
    /// The name of the setting, and a sentence.
    pub fn check(&self) -> Result<(), (&'static str, String)> {
        if !(SHORTEST..=128).contains(&self.password_min_length) {
            return Err(("password_min_length", format!("must be from {SHORTEST} to 128")));
        }
        Ok(())
    }
}
