//! The native update against libtorch's autograd.

use super::*;
use crate::learn::margin;
use crate::networks;
use crate::networks::state_batch::BatchBuilder;
use godwit_envs::env::Env;
use godwit_envs::env::cluster_env::ClusterEnv;
use godwit_envs::scenario::{Phase, Scenario, WorldTemplate};
use godwit_models::net::{FixedSize, Network};
use rand::{RngExt, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;
use std::sync::Arc;
use tch::{Device, Kind, Tensor};

const SIZE: usize = 24;

/// Random states of a scenario with random allowed actions, and networks for them.
struct Case {
    states: Vec<ObservationBuffer>,
    actions: Vec<usize>,
    targets: Vec<f32>,
    weights: Vec<f32>,
    beside: Vec<Beside>,
    online: Parameters,
    target: Parameters,
    adam: Adam,
    layout: BatchBuilder,
}

fn case(scenario: &str, architecture: Architecture, dueling: bool, alike: bool) -> Case {
    let scenario = Scenario::resolve(scenario).expect("an embedded scenario");
    let template = Arc::new(WorldTemplate::new(&scenario));
    let mut env = ClusterEnv::new(template, Phase::Train).expect("a start");
    let space = env.observation_space().clone();
    let fixed = (architecture == Architecture::Mlp)
        .then_some(FixedSize { nodes: space.nodes, workloads: space.workloads });
    let mut spec = NetworkSpec::new(architecture, &space.schema, fixed);
    // Neither width is a multiple of the kernels' lanes.
    (spec.hidden, spec.head_hidden, spec.dueling) = (40, 24, dueling);
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(5);
    let mut observation = ObservationBuffer::new(&space);
    let (mut states, mut actions, mut beside) = (Vec::new(), Vec::new(), Vec::new());
    let mut seed = 0;
    env.reset(seed).expect("a start");
    while states.len() < SIZE {
        env.observe(&mut observation);
        let open: Vec<usize> = (0..space.actions).filter(|&a| observation.mask[a]).collect();
        // `Stay` in a third of the states.
        let action =
            if rng.random_range(0..3) == 0 { 0 } else { open[rng.random_range(0..open.len())] };
        let mut state = observation.clone();
        if alike {
            let width = space.schema.workload.len();
            let (first, rest) = state.workloads.split_at_mut(width);
            rest.chunks_exact_mut(width).for_each(|row| row.copy_from_slice(first));
        }
        // One workload is on no node.
        state.placement[1] = space.nodes as u32;
        states.push(state);
        actions.push(action);
        // A rival in a third of the states, a reference in another; `Stay` among them.
        let other = [0, open[open.len() - 1]][states.len() / 3 % 2];
        beside.push(match states.len() % 3 {
            0 if other != action => Beside::Rival(other),
            1 if other != action => Beside::Reference(other),
            _ => Beside::Nothing,
        });
        let step = env.step(open[rng.random_range(0..open.len())]).expect("an allowed action");
        if step.end.is_some() {
            seed += 1;
            env.reset(seed).expect("a start");
        }
    }
    let mut online = Parameters::fresh(&spec, Device::Cpu, &mut rng);
    let mut flat = Vec::new();
    online.save(&mut flat);
    flat.iter_mut().for_each(|weight| *weight *= 1.5);
    online.load(&flat);
    let target = Parameters::fresh(&spec, Device::Cpu, &mut rng);
    Case {
        states,
        actions,
        targets: (0..SIZE).map(|_| rng.random_range(-1.0..1.0)).collect(),
        weights: (0..SIZE).map(|_| rng.random_range(0.1..1.0)).collect(),
        adam: Adam::new(online.flat.size()[0], Device::Cpu, 1e-3),
        beside,
        online,
        target,
        layout: BatchBuilder::new(&space, architecture),
    }
}

/// The margin weighs so much that its gradient counts among those of the errors.
fn demonstrations() -> DemonstrationConfig {
    DemonstrationConfig { margin: 0.4, margin_weight: 0.3, ..Default::default() }
}

fn config() -> LearnerConfig {
    LearnerConfig {
        batch_size: SIZE,
        huber_delta: 0.3,
        max_gradient_norm: 0.005,
        ..Default::default()
    }
}

/// An update by libtorch: loss, values and gradient before clipping.
fn autograd(case: &mut Case, config: &LearnerConfig, learning_rate: f64) -> (f64, Tensor, Tensor) {
    case.layout.clear();
    let (mut taken, mut demonstrated, mut closest) = (Vec::new(), Vec::new(), Vec::new());
    let mut references = Vec::new();
    for (b, (state, &action)) in case.states.iter().zip(&case.actions).enumerate() {
        let place = |action, row| (if action == 0 { b } else { SIZE + row }) as i64;
        taken.push(place(action, case.layout.rows()));
        case.layout.add_with_action(state, action);
        if let Beside::Rival(other) | Beside::Reference(other) = case.beside[b] {
            let place = place(other, case.layout.rows());
            case.layout.add_action(state, other);
            if let Beside::Rival(_) = case.beside[b] {
                demonstrated.push(taken[b]);
                closest.push(place);
            } else {
                references.push((b, place));
            }
        }
    }
    let leaves = case.online.leaves();
    let batch = case.layout.build(Device::Cpu);
    let (stay, rows) = networks::forward(case.online.spec(), &leaves, &batch);
    // The last dimension is for quantiles; here there is one.
    let values = Tensor::cat(&[stay, rows], 0).squeeze_dim(1);
    let mut q = values.index_select(0, &Tensor::from_slice(&taken));
    for &(b, place) in &references {
        let one = Tensor::from_slice(&[b as i64]);
        let reference = values.index_select(0, &Tensor::from_slice(&[place]));
        q = q.index_add(0, &one, &(-reference));
    }
    let target = Tensor::from_slice(&case.targets);
    let mut loss = (q.huber_loss(&target, tch::Reduction::None, config.huber_delta)
        * Tensor::from_slice(&case.weights))
    .mean(Kind::Float);
    if !closest.is_empty() {
        let violations = margin::Violations {
            demonstrated: Tensor::from_slice(&demonstrated),
            rival: Tensor::from_slice(&closest),
        };
        let DemonstrationConfig { margin, margin_weight, .. } = demonstrations();
        loss += margin::loss(&values, &violations, margin) * (margin_weight / SIZE as f64);
    }
    let gradients = Tensor::run_backward(&[&loss], &leaves, false, false);
    let flat: Vec<Tensor> = gradients.iter().map(|gradient| gradient.reshape([-1])).collect();
    let gradient = Tensor::cat(&flat, 0);
    let scale = ((gradient.norm() + 1e-6).reciprocal() * config.max_gradient_norm).clamp_max(1.0);
    case.adam.update(&mut case.online.flat, &(&gradient * scale), learning_rate);
    tch::no_grad(|| {
        let _ = case.target.flat.lerp_(&case.online.flat, config.target_tau);
    });
    (loss.double_value(&[]), q.detach(), gradient)
}

fn native(case: &mut Case, update: &mut NativeUpdate, config: &LearnerConfig) -> UpdateStats {
    let Case { states, actions, targets, weights, beside, online, target, adam, .. } = case;
    let examples = states.iter().enumerate().map(|(b, state)| Example {
        state,
        action: actions[b],
        target: targets[b],
        weight: weights[b],
        beside: beside[b],
    });
    let trained = Trained { online, target, adam, average: None };
    let mut times = LearnTimes::default();
    update
        .update(examples, trained, config, &demonstrations(), 1e-3, true, &mut times)
        .expect("finite numbers")
        .expect("stats were asked for")
}

/// Largest absolute difference.
fn distance(a: &Tensor, b: &Tensor) -> f64 {
    (a - b).abs().max().double_value(&[])
}

fn agree(architecture: Architecture, dueling: bool, alike: bool, pairs: bool) {
    let label = format!("{architecture:?} dueling {dueling} alike {alike} pairs {pairs}");
    let config = config();
    let case = || {
        let mut case = case("quickstart", architecture, dueling, alike);
        if !pairs {
            case.beside.fill(Beside::Nothing);
        }
        case
    };
    let (mut by_torch, mut by_hand) = (case(), case());
    let mut update = NativeUpdate::new(by_hand.online.spec(), SIZE);
    for round in 0..5 {
        let (loss, q, gradient) = autograd(&mut by_torch, &config, 1e-3);
        let stats = native(&mut by_hand, &mut update, &config);
        assert!((loss - stats.loss).abs() < 1e-5, "{label}: loss {loss} {}", stats.loss);
        let norm = gradient.norm().double_value(&[]);
        assert!(norm > config.max_gradient_norm, "{label}: nothing is clipped");
        assert!((norm - stats.gradient_norm).abs() < 1e-4 * norm, "{label}: norm");
        // Later gradients are those of weights that differ in their last bits.
        let bound = if round == 0 { 1e-5 } else { 1e-3 } * norm;
        let worst = distance(&gradient, &Tensor::from_slice(update.last_gradient()));
        assert!(worst < bound, "{label}: gradient of update {round} differs by {worst} of {norm}");
        let errors = (q - Tensor::from_slice(&by_torch.targets)).abs();
        let worst = distance(&errors, &Tensor::from_slice(update.errors()));
        assert!(worst < 1e-4, "{label}: TD errors differ by {worst}");
        let levels = Tensor::from_slice(&[0.1_f32, 0.5, 0.9]);
        let quantiles = errors.quantile(&levels, None, false, "linear");
        for (at, quantile) in stats.td_error.iter().enumerate() {
            assert!((quantiles.double_value(&[at as i64]) - quantile).abs() < 1e-4, "{label}");
        }
    }
    for (name, a, b) in [
        ("weights", &by_torch.online.flat, &by_hand.online.flat),
        ("target", &by_torch.target.flat, &by_hand.target.flat),
        ("mean", &by_torch.adam.mean, &by_hand.adam.mean),
        ("square", &by_torch.adam.square, &by_hand.adam.square),
    ] {
        let (worst, size) = (distance(a, b), a.abs().max().double_value(&[]));
        assert!(
            worst < 1e-4 * size,
            "{label}: {name} differ by {worst} of {size} after five updates"
        );
    }
    // They did change: five steps of 1e-3 would not go unseen.
    assert!(distance(&case().online.flat, &by_hand.online.flat) > 1e-3, "{label}");
}

#[test]
fn every_network_learns_as_autograd_does() {
    for architecture in [Architecture::Mlp, Architecture::Candidate, Architecture::Relational] {
        for dueling in [false, true] {
            agree(architecture, dueling, false, false);
        }
    }
}

#[test]
fn every_network_learns_from_demonstrations_and_comparisons_as_autograd_does() {
    for architecture in [Architecture::Mlp, Architecture::Candidate, Architecture::Relational] {
        agree(architecture, true, false, true);
    }
}

#[test]
fn merging_alike_workloads_changes_no_gradient() {
    // With one distinct workload, products come before sums over nodes.
    agree(Architecture::Relational, true, true, false);
}

#[test]
fn batched_next_values_are_those_of_the_native_forward_pass() {
    for (dueling, double) in [(false, false), (true, false), (false, true), (true, true)] {
        let case = case("founding-3x3", Architecture::Mlp, dueling, false);
        let spec = case.online.spec();
        let mut values = vec![0.0; SIZE];
        NativeUpdate::new(spec, SIZE).next_values(
            case.states.iter(),
            &case.online,
            &case.target,
            double,
            &mut values,
        );
        let mut networks = [&case.online, &case.target].map(|parameters| {
            let mut network = Network::new(spec);
            network.load_flat(host(&parameters.flat));
            network
        });
        let mut q = vec![0.0; case.states[0].actions()];
        for (state, value) in case.states.iter().zip(values) {
            let judge = usize::from(!double);
            let best = networks[judge].best_action(state, &mut q);
            networks[1].q_values(state, &mut q);
            assert!((q[best] - value).abs() < 1e-5, "{dueling} {double}: {} {value}", q[best]);
        }
    }
}

#[test]
fn one_update_of_a_tiny_mlp_matches_hand_worked_numbers() {
    // One hidden unit per layer, one node and one workload, all weights and inputs 1, biases 0:
    // x = (1, 1, 1) and the placement's 1, so h1 = 4, h2 = 4, Q = (4, 4). Target 3, action 1:
    // error 1, slope 1 (delta 2), loss 0.5. d out[1] = 1: d w_o = (0, 4), d b_o = (0, 1);
    // d h2 = 1: d w_2 = 4, d b_2 = 1; d h1 = 1: d w_1 = (1, 1, 1, 1), d b_1 = 1.
    let spec = NetworkSpec {
        architecture: Architecture::Mlp,
        hidden: 1,
        head_hidden: 1,
        dueling: false,
        node_features: 1,
        workload_features: 1,
        global_features: 1,
        candidate_features: 1,
        fixed: Some(FixedSize { nodes: 1, workloads: 1 }),
    };
    let flat = [1.0, 1.0, 1.0, 1.0, 0.0, 1.0, 0.0, 1.0, 1.0, 0.0, 0.0];
    let feature =
        || godwit_envs::observe::schema::Feature { name: "x".into(), unit: "1".into(), scale: 1.0 };
    let space = godwit_envs::observe::ObservationSpace {
        sections: godwit_envs::observe::sections::Sections::default(),
        nodes: 1,
        workloads: 1,
        actions: 2,
        fixed_pairs: true,
        schema: godwit_envs::observe::schema::ObservationSchema {
            version: 1,
            node: vec![feature()],
            workload: vec![feature()],
            global: vec![feature()],
            candidate: vec![feature()],
        },
        normalisation: None,
    };
    let mut state = ObservationBuffer::new(&space);
    for part in [&mut state.nodes, &mut state.workloads, &mut state.globals] {
        part.fill(1.0);
    }
    let mut update = NativeUpdate::new(&spec, 1);
    let example =
        Example { state: &state, action: 1, target: 3.0, weight: 1.0, beside: Beside::Nothing };
    update.fill([example].into_iter());
    let loss = update.gradient(&flat, 2.0, &demonstrations());
    assert_eq!((loss, update.errors()), (0.5, &[1.0_f32][..]));
    let expected = [1.0, 1.0, 1.0, 1.0, 1.0, 4.0, 1.0, 0.0, 4.0, 0.0, 1.0];
    assert_eq!(update.last_gradient(), expected);

    // Demonstrated, with `Stay` too close: 0.3 (4 + 0.4 - 4) more loss, a slope of 0.3 in Stay's
    // value and of 1 - 0.3 in that of action 1. d out = (0.3, 0.7): d w_o = (1.2, 2.8),
    // d b_o = (0.3, 0.7); the hidden units see their sum, 1, as before.
    update.fill([Example { beside: Beside::Rival(0), ..example }].into_iter());
    let loss = update.gradient(&flat, 2.0, &demonstrations());
    assert!((loss - 0.62).abs() < 1e-6, "{loss}");
    let with_rival = [1.0, 1.0, 1.0, 1.0, 1.0, 4.0, 1.0, 1.2, 2.8, 0.3, 0.7];
    for (slope, expected) in update.last_gradient().iter().zip(with_rival) {
        assert!((slope - expected).abs() < 1e-6, "{slope} {expected}");
    }

    // Compared with `Stay`, as whose equal it is valued, and worth 0.5 more: error -0.5, loss
    // 0.125. d out = (0.5, -0.5): d w_o = (2, -2), d b_o = (0.5, -0.5); the hidden units see 0.
    let compared = Example { beside: Beside::Reference(0), target: 0.5, ..example };
    update.fill([compared].into_iter());
    let loss = update.gradient(&flat, 2.0, &demonstrations());
    assert_eq!((loss, update.errors()), (0.125, &[0.5_f32][..]));
    let expected_slopes = [0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 2.0, -2.0, 0.5, -0.5];
    assert_eq!(update.last_gradient(), expected_slopes);
    update.fill([example].into_iter());
    update.gradient(&flat, 2.0, &demonstrations());

    // Norm^2 = 5 + 16 + 1 + 16 + 1 = 39. Unclipped, Adam's first step is the learning rate along
    // the sign of each slope.
    let mut online = Parameters::zeros(&spec, Device::Cpu);
    online.load(&flat);
    let mut target = Parameters::zeros(&spec, Device::Cpu);
    let mut adam = Adam::new(11, Device::Cpu, 0.0);
    let config = LearnerConfig { max_gradient_norm: 100.0, target_tau: 0.5, ..Default::default() };
    let norm = sum_of_squares(&update.gradient).sqrt();
    assert!((norm - 39.0_f64.sqrt()).abs() < 1e-6);
    update.descend(&mut online, &mut target, &mut adam, &config, 0.25, norm);
    for ((after, before), (slope, target)) in
        host(&online.flat).iter().zip(flat).zip(expected.iter().zip(host(&target.flat)))
    {
        let stepped = before - 0.25 * slope.min(1.0);
        assert!((after - stepped).abs() < 1e-5, "{after} {stepped}");
        assert!((target - 0.5 * stepped).abs() < 1e-5);
    }
}
