//! The one feature encoder: training, evaluation and the live scorer observe through it. The
//! order of what it writes is the order of [`crate::observe::features::schema`].

// Lanes are indexed in step across several arrays, which vectorises and reads like the formula.
#![allow(clippy::needless_range_loop)]

use crate::observe::candidates::{CandidateList, action_space};
use crate::observe::features::{WEIGHED, schema};
use crate::observe::sections::Sections;
use crate::observe::{ObservationBuffer, ObservationSpace};
use crate::resources::MAX_RESOURCES;
use crate::scenario::Mode;
use crate::state::cluster::Health;
use crate::state::slots::{SIZE_BINS, nearness};
use crate::state::term::Term;
use crate::state::{ClusterState, Life, full_budget};
use multiversion::multiversion;

mod candidate_rows;
mod chains;
mod follow_up;
mod scaling;

use candidate_rows::{encode_all_pairs, encode_few, encode_list};
use chains::encode_chains;
use scaling::{health_features, log2_approx, slot_remainder, tightest, view_of};

pub(crate) use follow_up::FollowUps;
pub use scaling::CLIP;

/// The observation space of a cluster for a policy that sees these sections;
/// [`Rules::sections`](crate::scenario::Rules::sections) are those that its rules call for.
pub fn observation_space(state: &ClusterState, sections: Sections) -> ObservationSpace {
    let (nodes, workloads) = (state.spec.nodes(), state.spec.workloads());
    let (actions, fixed_pairs) = action_space(nodes, workloads, &state.rules.candidates);
    let schema = schema(sections);
    let normalisation = None;
    ObservationSpace { nodes, workloads, actions, fixed_pairs, sections, schema, normalisation }
}

/// The candidates that are written.
pub enum Candidates<'a> {
    /// Every pair, each at its fixed index.
    AllPairs,
    /// The offered pairs.
    Listed(&'a CandidateList),
    /// Index, workload and destination of a few unmasked candidates, by ascending index, and the list
    /// that they are from, if they are. All others are masked, and what stands in their place means
    /// nothing.
    Few(&'a mut dyn Iterator<Item = (usize, usize, usize)>, Option<&'a CandidateList>),
}

/// What is seen of a state by itself, in buffers of its own, with the candidates that there are.
pub fn observation(
    state: &ClusterState,
    sections: Sections,
) -> (ObservationSpace, CandidateList, ObservationBuffer) {
    let space = observation_space(state, sections);
    let mut list = CandidateList::default();
    let mut seen = ObservationBuffer::new(&space);
    let candidates = if space.fixed_pairs {
        Candidates::AllPairs
    } else {
        list.fill(state, space.actions - 1);
        Candidates::Listed(&list)
    };
    encode(state, candidates, &mut seen);
    (space, list, seen)
}

/// Writes the observation of `state`.
pub fn encode(state: &ClusterState, candidates: Candidates, out: &mut ObservationBuffer) {
    encode_simd(state, candidates, out);
}

// Compiled for several instruction sets; the widest that the machine has is picked at run time.
#[multiversion(targets(
    "x86_64+avx512f+avx512bw+avx512dq+avx512vl+avx2+fma",
    "x86_64+avx2+fma",
    "aarch64+neon"
))]
fn encode_simd(state: &ClusterState, candidates: Candidates, out: &mut ObservationBuffer) {
    let shown = out.sections;
    encode_globals(state, shown, &mut out.globals);
    if out.parts.entities {
        encode_nodes(state, shown, &mut out.nodes);
        encode_workloads(state, shown, &mut out.workloads);
    }
    let nowhere = state.spec.nodes() as u32;
    for (seen, &node) in out.placement.iter_mut().zip(&state.placement) {
        *seen = node.min(nowhere);
    }
    let list = match candidates {
        Candidates::AllPairs => {
            encode_all_pairs(state, out);
            None
        }
        Candidates::Listed(list) => {
            encode_list(state, list, out);
            Some(list)
        }
        Candidates::Few(pairs, list) => {
            encode_few(state, pairs, out);
            list
        }
    };
    if shown.chains && out.parts.candidates {
        encode_chains(state, list, out);
    }
    out.mask[0] = true;
}

