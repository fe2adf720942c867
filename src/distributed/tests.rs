//! Groups of threads, which need no MPI: the averaged update is that of the doubled batch, and a
//! run on several ranks keeps equal weights.

#![allow(clippy::unwrap_used)] // a failed expectation is the point of a test

use super::average::GradientAverage;
use super::*;
use crate::checkpoint::{self, RunDirectory};
use crate::config::{Backend, TrainConfig};
use crate::learn::dqn::Source;
use crate::learn::finite::Stopped;
use crate::train::assemble::{ClusterTrainer, new_trainer};
use crate::train::mixture::Mixture;
use crate::train::run::{Session, train_part};
use godwit_envs::scenario::Scenario;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, Barrier, Mutex};
use tch::Device;

/// Threads that exchange values through a shared table.
struct ThreadGroup {
    rank: usize,
    shared: Arc<Shared>,
}

struct Shared {
    barrier: Barrier,
    table: Mutex<Vec<Vec<f64>>>,
}

fn groups(size: usize) -> Vec<Arc<dyn Group>> {
    let table = Mutex::new(vec![Vec::new(); size]);
    let shared = Arc::new(Shared { barrier: Barrier::new(size), table });
    (0..size)
        .map(|rank| Arc::new(ThreadGroup { rank, shared: Arc::clone(&shared) }) as Arc<dyn Group>)
        .collect()
}

impl Group for ThreadGroup {
    fn rank(&self) -> usize {
        self.rank
    }

    fn size(&self) -> usize {
        self.shared.table.lock().unwrap().len()
    }

    fn sum(&self, values: &mut [f32]) {
        let own: Vec<f64> = values.iter().map(|&value| f64::from(value)).collect();
        let all = self.gather(&own);
        for (at, value) in values.iter_mut().enumerate() {
            *value = all.iter().map(|values| values[at]).sum::<f64>() as f32;
        }
    }

    fn copy(&self, values: &mut [f32]) {
        let own: Vec<f64> = values.iter().map(|&value| f64::from(value)).collect();
        let first = &self.gather(&own)[0];
        values.iter_mut().zip(first).for_each(|(value, &first)| *value = first as f32);
    }

    fn gather(&self, values: &[f64]) -> Vec<Vec<f64>> {
        self.shared.table.lock().unwrap()[self.rank] = values.to_vec();
        self.shared.barrier.wait();
        let all = self.shared.table.lock().unwrap().clone();
        self.shared.barrier.wait();
        all
    }

    fn advise(&self, _: &str) {}
}

fn config(batch_size: usize) -> TrainConfig {
    let mut config = TrainConfig {
        env_steps: 1024,
        env_copies: 4,
        warm_up_steps: 128,
        replay_capacity: 2_000,
        evaluate_every: 256,
        evaluate_episodes: 3,
        checkpoint_every: 256,
        ..TrainConfig::default()
    };
    config.learner.batch_size = batch_size;
    config.network.hidden = 16;
    config
}

fn mixture() -> Mixture {
    Scenario::embedded("quickstart").unwrap().into()
}

/// A trainer with experience and fresh weights, alone in a pool of one thread.
fn experienced(batch_size: usize) -> ClusterTrainer {
    let mut config = config(batch_size);
    config.warm_up_steps = u64::MAX;
    let mut trainer = new_trainer(&mixture(), &config, Device::Cpu).unwrap();
    for _ in 0..40 {
        trainer.round(false).unwrap();
    }
    trainer
}

fn draw(trainer: &mut ClusterTrainer) -> crate::learn::dqn::TransitionBatch {
    let source = Source { beta: 1.0, ..Source::from(&trainer.replay) };
    trainer.learner.draw(&source)
}

const UPDATES: usize = 20;

/// The weights after some updates of a learner that draws `batch_size` transitions, of which this
/// rank of `size` uses its turn and leaves the others to the other ranks.
fn weights_after(batch_size: usize, group: Option<Arc<dyn Group>>, mistake: bool) -> Vec<f32> {
    let mut trainer = experienced(batch_size);
    let (rank, size) = group.as_ref().map_or((0, 1), |group| (group.rank(), group.size()));
    trainer.learner.average = group.filter(|_| !mistake).map(GradientAverage::new);
    for _ in 0..UPDATES {
        let mut own = None;
        for turn in 0..size {
            let batch = draw(&mut trainer);
            own = if turn == rank { Some(batch) } else { own };
        }
        trainer.learner.update(&own.unwrap(), 1e-3, false).unwrap();
    }
    trainer.weights().to_vec()
}

