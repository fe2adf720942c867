//! One point in time of a cluster's loads, and the arithmetic of a move on it.
//!
//! An [`Outlook`] holds what each node carries now (or at a forecast horizon). A move changes two
//! nodes: [`Departure`] is the source's side, [`Arrivals`] the destination's side for [`LANES`]
//! destinations at once. Observation, candidate ranking and the greedy baselines all use these,
//! so that there is one arithmetic for a move.

// Lanes are indexed in step across several arrays, which vectorises and reads like the formula.
#![allow(clippy::needless_range_loop)]

use crate::lanes::LANES;
use crate::resources::MAX_RESOURCES;
use crate::state::cluster::ClusterSpec;
use crate::state::objective::{MOST_OWN, Objective};
use crate::state::term::{LOAD_TERMS, Term};

mod own;
mod room;
mod shifts;

pub use room::Room;
pub use shifts::Shift;

/// A value for each of [`LANES`] destinations.
pub type Lanes = [f32; LANES];

/// Loads of all nodes at one point in time. `[m][P]` and `[P]` as in [`ClusterSpec`].
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Outlook {
    /// Demand that each node holds, transfers in flight included, `[m][P]`.
    pub held: Vec<f32>,
    /// Load L_i, `[P]`.
    pub load: Vec<f32>,
    /// Sum over resources of utilisation above 1, `[P]`.
    pub over: Vec<f32>,
    /// Deployable slots, `[P]`; 0 without a slot.
    pub slots: Vec<f32>,
    /// Free supply of the slot's resource, `[P]`; 0 without a slot, and on nodes that accept no
    /// workloads.
    pub free: Vec<f32>,
    /// 1 for nodes that accept workloads, 0 for the others, `[P]`.
    pub accepting: Vec<f32>,
    /// Mean load.
    pub mean_load: f32,
    /// Sum over nodes of (L_i - mean)^2: kept around the mean so that f32 suffices.
    square_dev: f32,
    imbalance: f32,
    over_total: f32,
    slots_total: f32,
    free_total: f32,
    top: Highest,
    /// One for each of the scenario's own terms.
    own: Vec<OwnValues>,
}

/// The three highest values with their nodes: a move leaves at least one of them as it is.
type Highest = [(f32, u32); 3];

/// No values yet.
const NONE_YET: Highest = [(f32::NEG_INFINITY, u32::MAX); 3];

/// An own term on all nodes.
#[derive(Debug, Clone, Default, PartialEq)]
struct OwnValues {
    /// `[P]`.
    of: Vec<f32>,
    total: f32,
    mean: f32,
    top: Highest,
}

/// The source's side of a move.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Departure {
    /// Load of the source after the move.
    pub load: f32,
    /// Utilisation of the source after the move, `[m]`.
    pub utilisation: [f32; MAX_RESOURCES],
    /// Slots gained at the source.
    pub slots_gained: f32,
    /// Free supply of the slot's resource at the source after the move.
    pub free: f32,
    /// Values of the own terms on the source after the move, in the order of [`Objective::own`].
    pub own: [f32; MOST_OWN],
    source: u32,
    load_before: f32,
    over_change: f32,
    free_change: f32,
    // The highest load of another node, that node, and the highest without both.
    top: f32,
    top_node: u32,
    second: f32,
}

/// [`LANES`] destinations of an outlook, side by side.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Tile {
    /// Node indices; `u32::MAX` in unused lanes.
    pub node: [u32; LANES],
    held: [Lanes; MAX_RESOURCES],
    inverse_supply: [Lanes; MAX_RESOURCES],
    supply: [Lanes; MAX_RESOURCES],
    load: Lanes,
    over: Lanes,
    slots: Lanes,
    free: Lanes,
}

/// The destinations' side of a move, and the change of the whole.
#[derive(Debug, Clone, Default)]
pub struct Arrivals {
    /// Load of the destination after the move.
    pub load: Lanes,
    /// Utilisation of the destination after the move, `[m]`.
    pub utilisation: [Lanes; MAX_RESOURCES],
    /// Slots gained (mostly lost) at the destination.
    pub slots_gained: Lanes,
    /// Free supply of the slot's resource at the destination after the move.
    pub free: Lanes,
    /// Change of each load term that has a weight; 0 for the others.
    pub terms: [Lanes; LOAD_TERMS],
    /// Change of the weighted objective, costs of the move not included.
    pub objective: Lanes,
}

