//! Shape of a network and the ordered list of its parameters.

use godwit_envs::observe::Parts;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Largest count or width that a specification may state. Keeps every product of three of them
/// within `u64`, also for numbers read from a damaged file.
const LARGEST: usize = 1 << 20;

/// Which network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Architecture {
    /// Shared encoders for nodes, workloads and candidates: any cluster size.
    Relational,
    /// Each candidate by its own features and the cluster's: any cluster size, and many times
    /// faster on a large one.
    Candidate,
    /// Two hidden layers on the flattened observation: one cluster size.
    Mlp,
}

/// The cluster size of a network that serves only one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FixedSize {
    /// Number of nodes, N.
    pub nodes: usize,
    /// Number of workload slots, K.
    pub workloads: usize,
}

/// Everything that determines the parameters of a network and what they mean.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NetworkSpec {
    /// Which network.
    pub architecture: Architecture,
    /// Width of the encoders or hidden layers, H.
    pub hidden: usize,
    /// Width of the two heads, G (not in an mlp).
    pub head_hidden: usize,
    /// Whether the value of `Stay` is added to the value of every other candidate.
    pub dueling: bool,
    /// Features of a node, F_n.
    pub node_features: usize,
    /// Features of a workload, F_w.
    pub workload_features: usize,
    /// Features of the cluster, F_g.
    pub global_features: usize,
    /// Features of a candidate, F_c.
    pub candidate_features: usize,
    /// The cluster size, for [`Architecture::Mlp`] only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fixed: Option<FixedSize>,
}

/// Why a [`NetworkSpec`] describes no network.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SpecError {
    /// A size is 0 or absurd.
    #[error("{name}: expected 1 to {LARGEST}, got {value}")]
    Size {
        /// Which field.
        name: &'static str,
        /// What it holds.
        value: usize,
    },
    /// An mlp without a cluster size.
    #[error("fixed: expected the numbers of nodes and workloads of an mlp, got none")]
    NoFixedSize,
    /// A network for any cluster size, with a cluster size.
    #[error("fixed: expected no cluster size for a network that serves any, got {0:?}")]
    FixedSize(FixedSize),
}

impl NetworkSpec {
    /// A network of default width (hidden 64, heads 32, dueling) for observations of `schema`.
    pub fn new(
        architecture: Architecture,
        schema: &godwit_envs::observe::schema::ObservationSchema,
        fixed: Option<FixedSize>,
    ) -> Self {
        Self {
            architecture,
            hidden: 64,
            head_hidden: 32,
            dueling: true,
            node_features: schema.node.len(),
            workload_features: schema.workload.len(),
            global_features: schema.global.len(),
            candidate_features: schema.candidate.len(),
            fixed,
        }
    }

    /// Checks that the sizes describe a network.
    pub fn validate(&self) -> Result<(), SpecError> {
        let mut sizes = vec![
            ("hidden", self.hidden),
            ("head_hidden", self.head_hidden),
            ("node_features", self.node_features),
            ("workload_features", self.workload_features),
            ("global_features", self.global_features),
            ("candidate_features", self.candidate_features),
        ];
        match (self.architecture, self.fixed) {
            (Architecture::Mlp, None) => return Err(SpecError::NoFixedSize),
            (Architecture::Mlp, Some(fixed)) => {
                sizes.push(("fixed.nodes", fixed.nodes));
                sizes.push(("fixed.workloads", fixed.workloads));
            }
            (Architecture::Relational | Architecture::Candidate, Some(fixed)) => {
                return Err(SpecError::FixedSize(fixed));
            }
            (Architecture::Relational | Architecture::Candidate, None) => {}
        }
        match sizes.into_iter().find(|(_, value)| !(1..=LARGEST).contains(value)) {
            Some((name, value)) => Err(SpecError::Size { name, value }),
            None => Ok(()),
        }
    }

    /// Which features are inputs of the network.
    pub fn reads(&self) -> Parts {
        Parts {
            entities: self.architecture != Architecture::Candidate,
            candidates: self.architecture != Architecture::Mlp,
        }
    }

    /// X: nodes, workloads, globals and the placement, flattened. 0 without a cluster size.
    pub(super) fn mlp_inputs(&self) -> usize {
        self.fixed.map_or(0, |FixedSize { nodes, workloads }| {
            nodes * self.node_features
                + workloads * self.workload_features
                + self.global_features
                + workloads * nodes
        })
    }

    /// A: `Stay` and every (workload, destination) pair. 0 without a cluster size.
    pub(super) fn mlp_outputs(&self) -> usize {
        self.fixed.map_or(0, |FixedSize { nodes, workloads }| 1 + workloads * nodes)
    }
}
