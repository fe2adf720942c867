//! Acting during training: epsilon-greedy over the mask, with the native forward pass.

use crate::config::ExplorationConfig;
use crate::learn::noisy::NoisyLayers;
use godwit_envs::observe::normalisation::Affine;
use godwit_envs::observe::{ObservationBuffer, ObservationSpace};
use godwit_models::net::{Network, NetworkSpec};
use rand::RngExt;
use rand_xoshiro::Xoshiro256PlusPlus;
use std::time::{Duration, Instant};

/// How far a normalised feature may be off once it is brought back: a change of nothing must not
/// look like a gain.
const UNDO_ERROR: f32 = 1e-5;

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
            change: NetChange::new(space),
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
        explore(&self.config, self.change, observation, &mut self.rng)
    }
}

/// An exploring action.
pub(crate) fn explore(
    config: &ExplorationConfig,
    change: NetChange,
    observation: &ObservationBuffer,
    rng: &mut Xoshiro256PlusPlus,
) -> usize {
    if change.is_known() && rng.random::<f64>() < config.greedy_share {
        return change.greedy(observation);
    }
    if rng.random::<f64>() < config.stay_share {
        return 0;
    }
    // Reservoir sampling over the unmasked actions: one pass, no list.
    let (mut chosen, mut open) = (0, 0);
    for action in 0..observation.actions() {
        if observation.mask[action] {
            open += 1;
            if rng.random_range(0..open) == 0 {
                chosen = action;
            }
        }
    }
    chosen
}

/// By how much an action changes the objective in one step, its cost included: the sum of two
/// candidate features, and for chains of two more, as they were encoded.
#[derive(Debug, Clone, Copy)]
pub(crate) struct NetChange {
    /// Change of the objective and cost.
    features: Option<[Encoded; 2]>,
    /// The same of the further moves of chains, where there are any.
    further: Option<[Encoded; 2]>,
    /// The smallest decrease that counts.
    least: f32,
}

/// A candidate feature, and what has happened to it.
#[derive(Debug, Clone, Copy)]
struct Encoded {
    feature: usize,
    affine: Affine,
}

impl Encoded {
    fn of(self, observation: &ObservationBuffer, action: usize) -> f32 {
        self.affine.undo(observation.candidate(action, self.feature))
    }
}

impl NetChange {
    /// Where the features are, and how they are read.
    pub(crate) fn new(space: &ObservationSpace) -> Self {
        let normalisation = space.normalisation.as_deref();
        let named = |name: &str| {
            let feature = space.candidate_feature(name)?;
            let affine = normalisation.map_or(Affine::IDENTITY, |of| of.candidate[feature]);
            Some(Encoded { feature, affine })
        };
        Self {
            features: named("objective_change").zip(named("cost")).map(Into::into),
            further: named("further_change").zip(named("further_cost")).map(Into::into),
            least: if normalisation.is_some() { UNDO_ERROR } else { 0.0 },
        }
    }

    /// Whether the observation has these features.
    pub(crate) fn is_known(self) -> bool {
        self.features.is_some()
    }

    /// The unmasked candidates with their changes; none where they are not known.
    pub(crate) fn of_all(
        self,
        observation: &ObservationBuffer,
    ) -> impl Iterator<Item = (usize, f32)> {
        let features = self.features.into_iter();
        features.flat_map(move |[change, cost]| {
            (1..observation.actions()).filter(|&action| observation.mask[action]).map(
                move |action| {
                    let mut net = change.of(observation, action) + cost.of(observation, action);
                    for further in self.further.iter().flatten() {
                        net += further.of(observation, action);
                    }
                    (action, net)
                },
            )
        })
    }

    /// The candidate that lowers the objective most; `Stay` if none does.
    fn greedy(self, observation: &ObservationBuffer) -> usize {
        let (mut best, mut lowest) = (0, -self.least);
        for (action, net) in self.of_all(observation) {
            if net < lowest {
                (best, lowest) = (action, net);
            }
        }
        best
    }
}
