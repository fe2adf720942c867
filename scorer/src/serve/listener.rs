//! Connections: accepting them, encrypting them, bounding them, and letting the last ones finish.

use std::error::Error;
use std::io;
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
use super::patience::Patience;

/// Serves connections until the first of `signals`. From then on the service is not ready; it goes
/// on for a while, so that whoever sends requests here notices, and then lets the connections that
/// are open finish, for as long as is allowed. The next of `signals` ends either at once.
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
    {
        let accepting = port.accept(&listener, &places);
        tokio::pin!(accepting);
        tokio::select! {
            () = &mut accepting => {}
            _ = signals.recv() => {}
        }
        app.draining.store(true, Relaxed);
        if !bounds.drain_delay.is_zero() {
            tracing::info!(delay = ?bounds.drain_delay, "not ready; still accepting connections");
        }
        tokio::select! {
            _ = timeout(bounds.drain_delay, accepting) => {}
            _ = signals.recv() => return tracing::warn!("told to end at once"),
        }
    }
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
    /// Serves every connection that finds a place; never ends.
    async fn accept(&self, listener: &TcpListener, places: &Arc<Semaphore>) {
        loop {
            match listener.accept().await {
                Ok((stream, _)) => match Arc::clone(places).try_acquire_owned() {
                    Ok(place) => {
                        let port = self.clone();
                        tokio::spawn(async move {
                            port.serve(stream).await;
                            drop(place);
                        });
                    }
                    Err(_) => self.app.metrics.refused("connections"),
                },
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    // Most likely there are too many open files: some connection has to end first.
                    sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }

    async fn serve(self, stream: TcpStream) {
        self.app.metrics.connections.inc();
        // Answers are written at once; a kernel without this option only makes them later.
        let _ = stream.set_nodelay(true);
        let stream = Patience::new(stream, self.app.settings.bounds.request_timeout);
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
            let source = error.source().and_then(|source| source.downcast_ref::<io::Error>());
            if error.is_timeout() {
                self.app.metrics.refused("slow_headers");
            } else if source.is_some_and(|error| error.kind() == io::ErrorKind::TimedOut) {
                self.app.metrics.refused("slow_reader");
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
