//! What a candidate makes room for: the best further move of a workload of the most loaded nodes
//! into the room that the candidate's workload leaves. Swaps and chains show their gain at the
//! first move, which by itself often has none.

use crate::lanes::{LANES, Lanes};
use crate::state::ClusterState;
use crate::state::cluster::NO_GROUP;
use crate::state::outlook::{Departure, Room};
use crate::state::places::NO_SET;

/// Gains by follow-up moves, for the views of a state: now, and each forecast horizon. A gain is a
/// change of the weighted objective, at most 0: nobody has to make the move.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct FollowUps {
    /// Workloads of each view's most loaded nodes, by ascending workload.
    moves: Vec<Move>,
    /// Best gain by a move into the room that there is anyway, per view.
    direct: Vec<f32>,
    /// Best gain by a move into the room that a workload leaves; lane l of `[b][view]` is that of
    /// workload `b * LANES + l`.
    gain: Vec<Lanes>,
    /// Which [`LANES`] workloads' gains are known.
    known: Vec<bool>,
    // Scratch: the same room in each view, and the best gain by it.
    rooms: Vec<Room>,
    best: Vec<Lanes>,
}

/// A workload that could follow.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Move {
    workload: usize,
    view: usize,
    departure: Departure,
}

impl FollowUps {
    /// Forgets what was known of another state.
    #[inline(always)]
    pub fn start(&mut self, state: &ClusterState) {
        let views = state.views();
        let spec = &*state.spec;
        self.moves.clear();
        for k in 0..spec.workloads() {
            // Whoever may move by the next tick.
            if !spec.movable[k] || state.cooldown[k] > 1 || state.is_in_transfer(k) {
                continue;
            }
            let Some(node) = state.node_of(k) else { continue };
            if state.fences.holds(k, node) {
                continue;
            }
            for view in 0..views {
                let (outlook, demand) = (state.outlook(view), state.demand_in(view, k));
                if outlook.most_loaded().contains(&(node as u32)) {
                    let departure = outlook.departure(spec, &state.objective, node, demand);
                    self.moves.push(Move { workload: k, view, departure });
                }
            }
        }
        let blocks = spec.workloads().div_ceil(LANES);
        self.known.clear();
        self.known.resize(blocks, false);
        self.gain.resize(blocks * views, [0.0; LANES]);
        self.rooms.resize_with(views, Room::default);
        self.best.resize(views, [0.0; LANES]);
        self.direct.clear();
        self.direct.resize(views, 0.0);
        for first in (0..spec.padded_nodes()).step_by(LANES) {
            for (view, room) in self.rooms.iter_mut().enumerate() {
                state.outlook(view).room_of_block(spec, first, room);
            }
            best_gains(state, &self.moves, &self.rooms, &[], &mut self.best);
            for (direct, best) in self.direct.iter_mut().zip(&self.best) {
                *direct = best.iter().copied().fold(*direct, f32::min);
            }
        }
    }

    /// The best gain in `view` once workload `k` has left its node, and by how much it is better
    /// than the best without that.
    #[inline(always)]
    pub fn of(&mut self, state: &ClusterState, view: usize, k: usize) -> [f32; 2] {
        let block = k / LANES;
        if !self.known[block] {
            self.known[block] = true;
            self.fill(state, block);
        }
        let gain = self.gain[block * state.views() + view][k % LANES];
        [gain, (gain - self.direct[view]).min(0.0)]
    }

    /// Works out the gains of a block of workloads.
    #[inline(always)]
    fn fill(&mut self, state: &ClusterState, block: usize) {
        let (spec, m) = (&*state.spec, state.spec.resources);
        let first = block * LANES;
        let last = (first + LANES).min(spec.workloads());
        let (placement, groups) = (&state.placement[first..last], &spec.group[first..last]);
        for (view, room) in self.rooms.iter_mut().enumerate() {
            let leaving = &state.demands_in(view)[first * m..last * m];
            state.outlook(view).room_left(spec, placement, leaving, room);
        }
        let views = self.rooms.len();
        let gain = &mut self.gain[block * views..][..views];
        best_gains(state, &self.moves, &self.rooms, groups, gain);
    }
}

