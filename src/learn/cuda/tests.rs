//! The device's update against the learner's own, both on the CPU.

use super::*;
use crate::config::TrainConfig;
use crate::experience::paired::PairedEnv;
use crate::learn::dqn::Learner;
use crate::machine::device::DeviceChoice;
use crate::train::assemble::{ClusterTrainer, new_trainer};
use godwit_envs::env::Env;
use godwit_envs::env::cluster_env::ClusterEnv;
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
    let mut trainer =
        new_trainer(&scenario.clone().into(), config, Device::Cpu).expect("a trainer");
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
        .map(|_| learner.learn(&(&*replay).into(), 1e-3, true).expect("the CPU").expect("figures"))
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
        // Losses of tens differ in the last bits of an f32.
        let bound = 1e-6 * own.loss.max(1.0);
        assert!((stats.loss - own.loss).abs() < bound, "{stats:?} {own:?}");
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

/// On a device the host does not wait for figures: the first bad one is kept there.
#[test]
fn the_first_update_whose_loss_is_not_finite_is_told_by_its_number() {
    let scenario = Scenario::embedded("quickstart").expect("an embedded scenario");
    let config = config(Architecture::Relational);
    let mut trainer = experienced(&config, &scenario);
    let mut cuda = updates(&trainer, &config);
    let learn = |trainer: &mut ClusterTrainer, cuda: &mut DeviceUpdates| {
        let ClusterTrainer { learner, replay, .. } = trainer;
        learner.learn_with(cuda, replay, 1e-3, false).expect("the CPU");
        cuda.check()
    };
    assert_eq!(learn(&mut trainer, &mut cuda), Ok(()));
    let good = trainer.replay.rings()[0].rewards.clone();
    trainer.replay.rings_mut().iter_mut().for_each(|ring| ring.rewards.fill(f32::INFINITY));
    for _ in 0..2 {
        let found = learn(&mut trainer, &mut cuda).expect_err("an infinite loss");
        assert_eq!((found.what.as_str(), found.value, found.update), ("loss", f64::INFINITY, 2));
    }
    for ring in trainer.replay.rings_mut() {
        ring.rewards.clone_from(&good);
    }
    let found = learn(&mut trainer, &mut cuda).expect_err("it is not forgotten");
    assert_eq!(found.update, 2);
    let outcome = cuda.weights(&trainer.learner.online, &mut Vec::new());
    assert!(matches!(outcome, Err(LearnError::NotFinite(_))), "{outcome:?}");
}

#[test]
fn a_layout_grows_when_a_state_has_more_distinct_workloads() {
    let scenario = Scenario::embedded("quickstart").expect("an embedded scenario");
    let config = config(Architecture::Relational);
    let trainer = experienced(&config, &scenario);
    let mut cuda = updates(&trainer, &config);
    let (first, words) = (cuda.layout.rows, cuda.layout.words);
    let ClusterTrainer { mut learner, replay, .. } = trainer;
    let (start, rng) = (state(&learner), learner.rng.clone());
    learner.learn(&(&replay).into(), 1e-3, false).expect("the CPU");
    let after = state(&learner);
    restore(&mut learner, &start);
    (learner.rng, learner.adam.updates) = (rng, 0);
    learner.learn_with(&mut cuda, &replay, 1e-3, false).expect("the CPU");
    // Each of the scenario's workloads is different from the others.
    assert!(first < cuda.layout.workloads);
    assert_eq!(cuda.layout.rows, cuda.layout.workloads);
    assert!(cuda.layout.words > words);
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
    let mut layout = Layout::new(&space, Architecture::Relational);
    layout.grow(space.workloads);
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
        assert!((linear_quantile(&values, level) - expected).abs() < 1e-5, "{level}");
    }
}

/// A trainer on a GPU with the experience of one on the CPU; `None` where there is no GPU.
fn on_gpu(config: &TrainConfig, scenario: &Scenario) -> Option<(ClusterTrainer, ClusterTrainer)> {
    let Ok(device @ Device::Cuda(_)) = DeviceChoice::Auto.resolve() else {
        eprintln!("skipped: no CUDA device");
        return None;
    };
    let gpu = new_trainer(&scenario.clone().into(), config, device).expect("a trainer");
    Some((experienced(config, scenario), gpu))
}

