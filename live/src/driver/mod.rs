//! The loop: look, decide, carry out, watch, assess; for ever.
//!
//! One thread writes the journal and takes every step; calls to the cluster that may take long are
//! made side by side, but what they say is written down in one order. All moves of a plan have begun
//! before another is made: each begins as soon as those that it waits for are complete, and they are
//! given up when the world changes under them. The next plan sees moves under way as transfers. Whatever happens to this process, the journal says what may be
//! under way, and the cluster is asked before anything else is done.

mod assessing;
mod looking;
mod moving;
mod recovering;

use std::collections::HashMap;
use std::sync::Arc;

use godwit_decide::decision::Decision;
use godwit_envs::snapshot::Snapshot;

use crate::clock::Clock;
use crate::cluster::{Cluster, Executor, Source};
use crate::config::{Mode, Moves};
use crate::control::{Control, Request, Status};
use crate::desk::Desk;
use crate::journal::{Journal, NotKept};
use crate::ledger::moves::{Outcome, Stage, Why};
use crate::ledger::record::Event;
use crate::ledger::{Ledger, OpenPlan};

/// How the loop goes about it.
#[derive(Debug, Clone)]
pub struct Pace {
    /// What is done with decisions.
    pub mode: Mode,
    /// Seconds between two looks.
    pub interval_s: f64,
    /// Seconds between two questions about moves under way.
    pub poll_s: f64,
    /// How moves are carried out.
    pub moves: Moves,
}

/// The loop.
pub struct Driver {
    source: Box<dyn Source>,
    executor: Option<Arc<dyn Executor>>,
    desk: Desk,
    journal: Journal,
    clock: Arc<dyn Clock>,
    control: Arc<Control>,
    pace: Pace,
    /// The cluster as it was last seen, uncorrected.
    seen: Option<Arc<Snapshot>>,
    seen_at_s: Option<f64>,
    unseen: Option<String>,
    notes: Vec<String>,
    /// Node of each workload when it was last seen.
    placement: HashMap<String, String>,
    decision: Option<Arc<Decision>>,
    next_look_s: f64,
    /// Whether moves of an earlier process were looked for.
    recovered: bool,
    /// Orders that were to be given up and were not, of which a person has been told.
    stuck: Vec<String>,
}

impl Driver {
    /// A loop over a cluster that goes on from the journal.
    pub fn new(
        cluster: Cluster,
        desk: Desk,
        journal: Journal,
        clock: Arc<dyn Clock>,
        control: Arc<Control>,
        pace: Pace,
    ) -> Self {
        Self {
            source: cluster.source,
            executor: cluster.executor,
            desk,
            journal,
            clock,
            control,
            pace,
            seen: None,
            seen_at_s: None,
            unseen: None,
            notes: Vec::new(),
            placement: HashMap::new(),
            decision: None,
            next_look_s: 0.0,
            recovered: false,
            stuck: Vec::new(),
        }
    }

    /// Takes turns until `stop` says so. Moves under way go on without this process.
    ///
    /// # Errors
    /// When the journal cannot be written to: then nothing more may be begun.
    pub fn run(&mut self, mut stop: impl FnMut(&Self) -> bool) -> Result<(), NotKept> {
        while !stop(self) {
            self.turn()?;
            let until_look = self.next_look_s - self.clock.now_s();
            let wait = if self.ledger().open().next().is_some() {
                until_look.min(self.pace.poll_s)
            } else {
                // Requests are not left waiting.
                until_look.min(self.pace.poll_s.max(0.25))
            };
            self.clock.sleep(wait.max(0.001));
        }
        Ok(())
    }

    /// One turn: what was asked for, what is under way, a look where one is due.
    ///
    /// # Errors
    /// As for [`Driver::run`].
    pub fn turn(&mut self) -> Result<(), NotKept> {
        for request in self.control.requests() {
            self.answer(request)?;
        }
        if let Some(executor) = self.executor.clone() {
            if !std::mem::replace(&mut self.recovered, true) {
                self.recover(&*executor)?;
            }
            self.find_unknown(&*executor)?;
            self.watch(&*executor)?;
        }
        let is_over = self.ledger().plans.iter().any(OpenPlan::is_over);
        if self.clock.now_s() >= self.next_look_s || is_over {
            self.look()?;
        }
        if let Some(executor) = self.executor.clone() {
            self.start_ready(&*executor)?;
        }
        self.show();
        Ok(())
    }

    /// What is known.
    pub fn ledger(&self) -> &Ledger {
        self.journal.ledger()
    }

    /// Whether nothing is left to be done: the last decision moves nothing, and no plan is open.
    pub fn is_settled(&self) -> bool {
        self.ledger().plans.is_empty()
            && self.decision.as_ref().is_some_and(|decision| decision.plan.moves.is_empty())
    }

    fn put(&mut self, event: Event) -> Result<(), NotKept> {
        self.journal.put(self.clock.now_s(), event)
    }

    fn alert(&mut self, text: String) -> Result<(), NotKept> {
        tracing::error!("{text}");
        self.put(Event::Alert { text })
    }

    fn answer(&mut self, request: Request) -> Result<(), NotKept> {
        match request {
            Request::Halt(reason) => {
                tracing::warn!(by = reason, "halted: no more moves begin");
                self.put(Event::Halted { reason })
            }
            Request::Resume(reason) => {
                tracing::warn!(by = reason, "resumed");
                self.put(Event::Resumed { reason })
            }
            Request::Abort { order, by } => {
                let Some(planned) = self.ledger().of_order(&order) else { return Ok(()) };
                match planned.stage {
                    Stage::Waiting { .. } => {
                        let reason = Why::Asked(by).to_string();
                        self.end(&order, Outcome::Superseded, reason)
                    }
                    Stage::Running { giving_up: None, .. } => self.give_up(&order, Why::Asked(by)),
                    _ => Ok(()),
                }
            }
        }
    }

    fn show(&self) {
        self.control.show(Status {
            at_s: self.clock.now_s(),
            mode: self.pace.mode,
            promises: self.executor.as_ref().map(|executor| executor.promises()),
            seen_at_s: self.seen_at_s,
            unseen: self.unseen.clone(),
            notes: self.notes.clone(),
            snapshot: self.seen.clone(),
            decision: self.decision.clone(),
            ledger: self.ledger().clone(),
        });
    }
}
