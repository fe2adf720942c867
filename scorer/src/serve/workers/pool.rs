//! The threads that decide. Decisions take all of a core while they last; on a thread of their own
//! they never keep the service from accepting, refusing or halting.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Instant;
use std::{io, thread};

use godwit_decide::engine::Engine;
use godwit_models::baselines::baseline;
use godwit_models::baselines::greedy::stay::Stay;
use godwit_models::policy::Policy;
use prometheus_client::metrics::counter::Counter;
use tokio::sync::oneshot;

use super::job_queue::{Queue, Takes};
use crate::serve::metrics::Metrics;
use crate::serve::model::live_model::LiveModel;

/// What one thread decides with; buffers stay from one request to the next.
pub struct Worker {
    /// The policy.
    pub engine: Engine,
    /// Who plans next to it in shadow mode; never asked in another.
    pub baseline: Box<dyn Policy>,
    /// Who plans instead of it.
    pub fallback: Box<dyn Policy>,
}

/// Names of the baselines that a worker has.
#[derive(Debug, Clone)]
pub struct Planners {
    /// Who plans next to the policy in shadow mode.
    pub baseline: Option<String>,
    /// Who plans instead of the policy.
    pub fallback: String,
}

/// Work that panicked or was given up.
#[derive(Debug)]
pub struct Lost;

/// A fixed number of workers, a quarter of which, and at least one, take small jobs only: whoever
/// sends large ones, and however many, small ones find a worker. A single worker takes all, and a
/// second one is there for small jobs.
pub struct Pool {
    queue: Arc<Queue<Job>>,
    panics: Counter,
}

/// Fails where the worker has to be replaced.
type Job = Box<dyn FnOnce(&mut Worker) -> Result<(), Lost> + Send>;

impl Pool {
    /// Starts the threads.
    ///
    /// # Errors
    /// When the system has no room for them.
    pub fn start(
        threads: usize,
        small_bytes: usize,
        model: &Arc<LiveModel>,
        planners: Planners,
        metrics: &Arc<Metrics>,
    ) -> io::Result<Self> {
        let queue = Arc::new(Queue::new(small_bytes));
        let pool = Self { queue, panics: metrics.panics.clone() };
        let reserved = (threads / 4).max(1);
        let for_all = threads.saturating_sub(reserved).max(1);
        for at in 0..for_all + reserved {
            let queue = Arc::clone(&pool.queue);
            let takes = if at < for_all { Takes::All } else { Takes::Small };
            let station = Station { model: Arc::clone(model), planners: planners.clone() };
            thread::Builder::new()
                .name(format!("worker-{at}"))
                .spawn(move || station.work(&queue, takes))?;
        }
        Ok(pool)
    }

    /// Has a worker do this, whose input has so many bytes. Work that nobody waits for any more when
    /// its turn comes is skipped.
    ///
    /// # Errors
    /// When the work panicked; the worker is replaced.
    pub async fn run<T: Send + 'static>(
        &self,
        bytes: usize,
        work: impl FnOnce(&mut Worker) -> T + Send + 'static,
    ) -> Result<T, Lost> {
        let (reply, answer) = oneshot::channel();
        let panics = self.panics.clone();
        let job: Job = Box::new(move |worker| {
            if reply.is_closed() {
                return Ok(());
            }
            let done = catch_unwind(AssertUnwindSafe(|| work(worker))).map_err(|_| {
                // Counted before `reply` is dropped, which tells whoever waits.
                panics.inc();
                Lost
            })?;
            // Nobody may be waiting any more by now.
            let _ = reply.send(done);
            Ok(())
        });
        self.queue.push(Instant::now(), bytes, job);
        answer.await.map_err(|_| Lost)
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.queue.close();
    }
}

/// What a thread needs to make, and to replace, its worker.
struct Station {
    model: Arc<LiveModel>,
    planners: Planners,
}

impl Station {
    fn work(&self, queue: &Queue<Job>, takes: Takes) {
        let mut worker = self.worker();
        // Ends with the service.
        while let Some(job) = queue.pop(takes) {
            if !Arc::ptr_eq(worker.engine.loaded(), &self.model.current()) {
                worker = self.worker();
            }
            if job(&mut worker).is_err() {
                worker = self.worker();
            }
        }
    }

    fn worker(&self) -> Worker {
        // The names were checked with the settings.
        let named = |name: &str| baseline(name).unwrap_or_else(|| Box::new(Stay));
        Worker {
            engine: Engine::new(self.model.current()),
            baseline: named(self.planners.baseline.as_deref().unwrap_or("stay")),
            fallback: named(&self.planners.fallback),
        }
    }
}
