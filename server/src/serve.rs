//! The accept loop: HTTP/1.1 and HTTP/2 on one socket, a limit on the time for a request's head, and an end that drains.

use std::io::Write as _;
use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::extract::ConnectInfo;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use vestibule::Vestibule;

use crate::linger::Lingering;
use crate::strict::Strict;

/// Opens the socket, so that its real address is known before anything is built on it.
///
/// # Errors
/// One line that names the setting.
pub async fn bind(listen: &str) -> Result<(TcpListener, SocketAddr), String> {
    let wrong = |error: std::io::Error| format!("listen: cannot listen on {listen}: {error}");
    let listener = TcpListener::bind(listen).await.map_err(wrong)?;
    let address = listener.local_addr().map_err(wrong)?;
    Ok((listener, address))
}

/// Serves until SIGTERM or SIGINT, then lets running requests finish. `more` is served beside the library's endpoints;
/// `ready` is called once connections are accepted.
///
/// # Errors
/// One line where signals cannot be heard.
pub async fn run(
    listener: TcpListener,
    vestibule: &Vestibule,
    more: Router,
    ready: impl FnOnce(&TcpListener),
) -> Result<(), String> {
    let settings = &vestibule.context().settings.http;
    let mut builder = Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(settings.header_timeout);
    builder.http2().timer(TokioTimer::new()).keep_alive_interval(Some(Duration::from_secs(30)));
    let router = vestibule.router().merge(more);
    let cleanup = tokio::spawn({
        let vestibule = vestibule.clone();
        async move { vestibule.clean_up_forever().await }
    });
    let graceful = GracefulShutdown::new();
    let heard = |error: std::io::Error| format!("cannot hear signals: {error}");
    let (mut terminate, mut interrupt) =
        (signal(SignalKind::terminate()).map_err(heard)?, signal(SignalKind::interrupt()).map_err(heard)?);
    ready(&listener);
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // Out of file descriptors, mostly: it passes when connections end.
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let _ = stream.set_nodelay(true);
        let with_peer = tower::ServiceExt::map_request(router.clone(), move |mut request: hyper::Request<Incoming>| {
            request.extensions_mut().insert(ConnectInfo(peer));
            request
        });
        let service = TowerToHyperService::new(with_peer);
        let stream = Strict::new(Lingering::new(stream), settings.header_timeout);
        let connection = graceful.watch(builder.serve_connection(TokioIo::new(stream), service).into_owned());
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection ended early");
            }
        });
    }
    drop(listener);
    tracing::info!("draining");
    let drained = tokio::time::timeout(settings.drain_timeout, graceful.shutdown()).await;
    if drained.is_err() {
        tracing::warn!("some requests did not finish in time");
    }
    vestibule.close().await;
    cleanup.abort();
    Ok(())
}

/// The one line on stdout that others wait for.
pub fn announce(listener: &TcpListener) {
    if let Ok(address) = listener.local_addr() {
        let mut stdout = std::io::stdout();
        let _ = writeln!(stdout, "listening on http://{address}").and_then(|()| stdout.flush());
    }
}
