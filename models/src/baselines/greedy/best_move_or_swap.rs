//! Greedy with exchanges: the best single move or the best swap of two workloads.
//!
//! Rule: next to all single moves (as `best-single-move`), look at exchanges of a workload of one
//! node with a workload of another. An exchange is two moves, each of which must be feasible in
//! its turn: the first makes room for the second, which is remembered and made at the next
//! decision if it is still feasible and worth while. A swap counts both moves' costs, and is
//! taken if it is worth `swap_factor` times the best single move, since it takes two moves of the
//! budget.
//!
//! In large clusters not every pair of nodes is looked at: the most loaded nodes, and those
//! closest to completing a slot, against the least loaded and those with the most stranded supply.
//!
//! Source: the "shift" and "swap" neighbourhoods of machine reassignment (Gavranovic, Buljubasic and
//! Demirovic, "Variable neighborhood search for Google machine reassignment problem", 2012).

use crate::baselines::declaration::{Declaration, with_single};
use crate::baselines::greedy::best_single_move::BestSingleMoveRules;
use crate::baselines::scan::{Scan, demand_at, move_cost, outlook_of, shift_gain};
use crate::policy::Policy;
use godwit_envs::resources::MAX_RESOURCES;
use godwit_envs::scenario::Mode;
use godwit_envs::state::cluster::NO_GROUP;
use godwit_envs::state::outlook::{Arrivals, Departure, Tile, fits};
use godwit_envs::state::{Action, ClusterState, Infeasible};
use multiversion::multiversion;

/// Parameters of [`BestMoveOrSwap`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BestMoveOrSwapRules {
    /// As for single moves.
    pub single: BestSingleMoveRules,
    /// A swap must be worth this many times the best single move; at least 1.
    pub swap_factor: f32,
    /// Nodes per end of the ranking that are looked at once all pairs would be too many.
    pub ends: usize,
}

impl Default for BestMoveOrSwapRules {
    fn default() -> Self {
        Self { single: BestSingleMoveRules::default(), swap_factor: 2.0, ends: 8 }
    }
}

/// The parameters as data.
pub(crate) fn declaration() -> Declaration<BestMoveOrSwapRules> {
    with_single!(
        Declaration::new(BestMoveOrSwapRules::default(), BestMoveOrSwap::new),
        "ticks",
        "ticks for which a gain counts"
    )
    .real("swap_factor", "a swap is worth this many best single moves", 1.0..=4.0, |r| {
        (&mut r.swap_factor).into()
    })
    .integer("ends", "nodes per end of the ranking, in large clusters", 2..=16, |r| {
        (&mut r.ends).into()
    })
}

/// Up to this many pairs of workloads all pairs of nodes are looked at.
const ALL_PAIRS: usize = 4096;

#[derive(Debug, Clone, Copy, PartialEq)]
struct Swap {
    /// Workload and destination, in order.
    moves: [(usize, usize); 2],
    gain: f32,
}

/// The remembered second move of a swap.
#[derive(Debug, Clone, Copy)]
struct Pending {
    workload: usize,
    destination: usize,
    /// Last tick at which it may still be made.
    until: u32,
}

/// Takes the best single move or swap.
#[derive(Debug, Clone, Default)]
pub struct BestMoveOrSwap {
    rules: BestMoveOrSwapRules,
    scan: Scan,
    pairs: PairScan,
    pending: Option<Pending>,
}

/// Scratch of the search for swaps.
#[derive(Debug, Clone, Default)]
struct PairScan {
    /// Workloads that may leave, grouped by node, one of each kind: `start[i] .. start[i + 1]`.
    members: Vec<u32>,
    start: Vec<u32>,
    /// Nodes on either side of a pair.
    givers: Vec<u32>,
    takers: Vec<u32>,
    ranking: Vec<(f32, u32)>,
    tiles: Vec<Tile>,
}

impl BestMoveOrSwap {
    /// With these parameters.
    pub fn new(rules: BestMoveOrSwapRules) -> Self {
        Self { rules, ..Self::default() }
    }

    /// The remembered move, or what to do while it has to wait; `None` to search anew.
    fn resume(&mut self, state: &ClusterState) -> Option<Action> {
        let Pending { workload, destination, until } = self.pending?;
        match state.check(workload, destination) {
            Ok(()) if self.scan.value(state, workload, destination) > 0.0 => {
                self.pending = None;
                Some(Action::Migrate { workload, destination })
            }
            Err(refusal) if state.tick < until && ends_with_transfers(refusal) => {
                Some(Action::Stay)
            }
            _ => {
                self.pending = None;
                None
            }
        }
    }
}

impl Policy for BestMoveOrSwap {
    fn name(&self) -> &str {
        "best-move-or-swap"
    }

    fn reset(&mut self, _seed: u64) {
        self.pending = None;
    }

