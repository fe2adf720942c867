//! Comparisons: by how much an action is worth more than what a baseline would do, measured by
//! playing on from the same state under common random numbers.
//!
//! In states of training episodes, the baseline's action and some others are each followed by the
//! baseline for a number of ticks. Demand, arrivals and faults are those of the episode in every
//! branch, so that what happens by itself cancels out of the difference of two returns, which is
//! an unbiased sample of the advantage of one action over another under that baseline. A network
//! whose differences of values are fitted to them chooses like the rollout algorithm (Bertsekas,
//! Tsitsiklis and Wu, Journal of Heuristics 1997), which is one step of policy iteration ahead of
//! the baseline, without its simulations (approximate policy iteration by rollouts: Lagoudakis
//! and Parr, ICML 2003).

use crate::config::ComparisonConfig;
use crate::experience::demonstrations::Conversion;
use crate::experience::paired::reward;
use crate::train::actor::NetChange;
use anyhow::{Context, ensure};
use godwit_envs::env::cluster_env::ClusterEnv;
use godwit_envs::env::{Env, EpisodeEnd, Step};
use godwit_envs::observe::ObservationBuffer;
use godwit_envs::rng::{Rng, child_seed, stream};
use godwit_envs::scenario::{Phase, WorldTemplate};
use godwit_envs::state::Action;
use godwit_evaluate::progress::Progress;
use godwit_models::baselines::{Assignment, baseline_with};
use godwit_models::network_policy::NetworkPolicy;
use godwit_models::policy::Policy;
use rand::RngExt;
use rayon::prelude::*;
use std::path::PathBuf;
use std::sync::Arc;

/// One decision in so many is compared, where the baseline moves and where it stays: neighbouring
/// states tell little more than one of them, and quiet ones less.
const SPACING: [u32; 2] = [4, 16];

/// Chance that an episode goes on with another action than the baseline's, so that states beside
/// its path are seen.
const DETOUR: f64 = 0.3;

/// Episodes in which nothing could be compared after which the search for states is given up.
const BARREN_EPISODES: u64 = 1000;

/// What comparisons improve on.
#[derive(Debug)]
pub enum Improved {
    /// A baseline, by its name and parameters.
    Baseline(String, Assignment),
    /// A trained policy.
    Policy(Box<NetworkPolicy>),
}

impl Improved {
    fn make(&self) -> anyhow::Result<Box<dyn Policy>> {
        Ok(match self {
            Self::Baseline(name, parameters) => {
                baseline_with(name, parameters).context("comparisons.parameters")?
            }
            Self::Policy(policy) => policy.clone(),
        })
    }

    fn network(&self) -> Option<NetworkPolicy> {
        match self {
            Self::Baseline(..) => None,
            Self::Policy(policy) => Some(NetworkPolicy::clone(policy)),
        }
    }
}

/// What the comparisons of a later part of a run improve on
/// ([`iterations`](crate::config::ComparisonConfig::iterations)).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Iteration {
    /// Parts before this one.
    pub number: u32,
    /// Folder of the policy.
    pub policy: PathBuf,
}

/// Two actions of a state, and what one is worth beyond the other.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Comparison {
    /// Scenario.
    pub scenario: u32,
    /// Index of the state among those of its scenario.
    pub state: u32,
    /// The action.
    pub action: u32,
    /// What the baseline does.
    pub reference: u32,
    /// Discounted return of `action` minus that of `reference`, in the learner's rewards.
    pub gain: f32,
}

/// Comparisons in the training episodes of some scenarios.
#[derive(Debug, Default)]
pub struct Comparisons {
    /// Compact states of each scenario, one after the other.
    states: Vec<Vec<u8>>,
    state_bytes: Vec<usize>,
    comparisons: Vec<Comparison>,
}

/// What an episode brought.
#[derive(Default)]
struct Recorded {
    states: Vec<u8>,
    count: u32,
    comparisons: Vec<Comparison>,
}

impl Comparisons {
    /// The comparisons, in the order in which they were made.
    pub fn all(&self) -> &[Comparison] {
        &self.comparisons
    }

