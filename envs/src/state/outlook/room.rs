//! The room on nodes, as they are or as a workload leaves them, and what it is worth to move
//! another workload into it.

use super::{Departure, Outlook, Tile, imbalance};
use crate::lanes::{LANES, Lanes};
use crate::state::NOWHERE;
use crate::state::cluster::ClusterSpec;
use crate::state::objective::Objective;
use crate::state::term::Term;

/// [`LANES`] nodes side by side, each in a cluster of its own: with one workload less, or as it is.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Room {
    /// The nodes; only nodes, holdings, supplies, loads and overloads are kept up.
    pub tile: Tile,
    /// Highest load of the lane's cluster.
    max_load: Lanes,
    imbalance: Lanes,
    /// How the sum of all loads, and that of their squared distances to the outlook's mean, differ
    /// from the outlook's.
    load_shift: Lanes,
    square_shift: Lanes,
}

impl Outlook {
    /// Fills a room with the nodes `first .. first + LANES` as they are.
    pub fn room_of_block(&self, spec: &ClusterSpec, first: usize, room: &mut Room) {
        self.tile_of_block(spec, first, &mut room.tile);
        let before = room.tile.load;
        self.sum_up(spec.nodes(), &before, room);
    }

    /// Fills a room with what each of some workloads leaves behind: lane l is the node
    /// `placement[l]` without the demand `demand[l * m ..][.. m]` of one workload on it, or nothing
    /// where that is [`NOWHERE`].
    #[inline(always)]
    pub fn room_left(
        &self,
        spec: &ClusterSpec,
        placement: &[u32],
        demand: &[f32],
        room: &mut Room,
    ) {
        let padded = self.load.len();
        let tile = &mut room.tile;
        // An unused lane is one that has no node.
        tile.node = [NOWHERE; LANES];
        let mut before = [0.0; LANES];
        for (l, demand) in demand.chunks_exact(spec.resources).enumerate() {
            let node = placement[l];
            if node == NOWHERE {
                continue;
            }
            let i = node as usize;
            tile.node[l] = node;
            (tile.load[l], tile.over[l]) = (0.0, 0.0);
            before[l] = self.load[i];
            for (j, &d) in demand.iter().enumerate() {
                let at = j * padded + i;
                let held = (self.held[at] - d).max(0.0);
                let utilisation = held * spec.inverse_supply[at];
                tile.held[j][l] = held;
                tile.supply[j][l] = spec.supply[at];
                tile.inverse_supply[j][l] = spec.inverse_supply[at];
                tile.load[l] += utilisation;
                tile.over[l] += (utilisation - 1.0).max(0.0);
            }
        }
        self.sum_up(spec.nodes(), &before, room);
    }

    /// What is summed over the nodes of each lane's cluster; `before` are its node's loads in this
    /// outlook.
    #[inline(always)]
    fn sum_up(&self, nodes: usize, before: &Lanes, room: &mut Room) {
        let inverse_n = 1.0 / nodes as f32;
        let [highest, second, _] = self.top;
        for l in 0..LANES {
            let tile = &room.tile;
            let others = if tile.node[l] == highest.1 { second.0 } else { highest.0 };
            room.max_load[l] = others.max(tile.load[l]);
            let (b, a) = (before[l] - self.mean_load, tile.load[l] - self.mean_load);
            room.load_shift[l] = a - b;
            room.square_shift[l] = a * a - b * b;
            let mean_shift = room.load_shift[l] * inverse_n;
            let square = self.square_dev + room.square_shift[l];
            let variance = square * inverse_n - mean_shift * mean_shift;
            room.imbalance[l] = imbalance(variance, self.mean_load + mean_shift);
        }
    }

    /// Change of the weighted max_load, imbalance and overload when `demand` moves from the node of
    /// its `departure` into each lane's room, in a cluster that differs from this outlook by that
    /// room alone. Other terms are left out: it is for objectives that use none of them. A lane whose node is the source, or unused, carries no meaning.
    #[inline(always)]
    pub fn change_by_filling(
        &self,
        nodes: usize,
        objective: &Objective,
        departure: &Departure,
        demand: &[f32],
        room: &Room,
    ) -> Lanes {
        let tile = &room.tile;
        let mut load = tile.load;
        let mut over = [0.0; LANES];
        for (j, &d) in demand.iter().enumerate() {
            for l in 0..LANES {
                load[l] += d * tile.inverse_supply[j][l];
                let utilisation = (tile.held[j][l] + d) * tile.inverse_supply[j][l];
                over[l] += (utilisation - 1.0).max(0.0);
            }
        }
        let mut change = [0.0; LANES];
        let weight = objective.weights[Term::MaxLoad as usize];
        if weight != 0.0 {
            for l in 0..LANES {
                let others = if tile.node[l] == departure.top_node {
                    departure.second
                } else {
                    departure.top
                };
                let after = others.max(load[l]).max(departure.load);
                change[l] += weight * (after - room.max_load[l]);
            }
        }
        let weight = objective.weights[Term::Imbalance as usize];
        if weight != 0.0 {
            let center = self.mean_load;
            let inverse_n = 1.0 / nodes as f32;
            let (source_before, source_after) =
                (departure.load_before - center, departure.load - center);
            let shift = source_after - source_before;
            let square =
                self.square_dev - source_before * source_before + source_after * source_after;
            for l in 0..LANES {
                let (b, a) = (tile.load[l] - center, load[l] - center);
                let mean_shift = (shift + room.load_shift[l] + a - b) * inverse_n;
                let square = square + room.square_shift[l] - b * b + a * a;
                let variance = square * inverse_n - mean_shift * mean_shift;
                change[l] +=
                    weight * (imbalance(variance, center + mean_shift) - room.imbalance[l]);
            }
        }
        let weight = objective.weights[Term::Overload as usize];
        if weight != 0.0 {
            for l in 0..LANES {
                change[l] += weight * (over[l] - tile.over[l] + departure.over_change);
            }
        }
        change
    }

    /// The two most loaded nodes; `u32::MAX` where there are fewer.
    pub fn most_loaded(&self) -> [u32; 2] {
        [self.top[0].1, self.top[1].1]
    }
}
