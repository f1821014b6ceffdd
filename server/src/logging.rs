//! Logs go to stderr, as text for people or as one JSON object a line.
//!
//! A thread of its own writes them, many lines at a time, so that no request waits for a disk or a pipe. What does not fit
//! into its queue is left out and counted: a log that nobody reads fast enough must not stop the sign-ins.

use std::io::{IsTerminal as _, Write};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use tracing_subscriber::EnvFilter;
use vestibule::settings::{LogFormat, LogSettings};

/// Lines that may wait.
const QUEUE: usize = 32_768;

static WRITER: OnceLock<Writer> = OnceLock::new();

struct Writer {
    lines: SyncSender<Message>,
    left_out: AtomicU64,
}

enum Message {
    Line(Vec<u8>),
    /// Everything before it is to be written; then this is called.
    Flush(SyncSender<()>),
}

/// Begins to log.
///
/// # Errors
/// One line that names the setting.
pub fn start(settings: &LogSettings) -> Result<(), String> {
    let filter = EnvFilter::try_new(&settings.level).map_err(|error| format!("log.level: {error}"))?;
    let (lines, queue) = sync_channel(QUEUE);
    let thread = std::thread::Builder::new().name("log".to_owned()).spawn(move || write_lines(&queue));
    thread.map_err(|error| format!("log: {error}"))?;
    let _ = WRITER.set(Writer { lines, left_out: AtomicU64::new(0) });
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(|| Line).with_target(false);
    let started = match settings.format {
        LogFormat::Text => builder.with_ansi(std::io::stderr().is_terminal()).try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    };
    started.map_err(|error| format!("log: {error}"))
}

/// Waits until everything that was logged is written; before the program ends.
pub fn finish() {
    let (done, is_done) = sync_channel(1);
    if WRITER.get().is_some_and(|writer| writer.lines.send(Message::Flush(done)).is_ok()) {
        let _ = is_done.recv();
    }
}

/// Takes one line: the subscriber writes an event in one piece.
struct Line;

impl Write for Line {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if let Some(writer) = WRITER.get()
            && writer.lines.try_send(Message::Line(bytes.to_vec())).is_err()
        {
            writer.left_out.fetch_add(1, Ordering::Relaxed);
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn write_lines(queue: &Receiver<Message>) {
    let mut pending = Vec::with_capacity(64 * 1024);
    while let Ok(first) = queue.recv() {
        let mut next = Some(first);
        while let Some(message) = next {
            match message {
                Message::Line(line) => pending.extend_from_slice(&line),
                Message::Flush(done) => {
                    write_out(&mut pending);
                    let _ = done.send(());
                }
            }
            next = if pending.len() < 64 * 1024 { queue.try_recv().ok() } else { None };
        }
        let left_out = WRITER.get().map_or(0, |writer| writer.left_out.swap(0, Ordering::Relaxed));
        if left_out > 0 {
            pending.extend_from_slice(
                format!("{left_out} lines of the log were left out: they came faster than they could be written\n")
                    .as_bytes(),
            );
        }
        write_out(&mut pending);
    }
}

fn write_out(pending: &mut Vec<u8>) {
    // Nobody is left to be told where stderr is closed.
    let _ = std::io::stderr().write_all(pending);
    pending.clear();
}
