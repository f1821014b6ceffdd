//! Sign-ins, conversions and connections that were refused: counted, and the newest of each provider kept to be read.
//!
//! What is kept is what was told and what was logged, without anything that the request brought along.

use vestibule_protocol::{ErrorCode, OAuthError, Params};

use super::{Kind, known, once};
use crate::context::Context;
use crate::store::refusal::Refusal;

/// The longest text that is kept, in characters.
const LONGEST: usize = 300;
/// Parameters that may be read: they are no secrets, and a refusal may be about them.
const PLAIN: [&str; 8] = [
    "grant_type",
    "backend",
    "client_id",
    "scope",
    "resource",
    "redirect_uri",
    "subject_token_type",
    "requested_token_type",
];

/// A request was refused that brought these parameters.
pub fn refused(cx: &Context, provider: &str, application_id: i64, error: &OAuthError, params: &Params) {
    // RFC 9449 §8: only a step on the way.
    if error.code != ErrorCode::UseDpopNonce {
        note(cx, provider, application_id, error.word(), error, Some(params));
    }
}

/// A way by a browser came to nothing, for the reason that this word says.
pub fn refused_for(cx: &Context, word: &'static str, provider: &str, application_id: i64, error: &OAuthError) {
    note(cx, provider, application_id, word, error, None);
}

fn note(
    cx: &Context,
    provider: &str,
    application_id: i64,
    word: &'static str,
    error: &OAuthError,
    params: Option<&Params>,
) {
    let provider = known(cx, provider);
    once(cx, Kind::Refusal, provider, application_id, word);
    let refusal = Refusal {
        at: cx.clock.now(),
        provider: provider.to_owned(),
        application_id,
        reason: word.to_owned(),
        description: readable(&error.description, params),
        cause: readable(&error.causes(), params),
    };
    cx.statistics.pending().note(refusal);
}

/// A text without what the request brought along, without what looks like a token, and cut.
pub(super) fn readable(text: &str, params: Option<&Params>) -> String {
    let mut text = text.to_owned();
    let presented = params.into_iter().flat_map(Params::iter);
    for (_, value) in presented.filter(|(name, value)| value.len() >= 8 && !PLAIN.contains(name)) {
        text = text.replace(value, "…");
    }
    let mut clean = String::new();
    let of_token = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '~' | '+' | '%' | '|');
    for part in text.split_inclusive(|c| !of_token(c)) {
        let run = part.trim_end_matches(|c| !of_token(c));
        // The long words of our own, and the names of hosts, are all lower case and without a digit but one.
        let mixed = run.chars().filter(|c| c.is_ascii_digit() || c.is_ascii_uppercase()).count() >= 3;
        clean.push_str(if run.len() >= 24 && mixed { "…" } else { run });
        clean.push_str(part.get(run.len()..).unwrap_or_default());
    }
    clean.chars().map(|c| if c.is_control() { ' ' } else { c }).take(LONGEST).collect()
}
