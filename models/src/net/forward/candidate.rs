//! The light size-free network: each candidate by its own features and the cluster's.

use crate::net::forward::heads::Heads;
use crate::net::kernels::{Finish, Rows, Start, dense};
use crate::net::layout::CandidateWeights;
use crate::net::padded::Parameter;
use crate::net::spec::NetworkSpec;
use godwit_envs::observe::ObservationBuffer;

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
    weights: CandidateWeights<Parameter>,
    heads: Heads,
}

impl Candidate {
    /// All weights zero; `spec` is valid.
    pub(super) fn new(spec: &NetworkSpec) -> Self {
        Self {
            spec: spec.clone(),
            weights: CandidateWeights::of(spec).map(Parameter::zeros),
            heads: Heads::new(spec),
        }
    }

    pub(super) fn spec(&self) -> &NetworkSpec {
        &self.spec
    }

    /// In the order of [`NetworkSpec::parameters`].
    pub(in crate::net) fn parameters_mut(&mut self) -> impl Iterator<Item = &mut Parameter> {
        self.weights.each_mut().chain(self.heads.weights.each_mut())
    }

    pub(super) fn q_values(&mut self, observation: &ObservationBuffer, q: &mut [f32]) {
        let h = self.weights.global_encoder_bias.stride;
        let inputs = Rows::all(&observation.globals, self.spec.global_features);
        let start = Start::Row(&self.weights.global_encoder_bias.data);
        let weight = &self.weights.global_encoder_weight.data;
        dense(inputs, weight, h, start, Finish::Relu, &mut self.heads.global);
        self.heads.prepare(observation);
        self.heads.score(observation, None, q);
    }
}
