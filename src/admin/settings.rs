//! The configuration as it is in force. It is changed where it came from, never here.

use vestibule_protocol::OAuthError;

use super::actor::{Actor, Area};
use crate::context::Context;
use crate::settings::Line;

/// Every key in whose line this text stands, in upper case or lower; the empty text stands in all.
///
/// # Errors
/// 403 for whoever may not see them.
pub fn list(cx: &Context, actor: &Actor, text: &str) -> Result<Vec<Line>, OAuthError> {
    actor.must_see(Area::Settings)?;
    let text = text.to_lowercase();
    let has = |own: &str| own.to_lowercase().contains(&text);
    let fits = |line: &Line| {
        has(&line.name) || has(line.sentence) || has(line.origin.name()) || line.text().is_some_and(|value| has(&value))
    };
    Ok(cx.settings.in_force().into_iter().filter(fits).collect())
}
