//! The threads that decide. Decisions take all of a core while they last; on a thread of their own
//! they never keep the service from accepting, refusing or halting.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread;

use crossbeam_channel::{Receiver, Sender, unbounded};
use godwit_models::baselines::baseline;
use godwit_models::baselines::stay::Stay;
use godwit_models::policy::Policy;
use tokio::sync::oneshot;

use super::metrics::Metrics;
use super::model::LiveModel;
use crate::engine::Engine;

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

/// A fixed number of workers that take jobs in the order in which they come.
#[derive(Debug)]
pub struct Pool {
    jobs: Sender<Job>,
}

type Job = Box<dyn FnOnce(&mut Worker) + Send>;

impl Pool {
    /// Starts the threads.
    ///
    /// # Errors
    /// When the system has no room for them.
    pub fn start(
        threads: usize,
        model: &Arc<LiveModel>,
        planners: Planners,
        metrics: &Arc<Metrics>,
    ) -> io::Result<Self> {
        let (jobs, queue) = unbounded();
        for at in 0..threads {
            let queue = queue.clone();
            let station = Station {
                model: Arc::clone(model),
                planners: planners.clone(),
                metrics: Arc::clone(metrics),
            };
            thread::Builder::new()
                .name(format!("worker-{at}"))
                .spawn(move || station.work(&queue))?;
        }
        Ok(Self { jobs })
    }

    /// Has a worker do this. Work that nobody waits for any more when its turn comes is skipped.
    ///
    /// # Errors
    /// When the work panicked; the worker is replaced.
    pub async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Worker) -> T + Send + 'static,
    ) -> Result<T, Lost> {
        let (reply, answer) = oneshot::channel();
        let job: Job = Box::new(move |worker| {
            if !reply.is_closed() {
                // Nobody may be waiting any more by now.
                let _ = reply.send(work(worker));
            }
        });
        self.jobs.send(job).map_err(|_| Lost)?;
        answer.await.map_err(|_| Lost)
    }
}

/// What a thread needs to make, and to replace, its worker.
struct Station {
    model: Arc<LiveModel>,
    planners: Planners,
    metrics: Arc<Metrics>,
}

impl Station {
    fn work(&self, queue: &Receiver<Job>) {
        let mut worker = self.worker();
        // Ends with the service.
        for job in queue {
            if !Arc::ptr_eq(worker.engine.loaded(), &self.model.current()) {
                worker = self.worker();
            }
            if catch_unwind(AssertUnwindSafe(|| job(&mut worker))).is_err() {
                self.metrics.panics.inc();
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
