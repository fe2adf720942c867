//! Networks as ONNX, for runtimes that read it: the same parameters and the same formula as the
//! native forward pass.
//!
//! Inputs, with any number of states B, nodes N, workloads K and candidates A (an mlp has its own N
//! and K):
//!
//! | name | shape | type |
//! |---|---|---|
//! | `nodes` | `[B, N, F_n]` | float |
//! | `workloads` | `[B, K, F_w]` | float |
//! | `globals` | `[B, F_g]` | float |
//! | `candidates` | `[B, A, F_c]` | float |
//! | `candidate_workload`, `candidate_source`, `candidate_destination` | `[B, A]` | int32 |
//! | `placement` | `[B, K]` | int32, -1 for a workload on no node |
//! | `mask` | `[B, A]` | int8, 1 where a candidate is allowed |
//!
//! Those that a network does not read are left out. Outputs: `q` `[B, A]`, minus infinity where
//! masked, and `action` `[B]` (int64), the first best candidate.

mod graph;
mod proto;

use crate::net::layout::POOL_SCALE;
use crate::net::{Architecture, NetworkSpec};
use graph::{Builder, Size};
use prost::Message as _;
use proto::{BOOL, Entry, FLOAT, INT8, INT32, INT64, Model, OperatorSet};

/// Version of the operators that are used.
pub const OPSET: i64 = 17;
/// Version of the file format that goes with it.
const IR_VERSION: i64 = 8;

const STATES: Size = Size::Open("states");
const NODES: Size = Size::Open("nodes");
const WORKLOADS: Size = Size::Open("workloads");
const CANDIDATES: Size = Size::Open("candidates");

/// The file of a network: `weights` is what `Network::load_flat` takes, and `metadata` are lines that
/// the file states about itself.
///
/// # Panics
///
/// If the length of `weights` is not [`NetworkSpec::parameter_count`].
pub fn bytes(spec: &NetworkSpec, weights: &[f32], metadata: &[(&str, &str)]) -> Vec<u8> {
    assert_eq!(weights.len(), spec.parameter_count(), "weights of another network");
    let mut builder = Builder::new("godwit");
    let mut rest = weights;
    for (name, sizes) in spec.parameters() {
        let (values, after) = rest.split_at(sizes.iter().product());
        builder.floats(&name, &sizes, values);
        rest = after;
    }
    let reads = spec.reads();
    if reads.entities {
        let fixed = spec.fixed.map(|fixed| (Size::Is(fixed.nodes), Size::Is(fixed.workloads)));
        let (n, k) = fixed.unwrap_or((NODES, WORKLOADS));
        builder.input("nodes", FLOAT, &[STATES, n, Size::Is(spec.node_features)]);
        builder.input("workloads", FLOAT, &[STATES, k, Size::Is(spec.workload_features)]);
        builder.input("placement", INT32, &[STATES, k]);
    }
    builder.input("globals", FLOAT, &[STATES, Size::Is(spec.global_features)]);
    if reads.candidates {
        let features = Size::Is(spec.candidate_features);
        builder.input("candidates", FLOAT, &[STATES, CANDIDATES, features]);
    }
    if spec.architecture == Architecture::Relational {
        for name in ["candidate_workload", "candidate_source", "candidate_destination"] {
            builder.input(name, INT32, &[STATES, CANDIDATES]);
        }
    }
    builder.input("mask", INT8, &[STATES, CANDIDATES]);
    let (value, values) = match spec.architecture {
        Architecture::Relational => relational(&mut builder),
        Architecture::Candidate => candidate(&mut builder),
        Architecture::Mlp => mlp(&mut builder, spec),
    };
    finish(&mut builder, spec, &value, &values);
    let entry = |&(key, value): &(&str, &str)| Entry { key: key.into(), value: value.into() };
    let model = Model {
        ir_version: IR_VERSION,
        producer_name: "godwit".to_owned(),
        producer_version: env!("CARGO_PKG_VERSION").to_owned(),
        doc_string: String::new(),
        graph: Some(builder.finish()),
        opset_import: vec![OperatorSet { domain: String::new(), version: OPSET }],
        metadata_props: metadata.iter().map(entry).collect(),
    };
    model.encode_to_vec()
}

/// Outputs from the value of staying, `[B, 1]`, and the advantage of each candidate, `[B, A]`.
fn finish(b: &mut Builder, spec: &NetworkSpec, value: &str, advantages: &str) {
    let values =
        if spec.dueling { b.op("Add", &[advantages, value]) } else { advantages.to_owned() };
    // Staying is the first of them.
    let [one, end, axis] = [1, i64::MAX, 1].map(|number| b.integers(&[number], false));
    let others = b.op("Slice", &[&values, &one, &end, &axis]);
    let all = b.op_with("Concat", &[value, &others], &[("axis", 1)]);
    let open = b.op_with("Cast", &["mask"], &[("to", i64::from(BOOL))]);
    let masked = b.floats("masked", &[], &[f32::NEG_INFINITY]);
    let q = b.op("Where", &[&open, &all, &masked]);
    let best = b.op_with("ArgMax", &[&q], &[("axis", 1), ("keepdims", 0)]);
    b.output("q", &q, FLOAT, &[STATES, CANDIDATES]);
    b.output("action", &best, INT64, &[STATES]);
}

