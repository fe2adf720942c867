//! Which moves of a plan have to be complete before another may start.
//!
//! Waves are barriers: a wave waits for the longest transfer of the one before it. Here each move
//! names only the moves that it waits for, and whoever carries the plan out may start it as soon as
//! they are complete. A move waits for
//!
//! - the earlier move of the same workload;
//! - earlier departures from its destination, the first ones first, until there is room for it
//!   beside everything that was there at the start and all that arrives there earlier in the plan;
//! - earlier departures of members of its anti-affinity group from its destination;
//! - earlier moves of members of its groups that are spread over zones, or share none;
//! - everything before it, in a machine-reassignment problem: spread and dependencies hold after each
//!   move of the given order, not of any other.
//!
//! In whatever order moves start and end then, no node holds more than it supplies: of the moves to
//! a node that have started take the one that is last in the plan. All that can be on the node are
//! the workloads of the start that it did not wait for, and arrivals up to it; with those the room
//! was counted.

use crate::plan::document::PlannedMove;
use godwit_envs::state::ClusterState;
use godwit_envs::state::cluster::NO_GROUP;
use godwit_envs::state::outlook::fits;
use std::collections::BTreeSet;

/// The positions that each move waits for, ascending, `[moves]`. Limits on transfers in flight are
/// left to whoever starts moves.
pub(super) fn after(state: &ClusterState, moves: &[PlannedMove]) -> Vec<Vec<u32>> {
    (0..moves.len()).map(|at| waits_for(state, moves, at).into_iter().collect()).collect()
}

fn waits_for(state: &ClusterState, moves: &[PlannedMove], at: usize) -> BTreeSet<u32> {
    if state.reassignment.is_some() {
        return (0..at as u32).collect();
    }
    let spec = &*state.spec;
    let &PlannedMove { workload, destination, .. } = &moves[at];
    let earlier = || moves[..at].iter().zip(0_u32..);
    let mut waits: BTreeSet<u32> = earlier()
        .filter(|(other, _)| {
            let group = spec.group[workload];
            other.workload == workload
                || group != NO_GROUP
                    && spec.group[other.workload] == group
                    && other.source == destination
                || share_zones(state, other.workload, workload)
        })
        .map(|(_, position)| position)
        .collect();
    let mut departures = earlier().filter(|(other, _)| other.source == destination);
    while !has_room(state, moves, at, &waits) {
        // A plan whose every move fits when its turn comes has enough departures.
        let Some((_, position)) = departures.next() else { break };
        waits.insert(position);
    }
    waits
}

/// Whether both are members of a group that is counted by zones.
fn share_zones(state: &ClusterState, a: usize, b: usize) -> bool {
    let Some(places) = &state.spec.places else { return false };
    let share = |groups: &[u32]| groups[a] != NO_GROUP && groups[a] == groups[b];
    share(&places.spread) || share(&places.zone_group)
}

/// Whether the move fits beside what was on its destination at the start and every earlier arrival,
/// once those that it waits for have left.
fn has_room(state: &ClusterState, moves: &[PlannedMove], at: usize, waits: &BTreeSet<u32>) -> bool {
    let (spec, padded) = (&*state.spec, state.spec.padded_nodes());
    let node = moves[at].destination;
    if let Some(places) = &state.spec.places {
        let arrived = moves[..at].iter().filter(|m| m.destination == node).count();
        let left = waits.iter().filter(|&&w| moves[w as usize].source == node).count();
        let there = state.place_counts().workloads_on(node) as usize;
        if there + arrived + 1 > places.most_workloads[node] as usize + left {
            return false;
        }
    }
    state.demand_of(moves[at].workload).iter().enumerate().all(|(j, &demand)| {
        let of = |planned: &PlannedMove| state.demand_of(planned.workload)[j];
        let arrived: f32 = moves[..at].iter().filter(|m| m.destination == node).map(of).sum();
        let left: f32 =
            waits.iter().map(|&w| &moves[w as usize]).filter(|m| m.source == node).map(of).sum();
        let lane = j * padded + node;
        demand <= 0.0 || fits(state.now.held[lane] + arrived - left, demand, spec.supply[lane])
    })
}
