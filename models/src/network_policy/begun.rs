//! The chain of moves that a policy has begun.

use godwit_envs::observe::chains::Chain;
use godwit_envs::state::{Action, ClusterState};

/// A chain of which some moves are made.
#[derive(Debug, Clone, Default)]
pub(super) struct Begun {
    /// The chain, and how many of its moves are made; none where no more are to come.
    chain: Option<(Chain, usize)>,
    /// Where the last of these led to. In any other state the chain is forgotten.
    placement: Vec<u32>,
}

impl Begun {
    pub fn forget(&mut self) {
        self.chain = None;
    }

    /// The first move of this chain is made now.
    pub fn begin(&mut self, state: &ClusterState, chain: Chain) {
        self.makes(state, chain, 0);
    }

    /// The next move, if this is the state that it is due in.
    pub fn next(&mut self, state: &ClusterState) -> Option<Action> {
        let (chain, made) = self.chain.take()?;
        if self.placement != state.placement {
            return None;
        }
        let (workload, destination) = chain.moves()[made];
        let (workload, destination) = (workload as usize, destination as usize);
        state.check(workload, destination).ok()?;
        self.makes(state, chain, made);
        Some(Action::Migrate { workload, destination })
    }

    fn makes(&mut self, state: &ClusterState, chain: Chain, at: usize) {
        let (workload, destination) = chain.moves()[at];
        self.chain = (at + 1 < chain.moves().len()).then_some((chain, at + 1));
        if self.chain.is_some() {
            self.placement.clone_from(&state.placement);
            self.placement[workload as usize] = destination;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{cluster, rules};
    use serde_json::json;

    #[test]
    fn a_chain_goes_on_where_its_last_move_led_to_and_nowhere_else() {
        let placed = [(5.0, 0), (3.0, 0), (1.0, 0), (2.0, 1)];
        let mut state = cluster(rules(json!({})), (3, 10.0), &placed, |_| {});
        let mut begun = Begun::default();
        assert_eq!(begun.next(&state), None);
        let to = |workload, destination| Some(Action::Migrate { workload, destination });
        begun.begin(&state, Chain::new(&[(0, 1), (1, 2), (2, 1)]));
        let before = state.clone();
        state.migrate(0, 1).expect("a feasible move");
        let (mut elsewhere, mut reset) = (begun.clone(), begun.clone());
        assert_eq!(begun.next(&state), to(1, 2));
        state.migrate(1, 2).expect("a feasible move");
        assert_eq!(begun.next(&state), to(2, 1));
        state.migrate(2, 1).expect("a feasible move");
        assert_eq!(begun.next(&state), None);
        assert_eq!(elsewhere.next(&before), None);
        assert_eq!(elsewhere.next(&state), None);
        reset.forget();
        assert_eq!(reset.next(&state), None);
    }
}
