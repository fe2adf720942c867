//! The light size-free network: each candidate by its own features and the cluster's. The heads,
//! and the dueling split with `Stay` as its reference, are those of the relational network.

use crate::networks::heads;
use crate::networks::state_batch::StateBatch;
use godwit_models::net::NetworkSpec;
use godwit_models::net::layout::{CandidateWeights, HeadWeights};
use tch::Tensor;

pub(super) fn forward(spec: &NetworkSpec, p: &[Tensor], batch: &StateBatch) -> (Tensor, Tensor) {
    let mut parameters = p.iter();
    let CandidateWeights { global_encoder_weight, global_encoder_bias } =
        CandidateWeights::take(&mut parameters);
    let w = HeadWeights::take(&mut parameters);
    // [B, H]
    let global = global_encoder_bias.addmm(&batch.globals, global_encoder_weight).relu_();
    // [B, Q]
    let value = heads::value(&w, &global);
    // [B, H], then [R, H]
    let shared = w.candidate_bias.addmm(&global, w.candidate_global_weight);
    let hidden_rows = shared
        .index_select(0, &batch.row_state)
        .addmm(&batch.candidates, w.candidate_feature_weight)
        .relu_();
    let q = heads::candidates(spec, &w, &hidden_rows, &value, batch);
    (value, q)
}
