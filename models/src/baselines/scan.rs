//! Values moves: the arithmetic that the greedy baselines share.
//!
//! The value of a move is what it takes off the weighted objective, summed over the ticks for
//! which it is assumed to matter, minus what the migration itself costs. Rebalance scenarios count
//! one tick: the value is then exactly the reward.

use super::large;
use godwit_envs::lanes::{LANES, Lanes};
use godwit_envs::observe::candidates::{loads_alone_count, promising};
use godwit_envs::reassignment::{Instance, Solution};
use godwit_envs::scenario::Mode;
use godwit_envs::state::ClusterState;
use godwit_envs::state::migration::MigrationCostLanes;
use godwit_envs::state::outlook::{Arrivals, Departure, Outlook, Tile};
use godwit_envs::state::term::Term;
use multiversion::multiversion;
use std::sync::Arc;

/// A feasible move and its value in units of the weighted objective.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ValuedMove {
    /// Workload index.
    pub workload: usize,
    /// Node index.
    pub destination: usize,
    /// Decrease of the weighted objective over the assumed ticks, minus the cost of the move.
    pub gain: f32,
}

/// For how long a gain counts in online scenarios.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Persistence {
    /// Ticks over which the gain is summed.
    pub ticks: u32,
    /// Share of the gain (0 to 1) that is looked up in the forecast, where the scenario has one:
    /// the gain at a tick is interpolated between the horizons, and stays what it is after the
    /// last. The rest is the present gain, taken to last.
    pub forecast_share: f32,
}

/// Scratch of a scan; kept between decisions so that deciding does not allocate.
#[derive(Debug, Clone, Default)]
pub struct Scan {
    /// Ticks that each outlook stands for, now first, `[1 + H]`.
    pub ticks: Vec<f32>,
    /// Blocks of nodes per outlook, `[1 + H][P / LANES]`.
    tiles: Vec<Tile>,
    departures: Vec<Departure>,
    twins: Twins,
    /// Workloads by [`Solution::most_gain`], the greatest first; of machine reassignment.
    bounds: Vec<(i64, u32)>,
    some: Vec<usize>,
    /// Blocks of nodes that are looked at, ascending; all of them unless the cluster is large.
    blocks: Vec<u32>,
}

/// Workloads that are looked at between two looks at their bounds.
const AT_ONCE: usize = 32;

impl Scan {
    /// Prepares for a state: fills the tiles and [`Scan::ticks`].
    pub fn prepare(&mut self, state: &ClusterState, persistence: Persistence) {
        tick_weights(state, persistence, &mut self.ticks);
        let spec = &*state.spec;
        let blocks = spec.padded_nodes() / LANES;
        self.tiles.resize_with(self.ticks.len() * blocks, Tile::default);
        self.departures.resize_with(self.ticks.len(), Departure::default);
        large::all_blocks(state, &mut self.blocks);
        if blocks > 0 {
            for (outlook, tiles) in self.tiles.chunks_exact_mut(blocks).enumerate() {
                for (block, tile) in tiles.iter_mut().enumerate() {
                    outlook_of(state, outlook).tile_of_block(spec, block * LANES, tile);
                }
            }
        }
    }

    /// The most valuable feasible move, if its value exceeds `min_gain`. Ties go to the lower
    /// workload, then the lower node. In clusters of more than 100 million pairs of workload and node,
    /// of the at most 256 workloads whose leaving promises most; where loads alone count, to the eighth
    /// of all nodes that are least loaded (a few more, as nodes are looked at side by side), or to any
    /// where none of them gains. Call [`Scan::prepare`] first.
    pub fn best(&mut self, state: &ClusterState, min_gain: f32) -> Option<ValuedMove> {
        let mut best = None;
        self.twins.reset(state.spec.workloads());
        match &state.reassignment {
            Some(board) if only_reassigns(state) => {
                self.best_bounded(state, board, min_gain, &mut best);
            }
            _ if large::is_large(state) => {
                let mut some = std::mem::take(&mut self.some);
                promising(state, large::PROMISING, &mut some);
                if loads_alone_count(state) {
                    large::keep_least_loaded(state, &mut self.blocks);
                    best_simd(self, state, min_gain, Some(&some), &mut best, None);
                    large::all_blocks(state, &mut self.blocks);
                    self.twins.reset(state.spec.workloads());
                }
                if best.is_none() {
                    best_simd(self, state, min_gain, Some(&some), &mut best, None);
                }
                self.some = some;
            }
            _ => best_simd(self, state, min_gain, None, &mut best, None),
        }
        best
    }

