//! Bit-exact resuming, and every kind of damage.

mod disk;
mod normalisation;

use super::directory::{BEST, LAST, PREVIOUS};
use super::*;
use crate::config::{LearnerConfig, NetworkConfig, TrainConfig};
use crate::train::assemble::{ClusterTrainer, new_trainer};
use crate::train::mixture::{Mixture, Part};
use godwit_envs::env::Env;
use godwit_envs::observe::ObservationBuffer;
use godwit_envs::scenario::{DemandProcess, Mode, Scenario, StartPlacement};
use godwit_models::net::Architecture;
use godwit_models::network_policy::Base;
use std::fs;
use std::path::Path;
use tch::{Device, Tensor};
use tempfile::TempDir;

fn config() -> TrainConfig {
    TrainConfig {
        env_steps: 4_000,
        seed: 7,
        env_copies: 3,
        round_steps: 4,
        // Does not divide a round: what is owed must survive, too.
        steps_per_update: 5.0,
        warm_up_steps: 60,
        // Small enough to wrap within a test.
        replay_capacity: 150,
        network: NetworkConfig { hidden: 8, head_hidden: 8, ..NetworkConfig::default() },
        learner: LearnerConfig { batch_size: 8, ..LearnerConfig::default() },
        ..TrainConfig::default()
    }
}

fn founding() -> Mixture {
    Scenario::embedded("founding-3x3").expect("an embedded scenario").into()
}

/// Changing demand, transfers that outlast a tick, cooldowns, forecasts, a list of candidates.
fn online() -> Mixture {
    let mut scenario = Scenario::embedded("quickstart").expect("an embedded scenario");
    scenario.rules.episode.mode = Mode::Online;
    scenario.rules.episode.ticks = 24;
    scenario.rules.episode.tick_s = 10.0;
    scenario.rules.episode.moves_per_tick = 2;
    scenario.rules.limits.cooldown_ticks = 3;
    scenario.rules.forecast.horizons = vec![1, 4];
    scenario.rules.forecast.period_ticks = 12;
    scenario.rules.candidates.max = 40;
    let wave = r#"{"kind": "diurnal", "period_ticks": 12, "amplitude": 0.3, "phase": [0.0, 1.0], "noise": 0.1, "persistence": 0.5}"#;
    let wave: DemandProcess = serde_json::from_str(wave).expect("a demand process");
    scenario.workloads.iter_mut().for_each(|group| group.process = wave.clone());
    Scenario::parse(&scenario.to_toml(), "online").expect("a valid scenario").into()
}

fn rounds(trainer: &mut ClusterTrainer, rounds: usize) {
    for round in 0..rounds {
        trainer.round(round % 3 == 0).expect("a round");
    }
}

/// A fresh run after some rounds, in a directory of its own.
fn run(
    mixture: &Mixture,
    config: &TrainConfig,
    made: usize,
) -> (TempDir, RunDirectory, ClusterTrainer) {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let directory =
        RunDirectory::create(folder.path().join("run"), mixture, config).expect("a run");
    let mut trainer = new_trainer(mixture, config, Device::Cpu).expect("a trainer");
    rounds(&mut trainer, made);
    (folder, directory, trainer)
}

fn bits(tensor: &Tensor) -> Vec<u32> {
    let mut values = vec![0.0_f32; tensor.numel()];
    tensor.copy_data(&mut values, tensor.numel());
    values.into_iter().map(f32::to_bits).collect()
}

