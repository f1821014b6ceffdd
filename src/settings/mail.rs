//! `[mail]`: how mails leave.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Hidden, duration};

/// `[mail]`
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct MailSettings {
    /// The server that takes our mails, with its password: hidden.
    pub smtp_url: Option<Hidden>,
    /// The sender's address.
    pub from: Option<String>,
    /// A folder that mails are written to where no server is named.
    pub folder: Option<String>,
    /// How long a mail may take to be handed over.
    #[serde(with = "duration")]
    pub timeout: Duration,
}

impl Default for MailSettings {
    fn default() -> Self {
        Self { smtp_url: None, from: None, folder: None, timeout: Duration::from_secs(10) }
    }
}
