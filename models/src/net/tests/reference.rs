//! The formulas of the networks, written as plainly as possible, in f64.

use std::collections::BTreeMap;

use godwit_envs::observe::ObservationBuffer;

use super::super::{Architecture, NetworkSpec};

/// Named parameters as nested rows; a vector is one row.
type Parameters = BTreeMap<String, Vec<Vec<f64>>>;

fn named(spec: &NetworkSpec, weights: &[f32]) -> Parameters {
    let mut rest = weights;
    let mut parameters = Parameters::new();
    for (name, shape) in spec.parameters() {
        let columns = *shape.last().expect("every shape has a last dimension");
        let (front, tail) = rest.split_at(shape.iter().product());
        rest = tail;
        let rows = front.chunks(columns).map(wide).collect();
        parameters.insert(name, rows);
    }
    assert!(rest.is_empty());
    parameters
}

fn wide(row: &[f32]) -> Vec<f64> {
    row.iter().map(|value| f64::from(*value)).collect()
}

/// `sum of x_i @ W_i, plus b`, by parameter names.
fn affine(p: &Parameters, terms: &[(&[f64], &str)], bias: &str) -> Vec<f64> {
    let mut sum = p[bias][0].clone();
    for (x, weight) in terms {
        assert_eq!(x.len(), p[*weight].len());
        for (x, row) in x.iter().zip(&p[*weight]) {
            for (sum, w) in sum.iter_mut().zip(row) {
                *sum += x * w;
            }
        }
    }
    sum
}

fn relu(row: Vec<f64>) -> Vec<f64> {
    row.into_iter().map(|value| value.max(0.0)).collect()
}

fn sum<'a>(rows: impl Iterator<Item = &'a Vec<f64>>, width: usize, factor: f64) -> Vec<f64> {
    let mut sum = vec![0.0; width];
    for row in rows {
        sum.iter_mut().zip(row).for_each(|(sum, value)| *sum += factor * value);
    }
    sum
}

/// Values of all candidates, the masked ones included.
pub fn q_values(spec: &NetworkSpec, weights: &[f32], o: &ObservationBuffer) -> Vec<f64> {
    let p = named(spec, weights);
    match spec.architecture {
        Architecture::Relational => relational(spec, &p, o),
        Architecture::Candidate => candidate(spec, &p, o),
        Architecture::Mlp => mlp(spec, &p, o),
    }
}

fn relational(spec: &NetworkSpec, p: &Parameters, o: &ObservationBuffer) -> Vec<f64> {
    let h = spec.hidden;
    let h_w: Vec<_> = o
        .workloads
        .chunks(spec.workload_features)
        .map(|x| relu(affine(p, &[(&wide(x), "workload_encoder_weight")], "workload_encoder_bias")))
        .collect();
    let h_n: Vec<_> = o
        .nodes
        .chunks(spec.node_features)
        .enumerate()
        .map(|(i, x)| {
            let here = h_w.iter().zip(&o.placement).filter(|(_, node)| **node as usize == i);
            let pooled = sum(here.map(|(row, _)| row), h, 1.0 / 8.0);
            let terms: [(&[f64], _); 2] =
                [(&wide(x), "node_encoder_weight"), (&pooled, "node_pool_weight")];
            relu(affine(p, &terms, "node_encoder_bias"))
        })
        .collect();
    let g = relu(affine(
        p,
        &[
            (&wide(&o.globals), "global_encoder_weight"),
            (&sum(h_n.iter(), h, 1.0 / h_n.len() as f64), "global_nodes_weight"),
            (&sum(h_w.iter(), h, 1.0 / h_w.len() as f64), "global_workloads_weight"),
        ],
        "global_encoder_bias",
    ));
    let hidden = relu(affine(p, &[(&g, "value_weight")], "value_bias"));
    let value = affine(p, &[(&hidden, "value_out_weight")], "value_out_bias")[0];
    let mut q = vec![value];
    for a in 1..o.actions() {
        let own: Vec<f64> =
            (0..spec.candidate_features).map(|f| f64::from(o.candidate(a, f))).collect();
        let z = relu(affine(
            p,
            &[
                (&h_w[o.candidate_workload[a] as usize], "candidate_workload_weight"),
                (&h_n[o.candidate_source[a] as usize], "candidate_source_weight"),
                (&h_n[o.candidate_destination[a] as usize], "candidate_destination_weight"),
                (&own, "candidate_feature_weight"),
                (&g, "candidate_global_weight"),
            ],
            "candidate_bias",
        ));
        let hidden = relu(affine(p, &[(&z, "head_weight")], "head_bias"));
        let advantage =
            affine(p, &[(&hidden, "advantage_weight"), (&own, "linear_weight")], "advantage_bias")
                [0];
        q.push(advantage + if spec.dueling { value } else { 0.0 });
    }
    q
}

fn candidate(spec: &NetworkSpec, p: &Parameters, o: &ObservationBuffer) -> Vec<f64> {
    let g = relu(affine(p, &[(&wide(&o.globals), "global_encoder_weight")], "global_encoder_bias"));
    let hidden = relu(affine(p, &[(&g, "value_weight")], "value_bias"));
    let value = affine(p, &[(&hidden, "value_out_weight")], "value_out_bias")[0];
    let mut q = vec![value];
    for a in 1..o.actions() {
        let own: Vec<f64> =
            (0..spec.candidate_features).map(|f| f64::from(o.candidate(a, f))).collect();
        let terms: [(&[f64], _); 2] =
            [(&own, "candidate_feature_weight"), (&g, "candidate_global_weight")];
        let z = relu(affine(p, &terms, "candidate_bias"));
        let hidden = relu(affine(p, &[(&z, "head_weight")], "head_bias"));
        let advantage =
            affine(p, &[(&hidden, "advantage_weight"), (&own, "linear_weight")], "advantage_bias")
                [0];
        q.push(advantage + if spec.dueling { value } else { 0.0 });
    }
    q
}

fn mlp(spec: &NetworkSpec, p: &Parameters, o: &ObservationBuffer) -> Vec<f64> {
    let mut x = wide(&o.nodes);
    x.extend(wide(&o.workloads));
    x.extend(wide(&o.globals));
    let nodes = o.nodes.len() / spec.node_features;
    for node in &o.placement {
        x.extend((0..nodes).map(|i| f64::from(u8::from(i == *node as usize))));
    }
    let hidden1 = relu(affine(p, &[(&x, "hidden1_weight")], "hidden1_bias"));
    let hidden2 = relu(affine(p, &[(&hidden1, "hidden2_weight")], "hidden2_bias"));
    let mut q = affine(p, &[(&hidden2, "output_weight")], "output_bias");
    let stay = q[0];
    if spec.dueling {
        q[1..].iter_mut().for_each(|value| *value += stay);
    }
    q
}
