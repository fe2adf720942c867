//! Acting during training: epsilon-greedy over the mask, with the native forward pass.

use crate::config::ExplorationConfig;
use crate::noisy::NoisyLayers;
use godwit_envs::observation::{ObservationBuffer, ObservationSpace};
use godwit_models::net::{Network, NetworkSpec};
use rand::RngExt;
use rand_xoshiro::Xoshiro256PlusPlus;

/// One environment copy's policy with its random stream.
#[derive(Debug)]
pub struct Actor {
    network: Network,
    /// Stream of the exploration draws.
    pub rng: Xoshiro256PlusPlus,
    /// The latest action.
    pub chosen: usize,
    config: ExplorationConfig,
    /// Candidate features whose sum is the net change of the objective by a move.
    change: Option<(usize, usize)>,
    q: Vec<f32>,
    // Scratch.
    weights: Vec<f32>,
    noise: Vec<f32>,
}

impl Actor {
    /// An actor for this space.
    pub fn new(
        spec: &NetworkSpec,
        space: &ObservationSpace,
        config: &ExplorationConfig,
        rng: Xoshiro256PlusPlus,
    ) -> Self {
        let feature = |name: &str| space.schema.candidate.iter().position(|f| f.name == name);
        Self {
            network: Network::new(spec),
            rng,
            chosen: 0,
            config: config.clone(),
            change: feature("objective_change").zip(feature("cost")),
            q: vec![0.0; space.actions],
            weights: Vec::new(),
            noise: Vec::new(),
        }
    }

    /// Takes over fresh weights.
    pub fn load(&mut self, flat: &[f32]) {
        self.network.load_flat(flat);
    }

    /// Takes over fresh weights with noise of its own.
    pub fn load_noisy(&mut self, flat: &[f32], sigma: &[f32], layers: &NoisyLayers) {
        self.weights.clear();
        self.weights.extend_from_slice(flat);
        layers.perturb(&mut self.weights, sigma, &mut self.rng, &mut self.noise);
        self.network.load_flat(&self.weights);
    }

    /// The next action.
    pub fn act(&mut self, observation: &ObservationBuffer, epsilon: f64) -> usize {
        self.chosen = self.choose(observation, epsilon);
        self.chosen
    }

    fn choose(&mut self, observation: &ObservationBuffer, epsilon: f64) -> usize {
        if self.rng.random::<f64>() >= epsilon {
            return self.network.best_action(observation, &mut self.q);
        }
        if let Some((change, cost)) = self.change
            && self.rng.random::<f64>() < self.config.greedy_share
        {
            return greedy(observation, change, cost);
        }
        if self.rng.random::<f64>() < self.config.stay_share {
            return 0;
        }
        // Reservoir sampling over the unmasked actions: one pass, no list.
        let (mut chosen, mut open) = (0, 0);
        for action in 0..observation.actions() {
            if observation.mask[action] {
                open += 1;
                if self.rng.random_range(0..open) == 0 {
                    chosen = action;
                }
            }
        }
        chosen
    }
}

/// The candidate that lowers the objective most in one step, costs included; `Stay` if none does.
fn greedy(observation: &ObservationBuffer, change: usize, cost: usize) -> usize {
    let (mut best, mut lowest) = (0, 0.0);
    for action in 1..observation.actions() {
        if observation.mask[action] {
            let net = observation.candidate(action, change) + observation.candidate(action, cost);
            if net < lowest {
                (best, lowest) = (action, net);
            }
        }
    }
    best
}
