//! A network as a policy: observe, value the candidates, take the best.

use crate::net::{Network, first_best};
use crate::policy::Policy;
use godwit_envs::candidates::CandidateList;
use godwit_envs::encoder::{Candidates, encode, observation_space};
use godwit_envs::features;
use godwit_envs::observation::{ObservationBuffer, ObservationSpace};
use godwit_envs::scenario::Rules;
use godwit_envs::state::{Action, ClusterState};

/// Takes the candidate of highest value. Buffers are made for the first cluster it sees and made
/// anew when the cluster's size changes.
#[derive(Debug, Clone)]
pub struct NetworkPolicy {
    name: String,
    network: Network,
    list: CandidateList,
    buffers: Option<Buffers>,
}

#[derive(Debug, Clone)]
struct Buffers {
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
        let (nodes, workloads) = (state.spec.nodes(), state.spec.workloads());
        let buffers = match &mut self.buffers {
            Some(b) if b.space.nodes == nodes && b.space.workloads == workloads => b,
            slot => {
                let space = observation_space(state);
                let mut observation = ObservationBuffer::new(&space);
                observation.parts = self.network.spec().reads();
                slot.insert(Buffers { observation, q: vec![0.0; space.actions], space })
            }
        };
        let Buffers { space, observation, q } = buffers;
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
