//! The weights' layout: names, shapes and order of the parameters of each network. It stands here
//! once; the native passes, libtorch, checkpoints and the exported TorchScript all take it from
//! here.

use crate::net::spec::{Architecture, NetworkSpec};

/// What the pooled workloads of a node are multiplied with, to keep a full node near 1.
pub const POOL_SCALE: f32 = 1.0 / 8.0;

/// Shape of a parameter; weights are applied as `x @ W + b`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// `[inputs, outputs]`.
    Matrix(usize, usize),
    /// `[outputs]`.
    Bias(usize),
    /// `[inputs, 1]`: leads to the one output of a head, one per quantile where it states some.
    Column(usize),
    /// `[1]`: the bias of that output.
    Scalar,
}

impl Shape {
    /// The sizes of its dimensions.
    pub fn sizes(self) -> Vec<usize> {
        match self {
            Self::Matrix(inputs, outputs) => vec![inputs, outputs],
            Self::Bias(outputs) => vec![outputs],
            Self::Column(inputs) => vec![inputs, 1],
            Self::Scalar => vec![1],
        }
    }

    /// Rows and columns as the kernels keep it: a bias and a column are single rows.
    pub(super) fn kept(self) -> (usize, usize) {
        match self {
            Self::Matrix(inputs, outputs) => (inputs, outputs),
            Self::Bias(length) | Self::Column(length) => (1, length),
            Self::Scalar => (1, 1),
        }
    }

    /// Whether its last dimension is that of the heads' outputs.
    pub fn is_output(self) -> bool {
        matches!(self, Self::Column(_) | Self::Scalar)
    }
}

/// A parameter: its name and its shape.
pub type Named = (&'static str, Shape);

/// A struct with one value for each parameter, and the list of their names and shapes.
macro_rules! layout {
    ($(#[$doc:meta])* $name:ident ($spec:ident) { $($parameter:ident: $shape:expr,)+ }) => {
        $(#[$doc])*
        #[derive(Debug, Clone)]
        #[allow(missing_docs)] // the network's formula names them
        pub struct $name<T> {
            $(pub $parameter: T,)+
        }

        impl $name<Shape> {
            /// The shapes.
            pub fn of($spec: &NetworkSpec) -> Self {
                Self { $($parameter: $shape,)+ }
            }

            /// Names and shapes, in order.
            pub fn list($spec: &NetworkSpec) -> Vec<Named> {
                vec![$((stringify!($parameter), $shape),)+]
            }
        }

        impl<T> $name<T> {
            /// Takes a value for each parameter, in order.
            ///
            /// # Panics
            ///
            /// If there are fewer.
            pub fn take(values: &mut impl Iterator<Item = T>) -> Self {
                let mut next = |name: &str| match values.next() {
                    Some(value) => value,
                    None => panic!("parameters: expected {name}, got no more"),
                };
                Self { $($parameter: next(stringify!($parameter)),)+ }
            }

            /// One for each parameter.
            pub fn map<U>(self, mut make: impl FnMut(T) -> U) -> $name<U> {
                $name { $($parameter: make(self.$parameter),)+ }
            }

            /// All, in order.
            pub fn each_mut(&mut self) -> impl Iterator<Item = &mut T> {
                [$(&mut self.$parameter,)+].into_iter()
            }
        }
    };
}

layout! {
    /// What the relational network has before its heads.
    RelationalWeights(spec) {
        workload_encoder_weight: Shape::Matrix(spec.workload_features, spec.hidden),
        workload_encoder_bias: Shape::Bias(spec.hidden),
        node_encoder_weight: Shape::Matrix(spec.node_features, spec.hidden),
        node_pool_weight: Shape::Matrix(spec.hidden, spec.hidden),
        node_encoder_bias: Shape::Bias(spec.hidden),
        global_encoder_weight: Shape::Matrix(spec.global_features, spec.hidden),
        global_nodes_weight: Shape::Matrix(spec.hidden, spec.hidden),
        global_workloads_weight: Shape::Matrix(spec.hidden, spec.hidden),
        global_encoder_bias: Shape::Bias(spec.hidden),
        candidate_workload_weight: Shape::Matrix(spec.hidden, spec.hidden),
        candidate_source_weight: Shape::Matrix(spec.hidden, spec.hidden),
        candidate_destination_weight: Shape::Matrix(spec.hidden, spec.hidden),
    }
}

layout! {
    /// What the candidate network has before its heads.
    CandidateWeights(spec) {
        global_encoder_weight: Shape::Matrix(spec.global_features, spec.hidden),
        global_encoder_bias: Shape::Bias(spec.hidden),
    }
}

layout! {
    /// The heads of the relational and of the candidate network.
    HeadWeights(spec) {
        candidate_feature_weight: Shape::Matrix(spec.candidate_features, spec.hidden),
        candidate_global_weight: Shape::Matrix(spec.hidden, spec.hidden),
        candidate_bias: Shape::Bias(spec.hidden),
        head_weight: Shape::Matrix(spec.hidden, spec.head_hidden),
        head_bias: Shape::Bias(spec.head_hidden),
        advantage_weight: Shape::Column(spec.head_hidden),
        advantage_bias: Shape::Scalar,
        value_weight: Shape::Matrix(spec.hidden, spec.head_hidden),
        value_bias: Shape::Bias(spec.head_hidden),
        value_out_weight: Shape::Column(spec.head_hidden),
        value_out_bias: Shape::Scalar,
        linear_weight: Shape::Column(spec.candidate_features),
    }
}

layout! {
    /// The mlp.
    MlpWeights(spec) {
        hidden1_weight: Shape::Matrix(spec.mlp_inputs(), spec.hidden),
        hidden1_bias: Shape::Bias(spec.hidden),
        hidden2_weight: Shape::Matrix(spec.hidden, spec.hidden),
        hidden2_bias: Shape::Bias(spec.hidden),
        output_weight: Shape::Matrix(spec.hidden, spec.mlp_outputs()),
        output_bias: Shape::Bias(spec.mlp_outputs()),
    }
}

impl NetworkSpec {
    /// Name and shape of every parameter, in the order that all forms of the network share.
    pub fn layout(&self) -> Vec<Named> {
        let before_heads = match self.architecture {
            Architecture::Mlp => return MlpWeights::list(self),
            Architecture::Relational => RelationalWeights::list(self),
            Architecture::Candidate => CandidateWeights::list(self),
        };
        [before_heads, HeadWeights::list(self)].concat()
    }

    /// [`NetworkSpec::layout`], with shapes as lists of sizes.
    pub fn parameters(&self) -> Vec<(String, Vec<usize>)> {
        self.layout().into_iter().map(|(name, shape)| (name.to_owned(), shape.sizes())).collect()
    }

    /// Number of weights in all parameters.
    pub fn parameter_count(&self) -> usize {
        self.parameters().iter().map(|(_, shape)| shape.iter().product::<usize>()).sum()
    }
}