    /// A compact state, by its scenario and index.
    pub fn state(&self, (scenario, index): (u32, u32)) -> &[u8] {
        let bytes = self.state_bytes[scenario as usize];
        &self.states[scenario as usize][index as usize * bytes..][..bytes]
    }

    /// A comparison, drawn uniformly; there must be one.
    pub fn draw(&self, rng: &mut impl rand::Rng) -> Comparison {
        self.comparisons[rng.random_range(0..self.comparisons.len())]
    }

    /// Adds those of another scenario: `config.states` of its states, from episodes of the seeds
    /// that follow from `seed`; `bar` counts them. The result does not depend on the number of
    /// threads.
    ///
    /// # Errors
    /// When an episode has no feasible start, the baseline breaks its contract, or there is never
    /// another action than the baseline's.
    pub fn add_scenario(
        &mut self,
        template: &Arc<WorldTemplate>,
        improved: &Improved,
        config: &ComparisonConfig,
        conversion: Conversion,
        seed: u64,
        bar: &Progress,
    ) -> anyhow::Result<()> {
        let env = ClusterEnv::new(Arc::clone(template), Phase::Train)?;
        let bytes = env.compact_len();
        let scenario = self.states.len() as u32;
        let mut states: Vec<u8> = Vec::with_capacity(config.states * bytes);
        let mut episode = 0;
        while states.len() < config.states * bytes {
            ensure!(
                !states.is_empty() || episode < BARREN_EPISODES,
                "comparisons: expected states with other actions than the baseline's, got none in \
                 {episode} episodes"
            );
            let wave = episode..episode + rayon::current_num_threads() as u64;
            episode = wave.end;
            let recorded: Vec<Recorded> = wave
                .into_par_iter()
                .map(|episode| {
                    let mut env = env.clone().without_candidates();
                    env.reset(child_seed(seed, episode))?;
                    let rng = stream(child_seed(seed, episode), "comparisons");
                    let change = NetChange::new(env.observation_space());
                    let baseline = improved.make()?;
                    let network = improved.network();
                    Recorder { change, baseline, network, config, conversion, rng }.play(env)
                })
                .collect::<anyhow::Result<_>>()?;
            for Recorded { states: more, count, comparisons } in recorded {
                let first = (states.len() / bytes) as u32;
                let wanted = (config.states as u32 - first).min(count);
                states.extend_from_slice(&more[..wanted as usize * bytes]);
                bar.inc(u64::from(wanted));
                self.comparisons.extend(
                    comparisons.into_iter().filter(|comparison| comparison.state < wanted).map(
                        |comparison| Comparison {
                            scenario,
                            state: first + comparison.state,
                            ..comparison
                        },
                    ),
                );
            }
        }
        self.states.push(states);
        self.state_bytes.push(bytes);
        Ok(())
    }
}

/// Plays an episode and compares actions on the way.
struct Recorder<'a> {
    change: NetChange,
    baseline: Box<dyn Policy>,
    network: Option<NetworkPolicy>,
    config: &'a ComparisonConfig,
    conversion: Conversion,
    rng: Rng,
}

