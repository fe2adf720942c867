#![allow(clippy::unwrap_used)] // a failed expectation is the point of a test

use super::*;
use crate::config::TrainConfig;
use crate::train::assemble::new_trainer;
use godwit_envs::scenario::Scenario;
use tch::Device;

#[test]
fn a_run_that_keeps_no_replay_keeps_it_until_it_is_complete() {
    let mut config = TrainConfig {
        env_steps: 70,
        env_copies: 4,
        warm_up_steps: 32,
        replay_capacity: 200,
        evaluate_episodes: 2,
        keep_replay: false,
        ..TrainConfig::default()
    };
    config.network.hidden = 8;
    let mixture = Mixture::from(Scenario::embedded("founding-3x3").unwrap());
    let folder = tempfile::tempdir().unwrap();
    let directory = RunDirectory::create(folder.path(), &mixture, &config).unwrap();
    let mut trainer = new_trainer(&mixture, &config, Device::Cpu).unwrap();
    let stop = AtomicBool::new(false);
    // Paused, as sweeps do, and then asked to stop.
    let made = AtomicU64::new(0);
    let session = Session { stop: &stop, pause_at: 32, silent: Some(&made) };
    train_part(&mixture, &mut trainer, &directory, session).unwrap();
    assert!(directory.has_replay());
    stop.store(true, Ordering::Relaxed);
    let summary = train(&mixture, &mut trainer, &directory, &stop).unwrap();
    assert_eq!(summary.end, RunEnd::Interrupted);
    assert!(directory.has_replay());

    stop.store(false, Ordering::Relaxed);
    let mut trainer = checkpoint::resume(&directory, Device::Cpu).unwrap().trainer;
    let summary = train(&mixture, &mut trainer, &directory, &stop).unwrap();
    assert_eq!((summary.end, summary.env_steps), (RunEnd::Complete, 70));
    assert!(!directory.has_replay());
    let refused = checkpoint::resume(&directory, Device::Cpu).err().unwrap();
    assert!(matches!(refused, CheckpointError::NoReplay { .. }), "{refused}");
    assert!(!checkpoint::load(folder.path().join("last")).unwrap().resumable);
}

/// Its comparisons are made anew on the way, on its own best policy.
#[test]
fn a_run_in_iterations_goes_on_bit_exactly_after_a_pause() {
    paused_like_whole(|config| config.comparisons.baseline = "stay".into());
}

#[test]
fn a_run_from_demonstrations_compares_on_its_own_policy_later() {
    paused_like_whole(|config| {
        config.paired_baseline = "stay".into();
        config.comparisons.later_states = 40;
        config.demonstrations.baseline = "best-single-move".into();
        config.demonstrations.steps = 400;
        config.demonstrations.pretrain_updates = 150;
    });
}

fn paused_like_whole(set: impl Fn(&mut TrainConfig)) {
    let mut config = TrainConfig {
        env_steps: 160,
        env_copies: 4,
        warm_up_steps: 16,
        replay_capacity: 200,
        evaluate_every: 16,
        evaluate_episodes: 6,
        ..TrainConfig::default()
    };
    config.network.hidden = 8;
    config.comparisons.states = 60;
    config.comparisons.ticks = 6;
    config.comparisons.pretrain_updates = 150;
    config.comparisons.iterations = 4;
    set(&mut config);
    let mixture = Mixture::from(Scenario::embedded("founding-10x50").unwrap());
    let stop = AtomicBool::new(false);
    let part = |folder: &std::path::Path, until: &[u64]| {
        let directory = RunDirectory::create(folder, &mixture, &config).unwrap();
        let mut trainer = new_trainer(&mixture, &config, Device::Cpu).unwrap();
        for &pause_at in until {
            let made = AtomicU64::new(0);
            let session = Session { stop: &stop, pause_at, silent: Some(&made) };
            train_part(&mixture, &mut trainer, &directory, session).unwrap();
            trainer = checkpoint::resume(&directory, Device::Cpu).unwrap().trainer;
        }
        let iterations =
            (1..4).filter(|number| folder.join(format!("iteration-{number}")).exists());
        (trainer.weights().to_vec(), iterations.collect::<Vec<_>>())
    };
    let folder = tempfile::tempdir().unwrap();
    let (whole, iterations) = part(&folder.path().join("whole"), &[u64::MAX]);
    assert!(iterations.iter().any(|&number| number < 3), "{iterations:?}");
    let paused = part(&folder.path().join("paused"), &[64, 96, u64::MAX]);
    assert_eq!((whole, iterations), paused);
}