    /// [`Scan::best`] where a move is worth what [`Solution::shift`] says and nothing else: looks at
    /// the most promising workloads first, until no other can be worth more.
    fn best_bounded(
        &mut self,
        state: &ClusterState,
        board: &Solution<Arc<Instance>>,
        min_gain: f32,
        best: &mut Option<ValuedMove>,
    ) {
        let mut bounds = std::mem::take(&mut self.bounds);
        let mut some = std::mem::take(&mut self.some);
        bounds.clear();
        bounds.extend((0..state.spec.workloads()).map(|k| (board.most_gain(k), k as u32)));
        bounds.sort_unstable_by_key(|&(bound, k)| (std::cmp::Reverse(bound), k));
        let weight = state.reassignment_weight();
        for bounds in bounds.chunks(AT_ONCE) {
            // A later one that gains as much may still have a lower index.
            let least = best.map_or(min_gain, |best| best.gain.next_down().max(min_gain));
            some.clear();
            // Rounded as the gains are, so that no bound is below its gain.
            let promising = bounds.iter().take_while(|bound| weight * bound.0 as f32 > least);
            some.extend(promising.map(|bound| bound.1 as usize));
            some.sort_unstable();
            let mut found = None;
            best_simd(self, state, least, Some(&some), &mut found, None);
            if let Some(found) = found
                && best.is_none_or(|best| (found.gain, best.workload) > (best.gain, found.workload))
            {
                *best = Some(found);
            }
            if some.len() < bounds.len() {
                break;
            }
        }
        (self.bounds, self.some) = (bounds, some);
    }

    /// The most valuable feasible move of these workloads, ascending, whatever it gains; ties as in
    /// [`Scan::best`]. Call [`Scan::prepare`] first.
    pub fn best_among(&mut self, state: &ClusterState, workloads: &[usize]) -> Option<ValuedMove> {
        let mut best = None;
        self.twins.reset(state.spec.workloads());
        best_simd(self, state, f32::NEG_INFINITY, Some(workloads), &mut best, None);
        best
    }

    /// The most valuable feasible move of each workload, by ascending workload; of interchangeable
    /// ones only the first. Call [`Scan::prepare`] first.
    pub fn best_of_each(&mut self, state: &ClusterState, out: &mut Vec<ValuedMove>) {
        out.clear();
        self.twins.reset(state.spec.workloads());
        best_simd(self, state, f32::NEG_INFINITY, None, &mut None, Some(out));
    }

    /// Value of a move whether or not it is feasible. Call [`Scan::prepare`] first.
    pub fn value(&self, state: &ClusterState, workload: usize, destination: usize) -> f32 {
        value(state, &self.ticks, workload, destination)
    }
}

/// Value of a move, feasible or not, of a workload that is on a node; `ticks` as in [`Scan`].
pub fn value(state: &ClusterState, ticks: &[f32], workload: usize, destination: usize) -> f32 {
    let source = state.placement[workload] as usize;
    let mut gain = 0.0;
    for (at, &ticks) in ticks.iter().enumerate() {
        let demand = demand_at(state, at, workload);
        gain += ticks * shift_gain(state, at, source, destination, demand);
    }
    gain -= reassignment_cost(state, workload, destination);
    gain - move_cost(state, workload, destination)
}

