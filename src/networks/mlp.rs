//! The founding network: two hidden layers on the flattened observation, one output per fixed
//! (workload, destination) pair. Output 0 is the value of `Stay`, the dueling split's reference.

use crate::networks::state_batch::{Placement, StateBatch};
use godwit_models::net::NetworkSpec;
use godwit_models::net::layout::MlpWeights;
use tch::{Kind, Tensor};

pub(super) fn forward(spec: &NetworkSpec, p: &[Tensor], batch: &StateBatch) -> (Tensor, Tensor) {
    let MlpWeights {
        hidden1_weight,
        hidden1_bias,
        hidden2_weight,
        hidden2_bias,
        output_weight,
        output_bias,
    } = MlpWeights::take(&mut p.iter());
    let (b, n, k) = (batch.states, batch.nodes_per_state, batch.workloads_per_state);
    let Placement::Nodes(node) = &batch.placement else {
        unreachable!("batches for an mlp keep every workload in its place")
    };
    // [B, K] -> [B, K N]; all 0 for a workload that is on no node
    let one_hot = node.one_hot(n + 1).narrow(2, 0, n).to_kind(Kind::Float).reshape([b, k * n]);
    let input = Tensor::cat(
        &[
            batch.nodes.view([b, -1]),
            batch.workloads.view([b, -1]),
            batch.globals.shallow_clone(),
            one_hot,
        ],
        1,
    );
    let hidden = hidden1_bias.addmm(&input, hidden1_weight).relu_();
    let hidden = hidden2_bias.addmm(&hidden, hidden2_weight).relu_();
    // [B, A]
    let output = output_bias.addmm(&hidden, output_weight);
    let value = output.select(1, 0);
    let advantage = output.reshape([-1]).index_select(0, &batch.row_action);
    let q =
        if spec.dueling { advantage + value.index_select(0, &batch.row_state) } else { advantage };
    (value.unsqueeze(1), q.unsqueeze(1))
}
