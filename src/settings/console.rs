//! `[console]`: the pages and the API of staff.

use serde::{Deserialize, Serialize};

/// `[console]`
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct ConsoleSettings {
    /// Whether `/admin/` and the admin API are there at all.
    pub enabled: bool,
    /// Whether staff need a second factor to come in.
    pub require_second_factor: bool,
}

impl Default for ConsoleSettings {
    fn default() -> Self {
        Self { enabled: true, require_second_factor: false }
    }
}
