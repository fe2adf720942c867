//! Nodes with too many workloads, and zones with too many members of a group.

use godwit_envs::state::cluster::NO_GROUP;
use godwit_envs::state::{ClusterState, NOWHERE};
use std::collections::BTreeMap;

/// What a node or a zone may have too many of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Trouble {
    /// Workloads of a node.
    Crowded { node: usize },
    /// Members of a group that shares no zone.
    Together { group: u32, zone: u32 },
    /// Members of a spread group.
    Uneven { group: u32, zone: u32 },
}

impl Trouble {
    /// Every trouble that a workload could be in on a node, be that its own or another.
    pub(super) fn all(
        state: &ClusterState,
        workload: usize,
        node: usize,
    ) -> impl Iterator<Item = Self> + use<> {
        let zone = state.spec.node_zone[node];
        let places = state.spec.places.as_ref();
        let [group, spread] = places
            .map_or([NO_GROUP; 2], |places| [places.zone_group[workload], places.spread[workload]]);
        let crowded = places.map(|_| Self::Crowded { node });
        let together = (group != NO_GROUP).then_some(Self::Together { group, zone });
        let uneven = (spread != NO_GROUP).then_some(Self::Uneven { group: spread, zone });
        [crowded, together, uneven].into_iter().flatten()
    }

    /// Whether it is about a spread group.
    pub(super) fn is_uneven(&self) -> bool {
        matches!(self, Self::Uneven { .. })
    }

    /// Whether the workload is one of those that are too many.
    pub(super) fn involves(self, state: &ClusterState, workload: usize) -> bool {
        let (Some(places), Some(on)) = (&state.spec.places, state.node_of(workload)) else {
            return false;
        };
        let is_in = |at: u32| state.spec.node_zone[on] == at;
        match self {
            Self::Crowded { node } => on == node,
            Self::Together { group, zone } => places.zone_group[workload] == group && is_in(zone),
            Self::Uneven { group, zone } => places.spread[workload] == group && is_in(zone),
        }
    }
}

/// Whether there are too many of these with the workload on this node, its own or another. Who is on the
/// way to another node is there.
pub(super) fn breaks(state: &ClusterState, trouble: Trouble, workload: usize, node: usize) -> bool {
    let spec = &*state.spec;
    let Some(places) = &spec.places else { return false };
    let (counts, is_there) = (state.place_counts(), state.node_of(workload) == Some(node));
    match trouble {
        Trouble::Crowded { node } => {
            let comes = u32::from(!is_there);
            state.workloads_on(node) + comes > places.most_workloads[node]
        }
        Trouble::Together { group, zone } => {
            // What is counted all the time, transfers that leave included, says of most that all is
            // well.
            counts.apart_in(group, zone) > u32::from(is_there)
                && (0..spec.workloads())
                    .any(|other| other != workload && trouble.involves(state, other))
        }
        Trouble::Uneven { group: spread, zone } => {
            let group = &places.spread_groups[spread as usize];
            if is_there && !counts.may_be_uneven(group.max_skew, spread) {
                return false;
            }
            let mut members = members_by_zone(state, spread);
            if let Some(from) = state.node_of(workload) {
                *members.entry(spec.node_zone[from]).or_default() -= 1;
            }
            *members.entry(zone).or_default() += 1;
            let others = group.zones.iter().filter(|other| **other != zone);
            let least = others.map(|other| members.get(other).copied().unwrap_or(0)).min();
            least.is_some_and(|least| members[&zone].saturating_sub(least) > group.max_skew)
        }
    }
}

/// Members of a spread group in each zone that has any.
fn members_by_zone(state: &ClusterState, spread: u32) -> BTreeMap<u32, u32> {
    let mut members = BTreeMap::new();
    let Some(places) = &state.spec.places else { return members };
    for (k, &placed) in state.placement.iter().enumerate() {
        if placed != NOWHERE && places.spread[k] == spread {
            *members.entry(state.spec.node_zone[placed as usize]).or_default() += 1;
        }
    }
    members
}
