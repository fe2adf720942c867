//! The way forward: the values of an observation's candidates, for each network.

mod candidate;
mod heads;
mod mlp;
mod relational;

use crate::net::padded::Parameter;
use crate::net::spec::{Architecture, NetworkSpec};
use godwit_envs::observe::ObservationBuffer;

pub use candidate::Candidate;
pub use mlp::Mlp;
pub use relational::Relational;

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
pub fn first_best(q: &[f32]) -> usize {
    let mut best = 0;
    for (action, value) in q.iter().enumerate() {
        if *value > q[best] {
            best = action;
        }
    }
    best
}