/// Share by which a sum of f32 demands may exceed a supply before it counts as over capacity.
const FIT_TOLERANCE: f32 = 1e-5;

/// Whether a node of this supply can hold this much.
#[inline(always)]
pub fn fits(held: f32, demand: f32, supply: f32) -> bool {
    held + demand <= supply + supply * FIT_TOLERANCE
}

impl Outlook {
    /// An empty outlook of the right size.
    pub fn new(spec: &ClusterSpec, objective: &Objective) -> Self {
        let padded = spec.padded_nodes();
        let own = OwnValues { of: vec![0.0; padded], ..OwnValues::default() };
        Self {
            own: vec![own; objective.own.len()],
            held: vec![0.0; spec.resources * padded],
            load: vec![0.0; padded],
            over: vec![0.0; padded],
            slots: vec![0.0; padded],
            free: vec![0.0; padded],
            accepting: vec![1.0; padded],
            ..Self::default()
        }
    }

    /// Recomputes load, overload, slots and own terms of one node from what it holds.
    #[inline]
    pub fn refresh_node(&mut self, spec: &ClusterSpec, objective: &Objective, node: usize) {
        let padded = self.load.len();
        let (mut load, mut over) = (0.0, 0.0);
        for j in 0..spec.resources {
            let utilisation = self.held[j * padded + node] * spec.inverse_supply[j * padded + node];
            load += utilisation;
            over += (utilisation - 1.0).max(0.0);
        }
        self.load[node] = load;
        self.over[node] = over;
        if let Some(slot) = objective.slot {
            let at = slot.resource * padded + node;
            self.free[node] = self.accepting[node] * (spec.supply[at] - self.held[at]).max(0.0);
            self.slots[node] = whole_slots(self.free[node], slot.size);
        }
        if !self.own.is_empty() {
            self.refresh_own(spec, objective, node);
        }
    }

    /// Recomputes what is summed over nodes.
    pub fn refresh_totals(&mut self, spec: &ClusterSpec) {
        let n = spec.nodes();
        self.mean_load = sum(&self.load[..n]) / n as f32;
        self.square_dev = 0.0;
        self.top = NONE_YET;
        for (i, &load) in self.load[..n].iter().enumerate() {
            let dev = load - self.mean_load;
            self.square_dev += dev * dev;
            self.top = with(self.top, (load, i as u32));
        }
        self.imbalance = imbalance(self.square_dev / n as f32, self.mean_load);
        self.over_total = sum(&self.over[..n]);
        self.slots_total = sum(&self.slots[..n]);
        self.free_total = sum(&self.free[..n]);
        for own in &mut self.own {
            own.refresh_totals(n);
        }
    }

    /// The load terms: max_load, imbalance, overload, fragmentation, own.
    pub fn terms(&self, objective: &Objective) -> [f32; LOAD_TERMS] {
        [
            self.top[0].0.max(0.0),
            self.imbalance,
            self.over_total,
            objective
                .slot
                .map_or(0.0, |slot| fragmentation(self.slots_total, slot.size, self.free_total)),
            self.own_terms(objective).fold(0.0, |sum, (term, value)| sum + term.weight * value),
        ]
    }

    /// Deployable slots in the whole cluster.
    pub fn total_slots(&self) -> f32 {
        self.slots_total
    }

    /// Free supply of the slot's resource in the whole cluster.
    pub fn total_free(&self) -> f32 {
        self.free_total
    }

    /// The source's side of moving `demand` (`[m]`) away from `source`.
    #[inline(always)]
    pub fn departure(
        &self,
        spec: &ClusterSpec,
        objective: &Objective,
        source: usize,
        demand: &[f32],
    ) -> Departure {
        let padded = self.load.len();
        let mut out = Departure {
            source: source as u32,
            load_before: self.load[source],
            ..Departure::default()
        };
        let mut over = 0.0;
        for (j, &d) in demand.iter().enumerate() {
            let at = j * padded + source;
            let utilisation = (self.held[at] - d).max(0.0) * spec.inverse_supply[at];
            out.utilisation[j] = utilisation;
            out.load += utilisation;
            over += (utilisation - 1.0).max(0.0);
        }
        out.over_change = over - self.over[source];
        if let Some(slot) = objective.slot {
            let at = slot.resource * padded + source;
            let held = (self.held[at] - demand[slot.resource]).max(0.0);
            out.free = self.accepting[source] * (spec.supply[at] - held).max(0.0);
            out.free_change = out.free - self.free[source];
            out.slots_gained = whole_slots(out.free, slot.size) - self.slots[source];
        }
        (out.top, out.top_node, out.second) = without(self.top, source as u32);
        if !self.own.is_empty() {
            out.own = self.own_values_without(spec, objective, source, demand);
        }
        out
    }

