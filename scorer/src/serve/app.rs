//! What all requests share.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::time::{SystemTime, UNIX_EPOCH};

use axum::body::{Body, HttpBody};
use bytes::{Buf, Bytes};
use tokio::time::{Instant, timeout_at};

use godwit_decide::loaded::Loaded;

use super::metrics::{self, Metrics};
use super::settings::Settings;
use crate::decision_log::{DecisionLog, Event};
use crate::serve::bodies::api_error::ApiError;
use crate::serve::bodies::request_body::read;
use crate::serve::leaving::caller::{Caller, Waiting};
use crate::serve::leaving::desk::Desk;
use crate::serve::leaving::recent_decisions::History;
use crate::serve::model::live_model::LiveModel;
use crate::serve::model::takeover::ReloadError;
use crate::serve::workers::admission::Admission;
use crate::serve::workers::pool::{Planners, Pool, Worker};
use godwit_decide::outcomes::drift::Drift;

/// What all requests share.
pub struct App {
    /// What was asked for at the start.
    pub settings: Settings,
    /// The artifact that decides.
    pub model: Arc<LiveModel>,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// Recent decisions.
    pub history: History,
    /// Whether the policy still earns what it predicts.
    pub drift: Drift,
    /// Where plans leave.
    pub desk: Desk,
    /// Where decisions are put down.
    pub log: Option<DecisionLog>,
    /// Whether the service is about to end.
    pub draining: AtomicBool,
    /// Names requests.
    pub ids: Ids,
    pool: Pool,
    admission: Admission,
}

/// How handlers hold it.
pub type Shared = Arc<App>;

/// A request as it came.
#[derive(Debug, Clone)]
pub struct Arrival {
    /// Names the request in the log, and its decision.
    pub id: String,
    /// When its headers were there.
    pub at: Instant,
    /// When it must have been answered.
    pub until: Instant,
}

impl App {
    /// Starts the workers.
    ///
    /// # Errors
    /// When the system has no room for their threads.
    pub fn start(mut settings: Settings, model: Arc<LiveModel>) -> io::Result<Self> {
        let fallback = settings.fallback.name.as_str();
        let metrics = metrics::start(settings.mode, fallback, settings.state_lost.clone());
        let metrics = Arc::new(metrics);
        metrics.model(&model.current());
        let halted = settings.safety.was_halted();
        metrics.halted.set(i64::from(halted));
        let planners = Planners {
            baseline: settings.shadow.as_ref().map(|s| s.baseline.clone()),
            fallback: fallback.to_owned(),
        };
        let log = settings
            .log
            .take()
            .map(|log| DecisionLog::start(log.files, log.sync, log.required, metrics.log.clone()));
        let admission = Admission::new(&settings.bounds);
        Ok(Self {
            log: log.transpose()?,
            pool: Pool::start(
                settings.workers,
                admission.small_bytes(),
                &model,
                planners,
                &metrics,
            )?,
            admission,
            history: History::new(settings.bounds.decisions, settings.bounds.decisions_bytes),
            draining: AtomicBool::new(false),
            desk: Desk::new(halted),
            drift: Drift::new(settings.fallback.demotion),
            ids: Ids::new(),
            settings,
            model,
            metrics,
        })
    }

    /// Halts or resumes migrations. Once this is done after a halt, no plan with moves leaves.
    pub async fn halt(self: &Arc<Self>, halted: bool) {
        let safety = &self.settings.safety;
        self.desk.halt(halted, || safety.halted(halted)).await;
        self.metrics.halted.set(i64::from(halted));
        self.put_down(Event::Halt(halted));
        let app = Arc::clone(self);
        // A failure is counted and logged where it happens.
        let _ = tokio::task::spawn_blocking(move || app.settings.safety.sync()).await;
    }

    /// Another artifact was to be loaded, because of a request or of a change of the file.
    pub fn reloaded(&self, trigger: &'static str, reloaded: &Result<Arc<Loaded>, ReloadError>) {
        self.metrics.reloaded(trigger, reloaded.as_deref().map_err(ReloadError::reason));
        if reloaded.is_ok() {
            self.clear_record();
        }
        let name = reloaded.as_ref().map(|loaded| loaded.name.clone());
        self.put_down(Event::Reload(name.map_err(ToString::to_string)));
    }

    /// The policy decides without a record: it is another one, or someone says so.
    pub fn clear_record(&self) {
        self.drift.clear();
        self.metrics.standing(&self.drift.standing());
    }

    /// Puts something that is no decision in the decision log, if there is one.
    pub fn put_down(&self, event: Event) {
        if let Some(log) = &self.log {
            log.put(event);
        }
    }

    /// Reads a request's body and has a worker work on it, within the limits on both. The permit is
    /// taken first: bodies that wait for a worker take memory, too.
    ///
    /// # Errors
    /// When a limit is exceeded, the body breaks off, or the work fails or panics.
    pub async fn work<T: Send + 'static>(
        self: &Arc<Self>,
        arrival: &Arrival,
        body: Body,
        work: impl FnOnce(&App, &mut Worker, &Bytes) -> Result<T, ApiError> + Send + 'static,
    ) -> Result<T, ApiError> {
        self.work_for(arrival, body, |app, worker, body, _| work(app, worker, body)).await
    }

    /// [`App::work`], of which some must only be done for someone who still waits.
    ///
    /// # Errors
    /// As for [`App::work`].
    pub async fn work_for<T: Send + 'static>(
        self: &Arc<Self>,
        arrival: &Arrival,
        body: Body,
        work: impl FnOnce(&App, &mut Worker, &Bytes, &Caller) -> Result<T, ApiError> + Send + 'static,
    ) -> Result<T, ApiError> {
        let bounds = &self.settings.bounds;
        let mut permit = self.admission.enter(body.size_hint().exact())?;
        let mut body = read(body, bounds.body_bytes, arrival.until).await?;
        let bytes = body.remaining();
        permit.has_come(bytes);
        let app = Arc::clone(self);
        // Dropped with this future when the connection is gone.
        let waiting = Waiting::default();
        let caller = waiting.caller();
        let done = self
            .pool
            .run(bytes, move |worker| work(&app, worker, &body.copy_to_bytes(bytes), &caller));
        let mut done = std::pin::pin!(done);
        let done = match timeout_at(arrival.until, &mut done).await {
            Ok(done) => done,
            Err(_elapsed) if waiting.give_up() => return Err(ApiError::timeout()),
            // The plan is remembered as carried out by now, and about to be answered.
            Err(_elapsed) => done.await,
        };
        done.map_err(|_lost| ApiError::internal())?
    }
}

/// Names requests so that no two have the same name, also across restarts.
#[derive(Debug)]
pub struct Ids {
    start: u32,
    next: AtomicU64,
}

impl Ids {
    fn new() -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        // The low bits of the time in microseconds: the same again only after an hour.
        let start = (now.as_micros() as u32).wrapping_add(std::process::id());
        Self { start, next: AtomicU64::new(0) }
    }

    /// A new name.
    pub fn next(&self) -> String {
        format!("{:08x}-{:x}", self.start, self.next.fetch_add(1, Relaxed))
    }
}