/// The best gain of each view by one of the moves into each lane's room. `left_by` are the
/// anti-affinity groups of the workloads that left the rooms, if any did.
#[inline(always)]
fn best_gains(
    state: &ClusterState,
    moves: &[Move],
    rooms: &[Room],
    left_by: &[u32],
    best: &mut [Lanes],
) {
    best.fill([0.0; LANES]);
    let mut open = [false; LANES];
    let mut open_to = usize::MAX;
    for follower in moves {
        let (k, view) = (follower.workload, follower.view);
        // Whether it fits is a matter of now, in all views.
        if open_to != k {
            (open, open_to) = (open_lanes(state, k, &rooms[0], left_by), k);
        }
        let change = state.outlook(view).change_by_filling(
            state.spec.nodes(),
            &state.objective,
            &follower.departure,
            state.demand_in(view, k),
            &rooms[view],
        );
        for l in 0..LANES {
            best[view][l] = best[view][l].min(if open[l] { change[l] } else { 0.0 });
        }
    }
}

/// Whether workload `k` could be in each lane's room: capacity, class, set of nodes and anti-affinity.
/// Limits of transfers and what is counted by node and zone are left out, since that may have changed
/// by then.
#[inline(always)]
fn open_lanes(state: &ClusterState, k: usize, now: &Room, left_by: &[u32]) -> [bool; LANES] {
    let spec = &*state.spec;
    let group = spec.group[k];
    let mut open = now.tile.has_room(state.demand_of(k));
    for l in 0..LANES {
        open[l] &= now.tile.node[l] != state.placement[k];
    }
    let fenced = !state.fences.is_empty();
    let bound = spec.class_mask[k] != u64::MAX || spec.set_of(k) != NO_SET;
    if state.closed_nodes > 0 || bound || group != NO_GROUP || fenced {
        for l in (0..LANES).filter(|&l| now.tile.node[l] != u32::MAX) {
            let node = now.tile.node[l] as usize;
            open[l] &= state.is_open(node) && spec.may_run_on(k, node);
            open[l] &= !state.fences.keeps_out(k, node);
            if group != NO_GROUP {
                let left = u32::from(left_by.get(l) == Some(&group));
                open[l] &= state.group_count.of(group, node) <= left;
            }
        }
    }
    open
}

#[cfg(test)]
mod tests {
    use crate::env::Env;
    use crate::env::cluster_env::ClusterEnv;
    use crate::observe::ObservationBuffer;
    use crate::scenario::{Phase, Scenario, WorldTemplate};
    use std::sync::Arc;

    /// Nodes of 10 cores: `a` holds `x` (5) and `y` (4), `b` holds `z` (8), `c` holds `v` (6), and
    /// `d` takes only `v`. As long as `v` is on `c`, `x` does not fit there, and `y` would fill it.
    #[test]
    fn a_move_off_a_node_is_worth_what_then_fits_there() {
        let scenario = Scenario::parse(
            r#"
            name = "test"
            start = { placement = "listed" }
            rules.resources = [{ name = "cpu" }]
            rules.episode = { mode = "rebalance", move_budget = 2 }
            rules.objective = { weights = { max_load = 2 }, unit = 0.1 }
            rules.candidates = { follow_up = true }
            nodes = [
                { name = "a", supply = { cpu = 10 } },
                { name = "b", supply = { cpu = 10 } },
                { name = "c", supply = { cpu = 10 } },
                { name = "d", class = "spare", supply = { cpu = 10 } },
            ]
            workloads = [
                { name = "x", demand = { cpu = 5 }, node = "a", classes = ["standard"] },
                { name = "y", demand = { cpu = 4 }, node = "a", classes = ["standard"] },
                { name = "z", demand = { cpu = 8 }, node = "b", classes = ["standard"] },
                { name = "v", demand = { cpu = 6 }, node = "c" },
            ]
            "#,
            "test",
        )
        .expect("a valid scenario");
        let template = Arc::new(WorldTemplate::new(&scenario));
        let env = ClusterEnv::new(template, Phase::Evaluate).expect("a feasible start");
        let mut seen = ObservationBuffer::new(env.observation_space());
        env.observe(&mut seen);
        let features = &env.observation_space().schema.candidate;
        let value = |k: usize, node: usize, name: &str| {
            let feature = features.iter().position(|f| f.name == name).expect("a feature");
            let action = 1 + k * 4 + node;
            assert!(seen.mask[action], "workload {k} may go to node {node}");
            seen.candidate(action, feature)
        };
        let close = |value: f32, expected: f32| {
            assert!((value - expected).abs() < 1e-5, "{value}, expected {expected}");
        };
        // Once `v` is gone, `x` or `y` on `c` lowers the highest load from 0.9 to the 0.8 of `b`.
        close(value(3, 3, "follow_up"), -2.0);
        close(value(3, 3, "follow_up_beyond"), -2.0);
        // Nobody fits on `a` without `y`: `z` needs 8.
        close(value(1, 2, "follow_up"), 0.0);
        close(value(1, 2, "follow_up_beyond"), 0.0);
    }
}
