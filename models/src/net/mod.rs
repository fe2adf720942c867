//! Native forward pass of the policy networks: no libtorch and no allocation per call.
//!
//! [`NetworkSpec`] names the parameters and their shapes in one fixed order; the trainer, the
//! TorchScript export and this form all follow it, so a network is handed over as one flat
//! slice. All weights are stored `[inputs, outputs]`, row-major, and applied as `x @ W + b`.

mod alike;
pub mod backward;
mod candidate;
mod fold;
mod heads;
mod kernels;
pub mod layout;
mod mlp;
pub mod rate;
mod relational;
mod spec;
#[cfg(test)]
mod tests;

use godwit_envs::observe::ObservationBuffer;

pub use alike::AlikeRows;
pub use candidate::Candidate;
pub use fold::{fold, unfold};
use layout::Shape;
pub use mlp::Mlp;
pub use relational::Relational;
pub use spec::{Architecture, FixedSize, NetworkSpec, SpecError};

/// A network with weights, ready to value the candidates of one observation at a time.
#[derive(Debug, Clone)]
pub enum Network {
    /// Serves any number of nodes, workloads and candidates.
    Relational(Box<Relational>),
    /// Serves any number of nodes, workloads and candidates, and reads candidates only.
    Candidate(Box<Candidate>),
    /// Serves one cluster size.
    Mlp(Box<Mlp>),
}

impl Network {
    /// A network with all weights zero.
    ///
    /// # Panics
    ///
    /// If `spec` does not pass [`NetworkSpec::validate`].
    pub fn new(spec: &NetworkSpec) -> Self {
        if let Err(error) = spec.validate() {
            panic!("network: {error}");
        }
        match spec.architecture {
            Architecture::Relational => Self::Relational(Box::new(Relational::new(spec))),
            Architecture::Candidate => Self::Candidate(Box::new(Candidate::new(spec))),
            Architecture::Mlp => Self::Mlp(Box::new(Mlp::new(spec))),
        }
    }

    /// What this network was built from.
    pub fn spec(&self) -> &NetworkSpec {
        match self {
            Self::Relational(network) => network.spec(),
            Self::Candidate(network) => network.spec(),
            Self::Mlp(network) => network.spec(),
        }
    }

    /// Replaces all weights by `parameters`: every parameter of [`NetworkSpec::parameters`],
    /// row-major, one after the other. Costs one copy.
    ///
    /// # Panics
    ///
    /// If the length is not [`NetworkSpec::parameter_count`].
    pub fn load_flat(&mut self, parameters: &[f32]) {
        let mut rest = parameters;
        self.each_parameter(|parameter| parameter.load(&mut rest));
        assert!(rest.is_empty(), "network weights: expected {} fewer numbers", rest.len());
    }

    /// All weights, in the order that [`Network::load_flat`] takes them.
    pub fn into_flat(mut self) -> Vec<f32> {
        let mut flat = Vec::with_capacity(self.spec().parameter_count());
        self.each_parameter(|parameter| parameter.save(&mut flat));
        flat
    }

    /// Visits every parameter in the order of [`NetworkSpec::parameters`].
    fn each_parameter(&mut self, visit: impl FnMut(&mut Parameter)) {
        match self {
            Self::Relational(network) => network.parameters_mut().for_each(visit),
            Self::Candidate(network) => network.parameters_mut().for_each(visit),
            Self::Mlp(network) => network.parameters_mut().for_each(visit),
        }
    }

    /// Writes the value of each candidate into `q`, `[A]`; masked candidates get
    /// `f32::NEG_INFINITY`. `Stay` (index 0) is always valued.
    ///
    /// # Panics
    ///
    /// If the sizes of `observation` or `q` do not fit each other or the network.
    pub fn q_values(&mut self, observation: &ObservationBuffer, q: &mut [f32]) {
        let spec = self.spec();
        let workloads = observation.placement.len();
        assert_eq!(observation.nodes.len() % spec.node_features, 0, "ragged node features");
        assert_eq!(observation.workloads.len(), workloads * spec.workload_features, "workloads");
        assert_eq!(observation.globals.len(), spec.global_features, "global features");
        assert_eq!(q.len(), observation.actions(), "one value for each candidate");
        match self {
            Self::Relational(network) => network.q_values(observation, q),
            Self::Candidate(network) => network.q_values(observation, q),
            Self::Mlp(network) => network.q_values(observation, q),
        }
    }

    /// [`Network::q_values`], and the first candidate with the highest value.
    pub fn best_action(&mut self, observation: &ObservationBuffer, q: &mut [f32]) -> usize {
        self.q_values(observation, q);
        first_best(q)
    }
}

/// Index of the first highest value; 0 (`Stay`) if none compares as higher than it.
pub(crate) fn first_best(q: &[f32]) -> usize {
    let mut best = 0;
    for (action, value) in q.iter().enumerate() {
        if *value > q[best] {
            best = action;
        }
    }
    best
}

/// One parameter, its rows padded with zeros to a multiple of the kernels' lanes. A column
/// vector `[G, 1]` is kept as one row, which has the same order of elements.
#[derive(Debug, Clone)]
struct Parameter {
    data: Vec<f32>,
    columns: usize,
    stride: usize,
}

impl Parameter {
    /// All zero.
    fn zeros(shape: Shape) -> Self {
        let (rows, columns) = shape.kept();
        let stride = padded(columns);
        Self { data: vec![0.0; rows * stride], columns, stride }
    }

    /// Takes this parameter's elements from the front of `rest`.
    fn load(&mut self, rest: &mut &[f32]) {
        for row in self.data.chunks_exact_mut(self.stride) {
            let (front, tail) = rest.split_at(self.columns);
            row[..self.columns].copy_from_slice(front);
            *rest = tail;
        }
    }

    /// Puts this parameter's elements at the end of `flat`.
    fn save(&self, flat: &mut Vec<f32>) {
        for row in self.data.chunks_exact(self.stride) {
            flat.extend_from_slice(&row[..self.columns]);
        }
    }
}

/// `columns` rounded up to the kernels' lanes.
fn padded(columns: usize) -> usize {
    columns.next_multiple_of(kernels::LANES)
}
