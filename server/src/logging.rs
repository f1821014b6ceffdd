//! Logs go to stderr, as text for people or as one JSON object a line.
//!
//! Lines are gathered for a moment and written by a thread of their own, many at a time: no request waits for a disk or a
//! pipe. What does not fit is left out and counted: a log that nobody reads fast enough must not stop the sign-ins.

use std::io::{IsTerminal as _, Write};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;
use vestibule::settings::{LogFormat, LogSettings};

/// The most bytes that may wait.
const LIMIT: usize = 8 * 1024 * 1024;
/// For how long lines are gathered.
const MOMENT: Duration = Duration::from_millis(20);

static LINES: Mutex<Lines> = Mutex::new(Lines { waiting: Vec::new(), left_out: 0 });
static SOME: Condvar = Condvar::new();

struct Lines {
    waiting: Vec<u8>,
    left_out: u64,
}

/// Begins to log.
///
/// # Errors
/// One line that names the setting.
pub fn start(settings: &LogSettings) -> Result<(), String> {
    // tracing takes a word that is no level for the name of a module, and a mistyped level would log nothing at all.
    let is_level = |word: &str| word.is_empty() || word.parse::<LevelFilter>().is_ok();
    let odd =
        settings.level.split(',').map(str::trim).find(|word| !word.contains(['=', '[', ']', '"']) && !is_level(word));
    if let Some(word) = odd {
        return Err(format!(
            "log.level: `{word}` is none of off, error, warn, info, debug and trace; for a part write `vestibule=debug`"
        ));
    }
    let filter = EnvFilter::try_new(&settings.level).map_err(|error| format!("log.level: {error}"))?;
    let thread = std::thread::Builder::new().name("log".to_owned()).spawn(write_for_ever);
    thread.map_err(|error| format!("log: {error}"))?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(|| Line).with_target(false);
    let started = match settings.format {
        LogFormat::Text => builder.with_ansi(std::io::stderr().is_terminal()).try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    };
    started.map_err(|error| format!("log: {error}"))
}

/// Writes what is still waiting; before the program ends.
pub fn finish() {
    write_out(&mut lines());
}

/// Takes one line: the subscriber writes an event in one piece.
struct Line;

impl Write for Line {
    fn write(&mut self, line: &[u8]) -> std::io::Result<usize> {
        let mut lines = lines();
        if lines.waiting.len() + line.len() > LIMIT {
            lines.left_out += 1;
        } else {
            let is_first = lines.waiting.is_empty();
            lines.waiting.extend_from_slice(line);
            if is_first {
                SOME.notify_one();
            }
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn lines() -> MutexGuard<'static, Lines> {
    LINES.lock().unwrap_or_else(PoisonError::into_inner)
}

fn write_for_ever() {
    loop {
        drop(SOME.wait_while(lines(), |lines| lines.waiting.is_empty()).unwrap_or_else(PoisonError::into_inner));
        std::thread::sleep(MOMENT);
        let mut taken = {
            let mut lines = lines();
            Lines { waiting: std::mem::take(&mut lines.waiting), left_out: std::mem::take(&mut lines.left_out) }
        };
        write_out(&mut taken);
    }
}

fn write_out(lines: &mut Lines) {
    if lines.left_out > 0 {
        let told =
            format!("{} lines of the log were left out: they came faster than they could be written\n", lines.left_out);
        lines.waiting.extend_from_slice(told.as_bytes());
    }
    // Nobody is left to be told where stderr is closed.
    let _ = std::io::stderr().write_all(&lines.waiting);
    *lines = Lines { waiting: Vec::new(), left_out: 0 };
}
