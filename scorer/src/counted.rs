//! A policy that is counted, and that can be stopped where a clock once stopped it.

use godwit_envs::state::{Action, ClusterState};
use godwit_models::plan::{Plan, StopReason};
use godwit_models::policy::Policy;

/// Passes decisions on and counts them. After the last one that is allowed it stays, which the
/// planner takes as the end of the plan, as it takes a deadline.
pub struct Counted<'a> {
    policy: &'a mut dyn Policy,
    made: u32,
    most: Option<u32>,
    cut: bool,
}

impl<'a> Counted<'a> {
    /// At most this many decisions of the policy.
    pub fn new(policy: &'a mut dyn Policy, most: Option<u32>) -> Self {
        Self { policy, made: 0, most, cut: false }
    }

    /// The plan as a deadline would have ended it, and how many decisions were made.
    pub fn finish(self, mut plan: Plan) -> (Plan, u32) {
        // What the planner says of the moves as a whole stands in either case.
        let stayed =
            matches!(plan.stop_reason, StopReason::PolicyStays | StopReason::NoFeasibleMove);
        if self.cut && stayed {
            plan.stop_reason = StopReason::Deadline;
        }
        (plan, self.made)
    }
}

impl Policy for Counted<'_> {
    fn name(&self) -> &str {
        self.policy.name()
    }

    fn reset(&mut self, seed: u64) {
        self.policy.reset(seed);
    }

    fn act(&mut self, state: &ClusterState) -> Action {
        self.cut = self.most.is_some_and(|most| self.made >= most);
        if self.cut {
            return Action::Stay;
        }
        self.made += 1;
        self.policy.act(state)
    }
}
