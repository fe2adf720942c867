//! What [`PlaceRules`] count, kept up to date move by move.

use crate::state::cluster::{ClusterSpec, NOWHERE};
use crate::state::infeasible::Infeasible;
use crate::state::members::{MemberCounts, NO_GROUP};
use crate::state::places::{PlaceRules, SpreadGroup};

/// Workloads by node and members by zone; all empty where a cluster has no [`PlaceRules`].
///
/// A workload in transfer is on both of its nodes, and its zones are judged by the worse of the two:
/// in whichever order transfers end, and whether or not they are rolled back, no rule is broken.
#[derive(Debug, Clone, PartialEq)]
pub struct PlaceCounts {
    /// Workloads on each node, `[N]`.
    on_node: Vec<u32>,
    /// Members in each zone, of groups that keep zones apart.
    apart: MemberCounts,
    /// Members of each spread group that a zone will keep: those on their way there do not count.
    surely: MemberCounts,
    /// Members of each spread group that a zone may have: those on their way from there count, too.
    at_most: MemberCounts,
    /// Of each spread group, `[groups]`.
    levels: Vec<Level>,
}

/// The extremes of a spread group over the zones that count for it.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Level {
    /// Fewest that a zone will keep.
    least: u32,
    /// The first zone that keeps so few.
    least_zone: u32,
    /// Fewest that another zone than this will keep; [`u32::MAX`] where there is none.
    second: u32,
    /// Most that a zone may have.
    most: u32,
}

impl PlaceCounts {
    /// Nothing is anywhere.
    pub fn new(spec: &ClusterSpec) -> Self {
        let zones = spec.zone_names.len();
        let rules = spec.places.as_deref();
        let spreads = rules.map_or(0, |rules| rules.spread_groups.len());
        let mut counts = Self {
            on_node: vec![0; if rules.is_some() { spec.nodes() } else { 0 }],
            apart: MemberCounts::new(rules.map_or(0, |rules| rules.zone_groups), zones),
            surely: MemberCounts::new(spreads, zones),
            at_most: MemberCounts::new(spreads, zones),
            levels: vec![Level::default(); spreads],
        };
        if let Some(rules) = rules {
            counts.refresh_all(rules);
        }
        counts
    }

    /// Counts anew: workloads on their nodes, [`NOWHERE`] for none. Of those in transfer, workload and
    /// source are in `leaving`.
    pub fn rebuild(
        &mut self,
        spec: &ClusterSpec,
        placement: &[u32],
        leaving: impl Iterator<Item = (usize, usize)> + Clone,
    ) {
        let Some(rules) = spec.places.as_deref() else { return };
        self.on_node.fill(0);
        for counts in [&mut self.apart, &mut self.surely, &mut self.at_most] {
            counts.clear();
        }
        let mut sources = placement.to_vec();
        for (k, source) in leaving.clone() {
            sources[k] = source as u32;
        }
        for (k, &node) in sources.iter().enumerate().filter(|(_, node)| **node != NOWHERE) {
            self.count(spec, rules, k, node as usize);
        }
        for (k, source) in leaving {
            self.begin(spec, rules, k, source, placement[k] as usize);
        }
        self.refresh_all(rules);
    }

    /// A workload is on a node.
    pub fn add(&mut self, spec: &ClusterSpec, workload: usize, node: usize) {
        let Some(rules) = spec.places.as_deref() else { return };
        self.count(spec, rules, workload, node);
        self.refresh(rules, rules.spread[workload]);
    }

    /// A workload is on its node no more.
    pub fn take(&mut self, spec: &ClusterSpec, workload: usize, node: usize) {
        let Some(rules) = spec.places.as_deref() else { return };
        let zone = spec.node_zone[node] as usize;
        self.on_node[node] -= 1;
        let (spread, apart) = (rules.spread[workload], rules.zone_group[workload]);
        if apart != NO_GROUP {
            self.apart.take(apart, zone);
        }
        if spread != NO_GROUP {
            self.surely.take(spread, zone);
            self.at_most.take(spread, zone);
        }
        self.refresh(rules, spread);
    }

    /// A workload's transfer begins.
    pub fn start(&mut self, spec: &ClusterSpec, workload: usize, source: usize, to: usize) {
        let Some(rules) = spec.places.as_deref() else { return };
        self.begin(spec, rules, workload, source, to);
        self.refresh(rules, rules.spread[workload]);
    }

    /// A workload's transfer ends.
    pub fn finish(&mut self, spec: &ClusterSpec, workload: usize, source: usize, to: usize) {
        let Some(rules) = spec.places.as_deref() else { return };
        let (from_zone, zone) = (spec.node_zone[source] as usize, spec.node_zone[to] as usize);
        let (spread, apart) = (rules.spread[workload], rules.zone_group[workload]);
        self.on_node[source] -= 1;
        if apart != NO_GROUP {
            self.apart.take(apart, from_zone);
        }
        if spread != NO_GROUP && zone != from_zone {
            self.at_most.take(spread, from_zone);
            self.surely.add(spread, zone);
        }
        self.refresh(rules, spread);
    }

