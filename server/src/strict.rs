//! Requests that two servers could read in two ways, refused (RFC 9112 §11.2), and connections that say nothing, ended.
//!
//! hyper takes a line that ends in a bare LF, and lets Transfer-Encoding win over Content-Length without a word. Behind a
//! proxy that decides otherwise, that is how a request is smuggled. So the head of a request is looked at as it arrives;
//! one that can be read in two ways (also: that names two hosts or none, §3.2) is answered with 400 here, and hyper is told that the connection has ended. It is a second
//! look, not a parser: hyper still frames every message. hyper's own limit on the time for a head begins when it knows
//! whether it speaks HTTP/1 or HTTP/2; until then the time is kept here.

use std::future::Future as _;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

/// A connection whose requests are looked at.
pub struct Strict<T> {
    connection: T,
    /// The head that is arriving; empty between heads.
    head: Vec<u8>,
    /// Ends the connection if its first head is not there by then.
    patience: Option<Pin<Box<Sleep>>>,
}

impl<T> Strict<T> {
    /// Looks at what this connection reads from now on; the first head has so long to arrive.
    pub fn new(connection: T, patience: Duration) -> Self {
        Self { connection, head: Vec::new(), patience: Some(Box::pin(tokio::time::sleep(patience))) }
    }
}

/// What some bytes are.
#[derive(Debug, PartialEq, Eq)]
enum Head {
    /// A part of a body, or of HTTP/2.
    None,
    /// The beginning of a head, good so far.
    Part,
    /// A whole head, and good.
    Whole,
    /// A head that can be read in two ways.
    Ambiguous,
}

/// A head longer than this is hyper's to refuse.
const LONGEST: usize = 64 * 1024;

const REFUSAL: &[u8] = b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";

fn judge(bytes: &[u8]) -> Head {
    // hyper takes empty lines before a request (RFC 9112 §2.2).
    let empty_lines = bytes.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
    let bytes = bytes.get(empty_lines..).unwrap_or_default();
    let method = bytes.iter().take_while(|byte| byte.is_ascii_uppercase()).count();
    if method == 0 || bytes.get(method).is_some_and(|&byte| byte != b' ') {
        return Head::None;
    }
    let (mut lengths, mut encodings, mut hosts, mut may_lack_host) = (0_u8, 0_u8, 0_u8, false);
    let mut rest = bytes;
    while let Some(end) = rest.iter().position(|&byte| byte == b'\n') {
        let (line, after) = rest.split_at(end);
        let is_first = rest.len() == bytes.len();
        if is_first {
            may_lack_host = line.trim_ascii_end().ends_with(b"HTTP/1.0");
            if !may_lack_host && !line.trim_ascii_end().ends_with(b"HTTP/1.1") {
                return Head::None;
            }
        }
        let Some(line) = line.strip_suffix(b"\r") else { return Head::Ambiguous };
        if line.is_empty() {
            let good = lengths.saturating_add(encodings) < 2 && (hosts == 1 || (hosts == 0 && may_lack_host));
            return if good { Head::Whole } else { Head::Ambiguous };
        }
        let name = line.split(|&byte| byte == b':').next().unwrap_or_default();
        let count = |wanted: &[u8]| u8::from(name.eq_ignore_ascii_case(wanted));
        lengths = count(b"content-length").saturating_add(lengths);
        encodings = count(b"transfer-encoding").saturating_add(encodings);
        hosts = count(b"host").saturating_add(hosts);
        rest = after.get(1..).unwrap_or_default();
    }
    Head::Part
}

impl<T: AsyncRead + AsyncWrite + Unpin> AsyncRead for Strict<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        match Pin::new(&mut self.connection).poll_read(context, buffer) {
            Poll::Ready(outcome) => outcome?,
            Poll::Pending => {
                // Nothing more comes, and the time for the first head is over: the end, to hyper.
                let over = self.patience.as_mut().is_some_and(|sleep| sleep.as_mut().poll(context).is_ready());
                return if over { Poll::Ready(Ok(())) } else { Poll::Pending };
            }
        }
        let read = buffer.filled().get(before..).unwrap_or_default();
        // Most heads come in one piece and are judged where they are.
        let verdict = if self.head.is_empty() {
            judge(read)
        } else {
            self.head.extend_from_slice(read);
            judge(&self.head)
        };
        match verdict {
            Head::Part if self.head.is_empty() => self.head.extend_from_slice(read),
            Head::Part if self.head.len() < LONGEST => {}
            Head::Ambiguous => {
                buffer.set_filled(before); // nothing was read: the end, to hyper
                let _ = Pin::new(&mut self.connection).poll_write(context, REFUSAL);
            }
            _ => {
                self.head.clear();
                self.patience = None;
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Strict<T> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.connection).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.connection).poll_write_vectored(context, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.connection.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.connection).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.connection).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::{Head, judge};

    #[test]
    fn a_bare_line_feed_or_two_lengths_are_ambiguous_in_a_head_and_nowhere_else() {
        // attack 171
        let verdicts = [
            ("POST / HTTP/1.1\nhost: x\n\n", Head::Ambiguous),
            ("POST / HTTP/1.1\r\nhost: x\nx: y\r\n\r\n", Head::Ambiguous),
            ("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n", Head::Ambiguous),
            ("POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\ncontent-length: 4\r\n\r\n", Head::Ambiguous),
            ("\r\nPOST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: a\r\ncontent-length: 4\r\n\r\n", Head::Ambiguous),
            ("POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 4\r\ncontent-length: 4\r\n\r\n", Head::Ambiguous),
            ("GET / HTTP/1.1\r\nhost: x\r\nHost: evil\r\n\r\n", Head::Ambiguous),
            ("GET / HTTP/1.1\r\naccept: x\r\n\r\n", Head::Ambiguous),
            ("\r\nGET / HTTP/1.1\r\nhost: x\r\n\r\n", Head::Whole),
            ("POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\na\nb\ntransfer-encoding: x", Head::Whole),
            ("GET / HTTP/1.0\r\n\r\n", Head::Whole),
            ("POST / HTTP/1.1\r\ncontent-length: 9\r\n", Head::Part),
            ("POST /auth/tok", Head::Part),
            ("POST", Head::Part),
            ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", Head::None),
            ("BODY with\nlines\n", Head::None),
            ("body\nwith lines\n", Head::None),
            ("", Head::None),
        ];
        for (bytes, verdict) in verdicts {
            assert_eq!(judge(bytes.as_bytes()), verdict, "{bytes:?}");
        }
    }
}