// Lanes are indexed side by side: the compiler turns such loops into vectors.
#[allow(clippy::needless_range_loop)]
#[multiversion(targets(
    "x86_64+avx512f+avx512bw+avx512dq+avx512vl+avx2+fma",
    "x86_64+avx2+fma",
    "aarch64+neon"
))]
fn best_simd(
    scan: &mut Scan,
    state: &ClusterState,
    min_gain: f32,
    among: Option<&[usize]>,
    best: &mut Option<ValuedMove>,
    mut each: Option<&mut Vec<ValuedMove>>,
) {
    let spec = &*state.spec;
    let nodes = spec.nodes();
    let objective = &state.objective;
    let blocks = spec.padded_nodes() / LANES;
    let costs = objective.uses(Term::MovedGib) || objective.uses(Term::DowntimeS);
    let reassigns = objective.uses(Term::MachineReassignment);
    let mut most = min_gain;
    let mut arrivals = Arrivals::default();
    let mut price = MigrationCostLanes::default();
    let count = among.map_or(spec.workloads(), <[usize]>::len);
    for at in 0..count {
        let k = among.map_or(at, |among| among[at]);
        if state.may_leave(k).is_err() || scan.twins.seen(state, k) {
            continue;
        }
        let source = state.placement[k] as usize;
        let mut departed = false;
        let mut own: Option<ValuedMove> = None;
        let mut own_most = if each.is_some() { min_gain } else { most };
        for &block in &scan.blocks {
            let block = block as usize;
            let open = state.open_lanes(k, &scan.tiles[block]);
            if !open.contains(&true) {
                continue;
            }
            if !departed {
                // Only now: in a full cluster most workloads have nowhere to go.
                departed = true;
                for (at, departure) in scan.departures.iter_mut().enumerate() {
                    let demand = demand_at(state, at, k);
                    *departure = outlook_of(state, at).departure(spec, objective, source, demand);
                }
            }
            let mut gain: Lanes = [0.0; LANES];
            for (at, &ticks) in scan.ticks.iter().enumerate() {
                let (demand, departure) = (demand_at(state, at, k), &scan.departures[at]);
                let tile = &scan.tiles[at * blocks + block];
                let outlook = outlook_of(state, at);
                outlook.arrivals(nodes, objective, departure, demand, tile, &mut arrivals);
                for l in 0..LANES {
                    gain[l] -= ticks * arrivals.objective[l];
                }
            }
            if reassigns {
                let mut change: Lanes = [0.0; LANES];
                state.add_reassignment(k, &scan.tiles[block], &mut change);
                for l in 0..LANES {
                    gain[l] -= change[l];
                }
            }
            if costs {
                let (gib, down) = cost_weights(state, k);
                state.migration_cost_lanes(k, &scan.tiles[block], &mut price);
                for l in 0..LANES {
                    gain[l] -= gib * price.moved_gib[l] + down * price.downtime_s[l];
                }
            }
            for l in 0..LANES {
                if open[l] && gain[l] > own_most {
                    own_most = gain[l];
                    let destination = scan.tiles[block].node[l] as usize;
                    own = Some(ValuedMove { workload: k, destination, gain: own_most });
                }
            }
        }
        if let Some(own) = own {
            if own.gain > most {
                most = own.gain;
                *best = Some(own);
            }
            if let Some(each) = &mut each {
                each.push(own);
            }
        }
    }
}

/// Whether the weighted objective is the cost of machine reassignment and nothing else.
fn only_reassigns(state: &ClusterState) -> bool {
    let weights = state.objective.weights.iter();
    state.reassignment_weight() > 0.0
        && state.rules.episode.mode == Mode::Rebalance
        && weights.filter(|&&weight| weight != 0.0).count() == 1
}

/// Outlook 0 is now, the others are the forecast horizons.
#[inline(always)]
pub fn outlook_of(state: &ClusterState, at: usize) -> &Outlook {
    if at == 0 { &state.now } else { &state.forecast[at - 1] }
}

/// Demand of a workload at an outlook.
#[inline(always)]
pub fn demand_at(state: &ClusterState, at: usize, workload: usize) -> &[f32] {
    if at == 0 { state.demand_of(workload) } else { state.forecast_of(at - 1, workload) }
}

/// Decrease of the weighted objective at one outlook when `demand` (negative parts flow the other
/// way) goes from one node to another.
pub fn shift_gain(
    state: &ClusterState,
    at: usize,
    source: usize,
    destination: usize,
    demand: &[f32],
) -> f32 {
    let outlook = outlook_of(state, at);
    let (spec, objective) = (&*state.spec, &state.objective);
    let departure = outlook.departure(spec, objective, source, demand);
    let (mut tile, mut arrivals) = (Tile::default(), Arrivals::default());
    outlook.tile_of_nodes(spec, &[destination as u32], &mut tile);
    outlook.arrivals(spec.nodes(), objective, &departure, demand, &tile, &mut arrivals);
    -arrivals.objective[0]
}