fn on_ranks<T: Send>(size: usize, work: impl Fn(Arc<dyn Group>) -> T + Sync) -> Vec<T> {
    std::thread::scope(|scope| {
        let handles: Vec<_> = groups(size)
            .into_iter()
            .map(|group| {
                scope.spawn(|| {
                    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
                    pool.install(|| work(group))
                })
            })
            .collect();
        handles.into_iter().map(|handle| handle.join().unwrap()).collect()
    })
}

fn distance(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

#[test]
fn ranks_that_share_a_batch_make_the_update_of_the_whole_batch() {
    let whole = weights_after(32, None, false);
    for size in [2, 4] {
        let shared = on_ranks(size, |group| weights_after(32 / size, Some(group), false));
        for weights in &shared[1..] {
            assert!(weights == &shared[0], "the same bits on all ranks");
        }
        let distance = distance(&shared[0], &whole);
        assert!(distance < 1e-5, "{size} ranks: {distance}");
    }
    // The control: without averaging, a rank's own half of the batch leads elsewhere.
    let alone = on_ranks(2, |group| weights_after(16, Some(group), true));
    assert!(distance(&alone[0], &whole) > 1e-3 && distance(&alone[0], &alone[1]) > 1e-3);
}

/// A rank's part of a run up to some env steps: its weights then.
fn part(run: &Path, group: &Arc<dyn Group>, pause_at: u64) -> Vec<f32> {
    part_with(&config(16), run, group, pause_at).weights().to_vec()
}

fn part_with(
    config: &TrainConfig,
    run: &Path,
    group: &Arc<dyn Group>,
    pause_at: u64,
) -> ClusterTrainer {
    let folder = part::folder(run, group.rank());
    let stop = AtomicBool::new(false);
    let (directory, mut trainer) = if folder.join("last").exists() {
        let directory = RunDirectory::open(&folder).unwrap();
        let resumed = part::resume(&directory, Device::Cpu, &**group).unwrap();
        (directory, resumed.trainer)
    } else {
        let config = TrainConfig { seed: group.seed(3), ..config.clone() };
        let trainer = new_trainer(&mixture(), &config, Device::Cpu).unwrap();
        (part::create(run, &mixture(), &config, Some(&**group)).unwrap(), trainer)
    };
    part::attach(&mut trainer, group).unwrap();
    let made = AtomicU64::new(0);
    let session = Session { stop: &stop, pause_at, silent: Some(&made) };
    train_part(&mixture(), &mut trainer, &directory, session).unwrap();
    trainer
}

#[test]
fn a_run_on_two_ranks_has_equal_weights_and_resumes_from_the_checkpoint_both_have() {
    let folder = tempfile::tempdir().unwrap();
    let (whole, torn) = (folder.path().join("whole"), folder.path().join("torn"));
    let straight = on_ranks(2, |group| part(&whole, &group, u64::MAX));
    assert!(straight[0] == straight[1], "the same bits on both ranks");
    let lines = std::fs::read_to_string(whole.join("metrics.jsonl")).unwrap();
    assert!(lines.contains("\"episodes\":3"), "all validation episodes are logged: {lines}");
    assert!(!whole.join("rank-1/metrics.jsonl").exists());
    assert!(!whole.join("rank-1/best").exists());

    on_ranks(2, |group| part(&torn, &group, 576));
    // As if a kill had come after rank 0's checkpoint and before rank 1's.
    let lagging = torn.join("rank-1");
    std::fs::remove_dir_all(lagging.join("last")).unwrap();
    std::fs::rename(lagging.join("previous"), lagging.join("last")).unwrap();
    let at = |run: &Path| checkpoint::load(run.join("last")).unwrap().counters.env_steps;
    assert_eq!((at(&torn), at(&lagging)), (576, 512));
    let resumed = on_ranks(2, |group| part(&torn, &group, u64::MAX));
    assert!(resumed == straight, "as if it had never stopped");
}

/// Each rank measures for itself and plays with a seed of its own.
#[test]
fn ranks_normalise_observations_alike() {
    let folder = tempfile::tempdir().unwrap();
    let config = TrainConfig { normalise_observations: true, ..config(16) };
    let ranks = on_ranks(2, |group| {
        let mut trainer = part_with(&config, folder.path(), &group, 512);
        let state = trainer.vector.slots()[0].state.clone();
        (trainer.normalisation().cloned(), trainer.weights().to_vec(), state)
    });
    let [(first, weights, state), (second, other_weights, other_state)] = &ranks[..] else {
        panic!("two ranks");
    };
    assert!(first.is_some() && first == second);
    assert!(weights == other_weights && state != other_state);
}

/// The gradient of one rank's infinite loss may be finite: without a sign to the others they would
/// go on, and wait for it for ever.
#[test]
fn all_ranks_refuse_the_update_in_which_one_of_them_has_an_infinite_loss() {
    for backend in [Backend::Native, Backend::Libtorch] {
        let outcomes = on_ranks(2, |group| {
            let mut config = TrainConfig { seed: group.seed(3), ..config(16) };
            config.learner.backend = backend;
            let mut trainer = new_trainer(&mixture(), &config, Device::Cpu).unwrap();
            part::attach(&mut trainer, &group).unwrap();
            while trainer.counters.updates < 4 {
                trainer.round(false).unwrap();
            }
            if group.rank() == 1 {
                let rings = trainer.replay.rings_mut();
                rings.iter_mut().for_each(|ring| ring.rewards.fill(f32::INFINITY));
            }
            let error = (0..20).find_map(|_| trainer.round(false).err()).unwrap().to_string();
            (error, trainer.learner.adam.updates, trainer.weights().to_vec())
        });
        let [(first, updates, weights), (second, others, other_weights)] = &outcomes[..] else {
            panic!("two ranks");
        };
        assert!(first.starts_with("gradient norm: expected a finite number"), "{first}");
        assert!(second.starts_with("loss: expected a finite number"), "{second}");
        assert_eq!((updates, weights), (others, other_weights), "{backend:?}");
        assert!(weights.iter().all(|weight| weight.is_finite()), "{backend:?}");
    }
}

#[test]
fn a_rank_that_stops_at_a_reward_stops_the_others() {
    let folder = tempfile::tempdir().unwrap();
    let errors = on_ranks(2, |group| {
        let mut config = TrainConfig { seed: group.seed(3), ..config(16) };
        if group.rank() == 1 {
            // Beyond what 32 bits hold.
            config.learner.reward_scale = 1e39;
        }
        let mut trainer = new_trainer(&mixture(), &config, Device::Cpu).unwrap();
        let run = folder.path().join("run");
        let directory = part::create(&run, &mixture(), &config, Some(&*group)).unwrap();
        part::attach(&mut trainer, &group).unwrap();
        let (stop, made) = (AtomicBool::new(false), AtomicU64::new(0));
        let session = Session { stop: &stop, pause_at: u64::MAX, silent: Some(&made) };
        train_part(&mixture(), &mut trainer, &directory, session).unwrap_err()
    });
    assert!(matches!(errors[0].downcast_ref(), Some(FailedElsewhere(1))), "{}", errors[0]);
    assert!(errors[1].is::<Stopped>(), "{}", errors[1]);
}

#[test]
fn unequal_weights_are_noticed() {
    let messages = on_ranks(2, |group| {
        let mut trainer = new_trainer(&mixture(), &config(16), Device::Cpu).unwrap();
        part::assert_equal_weights(&mut trainer, &*group).unwrap();
        if group.rank() == 1 {
            let mut weights = trainer.weights().to_vec();
            weights[7] += 1e-6;
            trainer.learner.online.load(&weights);
        }
        part::assert_equal_weights(&mut trainer, &*group).unwrap_err().to_string()
    });
    assert!(messages[0].contains("expected equal weights") && messages[0].contains("rank 1"));
    assert_eq!(messages[0], messages[1]);
}
