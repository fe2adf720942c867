//! Time of one native forward pass: `cargo bench -p godwit-models --bench forward`.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use godwit_envs::observe::schema::{Feature, ObservationSchema};
use godwit_envs::observe::sections::Sections;
use godwit_envs::observe::{ObservationBuffer, ObservationSpace};
use godwit_models::net::{Architecture, FixedSize, Network, NetworkSpec};

/// One benchmark: a name, N, K, A and every how many candidates one is allowed.
type Case = (&'static str, usize, usize, usize, usize);

const CASES: [Case; 4] = [
    ("N 10, K 50, A 501", 10, 50, 501, 1),
    ("N 10, K 50, A 501, half masked", 10, 50, 501, 2),
    ("N 10, K 50, A 501, 9 of 10 masked", 10, 50, 501, 10),
    ("N 279, K 2000, A 512", 279, 2000, 512, 1),
];

fn spec(architecture: Architecture, fixed: Option<FixedSize>) -> NetworkSpec {
    NetworkSpec {
        architecture,
        hidden: 64,
        head_hidden: 32,
        dueling: true,
        node_features: 20,
        workload_features: 16,
        global_features: 12,
        candidate_features: 24,
        fixed,
    }
}

/// Numbers without a pattern that a branch predictor could learn.
fn numbers(count: usize) -> Vec<f32> {
    (0..count).map(|i| (i as f32 * 1.618).sin() * 0.2).collect()
}

fn observation(
    spec: &NetworkSpec,
    (_, nodes, workloads, actions, every): Case,
) -> ObservationBuffer {
    // Pairs in order while all of them have a place, spread over the workloads otherwise.
    let step = if actions > nodes * workloads { 1 } else { 1009 };
    let pair = |a: usize| a.saturating_sub(1) * step % (nodes * workloads);
    let feature = |i| Feature { name: format!("{i}"), unit: "1".to_owned(), scale: 1.0 };
    let features = |count| (0..count).map(feature).collect();
    let schema = ObservationSchema {
        version: 1,
        node: features(spec.node_features),
        workload: features(spec.workload_features),
        global: features(spec.global_features),
        candidate: features(spec.candidate_features),
    };
    let space = ObservationSpace {
        sections: Sections::default(),
        nodes,
        workloads,
        actions,
        fixed_pairs: true,
        schema,
        normalisation: None,
    };
    let mut o = ObservationBuffer::new(&space);
    for part in [&mut o.nodes, &mut o.workloads, &mut o.globals, &mut o.candidates] {
        *part = numbers(part.len());
    }
    o.placement = (0..workloads).map(|k| (k % nodes) as u32).collect();
    for a in 0..actions {
        let pair = pair(a);
        o.candidate_workload[a] = (pair / nodes) as u32;
        o.candidate_source[a] = (pair / nodes % nodes) as u32;
        o.candidate_destination[a] = (pair % nodes) as u32;
        o.mask[a] = a % every == 0;
    }
    o
}

fn forward(c: &mut Criterion) {
    for case in CASES {
        let (name, nodes, workloads, actions, _) = case;
        let mut specs = vec![spec(Architecture::Relational, None)];
        if actions == 1 + nodes * workloads {
            specs.push(spec(Architecture::Mlp, Some(FixedSize { nodes, workloads })));
        }
        for spec in specs {
            let mut network = Network::new(&spec);
            network.load_flat(&numbers(spec.parameter_count()));
            let observation = observation(&spec, case);
            let mut q = vec![0.0; actions];
            c.bench_function(&format!("{:?}, {name}", spec.architecture), |b| {
                b.iter(|| network.best_action(black_box(&observation), &mut q));
            });
        }
    }
    let spec = spec(Architecture::Relational, None);
    let weights = numbers(spec.parameter_count());
    let mut network = Network::new(&spec);
    c.bench_function("load_flat", |b| b.iter(|| network.load_flat(black_box(&weights))));
}

criterion_group!(benches, forward);
criterion_main!(benches);
