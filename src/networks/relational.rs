//! The size-free network. `Q(s, Stay)` is the state's value, and every other candidate adds its
//! advantage over `Stay`: a dueling split (Wang et al., ICML 2016) whose reference action is
//! `Stay` instead of the mean over actions, so that a candidate's value needs no other candidate.

use crate::networks::heads;
use crate::networks::state_batch::{Placement, StateBatch};
use godwit_models::net::NetworkSpec;
use godwit_models::net::layout::{HeadWeights, POOL_SCALE, RelationalWeights};
use tch::{Kind, Tensor};

pub(super) fn forward(spec: &NetworkSpec, p: &[Tensor], batch: &StateBatch) -> (Tensor, Tensor) {
    let mut parameters = p.iter();
    let RelationalWeights {
        workload_encoder_weight,
        workload_encoder_bias,
        node_encoder_weight,
        node_pool_weight,
        node_encoder_bias,
        global_encoder_weight,
        global_nodes_weight,
        global_workloads_weight,
        global_encoder_bias,
        candidate_workload_weight,
        candidate_source_weight,
        candidate_destination_weight,
    } = RelationalWeights::take(&mut parameters);
    let w = HeadWeights::take(&mut parameters);
    let pool_scale = f64::from(POOL_SCALE);
    let (b, n, k) = (batch.states, batch.nodes_per_state, batch.workloads_per_state);
    let hidden = spec.hidden as i64;

    // [B K, H], or [B D, H] where alike workloads are merged
    let workloads = workload_encoder_bias.addmm(&batch.workloads, workload_encoder_weight).relu_();
    // [B, N + 1, K or D]: which workloads are on each node, and in the last row on none
    let everywhere = match &batch.placement {
        Placement::Nodes(nodes) => nodes.one_hot(n + 1).to_kind(Kind::Float).transpose(1, 2),
        Placement::Counts(counts) => counts.shallow_clone(),
        Placement::Omitted => unreachable!("batches for a relational network hold its workloads"),
    };
    let counts = everywhere.narrow(1, 0, n);
    // [B, N, H]: what the workloads on each node add up to, projected before or after adding up,
    // whichever has fewer rows
    let pooled = if k < n {
        counts.bmm(&(workloads.matmul(node_pool_weight) * pool_scale).view([b, k, hidden]))
    } else {
        (counts.bmm(&workloads.view([b, k, hidden])) * pool_scale).matmul(node_pool_weight)
    };
    // [B N, H]
    let nodes = (node_encoder_bias.addmm(&batch.nodes, node_encoder_weight)
        + pooled.view([b * n, hidden]))
    .relu_();
    // [B, H]: means over nodes and over workloads
    let mean_node = nodes.view([b, n, hidden]).mean_dim(1, false, Kind::Float);
    // [B, 1, K or D]: share of all workloads that each row stands for
    let share = everywhere.sum_dim_intlist([1].as_slice(), true, Kind::Float);
    let share = &share / share.sum_dim_intlist([2].as_slice(), true, Kind::Float);
    let mean_workload = share.bmm(&workloads.view([b, k, hidden])).squeeze_dim(1);
    let global = (global_encoder_bias.addmm(&batch.globals, global_encoder_weight)
        + mean_node.matmul(global_nodes_weight)
        + mean_workload.matmul(global_workloads_weight))
    .relu_();
    // [B, Q]
    let value = heads::value(&w, &global);

    // [R, H]: per entity first where there are more rows than entities, then gathered
    let gather = |entities: &Tensor, weight: &Tensor, index: &Tensor| {
        if index.size()[0] > entities.size()[0] {
            entities.matmul(weight).index_select(0, index)
        } else {
            entities.index_select(0, index).matmul(weight)
        }
    };
    let mut hidden_rows = w.candidate_bias.addmm(&batch.candidates, w.candidate_feature_weight)
        + gather(&workloads, candidate_workload_weight, &batch.row_workload)
        + gather(&nodes, candidate_source_weight, &batch.row_source)
        + gather(&nodes, candidate_destination_weight, &batch.row_destination)
        + gather(&global, w.candidate_global_weight, &batch.row_state);
    let q = heads::candidates(spec, &w, &hidden_rows.relu_(), &value, batch);
    (value, q)
}
