//! What was found of providers: `vestibule provider test`, and a part of `vestibule check`.

use std::fmt::Write as _;
use std::io::{IsTerminal as _, Write as _};

use futures_util::StreamExt as _;
use vestibule::clock::Clock;
use vestibule::settings::Settings;
use vestibule::upstream::{CheckOutcome, Trial, Upstream};

use crate::configuration::Loaded;
use crate::outcome::{Failure, Outcome, Output, print};

/// How many providers are tried at once.
const AT_ONCE: usize = 8;

pub(super) async fn test(loaded: Loaded, name: &str, output: Output) -> Outcome {
    let settings = loaded.settings;
    let upstream = Upstream::new(&settings, Clock::default()).map_err(Failure::Configuration)?;
    let provider = upstream.provider(name).ok_or_else(|| {
        let sentence = "is not enabled; `vestibule provider show` says what it needs";
        Failure::Refused(format!("the provider `{name}` {sentence}"))
    })?;
    let trial = upstream.try_out(provider, &settings.redirect_uri(name)).await;
    print(output, &trial.to_json(), || as_text(&trial));
    match trial.is_good() {
        true => Ok(()),
        false => Err(Failure::Refused(format!("the provider `{name}` will not work as it is set up"))),
    }
}

/// Tries every enabled provider, several at a time, and tells on stderr how far it is. They come back by name.
pub(super) async fn all(upstream: &Upstream, settings: &Settings) -> Vec<Trial> {
    let providers: Vec<_> = upstream.providers().collect();
    let count = providers.len();
    let uris: Vec<String> = providers.iter().map(|provider| settings.redirect_uri(provider.name())).collect();
    let trials = providers.iter().zip(&uris).map(|(provider, uri)| upstream.try_out(provider, uri));
    let mut running = futures_util::stream::iter(trials).buffer_unordered(AT_ONCE);
    let mut stderr = std::io::stderr();
    let is_watched = stderr.is_terminal();
    let mut done = Vec::new();
    while let Some(trial) = running.next().await {
        done.push(trial);
        let last = done.last().map(|trial| trial.name.as_str()).unwrap_or_default();
        // Nothing depends on whether it can be written.
        let _ = match is_watched {
            true => write!(stderr, "\r\x1b[Kproviders: {} of {count} ({last})", done.len()),
            false => writeln!(stderr, "provider {last}: tried ({} of {count})", done.len()),
        };
        let _ = stderr.flush();
    }
    if is_watched {
        let _ = write!(stderr, "\r\x1b[K");
    }
    done.sort_by(|one, other| one.name.cmp(&other.name));
    done
}

/// The worst of it in one line, for a list of many things.
pub(super) fn in_short(trial: &Trial) -> Result<String, String> {
    let count = |outcome| trial.checks.iter().filter(|check| check.outcome == outcome).count();
    let wrong: Vec<_> = trial
        .checks
        .iter()
        .filter(|check| check.outcome == CheckOutcome::Bad)
        .map(|check| format!("{}: {}{}", check.what, check.detail, advice(&check.advice)))
        .collect();
    match wrong.is_empty() {
        true => Ok(match count(CheckOutcome::Unknown) {
            0 => format!("{} checks", count(CheckOutcome::Good)),
            unknown => format!("{} checks, {unknown} that only a sign-in can tell", count(CheckOutcome::Good)),
        }),
        false => Err(wrong.join("; ")),
    }
}

fn advice(advice: &str) -> String {
    if advice.is_empty() { String::new() } else { format!(" → {advice}") }
}

fn as_text(trial: &Trial) -> String {
    let mut text =
        format!("{} ({})\nredirect URI to register there: {}\n\n", trial.title, trial.name, trial.redirect_uri);
    for check in &trial.checks {
        let advice = advice(&check.advice);
        let _ = writeln!(text, "{:<8} {:<23} {}{advice}", check.outcome.as_str(), check.what, check.detail);
    }
    text
}
