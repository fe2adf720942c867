//! Short chains of moves that pay as a whole where no single move does.
//!
//! Rules:
//!
//! 1. From the present placement, the chain that gains most for each of its moves is made, again and
//!    again, until no chain gains anything or the plan's moves are spent. A chain is
//!    - up to three workloads of one node, each of which goes to another node: to one that takes it
//!      at the lowest cost, of equally good ones the one on which least of a slot is left over;
//!    - or the same, where one of them pushes a workload out of its new node, which goes elsewhere
//!      (make room, then move in) or to the node that the first one has left (a swap).
//! 2. The cost is that of all plans ([`crate::baselines::search::trial`]). Which chains are tried
//!    out is decided by an estimate, node by node.
//! 3. In clusters that are not large the same is done from the placement that the best single moves
//!    lead to.
//! 4. The way to the best of these placements is played move by move
//!    ([`crate::baselines::search::planned`]).
//!
//! Parameters: chains that are tried out, those of all plans. Nothing is drawn at random.
//!
//! Source: the ejection chains of Glover, "Ejection chains, reference structures and alternating
//! path methods for traveling salesman problems", Discrete Applied Mathematics 1996. That sets of
//! workloads should leave a node together is our own.

mod finder;
mod gauge;
mod prices;
#[cfg(test)]
mod tests;

pub(crate) use finder::Finder;

use crate::baselines::declaration::{Declaration, with_plan};
use crate::baselines::search::planned::Planned;
use crate::baselines::search::trial::{PlanRules, Trial};
use crate::policy::Policy;
use godwit_envs::state::{Action, ClusterState};
use std::time::Duration;

/// Up to so many pairs of workload and node, single moves are a second way to begin. In larger
/// clusters they would take longer than all the chains.
const DESCENDED: usize = 1 << 16;

/// Parameters of [`Chains`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ChainsRules {
    /// Those of all plans.
    pub plan: PlanRules,
    /// Chains that are tried out for each one that is made.
    pub tried: usize,
}

impl Default for ChainsRules {
    /// Twice or a quarter as many make little difference in validation episodes of the embedded
    /// scenarios.
    fn default() -> Self {
        Self { plan: PlanRules::default(), tried: 64 }
    }
}

/// The parameters as data.
pub(crate) fn declaration() -> Declaration<ChainsRules> {
    with_plan!(Declaration::new(ChainsRules::default(), Chains::new).integer(
        "tried",
        "chains that are tried out for each one that is made",
        8..=256,
        |r| (&mut r.tried).into()
    ))
}

/// Looks for chains and plays their moves.
#[derive(Debug, Clone, Default)]
pub struct Chains {
    rules: ChainsRules,
    planned: Planned,
}

impl Chains {
    /// With these parameters.
    pub fn new(rules: ChainsRules) -> Self {
        Self { rules, planned: Planned::default() }
    }
}

fn search(rules: &ChainsRules, trial: &mut Trial) {
    let mut finder = Finder::new(trial);
    finder.improve(trial, rules.tried);
    if trial.movable.len() * trial.state.spec.nodes() <= DESCENDED {
        trial.descend();
        finder.improve(trial, rules.tried);
    }
}

impl Policy for Chains {
    fn name(&self) -> &str {
        "chains"
    }

    fn reset(&mut self, _seed: u64) {
        self.planned.clear();
    }

    fn limit_time(&mut self, limit: Option<Duration>) {
        self.planned.limit_time(limit);
    }

    fn act(&mut self, state: &ClusterState) -> Action {
        let Self { rules, planned } = self;
        planned.act(state, rules.plan, |trial| search(rules, trial))
    }
}