/// The heads on the cluster's row `global` `[B, H]`; `entities` are what workloads and nodes add to
/// the candidates' hidden rows.
fn heads(b: &mut Builder, global: &str, entities: &[String]) -> (String, String) {
    let hidden = b.linear(global, "value_weight", "value_bias");
    let hidden = b.op("Relu", &[&hidden]);
    let value = b.linear(&hidden, "value_out_weight", "value_out_bias");

    let shared = b.linear(global, "candidate_global_weight", "candidate_bias");
    let shared = b.unsqueeze(&shared, 1);
    let own = b.op("MatMul", &["candidates", "candidate_feature_weight"]);
    let mut terms = vec![own.as_str(), shared.as_str()];
    terms.extend(entities.iter().map(String::as_str));
    let hidden = b.sum(&terms);
    let hidden = b.op("Relu", &[&hidden]);
    let hidden = b.linear(&hidden, "head_weight", "head_bias");
    let hidden = b.op("Relu", &[&hidden]);
    let advantage = b.linear(&hidden, "advantage_weight", "advantage_bias");
    let linear = b.op("MatMul", &["candidates", "linear_weight"]);
    let advantage = b.op("Add", &[&advantage, &linear]);
    let last = b.integers(&[2], false);
    let advantage = b.op("Squeeze", &[&advantage, &last]);
    (value, advantage)
}

fn candidate(b: &mut Builder) -> (String, String) {
    let global = b.linear("globals", "global_encoder_weight", "global_encoder_bias");
    let global = b.op("Relu", &[&global]);
    heads(b, &global, &[])
}

fn relational(b: &mut Builder) -> (String, String) {
    let workloads = b.linear("workloads", "workload_encoder_weight", "workload_encoder_bias");
    let workloads = b.op("Relu", &[&workloads]);
    // [B, N, K]: which workloads are on each node.
    let on = on_nodes(b, 1);
    let pooled = b.op("MatMul", &[&on, &workloads]);
    let scale = b.floats("pool_scale", &[], &[POOL_SCALE]);
    let pooled = b.op("Mul", &[&pooled, &scale]);
    let pooled = b.op("MatMul", &[&pooled, "node_pool_weight"]);
    let nodes = b.linear("nodes", "node_encoder_weight", "node_encoder_bias");
    let nodes = b.op("Add", &[&nodes, &pooled]);
    let nodes = b.op("Relu", &[&nodes]);
    let mean_node = b.mean(&nodes);
    let mean_workload = b.mean(&workloads);
    let own = b.linear("globals", "global_encoder_weight", "global_encoder_bias");
    let of_nodes = b.op("MatMul", &[&mean_node, "global_nodes_weight"]);
    let of_workloads = b.op("MatMul", &[&mean_workload, "global_workloads_weight"]);
    let global = b.sum(&[&own, &of_nodes, &of_workloads]);
    let global = b.op("Relu", &[&global]);
    let entities = [
        (&workloads, "candidate_workload_weight", "candidate_workload"),
        (&nodes, "candidate_source_weight", "candidate_source"),
        (&nodes, "candidate_destination_weight", "candidate_destination"),
    ]
    .map(|(rows, weight, index)| {
        let rows = b.op("MatMul", &[rows, weight]);
        let index = b.op_with("Cast", &[index], &[("to", i64::from(INT64))]);
        // Of masked candidates the index may be none.
        let zero = b.integers(&[0], true);
        let index = b.op("Max", &[&index, &zero]);
        let index = b.unsqueeze(&index, 2);
        b.op_with("GatherND", &[&rows, &index], &[("batch_dims", 1)])
    });
    heads(b, &global, &entities)
}

fn mlp(b: &mut Builder, spec: &NetworkSpec) -> (String, String) {
    let flat = b.integers(&[0, -1], false);
    let nodes = b.op("Reshape", &["nodes", &flat]);
    let workloads = b.op("Reshape", &["workloads", &flat]);
    // [B, K, N], workload by workload.
    let on = on_nodes(b, 2);
    let on = b.op("Reshape", &[&on, &flat]);
    let parts = [nodes.as_str(), &workloads, "globals", &on];
    let input = b.op_with("Concat", &parts, &[("axis", 1)]);
    let hidden = b.linear(&input, "hidden1_weight", "hidden1_bias");
    let hidden = b.op("Relu", &[&hidden]);
    let hidden = b.linear(&hidden, "hidden2_weight", "hidden2_bias");
    let hidden = b.op("Relu", &[&hidden]);
    let output = b.linear(&hidden, "output_weight", "output_bias");
    debug_assert!(spec.fixed.is_some());
    let [zero, one, axis] = [0, 1, 1].map(|number| b.integers(&[number], false));
    let value = b.op("Slice", &[&output, &zero, &one, &axis]);
    (value, output)
}

/// Which workloads are on which nodes, as 0 and 1: `[B, N, K]` with the placement's new axis at 1,
/// `[B, K, N]` with it at 2.
fn on_nodes(b: &mut Builder, axis: i64) -> String {
    let placement = b.op_with("Cast", &["placement"], &[("to", i64::from(INT64))]);
    let placement = b.unsqueeze(&placement, axis);
    let shape = b.op_with("Shape", &["nodes"], &[("start", 1), ("end", 2)]);
    let first = b.integers(&[0], false);
    let count = b.op("Squeeze", &[&shape, &first]);
    let [zero, one] = [0, 1].map(|number| b.integers(&[number], true));
    let mut numbers = b.op("Range", &[&zero, &count, &one]);
    if axis == 1 {
        numbers = b.unsqueeze(&numbers, 1);
    }
    let same = b.op("Equal", &[&placement, &numbers]);
    b.op_with("Cast", &[&same], &[("to", i64::from(FLOAT))])
}
