//! A network together with the room that its values need.

use godwit_envs::observation::ObservationBuffer;

use super::Network;

/// Takes the candidate with the highest value. Allocates only when an observation has more
/// candidates than any before it.
#[derive(Debug, Clone)]
pub struct NetworkPolicy {
    network: Network,
    q: Vec<f32>,
}

impl NetworkPolicy {
    /// A policy that acts greedily on the values of `network`.
    pub fn new(network: Network) -> Self {
        Self { network, q: Vec::new() }
    }

    /// The network, for instance to hand it fresh weights.
    pub fn network_mut(&mut self) -> &mut Network {
        &mut self.network
    }

    /// Index of the first candidate with the highest value; 0 is `Stay`.
    ///
    /// # Panics
    ///
    /// If the sizes of `observation` do not fit the network; see [`Network::q_values`].
    pub fn best_action(&mut self, observation: &ObservationBuffer) -> usize {
        self.q.resize(observation.actions(), 0.0);
        self.network.best_action(observation, &mut self.q)
    }

    /// Values of the candidates of the last observation, `[A]`; masked ones are
    /// `f32::NEG_INFINITY`.
    pub fn values(&self) -> &[f32] {
        &self.q
    }
}