/// Weighted change of [`Term::MachineReassignment`] by a move; such scenarios count one tick.
fn reassignment_cost(state: &ClusterState, workload: usize, destination: usize) -> f32 {
    let change = |board: &Solution<_>| board.shift(workload, destination).cost;
    state.reassignment_weight() * state.reassignment.as_ref().map_or(0, change) as f32
}

/// Weighted flow cost of a move if it started now.
pub fn move_cost(state: &ClusterState, workload: usize, destination: usize) -> f32 {
    let (gib, down) = cost_weights(state, workload);
    if gib == 0.0 && down == 0.0 {
        return 0.0;
    }
    let cost = state.migration_cost(workload, destination);
    gib * cost.moved_gib + down * cost.downtime_s
}

#[inline(always)]
fn cost_weights(state: &ClusterState, workload: usize) -> (f32, f32) {
    let weights = &state.objective.weights;
    (
        weights[Term::MovedGib as usize],
        weights[Term::DowntimeS as usize] * state.spec.priority[workload],
    )
}

/// How many ticks each outlook stands for: the gain of tick t (0 is now) is interpolated between
/// the outlooks around it, and summed over the ticks that count and are left.
pub fn tick_weights(state: &ClusterState, persistence: Persistence, out: &mut Vec<f32>) {
    out.clear();
    let rules = &*state.rules;
    if rules.episode.mode == Mode::Rebalance {
        out.push(1.0);
        return;
    }
    // What happens after the episode's end is not paid for.
    let left = rules.episode.ticks.saturating_sub(state.tick).max(1);
    let ticks = persistence.ticks.min(left);
    let horizons: &[u32] = &rules.forecast.horizons;
    let share = persistence.forecast_share;
    if horizons.is_empty() || share <= 0.0 {
        out.push(ticks as f32);
        return;
    }
    out.resize(1 + horizons.len(), 0.0);
    out[0] = (1.0 - share) * ticks as f32;
    for tick in 0..ticks {
        let next = horizons.partition_point(|&horizon| horizon < tick);
        let Some(&after) = horizons.get(next) else {
            out[horizons.len()] += share;
            continue;
        };
        let before = if next == 0 { 0 } else { horizons[next - 1] };
        let later = (tick - before) as f32 / (after - before).max(1) as f32;
        out[next] += share * (1.0 - later);
        out[next + 1] += share * later;
    }
}

/// Recognises workloads that are interchangeable: same node, same demand now and later, same
/// traits. One of them stands for all.
#[derive(Debug, Clone, Default)]
struct Twins {
    /// Open addressing; `u32::MAX` is empty. At most half full.
    slots: Vec<u32>,
}

impl Twins {
    fn reset(&mut self, workloads: usize) {
        let size = (2 * workloads).next_power_of_two().max(2);
        self.slots.resize(size, u32::MAX);
        self.slots.fill(u32::MAX);
    }

    /// Whether an equal workload has been seen since the last reset.
    fn seen(&mut self, state: &ClusterState, k: usize) -> bool {
        let spec = &*state.spec;
        let mut hash = u64::from(state.placement[k]);
        for d in state.demand_of(k) {
            hash = (hash ^ u64::from(d.to_bits())).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        }
        hash = (hash ^ u64::from(spec.state_gib[k].to_bits())).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mask = self.slots.len() - 1;
        let mut at = (hash >> 32) as usize & mask;
        loop {
            match self.slots[at] {
                u32::MAX => {
                    self.slots[at] = k as u32;
                    return false;
                }
                other if same_node_and_alike(state, k, other as usize) => return true,
                _ => at = (at + 1) & mask,
            }
        }
    }
}

fn same_node_and_alike(state: &ClusterState, a: usize, b: usize) -> bool {
    state.placement[a] == state.placement[b] && state.look_alike(a, b)
}
