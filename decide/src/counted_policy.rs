//! A policy that is counted and timed, and that can be stopped where a clock once stopped it.

use std::time::{Duration, Instant};

use godwit_envs::state::{Action, ClusterState};
use godwit_models::plan::{Plan, StopReason};
use godwit_models::policy::{Policy, Thought};

/// Passes decisions on and counts them. After the last one that is allowed, and after one that took
/// too long, it stays, which the planner takes as the end of the plan, as it takes a deadline.
pub struct Counted<'a> {
    policy: &'a mut dyn Policy,
    made: u32,
    most: Option<u32>,
    longest: Option<Duration>,
    cut: bool,
    slow: Option<Slow>,
}

/// A decision that took too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slow {
    /// Which one, from 1.
    pub decision: u32,
    /// Longest time that was allowed.
    pub limit: Duration,
    /// What it took.
    pub took: Duration,
}

impl<'a> Counted<'a> {
    /// At most this many decisions of the policy, none of them longer than that.
    pub fn new(policy: &'a mut dyn Policy, most: Option<u32>, longest: Option<Duration>) -> Self {
        Self { policy, made: 0, most, longest, cut: false, slow: None }
    }

    /// The decision that took too long.
    pub fn slow(&self) -> Option<Slow> {
        self.slow
    }

    /// How many decisions were made.
    pub fn made(&self) -> u32 {
        self.made
    }

    /// Whether no further plan is to be made: there are no decisions left, or one took too long.
    pub fn has_ended(&self) -> bool {
        self.cut || self.slow.is_some()
    }

    /// The plan that was made last, as a deadline would have ended it.
    pub fn as_cut(&self, mut plan: Plan) -> Plan {
        // What the planner says of the moves as a whole stands in either case.
        let stayed =
            matches!(plan.stop_reason, StopReason::PolicyStays | StopReason::NoFeasibleMove);
        if self.cut && stayed {
            plan.stop_reason = StopReason::Deadline;
        }
        plan
    }
}

impl Policy for Counted<'_> {
    fn name(&self) -> &str {
        self.policy.name()
    }

    fn reset(&mut self, seed: u64) {
        self.policy.reset(seed);
    }

    fn thought(&self) -> Option<Thought> {
        self.policy.thought()
    }

    fn act(&mut self, state: &ClusterState) -> Action {
        self.cut = self.most.is_some_and(|most| self.made >= most);
        if self.cut {
            return Action::Stay;
        }
        self.made += 1;
        let Some(limit) = self.longest else { return self.policy.act(state) };
        let started = Instant::now();
        let action = self.policy.act(state);
        let took = started.elapsed();
        if took > limit {
            self.slow = Some(Slow { decision: self.made, limit, took });
            return Action::Stay;
        }
        action
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::thread::sleep;

    use godwit_envs::env::Env;
    use godwit_envs::env::cluster_env::ClusterEnv;
    use godwit_envs::scenario::{Phase, Scenario, WorldTemplate};
    use godwit_models::baselines::baseline;
    use godwit_models::plan::plan;

    use super::*;

    /// Makes the deadline pass during its last decision.
    struct Sleeper {
        policy: Box<dyn Policy>,
        left: u32,
        deadline: Instant,
    }

    impl Policy for Sleeper {
        fn name(&self) -> &str {
            self.policy.name()
        }

        fn reset(&mut self, seed: u64) {
            self.policy.reset(seed);
        }

        fn act(&mut self, state: &ClusterState) -> Action {
            self.left -= 1;
            if self.left == 0 {
                sleep(self.deadline.saturating_duration_since(Instant::now()));
            }
            self.policy.act(state)
        }
    }

    #[test]
    fn a_plan_that_a_deadline_cut_short_is_made_again() {
        let template = WorldTemplate::new(&Scenario::embedded("quickstart").unwrap());
        let mut env = ClusterEnv::new(Arc::new(template), Phase::Evaluate).unwrap();
        env.reset(7).unwrap();
        let state = env.state();
        let policy = || baseline("best-single-move").unwrap();
        let whole = plan(state, policy().as_mut(), u32::MAX, None);
        for left in 1..=2 {
            let deadline = Instant::now() + Duration::from_millis(300);
            let mut slow = Sleeper { policy: policy(), left, deadline };
            let mut counted = Counted::new(&mut slow, None, None);
            let cut = plan(state, &mut counted, u32::MAX, Some(deadline));
            let (cut, made) = (counted.as_cut(cut), counted.made());
            assert_eq!((cut.stop_reason, made), (StopReason::Deadline, left));
            assert!(cut.moves.len() < whole.moves.len());

            let mut policy = policy();
            let mut counted = Counted::new(policy.as_mut(), Some(made), None);
            let again = plan(state, &mut counted, u32::MAX, None);
            assert_eq!((counted.as_cut(again), counted.made()), (cut, made));
        }
    }
}
