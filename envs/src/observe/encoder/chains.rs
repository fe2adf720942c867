//! Features of what the further moves of chains bring.

use super::scaling::CLIP;
use crate::observe::ObservationBuffer;
use crate::observe::candidates::CandidateList;
use crate::state::ClusterState;
use crate::state::outlook::Shift;

/// Features of each candidate: the last ones of a schema that has them.
const FEATURES: usize = 3;

/// Writes them for the unmasked candidates; a single move has no further ones.
pub(super) fn encode_chains(
    state: &ClusterState,
    list: Option<&CandidateList>,
    out: &mut ObservationBuffer,
) {
    let stride = out.candidate_stride;
    let first = out.candidates.len() - FEATURES * stride;
    let rows = &mut out.candidates[first..];
    rows.fill(0.0);
    let Some(list) = list else { return };
    for (at, chain) in list.chains.iter().enumerate() {
        let column = 1 + list.moves() + at;
        if !out.mask[column] {
            continue;
        }
        let shifts = chain.moves().iter().map(|&(workload, destination)| Shift {
            demand: state.demand_of(workload as usize),
            from: state.placement[workload as usize] as usize,
            to: destination as usize,
        });
        let (spec, objective) = (&*state.spec, &state.objective);
        let change =
            |count: usize| state.now.change_by_shifts(spec, objective, shifts.clone().take(count));
        let further = &chain.moves()[1..];
        let price: f32 = further
            .iter()
            .map(|&(workload, destination)| {
                let (workload, destination) = (workload as usize, destination as usize);
                let cost = state.migration_cost(workload, destination);
                objective.value(&state.flow_terms(workload, &cost))
            })
            .sum();
        let values = [
            further.len() as f32 / 2.0,
            (change(chain.moves().len()) - change(1)) / objective.unit,
            price / objective.unit,
        ];
        for (row, value) in rows.chunks_exact_mut(stride).zip(values) {
            row[column] = value.clamp(-CLIP, CLIP);
        }
    }
}
