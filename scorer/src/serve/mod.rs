//! `serve`: decisions over HTTP.
//!
//! One process serves one artifact. Requests arrive on a few asynchronous threads, which refuse,
//! count and halt; decisions are made on threads of their own (`workers`), and leave one at a time
//! (`leaving`). Nothing is kept on disk but the decision log and what is remembered of earlier plans,
//! if that is asked for.
//!
//! # Layout
//! Each folder takes from those above it in this list, never from those below:
//!
//! - `settings`: the arguments, checked; tokens and keys from their files
//! - `model`: the artifact that decides now, and how another one takes its place
//! - `bodies`: bodies of requests, and of answers that are errors
//! - `metrics`: what is counted and measured
//! - `workers`: the threads that decide, and which requests may have one
//! - `leaving`: how plans leave, and which are remembered
//! - `app`: what all requests share
//! - `handlers`: what each route of `/v1` does, and those of operators
//! - `inference`: what each route of `/v2` does, the Open Inference Protocol
//! - `http`: the table of routes, what every request passes, and the connections they come on

mod app;
mod bodies;
mod handlers;
mod http;
mod inference;
mod leaving;
mod metrics;
mod model;
pub mod settings;
#[cfg(test)]
mod test_app;
mod workers;

use std::io::{self, Write};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use tokio::net::TcpListener;
use tokio::sync::mpsc;

use crate::cli::serve_args::ServeArgs;
use crate::decision_log::{Event, Start};
use crate::stderr_log;
use app::{App, Shared};
use http::{listener, router};
use model::live_model::LiveModel;
use settings::Settings;

/// How often the artifact's file is looked at.
const WATCH_PERIOD: Duration = Duration::from_secs(1);

/// `godwit-scorer serve`.
pub fn serve(args: &ServeArgs) -> anyhow::Result<()> {
    stderr_log::start(&args.log);
    let settings = Settings::new(args)?;
    let model = Arc::new(LiveModel::open(settings.model.clone(), settings.allow_other_rules)?);
    let app = Arc::new(App::start(settings, model).context("cannot start the workers")?);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let done = runtime.block_on(run(app));
    // Whoever still waits for a file system is left behind.
    runtime.shutdown_background();
    done
}

async fn run(app: Shared) -> anyhow::Result<()> {
    let address = app.settings.listen;
    let listener =
        TcpListener::bind(address).await.with_context(|| format!("cannot listen on {address}"))?;
    let signals = signals()?;
    let scheme = if app.settings.tls.is_some() { "https" } else { "http" };
    let url = format!("{scheme}://{}", listener.local_addr()?);
    // For whoever starts the service on port 0 and waits for it. Nobody may.
    let mut out = io::stdout();
    let _ = writeln!(out, "listening on {url}").and_then(|()| out.flush());
    tracing::info!(
        url,
        mode = app.settings.mode.name(),
        sha256 = app.model.current().name.sha256,
        "listening"
    );
    app.put_down(Event::Start(Start {
        mode: app.settings.mode.name(),
        baseline: app.settings.shadow.as_ref().map(|shadow| shadow.baseline.clone()),
        artifact: app.model.current().name.clone(),
    }));
    let watch = tokio::spawn(watch(Arc::clone(&app)));
    listener::listen(Arc::clone(&app), router::router(&app), listener, signals).await;
    watch.abort();
    if let Some(log) = &app.log {
        log.close();
    }
    tracing::info!("ended");
    Ok(())
}

/// Loads the artifact anew whenever its file changes.
async fn watch(app: Shared) {
    let mut clock = tokio::time::interval(WATCH_PERIOD);
    loop {
        clock.tick().await;
        let model = Arc::clone(&app.model);
        let looked = tokio::task::spawn_blocking(move || model.reload_if_changed()).await;
        let Ok(Some(reloaded)) = looked else { continue };
        app.reloaded("file", &reloaded);
        match reloaded {
            Ok(loaded) => {
                tracing::info!(sha256 = loaded.name.sha256, "another artifact decides from now on");
            }
            Err(error) => tracing::error!(%error, "the artifact's file changed; the old one stays"),
        }
    }
}

/// One message for each SIGTERM and SIGINT.
fn signals() -> io::Result<mpsc::Receiver<()>> {
    let (told, signals) = mpsc::channel(2);
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        for kind in [SignalKind::terminate(), SignalKind::interrupt()] {
            let (mut signal, told) = (signal(kind)?, told.clone());
            tokio::spawn(async move {
                while signal.recv().await.is_some() && told.send(()).await.is_ok() {}
            });
        }
    }
    #[cfg(not(unix))]
    tokio::spawn(async move {
        while tokio::signal::ctrl_c().await.is_ok() && told.send(()).await.is_ok() {}
    });
    Ok(signals)
}
