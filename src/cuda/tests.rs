//! The device's update against the learner's own, both on the CPU.

use super::*;
use crate::config::TrainConfig;
use crate::dqn::Learner;
use crate::paired::PairedEnv;
use crate::run::{ClusterTrainer, new_trainer};
use godwit_envs::cluster_env::ClusterEnv;
use godwit_envs::env::Env;
use godwit_envs::scenario::{Phase, Scenario, WorldTemplate};
use std::sync::Arc;

const NETWORKS: [Architecture; 3] =
    [Architecture::Relational, Architecture::Candidate, Architecture::Mlp];

fn config(architecture: Architecture) -> TrainConfig {
    let mut config =
        TrainConfig { env_copies: 4, warm_up_steps: u64::MAX, ..TrainConfig::default() };
    config.network.architecture = architecture;
    config.network.hidden = 16;
    config.network.head_hidden = 8;
    config.learner.batch_size = 24;
    // Gradients of fresh networks are small: this makes clipping matter.
    config.learner.max_gradient_norm = 0.01;
    config.learner.weight_decay = 0.01;
    config
}

/// A trainer on the CPU with some experience and no update.
fn experienced(config: &TrainConfig, scenario: &Scenario) -> ClusterTrainer {
    let mut trainer = new_trainer(scenario, config, Device::Cpu).expect("a trainer");
    for _ in 0..30 {
        trainer.round(false).expect("a round");
    }
    trainer
}

fn updates(trainer: &ClusterTrainer, config: &TrainConfig) -> DeviceUpdates {
    let space = trainer.vector.slots()[0].env.observation_space();
    let architecture = config.network.architecture;
    DeviceUpdates::new(&config.learner, architecture, space, Device::Cpu, 2).expect("the CPU")
}

/// The learner's weights, targets and moments.
fn state(learner: &Learner<PairedEnv>) -> Vec<Tensor> {
    let (online, target, adam) = (&learner.online.flat, &learner.target.flat, &learner.adam);
    [online, target, &adam.mean, &adam.square].map(Tensor::copy).into()
}

fn restore(learner: &mut Learner<PairedEnv>, state: &[Tensor]) {
    let Learner { online, target, adam, .. } = learner;
    let into = [&mut online.flat, &mut target.flat, &mut adam.mean, &mut adam.square];
    tch::no_grad(|| into.into_iter().zip(state).for_each(|(to, from)| to.copy_(from)));
}

/// The same three updates both ways; the largest difference of each tensor of the state.
fn differences(config: &TrainConfig, scenario: &Scenario) -> Vec<f64> {
    let mut trainer = experienced(config, scenario);
    let mut cuda = updates(&trainer, config);
    let ClusterTrainer { learner, replay, .. } = &mut trainer;
    let (start, rng) = (state(learner), learner.rng.clone());
    let own: Vec<_> = (0..3)
        .map(|_| learner.learn(replay, 1e-3, true).expect("the CPU").expect("figures"))
        .collect();
    let after = state(learner);
    for (after, before) in after.iter().zip(&start) {
        assert!((after - before).abs().max().double_value(&[]) > 1e-9, "nothing was learnt");
    }
    restore(learner, &start);
    learner.rng = rng;
    learner.adam.updates = 0;
    for own in own {
        let stats = learner.learn_with(&mut cuda, replay, 1e-3, true).expect("the CPU");
        let stats = stats.expect("figures");
        assert!((stats.loss - own.loss).abs() < 1e-6, "{stats:?} {own:?}");
        assert!((stats.mean_q - own.mean_q).abs() < 1e-5, "{stats:?} {own:?}");
        assert!((stats.gradient_norm - own.gradient_norm).abs() < 1e-4, "{stats:?} {own:?}");
        for (a, b) in stats.td_error.iter().zip(own.td_error) {
            assert!((a - b).abs() < 1e-5, "{stats:?} {own:?}");
        }
    }
    let largest = |(a, b): (&Tensor, &Tensor)| (a - b).abs().max().double_value(&[]);
    state(learner).iter().zip(&after).map(largest).collect()
}

