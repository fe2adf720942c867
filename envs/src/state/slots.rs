//! How far each node is from its next deployable slot.
//!
//! A slot (say 16 cores on one node) becomes deployable when enough of the node's workloads have
//! left. The fewest departures that complete the next slot are a leading indicator of progress
//! that fragmentation itself, a step function, does not show.

use crate::state::NOWHERE;
use crate::state::cluster::ClusterSpec;
use crate::state::objective::{Objective, Slot};
use crate::state::outlook::whole_slots;

/// Bins of workload size, relative to the slot: at most 1/8, 1/4, 1/2, 1, larger.
pub const SIZE_BINS: usize = 5;

/// The count that stands for "cannot be completed".
pub const MOST_REMOVALS: f32 = 8.0;

/// How near a slot is that so many removals complete, as a feature: 1 for one removal, half of it
/// for each further one, 0 where it cannot be completed.
pub fn nearness(removals: f32) -> f32 {
    const BY_COUNT: [f32; 9] = [1.0, 1.0, 0.5, 0.25, 0.125, 0.0625, 0.031_25, 0.015_625, 0.0];
    BY_COUNT[(removals as usize).min(8)]
}

/// Slot arithmetic of each node; empty where the objective has no slot.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct SlotView {
    /// Slot demand of the movable workloads on each node, largest first.
    sizes: Vec<Vec<f32>>,
    /// Fewest departures that complete the node's next slot, at most [`MOST_REMOVALS`], `[N]`.
    pub removals: Vec<f32>,
    /// Movable workloads on each node by size, `[N][SIZE_BINS]`.
    pub size_counts: Vec<[f32; SIZE_BINS]>,
}

impl SlotView {
    /// A view of the right size.
    pub fn new(spec: &ClusterSpec, objective: &Objective) -> Self {
        let nodes = if objective.slot.is_some() { spec.nodes() } else { 0 };
        Self {
            sizes: vec![Vec::new(); nodes],
            removals: vec![0.0; nodes],
            size_counts: vec![[0.0; SIZE_BINS]; nodes],
        }
    }

    /// Recomputes all nodes. `demand` is `[K][m]`, `free` the slot resource's free supply `[P]`.
    pub fn rebuild(
        &mut self,
        spec: &ClusterSpec,
        objective: &Objective,
        demand: &[f32],
        placement: &[u32],
        free: &[f32],
    ) {
        let Some(slot) = objective.slot else { return };
        self.sizes.iter_mut().for_each(Vec::clear);
        for (k, &node) in placement.iter().enumerate() {
            if node == NOWHERE {
                continue;
            }
            self.push(spec, slot, demand, k, node as usize);
        }
        for (node, &free) in free.iter().enumerate().take(self.sizes.len()) {
            self.finish(slot, node, free);
        }
    }

    /// Recomputes one node.
    pub fn refresh(
        &mut self,
        spec: &ClusterSpec,
        objective: &Objective,
        demand: &[f32],
        placement: &[u32],
        free: &[f32],
        node: usize,
    ) {
        let Some(slot) = objective.slot else { return };
        self.sizes[node].clear();
        for (k, &at) in placement.iter().enumerate() {
            if at as usize == node {
                self.push(spec, slot, demand, k, node);
            }
        }
        self.finish(slot, node, free[node]);
    }

    /// Fewest departures that complete the next slot of `node` once a workload of this size has
    /// left it. `free` is what is free on the node after that.
    pub fn removals_without(&self, slot: Slot, node: usize, size: f32, free: f32) -> f32 {
        removals(&self.sizes[node], None, slot.size, free, Some(size))
    }

    /// The same once a workload of this size has arrived at `node`.
    pub fn removals_with(&self, slot: Slot, node: usize, size: f32, free: f32) -> f32 {
        removals(&self.sizes[node], Some(size), slot.size, free, None)
    }

    fn push(
        &mut self,
        spec: &ClusterSpec,
        slot: Slot,
        demand: &[f32],
        workload: usize,
        node: usize,
    ) {
        let size = demand[workload * spec.resources + slot.resource];
        if spec.movable[workload] && size > 0.0 {
            self.sizes[node].push(size);
        }
    }

    fn finish(&mut self, slot: Slot, node: usize, free: f32) {
        let sizes = &mut self.sizes[node];
        sizes.sort_unstable_by(|a, b| b.total_cmp(a));
        self.removals[node] = removals(sizes, None, slot.size, free, None);
        let mut counts = [0.0; SIZE_BINS];
        for &size in sizes.iter() {
            let bin = [0.125, 0.25, 0.5, 1.0]
                .iter()
                .position(|&edge| size <= slot.size * edge * 1.0001)
                .unwrap_or(SIZE_BINS - 1);
            counts[bin] += 1.0;
        }
        self.size_counts[node] = counts;
    }
}

/// Largest-first removal is the fewest: any other choice of as many frees no more.
///
/// `sizes` is sorted, largest first; `with` joins it and `without` (one of its sizes) leaves it.
fn removals(
    sizes: &[f32],
    with: Option<f32>,
    slot_size: f32,
    free: f32,
    mut without: Option<f32>,
) -> f32 {
    let mut missing = (whole_slots(free, slot_size) + 1.0) * slot_size - free;
    let mut count = 0.0;
    let joins = with.map_or(usize::MAX, |size| sizes.partition_point(|&other| other >= size));
    for at in 0..sizes.len() + usize::from(with.is_some()) {
        let size = match with {
            Some(size) if at == joins => size,
            Some(_) if at > joins => sizes[at - 1],
            _ => sizes[at],
        };
        if without == Some(size) {
            without = None;
            continue;
        }
        count += 1.0;
        missing -= size;
        if missing <= slot_size * 1e-4 || count >= MOST_REMOVALS {
            return count;
        }
    }
    MOST_REMOVALS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fewest_removals_complete_the_next_slot() {
        // 4 free of a 16-slot: 12 missing; 8 + 4 take two removals.
        assert_eq!(removals(&[8.0, 4.0, 2.0], None, 16.0, 4.0, None), 2.0);
        // One of the 8s has left (12 free): 4 missing, the next 8 completes it.
        assert_eq!(removals(&[8.0, 8.0], None, 16.0, 12.0, Some(8.0)), 1.0);
        // Nothing that could leave suffices.
        assert_eq!(removals(&[2.0], None, 16.0, 4.0, None), MOST_REMOVALS);
        // A 4 arrives (0 free): 16 missing, 8 + 4 + 4 complete it.
        assert_eq!(removals(&[8.0, 4.0, 2.0], Some(4.0), 16.0, 0.0, None), 3.0);
        // Exactly one slot free: the next one is a whole slot away.
        assert_eq!(removals(&[16.0], None, 16.0, 16.0, None), 1.0);
    }
}
