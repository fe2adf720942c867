//! Which baselines decide as they do because of earlier ticks.

use crate::baselines::{NAMES, baseline, find};
use crate::policy::Policy;
use crate::rollout::rollout;
use crate::testing::env;
use godwit_envs::scenario::Phase;
use godwit_envs::state::{Action, ClusterState};

/// Those that draw at random decide differently each time by design.
const RANDOM: &[&str] =
    &["random", "annealing", "genetic", "particle-swarm", "large-neighbourhood"];

/// A baseline next to one that forgets everything with each tick.
struct Pair {
    keeps: Box<dyn Policy>,
    forgets: Box<dyn Policy>,
    tick: u32,
    differs: bool,
}

impl Policy for Pair {
    fn name(&self) -> &str {
        self.keeps.name()
    }

    fn reset(&mut self, seed: u64) {
        self.keeps.reset(seed);
    }

    fn act(&mut self, state: &ClusterState) -> Action {
        if self.tick != state.tick {
            self.forgets.reset(0);
            self.tick = state.tick;
        }
        let action = self.keeps.act(state);
        self.differs |= action != self.forgets.act(state);
        action
    }
}

#[test]
fn the_baselines_that_need_their_memory_are_those_that_say_so() {
    for name in NAMES.iter().filter(|name| !RANDOM.contains(name)) {
        let differs = ["bursty", "faults"].iter().any(|scenario| {
            let named = || baseline(name).unwrap();
            let (keeps, forgets) = (named(), named());
            let mut pair = Pair { keeps, forgets, tick: u32::MAX, differs: false };
            rollout(&mut env(scenario, Phase::Evaluate), &mut pair, 3).unwrap();
            pair.differs
        });
        let remembers = |name: &str| find(name).and_then(|baseline| baseline.remembers);
        assert_eq!(differs, remembers(name).is_some(), "{name}");
        if let Some(remembered) = remembers(name) {
            assert!(NAMES.contains(&remembered.instead), "{name}");
            assert_eq!(remembers(remembered.instead), None, "{name}");
        }
    }
}
