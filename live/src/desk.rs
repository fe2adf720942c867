//! Where decisions are made: the engine, what it is limited by, and how its policy stands.

use std::sync::Arc;
use std::time::{Duration, Instant};

use godwit_decide::case::Case;
use godwit_decide::decision::Decision;
use godwit_decide::engine::{Engine, EngineError, PlanLimits, plan_with};
use godwit_decide::loaded::Loaded;
use godwit_decide::outcomes::came_to::Over;
use godwit_decide::outcomes::drift::{Demotion, Drift};
use godwit_decide::outcomes::evaluation::MoveStatus;
use godwit_decide::own_folder::FolderError;
use godwit_decide::safety::{Overtaken, Safety};
use godwit_decide::state_journal::Journal as Memory;
use godwit_decide::timing::{Timing, micros};
use godwit_envs::input::InputError;
use godwit_envs::snapshot::Snapshot;
use godwit_models::artifact::ArtifactError;
use godwit_models::baselines::{NAMES, find};
use godwit_models::policy::Policy;

use crate::config::Settings;
use crate::ledger::moves::{Move, Stage};
use crate::ledger::plans::{Assessed, Decided};

/// Who planned, where the artifact's policy did.
const POLICY: &str = "policy";

/// Why no decisions can be made.
#[derive(Debug, thiserror::Error)]
pub enum DeskError {
    /// The artifact.
    #[error(transparent)]
    Artifact(#[from] ArtifactError),
    /// The limits.
    #[error(transparent)]
    Limits(#[from] InputError),
    /// What is remembered.
    #[error(transparent)]
    Memory(#[from] FolderError),
    /// The fallback is no baseline, or one that remembers earlier plans.
    #[error("fallback: expected one of {}, got {got}", usable().join(", "))]
    Fallback {
        /// What was named.
        got: String,
    },
}

/// What makes decisions.
pub struct Desk {
    engine: Engine,
    safety: Safety,
    drift: Drift,
    fallback: (String, Box<dyn Policy>),
    limits: PlanLimits,
}

/// A decision: what is told of it, and what is to be carried out.
#[derive(Debug)]
pub struct Answer {
    /// The document, as the scorer gives it.
    pub document: Decision,
    /// The plan.
    pub decided: Decided,
    case: Case,
    arrived: u64,
}

impl Desk {
    /// A desk with the artifact and limits of the settings, which remembers in their folder; `demoted`
    /// says how its policy stood before.
    ///
    /// # Errors
    /// When anything of it cannot be had.
    pub fn open(settings: &Settings, demoted: bool) -> Result<Self, DeskError> {
        let memory = Memory::open(&settings.state.join("memory"))?;
        let mut desk = Self::aside(settings, demoted)?;
        desk.safety = desk.safety.with_journal(Some(memory));
        Ok(desk)
    }

    /// The same, which remembers nothing.
    ///
    /// # Errors
    /// As for [`Desk::open`].
    pub fn aside(settings: &Settings, demoted: bool) -> Result<Self, DeskError> {
        let loaded = Arc::new(Loaded::open(&settings.model)?);
        let name = &settings.fallback;
        let fallback = find(name).filter(|baseline| baseline.remembers.is_none());
        let fallback = fallback.ok_or_else(|| DeskError::Fallback { got: name.clone() })?;
        let fallback = (name.clone(), fallback.policy());
        let drift = Drift::new(Demotion {
            window: settings.demote_window,
            most_missed: settings.demote_above,
        });
        if demoted {
            drift.demote();
        }
        Ok(Self {
            engine: Engine::new(loaded),
            safety: Safety::load(settings.limits.as_deref())?,
            drift,
            fallback,
            limits: PlanLimits {
                max_moves: settings.max_moves,
                think: Duration::from_millis(settings.think_ms.into()),
                ..PlanLimits::NONE
            },
        })
    }

    /// Length of the rules' tick, seconds.
    pub fn tick_s(&self) -> f64 {
        f64::from(self.engine.loaded().rules.episode.tick_s)
    }

    /// Fixed time of the rules' switch-over, seconds.
    pub fn switch_over_s(&self) -> f32 {
        self.engine.loaded().rules.migration.switch_over_s
    }

    /// Who plans where the policy cannot.
    pub fn fallback(&self) -> &str {
        &self.fallback.0
    }

    /// Most transfers of the rules: of a node, and in all.
    pub fn transfers(&self) -> [u32; 2] {
        let limits = &self.engine.loaded().rules.limits;
        [limits.transfers_per_node, limits.transfers_in_flight]
    }

    /// The artifact that decides.
    pub fn loaded(&self) -> &Loaded {
        self.engine.loaded()
    }

    /// Decides about a snapshot.
    ///
    /// # Errors
    /// When the snapshot does not fit the artifact, or neither policy nor fallback has a plan that may
    /// be carried out.
    pub fn decide(&mut self, snapshot: Snapshot, id: String) -> Result<Answer, EngineError> {
        let started = Instant::now();
        let mut case = self.engine.case(snapshot, "the cluster")?;
        let arrived = self.safety.plans();
        let moment = self.safety.moment(&mut case, arrived);
        let snapshot_us = micros(started);
        let (safety, limits) = (&self.safety, self.limits);
        let by_policy = match self.drift.is_demoted() {
            true => None,
            false => match self.engine.plan(&case, safety, &moment, limits) {
                Ok(planned) => Some(planned),
                Err(error @ EngineError::Input(_)) => return Err(error),
                Err(error) => {
                    tracing::error!(%error, fallback = self.fallback.0, "the policy has no plan");
                    None
                }
            },
        };
        let (planner, planned) = match by_policy {
            Some(planned) => (POLICY, planned),
            None => {
                let (name, policy) = &mut self.fallback;
                (name.as_str(), plan_with(&mut **policy, &case, safety, &moment, limits)?)
            }
        };
        let returning = safety.returning(case.snapshot.tick, &moment.memory, &planned.plan.moves);
        let decided = Decided {
            id,
            planner: planner.to_owned(),
            tick: case.snapshot.tick,
            taken_at_s: case.snapshot.taken_at_s.unwrap_or_default(),
            plan: planned.plan.clone(),
            returning,
        };
        let timing = Timing { snapshot: snapshot_us, total: micros(started), ..Timing::default() };
        let document = Decision::new(self.engine.loaded(), &case, planned, timing);
        Ok(Answer { document, decided, case, arrived })
    }

    /// Remembers a plan that is going to be carried out.
    ///
    /// # Errors
    /// When another plan came first.
    pub fn carried_out(&self, answer: &Answer) -> Result<(), Overtaken> {
        self.safety.carried_out(&answer.case, answer.arrived, &answer.decided.plan)?;
        self.safety.sync();
        Ok(())
    }

    /// What a plan came to whose moves are all over, on the cluster as it is.
    ///
    /// # Errors
    /// When the snapshot does not fit the artifact.
    pub fn assess(
        &self,
        snapshot: Snapshot,
        decided: &Decided,
        moves: &[Move],
    ) -> Result<Assessed, EngineError> {
        let case = self.engine.case(snapshot, "the cluster")?;
        for of_plan in moves.iter().filter(|of_plan| !of_plan.has_succeeded()) {
            self.safety.not_made(decided.tick, &of_plan.planned);
        }
        let ticks = self.safety.payback_ticks(&case.state.rules);
        let fates: Vec<Option<MoveStatus>> = moves.iter().map(fate).collect();
        let over = Over { plan: &decided.plan, returning: &decided.returning, fates: &fates };
        if moves.iter().any(|of_plan| !of_plan.has_succeeded()) {
            // Half of a swap may be worse than none of it. Without a rest, the next plan can take it
            // back, if that is worth its cost then and keeps every rule.
            for at in over.better_undone(&case.state, ticks) {
                self.safety.not_made(decided.tick, &decided.plan.moves[at]);
            }
        }
        self.safety.sync();
        let all = over.all(&case.state, ticks);
        if decided.planner == POLICY
            && let Some(outcome) = over.outcome(&case.state, ticks)
        {
            self.drift.evaluated(outcome);
        }
        Ok(Assessed {
            id: decided.id.clone(),
            planner: decided.planner.clone(),
            moves: moves.len(),
            made: all.undone.moves.len(),
            predicted_gain: all.predicted_gain,
            realised_gain: all.undone.realised_gain,
            cost: all.cost,
            net_gain: all.net_gain(),
            demoted: self.drift.is_demoted(),
        })
    }
}

/// What became of a move, as its plan is judged: one that was never begun is not.
fn fate(of_plan: &Move) -> Option<MoveStatus> {
    match of_plan.stage {
        _ if of_plan.has_succeeded() => Some(MoveStatus::Done),
        Stage::Ended { begun: true, .. } => Some(MoveStatus::Failed),
        _ => None,
    }
}

/// The baselines that plan without what happened before.
fn usable() -> Vec<&'static str> {
    let is_usable = |name: &&str| find(name).is_some_and(|baseline| baseline.remembers.is_none());
    NAMES.iter().copied().filter(is_usable).collect()
}
