//! Masks and features of candidates, several destinations at a time.

use super::follow_up::FollowUps;
use super::scaling::{CLIP, health_features, log2_approx, slot_remainder, tightest, view_of};
use crate::lanes::{LANES, Lanes};
use crate::observe::ObservationBuffer;
use crate::observe::candidates::CandidateList;
use crate::observe::features::TIGHTEST;
use crate::observe::sections::Sections;
use crate::state::ClusterState;
use crate::state::migration::MigrationCostLanes;
use crate::state::objective::Slot;
use crate::state::outlook::{Arrivals, Departure, Tile};
use crate::state::slots::{SIZE_BINS, nearness};
use crate::state::term::Term;

#[inline(always)]
pub(super) fn encode_all_pairs(state: &ClusterState, out: &mut ObservationBuffer) {
    let spec = &*state.spec;
    let n = spec.nodes();
    let views = state.views();
    let blocks = spec.padded_nodes() / LANES;
    start_follow_ups(state, out);
    let mut tiles = std::mem::take(&mut out.tiles);
    tiles.resize_with(blocks * views, Tile::default);
    for (block, tiles) in tiles.chunks_exact_mut(views).enumerate() {
        let outlooks = std::iter::once(&state.now).chain(&state.forecast);
        for (tile, outlook) in tiles.iter_mut().zip(outlooks) {
            outlook.tile_of_block(spec, block * LANES, tile);
        }
    }
    let mut results = Results::default();
    // Columns ascend, so that what a row stores past its end is overwritten by the next one.
    for k in 0..spec.workloads() {
        let first = 1 + k * n;
        out.candidate_workload[first..first + n].fill(k as u32);
        out.candidate_source[first..first + n].fill(state.node_of(k).unwrap_or(0) as u32);
        for (block, tiles) in tiles.chunks_exact(views).enumerate() {
            let lanes = (n - block * LANES).min(LANES);
            let at = first + block * LANES;
            for l in 0..lanes {
                out.candidate_destination[at + l] = tiles[0].node[l];
            }
            encode_row(state, tiles, k, at, lanes, &mut results, out);
        }
    }
    out.tiles = tiles;
}

#[inline(always)]
pub(super) fn encode_list(state: &ClusterState, list: &CandidateList, out: &mut ObservationBuffer) {
    let count = list.workload.len();
    out.mask.fill(false);
    for (at, (&k, &node)) in list.workload.iter().zip(&list.destination).enumerate() {
        out.candidate_workload[1 + at] = k;
        out.candidate_destination[1 + at] = node;
        out.candidate_source[1 + at] = state.placement[k as usize];
    }
    for slot in
        [&mut out.candidate_workload, &mut out.candidate_destination, &mut out.candidate_source]
    {
        slot[1 + count..].fill(0);
    }
    start_follow_ups(state, out);
    let mut tiles = std::mem::take(&mut out.tiles);
    tiles.resize_with(state.views(), Tile::default);
    let mut results = Results::default();
    let mut at = 0;
    while at < count {
        let k = list.workload[at];
        let same = list.workload[at..].iter().take(LANES).take_while(|&&other| other == k).count();
        let nodes = &list.destination[at..at + same];
        let outlooks = std::iter::once(&state.now).chain(&state.forecast);
        for (tile, outlook) in tiles.iter_mut().zip(outlooks) {
            outlook.tile_of_nodes(&state.spec, nodes, tile);
        }
        encode_row(state, &tiles, k as usize, 1 + at, same, &mut results, out);
        at += same;
    }
    out.tiles = tiles;
}

