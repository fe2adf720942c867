//! The greedy one: the best of all single moves.
//!
//! Rule: over every feasible pair of workload and destination, take the one that decreases the
//! weighted objective most, net of what the migration costs; `Stay` when nothing is worth more
//! than the minimum gain. In online scenarios a gain per tick is assumed to last for
//! a number of ticks; where the scenario has forecast horizons the gain is looked up there
//! ([`Persistence`]). In clusters of more than 100 million pairs, only those of at most 256
//! workloads are looked at, whose leaving promises most.
//!
//! Source: steepest descent over the "shift" neighbourhood, the usual yardstick for machine
//! reassignment (Gavranovic, Buljubasic and Demirovic, "Variable neighborhood search for Google
//! machine reassignment problem", 2012).

use crate::baselines::declaration::Declaration;
use crate::baselines::scan::{Persistence, Scan};
use crate::policy::Policy;
use godwit_envs::scenario::Mode;
use godwit_envs::state::{Action, ClusterState};

/// Gains up to this share of the weighted objective (or of 1, if that is more) are rounding.
const ROUNDING: f32 = 1e-5;

impl BestSingleMoveRules {
    /// What a move has to gain in this state: in a static world any true improvement.
    pub(crate) fn least_gain(&self, state: &ClusterState) -> f32 {
        let rounding = ROUNDING * state.level().abs().max(1.0);
        match state.rules.episode.mode {
            Mode::Rebalance => rounding,
            Mode::Online => self.min_gain.max(rounding),
        }
    }
}

/// Parameters of [`BestSingleMove`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BestSingleMoveRules {
    /// For how long a gain counts (online).
    pub persistence: Persistence,
    /// Least net gain that is worth a move in online scenarios, in units of the weighted
    /// objective. Rebalance scenarios take every strict improvement.
    pub min_gain: f32,
}

impl Default for BestSingleMoveRules {
    /// The middle of the plateau of a sweep over 100 training episodes of `founding-10x50`
    /// (`--example baselines sweep-single`). The forecast alone is worse than the present alone:
    /// it values a placement that later moves will have changed.
    fn default() -> Self {
        Self { persistence: Persistence { ticks: 18, forecast_share: 0.3 }, min_gain: 0.1 }
    }
}

/// The parameters as data.
pub(crate) fn declaration() -> Declaration<BestSingleMoveRules> {
    Declaration::new(BestSingleMoveRules::default(), BestSingleMove::new)
        .integer("ticks", "ticks for which a gain counts", 1..=72, |r| {
            (&mut r.persistence.ticks).into()
        })
        .online()
        .real("forecast_share", "share of the gain looked up in the forecast", 0.0..=1.0, |r| {
            (&mut r.persistence.forecast_share).into()
        })
        .online()
        .real("min_gain", "least net gain of a move, weighted objective", 0.0..=1.0, |r| {
            (&mut r.min_gain).into()
        })
        .online()
}

/// Takes the best single move.
#[derive(Debug, Clone, Default)]
pub struct BestSingleMove {
    rules: BestSingleMoveRules,
    scan: Scan,
}

impl BestSingleMove {
    /// With these parameters.
    pub fn new(rules: BestSingleMoveRules) -> Self {
        Self { rules, scan: Scan::default() }
    }
}

impl Policy for BestSingleMove {
    fn name(&self) -> &str {
        "best-single-move"
    }

    fn reset(&mut self, _seed: u64) {}

    fn act(&mut self, state: &ClusterState) -> Action {
        self.scan.prepare(state, self.rules.persistence);
        match self.scan.best(state, self.rules.least_gain(state)) {
            Some(best) => {
                Action::Migrate { workload: best.workload, destination: best.destination }
            }
            None => Action::Stay,
        }
    }
}
