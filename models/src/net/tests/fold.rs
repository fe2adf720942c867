//! A network on normalised observations is the folded network on observations as they are.

use super::*;
use godwit_envs::observe::normalisation::{Affine, Normalisation};

/// Deviations from a twentieth to 4 and means of up to 2, a constant feature among them.
fn random_normalisation(spec: &NetworkSpec, seed: u64) -> Normalisation {
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed ^ 2);
    let mut features = |count: usize| -> Vec<Affine> {
        let mut affine = || {
            let deviation = 0.05 * 80.0_f64.powf(rng.random::<f64>());
            Affine::standard(rng.random_range(-2.0..2.0), deviation)
        };
        let mut features: Vec<Affine> = (0..count).map(|_| affine()).collect();
        features[0] = Affine::IDENTITY;
        features
    };
    Normalisation {
        node: features(spec.node_features),
        workload: features(spec.workload_features),
        global: features(spec.global_features),
        candidate: features(spec.candidate_features),
    }
}

/// Observations near the means, as those that were measured are, an absent workload among them.
fn typical_observation(
    spec: &NetworkSpec,
    sizes: Sizes,
    normalisation: &Normalisation,
    seed: u64,
) -> ObservationBuffer {
    let mut o = random_observation(spec, sizes, seed);
    let rows = |values: &mut [f32], features: &[Affine]| {
        for row in values.chunks_exact_mut(features.len()) {
            row.iter_mut().zip(features).for_each(|(value, affine)| *value = affine.undo(*value));
        }
    };
    rows(&mut o.nodes, &normalisation.node);
    rows(&mut o.workloads, &normalisation.workload);
    rows(&mut o.globals, &normalisation.global);
    for (row, affine) in
        o.candidates.chunks_exact_mut(o.candidate_stride).zip(&normalisation.candidate)
    {
        row.iter_mut().for_each(|value| *value = affine.undo(*value));
    }
    o.workloads[..spec.workload_features].fill(0.0);
    o
}

fn values(spec: &NetworkSpec, weights: &[f32], o: &ObservationBuffer) -> Vec<f32> {
    let mut q = vec![f32::NAN; o.actions()];
    network(spec, weights).q_values(o, &mut q);
    q
}

fn largest_difference(a: &[f32], b: &[f32]) -> f32 {
    let scale = a.iter().filter(|q| q.is_finite()).fold(1.0_f32, |most, q| most.max(q.abs()));
    let differences = a.iter().zip(b).filter(|(a, b)| a != b).map(|(a, b)| (a - b).abs());
    differences.fold(0.0, f32::max) / scale
}

fn assert_folds(spec: &NetworkSpec, sizes: Sizes, seed: u64) {
    let normalisation = random_normalisation(spec, seed);
    let raw = typical_observation(spec, sizes, &normalisation, seed);
    let mut normalised = raw.clone();
    normalisation.apply(&mut normalised);
    let learnt = random_weights(spec, seed);
    let expected = values(spec, &learnt, &normalised);
    let mut folded = learnt.clone();
    fold(spec, &normalisation, &mut folded);
    let difference = largest_difference(&expected, &values(spec, &folded, &raw));
    assert!(difference < 1e-5, "{difference:e}");
    unfold(spec, &normalisation, &mut folded);
    for (got, expected) in folded.iter().zip(&learnt) {
        assert!((got - expected).abs() < 1e-4, "{got} {expected}");
    }
    let difference = largest_difference(&expected, &values(spec, &folded, &normalised));
    assert!(difference < 1e-5, "there and back: {difference:e}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn size_free_networks_take_over_what_normalises_their_observations(
        relational: bool,
        (nodes, workloads, actions) in (1usize..14, 1usize..30, 2usize..180),
        (hidden, head_hidden) in (1usize..70, 1usize..40),
        dueling: bool,
        seed: u64,
    ) {
        let kind = if relational { Architecture::Relational } else { Architecture::Candidate };
        let mut spec = spec(kind, hidden, head_hidden);
        spec.dueling = dueling;
        assert_folds(&spec, Sizes { nodes, workloads, actions, allowed_percent: 70 }, seed);
    }

    #[test]
    fn an_mlp_takes_over_what_normalises_its_observations(
        (nodes, workloads) in (1usize..10, 1usize..20),
        hidden in 1usize..70,
        dueling: bool,
        seed: u64,
    ) {
        let mut spec = spec(Architecture::Mlp, hidden, 1);
        spec.dueling = dueling;
        spec.fixed = Some(FixedSize { nodes, workloads });
        let sizes = Sizes { nodes, workloads, actions: 1 + nodes * workloads, allowed_percent: 70 };
        assert_folds(&spec, sizes, seed);
    }
}

/// The tiny candidate network with `globals' = 2 globals - 1` and `candidates' = 4 candidates + 3`.
#[test]
fn folding_gives_the_weights_worked_by_hand() {
    let spec = tiny(Architecture::Candidate);
    let unread = vec![Affine { scale: 7.0, shift: 7.0 }];
    let normalisation = Normalisation {
        node: unread.clone(),
        workload: unread,
        global: vec![Affine { scale: 2.0, shift: -1.0 }],
        candidate: vec![Affine { scale: 4.0, shift: 3.0 }],
    };
    let learnt = [2.0, 0.5, 4.0, 0.5, -1.0, 2.0, -3.0, 0.5, 1.0, 2.0, 1.0, -1.0, 4.0, -0.5];
    let mut weights = learnt;
    fold(&spec, &normalisation, &mut weights);
    assert_eq!(
        weights,
        [
            4.0, -1.5, // global encoder: 2 * 2, 0.5 + 2 * -1
            16.0, 0.5, 11.0, // candidate: 4 * 4, as it was, -1 + 4 * 3
            2.0, -3.0, // head
            0.5, -0.5, // advantage: as it was, 1 - 0.5 * 3
            2.0, 1.0, // value head
            -1.0, 4.0,  // value
            -2.0, // linear: -0.5 * 4
        ]
    );
    unfold(&spec, &normalisation, &mut weights);
    assert_eq!(weights, learnt);
}

/// The tiny mlp: one node row is read by two weights, and the placement by none that change.
#[test]
fn an_mlp_folds_every_row_and_leaves_the_placement() {
    let spec = NetworkSpec {
        fixed: Some(FixedSize { nodes: 2, workloads: 1 }),
        ..tiny(Architecture::Mlp)
    };
    let affine = |scale, shift| vec![Affine { scale, shift }];
    let normalisation = Normalisation {
        node: affine(2.0, 1.0),
        workload: affine(4.0, -1.0),
        global: affine(0.5, 0.25),
        candidate: affine(9.0, 9.0),
    };
    let mut weights =
        [1.0, 2.0, 3.0, 4.0, 5.0, -6.0, 0.5, 2.0, 1.0, 1.0, -1.0, 2.0, 0.5, 0.25, -1.0];
    fold(&spec, &normalisation, &mut weights);
    // Bias: 0.5 + 1 * 1 + 2 * 1 + 3 * -1 + 4 * 0.25 = 1.5
    assert_eq!(weights[..7], [2.0, 4.0, 12.0, 2.0, 5.0, -6.0, 1.5]);
    assert_eq!(weights[7..], [2.0, 1.0, 1.0, -1.0, 2.0, 0.5, 0.25, -1.0]);
}