#[test]
fn padded_records_give_the_updates_of_ragged_batches() {
    let scenario = Scenario::embedded("quickstart").expect("an embedded scenario");
    for architecture in NETWORKS {
        for (double, target_every) in [(true, 0), (false, 2)] {
            let mut config = config(architecture);
            (config.learner.double, config.learner.target_every) = (double, target_every);
            let differences = differences(&config, &scenario);
            // Where a gradient is next to nothing, rounding decides on which side of 0 it is, and
            // Adam's first steps are as long as the learning rate whichever it is.
            assert!(differences[2] < 1e-6, "{architecture:?} {differences:?}");
            assert!(differences.iter().all(|&d| d < 1e-4), "{architecture:?} {differences:?}");
        }
    }
}

#[test]
fn a_list_of_candidates_and_online_dynamics_make_no_difference() {
    let mut scenario = Scenario::embedded("diurnal").expect("an embedded scenario");
    scenario.rules.candidates.max = 60;
    for architecture in [Architecture::Relational, Architecture::Candidate] {
        let differences = differences(&config(architecture), &scenario);
        assert!(differences.iter().all(|&d| d < 1e-4), "{architecture:?} {differences:?}");
    }
}

#[test]
fn a_layout_grows_when_a_state_has_more_distinct_workloads() {
    let scenario = Scenario::embedded("quickstart").expect("an embedded scenario");
    let config = config(Architecture::Relational);
    let trainer = experienced(&config, &scenario);
    let mut cuda = updates(&trainer, &config);
    let full = cuda.layout.rows;
    cuda.layout.grow(2);
    cuda.set_up().expect("the CPU");
    assert!(cuda.layout.rows < full, "{full}");
    let ClusterTrainer { mut learner, replay, .. } = trainer;
    let (start, rng) = (state(&learner), learner.rng.clone());
    learner.learn(&replay, 1e-3, false).expect("the CPU");
    let after = state(&learner);
    restore(&mut learner, &start);
    (learner.rng, learner.adam.updates) = (rng, 0);
    learner.learn_with(&mut cuda, &replay, 1e-3, false).expect("the CPU");
    let distinct = cuda.layout.rows;
    assert!((3..=full).contains(&distinct), "{distinct}");
    let gradients = (&state(&learner)[2] - &after[2]).abs().max().double_value(&[]);
    assert!(gradients < 1e-6, "{gradients}");
}

#[test]
fn the_row_of_stay_has_no_part_in_the_update() {
    let scenario = Scenario::embedded("quickstart").expect("an embedded scenario");
    let template = Arc::new(WorldTemplate::new(&scenario));
    let mut env = ClusterEnv::new(template, Phase::Train).expect("a start");
    let space = env.observation_space().clone();
    let mut observation = ObservationBuffer::new(&space);
    env.reset(1).expect("a start");
    env.observe(&mut observation);
    let layout = Layout::new(&space, Architecture::Relational);
    let mut record = vec![7.0; layout.words];
    let mut scratch = Scratch::default();
    let needed = layout.write_state(&mut record, 2, 5, &observation, 0, &mut scratch);
    assert!(needed <= layout.rows);
    assert_eq!(record[layout.taken].to_bits(), 2);
    assert!(record[layout.state.candidates.clone()].iter().all(|&value| value == 0.0));
    layout.write_state(&mut record, 2, 5, &observation, 1, &mut scratch);
    assert_eq!(record[layout.taken].to_bits(), 5 + 2);
    // Every workload is on one node.
    let counts: f32 = record[layout.state.places.clone()].iter().sum();
    assert_eq!(counts, space.workloads as f32);
}

#[test]
fn quantiles_are_those_of_libtorch() {
    let values = [0.5_f32, 1.0, 4.0, 4.5, 10.0, 11.0, 20.0];
    let tensor = Tensor::from_slice(&values);
    for level in [0.0, 0.1, 0.5, 0.9, 1.0] {
        let expected = tensor.quantile_scalar(level, None, false, "linear").double_value(&[]);
        assert!((quantile(&values, level) - expected).abs() < 1e-5, "{level}");
    }
}