impl Recorder<'_> {
    fn play(mut self, mut env: ClusterEnv) -> anyhow::Result<Recorded> {
        let mut recorded = Recorded::default();
        let mut observation = ObservationBuffer::new(env.observation_space());
        let mut state = vec![0; env.compact_len()];
        self.baseline.reset(env.seed());
        loop {
            let mut action = self.baseline.act(env.state());
            let spacing = SPACING[usize::from(action == Action::Stay)];
            let compares = self.rng.random_range(0..spacing) == 0;
            env.offer_candidates(compares);
            if let Some(reference) = env.index_of(action).filter(|_| compares) {
                env.observe(&mut observation);
                let others = self.others(&env, &observation, reference);
                let usual = self.branch(&env, reference)?;
                for &other in &others {
                    let gain = self.branch(&env, other)? - usual;
                    let gain = gain as f32 * self.conversion.reward_factor;
                    ensure!(
                        gain.is_finite(),
                        "comparisons: expected finite gains, got {gain}; learner.reward_scale is \
                         one of their factors"
                    );
                    recorded.comparisons.push(Comparison {
                        scenario: 0,
                        state: recorded.count,
                        action: other as u32,
                        reference: reference as u32,
                        gain,
                    });
                }
                if !others.is_empty() {
                    env.write_compact(&mut state);
                    recorded.states.extend_from_slice(&state);
                    recorded.count += 1;
                    if self.rng.random::<f64>() < DETOUR {
                        let other = others[self.rng.random_range(0..others.len())];
                        action = env.action(other).unwrap_or(action);
                    }
                }
            }
            env.offer_candidates(false);
            let step = self.apply(&mut env, action)?;
            if step.end.is_some() {
                return Ok(recorded);
            }
        }
    }

    /// Actions to compare: where a network is improved on, for the half what it values most, and what
    /// its base would do.
    fn others(
        &mut self,
        env: &ClusterEnv,
        observation: &ObservationBuffer,
        reference: usize,
    ) -> Vec<usize> {
        let count = self.config.actions;
        let mut others = alternatives(self.change, observation, reference, count, &mut self.rng);
        if let Some(network) = &mut self.network {
            let mut all = network.favourites(env.state(), count.div_ceil(2));
            let usual = network.usual(env.state());
            all.extend(usual.and_then(|action| env.index_of(action)));
            all.retain(|&at| at != reference);
            others.retain(|other| !all.contains(other));
            while all.len() < count && !others.is_empty() {
                all.push(others.swap_remove(self.rng.random_range(0..others.len())));
            }
            others = all;
            others.sort_unstable();
            others.dedup();
        }
        others
    }

    fn apply(&self, env: &mut ClusterEnv, action: Action) -> anyhow::Result<Step> {
        let chose = || format!("comparisons: {} chose {action:?}", self.baseline.name());
        env.apply(action).with_context(chose)
    }

    /// Discounted return of an action that the baseline follows up. Where the episode ends before
    /// the time is over, the cluster is taken to stay as it is then.
    fn branch(&mut self, env: &ClusterEnv, first: usize) -> anyhow::Result<f64> {
        let mut env = env.clone().without_candidates();
        let (mut discount, mut sum, mut ticks) = (1.0, 0.0, 0);
        // The list of the state before is still there.
        let mut step = env.step(first).context("comparisons")?;
        loop {
            sum += discount * f64::from(reward(&step, self.conversion.expected_failures));
            if step.elapsed_ticks > 0 {
                discount *= self.conversion.gamma.powi(step.elapsed_ticks as i32);
                ticks += step.elapsed_ticks;
            }
            if ticks >= self.config.ticks || step.end == Some(EpisodeEnd::Terminated) {
                return Ok(sum);
            }
            if step.end == Some(EpisodeEnd::Truncated) {
                let level = -f64::from(env.state().level());
                for _ in ticks..self.config.ticks {
                    sum += discount * level;
                    discount *= self.conversion.gamma;
                }
                return Ok(sum);
            }
            let action = self.baseline.act(env.state());
            step = self.apply(&mut env, action)?;
        }
    }
}

/// At most `count` actions to compare with a baseline's: `Stay`, and in turn one that has its source,
/// one of those that lower the objective most in one step, one that moves the same workload, and
/// any.
pub(crate) fn alternatives(
    change: NetChange,
    observation: &ObservationBuffer,
    reference: usize,
    count: usize,
    rng: &mut Rng,
) -> Vec<usize> {
    let mut changes: Vec<_> = change.of_all(observation).collect();
    changes.sort_by(|a, b| a.1.total_cmp(&b.1).then(a.0.cmp(&b.0)));
    let all: Vec<usize> =
        (1..observation.actions()).filter(|&action| observation.mask[action]).collect();
    let best: Vec<usize> = changes.iter().take(2 * count).map(|&(action, _)| action).collect();
    let like = |part: &[u32]| -> Vec<usize> {
        let is_like = |&action: &usize| reference > 0 && part[action] == part[reference];
        all.iter().copied().filter(is_like).collect()
    };
    let (beside, same) =
        (like(&observation.candidate_source), like(&observation.candidate_workload));
    let mut others = vec![0];
    for kind in [&beside, &best, &same, &all].into_iter().cycle().take(count - 1) {
        let kind = if kind.is_empty() { &all } else { kind };
        if !kind.is_empty() {
            others.push(kind[rng.random_range(0..kind.len())]);
        }
    }
    others.sort_unstable();
    others.dedup();
    others.retain(|&other| other != reference);
    others
}

