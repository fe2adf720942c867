//! What is measured, and that what is learnt with it leaves as an ordinary policy.

use super::*;
use crate::checkpoint::{RunDirectory, write_best};
use crate::config::TrainConfig;
use crate::export::{self, Target};
use crate::networks::state_batch::BatchBuilder;
use crate::policies;
use crate::train::assemble::{self, ClusterTrainer, new_trainer};
use godwit_envs::observe::normalisation::{Affine, LEAST_DEVIATION};
use godwit_models::artifact::Artifact;
use godwit_models::net::{Architecture, Network};
use std::path::Path;
use tch::{Device, Tensor};

fn scenario(name: &str) -> Scenario {
    Scenario::embedded(name).expect("an embedded scenario")
}

fn env(name: &str) -> ClusterEnv {
    let template = Arc::new(WorldTemplate::new(&scenario(name)));
    ClusterEnv::new(template, Phase::Train).expect("a start")
}

fn config(architecture: Architecture) -> TrainConfig {
    let mut config = TrainConfig {
        env_copies: 4,
        warm_up_steps: 64,
        steps_per_update: 1.0,
        normalise_observations: true,
        ..TrainConfig::default()
    };
    config.network.architecture = architecture;
    (config.network.hidden, config.network.head_hidden) = (16, 8);
    config.learner.batch_size = 16;
    config
}

fn trained(name: &str, config: &TrainConfig) -> ClusterTrainer {
    let mut trainer = new_trainer(&scenario(name).into(), config, Device::Cpu).expect("a trainer");
    while trainer.counters.updates < 60 {
        trainer.round(false).expect("a round");
    }
    trainer
}

/// The same play through the normalisation that it gave: mean 0 and deviation 1, but where there
/// was no deviation, or so little that it was not blown up in full.
#[test]
fn what_is_measured_gives_the_same_play_mean_0_and_deviation_1() {
    let exploration = ExplorationConfig::default();
    for name in ["quickstart", "faults"] {
        let seed = child_seed(SEED, 0);
        let measured = play(&scenario(name), &exploration, seed, 500).expect("play");
        let first = Moments::normalisation(&[(1.0, measured)]);
        let mut env = env(name);
        let space = env.observation_space().clone();
        let mut rng = stream(seed, "normalisation");
        let mut moments = Moments::new(&space.schema);
        let mut observation = ObservationBuffer::new(&space);
        let mut left = 500;
        'play: for episode in 0.. {
            env.reset(child_seed(seed, episode)).expect("a start");
            loop {
                if left == 0 {
                    break 'play;
                }
                left -= 1;
                env.observe(&mut observation);
                let action = explore(&exploration, NetChange::new(&space), &observation, &mut rng);
                first.apply(&mut observation);
                moments.add(&observation, |k| env.state().life[k] != Life::Absent);
                if env.step(action).expect("a move").end.is_some() {
                    break;
                }
            }
        }
        let again = Moments::normalisation(&[(1.0, moments)]);
        let mut whole = 0;
        for (first, again) in [
            (&first.node, &again.node),
            (&first.workload, &again.workload),
            (&first.global, &again.global),
            (&first.candidate, &again.candidate),
        ] {
            for (first, again) in first.iter().zip(again) {
                if first.scale < 0.99 / LEAST_DEVIATION as f32 && *first != Affine::IDENTITY {
                    assert!((again.scale - 1.0).abs() < 1e-3, "{name}: {first:?} {again:?}");
                    assert!(again.shift.abs() < 1e-3, "{name}: {first:?} {again:?}");
                    whole += 1;
                }
            }
        }
        assert!(whole > 20, "{name}: {whole} features");
    }
}

#[test]
fn runs_of_any_seed_and_all_ranks_have_the_same_normalisation() {
    let of = |seed| {
        let config = TrainConfig { seed, ..config(Architecture::Candidate) };
        let trainer = new_trainer(&scenario("quickstart").into(), &config, Device::Cpu);
        trainer.expect("a trainer").normalisation().expect("a normalisation").clone()
    };
    assert_eq!(of(1), of(2));
    let plain = TrainConfig { normalise_observations: false, ..config(Architecture::Candidate) };
    let trainer = new_trainer(&scenario("quickstart").into(), &plain, Device::Cpu);
    assert_eq!(trainer.expect("a trainer").normalisation(), None);
}

/// Exploring play goes the same way whether observations are normalised or not, and what a move
/// changes is read as it was written.
#[test]
fn net_changes_and_exploration_do_not_depend_on_the_normalisation() {
    let exploration = ExplorationConfig { greedy_share: 1.0, ..ExplorationConfig::default() };
    for name in ["quickstart", "founding-10x50", "bursty"] {
        let mixture = scenario(name).into();
        let normalisation = measure_over(&mixture, &exploration, 300).expect("play");
        let mut raw = env(name);
        let mut normalised = raw.clone().normalised(Some(Arc::new(normalisation)));
        let changes = [&raw, &normalised].map(|env| NetChange::new(env.observation_space()));
        let mut rngs = [stream(1, "exploration"), stream(1, "exploration")];
        let mut seen =
            [&raw, &normalised].map(|env| ObservationBuffer::new(env.observation_space()));
        let mut moves = 0;
        for episode in 0..8 {
            for env in [&mut raw, &mut normalised] {
                env.reset(episode).expect("a start");
            }
            for _ in 0..30 {
                raw.observe(&mut seen[0]);
                normalised.observe(&mut seen[1]);
                assert_ne!(seen[0].globals, seen[1].globals);
                let pairs = changes[0].of_all(&seen[0]).zip(changes[1].of_all(&seen[1]));
                for ((action, expected), (other, got)) in pairs {
                    assert_eq!(action, other);
                    assert!((expected - got).abs() < 2e-6, "{name}: {expected} {got}");
                }
                let [one, other] =
                    [0, 1].map(|at| explore(&exploration, changes[at], &seen[at], &mut rngs[at]));
                assert_eq!(one, other, "{name}");
                moves += usize::from(one > 0);
                let ends = [&mut raw, &mut normalised]
                    .map(|env| env.step(one).expect("a move").end.is_some());
                if ends[0] {
                    break;
                }
            }
        }
        assert!(moves > 0, "{name}: {moves}");
    }
}