#[inline(always)]
pub(super) fn encode_few(
    state: &ClusterState,
    pairs: &mut dyn Iterator<Item = (usize, usize, usize)>,
    out: &mut ObservationBuffer,
) {
    out.mask.fill(false);
    start_follow_ups(state, out);
    let mut tiles = std::mem::take(&mut out.tiles);
    tiles.resize_with(state.views(), Tile::default);
    let mut results = Results::default();
    // Indices ascend, so that what a row stores past its end is overwritten by the next one.
    for (at, k, node) in pairs {
        out.candidate_workload[at] = k as u32;
        out.candidate_destination[at] = node as u32;
        out.candidate_source[at] = state.placement[k];
        let outlooks = std::iter::once(&state.now).chain(&state.forecast);
        for (tile, outlook) in tiles.iter_mut().zip(outlooks) {
            outlook.tile_of_nodes(&state.spec, &[node as u32], tile);
        }
        encode_row(state, &tiles, k, at, 1, &mut results, out);
    }
    out.tiles = tiles;
}

/// Room for a row's results.
#[derive(Default)]
struct Results {
    arrivals: Arrivals,
    cost: MigrationCostLanes,
}

/// Writes mask and features of workload `k` moving to each of the nodes of `tiles` (now and at
/// each horizon), as candidates `at .. at + lanes`. All [`LANES`] columns are stored; those past
/// `lanes` are scratch.
#[inline(always)]
fn encode_row(
    state: &ClusterState,
    tiles: &[Tile],
    k: usize,
    at: usize,
    lanes: usize,
    results: &mut Results,
    out: &mut ObservationBuffer,
) {
    let mut open = [false; LANES];
    if state.may_leave(k).is_ok() {
        open = state.open_lanes(k, &tiles[0]);
    }
    for (l, open) in open.iter_mut().enumerate() {
        *open &= l < lanes;
    }
    out.mask[at..at + LANES].copy_from_slice(&open);
    if open == [false; LANES] || !out.parts.candidates {
        return;
    }
    let mut w = Columns { out: &mut out.candidates, stride: out.candidate_stride, at };
    let shown = out.sections;
    let source = state.placement[k] as usize;
    let departure = state.now.departure(&state.spec, &state.objective, source, state.demand_of(k));
    encode_now(state, shown, &tiles[0], k, &departure, &mut results.arrivals, &mut w);
    encode_price(state, &tiles[0], k, &mut results.cost, &mut w);
    if shown.health {
        encode_health(state, &tiles[0], k, lanes, &mut w);
    }
    if shown.slots {
        match state.objective.slot {
            Some(slot) => encode_slots(
                state,
                slot,
                &tiles[0],
                k,
                &open,
                &departure,
                &results.arrivals,
                &mut w,
            ),
            None => (0..SLOT_FEATURES).for_each(|_| w.put_all(0.0)),
        }
    }
    for h in 0..shown.horizons as usize {
        let view = view_of(state, h);
        encode_view(state, view, &tiles[view], k, &mut results.arrivals, &mut w);
    }
    if shown.follow_up {
        let views = (0..shown.horizons as usize).map(|h| view_of(state, h));
        for view in std::iter::once(0).chain(views) {
            for gain in follow_up(state, &mut out.follow_ups, view, k) {
                w.put_all(gain * (1.0 / state.objective.unit));
            }
        }
    }
}

/// Features that [`encode_slots`] writes.
const SLOT_FEATURES: usize = 12 + 2 * SIZE_BINS;

/// What a candidate makes room for; not known where it could not be told from the load alone.
#[inline(always)]
fn follow_up(state: &ClusterState, found: &mut FollowUps, view: usize, k: usize) -> [f32; 2] {
    if has_follow_ups(state) { found.of(state, view, k) } else { [0.0; 2] }
}

#[inline(always)]
fn has_follow_ups(state: &ClusterState) -> bool {
    ![Term::Fragmentation, Term::Own, Term::MachineReassignment]
        .into_iter()
        .any(|term| state.objective.uses(term))
}