    /// Fills a tile with the nodes `first .. first + LANES`.
    pub fn tile_of_block(&self, spec: &ClusterSpec, first: usize, tile: &mut Tile) {
        let padded = self.load.len();
        let n = spec.nodes();
        for (lane, node) in tile.node.iter_mut().enumerate() {
            let i = first + lane;
            *node = if i < n { i as u32 } else { u32::MAX };
        }
        for j in 0..spec.resources {
            let at = j * padded + first;
            tile.held[j].copy_from_slice(&self.held[at..at + LANES]);
            tile.inverse_supply[j].copy_from_slice(&spec.inverse_supply[at..at + LANES]);
            tile.supply[j].copy_from_slice(&spec.supply[at..at + LANES]);
        }
        tile.load.copy_from_slice(&self.load[first..first + LANES]);
        tile.over.copy_from_slice(&self.over[first..first + LANES]);
        tile.slots.copy_from_slice(&self.slots[first..first + LANES]);
        tile.free.copy_from_slice(&self.free[first..first + LANES]);
    }

    /// Fills a tile with these nodes (at most [`LANES`]); further lanes are unused.
    pub fn tile_of_nodes(&self, spec: &ClusterSpec, nodes: &[u32], tile: &mut Tile) {
        let padded = self.load.len();
        tile.node = [u32::MAX; LANES];
        for (lane, &node) in nodes.iter().enumerate() {
            let i = node as usize;
            tile.node[lane] = node;
            for j in 0..spec.resources {
                tile.held[j][lane] = self.held[j * padded + i];
                tile.inverse_supply[j][lane] = spec.inverse_supply[j * padded + i];
                tile.supply[j][lane] = spec.supply[j * padded + i];
            }
            tile.load[lane] = self.load[i];
            tile.over[lane] = self.over[i];
            tile.slots[lane] = self.slots[i];
            tile.free[lane] = self.free[i];
        }
    }

