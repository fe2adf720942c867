#![allow(clippy::unwrap_used)] // a failed expectation is the point of a test

use super::collect::stage;
use super::*;
use crate::config::Backend;
use crate::config::schedule::Schedule;
use crate::train::assemble::{ClusterTrainer, new_trainer};
use crate::train::mixture::Mixture;
use godwit_envs::env::Step;
use godwit_envs::env::cluster_env::ClusterEnv;
use godwit_envs::env::vector::Slot;
use godwit_envs::scenario::{Phase, Scenario, WorldTemplate};
use godwit_models::net::Architecture;

const BACKENDS: [Backend; 2] = [Backend::Native, Backend::Libtorch];

fn config(backend: Backend, architecture: Architecture) -> TrainConfig {
    let mut config = TrainConfig {
        env_copies: 4,
        warm_up_steps: 64,
        steps_per_update: 8.0,
        replay_capacity: 1_000,
        ..TrainConfig::default()
    };
    config.learner.backend = backend;
    config.learner.batch_size = 8;
    config.network.architecture = architecture;
    config.network.hidden = 8;
    config.network.head_hidden = 8;
    config
}

/// A trainer that makes updates.
fn learning(config: &TrainConfig) -> ClusterTrainer {
    let scenario = Scenario::embedded("quickstart").unwrap();
    let mut trainer = new_trainer(&scenario.into(), config, Device::Cpu).unwrap();
    while trainer.counters.updates < 4 {
        trainer.round(false).unwrap();
    }
    trainer
}

fn found(outcome: Result<RoundReport, TrainerError>) -> NotFinite {
    match outcome {
        Err(TrainerError::NotFinite(found)) => found,
        other => panic!("expected a number that is not finite, got {other:?}"),
    }
}

fn weights(trainer: &ClusterTrainer) -> Vec<f32> {
    let mut weights = Vec::new();
    trainer.learner.online.save(&mut weights);
    weights
}

/// Rectifiers must not turn what is no number into 0, and clipping must not scale by it.
#[test]
fn a_weight_that_is_no_number_ends_training_with_either_backend() {
    for architecture in [Architecture::Relational, Architecture::Candidate, Architecture::Mlp] {
        for backend in BACKENDS {
            for bad in [f32::NAN, f32::INFINITY] {
                // The first weight is one of the first layer, behind a rectifier.
                let label = format!("{architecture:?} {backend:?} {bad}");
                let mut trainer = learning(&config(backend, architecture));
                let good = weights(&trainer);
                let mut one = good.clone();
                one[0] = bad;
                trainer.learner.online.load(&one);
                let error = found(trainer.round(false));
                assert!(error.what.starts_with("online weight "), "{label}: {error}");
                assert!(error.what.ends_with("[0]"), "{label}: {error}");

                // Where the weights are not looked at first, the loss shows it: of what is no number
                // one is enough, the sign of an infinite one may be such that it is cut off.
                let spoilt = if bad.is_nan() { one } else { vec![bad; good.len()] };
                trainer.learner.online.load(&spoilt);
                let updates = trainer.learner.adam.updates;
                let outcome = trainer.learner.learn(&(&trainer.replay).into(), 1e-3, false);
                let Err(LearnError::NotFinite(error)) = outcome else {
                    panic!("{label}: expected a refusal, got {outcome:?}");
                };
                assert_eq!((error.what.as_str(), error.update), ("loss", updates + 1), "{label}");
                assert_eq!(trainer.learner.adam.updates, updates, "{label}: no update was made");
            }
        }
    }
}

#[test]
fn weights_of_the_target_network_that_are_no_numbers_show_in_the_loss() {
    for backend in BACKENDS {
        let mut trainer = learning(&config(backend, Architecture::Relational));
        // Behind a rectifier, which must not turn it into 0.
        let mut bad = weights(&trainer);
        bad[0] = f32::NAN;
        trainer.learner.target.load(&bad);
        let found = trainer.learner.check().unwrap_err();
        assert!(found.what.starts_with("target weight "), "{found}");
        let before = weights(&trainer);
        let outcome = trainer.learner.learn(&(&trainer.replay).into(), 1e-3, false);
        assert!(matches!(outcome, Err(LearnError::NotFinite(_))), "{backend:?}: {outcome:?}");
        assert_eq!(weights(&trainer), before, "{backend:?}: no update was made");
    }
}

/// Its gradient is finite: the Huber loss is linear far out.
#[test]
fn an_infinite_reward_in_the_replay_shows_in_the_loss_and_changes_no_weight() {
    for backend in BACKENDS {
        for bad in [f32::INFINITY, f32::NEG_INFINITY, f32::NAN] {
            let mut trainer = learning(&config(backend, Architecture::Relational));
            for ring in trainer.replay.rings_mut() {
                ring.rewards.fill(bad);
            }
            let before = weights(&trainer);
            let outcome = trainer.learner.learn(&(&trainer.replay).into(), 1e-3, true);
            let Err(LearnError::NotFinite(error)) = outcome else {
                panic!("{backend:?} {bad}: expected a refusal, got {outcome:?}");
            };
            assert_eq!(error.what, "loss", "{backend:?} {bad}");
            assert_eq!(weights(&trainer), before, "{backend:?} {bad}");
        }
    }
}

