//! Binary particle swarm over sets of moves, played as a sequence of moves.
//!
//! Rules:
//!
//! 1. Each bit stands for a workload and a node: the few nodes per workload on which the cost
//!    ([`crate::baselines::search::trial`]) would be lowest if it alone moved, of all of these the best,
//!    and the moves to the placement that the best single moves lead to.
//! 2. A particle's velocity in a bit is drawn towards the particle's own best and the swarm's best,
//!    each by a random share, and clamped. The bit is then set with the probability
//!    `1 / (1 + exp(-velocity))`.
//! 3. A set of bits is decoded by descending velocity: a bit moves its workload if that has not
//!    moved yet, if the node takes it and if the plan's budget is not used up. What had no room is
//!    tried once more. Bits that moved nothing are cleared.
//! 4. The way to the best placement is played move by move ([`crate::baselines::search::planned`]).
//!
//! Parameters: particles, iterations, nodes per workload, bits, pulls, clamp, those of all plans;
//! and the seed.
//!
//! Source: Kennedy and Eberhart, "A discrete binary version of the particle swarm algorithm", IEEE
//! International Conference on Systems, Man and Cybernetics 1997.

use crate::baselines::declaration::{Declaration, with_plan};
use crate::baselines::search::planned::Planned;
use crate::baselines::search::trial::{PlanRules, Trial};
use crate::policy::Policy;
use godwit_envs::rng::{Rng, stream};
use godwit_envs::state::{Action, ClusterState};
use rand::RngExt;
use std::time::Duration;

/// Parameters of [`ParticleSwarm`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ParticleSwarmRules {
    /// Those of all plans.
    pub plan: PlanRules,
    /// Particles, at least 1.
    pub particles: usize,
    /// Times that each particle moves in a search.
    pub iterations: usize,
    /// Bits per workload.
    pub nodes_per_workload: usize,
    /// Bits for each move of the budget; there are always at least 64.
    pub bits_per_move: usize,
    /// Most that a velocity changes towards the particle's best, and towards the swarm's.
    pub pull: f32,
    /// Velocities are clamped to this.
    pub clamp: f32,
}

impl Default for ParticleSwarmRules {
    /// The publication's pull and clamp; few enough iterations to decide within a tick.
    fn default() -> Self {
        Self {
            plan: PlanRules::default(),
            particles: 16,
            iterations: 60,
            nodes_per_workload: 3,
            bits_per_move: 8,
            pull: 2.0,
            clamp: 6.0,
        }
    }
}

/// The parameters as data.
pub(crate) fn declaration() -> Declaration<ParticleSwarmRules> {
    with_plan!(
        Declaration::new(ParticleSwarmRules::default(), |rules| ParticleSwarm::new(rules, 0))
            .real("pull", "most that a velocity changes towards a best", 0.2..=4.0, |r| {
                (&mut r.pull).into()
            })
            .real("clamp", "bound on velocities", 1.0..=10.0, |r| (&mut r.clamp).into())
            .integer("nodes_per_workload", "bits per workload", 1..=8, |r| {
                (&mut r.nodes_per_workload).into()
            })
    )
}

/// Searches with a swarm and plays the moves to the best placement.
#[derive(Debug, Clone)]
pub struct ParticleSwarm {
    rules: ParticleSwarmRules,
    rng: Rng,
    planned: Planned,
}

impl ParticleSwarm {
    /// With these parameters; draws from the stream of this seed until it is reset with another.
    pub fn new(rules: ParticleSwarmRules, seed: u64) -> Self {
        Self { rules, rng: stream(seed, "policy particle-swarm"), planned: Planned::default() }
    }
}

struct Particle {
    velocity: Vec<f32>,
    bits: Vec<bool>,
    best_bits: Vec<bool>,
    best_cost: f32,
}

/// The moves that bits stand for (rule 1).
fn list_moves(rules: &ParticleSwarmRules, trial: &mut Trial) -> Vec<(usize, usize)> {
    let mut ranked: Vec<(f32, usize, usize)> = Vec::new();
    let mut own: Vec<(f32, usize, usize)> = Vec::new();
    for at in 0..trial.movable.len() {
        if trial.deadline.has_passed() {
            break;
        }
        let k = trial.movable[at];
        own.clear();
        trial.mark();
        for node in 0..trial.state.spec.nodes() {
            if trial.state.spec.may_run_on(k, node) && node != trial.home(k) {
                trial.put(k, node);
                own.push((trial.cost(), k, node));
            }
        }
        trial.undo();
        own.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.2.cmp(&b.2)));
        ranked.extend(own.iter().take(rules.nodes_per_workload));
    }
    ranked.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then((a.1, a.2).cmp(&(b.1, b.2))));
    ranked.truncate((rules.bits_per_move * trial.budget).max(64));
    ranked.into_iter().map(|(_, k, node)| (k, node)).collect()
}

