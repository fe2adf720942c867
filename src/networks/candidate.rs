//! The light size-free network: each candidate by its own features and the cluster's. The heads,
//! and the dueling split with `Stay` as its reference, are those of the relational network.

use crate::networks::state_batch::StateBatch;
use godwit_models::net::NetworkSpec;
use godwit_models::net::layout::{CandidateWeights, HeadWeights};
use tch::Tensor;

pub(super) fn forward(spec: &NetworkSpec, p: &[Tensor], batch: &StateBatch) -> (Tensor, Tensor) {
    let mut parameters = p.iter();
    let CandidateWeights { global_encoder_weight, global_encoder_bias } =
        CandidateWeights::take(&mut parameters);
    let HeadWeights {
        candidate_feature_weight,
        candidate_global_weight,
        candidate_bias,
        head_weight,
        head_bias,
        advantage_weight,
        advantage_bias,
        value_weight,
        value_bias,
        value_out_weight,
        value_out_bias,
        linear_weight,
    } = HeadWeights::take(&mut parameters);
    // [B, H]
    let global = global_encoder_bias.addmm(&batch.globals, global_encoder_weight).relu_();
    // [B, Q]
    let value =
        value_out_bias.addmm(&value_bias.addmm(&global, value_weight).relu_(), value_out_weight);
    // [B, H], then [R, H]
    let shared = candidate_bias.addmm(&global, candidate_global_weight);
    let hidden_rows = shared
        .index_select(0, &batch.row_state)
        .addmm(&batch.candidates, candidate_feature_weight)
        .relu_();
    // [R, Q]
    let advantage = advantage_bias
        .addmm(&head_bias.addmm(&hidden_rows, head_weight).relu_(), advantage_weight)
        .addmm(&batch.candidates, linear_weight);
    let q =
        if spec.dueling { advantage + value.index_select(0, &batch.row_state) } else { advantage };
    (value, q)
}