#[test]
fn an_infinite_reward_gets_into_no_replay() {
    let mut config = config(Backend::Native, Architecture::Relational);
    // Beyond what 32 bits hold.
    config.learner.reward_scale = 1e39;
    let scenario = Scenario::embedded("quickstart").unwrap();
    let mut trainer = new_trainer(&scenario.into(), &config, Device::Cpu).unwrap();
    let error = found(trainer.round(false));
    assert!(error.what.starts_with("scaled reward of environment copy "), "{error}");
    assert!(trainer.replay.is_empty());
}

#[test]
fn a_learning_rate_that_is_far_too_high_ends_training_with_either_backend() {
    for backend in BACKENDS {
        let mut config = config(backend, Architecture::Relational);
        config.learner.learning_rate = Schedule { from: 1e30, to: 1e30, share: 1.0 };
        let scenario = Scenario::embedded("quickstart").unwrap();
        let mut trainer = new_trainer(&scenario.into(), &config, Device::Cpu).unwrap();
        let error = (0..100).find_map(|_| match trainer.round(false) {
            Ok(_) => None,
            other => Some(found(other)),
        });
        assert!(error.is_some(), "{backend:?}: never noticed");
    }
}

/// A copy without a step keeps its state's place: the copies after it get their own.
#[test]
fn a_copy_without_a_step_shifts_no_other_copys_state() {
    let copy = |name: &str, state: u8, stepped: bool| {
        let template = Arc::new(WorldTemplate::new(&Scenario::embedded(name).unwrap()));
        let env = ClusterEnv::new(template, Phase::Train).unwrap();
        let step =
            Step { reward: 1.0, luck: 0.0, terms: [0.0; TERMS], elapsed_ticks: 0, end: None };
        Slot {
            observation: godwit_envs::observe::ObservationBuffer::new(env.observation_space()),
            state: vec![state; env.compact_len()],
            final_state: Vec::new(),
            step: stepped.then_some(step),
            episodes: 1,
            env,
        }
    };
    let slots =
        [copy("quickstart", 1, true), copy("quickstart", 2, false), copy("founding-3x3", 3, true)];
    let mut staged = Staging::default();
    for slot in &slots {
        staged.keep(&slot.state);
    }
    stage(&slots, |_| 0, 0, &mut staged, 1.0, &[1.0; 3]);
    let states: Vec<(usize, &[u8])> = staged
        .entries
        .iter()
        .map(|entry| (entry.ring, &staged.states[entry.state..][..slots[entry.ring].state.len()]))
        .collect();
    assert_eq!(states, [(0, &slots[0].state[..]), (2, &slots[2].state[..])]);
}

/// Four copies of four steps: a whole round makes 16.
#[test]
fn the_last_round_makes_the_env_steps_that_are_left_and_no_more() {
    let run = |env_steps: u64| {
        let mut config = config(Backend::Native, Architecture::Candidate);
        config.env_steps = env_steps;
        // Runs of several lengths shall differ in nothing else.
        config.exploration.epsilon = Schedule::constant(0.2);
        config.learner.learning_rate = Schedule::constant(1e-3);
        let scenario = Scenario::embedded("quickstart").unwrap();
        let mut trainer = new_trainer(&scenario.into(), &config, Device::Cpu).unwrap();
        while !trainer.finished() {
            trainer.round(false).unwrap();
        }
        trainer
    };
    for env_steps in [1, 79, 96, 102] {
        let trainer = run(env_steps);
        assert_eq!(trainer.counters.env_steps, env_steps);
        // What terminated left no entry of its own, what was truncated one more.
        let held = trainer.replay.rings().iter().map(|ring| ring.kinds.len()).collect::<Vec<_>>();
        assert!(held.iter().sum::<usize>() as u64 >= env_steps, "{env_steps}: {held:?}");
        assert!(held[0] >= held[3], "{env_steps}: the first copies make the last steps: {held:?}");
    }
    // A round makes the updates that the one before it owes: the last one's length does not matter.
    assert_eq!(run(97).counters.updates, run(112).counters.updates);
    assert_eq!(weights(&run(97)), weights(&run(112)));
}

#[test]
fn a_run_that_is_made_longer_owes_updates_for_the_env_steps_that_it_has_made() {
    let mut config = config(Backend::Native, Architecture::Candidate);
    let scenario = Mixture::from(Scenario::embedded("quickstart").unwrap());
    let mut whole = new_trainer(&scenario, &config, Device::Cpu).unwrap();
    config.env_steps = 72;
    let mut longer = new_trainer(&scenario, &config, Device::Cpu).unwrap();
    for trainer in [&mut whole, &mut longer] {
        while !trainer.finished() && trainer.counters.env_steps < 200 {
            trainer.round(false).unwrap();
            if trainer.finished() {
                trainer.config.env_steps += 24;
            }
        }
    }
    // One update for each 8 env steps after the warm-up, those of the last round not yet.
    let due =
        |trainer: &ClusterTrainer, last: u64| (trainer.counters.env_steps - last - 64) / 8 + 2;
    assert_eq!(whole.counters.updates, due(&whole, 16));
    assert_eq!(longer.counters.updates, due(&longer, 16));
}
