//! The fast forward passes against hand-worked numbers and a plain f64 reference.

mod fold;
mod reference;

use godwit_envs::observe::schema::{Feature, ObservationSchema};
use godwit_envs::observe::sections::Sections;
use godwit_envs::observe::{ObservationBuffer, ObservationSpace};
use proptest::prelude::*;
use rand::{RngExt, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

use super::*;

/// Sizes of a random case: N, K, A and how many candidates are allowed, in percent.
#[derive(Debug, Clone, Copy)]
struct Sizes {
    nodes: usize,
    workloads: usize,
    actions: usize,
    allowed_percent: u32,
}

fn spec(architecture: Architecture, hidden: usize, head_hidden: usize) -> NetworkSpec {
    NetworkSpec {
        architecture,
        hidden,
        head_hidden,
        dueling: true,
        node_features: 5,
        workload_features: 3,
        global_features: 4,
        candidate_features: 7,
        fixed: None,
    }
}

/// A zeroed observation, only `Stay` allowed.
fn empty_observation(spec: &NetworkSpec, sizes: Sizes) -> ObservationBuffer {
    let mut o = ObservationBuffer::new(&ObservationSpace {
        sections: Sections::default(),
        nodes: sizes.nodes,
        workloads: sizes.workloads,
        actions: sizes.actions,
        fixed_pairs: spec.fixed.is_some(),
        schema: schema(spec),
        normalisation: None,
    });
    o.mask[0] = true;
    o
}

/// Features without meaning, as many as the network reads.
fn schema(spec: &NetworkSpec) -> ObservationSchema {
    let features = |count| {
        let feature = |i| Feature { name: format!("{i}"), unit: "1".to_owned(), scale: 1.0 };
        (0..count).map(feature).collect()
    };
    ObservationSchema {
        version: 1,
        node: features(spec.node_features),
        workload: features(spec.workload_features),
        global: features(spec.global_features),
        candidate: features(spec.candidate_features),
    }
}

fn random_observation(spec: &NetworkSpec, sizes: Sizes, seed: u64) -> ObservationBuffer {
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
    let mut o = empty_observation(spec, sizes);
    for part in [&mut o.nodes, &mut o.workloads, &mut o.globals, &mut o.candidates] {
        part.iter_mut().for_each(|value| *value = rng.random_range(-1.0..1.0));
    }
    // One in N + 1 workloads is on no node.
    o.placement.iter_mut().for_each(|node| *node = rng.random_range(0..=sizes.nodes as u32));
    for a in 1..sizes.actions {
        o.candidate_workload[a] = rng.random_range(0..sizes.workloads as u32);
        o.candidate_source[a] = rng.random_range(0..sizes.nodes as u32);
        o.candidate_destination[a] = rng.random_range(0..sizes.nodes as u32);
        o.mask[a] = rng.random_range(0..100) < sizes.allowed_percent;
    }
    o
}

fn random_weights(spec: &NetworkSpec, seed: u64) -> Vec<f32> {
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
    // Scaled by the fan-in, as an initialised network is: values stay near 1.
    let mut weights = Vec::new();
    for (_, shape) in spec.parameters() {
        let limit = if shape.len() == 2 { (1.0 / shape[0] as f32).sqrt() } else { 0.3 };
        let count = shape.iter().product::<usize>();
        weights.extend((0..count).map(|_| rng.random_range(-limit..limit)));
    }
    weights
}

fn network(spec: &NetworkSpec, weights: &[f32]) -> Network {
    let mut network = Network::new(spec);
    network.load_flat(weights);
    network
}

/// One unit everywhere, for numbers worked by hand.
fn tiny(architecture: Architecture) -> NetworkSpec {
    NetworkSpec {
        node_features: 1,
        workload_features: 1,
        global_features: 1,
        candidate_features: 1,
        ..spec(architecture, 1, 1)
    }
}

fn assert_agrees(spec: &NetworkSpec, observation: &ObservationBuffer, seed: u64) {
    let weights = random_weights(spec, seed);
    let expected = reference::q_values(spec, &weights, observation);
    let mut q = vec![f32::NAN; observation.actions()];
    let mut network = network(spec, &weights);
    // Twice: what a first call leaves in the scratch must not reach a second one.
    for _ in 0..2 {
        network.q_values(observation, &mut q);
        for (a, (got, expected)) in q.iter().zip(&expected).enumerate() {
            if observation.mask[a] {
                let error = (f64::from(*got) - expected).abs();
                assert!(error <= 1e-5 * expected.abs().max(1.0), "Q[{a}]: {got}, not {expected}");
            } else {
                assert_eq!(*got, f32::NEG_INFINITY, "Q[{a}] is masked");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn the_size_free_forward_passes_agree_with_the_reference(
        relational: bool,
        (nodes, workloads, actions) in (1usize..14, 1usize..30, 1usize..180),
        (hidden, head_hidden) in (1usize..70, 1usize..40),
        allowed_percent in 0u32..=100,
        dueling: bool,
        seed: u64,
    ) {
        let kind = if relational { Architecture::Relational } else { Architecture::Candidate };
        let mut spec = spec(kind, hidden, head_hidden);
        spec.dueling = dueling;
        let sizes = Sizes { nodes, workloads, actions, allowed_percent };
        assert_agrees(&spec, &random_observation(&spec, sizes, seed), seed);
    }

    #[test]
    fn the_mlp_forward_pass_agrees_with_the_reference(
        (nodes, workloads) in (1usize..10, 1usize..20),
        hidden in 1usize..70,
        allowed_percent in 0u32..=100,
        dueling: bool,
        seed: u64,
    ) {
        let mut spec = spec(Architecture::Mlp, hidden, 1);
        spec.dueling = dueling;
        spec.fixed = Some(FixedSize { nodes, workloads });
        let sizes = Sizes { nodes, workloads, actions: 1 + nodes * workloads, allowed_percent };
        assert_agrees(&spec, &random_observation(&spec, sizes, seed), seed);
    }

    #[test]
    fn renaming_nodes_and_workloads_leaves_every_value_in_place(
        (nodes, workloads, actions) in (1usize..12, 1usize..25, 2usize..120),
        seed: u64,
    ) {
        let spec = spec(Architecture::Relational, 33, 17);
        let sizes = Sizes { nodes, workloads, actions, allowed_percent: 80 };
        let original = random_observation(&spec, sizes, seed);
        let renamed = rename(&spec, &original, seed);
        let mut network = network(&spec, &random_weights(&spec, seed));
        let (mut q, mut q_renamed) = (vec![0.0; actions], vec![0.0; actions]);
        network.q_values(&original, &mut q);
        network.q_values(&renamed, &mut q_renamed);
        for (a, b) in q.iter().zip(&q_renamed) {
            prop_assert!(a == b || (a - b).abs() < 1e-5, "{a} became {b}");
        }
    }
}

/// The same cluster under other node and workload numbers; the candidates keep their order.
fn rename(spec: &NetworkSpec, o: &ObservationBuffer, seed: u64) -> ObservationBuffer {
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed ^ 1);
    let mut shuffled = |count: usize| {
        let mut names: Vec<u32> = (0..count as u32).collect();
        (1..count).for_each(|i| names.swap(i, rng.random_range(0..=i)));
        names
    };
    let nodes = shuffled(o.nodes.len() / spec.node_features);
    let workloads = shuffled(o.placement.len());
    let node = |i: u32| nodes.get(i as usize).copied().unwrap_or(i);
    let mut renamed = o.clone();
    for (i, row) in o.nodes.chunks_exact(spec.node_features).enumerate() {
        let at = nodes[i] as usize * spec.node_features;
        renamed.nodes[at..][..row.len()].copy_from_slice(row);
    }
    for (k, row) in o.workloads.chunks_exact(spec.workload_features).enumerate() {
        let at = workloads[k] as usize * spec.workload_features;
        renamed.workloads[at..][..row.len()].copy_from_slice(row);
        renamed.placement[workloads[k] as usize] = node(o.placement[k]);
    }
    for a in 0..o.actions() {
        renamed.candidate_workload[a] = workloads[o.candidate_workload[a] as usize];
        renamed.candidate_source[a] = node(o.candidate_source[a]);
        renamed.candidate_destination[a] = node(o.candidate_destination[a]);
    }
    renamed
}

#[test]
fn a_tiny_relational_network_gives_the_numbers_worked_by_hand() {
    let spec = tiny(Architecture::Relational);
    let weights = [
        2.0, 1.0, // workload encoder: weight, bias
        3.0, 8.0, -2.0, // node encoder: own, pooled, bias
        1.0, 2.0, 0.5, 0.25, // global encoder: own, nodes, workloads, bias
        1.0, 2.0, 3.0, 4.0, 0.5,
        -1.0, // candidate: workload, source, destination, own, g, bias
        2.0, -3.0, // head
        0.5, 1.0, // advantage
        2.0, 1.0, // value head
        -1.0, 4.0, // value
        1.5, // linear
    ];
    let sizes = Sizes { nodes: 2, workloads: 2, actions: 3, allowed_percent: 0 };
    let mut o = empty_observation(&spec, sizes);
    o.nodes = vec![1.0, -1.0];
    o.workloads = vec![0.5, -1.0];
    o.globals = vec![0.75];
    o.placement = vec![0, 1];
    o.candidate_workload = vec![0, 0, 1];
    o.candidate_source = vec![0, 0, 1];
    o.candidate_destination = vec![0, 1, 0];
    o.candidates[1] = 0.25;
    o.candidates[2] = -2.0;
    o.mask[..3].copy_from_slice(&[true, true, true]);
    let mut network = network(&spec, &weights);
    let mut q = [0.0; 3];
    // h_w = relu(2 * [0.5, -1] + 1) = [2, 0]; pooled = [2, 0] / 8 = [0.25, 0]
    // h_n = relu([3 + 2 - 2, -3 + 0 - 2]) = [3, 0]
    // g = relu(0.75 + 2 * 1.5 + 0.5 * 1 + 0.25) = 4.5; value = -relu(2 * 4.5 + 1) + 4 = -6
    // z[1] = relu(2 + 2 * 3 + 3 * 0 + 4 * 0.25 + 2.25 - 1) = 10.25
    // adv[1] = 0.5 * relu(2 * 10.25 - 3) + 1 + 1.5 * 0.25 = 10.125
    // z[2] = relu(0 + 2 * 0 + 3 * 3 - 8 + 2.25 - 1) = 2.25; adv[2] = 0.5 * 1.5 + 1 - 1.5 * 2 = -1.25
    assert_eq!(network.best_action(&o, &mut q), 1);
    assert_eq!(q, [-6.0, 4.125, -7.25]);
    o.mask[1] = false;
    assert_eq!(network.best_action(&o, &mut q), 0);
    assert_eq!(q, [-6.0, f32::NEG_INFINITY, -7.25]);
}

#[test]
fn a_tiny_candidate_network_gives_the_numbers_worked_by_hand() {
    let spec = NetworkSpec {
        global_features: 1,
        candidate_features: 1,
        ..spec(Architecture::Candidate, 1, 1)
    };
    let weights = [
        2.0, 0.5, // global encoder: weight, bias
        4.0, 0.5, -1.0, // candidate: own, g, bias
        2.0, -3.0, // head
        0.5, 1.0, // advantage
        2.0, 1.0, // value head
        -1.0, 4.0,  // value
        -0.5, // linear
    ];
    let sizes = Sizes { nodes: 2, workloads: 2, actions: 3, allowed_percent: 0 };
    let mut o = empty_observation(&spec, sizes);
    o.globals = vec![0.75];
    o.candidates[1] = 1.0;
    o.candidates[2] = -2.0;
    o.mask[..3].copy_from_slice(&[true, true, true]);
    let mut q = [0.0; 3];
    // g = relu(1.5 + 0.5) = 2; value = -relu(4 + 1) + 4 = -1
    // z[1] = relu(4 + 1 - 1) = 4; adv[1] = 0.5 * relu(8 - 3) + 1 - 0.5 = 3
    // z[2] = relu(-8 + 1 - 1) = 0; adv[2] = 0.5 * relu(-3) + 1 + 1 = 2
    assert_eq!(network(&spec, &weights).best_action(&o, &mut q), 1);
    assert_eq!(q, [-1.0, 2.0, 1.0]);
}

#[test]
fn a_tiny_mlp_gives_the_numbers_worked_by_hand() {
    let spec = NetworkSpec {
        fixed: Some(FixedSize { nodes: 2, workloads: 1 }),
        ..tiny(Architecture::Mlp)
    };
    let weights = [
        1.0, 2.0, 3.0, 4.0, 5.0, -6.0,
        0.5, // hidden 1: nodes, workload, globals, placement, bias
        2.0, 1.0, // hidden 2
        1.0, -1.0, 2.0, 0.5, 0.25, -1.0, // outputs: three weights, three biases
    ];
    let sizes = Sizes { nodes: 2, workloads: 1, actions: 3, allowed_percent: 0 };
    let mut o = empty_observation(&spec, sizes);
    o.nodes = vec![1.0, 0.5];
    o.workloads = vec![2.0];
    o.globals = vec![0.25];
    o.placement = vec![1];
    o.mask[..3].copy_from_slice(&[true, true, true]);
    let mut q = [0.0; 3];
    // hidden 1 = relu(1 + 1 + 6 + 1 - 6 + 0.5) = 3.5; hidden 2 = 8; out = [8.5, -7.75, 15]
    assert_eq!(network(&spec, &weights).best_action(&o, &mut q), 2);
    assert_eq!(q, [8.5, 0.75, 23.5]);
}

#[test]
fn equal_values_go_to_the_first_candidate_and_nan_to_stay() {
    assert_eq!(first_best(&[1.0, 3.0, 3.0]), 1);
    assert_eq!(first_best(&[1.0, f32::NEG_INFINITY]), 0);
    assert_eq!(first_best(&[f32::NAN, 2.0]), 0);
    assert_eq!(first_best(&[0.0, f32::NAN, 2.0]), 2);
}

#[test]
fn parameters_and_storage_list_the_same_shapes() {
    let mut mlp = spec(Architecture::Mlp, 20, 3);
    mlp.fixed = Some(FixedSize { nodes: 3, workloads: 5 });
    let size_free = [Architecture::Relational, Architecture::Candidate];
    for spec in size_free.map(|kind| spec(kind, 20, 3)).into_iter().chain([mlp]) {
        let mut network = Network::new(&spec);
        let stored: Vec<usize> = match &mut network {
            Network::Relational(network) => {
                network.parameters_mut().map(|p| p.data.len() / p.stride * p.columns).collect()
            }
            Network::Candidate(network) => {
                network.parameters_mut().map(|p| p.data.len() / p.stride * p.columns).collect()
            }
            Network::Mlp(network) => {
                network.parameters_mut().map(|p| p.data.len() / p.stride * p.columns).collect()
            }
        };
        let listed: Vec<usize> =
            spec.parameters().iter().map(|(_, shape)| shape.iter().product()).collect();
        assert_eq!(stored, listed);
    }
}

#[test]
fn a_specification_without_a_network_is_refused() {
    let relational = spec(Architecture::Relational, 0, 3);
    assert_eq!(relational.validate(), Err(SpecError::Size { name: "hidden", value: 0 }));
    assert_eq!(spec(Architecture::Mlp, 8, 3).validate(), Err(SpecError::NoFixedSize));
    let fixed = FixedSize { nodes: 1, workloads: 1 };
    for kind in [Architecture::Relational, Architecture::Candidate] {
        let size_free = NetworkSpec { fixed: Some(fixed), ..spec(kind, 8, 3) };
        assert_eq!(size_free.validate(), Err(SpecError::FixedSize(fixed)));
    }
}

#[test]
fn weights_leave_a_network_as_they_entered_it() {
    for architecture in [Architecture::Relational, Architecture::Candidate, Architecture::Mlp] {
        let fixed =
            (architecture == Architecture::Mlp).then_some(FixedSize { nodes: 3, workloads: 4 });
        let spec = NetworkSpec { fixed, ..spec(architecture, 9, 5) };
        let weights: Vec<f32> = (0..spec.parameter_count()).map(|i| i as f32).collect();
        let mut network = Network::new(&spec);
        network.load_flat(&weights);
        assert_eq!(network.into_flat(), weights);
    }
}