/// Largest difference of the weights after eight updates on the CPU and on a GPU.
fn gpu_difference(config: &TrainConfig) -> Option<(f64, bool)> {
    let scenario = Scenario::embedded("quickstart").expect("an embedded scenario");
    let (mut cpu, mut gpu) = on_gpu(config, &scenario)?;
    let start = state(&cpu.learner);
    restore(&mut gpu.learner, &start);
    gpu.learner.rng = cpu.learner.rng.clone();
    for _ in 0..8 {
        cpu.learner.learn(&(&cpu.replay).into(), 1e-3, false).expect("the CPU");
        gpu.learner.learn(&(&cpu.replay).into(), 1e-3, false).expect("the GPU");
    }
    let moved = (&cpu.learner.online.flat - &start[0]).abs().max().double_value(&[]);
    assert!(moved > 1e-3, "{moved}");
    let gpu_weights = gpu.learner.online.flat.to_device(Device::Cpu);
    let difference = (gpu_weights - &cpu.learner.online.flat).abs().max().double_value(&[]);
    Some((difference, gpu.learner.cuda().expect("a GPU").has_graph()))
}

#[test]
fn a_gpu_learns_what_the_cpu_learns_with_and_without_a_graph() {
    for architecture in NETWORKS {
        for graph in [true, false] {
            let mut config = config(architecture);
            config.learner.cuda_graph = graph;
            let Some((difference, has_graph)) = gpu_difference(&config) else { return };
            println!("{architecture:?}, graph {graph}: {difference:.1e}");
            assert_eq!(has_graph, graph, "{architecture:?}");
            // Adam's first steps: see above.
            assert!(difference < 1e-3, "{architecture:?} {difference}");
        }
    }
}

#[test]
fn lower_precision_stays_close_and_differs() {
    for (tf32, bf16, most) in [(true, false, 4e-3), (false, true, 8e-3)] {
        let mut config = config(Architecture::Relational);
        (config.learner.tf32, config.learner.bf16) = (tf32, bf16);
        let Some((difference, has_graph)) = gpu_difference(&config) else { return };
        println!("tf32 {tf32}, bf16 {bf16}: {difference:.1e}");
        assert!(has_graph);
        assert!((1e-7..most).contains(&difference), "tf32 {tf32}, bf16 {bf16}: {difference}");
    }
    crate::torch_ext::cuda::allow_tf32(false).expect("a setting");
}

#[test]
fn an_update_that_cannot_be_recorded_goes_on_without_a_graph_and_says_so_once() {
    let scenario = Scenario::embedded("quickstart").expect("an embedded scenario");
    let config = config(Architecture::Relational);
    let Some((cpu, mut gpu)) = on_gpu(&config, &scenario) else { return };
    let mut notes = Vec::new();
    for update in 0..8 {
        let cuda = gpu.learner.cuda().expect("a GPU");
        cuda.spoil_recording = update == 3;
        let before = gpu.learner.online.flat.copy();
        gpu.learner.learn(&(&cpu.replay).into(), 1e-3, false).expect("the GPU");
        let moved = (&gpu.learner.online.flat - before).abs().max().double_value(&[]);
        assert!(moved > 1e-5, "update {update}");
        notes.extend(gpu.learner.cuda().expect("a GPU").take_note());
    }
    assert!(!gpu.learner.cuda().expect("a GPU").has_graph());
    assert_eq!(notes.len(), 1, "{notes:?}");
    assert!(notes[0].contains("not permitted when stream is capturing"), "{notes:?}");
    assert!(!notes[0].contains('\n'), "{notes:?}");
}

#[test]
fn the_weights_to_act_with_are_those_of_the_call_before() {
    let scenario = Scenario::embedded("quickstart").expect("an embedded scenario");
    let config = config(Architecture::Candidate);
    let Some((_, mut gpu)) = on_gpu(&config, &scenario) else { return };
    let learner = &mut gpu.learner;
    let (mut weights, mut seen) = (Vec::new(), Vec::new());
    for value in [1.0, 2.0, 3.0, 4.0] {
        let _ = tch::no_grad(|| learner.online.flat.fill_(value));
        learner.acting_weights(&mut weights).expect("the GPU");
        assert!(weights.iter().all(|&weight| weight == weights[0]));
        seen.push(weights[0]);
    }
    assert_eq!(seen, [1.0, 1.0, 2.0, 3.0]);
}