    /// The destinations' side, and the change of every weighted level term.
    ///
    /// A lane whose node is the source, or unused, carries no meaning.
    #[inline(always)]
    pub fn arrivals(
        &self,
        nodes: usize,
        objective: &Objective,
        departure: &Departure,
        demand: &[f32],
        tile: &Tile,
        out: &mut Arrivals,
    ) {
        // Each sum is a local array that is stored once: kept in `out`, it would travel through
        // memory between terms, which takes longer than the arithmetic.
        let mut load = tile.load;
        let mut over = [0.0; LANES];
        for (j, &d) in demand.iter().enumerate() {
            let mut utilisation = [0.0; LANES];
            for l in 0..LANES {
                utilisation[l] = (tile.held[j][l] + d) * tile.inverse_supply[j][l];
                load[l] += d * tile.inverse_supply[j][l];
                over[l] += (utilisation[l] - 1.0).max(0.0);
            }
            out.utilisation[j] = utilisation;
        }
        out.load = load;
        let mut total = [0.0; LANES];
        let mut add = |term: Term, lanes: &Lanes| {
            let weight = objective.weights[term as usize];
            for l in 0..LANES {
                total[l] += weight * lanes[l];
            }
            out.terms[term as usize] = *lanes;
        };
        let mut lanes = [0.0; LANES];
        if objective.uses(Term::MaxLoad) {
            let before = self.top[0].0;
            for l in 0..LANES {
                let others = if tile.node[l] == departure.top_node {
                    departure.second
                } else {
                    departure.top
                };
                lanes[l] = others.max(load[l]).max(departure.load) - before;
            }
            add(Term::MaxLoad, &lanes);
        }
        if objective.uses(Term::Imbalance) {
            let n = nodes as f32;
            let center = self.mean_load;
            let before = self.imbalance;
            let (source_before, source_after) =
                (departure.load_before - center, departure.load - center);
            let square =
                self.square_dev - source_before * source_before + source_after * source_after;
            let shift = source_after - source_before;
            let inverse_n = 1.0 / n;
            for l in 0..LANES {
                let (b, a) = (tile.load[l] - center, load[l] - center);
                let mean_shift = (shift + a - b) * inverse_n;
                let variance = (square - b * b + a * a) * inverse_n - mean_shift * mean_shift;
                lanes[l] = imbalance(variance, center + mean_shift) - before;
            }
            add(Term::Imbalance, &lanes);
        }
        if objective.uses(Term::Overload) {
            for l in 0..LANES {
                lanes[l] = over[l] - tile.over[l] + departure.over_change;
            }
            add(Term::Overload, &lanes);
        }
        if let Some(slot) = objective.slot {
            let before = fragmentation(self.slots_total, slot.size, self.free_total);
            let d = demand[slot.resource];
            let (held, supply) = (&tile.held[slot.resource], &tile.supply[slot.resource]);
            let (mut free, mut gained) = ([0.0; LANES], [0.0; LANES]);
            for l in 0..LANES {
                free[l] = (supply[l] - held[l] - d).max(0.0);
                gained[l] = whole_slots(free[l], slot.size) - tile.slots[l];
                let slots = self.slots_total + departure.slots_gained + gained[l];
                let total = self.free_total + departure.free_change + free[l] - tile.free[l];
                lanes[l] = fragmentation(slots, slot.size, total) - before;
            }
            (out.free, out.slots_gained) = (free, gained);
            add(Term::Fragmentation, &lanes);
        }
        out.objective = total;
        if objective.uses(Term::Own) {
            let source = (departure.source, departure.own);
            let change = self.own_change(nodes, objective, source, demand, tile);
            for l in 0..LANES {
                out.objective[l] += change[l];
            }
            out.terms[Term::Own as usize] = change;
        }
    }
}

impl Tile {
    /// Lanes whose node has room for `demand`; a resource that is not demanded is not looked at.
    #[inline(always)]
    pub fn has_room(&self, demand: &[f32]) -> [bool; LANES] {
        let mut room = [false; LANES];
        for l in 0..LANES {
            room[l] = self.node[l] != u32::MAX;
        }
        for (j, &d) in demand.iter().enumerate() {
            if d > 0.0 {
                for l in 0..LANES {
                    room[l] &= fits(self.held[j][l], d, self.supply[j][l]);
                }
            }
        }
        room
    }
}

/// Whole slots in this much free supply; the tolerance is for sums of decimal fractions.
#[inline(always)]
pub fn whole_slots(free: f32, size: f32) -> f32 {
    (free / size + 1e-4).floor()
}

/// The term of this name: the share of free supply that no whole slot can use.
#[inline(always)]
pub fn fragmentation(slots: f32, size: f32, free: f32) -> f32 {
    if free > 0.0 { 1.0 - slots * size / free } else { 0.0 }
}

/// The term of this name, of loads with this variance and mean.
#[inline(always)]
pub fn imbalance(variance: f32, mean: f32) -> f32 {
    if mean > 0.0 { variance.max(0.0).sqrt() / mean } else { 0.0 }
}

/// The highest values with one more among them.
#[inline(always)]
fn with([first, second, third]: Highest, entry: (f32, u32)) -> Highest {
    // Selections instead of branches: which way they go is anyone's guess.
    let above = [first, second, third].map(|(top, _)| entry.0 > top);
    [
        if above[0] { entry } else { first },
        if above[0] {
            first
        } else if above[1] {
            entry
        } else {
            second
        },
        if above[1] {
            second
        } else if above[2] {
            entry
        } else {
            third
        },
    ]
}

/// Of the nodes but this one: the highest value, its node, and the highest without both.
#[inline(always)]
fn without([a, b, c]: Highest, node: u32) -> (f32, u32, f32) {
    if a.1 == node {
        (b.0, b.1, c.0)
    } else if b.1 == node {
        (a.0, a.1, c.0)
    } else {
        (a.0, a.1, b.0)
    }
}

fn sum(values: &[f32]) -> f32 {
    values.iter().sum()
}