    fn count(&mut self, spec: &ClusterSpec, rules: &PlaceRules, workload: usize, node: usize) {
        let zone = spec.node_zone[node] as usize;
        self.on_node[node] += 1;
        let (spread, apart) = (rules.spread[workload], rules.zone_group[workload]);
        if apart != NO_GROUP {
            self.apart.add(apart, zone);
        }
        if spread != NO_GROUP {
            self.surely.add(spread, zone);
            self.at_most.add(spread, zone);
        }
    }

    fn begin(
        &mut self,
        spec: &ClusterSpec,
        rules: &PlaceRules,
        workload: usize,
        source: usize,
        to: usize,
    ) {
        let (from_zone, zone) = (spec.node_zone[source] as usize, spec.node_zone[to] as usize);
        let (spread, apart) = (rules.spread[workload], rules.zone_group[workload]);
        self.on_node[to] += 1;
        if apart != NO_GROUP {
            self.apart.add(apart, zone);
        }
        if spread != NO_GROUP && zone != from_zone {
            self.at_most.add(spread, zone);
            self.surely.take(spread, from_zone);
        }
    }

    fn refresh_all(&mut self, rules: &PlaceRules) {
        for group in 0..self.levels.len() {
            self.refresh(rules, group as u32);
        }
    }

    fn refresh(&mut self, rules: &PlaceRules, group: u32) {
        if group == NO_GROUP {
            return;
        }
        let mut level = Level { least: u32::MAX, second: u32::MAX, ..Level::default() };
        for &zone in rules.spread_groups[group as usize].zones.iter() {
            let count = self.surely.of(group, zone as usize);
            if count < level.least {
                level.second = level.least;
                (level.least, level.least_zone) = (count, zone);
            } else {
                level.second = level.second.min(count);
            }
            level.most = level.most.max(self.at_most.of(group, zone as usize));
        }
        self.levels[group as usize] = level;
    }

    /// Workloads on a node, those included that are being transferred away; 0 where the cluster has no
    /// [`PlaceRules`].
    pub fn workloads_on(&self, node: usize) -> u32 {
        self.on_node.get(node).copied().unwrap_or(0)
    }

    /// Members in a zone of a group that shares none, those included that are being transferred away.
    pub fn apart_in(&self, group: u32, zone: u32) -> u32 {
        self.apart.of(group, zone as usize)
    }

    /// Whether some zone may have so many more members of a spread group than another, transfers
    /// included.
    pub fn may_be_uneven(&self, max_skew: u32, group: u32) -> bool {
        let level = self.levels[group as usize];
        level.most.saturating_sub(level.least) > max_skew
    }

    /// Whether a workload may be on another node than it is on, `from`, or on a node at all.
    ///
    /// # Errors
    /// The first constraint that forbids it.
    #[inline(always)]
    pub fn allows(
        &self,
        spec: &ClusterSpec,
        workload: usize,
        from: Option<usize>,
        to: usize,
    ) -> Result<(), Infeasible> {
        match spec.places.as_deref() {
            None => Ok(()),
            Some(rules) => self.allowed_by(rules, spec, workload, from, to),
        }
    }

    /// Apart from [`PlaceCounts::allows`], so that clusters without such rules have a small loop.
    #[inline(never)]
    fn allowed_by(
        &self,
        rules: &PlaceRules,
        spec: &ClusterSpec,
        workload: usize,
        from: Option<usize>,
        to: usize,
    ) -> Result<(), Infeasible> {
        if !rules.in_set(workload, to) {
            return Err(Infeasible::NodeSet);
        }
        if self.on_node[to] >= rules.most_workloads[to] {
            return Err(Infeasible::WorkloadsPerNode);
        }
        let (from_zone, zone) = (from.map(|node| spec.node_zone[node]), spec.node_zone[to]);
        let (spread, apart) = (rules.spread[workload], rules.zone_group[workload]);
        let own = u32::from(from_zone == Some(zone));
        if apart != NO_GROUP && self.apart.of(apart, zone as usize) > own {
            return Err(Infeasible::ZoneAntiAffinity);
        }
        // Within a zone nothing changes for the group.
        if spread != NO_GROUP && own == 0 {
            let group = &rules.spread_groups[spread as usize];
            if self.skew_with(group, spread, from_zone, zone) > group.max_skew {
                return Err(Infeasible::ZoneSpread);
            }
        }
        Ok(())
    }

    /// By how many members the zone that one comes to is then above the others. Where it is the
    /// leaving that makes a zone the one with the fewest, all are above it, and the highest counts.
    fn skew_with(&self, group: &SpreadGroup, spread: u32, from_zone: Option<u32>, to: u32) -> u32 {
        let level = self.levels[spread as usize];
        let mut count = self.at_most.of(spread, to as usize) + 1;
        let mut least = if level.least_zone == to { level.second } else { level.least };
        if let Some(zone) = from_zone.filter(|zone| group.zones.binary_search(zone).is_ok()) {
            let left = self.surely.of(spread, zone as usize).saturating_sub(1);
            if left < level.least {
                count = count.max(level.most);
            }
            least = least.min(left);
        }
        count.saturating_sub(least)
    }
}
