//! The one place where an observation becomes the inputs of an exported module.

use godwit_envs::observe::ObservationBuffer;
use godwit_models::net::NetworkSpec;
use tch::{CModule, TchError, Tensor};

/// The inputs of `forward` and `act` for one observation (a batch of one), in their order: nodes
/// `[1, N, F_n]`, workloads `[1, K, F_w]`, globals `[1, F_g]`, candidates `[1, A, F_c]` (f32),
/// candidate_workload, candidate_source, candidate_destination `[1, A]` and placement `[1, K]`
/// (int64), mask `[1, A]` (bool).
pub fn inputs(spec: &NetworkSpec, o: &ObservationBuffer) -> [Tensor; 9] {
    let actions = o.actions();
    let integers = |values: &[u32]| {
        let values: Vec<i64> = values.iter().map(|&value| i64::from(value)).collect();
        Tensor::from_slice(&values).unsqueeze(0)
    };
    let matrix = |values: &[f32], width: usize| {
        Tensor::from_slice(values).view([1, (values.len() / width) as i64, width as i64])
    };
    // Feature-major with spare columns in the buffer, candidate-major for the module.
    let candidates = Tensor::from_slice(&o.candidates)
        .view([1, spec.candidate_features as i64, o.candidate_stride as i64])
        .narrow(2, 0, actions as i64)
        .transpose(1, 2)
        .contiguous();
    [
        matrix(&o.nodes, spec.node_features),
        matrix(&o.workloads, spec.workload_features),
        Tensor::from_slice(&o.globals).unsqueeze(0),
        candidates,
        integers(&o.candidate_workload),
        integers(&o.candidate_source),
        integers(&o.candidate_destination),
        integers(&o.placement),
        Tensor::from_slice(&o.mask[..actions]).unsqueeze(0),
    ]
}

/// Q-values `[A]` of one observation, as the module computes them.
///
/// # Errors
/// What libtorch says.
pub fn module_q(module: &CModule, inputs: &[Tensor; 9]) -> Result<Vec<f32>, TchError> {
    let q = tch::no_grad(|| module.forward_ts(inputs))?;
    Vec::try_from(q.squeeze_dim(0))
}
