//! What this core can do at most: the yardstick for the arithmetic of an update.

use crate::net::kernels::{Finish, Rows, Start, dense};
use crate::net::spec::{Architecture, FixedSize, NetworkSpec};
use std::time::Instant;

/// Floating-point operations per second of matrix products of 64 x 128 x 128 numbers, whose
/// operands stay in the second-level cache: the best of many short runs on this thread.
pub fn matrix_rate() -> f64 {
    const ROWS: usize = 64;
    const WIDTH: usize = 128;
    let numbers = |count: usize| (0..count).map(|i| (i as f32).sin()).collect::<Vec<f32>>();
    let (inputs, weight) = (numbers(ROWS * WIDTH), numbers(WIDTH * WIDTH));
    let mut outputs = vec![0.0; ROWS * WIDTH];
    let mut best = f64::INFINITY;
    for _ in 0..200 {
        let start = Instant::now();
        for _ in 0..10 {
            let rows = Rows::all(&inputs, WIDTH);
            dense(rows, &weight, WIDTH, Start::Zero, Finish::Linear, &mut outputs);
            std::hint::black_box(&mut outputs);
        }
        best = best.min(start.elapsed().as_secs_f64() / 10.0);
    }
    (2 * ROWS * WIDTH * WIDTH) as f64 / best
}

/// Floating-point operations that an update of an mlp cannot do without, for B transitions:
/// matrix products only, zero inputs (the placement) and outputs without a slope left out. `None`
/// for networks whose work depends on the states.
pub fn update_operations(spec: &NetworkSpec, batch: usize, double: bool) -> Option<f64> {
    let FixedSize { nodes, workloads } =
        spec.fixed.filter(|_| spec.architecture == Architecture::Mlp)?;
    let pairs = nodes * workloads;
    let (x, h) = ((spec.mlp_inputs() - pairs) as f64, spec.hidden as f64);
    let hidden = x * h + h * h;
    let all = h * (1 + pairs) as f64;
    let taken = hidden + h;
    // Next states: every action by the network that picks, the pick alone by the other one.
    let next = hidden + all + if double { taken } else { 0.0 };
    // Backward: the weights of both layers and of one output, the inputs of the second and third.
    let backward = hidden + h + h * h + h;
    Some(2.0 * batch as f64 * (taken + next + backward))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_operations_of_a_small_mlp_are_counted_by_hand() {
        // 2 + 1 + 1 inputs, 8 hidden, 3 outputs: 2 nodes and 1 workload with a feature each.
        let mut spec = NetworkSpec {
            architecture: Architecture::Mlp,
            hidden: 8,
            head_hidden: 1,
            dueling: false,
            node_features: 1,
            workload_features: 1,
            global_features: 1,
            candidate_features: 1,
            fixed: Some(FixedSize { nodes: 2, workloads: 1 }),
        };
        // Multiply-adds of a transition: hidden layers 32 + 64; taken 96 + 8, next 96 + 24,
        // backward 96 + 8 + 64 + 8.
        assert_eq!(update_operations(&spec, 5, false), Some(2.0 * 5.0 * (104 + 120 + 176) as f64));
        assert_eq!(update_operations(&spec, 5, true), Some(2.0 * 5.0 * (224 + 280) as f64));
        (spec.architecture, spec.fixed) = (Architecture::Candidate, None);
        assert_eq!(update_operations(&spec, 5, false), None);
    }

    #[test]
    fn the_matrix_rate_is_one_of_this_century() {
        assert!((1e8..1e13).contains(&matrix_rate()));
    }
}