/// Loads after the move and the change of the objective, now.
#[inline(always)]
fn encode_now(
    state: &ClusterState,
    shown: Sections,
    tile: &Tile,
    k: usize,
    departure: &Departure,
    arrivals: &mut Arrivals,
    w: &mut Columns,
) {
    let (m, n) = (state.spec.resources, state.spec.nodes());
    let objective = &state.objective;
    let inverse_m = 1.0 / m as f32;
    let inverse_unit = 1.0 / objective.unit;
    state.now.arrivals(n, objective, departure, state.demand_of(k), tile, arrivals);
    w.put_tightest(&arrivals.utilisation[..m]);
    w.put_tightest_of_all(&departure.utilisation[..m]);
    w.put(&arrivals.load, inverse_m, -state.now.mean_load * inverse_m);
    w.put_all((departure.load - state.now.mean_load) * inverse_m);
    for term in [Term::MaxLoad, Term::Imbalance, Term::Overload] {
        let weight = objective.weights[term as usize];
        w.put(&arrivals.terms[term as usize], weight * inverse_unit, 0.0);
    }
    if objective.uses(Term::MachineReassignment) {
        let change = state.reassignment_lanes(k, tile);
        if shown.machines {
            w.put_all(change.source * inverse_unit);
            w.put(&change.destination, inverse_unit, 0.0);
            w.put(&change.fare, inverse_unit, 0.0);
            w.put(&change.home, 1.0, 0.0);
        }
        state.add_reassignment(k, tile, &mut arrivals.objective);
    } else if shown.machines {
        (0..4).for_each(|_| w.put_all(0.0));
    }
    w.put(&arrivals.objective, inverse_unit, 0.0);
}

/// What the move costs, and how long it takes.
#[inline(always)]
fn encode_price(
    state: &ClusterState,
    tile: &Tile,
    k: usize,
    cost: &mut MigrationCostLanes,
    w: &mut Columns,
) {
    let objective = &state.objective;
    let inverse_unit = 1.0 / objective.unit;
    state.migration_cost_lanes(k, tile, cost);
    let gib = objective.weights[Term::MovedGib as usize] * inverse_unit;
    let down = objective.weights[Term::DowntimeS as usize] * state.spec.priority[k] * inverse_unit;
    let mut price: Lanes = [0.0; LANES];
    let mut time: Lanes = [0.0; LANES];
    for l in 0..LANES {
        price[l] = gib * cost.moved_gib[l] + down * cost.downtime_s[l];
        time[l] = log2_approx(1.0 + cost.transfer_s[l]);
    }
    w.put(&price, 1.0, 0.0);
    w.put(&time, std::f32::consts::LN_2 / 4.0, 0.0);
}

/// How far source and destination can be relied on.
#[inline(always)]
fn encode_health(state: &ClusterState, tile: &Tile, k: usize, lanes: usize, w: &mut Columns) {
    for feature in health_features(state, state.placement[k] as usize) {
        w.put_all(feature);
    }
    let mut degraded: Lanes = [0.0; LANES];
    for l in 0..lanes {
        degraded[l] = health_features(state, tile.node[l] as usize)[0];
    }
    w.put(&degraded, 1.0, 0.0);
    w.put_all(state.spec.priority[k]);
}