/// Values of `Stay` and of every open candidate, as the learner's network states them for what the
/// learner observes.
fn learner_values(trainer: &ClusterTrainer, env: &ClusterEnv) -> Vec<f32> {
    let spec = trainer.learner.online.spec();
    let normalised = env.clone().normalised(trainer.normalisation().cloned());
    let space = normalised.observation_space();
    let mut observation = ObservationBuffer::new(space);
    normalised.observe(&mut observation);
    let mut batch = BatchBuilder::new(space, spec.architecture);
    batch.add_with_all(&observation);
    let (stay, rows) =
        tch::no_grad(|| trainer.learner.online.forward_quantiles(&batch.build(Device::Cpu)));
    let mean = |values: Tensor| values.mean_dim(1, false, tch::Kind::Float);
    Vec::try_from(Tensor::cat(&[mean(stay), mean(rows)], 0)).expect("numbers")
}

/// Values of a policy's network for what the encoder writes.
fn policy_values(network: &mut Network, env: &ClusterEnv) -> Vec<f32> {
    let mut observation = ObservationBuffer::new(env.observation_space());
    env.observe(&mut observation);
    let mut q = vec![0.0; observation.actions()];
    network.q_values(&observation, &mut q);
    q.into_iter().filter(|value| value.is_finite()).collect()
}

/// Largest difference, relative to the largest value or 1.
fn difference(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    let largest = a.iter().fold(1.0_f32, |most, value| most.max(value.abs()));
    a.iter().zip(b).fold(0.0_f32, |most, (a, b)| most.max((a - b).abs())) / largest
}

/// The artifact and the checkpoint's policy have the learner's values, whatever the network.
fn leaves_as_a_policy(name: &str, config: &TrainConfig) {
    let mut trainer = trained(name, config);
    let folder = tempfile::tempdir().expect("a folder");
    let run = folder.path().join("run");
    let mixture = Mixture::from(scenario(name));
    let directory = RunDirectory::create(run.clone(), &mixture, config).expect("a run");
    write_best(&directory, &mixture, &mut trainer, 0.0, None).expect("a checkpoint");
    let artifact = folder.path().join("policy.pt");
    export::export(&run, &artifact, Target::default(), 0, false).expect("an artifact");
    let mut exported = Artifact::read(&artifact).expect("an artifact").network;
    let mut env = env(name);
    let mut loaded = policies::load(&run, "policy", mixture.first(), env.observation_space())
        .expect("a policy")
        .into_network();
    let mut unfolded = Network::new(trainer.learner.online.spec());
    let mut learnt = Vec::new();
    trainer.learner.online.save(&mut learnt);
    unfolded.load_flat(&learnt);
    for episode in 0..10 {
        env.reset(episode).expect("a start");
        let expected = learner_values(&trainer, &env);
        let got = difference(&expected, &policy_values(&mut exported, &env));
        assert!(got < 2e-5, "{name}: {got:e}");
        let got = difference(&expected, &policy_values(&mut loaded, &env));
        assert!(got < 2e-5, "{name}: {got:e}");
        // The control: the learner's own weights are of no use to a policy.
        let without = difference(&expected, &policy_values(&mut unfolded, &env));
        assert!(without > 1e-3, "{name}: {without:e}");
    }
}

#[test]
fn an_artifact_has_the_learners_values_whatever_the_network() {
    for architecture in [Architecture::Relational, Architecture::Candidate, Architecture::Mlp] {
        leaves_as_a_policy("quickstart", &config(architecture));
    }
    leaves_as_a_policy("churn", &config(Architecture::Relational));
}

#[test]
fn an_artifact_has_the_mean_values_of_quantiles_and_noisy_heads() {
    let mut config = config(Architecture::Relational);
    config.learner.quantiles = 5;
    leaves_as_a_policy("quickstart", &config);
    config.learner.quantiles = 1;
    config.exploration.noisy_sigma = 0.5;
    leaves_as_a_policy("quickstart", &config);
}

#[test]
fn an_initial_policy_is_taken_over_whatever_it_observed() {
    let mut env = env("quickstart");
    let path = Path::new("quickstart");
    let mut network =
        policies::load(path, "policy", &scenario("quickstart"), env.observation_space())
            .expect("a policy")
            .into_network();
    let spec = network.spec().clone();
    let mut config = config(spec.architecture);
    (config.network.hidden, config.network.head_hidden) = (spec.hidden, spec.head_hidden);
    config.initial_policy = "quickstart".into();
    let trainer = assemble::begin(&scenario("quickstart").into(), &config, Device::Cpu);
    let trainer = trainer.expect("a trainer");
    for episode in 0..10 {
        env.reset(episode).expect("a start");
        let expected = policy_values(&mut network, &env);
        let got = difference(&expected, &learner_values(&trainer, &env));
        assert!(got < 1e-4, "{got:e}");
    }
    assert_ne!(
        Vec::<f32>::try_from(&trainer.learner.online.flat).expect("numbers"),
        network.into_flat()
    );
}