#[inline(always)]
fn encode_globals(state: &ClusterState, shown: Sections, out: &mut [f32]) {
    let m = state.spec.resources as f32;
    let mut w = Row { out, at: 0 };
    let terms = state.level_terms();
    let rules = &*state.rules;
    w.put(terms[Term::MaxLoad as usize] / m);
    w.put(terms[Term::Imbalance as usize]);
    w.put(terms[Term::Overload as usize]);
    if shown.slots {
        w.put(terms[Term::Fragmentation as usize]);
    }
    if shown.queue {
        w.put(terms[Term::Displaced as usize] / 4.0);
        w.put(terms[Term::Unplaced as usize] / 4.0);
    }
    if shown.machines {
        let used = state.objective.uses(Term::MachineReassignment);
        w.put(if used { state.reassignment_share() } else { 0.0 });
    }
    if shown.health {
        w.put(state.closed_nodes as f32 / state.spec.nodes() as f32);
        let (mut degraded, mut draining, mut nearest) = (0.0, 0.0, 0.0);
        for i in 0..state.spec.nodes() {
            let [is_degraded, is_draining, nearness] = health_features(state, i);
            if is_degraded + is_draining > 0.0 {
                let priority = state.priority_running_on(i);
                degraded += is_degraded * priority;
                draining += is_draining * priority;
                nearest = nearness.max(nearest);
            }
        }
        w.put(degraded / 8.0);
        w.put(draining / 8.0);
        w.put(nearest);
    }
    w.put(state.now.mean_load / m);
    if shown.clock {
        let period = rules.forecast.period_ticks.max(1);
        let angle = std::f32::consts::TAU * (state.tick % period) as f32 / period as f32;
        let (sin, cos) = angle.sin_cos();
        w.put(sin);
        w.put(cos);
    }
    w.put(state.moves_left.min(50) as f32 / 10.0);
    w.put(state.moves_left as f32 / full_budget(rules).max(1) as f32);
    if shown.world {
        let online = rules.episode.mode == Mode::Online;
        w.put(m / 8.0);
        w.put((state.spec.nodes() as f32).ln_1p() / 4.0);
        w.put((state.spec.workloads() as f32).ln_1p() / 8.0);
        w.put(f32::from(u8::from(online)));
        w.put(if online { (rules.episode.moves_per_tick as f32).ln_1p() / 4.0 } else { 0.0 });
        w.put((rules.limits.cooldown_ticks as f32).ln_1p() / 4.0);
        for &term in WEIGHED {
            let weight = state.objective.weights[term as usize];
            w.put((weight / state.objective.unit).ln_1p() / 4.0);
        }
    }
    for h in 0..shown.horizons as usize {
        let view = view_of(state, h);
        if shown.world {
            let ticks = if view == 0 { 0 } else { rules.forecast.horizons[view - 1] };
            w.put((ticks as f32).ln_1p() / 4.0);
        }
        let terms = state.outlook(view).terms(&state.objective);
        w.put(terms[Term::MaxLoad as usize] / m);
        w.put(terms[Term::Overload as usize]);
    }
}

#[inline(always)]
fn encode_nodes(state: &ClusterState, shown: Sections, out: &mut [f32]) {
    let spec = &*state.spec;
    let (n, m, padded) = (spec.nodes(), spec.resources, spec.padded_nodes());
    let inverse_m = 1.0 / m as f32;
    let width = out.len() / n;
    let now = &state.now;
    let mut utilisation = [0.0; MAX_RESOURCES];
    for i in 0..n {
        let mut w = Row { out: &mut out[i * width..(i + 1) * width], at: 0 };
        let mut share = 0.0;
        for j in 0..m {
            utilisation[j] = now.held[j * padded + i] * spec.inverse_supply[j * padded + i];
            share += spec.supply[j * padded + i] * spec.inverse_largest[j];
        }
        w.put_tightest(&utilisation[..m]);
        w.put(share * inverse_m);
        w.put(now.load[i] * inverse_m);
        w.put((now.load[i] - now.mean_load) * inverse_m);
        w.put(log2_approx(1.0 + state.workloads_on(i) as f32) * std::f32::consts::LN_2 / 4.0);
        w.put(state.transfers_of(i) as f32 / 4.0);
        if shown.health {
            for feature in health_features(state, i) {
                w.put(feature);
            }
            w.put(f32::from(u8::from(state.health[i] == Health::Failed)));
        }
        if shown.slots {
            match state.objective.slot {
                Some(slot) => {
                    w.put(now.slots[i] / 4.0);
                    w.put(slot_remainder(now, slot, i));
                    w.put(nearness(state.slots.removals[i]));
                    for count in state.slots.size_counts[i] {
                        w.put(count / 4.0);
                    }
                }
                None => w.put_none(3 + SIZE_BINS),
            }
        }
        if shown.machines {
            let used = state.objective.uses(Term::MachineReassignment);
            let cost = if used { state.machine_cost(i) } else { 0.0 };
            w.put((1.0 + cost / state.objective.unit).ln() / 4.0);
        }
        for h in 0..shown.horizons as usize {
            let outlook = state.outlook(view_of(state, h));
            w.put((outlook.load[i] - outlook.mean_load) * inverse_m);
        }
    }
}

