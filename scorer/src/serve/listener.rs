//! Connections: accepting them, encrypting them, bounding them, and letting the last ones finish.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;

use super::app::Shared;

/// Serves connections until the first of `signals`, then lets those that are open finish, for as
/// long as is allowed or until the next of `signals`.
pub async fn listen(
    app: Shared,
    router: Router,
    listener: TcpListener,
    mut signals: mpsc::Receiver<()>,
) {
    let bounds = app.settings.bounds.clone();
    let places = Arc::new(Semaphore::new(bounds.connections as usize));
    let (end, ended) = watch::channel(false);
    let port = Port { app: Arc::clone(&app), router, builder: builder(&app), ended };
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = signals.recv() => break,
        };
        match accepted {
            Ok((stream, _)) => match Arc::clone(&places).try_acquire_owned() {
                Ok(place) => {
                    let port = port.clone();
                    tokio::spawn(async move {
                        port.serve(stream).await;
                        drop(place);
                    });
                }
                Err(_) => app.metrics.refused("connections"),
            },
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                // Most likely there are too many open files: some connection has to end first.
                sleep(Duration::from_millis(100)).await;
            }
        }
    }
    app.draining.store(true, Relaxed);
    drop(listener);
    tracing::info!("no further connections; finishing the requests in flight");
    // Fails only when no connection is left.
    let _ = end.send(true);
    tokio::select! {
        drained = timeout(bounds.drain, places.acquire_many(bounds.connections)) => if drained.is_err() {
            tracing::warn!("requests in flight were cut off");
        },
        _ = signals.recv() => tracing::warn!("told to end at once"),
    }
}

fn builder(app: &Shared) -> http1::Builder {
    let bounds = &app.settings.bounds;
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(bounds.header_timeout)
        .max_headers(bounds.headers)
        .max_header_size(bounds.header_bytes);
    builder
}

/// What every connection is served with.
#[derive(Clone)]
struct Port {
    app: Shared,
    router: Router,
    builder: http1::Builder,
    ended: watch::Receiver<bool>,
}

impl Port {
    async fn serve(self, stream: TcpStream) {
        self.app.metrics.connections.inc();
        // Answers are written at once; a kernel without this option only makes them later.
        let _ = stream.set_nodelay(true);
        let metrics = Arc::clone(&self.app.metrics);
        match &self.app.settings.tls {
            None => self.talk(stream).await,
            Some(tls) => {
                let handshake = TlsAcceptor::from(Arc::clone(tls)).accept(stream);
                match timeout(self.app.settings.bounds.header_timeout, handshake).await {
                    Ok(Ok(stream)) => self.talk(stream).await,
                    Ok(Err(error)) => {
                        tracing::debug!(%error, "a TLS handshake failed");
                        metrics.refused("tls_handshake");
                    }
                    Err(_elapsed) => metrics.refused("tls_handshake"),
                }
            }
        }
        metrics.connections.dec();
    }

    async fn talk(mut self, stream: impl AsyncRead + AsyncWrite + Unpin) {
        let service = TowerToHyperService::new(self.router);
        let connection = self.builder.serve_connection(TokioIo::new(stream), service);
        tokio::pin!(connection);
        let done = tokio::select! {
            done = connection.as_mut() => done,
            () = ended(&mut self.ended) => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        // Clients come and go; what they did wrong they have been told.
        if let Err(error) = done {
            if error.is_timeout() {
                self.app.metrics.refused("slow_headers");
            }
            tracing::debug!(%error, "a connection ended early");
        }
    }
}

/// Resolves once the service is told to end.
async fn ended(signal: &mut watch::Receiver<bool>) {
    // The sender is gone only when the service has ended, too.
    let _ = signal.wait_for(|ended| *ended).await;
}