    fn act(&mut self, state: &ClusterState) -> Action {
        self.scan.prepare(state, self.rules.single.persistence);
        if let Some(action) = self.resume(state) {
            return action;
        }
        let online = state.rules.episode.mode == Mode::Online;
        let min_gain = self.rules.single.least_gain(state);
        let single = self.scan.best(state, min_gain);
        // A swap needs two moves: of the episode's budget, or of this tick's and the next one's.
        if online || state.moves_left >= 2 {
            let least = single.map_or(0.0, |best| best.gain * self.rules.swap_factor.max(1.0));
            self.pairs.prepare(state, self.scan.ticks.len(), self.rules.ends);
            let swap = self.pairs.best(state, &self.scan.ticks, least.max(2.0 * min_gain));
            if let Some(Swap { moves: [first, second], .. }) = swap {
                let (workload, destination) = second;
                self.pending = Some(Pending { workload, destination, until: state.tick + 1 });
                return Action::Migrate { workload: first.0, destination: first.1 };
            }
        }
        single.map_or(Action::Stay, |best| Action::Migrate {
            workload: best.workload,
            destination: best.destination,
        })
    }
}

impl PairScan {
    /// Groups the movable workloads by node and chooses the pairs of nodes.
    fn prepare(&mut self, state: &ClusterState, outlooks: usize, ends: usize) {
        let spec = &*state.spec;
        let n = spec.nodes();
        self.start.clear();
        self.start.resize(n + 1, 0);
        for (k, &node) in state.placement.iter().enumerate() {
            if state.may_leave(k).is_ok() {
                self.start[node as usize + 1] += 1;
            }
        }
        for node in 0..n {
            self.start[node + 1] += self.start[node];
        }
        let movable = self.start[n] as usize;
        self.members.clear();
        self.members.resize(movable, 0);
        for (k, &node) in state.placement.iter().enumerate().rev() {
            if state.may_leave(k).is_ok() {
                // Filling from the back turns each end into its start.
                let at = &mut self.start[node as usize + 1];
                *at -= 1;
                self.members[*at as usize] = k as u32;
            }
        }
        self.start.remove(0);
        self.start.push(movable as u32);
        self.tiles.resize_with(outlooks, Tile::default);
        self.givers.clear();
        self.takers.clear();
        if movable * movable / 2 <= ALL_PAIRS {
            self.givers.extend(0..n as u32);
            self.takers.extend(0..n as u32);
            return;
        }
        let load = |i: usize| state.now.load[i];
        rank(&mut self.ranking, n, ends, |i| -load(i), &mut self.givers);
        rank(&mut self.ranking, n, 2 * ends, load, &mut self.takers);
        if let Some(slot) = state.objective.slot {
            let removals = &state.slots.removals;
            let stranded = |i: usize| state.now.free[i] - state.now.slots[i] * slot.size;
            // Of equally many removals, the one that lacks least.
            let near = |i: usize| removals[i] - stranded(i) / slot.size;
            rank(&mut self.ranking, n, ends, near, &mut self.givers);
            rank(&mut self.ranking, n, 2 * ends, |i| -stranded(i), &mut self.takers);
        }
    }

    fn members_of(&self, node: usize) -> &[u32] {
        &self.members[self.start[node] as usize..self.start[node + 1] as usize]
    }

    /// The most valuable feasible swap that is worth more than `least`.
    fn best(&mut self, state: &ClusterState, ticks: &[f32], least: f32) -> Option<Swap> {
        let mut best = None;
        best_swap_simd(self, state, ticks, least, &mut best);
        best
    }
}

/// Adds the `count` nodes of the lowest keys to `out`, each node once.
fn rank(
    ranking: &mut Vec<(f32, u32)>,
    nodes: usize,
    count: usize,
    key: impl Fn(usize) -> f32,
    out: &mut Vec<u32>,
) {
    ranking.clear();
    ranking.extend((0..nodes).map(|i| (key(i), i as u32)));
    ranking.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    for &(_, node) in ranking.iter().take(count) {
        if !out.contains(&node) {
            out.push(node);
        }
    }
}

