//! A normalisation of observations as a part of weights: the layers that read features take the
//! affine map over, so that a network that was trained on normalised observations becomes one that
//! reads them as they are, and the other way round.
//!
//! With `x' = x * scale + shift`, `x' @ W + b` is `x @ (scale * W) + (b + shift @ W)`. The linear
//! term of the advantages has no bias of its own; its constant goes to that of their head, which
//! `Stay`, the reference, does not have either.

use crate::net::spec::{Architecture, FixedSize, NetworkSpec};
use godwit_envs::observe::normalisation::{Affine, Normalisation};
use std::ops::Range;

/// Turns weights for normalised observations into weights for observations as they are.
///
/// # Panics
///
/// If the normalisation or the weights do not have the sizes of `spec`.
pub fn fold(spec: &NetworkSpec, normalisation: &Normalisation, weights: &mut [f32]) {
    for reader in readers(spec, normalisation, weights.len()) {
        reader.visit(weights, |weight, affine| {
            let constant = f64::from(affine.shift) * f64::from(*weight);
            *weight *= affine.scale;
            constant
        });
    }
}

/// The inverse of [`fold`], but for rounding.
///
/// # Panics
///
/// As [`fold`].
pub fn unfold(spec: &NetworkSpec, normalisation: &Normalisation, weights: &mut [f32]) {
    for reader in readers(spec, normalisation, weights.len()) {
        reader.visit(weights, |weight, affine| {
            *weight /= affine.scale;
            -f64::from(affine.shift) * f64::from(*weight)
        });
    }
}

/// A layer that reads features.
struct Reader {
    /// Its first rows, one for each of `inputs`; rows after them read no features.
    weight: usize,
    bias: Range<usize>,
    inputs: Vec<Affine>,
}

impl Reader {
    /// Changes each weight and adds to its bias what `change` returns.
    fn visit(&self, weights: &mut [f32], change: impl Fn(&mut f32, Affine) -> f64) {
        let columns = self.bias.len();
        let mut constants = vec![0.0; columns];
        let rows = weights[self.weight..][..self.inputs.len() * columns].chunks_exact_mut(columns);
        for (row, &affine) in rows.zip(&self.inputs) {
            for (weight, constant) in row.iter_mut().zip(&mut constants) {
                *constant += change(weight, affine);
            }
        }
        for (bias, constant) in weights[self.bias.clone()].iter_mut().zip(constants) {
            *bias = (f64::from(*bias) + constant) as f32;
        }
    }
}

/// The layers of a network that read features.
fn readers(spec: &NetworkSpec, normalisation: &Normalisation, weights: usize) -> Vec<Reader> {
    let widths =
        [spec.node_features, spec.workload_features, spec.global_features, spec.candidate_features];
    assert_eq!(normalisation.widths(), widths, "a normalisation of the network's features");
    assert_eq!(weights, spec.parameter_count(), "the network's weights");
    let Normalisation { node, workload, global, candidate } = normalisation;
    let globals = ("global_encoder_weight", "global_encoder_bias", global.clone());
    let candidates = [
        ("candidate_feature_weight", "candidate_bias", candidate.clone()),
        ("linear_weight", "advantage_bias", candidate.clone()),
    ];
    let mut layers = match spec.architecture {
        Architecture::Relational => vec![
            ("workload_encoder_weight", "workload_encoder_bias", workload.clone()),
            ("node_encoder_weight", "node_encoder_bias", node.clone()),
            globals,
        ],
        Architecture::Candidate => vec![globals],
        Architecture::Mlp => {
            let FixedSize { nodes, workloads } =
                spec.fixed.unwrap_or(FixedSize { nodes: 0, workloads: 0 });
            let inputs = [node.repeat(nodes), workload.repeat(workloads), global.clone()].concat();
            vec![("hidden1_weight", "hidden1_bias", inputs)]
        }
    };
    if spec.architecture != Architecture::Mlp {
        layers.extend(candidates);
    }
    let mut places = Vec::new();
    let mut at = 0;
    for (name, shape) in spec.parameters() {
        let size: usize = shape.iter().product();
        places.push((name, at..at + size));
        at += size;
    }
    // Every name above is one of the specification's.
    let place = |name: &str| places.iter().find(|(known, _)| known == name).map(|(_, at)| at);
    let reader = |(weight, bias, inputs)| {
        Some(Reader { weight: place(weight)?.start, bias: place(bias)?.clone(), inputs })
    };
    layers.into_iter().filter_map(reader).collect()
}