fn assert_same(a: &mut ClusterTrainer, b: &mut ClusterTrainer) {
    assert_eq!(a.counters, b.counters);
    for (name, a, b) in [
        ("online", &a.learner.online.flat, &b.learner.online.flat),
        ("target", &a.learner.target.flat, &b.learner.target.flat),
        ("mean", &a.learner.adam.mean, &b.learner.adam.mean),
        ("square", &a.learner.adam.square, &b.learner.adam.square),
    ] {
        assert!(bits(a) == bits(b), "{name} differs");
    }
    let noise = |trainer: &ClusterTrainer| {
        let noise = trainer.learner.noise.as_ref()?;
        Some((noise.adam.updates, noise.state().map(|(_, tensor)| bits(tensor))))
    };
    assert!(noise(a) == noise(b), "noise differs");
    assert_eq!(a.learner.adam.updates, b.learner.adam.updates);
    assert_eq!(a.learner.rng, b.learner.rng);
    for (a, b) in a.actors.iter_mut().zip(&mut b.actors) {
        assert_eq!(a.get_mut().expect("no panic").rng, b.get_mut().expect("no panic").rng);
    }
    for (a, b) in a.replay.rings().iter().zip(b.replay.rings()) {
        assert_eq!(a.written, b.written);
        assert!(a.states == b.states && a.actions == b.actions && a.kinds == b.kinds);
        assert!(
            bytemuck::cast_slice::<f32, u32>(&a.rewards)
                == bytemuck::cast_slice::<f32, u32>(&b.rewards)
        );
        assert!(
            bytemuck::cast_slice::<f32, u32>(&a.discounts)
                == bytemuck::cast_slice::<f32, u32>(&b.discounts)
        );
    }
    let weights = |trainer: &ClusterTrainer| {
        let priorities = trainer.replay.priorities()?;
        let weights = (0..trainer.replay.capacity()).map(|at| priorities.weight(at).to_bits());
        Some((priorities.largest().to_bits(), weights.collect::<Vec<_>>()))
    };
    assert!(weights(a) == weights(b), "priorities differ");
    assert_eq!(a.normalisation(), b.normalisation());
    for (a, b) in a.vector.slots().iter().zip(b.vector.slots()) {
        assert_eq!(a.episodes, b.episodes);
        assert_eq!(a.env.save(), b.env.save());
        assert!(a.state == b.state, "states differ");
        assert_same_observation(&a.observation, &b.observation);
    }
}

fn assert_same_observation(a: &ObservationBuffer, b: &ObservationBuffer) {
    assert!(a.nodes == b.nodes && a.workloads == b.workloads && a.globals == b.globals);
    assert!(a.mask == b.mask && a.placement == b.placement, "masks or placements differ");
    // The features of `Stay` and of masked candidates carry no meaning.
    for action in (1..a.actions()).filter(|&action| a.mask[action]) {
        for feature in 0..a.candidates.len() / a.candidate_stride {
            let values = [a, b].map(|observation| observation.candidate(action, feature).to_bits());
            assert_eq!(values[0], values[1], "feature {feature} of candidate {action}");
        }
    }
}

fn resumes_bit_exactly(mixture: &Mixture, config: &TrainConfig, half: usize) {
    let (_folder, directory, mut trainer) = run(mixture, config, half);
    assert!(trainer.counters.updates > 0, "the first half must learn");
    write_last(&directory, mixture, &mut trainer).expect("a checkpoint");
    let mut resumed = resume(&directory, Device::Cpu).expect("the run");
    assert_eq!(resumed.notes, Vec::<String>::new());
    assert_eq!(&resumed.mixture, mixture);
    assert_eq!(&resumed.config, config);
    assert_same(&mut trainer, &mut resumed.trainer);
    // The writer goes on as if it had not written; the reader as if it had not stopped.
    rounds(&mut trainer, half);
    rounds(&mut resumed.trainer, half);
    assert_same(&mut trainer, &mut resumed.trainer);
}

#[test]
fn a_resumed_run_has_the_bits_of_one_that_never_stopped() {
    let (_folder, _directory, mut straight) = run(&founding(), &config(), 60);
    let (_folder, directory, mut trainer) = run(&founding(), &config(), 30);
    write_last(&directory, &founding(), &mut trainer).expect("a checkpoint");
    drop(trainer);
    let mut resumed = resume(&directory, Device::Cpu).expect("the run").trainer;
    rounds(&mut resumed, 30);
    assert_same(&mut straight, &mut resumed);
}

#[test]
fn an_online_run_resumes_in_the_middle_of_episodes_and_transfers() {
    resumes_bit_exactly(&online(), &config(), 23);
}

#[test]
fn a_run_with_paired_rewards_and_hard_targets_resumes_bit_exactly() {
    let mut config = TrainConfig { paired_baseline: "best-single-move".into(), ..config() };
    config.learner.target_every = 7;
    resumes_bit_exactly(&online(), &config, 19);
}

#[test]
fn a_run_with_priorities_resumes_bit_exactly() {
    let mut config = config();
    config.learner.priority_exponent = 0.6;
    resumes_bit_exactly(&online(), &config, 23);
}

