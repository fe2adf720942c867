//! The heads that the relational and the candidate network share.

use crate::networks::state_batch::StateBatch;
use godwit_models::net::NetworkSpec;
use godwit_models::net::layout::HeadWeights;
use tch::Tensor;

/// `Q(s, Stay)`, `[B, Q]`, of encoded clusters `[B, H]`.
pub(super) fn value(w: &HeadWeights<&Tensor>, global: &Tensor) -> Tensor {
    w.value_out_bias.addmm(&w.value_bias.addmm(global, w.value_weight).relu_(), w.value_out_weight)
}

/// `Q(s, a)` of each candidate row, `[R, Q]`, from its hidden row `[R, H]`.
pub(super) fn candidates(
    spec: &NetworkSpec,
    w: &HeadWeights<&Tensor>,
    hidden_rows: &Tensor,
    value: &Tensor,
    batch: &StateBatch,
) -> Tensor {
    // [R, Q]
    let advantage = w
        .advantage_bias
        .addmm(&w.head_bias.addmm(hidden_rows, w.head_weight).relu_(), w.advantage_weight)
        .addmm(&batch.candidates, w.linear_weight);
    if spec.dueling { advantage + value.index_select(0, &batch.row_state) } else { advantage }
}
