//! What several moves together do to an outlook.

use super::own::own_values_of;
use super::{Outlook, fragmentation, imbalance, whole_slots};
use crate::resources::MAX_RESOURCES;
use crate::state::cluster::ClusterSpec;
use crate::state::objective::{MOST_OWN, Objective};
use crate::state::term::Term;

/// Most nodes that the moves of one change touch: both of three moves.
const MOST_NODES: usize = 6;

/// A demand that goes from one node to another.
#[derive(Debug, Clone, Copy)]
pub struct Shift<'a> {
    /// `[m]`.
    pub demand: &'a [f32],
    /// The node that it leaves.
    pub from: usize,
    /// The node that it goes to.
    pub to: usize,
}

impl Outlook {
    /// Change of the weighted objective by at most three moves, their costs not included.
    pub fn change_by_shifts<'a>(
        &self,
        spec: &ClusterSpec,
        objective: &Objective,
        shifts: impl Iterator<Item = Shift<'a>> + Clone,
    ) -> f32 {
        let (mut nodes, mut count) = ([usize::MAX; MOST_NODES], 0);
        for node in shifts.clone().flat_map(|shift| [shift.from, shift.to]) {
            if !nodes[..count].contains(&node) {
                nodes[count] = node;
                count += 1;
            }
        }
        let nodes = &nodes[..count];
        let (n, padded, center) = (spec.nodes() as f32, self.load.len(), self.mean_load);
        let (mut highest, mut square, mut shifted) = (f32::NEG_INFINITY, self.square_dev, 0.0);
        let (mut over_change, mut slots, mut free) = (0.0, self.slots_total, self.free_total);
        let mut own = [[0.0; MOST_OWN]; MOST_NODES];
        for (at_node, &node) in nodes.iter().enumerate() {
            let (mut load, mut over) = (0.0, 0.0);
            let mut held_after = [0.0; MAX_RESOURCES];
            for j in 0..spec.resources {
                let at = j * padded + node;
                let mut held = self.held[at];
                for shift in shifts.clone() {
                    held += if shift.to == node { shift.demand[j] } else { 0.0 };
                    held -= if shift.from == node { shift.demand[j] } else { 0.0 };
                }
                let held = held.max(0.0);
                held_after[j] = held;
                let utilisation = held * spec.inverse_supply[at];
                load += utilisation;
                over += (utilisation - 1.0).max(0.0);
                if let Some(slot) = objective.slot.filter(|slot| slot.resource == j) {
                    let left = self.accepting[node] * (spec.supply[at] - held).max(0.0);
                    slots += whole_slots(left, slot.size) - self.slots[node];
                    free += left - self.free[node];
                }
            }
            let (before, after) = (self.load[node] - center, load - center);
            square += after * after - before * before;
            shifted += after - before;
            over_change += over - self.over[node];
            highest = highest.max(load);
            if objective.uses(Term::Own) {
                own[at_node] = own_values_of(spec, objective, node, |j| held_after[j]);
            }
        }
        let mut change = 0.0;
        let mut add = |term: Term, by: f32| change += objective.weights[term as usize] * by;
        if objective.uses(Term::MaxLoad) {
            let others = (0..spec.nodes()).filter(|node| !nodes.contains(node));
            let highest = others.map(|node| self.load[node]).fold(highest, f32::max);
            add(Term::MaxLoad, highest - self.top[0].0);
        }
        if objective.uses(Term::Imbalance) {
            let mean_shift = shifted / n;
            let variance = square / n - mean_shift * mean_shift;
            add(Term::Imbalance, imbalance(variance, center + mean_shift) - self.imbalance);
        }
        if objective.uses(Term::Overload) {
            add(Term::Overload, over_change);
        }
        if let Some(slot) = objective.slot {
            let before = fragmentation(self.slots_total, slot.size, self.free_total);
            add(Term::Fragmentation, fragmentation(slots, slot.size, free) - before);
        }
        if objective.uses(Term::Own) {
            let values = &own[..nodes.len()];
            add(Term::Own, self.own_change_of_several(spec.nodes(), objective, nodes, values));
        }
        change
    }
}