#[test]
fn a_run_with_demonstrations_resumes_bit_exactly_before_and_after_its_first_env_step() {
    let mut config = TrainConfig { paired_baseline: "best-single-move".into(), ..config() };
    config.demonstrations.baseline = "load-balancer".into();
    config.demonstrations.steps = 60;
    config.demonstrations.pretrain_updates = 40;
    resumes_bit_exactly(&online(), &config, 1);
    resumes_bit_exactly(&online(), &config, 23);
}

#[test]
fn a_run_with_comparisons_resumes_bit_exactly_before_and_after_its_first_env_step() {
    let mut config = config();
    config.comparisons.baseline = "best-single-move".into();
    config.comparisons.states = 30;
    config.comparisons.pretrain_updates = 40;
    resumes_bit_exactly(&online(), &config, 1);
    resumes_bit_exactly(&online(), &config, 23);
}

#[test]
fn a_run_with_noisy_heads_resumes_bit_exactly() {
    let mut config = config();
    config.exploration.noisy_sigma = 0.5;
    resumes_bit_exactly(&online(), &config, 23);
}

#[test]
fn a_run_with_quantiles_resumes_bit_exactly_and_its_policy_is_their_mean() {
    let mut config = config();
    config.learner.quantiles = 5;
    config.learner.priority_exponent = 0.6;
    resumes_bit_exactly(&online(), &config, 23);
    let (_folder, directory, mut trainer) = run(&founding(), &config, 15);
    write_last(&directory, &founding(), &mut trainer).expect("a checkpoint");
    assert_eq!(load(directory.path()).expect("a checkpoint").weights, trainer.weights());
    write_best(&directory, &founding(), &mut trainer, 0.1, None).expect("a checkpoint");
    let loaded = load(directory.path()).expect("a checkpoint");
    assert_eq!((loaded.resumable, loaded.weights), (false, trainer.weights().to_vec()));
}

/// The first with three times its nodes and workloads, as the second scenario.
fn small_and_large(scenario: &Scenario) -> Mixture {
    let mut large = scenario.clone();
    large.name = format!("{}-large", large.name);
    large.nodes.iter_mut().for_each(|group| group.count *= 3);
    large.workloads.iter_mut().for_each(|group| group.count *= 3);
    let part = |scenario: &Scenario, weight| Part { scenario: scenario.clone(), weight };
    Mixture::new(vec![part(scenario, 2.0), part(&large, 1.5)]).expect("alike scenarios")
}

/// Every source of batches, on two cluster sizes, with each network that serves both.
fn every_source_resumes_bit_exactly(config: &TrainConfig) {
    for architecture in [Architecture::Relational, Architecture::Candidate] {
        let mut config = config.clone();
        config.network.architecture = architecture;
        config.learner.priority_exponent = 0.6;
        config.demonstrations.baseline = "best-single-move".into();
        config.demonstrations.steps = 120;
        config.demonstrations.pretrain_updates = 3;
        config.comparisons.baseline = "best-single-move".into();
        config.comparisons.states = 20;
        resumes_bit_exactly(&small_and_large(online().first()), &config, 30);
    }
}

#[test]
fn a_run_on_two_cluster_sizes_resumes_bit_exactly() {
    every_source_resumes_bit_exactly(&config());
}

/// A run with `last` (20 rounds) and `previous` (15 rounds).
fn two_checkpoints() -> (TempDir, RunDirectory, ClusterTrainer) {
    let (folder, directory, mut trainer) = run(&founding(), &config(), 15);
    write_last(&directory, &founding(), &mut trainer).expect("a checkpoint");
    rounds(&mut trainer, 5);
    write_last(&directory, &founding(), &mut trainer).expect("a checkpoint");
    (folder, directory, trainer)
}

/// Damages a file of `last` and returns the note that resuming from `previous` leaves.
fn note_after(name: &str, damage: impl Fn(&Path)) -> String {
    let (_folder, directory, mut trainer) = two_checkpoints();
    let path = directory.path().join(LAST).join(name);
    damage(&path);
    let mut resumed = resume(&directory, Device::Cpu).expect("the one before");
    assert_eq!(resumed.path, directory.path().join(PREVIOUS));
    assert_eq!(resumed.trainer.counters.rounds, 15);
    assert!(resumed.notes[0].contains(&path.display().to_string()), "{:?}", resumed.notes);
    // The steps that were lost are made again, with the same results.
    rounds(&mut resumed.trainer, 5);
    assert_same(&mut trainer, &mut resumed.trainer);
    // The next checkpoint must not push the good one out for the damaged one.
    write_last(&directory, &founding(), &mut resumed.trainer).expect("a checkpoint");
    fs::remove_dir_all(directory.path().join(LAST)).expect("removable");
    assert_eq!(
        resume(&directory, Device::Cpu).expect("the one before").trainer.counters.rounds,
        15
    );
    resumed.notes.swap_remove(0)
}

