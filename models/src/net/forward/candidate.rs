//! The light size-free network: each candidate by its own features and the cluster's.

use godwit_envs::observation::ObservationBuffer;

use crate::net::forward::heads::Heads;
use crate::net::kernels::{Finish, Rows, Start, dense};
use crate::net::padded::Parameter;
use crate::net::spec::NetworkSpec;

/// Weights and scratch of one candidate network.
///
/// ```text
/// g = relu(globals @ W + b)
/// z[a] = relu(candidates[a] @ W + g @ W + b)
/// adv[a] = relu(z[a] @ W + b) @ W + b + candidates[a] @ W
/// value = relu(g @ W + b) @ W + b
/// Q[0] = value                               Q[a] = adv[a], plus value where dueling
/// ```
///
/// each `W` and `b` its own parameter, in the order of [`NetworkSpec::parameters`]: the relational
/// network without its encoders. Nodes and workloads are not read, so that its cost does not grow
/// with the cluster, but only with the number of candidates.
#[derive(Debug, Clone)]
pub struct Candidate {
    spec: NetworkSpec,
    global_encoder_weight: Parameter,
    global_encoder_bias: Parameter,
    heads: Heads,
}

impl Candidate {
    /// All weights zero; `spec` is valid.
    pub(super) fn new(spec: &NetworkSpec) -> Self {
        Self {
            spec: spec.clone(),
            global_encoder_weight: Parameter::matrix(spec.global_features, spec.hidden),
            global_encoder_bias: Parameter::row(spec.hidden),
            heads: Heads::new(spec),
        }
    }

    pub(super) fn spec(&self) -> &NetworkSpec {
        &self.spec
    }

    /// In the order of [`NetworkSpec::parameters`].
    pub(in crate::net) fn parameters_mut(&mut self) -> [&mut Parameter; 14] {
        let heads = &mut self.heads;
        [
            &mut self.global_encoder_weight,
            &mut self.global_encoder_bias,
            &mut heads.feature_weight,
            &mut heads.global_weight,
            &mut heads.bias,
            &mut heads.head_weight,
            &mut heads.head_bias,
            &mut heads.advantage_weight,
            &mut heads.advantage_bias,
            &mut heads.value_weight,
            &mut heads.value_bias,
            &mut heads.value_out_weight,
            &mut heads.value_out_bias,
            &mut heads.linear_weight,
        ]
    }

    pub(super) fn q_values(&mut self, observation: &ObservationBuffer, q: &mut [f32]) {
        let h = self.global_encoder_bias.stride;
        let inputs = Rows::all(&observation.globals, self.spec.global_features);
        let start = Start::Row(&self.global_encoder_bias.data);
        let weight = &self.global_encoder_weight.data;
        dense(inputs, weight, h, start, Finish::Relu, &mut self.heads.global);
        self.heads.prepare(observation);
        self.heads.score(observation, None, q);
    }
}
