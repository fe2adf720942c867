//! Draws start placements that keep every hard constraint.

use crate::reassignment::{Instance, Solution};
use crate::rng::Rng;
use crate::state::NOWHERE;
use crate::state::cluster::{ClusterSpec, NO_GROUP};
use crate::state::members::MemberCounts;
use crate::state::outlook::fits;
use crate::state::place_counts::PlaceCounts;
use rand::{RngExt, seq::SliceRandom};
use std::sync::Arc;

/// Nodes being filled.
#[derive(Debug, Clone)]
pub struct Packing<'a> {
    spec: &'a ClusterSpec,
    demand: &'a [f32],
    held: Vec<f32>,
    members: MemberCounts,
    place_counts: PlaceCounts,
    /// Node of each workload; [`NOWHERE`] while it has none.
    pub placement: Vec<u32>,
    /// Workloads that are not there and get no node, `[K]`; empty if all are there.
    pub absent: Vec<bool>,
    /// Where all workloads are placed, and the cluster has these constraints.
    reassignment: Option<Solution<Arc<Instance>>>,
}

impl<'a> Packing<'a> {
    /// Empty nodes. `demand` is `[K][m]`.
    pub fn new(spec: &'a ClusterSpec, demand: &'a [f32]) -> Self {
        Self {
            spec,
            demand,
            held: vec![0.0; spec.resources * spec.nodes()],
            members: MemberCounts::new(spec.groups, spec.nodes()),
            place_counts: PlaceCounts::new(spec),
            placement: vec![NOWHERE; spec.workloads()],
            absent: Vec::new(),
            reassignment: None,
        }
    }

    /// Nodes filled as a placement says, whether or not it fits.
    pub fn with(spec: &'a ClusterSpec, demand: &'a [f32], placement: &[u32]) -> Self {
        let mut packing = Self::new(spec, demand);
        for (k, &node) in placement.iter().enumerate().filter(|(_, node)| **node != NOWHERE) {
            packing.put(k, node as usize);
        }
        packing.reassignment = spec
            .reassignment
            .clone()
            .map(|instance| Solution::with_assignment(instance, placement));
        packing
    }

    /// Whether the workload may be put on the node.
    pub fn fits(&self, workload: usize, node: usize) -> bool {
        let spec = self.spec;
        let group = spec.group[workload];
        let board = self.reassignment.as_ref();
        let placed = self.placement[workload];
        let from = (placed != NOWHERE).then_some(placed as usize);
        spec.class_allows(workload, node)
            && board.is_none_or(|board| board.broken_by(workload, node).is_none())
            && (group == NO_GROUP || self.members.of(group, node) == 0)
            && self.place_counts.allows(spec, workload, from, node).is_ok()
            && self.demand_of(workload).iter().enumerate().all(|(j, &d)| {
                d <= 0.0 || fits(self.held[node * spec.resources + j], d, spec.supply_of(node, j))
            })
    }

    /// Puts a workload on a node.
    pub fn put(&mut self, workload: usize, node: usize) {
        self.hold(workload, node, 1.0);
        let group = self.spec.group[workload];
        if group != NO_GROUP {
            self.members.add(group, node);
        }
        self.place_counts.add(self.spec, workload, node);
        self.placement[workload] = node as u32;
        if let Some(board) = &mut self.reassignment {
            board.apply_shift(workload, node);
        }
    }

    /// Takes a workload from its node.
    pub fn take(&mut self, workload: usize) {
        let node = self.placement[workload] as usize;
        self.hold(workload, node, -1.0);
        let group = self.spec.group[workload];
        if group != NO_GROUP {
            self.members.take(group, node);
        }
        self.place_counts.take(self.spec, workload, node);
        self.placement[workload] = NOWHERE;
    }

    /// Puts a workload on a uniformly drawn node where it fits; false if there is none.
    pub fn put_at_random(&mut self, workload: usize, rng: &mut Rng) -> bool {
        let n = self.spec.nodes();
        // Reservoir sampling over the feasible nodes: one pass, no list.
        let (mut chosen, mut feasible) = (None, 0);
        for node in 0..n {
            if self.fits(workload, node) {
                feasible += 1;
                if rng.random_range(0..feasible) == 0 {
                    chosen = Some(node);
                }
            }
        }
        chosen.map(|node| self.put(workload, node)).is_some()
    }

    /// Moves a random movable workload to another random node where it fits.
    pub fn move_at_random(&mut self, rng: &mut Rng) {
        let k = rng.random_range(0..self.placement.len());
        if !self.spec.movable[k] || self.placement[k] == NOWHERE {
            return;
        }
        let source = self.placement[k] as usize;
        for _ in 0..16 {
            let node = rng.random_range(0..self.spec.nodes());
            if node != source && self.fits(k, node) {
                self.take(k);
                self.put(k, node);
                return;
            }
        }
    }

    /// Largest first (by share of the largest supply), each on a random node where it fits.
    pub fn fill_at_random(&mut self, rng: &mut Rng) -> bool {
        self.by_size(rng).into_iter().all(|k| self.put_at_random(k, rng))
    }

    /// Largest first, each on the first node that fits in a random order of nodes.
    pub fn fill_packed(&mut self, rng: &mut Rng) -> bool {
        let mut nodes: Vec<usize> = (0..self.spec.nodes()).collect();
        nodes.shuffle(rng);
        self.by_size(rng).into_iter().all(|k| {
            match nodes.iter().copied().find(|&node| self.fits(k, node)) {
                Some(node) => {
                    self.put(k, node);
                    true
                }
                None => false,
            }
        })
    }

    /// Workloads without a node, the large ones first. Sizes are compared in coarse steps so that
    /// the order within a size is random.
    fn by_size(&self, rng: &mut Rng) -> Vec<usize> {
        let mut order: Vec<usize> =
            (0..self.placement.len()).filter(|&k| self.lacks_node(k)).collect();
        order.shuffle(rng);
        let largest: Vec<f32> = (0..self.spec.resources)
            .map(|j| (0..self.spec.nodes()).map(|i| self.spec.supply_of(i, j)).fold(0.0, f32::max))
            .collect();
        order.sort_by_key(|&k| {
            let share = self
                .demand_of(k)
                .iter()
                .zip(&largest)
                .map(|(d, most)| if *most > 0.0 { d / most } else { 0.0 })
                .fold(0.0, f32::max);
            std::cmp::Reverse((share * 4.0) as u32)
        });
        order
    }

    fn lacks_node(&self, workload: usize) -> bool {
        self.placement[workload] == NOWHERE && !self.absent.get(workload).is_some_and(|&a| a)
    }

    fn demand_of(&self, workload: usize) -> &'a [f32] {
        &self.demand[workload * self.spec.resources..(workload + 1) * self.spec.resources]
    }

    fn hold(&mut self, workload: usize, node: usize, sign: f32) {
        for (j, d) in self.demand_of(workload).iter().enumerate() {
            self.held[node * self.spec.resources + j] += sign * d;
        }
    }
}
