//! A connection that is closed so that the other side gets to read the last answer.
//!
//! Whoever closes a socket with bytes unread in it makes TCP throw away what it sent: a client that still writes a body
//! of 100 MB would see a broken pipe in place of its 413. So the writing half is closed first, and what still comes is
//! thrown away for a moment (nginx's `lingering_close`).

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// How long what still comes is thrown away.
const MOMENT: Duration = Duration::from_secs(2);

/// A connection with such an end.
pub struct Lingering {
    /// There until it is dropped.
    stream: Option<TcpStream>,
    /// We closed our half.
    is_shut: bool,
    /// They closed theirs, or it broke.
    is_over: bool,
}

impl Lingering {
    /// Takes a connection over.
    pub fn new(stream: TcpStream) -> Self {
        Self { stream: Some(stream), is_shut: false, is_over: false }
    }

    fn stream(&mut self) -> io::Result<Pin<&mut TcpStream>> {
        self.stream.as_mut().map(Pin::new).ok_or_else(|| io::ErrorKind::NotConnected.into())
    }
}

impl Drop for Lingering {
    fn drop(&mut self) {
        let Some(stream) = self.stream.take().filter(|_| self.is_shut && !self.is_over) else { return };
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(tokio::time::timeout(MOMENT, throw_away(stream)));
        }
    }
}

async fn throw_away(mut stream: TcpStream) {
    let mut waste = vec![0; 64 * 1024];
    while matches!(stream.read(&mut waste).await, Ok(read) if read > 0) {}
}

impl AsyncRead for Lingering {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let outcome = ready!(self.stream()?.poll_read(context, buffer));
        self.is_over |= outcome.is_err() || (buffer.filled().len() == before && buffer.remaining() > 0);
        Poll::Ready(outcome)
    }
}

impl AsyncWrite for Lingering {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.stream()?.poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.stream()?.poll_write_vectored(context, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.as_ref().is_some_and(AsyncWrite::is_write_vectored)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream()?.poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let outcome = ready!(self.stream()?.poll_shutdown(context));
        self.is_shut = true;
        Poll::Ready(outcome)
    }
}
