//! Sets of nodes, numbers of workloads per node and rules about zones, recounted for one move.

use super::Violation;
use crate::plan::PlannedMove;
use godwit_envs::state::NOWHERE;
use godwit_envs::state::cluster::{ClusterSpec, NO_GROUP};
use std::collections::BTreeMap;

/// A workload under way, its source and its destination.
type Moving = (usize, usize, usize);

/// What this move, the one at `at` of the plan, breaks. `placement` is that of the wave's start, and
/// `moving` what is under way by then: whoever moves may be found on either node, whichever is worse.
pub(super) fn broken(
    spec: &ClusterSpec,
    placement: &[usize],
    moving: &[Moving],
    at: usize,
    planned: &PlannedMove,
) -> Vec<Violation> {
    let Some(places) = &spec.places else { return Vec::new() };
    let &PlannedMove { workload, source, destination: node, .. } = planned;
    let mut found = Vec::new();
    if !places.in_set(workload, node) {
        found.push(Violation::NodeSet { at, workload, node });
    }
    let nodes_of = |k: usize| {
        let ends = moving.iter().filter(move |moves| moves.0 == k);
        let ends = ends.flat_map(|moves| [moves.1, moves.2]);
        std::iter::once(placement[k]).chain(ends).filter(|&node| node != NOWHERE as usize)
    };
    let others = || (0..placement.len()).filter(|&other| other != workload);

    let limit = places.most_workloads[node];
    let count = 1 + others().filter(|&other| nodes_of(other).any(|on| on == node)).count();
    if count > limit as usize {
        found.push(Violation::WorkloadsPerNode { at, node, limit, count });
    }

    let zone = spec.node_zone[node];
    let in_zone = |k: usize| nodes_of(k).any(|on| spec.node_zone[on] == zone);
    let apart = places.zone_group[workload];
    let rivals = others().filter(|&other| apart != NO_GROUP && places.zone_group[other] == apart);
    for other in rivals.filter(|&other| in_zone(other)) {
        found.push(Violation::ZoneAntiAffinity { at, workload, node, other });
    }

    let spread = places.spread[workload];
    if spread == NO_GROUP || spec.node_zone[source] == zone {
        return found;
    }
    // Fewest and most members of each zone that counts, before and after the move.
    let group = &places.spread_groups[spread as usize];
    let mut before: BTreeMap<u32, (usize, usize)> =
        group.zones.iter().map(|&zone| (zone, (0, 0))).collect();
    for member in (0..placement.len()).filter(|&k| places.spread[k] == spread) {
        let zones: Vec<u32> = nodes_of(member).map(|on| spec.node_zone[on]).collect();
        for (zone, (least, most)) in &mut before {
            *most += usize::from(zones.contains(zone));
            *least += usize::from(!zones.is_empty() && zones.iter().all(|on| on == zone));
        }
    }
    let mut after = before.clone();
    if let Some((_, most)) = after.get_mut(&zone) {
        *most += 1;
    }
    if let Some((least, _)) = after.get_mut(&spec.node_zone[source]) {
        *least = least.saturating_sub(1);
    }
    let skew = |counts: &BTreeMap<u32, (usize, usize)>, is_high: &dyn Fn(u32) -> bool| {
        let highs = counts.iter().filter(|(zone, _)| is_high(**zone));
        let pairs = highs.flat_map(|high| counts.iter().map(move |low| (high, low)));
        let apart = pairs.filter(|((high, _), (low, _))| high != low);
        apart.map(|((_, high), (_, low))| high.1.saturating_sub(low.0)).max().unwrap_or(0)
    };
    // The destination's zone keeps within the limit. The others must get no further beyond it.
    let max_skew = group.max_skew;
    let (own, all) = (skew(&after, &|high| high == zone), skew(&after, &|_| true));
    let falls_behind = all > max_skew as usize && all > skew(&before, &|_| true);
    if own > max_skew as usize || falls_behind {
        let skew = if falls_behind { all } else { own };
        found.push(Violation::ZoneSpread { at, workload, max_skew, skew });
    }
    found
}