/// What the move does to the slots of both nodes.
#[inline(always)]
#[allow(clippy::too_many_arguments)] // all of a row's parts, in a function that is inlined
fn encode_slots(
    state: &ClusterState,
    slot: Slot,
    tile: &Tile,
    k: usize,
    open: &[bool; LANES],
    departure: &Departure,
    arrivals: &Arrivals,
    w: &mut Columns,
) {
    let source = state.placement[k] as usize;
    let size = state.demand_of(k)[slot.resource];
    let mut remainder: Lanes = [0.0; LANES];
    let mut before: Lanes = [0.0; LANES];
    let mut after: Lanes = [0.0; LANES];
    let mut remainder_before: Lanes = [0.0; LANES];
    let mut counts = [[0.0; LANES]; SIZE_BINS];
    for l in 0..LANES {
        let slots = arrivals.free[l] / slot.size;
        remainder[l] = slots - (slots + 1e-4).floor();
        if open[l] {
            let node = tile.node[l] as usize;
            before[l] = nearness(state.slots.removals[node]);
            after[l] = nearness(state.slots.removals_with(slot, node, size, arrivals.free[l]));
            remainder_before[l] = slot_remainder(&state.now, slot, node);
            for (bin, lanes) in counts.iter_mut().enumerate() {
                lanes[l] = state.slots.size_counts[node][bin];
            }
        }
    }
    let slots = departure.free / slot.size;
    let without = state.slots.removals_without(slot, source, size, departure.free);
    let fragmentation = Term::Fragmentation as usize;
    let per_unit = state.objective.weights[fragmentation] / state.objective.unit;
    w.put(&arrivals.terms[fragmentation], per_unit, 0.0);
    w.put_all(departure.slots_gained);
    w.put(&arrivals.slots_gained, 1.0, 0.0);
    w.put_all(slots - (slots + 1e-4).floor());
    w.put(&remainder, 1.0, 0.0);
    w.put_all(slot_remainder(&state.now, slot, source));
    w.put(&remainder_before, 1.0, 0.0);
    w.put_all(nearness(state.slots.removals[source]));
    w.put_all(nearness(without));
    w.put(&before, 1.0, 0.0);
    w.put(&after, 1.0, 0.0);
    w.put_all(size / slot.size);
    for count in state.slots.size_counts[source] {
        w.put_all(count / 4.0);
    }
    for lanes in &counts {
        w.put(lanes, 0.25, 0.0);
    }
}

/// Loads after the move and the change of the objective in a view.
#[inline(always)]
fn encode_view(
    state: &ClusterState,
    view: usize,
    tile: &Tile,
    k: usize,
    arrivals: &mut Arrivals,
    w: &mut Columns,
) {
    let (spec, objective, outlook) = (&*state.spec, &state.objective, state.outlook(view));
    let inverse_m = 1.0 / spec.resources as f32;
    let demand = state.demand_in(view, k);
    let departure = outlook.departure(spec, objective, state.placement[k] as usize, demand);
    outlook.arrivals(spec.nodes(), objective, &departure, demand, tile, arrivals);
    w.put(&arrivals.load, inverse_m, -outlook.mean_load * inverse_m);
    w.put_all((departure.load - outlook.mean_load) * inverse_m);
    w.put(&arrivals.objective, 1.0 / objective.unit, 0.0);
}

#[inline(always)]
fn start_follow_ups(state: &ClusterState, out: &mut ObservationBuffer) {
    if out.sections.follow_up && out.parts.candidates && has_follow_ups(state) {
        out.follow_ups.start(state);
    }
}

struct Columns<'a> {
    out: &'a mut [f32],
    stride: usize,
    at: usize,
}

impl Columns<'_> {
    /// Stores `value * scale + shift` for each lane.
    #[inline(always)]
    fn put(&mut self, value: &Lanes, scale: f32, shift: f32) {
        let out = &mut self.out[self.at..self.at + LANES];
        for l in 0..LANES {
            out[l] = (value[l] * scale + shift).clamp(-CLIP, CLIP);
        }
        self.at += self.stride;
    }

    /// The highest of some values for each lane, from the highest on.
    #[inline(always)]
    fn put_tightest(&mut self, values: &[Lanes]) {
        let mut top = [[0.0; LANES]; TIGHTEST];
        for value in values {
            let mut sinking = *value;
            for kept in &mut top {
                for l in 0..LANES {
                    let (a, b): (f32, f32) = (kept[l], sinking[l]);
                    (kept[l], sinking[l]) = (a.max(b), a.min(b));
                }
            }
        }
        for lanes in &top {
            self.put(lanes, 1.0, 0.0);
        }
    }

    /// The same of values that all lanes share.
    #[inline(always)]
    fn put_tightest_of_all(&mut self, values: &[f32]) {
        for value in tightest(values) {
            self.put_all(value);
        }
    }

    #[inline(always)]
    fn put_all(&mut self, value: f32) {
        self.out[self.at..self.at + LANES].fill(value.clamp(-CLIP, CLIP));
        self.at += self.stride;
    }
}