#[inline(always)]
fn encode_workloads(state: &ClusterState, shown: Sections, out: &mut [f32]) {
    let spec = &*state.spec;
    let (m, padded) = (spec.resources, spec.padded_nodes());
    let inverse_m = 1.0 / m as f32;
    let width = out.len() / spec.workloads();
    let (mut largest, mut on_source) = ([0.0; MAX_RESOURCES], [0.0; MAX_RESOURCES]);
    for k in 0..spec.workloads() {
        let out = &mut out[k * width..(k + 1) * width];
        if state.life[k] == Life::Absent {
            // Who will come next, and how large it will be, is not known.
            out.fill(0.0);
            continue;
        }
        let mut w = Row { out, at: 0 };
        // A workload that runs nowhere has no share of any node.
        let node = state.node_of(k).unwrap_or(padded);
        let share_of = |j: usize, d: f32| match node < padded {
            true => d * spec.inverse_supply[j * padded + node],
            false => 0.0,
        };
        let demand = state.demand_of(k);
        let (mut share, mut load) = (0.0, 0.0);
        for j in 0..m {
            largest[j] = demand[j] * spec.inverse_largest[j];
            on_source[j] = share_of(j, demand[j]);
            share += largest[j];
            load += on_source[j];
        }
        w.put_tightest(&largest[..m]);
        w.put(share * inverse_m);
        w.put_tightest(&on_source[..m]);
        w.put(load * inverse_m);
        w.put(log2_approx(1.0 + spec.state_gib[k]) * std::f32::consts::LN_2 / 4.0);
        w.put(spec.priority[k]);
        w.put(f32::from(u8::from(spec.movable[k])));
        w.put(f32::from(state.cooldown[k]) / 8.0);
        w.put(f32::from(u8::from(state.is_in_transfer(k))));
        if shown.queue {
            w.put(f32::from(u8::from(state.life[k] == Life::Running)));
            w.put(f32::from(u8::from(matches!(state.life[k], Life::Waiting | Life::Displaced))));
        }
        if shown.machines {
            let used = state.objective.uses(Term::MachineReassignment);
            w.put(f32::from(u8::from(used && state.is_reassigned(k))));
        }
        for h in 0..shown.horizons as usize {
            let demand = state.demand_in(view_of(state, h), k);
            let then: f32 = demand.iter().enumerate().map(|(j, &d)| share_of(j, d)).sum();
            w.put((then - load) * inverse_m / 0.5);
        }
    }
}

struct Row<'a> {
    out: &'a mut [f32],
    at: usize,
}

impl Row<'_> {
    #[inline(always)]
    fn put(&mut self, value: f32) {
        self.out[self.at] = value.clamp(-CLIP, CLIP);
        self.at += 1;
    }

    /// The highest values of a row, from the highest on.
    #[inline(always)]
    fn put_tightest(&mut self, values: &[f32]) {
        tightest(values).into_iter().for_each(|value| self.put(value));
    }

    /// Features of what is not there.
    #[inline(always)]
    fn put_none(&mut self, count: usize) {
        self.out[self.at..self.at + count].fill(0.0);
        self.at += count;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fast_logarithm_is_close() {
        for i in 0..4000 {
            let x = 1.0 + i as f32 * 0.37;
            assert!((log2_approx(x) - x.log2()).abs() < 0.01, "{x}");
        }
    }
}
