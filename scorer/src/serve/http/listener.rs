//! Connections: accepting them, encrypting them, bounding them, and letting the last ones finish.

use std::error::Error;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use prometheus_client::metrics::gauge::Gauge;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;

use super::patience::Patience;
use super::places::{Place, Places, Seat};
use crate::serve::app::Shared;
use crate::serve::metrics::process_figures::most_open_files;

/// The name in metrics of connections that were ended because another needed their place.
const MADE_ROOM: &str = "made_room";

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
    let places = Places::new(places(bounds.connections), bounds.connections_per_client);
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
        drained = timeout(bounds.drain, places.empty()) => if drained.is_err() {
            tracing::warn!("requests in flight were cut off");
        },
        _ = signals.recv() => tracing::warn!("told to end at once"),
    }
}

/// Files of the process that are no connections, and some more.
const OTHER_FILES: u32 = 64;

/// How many connections there may be of those that are asked for: the system refuses all that come
/// once the process has as many open files as it may.
fn places(asked: u32) -> u32 {
    let files = most_open_files().unwrap_or(f64::INFINITY);
    let most = (files as u32).saturating_sub(OTHER_FILES).max(1);
    if most < asked {
        tracing::info!(files, "at most {most} connections, as the limit of open files has it");
    }
    asked.min(most)
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
    async fn accept(&self, listener: &TcpListener, places: &Arc<Places>) {
        loop {
            match listener.accept().await {
                Ok((stream, peer)) => match places.enter(peer.ip()) {
                    Ok(place) => {
                        if place.made_room {
                            self.app.metrics.refused(MADE_ROOM);
                        }
                        let port = self.clone();
                        tokio::spawn(port.serve_until_told(stream, place));
                    }
                    Err(no_place) => self.app.metrics.refused(no_place.name()),
                },
                Err(error) => {
                    // Most likely there are too many open files: some connection has to end first.
                    tracing::warn!(%error, "a connection could not be accepted");
                    let made_room = places.make_room();
                    if made_room {
                        self.app.metrics.refused(MADE_ROOM);
                    }
                    sleep(Duration::from_millis(if made_room { 10 } else { 100 })).await;
                }
            }
        }
    }

    async fn serve_until_told(self, stream: TcpStream, mut place: Place) {
        let open = Open::new(&self.app.metrics.connections);
        let seat = place.seat.clone();
        tokio::select! {
            () = self.serve(stream, seat) => {}
            // Whose sender is gone only when the place is.
            _ = &mut place.leave => {}
        }
        drop((open, place));
    }

    async fn serve(self, stream: TcpStream, seat: Seat) {
        // Answers are written at once; a kernel without this option only makes them later.
        let _ = stream.set_nodelay(true);
        let limit = self.app.settings.bounds.request_timeout;
        let stream = Patience::new(stream, seat.clone(), limit);
        let metrics = Arc::clone(&self.app.metrics);
        match &self.app.settings.tls {
            None => self.talk(stream, seat).await,
            Some(tls) => {
                let handshake = TlsAcceptor::from(Arc::clone(tls)).accept(stream);
                match timeout(self.app.settings.bounds.header_timeout, handshake).await {
                    Ok(Ok(stream)) => self.talk(stream, seat).await,
                    Ok(Err(error)) => {
                        tracing::debug!(%error, "a TLS handshake failed");
                        metrics.refused("tls_handshake");
                    }
                    Err(_elapsed) => metrics.refused("tls_handshake"),
                }
            }
        }
    }

    async fn talk(mut self, stream: impl AsyncRead + AsyncWrite + Unpin, seat: Seat) {
        let router = TowerToHyperService::new(self.router);
        let service = service_fn(move |request| {
            let (answering, answer) = (seat.answering(), router.call(request));
            async move {
                let answer = answer.await;
                drop(answering);
                answer
            }
        });
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

/// Counts a connection as open, until it is dropped.
struct Open(Gauge);

impl Open {
    fn new(gauge: &Gauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// Resolves once the service is told to end.
async fn ended(signal: &mut watch::Receiver<bool>) {
    // The sender is gone only when the service has ended, too.
    let _ = signal.wait_for(|ended| *ended).await;
}