#[multiversion(targets(
    "x86_64+avx512f+avx512bw+avx512dq+avx512vl+avx2+fma",
    "x86_64+avx2+fma",
    "aarch64+neon"
))]
fn best_swap_simd(
    pairs: &mut PairScan,
    state: &ClusterState,
    ticks: &[f32],
    mut least: f32,
    best: &mut Option<Swap>,
) {
    let (spec, objective) = (&*state.spec, &state.objective);
    let m = spec.resources;
    let mut tiles = std::mem::take(&mut pairs.tiles);
    let mut arrivals = Arrivals::default();
    let mut net = [0.0_f32; MAX_RESOURCES];
    for &giver in &pairs.givers {
        for &taker in &pairs.takers {
            let (i, j) = (giver as usize, taker as usize);
            // A pair that will come, or has come, the other way round is looked at once.
            let twice = pairs.givers.contains(&taker) && pairs.takers.contains(&giver);
            if i == j || (twice && i > j) {
                continue;
            }
            for (at, tile) in tiles.iter_mut().enumerate() {
                outlook_of(state, at).tile_of_nodes(spec, &[taker], tile);
            }
            for (rank_a, &a) in pairs.members_of(i).iter().enumerate() {
                let a = a as usize;
                if is_repeated(state, &pairs.members_of(i)[..rank_a], a) {
                    continue;
                }
                let there = state.check(a, j);
                if !matches!(there, Ok(()) | Err(Infeasible::Capacity)) {
                    continue;
                }
                for &b in pairs.members_of(j) {
                    let b = b as usize;
                    let Some(moves) = order(state, (a, i, there), (b, j)) else { continue };
                    let mut gain = 0.0;
                    for (at, &ticks) in ticks.iter().enumerate() {
                        let (demand_a, demand_b) =
                            (demand_at(state, at, a), demand_at(state, at, b));
                        for (net, (a, b)) in net.iter_mut().zip(demand_a.iter().zip(demand_b)) {
                            *net = a - b;
                        }
                        let outlook = outlook_of(state, at);
                        let net = &net[..m];
                        let departure: Departure = outlook.departure(spec, objective, i, net);
                        outlook.arrivals(
                            spec.nodes(),
                            objective,
                            &departure,
                            net,
                            &tiles[at],
                            &mut arrivals,
                        );
                        gain -= ticks * arrivals.objective[0];
                    }
                    if let Some(board) = &state.reassignment {
                        gain -= state.reassignment_weight() * board.swap(a, b).cost as f32;
                    }
                    if gain <= least {
                        continue;
                    }
                    gain -= move_cost(state, a, j) + move_cost(state, b, i);
                    gain -= wait_cost(state, moves);
                    if gain > least {
                        least = gain;
                        *best = Some(Swap { moves, gain });
                    }
                }
            }
        }
    }
    pairs.tiles = tiles;
}

/// Online, the second move is made a tick later: what that tick loses against the whole swap.
fn wait_cost(state: &ClusterState, [(first, to), (second, back)]: [(usize, usize); 2]) -> f32 {
    if state.rules.episode.mode == Mode::Rebalance {
        return 0.0;
    }
    let (leaves, comes) = (state.demand_of(first), state.demand_of(second));
    let mut net = [0.0_f32; MAX_RESOURCES];
    for (net, (leaves, comes)) in net.iter_mut().zip(leaves.iter().zip(comes)) {
        *net = leaves - comes;
    }
    shift_gain(state, 0, back, to, &net[..leaves.len()]) - shift_gain(state, 0, back, to, leaves)
}

/// The order in which a (on i) and b (on j) can be exchanged, if there is one.
pub(crate) fn order(
    state: &ClusterState,
    (a, i, there): (usize, usize, Result<(), Infeasible>),
    (b, j): (usize, usize),
) -> Option<[(usize, usize); 2]> {
    let group = state.spec.group[a];
    if (group != NO_GROUP && group == state.spec.group[b])
        || state.demand_of(a) == state.demand_of(b)
    {
        return None;
    }
    // The second move's constraints are those of the placement after both.
    if state.reassignment.as_ref().is_some_and(|board| board.swap(a, b).violations.worsen()) {
        return None;
    }
    let back = state.check(b, i);
    if there.is_ok()
        && matches!(back, Ok(()) | Err(Infeasible::Capacity))
        && has_room(state, i, a, b)
    {
        Some([(a, j), (b, i)])
    } else if back.is_ok() && has_room(state, j, b, a) {
        Some([(b, i), (a, j)])
    } else {
        None
    }
}

/// Whether what is refused for this may be feasible once the first transfer or the tick has ended.
pub(crate) fn ends_with_transfers(refusal: Infeasible) -> bool {
    matches!(
        refusal,
        Infeasible::Capacity
            | Infeasible::NodeTransfers
            | Infeasible::TransfersInFlight
            | Infeasible::Budget
    )
}

/// Whether a node has room for `arrives` once `leaves` has left it.
fn has_room(state: &ClusterState, node: usize, leaves: usize, arrives: usize) -> bool {
    let padded = state.spec.padded_nodes();
    let (less, more) = (state.demand_of(leaves), state.demand_of(arrives));
    less.iter().zip(more).enumerate().all(|(j, (&less, &more))| {
        let at = j * padded + node;
        more <= 0.0 || fits(state.now.held[at] - less, more, state.spec.supply[at])
    })
}

/// Whether a workload equal to this one (as far as a swap is concerned) is among these.
fn is_repeated(state: &ClusterState, earlier: &[u32], k: usize) -> bool {
    let spec = &*state.spec;
    if spec.reassignment.is_some() {
        return false;
    }
    earlier.iter().any(|&other| {
        let other = other as usize;
        state.demand_of(k) == state.demand_of(other)
            && spec.state_gib[k] == spec.state_gib[other]
            && spec.priority[k] == spec.priority[other]
            && spec.class_mask[k] == spec.class_mask[other]
            && spec.group[k] == spec.group[other]
            && spec.set_of(k) == spec.set_of(other)
            && !spec.has_zone_group(k)
            && (1..=state.forecast.len())
                .all(|at| demand_at(state, at, k) == demand_at(state, at, other))
    })
}
