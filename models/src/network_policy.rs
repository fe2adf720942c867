//! A network as a policy: observe, value the candidates, take the best.

use crate::net::{Network, first_best};
use crate::policy::Policy;
use godwit_envs::observe::candidates::CandidateList;
use godwit_envs::observe::encoder::{Candidates, encode, observation_space};
use godwit_envs::observe::{ObservationBuffer, ObservationSpace, features};
use godwit_envs::scenario::Rules;
use godwit_envs::state::cluster::ClusterSpec;
use godwit_envs::state::{Action, ClusterState};
use std::sync::Arc;

/// Takes the candidate of highest value. Buffers are made for the first cluster it sees, and made
/// anew for one that is observed in another way: of another size, or under other rules.
#[derive(Debug, Clone)]
pub struct NetworkPolicy {
    name: String,
    network: Network,
    list: CandidateList,
    buffers: Option<Buffers>,
}

#[derive(Debug, Clone)]
struct Buffers {
    /// What they were made for: both are held, so that the same pointers mean the same cluster.
    rules: Arc<Rules>,
    spec: Arc<ClusterSpec>,
    space: ObservationSpace,
    observation: ObservationBuffer,
    q: Vec<f32>,
}

impl NetworkPolicy {
    /// A policy with this network.
    pub fn new(name: &str, network: Network) -> Self {
        Self { name: name.to_owned(), network, list: CandidateList::default(), buffers: None }
    }

    /// Takes over other weights of the same shape.
    pub fn load_flat(&mut self, weights: &[f32]) {
        self.network.load_flat(weights);
    }

    /// The action at the index that `pick` names, from the value of each candidate
    /// (`f32::NEG_INFINITY` for masked ones).
    pub fn act_by(&mut self, state: &ClusterState, pick: impl FnOnce(&[f32]) -> usize) -> Action {
        let (rules, spec) = (&state.rules, &state.spec);
        let buffers = match &mut self.buffers {
            Some(b) if Arc::ptr_eq(&b.rules, rules) && Arc::ptr_eq(&b.spec, spec) => b,
            slot => {
                let (rules, spec) = (Arc::clone(rules), Arc::clone(spec));
                let space = observation_space(state);
                match slot {
                    // Another cluster that is observed in the same way: of its buffers nothing is
                    // read before it is written.
                    Some(b) if b.space == space => {
                        (b.rules, b.spec) = (rules, spec);
                        b
                    }
                    slot => {
                        let mut observation = ObservationBuffer::new(&space);
                        observation.parts = self.network.spec().reads();
                        let q = vec![0.0; space.actions];
                        slot.insert(Buffers { rules, spec, space, observation, q })
                    }
                }
            }
        };
        let Buffers { space, observation, q, .. } = buffers;
        let candidates = if space.fixed_pairs {
            Candidates::AllPairs
        } else {
            self.list.fill(state, space.actions - 1);
            Candidates::Listed(&self.list)
        };
        encode(state, candidates, observation);
        self.network.q_values(observation, q);
        match pick(q) {
            0 => Action::Stay,
            index => Action::Migrate {
                workload: observation.candidate_workload[index] as usize,
                destination: observation.candidate_destination[index] as usize,
            },
        }
    }
}

impl Policy for NetworkPolicy {
    fn name(&self) -> &str {
        &self.name
    }

    fn reset(&mut self, _seed: u64) {}

    fn act(&mut self, state: &ClusterState) -> Action {
        self.act_by(state, first_best)
    }

    fn sees_health(&self, rules: &Rules) -> bool {
        features::schema(rules).node.iter().any(|feature| feature.name == "draining")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::{Architecture, NetworkSpec};
    use crate::testing::{cluster, rules};
    use godwit_envs::observe::features::schema;
    use serde_json::json;

    /// Three nodes, the first of them full.
    fn state(changes: serde_json::Value) -> ClusterState {
        let placed = [(5.0, 0), (3.0, 0), (1.0, 0), (2.0, 1)];
        cluster(rules(changes), (3, 10.0), &placed, |_| {})
    }

    /// Clusters of one size whose rules offer other candidates, in every order.
    #[test]
    fn a_policy_decides_about_each_cluster_as_if_it_had_seen_no_other() {
        let worlds = [
            state(json!({})),
            state(json!({"candidates": {"max": 4}})),
            state(json!({"candidates": {"max": 8}, "limits": {"cooldown_ticks": 1}})),
        ];
        let spec = NetworkSpec::new(Architecture::Candidate, &schema(&worlds[0].rules), None);
        let mut network = Network::new(&spec);
        let weights: Vec<f32> =
            (0..spec.parameter_count()).map(|at| (at as f32 * 0.7).sin() * 0.3).collect();
        network.load_flat(&weights);
        let alone: Vec<(Action, usize)> =
            worlds.iter().map(|world| decide(&mut policy(&network), world)).collect();
        assert!(alone.windows(2).all(|pair| pair[0].1 != pair[1].1), "{alone:?}");
        let mut shared = policy(&network);
        for at in [0, 1, 0, 2, 1, 2, 0, 0] {
            assert_eq!(decide(&mut shared, &worlds[at]), alone[at], "cluster {at}");
        }
    }

    fn policy(network: &Network) -> NetworkPolicy {
        NetworkPolicy::new("policy", network.clone())
    }

    /// The decision, and among how many values it was taken.
    fn decide(policy: &mut NetworkPolicy, state: &ClusterState) -> (Action, usize) {
        let mut values = 0;
        let action = policy.act_by(state, |q| {
            values = q.len();
            first_best(q)
        });
        (action, values)
    }
}