#[cfg(test)]
mod tests {
    use super::*;
    use godwit_envs::scenario::Scenario;
    use godwit_models::baselines::baseline;

    const CONVERSION: Conversion =
        Conversion { gamma: 0.5, reward_factor: 2.0, expected_failures: false };

    fn config(states: usize) -> ComparisonConfig {
        ComparisonConfig { states, ticks: 3, ..ComparisonConfig::default() }
    }

    fn compare(scenario: &str, name: &str, states: usize) -> (ClusterEnv, Comparisons) {
        let scenario = Scenario::embedded(scenario).expect("an embedded scenario");
        let template = Arc::new(WorldTemplate::new(&scenario));
        let mut comparisons = Comparisons::default();
        let policy = Improved::Baseline(name.to_owned(), Assignment::new());
        comparisons
            .add_scenario(&template, &policy, &config(states), CONVERSION, 4, &Progress::hidden())
            .expect("comparisons");
        (ClusterEnv::new(template, Phase::Train).expect("a start"), comparisons)
    }

    /// In a static world, where a compact state holds all that matters, branches can be played
    /// again from the states that were kept.
    #[test]
    fn a_gain_is_the_difference_of_what_two_actions_lead_to() {
        let (mut env, comparisons) = compare("quickstart", "load-balancer", 20);
        let mut policy = baseline("load-balancer").expect("a baseline");
        let mut play = |state: &[u8], first: usize| {
            env.reset(0).expect("a start");
            env.read_compact(state);
            let mut action = env.action(first).expect("an action");
            let mut sum = 0.0;
            for weight in [1.0, 0.5, 0.25] {
                let step = env.apply(action).expect("a feasible action");
                sum += weight * step.reward;
                if step.end.is_some() {
                    break;
                }
                action = policy.act(env.state());
            }
            sum
        };
        assert!(comparisons.all().iter().any(|comparison| comparison.gain > 1e-4));
        for comparison in comparisons.all() {
            let state = comparisons.state((comparison.scenario, comparison.state));
            let (other, usual) = (
                play(state, comparison.action as usize),
                play(state, comparison.reference as usize),
            );
            let gain = 2.0 * (other - usual);
            assert!((gain - comparison.gain).abs() < 1e-5, "{gain} {comparison:?}");
        }
    }

    #[test]
    fn comparisons_do_not_depend_on_the_number_of_threads() {
        let on = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
            pool.expect("threads").install(|| compare("founding-10x50", "best-single-move", 25).1)
        };
        let (one, three) = (on(1), on(3));
        assert_eq!((&one.comparisons, &one.states), (&three.comparisons, &three.states));
        assert_eq!(one.states[0].len(), 25 * one.state_bytes[0]);
    }

    /// What happens by itself is the same in both branches.
    #[test]
    fn the_baselines_own_action_gains_nothing() {
        let scenario = Scenario::embedded("founding-10x50").expect("an embedded scenario");
        let template = Arc::new(WorldTemplate::new(&scenario));
        let env = ClusterEnv::new(Arc::clone(&template), Phase::Train).expect("a start");
        let mut recorder = Recorder {
            change: NetChange::new(env.observation_space()),
            baseline: baseline("best-single-move").expect("a baseline"),
            network: None,
            config: &config(1),
            conversion: CONVERSION,
            rng: stream(1, "comparisons"),
        };
        let usual = env.index_of(recorder.baseline.act(env.state())).expect("a candidate");
        let value =
            |recorder: &mut Recorder, first| recorder.branch(&env, first).expect("a branch");
        assert_eq!(value(&mut recorder, usual), value(&mut recorder, usual));
        assert_ne!(value(&mut recorder, usual), value(&mut recorder, 0));
    }
}