fn flip_a_bit(path: &Path) {
    let mut bytes = fs::read(path).expect("a file");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(path, bytes).expect("writable");
}

#[test]
fn a_damaged_file_is_named_and_the_checkpoint_before_it_is_used() {
    for name in [names::WEIGHTS, names::REPLAY, names::STATE, names::CONFIG, names::SCENARIO] {
        let note = note_after(name, flip_a_bit);
        assert!(note.contains("expected SHA-256"), "{note}");
    }
}

#[test]
fn a_missing_file_a_short_file_and_another_format_are_named() {
    let note = note_after(names::REPLAY, |path| fs::remove_file(path).expect("removable"));
    assert!(note.contains("got none"), "{note}");
    let note = note_after(names::REPLAY, |path| {
        let file = fs::OpenOptions::new().write(true).open(path).expect("a file");
        let length = file.metadata().expect("metadata").len();
        file.set_len(length - 1).expect("truncated");
    });
    assert!(note.contains("bytes, got"), "{note}");
    let note = note_after(names::MANIFEST, |path| fs::remove_file(path).expect("removable"));
    assert!(note.contains("got none"), "{note}");
    let note = note_after(names::MANIFEST, |path| {
        let text = fs::read_to_string(path).expect("a file");
        let format = format!("\"format\": {FORMAT}");
        assert!(text.contains(&format), "{text}");
        fs::write(path, text.replace(&format, "\"format\": 99")).expect("writable");
    });
    let expected = format!("expected checkpoint format {FORMAT}, got format 99");
    assert!(note.contains(&expected), "{note}");
}

#[test]
fn two_damaged_checkpoints_are_both_named() {
    let (_folder, directory, _trainer) = two_checkpoints();
    for name in [LAST, PREVIOUS] {
        flip_a_bit(&directory.path().join(name).join(names::WEIGHTS));
    }
    let message = resume(&directory, Device::Cpu).err().expect("an error").to_string();
    assert!(message.contains("last/weights") && message.contains("previous/weights"), "{message}");
}

#[test]
fn the_best_weights_load_and_cannot_be_resumed() {
    let (_folder, directory, mut trainer) = run(&founding(), &config(), 15);
    assert_eq!(directory.best_return(), None);
    write_best(&directory, &founding(), &mut trainer, 0.1, None).expect("a checkpoint");
    write_best(&directory, &founding(), &mut trainer, 0.3, None).expect("a checkpoint");
    let before = load(directory.path()).expect("a policy");
    let base =
        Base { baseline: "evacuate".into(), parameters: Default::default(), margin: Some(0.3) };
    rebase_best(&directory, Some(&base)).expect("a checkpoint");
    let after = load(directory.path()).expect("a policy");
    assert_eq!((before.base, after.base), (None, Some(base)));
    assert_eq!((before.weights, before.mean_return), (after.weights, after.mean_return));
    assert_eq!(directory.best_return(), Some(0.3));
    for path in [directory.path().to_owned(), directory.path().join(BEST)] {
        let loaded = load(path).expect("a checkpoint");
        assert_eq!(loaded.weights, trainer.weights());
        assert_eq!((loaded.mean_return, loaded.resumable), (Some(0.3), false));
        assert_eq!(loaded.counters, trainer.counters);
        assert_eq!((loaded.mixture, loaded.config), (founding(), config()));
    }
    fs::rename(directory.path().join(BEST), directory.path().join(LAST)).expect("a rename");
    let error = resume(&directory, Device::Cpu).err().expect("an error");
    assert!(matches!(error, CheckpointError::NotResumable { .. }), "{error}");
}

#[test]
fn weights_of_other_features_are_refused() {
    let (_folder, directory, mut trainer) = run(&founding(), &config(), 0);
    let quickstart = Scenario::embedded("quickstart").expect("an embedded scenario").into();
    write_best(&directory, &quickstart, &mut trainer, 0.0, None).expect("a checkpoint");
    let message = load(directory.path()).expect_err("an error").to_string();
    assert!(message.contains("expected features of this version (schema hash"), "{message}");
}

