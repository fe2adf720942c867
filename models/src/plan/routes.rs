//! The routes of workloads that a plan moves more than once.

use crate::order::{Move, Ordering, order_within};
use crate::plan::document::{PlannedMove, ReasonCode};
use crate::plan::draft::Draft;
use crate::plan::reach::Fencing;
use godwit_envs::state::ClusterState;

/// Most states in which the search for shorter routes branches: plans are made within milliseconds.
const MOST_BRANCHES: usize = 100;

/// Most nodes and workloads of those states together: a large one takes long to copy.
const MOST_ENTITIES: usize = 100_000;

/// The same end in fewer moves: every workload goes straight to where the plan leaves it, but for
/// those that have to be parked on the way. `None` where no workload moves twice, or no such order
/// of moves keeps the constraints, the fences and the moves' expiry at no higher cost.
pub(super) fn shorten(
    state: &ClusterState,
    draft: &Draft,
    fence: &mut Fencing<'_>,
) -> Option<Draft> {
    let ends = ends(state, &draft.moves);
    if ends.len() == draft.moves.len() {
        return None;
    }
    let parked = (draft.moves.len() - 1).checked_sub(ends.len())?;
    let mut start = state.clone();
    fence(&mut start, &[]);
    // By the cluster, not by the clock: the same snapshot gives the same plan.
    let entities = state.spec.nodes() + state.spec.workloads();
    let branches = (MOST_ENTITIES / entities.max(1)).clamp(1, MOST_BRANCHES);
    let ordered = order_within(&start, &ends, parked, branches as u32);
    if ordered.ordering != Ordering::Complete {
        return None;
    }
    let mut shorter = Draft::new(state, draft.expires_s, draft.payback_ticks);
    for (workload, destination) in ordered.moves {
        fence(&mut shorter.scratch, &shorter.moves);
        if shorter.migrate(workload, destination) != Ok(true) {
            return None;
        }
    }
    shorter.truncate(shorter.chains().end());
    let worth = |draft: &Draft| draft.worth_of(0..draft.moves.len());
    (worth(&shorter) >= worth(draft)).then_some(shorter)
}

/// Each workload that ends on another node than it started from, with that node, in the order of
/// the last moves.
fn ends(state: &ClusterState, moves: &[PlannedMove]) -> Vec<Move> {
    let is_last = |&(at, planned): &(usize, &PlannedMove)| !goes_on(planned, &moves[at + 1..]);
    let last = moves.iter().enumerate().filter(is_last);
    let last = last.map(|(_, planned)| (planned.workload, planned.destination));
    last.filter(|&(k, node)| state.placement[k] as usize != node).collect()
}

/// Says of the moves after which their workload goes on, and which gain nothing by themselves, what
/// they are.
pub(super) fn mark_parking(moves: &mut [PlannedMove]) {
    for at in 0..moves.len() {
        let (before, after) = moves.split_at_mut(at + 1);
        let planned = &mut before[at];
        if planned.reason == ReasonCode::MakesRoom && goes_on(planned, after) {
            planned.reason = ReasonCode::Parks;
        }
    }
}

fn goes_on(planned: &PlannedMove, later: &[PlannedMove]) -> bool {
    later.iter().any(|after| after.workload == planned.workload)
}