// Bits are indexed in step across several arrays.
#[allow(clippy::needless_range_loop)]
fn search(rules: &ParticleSwarmRules, rng: &mut Rng, trial: &mut Trial) {
    let start = trial.placement.clone();
    if trial.deadline.is_limited() {
        // What is surely found comes first.
        trial.descend();
        trial.go_home();
    }
    let mut moves = list_moves(rules, trial);
    trial.descend();
    let mut swarm_best = vec![false; moves.len()];
    for at in 0..trial.movable.len() {
        let k = trial.movable[at];
        let step = (k, trial.placement[k] as usize);
        if step.1 == trial.home(k) {
            continue;
        }
        match moves.iter().position(|&other| other == step) {
            Some(bit) => swarm_best[bit] = true,
            None => {
                moves.push(step);
                swarm_best.push(true);
            }
        }
    }
    if moves.is_empty() {
        return;
    }
    let mut swarm_cost = trial.cost();
    // At first about as many bits are set as there are moves.
    let share = (trial.budget as f32 / moves.len() as f32).clamp(0.01, 0.5);
    let first = (share / (1.0 - share)).ln().clamp(-rules.clamp, rules.clamp);
    let fresh = |_| Particle {
        velocity: vec![first; moves.len()],
        bits: vec![false; moves.len()],
        best_bits: vec![false; moves.len()],
        best_cost: f32::INFINITY,
    };
    let mut particles: Vec<Particle> = (0..rules.particles.max(1)).map(fresh).collect();
    let mut order: Vec<usize> = Vec::with_capacity(moves.len());
    for iteration in 0..rules.iterations {
        for particle in &mut particles {
            if trial.deadline.has_passed() {
                return;
            }
            order.clear();
            for (bit, best) in swarm_best.iter().enumerate() {
                let here = f32::from(u8::from(particle.bits[bit]));
                let velocity = &mut particle.velocity[bit];
                if iteration > 0 {
                    let own = f32::from(u8::from(particle.best_bits[bit])) - here;
                    let swarm = f32::from(u8::from(*best)) - here;
                    let pulled = rules.pull * (rng.random::<f32>() * own)
                        + rules.pull * (rng.random::<f32>() * swarm);
                    *velocity = (*velocity + pulled).clamp(-rules.clamp, rules.clamp);
                }
                if rng.random::<f32>() < 1.0 / (1.0 + (-*velocity).exp()) {
                    order.push(bit);
                }
            }
            let velocity = &particle.velocity;
            order.sort_unstable_by(|&a, &b| velocity[b].total_cmp(&velocity[a]).then(a.cmp(&b)));
            trial.go_to(&start);
            decode(trial, &moves, &order, &mut particle.bits);
            let cost = trial.note();
            if cost < particle.best_cost {
                particle.best_cost = cost;
                particle.best_bits.clone_from(&particle.bits);
            }
            if cost < swarm_cost {
                swarm_cost = cost;
                swarm_best.clone_from(&particle.bits);
            }
        }
    }
}

/// Rule 3; `bits` become those that moved something.
fn decode(trial: &mut Trial, moves: &[(usize, usize)], order: &[usize], bits: &mut [bool]) {
    bits.fill(false);
    for _ in 0..2 {
        for &bit in order {
            let (k, node) = moves[bit];
            if trial.away >= trial.budget {
                return;
            }
            if trial.placement[k] as usize == trial.home(k) && trial.shift(k, node) {
                bits[bit] = true;
            }
        }
    }
}

impl Policy for ParticleSwarm {
    fn name(&self) -> &str {
        "particle-swarm"
    }

    fn reset(&mut self, seed: u64) {
        self.rng = stream(seed, "policy particle-swarm");
        self.planned.clear();
    }

    fn limit_time(&mut self, limit: Option<Duration>) {
        self.planned.limit_time(limit);
    }

    fn act(&mut self, state: &ClusterState) -> Action {
        let Self { rules, rng, planned } = self;
        planned.act(state, rules.plan, |trial| search(rules, rng, trial))
    }
}