#[test]
fn numbered_checkpoints_are_kept_up_to_the_limit() {
    let config = TrainConfig { keep_checkpoints: 2, ..config() };
    let (_folder, directory, mut trainer) = run(&founding(), &config, 0);
    for _ in 0..3 {
        rounds(&mut trainer, 1);
        write_last(&directory, &founding(), &mut trainer).expect("a checkpoint");
    }
    let exists = |steps: u64| directory.path().join(format!("step-{steps}")).is_dir();
    assert_eq!([12, 24, 36].map(exists), [false, true, true]);
    assert_eq!(load(directory.path().join("step-24")).expect("a checkpoint").counters.rounds, 2);
}

#[test]
fn a_run_directory_is_taken_once() {
    let (folder, directory, mut trainer) = run(&founding(), &config(), 0);
    let path = directory.path().to_owned();
    let again = RunDirectory::create(&path, &founding(), &config()).expect_err("an error");
    assert!(again.to_string().contains("a run (resume it"), "{again}");
    let held = RunDirectory::open(&path).expect_err("an error");
    assert!(matches!(held, CheckpointError::Locked { .. }), "{held}");
    write_last(&directory, &founding(), &mut trainer).expect("a checkpoint");
    drop(directory);
    // What a kill in the middle of writing leaves behind.
    fs::create_dir(path.join("last.tmp-1")).expect("a directory");
    RunDirectory::open(&path).expect("the run");
    assert!(!path.join("last.tmp-1").exists());
    let other = folder.path().join("other");
    fs::create_dir(&other).expect("a directory");
    fs::write(other.join("notes.txt"), "mine").expect("a file");
    let taken = RunDirectory::create(&other, &founding(), &config()).expect_err("an error");
    assert!(taken.to_string().contains("other files"), "{taken}");
    let nothing = load(&other).expect_err("an error");
    assert!(matches!(nothing, CheckpointError::NoCheckpoint { .. }), "{nothing}");
}

/// A scenario file that names a snapshot file in another folder.
fn with_snapshot(folder: &Path) -> Mixture {
    let resources: Vec<String> =
        founding().first().rules.resources.iter().map(|kind| kind.name.clone()).collect();
    let amounts = |value: f32| vec![value; resources.len()];
    let nodes: Vec<_> = (0..3)
        .map(|i| serde_json::json!({ "name": format!("node-{i}"), "supply": amounts(10.0) }))
        .collect();
    let workloads: Vec<_> = (0..6)
        .map(|k| {
            let node = format!("node-{}", k / 3);
            // Numbers without a short binary form.
            serde_json::json!({ "name": format!("w-{k}"), "node": node, "demand": amounts(0.7 + 0.1 * k as f32) })
        })
        .collect();
    let snapshot = serde_json::json!({
        "format": "godwit-snapshot/1", "resources": resources, "nodes": nodes, "workloads": workloads,
    });
    fs::create_dir(folder.join("data")).expect("a folder");
    fs::write(folder.join("data/cluster.json"), snapshot.to_string()).expect("a file");
    let mut scenario = Scenario {
        snapshot: Some("data/cluster.json".into()),
        nodes: Vec::new(),
        workloads: Vec::new(),
        ..founding().first().clone()
    };
    scenario.start.placement = StartPlacement::Random;
    let path = folder.join("scenario.toml");
    fs::write(&path, scenario.to_toml()).expect("a file");
    Scenario::load(path).expect("a valid scenario").into()
}

#[test]
fn a_run_on_a_snapshot_needs_nothing_outside_its_directory() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let scenario = with_snapshot(folder.path());
    let (_run, directory, mut trainer) = run(&scenario, &config(), 15);
    write_last(&directory, &scenario, &mut trainer).expect("a checkpoint");
    drop(folder);
    let mut resumed = resume(&directory, Device::Cpu).expect("the run");
    assert_eq!(resumed.mixture.first().cluster, scenario.first().cluster);
    rounds(&mut trainer, 10);
    rounds(&mut resumed.trainer, 10);
    assert_same(&mut trainer, &mut resumed.trainer);
    let own = Scenario::load(directory.path().join(names::SCENARIO)).expect("a scenario");
    assert_eq!(own.cluster, scenario.first().cluster);
}
