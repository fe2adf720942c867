//! Acting during training: epsilon-greedy over the mask, with the native forward pass.

use crate::config::ExplorationConfig;
use crate::noisy::NoisyLayers;
use godwit_envs::observation::{ObservationBuffer, ObservationSpace};
use godwit_envs::schema::ObservationSchema;
use godwit_models::net::{Network, NetworkSpec};
use rand::RngExt;
use rand_xoshiro::Xoshiro256PlusPlus;
use std::time::{Duration, Instant};

/// One environment copy's policy with its random stream.
#[derive(Debug)]
pub struct Actor {
    network: Network,
    /// Stream of the exploration draws.
    pub rng: Xoshiro256PlusPlus,
    /// The latest action.
    pub chosen: usize,
    /// Time spent choosing actions.
    pub spent: Duration,
    config: ExplorationConfig,
    change: NetChange,
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
        Self {
            network: Network::new(spec),
            rng,
            chosen: 0,
            spent: Duration::ZERO,
            config: config.clone(),
            change: NetChange::new(&space.schema),
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
        let start = Instant::now();
        self.chosen = self.choose(observation, epsilon);
        self.spent += start.elapsed();
        self.chosen
    }

    fn choose(&mut self, observation: &ObservationBuffer, epsilon: f64) -> usize {
        if self.rng.random::<f64>() >= epsilon {
            return self.network.best_action(observation, &mut self.q);
        }
        if self.change.is_known() && self.rng.random::<f64>() < self.config.greedy_share {
            return self.change.greedy(observation);
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

/// By how much a move changes the objective in one step, its cost included: the sum of two
/// candidate features.
#[derive(Debug, Clone, Copy)]
pub(crate) struct NetChange(Option<(usize, usize)>);

impl NetChange {
    /// Where the features are.
    pub(crate) fn new(schema: &ObservationSchema) -> Self {
        let feature = |name: &str| schema.candidate.iter().position(|f| f.name == name);
        Self(feature("objective_change").zip(feature("cost")))
    }

    /// Whether the observation has these features.
    pub(crate) fn is_known(self) -> bool {
        self.0.is_some()
    }

    /// The unmasked candidates with their changes; none where they are not known.
    pub(crate) fn of_all(
        self,
        observation: &ObservationBuffer,
    ) -> impl Iterator<Item = (usize, f32)> {
        let features = self.0.into_iter();
        features.flat_map(move |(change, cost)| {
            (1..observation.actions()).filter(|&action| observation.mask[action]).map(
                move |action| {
                    let net =
                        observation.candidate(action, change) + observation.candidate(action, cost);
                    (action, net)
                },
            )
        })
    }

    /// The candidate that lowers the objective most; `Stay` if none does.
    fn greedy(self, observation: &ObservationBuffer) -> usize {
        let (mut best, mut lowest) = (0, 0.0);
        for (action, net) in self.of_all(observation) {
            if net < lowest {
                (best, lowest) = (action, net);
            }
        }
        best
    }
}
