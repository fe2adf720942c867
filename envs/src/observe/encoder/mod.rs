//! The one feature encoder: training, evaluation and the live scorer observe through it. The
//! order of what it writes is the order of [`crate::observe::features::schema`].

// Lanes are indexed in step across several arrays, which vectorises and reads like the formula.
#![allow(clippy::needless_range_loop)]

use crate::observe::candidates::{CandidateList, action_space};
use crate::observe::{ObservationBuffer, ObservationSpace};
use crate::scenario::Mode;
use crate::state::cluster::Health;
use crate::state::slots::nearness;
use crate::state::term::Term;
use crate::state::{ClusterState, Life, full_budget};
use multiversion::multiversion;

mod candidate_rows;
mod follow_up;
mod scaling;

use candidate_rows::{encode_all_pairs, encode_few, encode_list};
use scaling::{health_features, log2_approx, slot_remainder};

pub(crate) use follow_up::FollowUps;
pub use scaling::CLIP;

/// The observation space of a cluster under its rules.
pub fn observation_space(state: &ClusterState) -> ObservationSpace {
    let (nodes, workloads) = (state.spec.nodes(), state.spec.workloads());
    let (actions, fixed_pairs) = action_space(nodes, workloads, state.rules.candidates.max);
    let schema = crate::observe::features::schema(&state.rules);
    ObservationSpace { nodes, workloads, actions, fixed_pairs, schema, normalisation: None }
}

/// The candidates that are written.
pub enum Candidates<'a> {
    /// Every pair, each at its fixed index.
    AllPairs,
    /// The offered pairs.
    Listed(&'a CandidateList),
    /// Index, workload and destination of a few unmasked candidates, by ascending index. All others
    /// are masked, and what stands in their place means nothing.
    Few(&'a mut dyn Iterator<Item = (usize, usize, usize)>),
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
    encode_globals(state, &mut out.globals);
    if out.parts.entities {
        encode_nodes(state, &mut out.nodes);
        encode_workloads(state, &mut out.workloads);
    }
    let nowhere = state.spec.nodes() as u32;
    for (seen, &node) in out.placement.iter_mut().zip(&state.placement) {
        *seen = node.min(nowhere);
    }
    match candidates {
        Candidates::AllPairs => encode_all_pairs(state, out),
        Candidates::Listed(list) => encode_list(state, list, out),
        Candidates::Few(pairs) => encode_few(state, pairs, out),
    }
    out.mask[0] = true;
}

#[inline(always)]
fn encode_globals(state: &ClusterState, out: &mut [f32]) {
    let m = state.spec.resources as f32;
    let mut w = Row { out, at: 0 };
    let terms = state.level_terms();
    let rules = &*state.rules;
    w.put(terms[Term::MaxLoad as usize] / m);
    w.put(terms[Term::Imbalance as usize]);
    w.put(terms[Term::Overload as usize]);
    w.put(terms[Term::Fragmentation as usize]);
    if rules.has_queue() {
        w.put(terms[Term::Displaced as usize] / 4.0);
        w.put(terms[Term::Unplaced as usize] / 4.0);
    }
    if state.objective.uses(Term::MachineReassignment) {
        w.put(state.reassignment_share());
    }
    if rules.faults.is_some() {
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
    if rules.episode.mode == Mode::Online {
        let period = rules.forecast.period_ticks.max(1);
        let angle = std::f32::consts::TAU * (state.tick % period) as f32 / period as f32;
        let (sin, cos) = angle.sin_cos();
        w.put(sin);
        w.put(cos);
    }
    w.put(state.moves_left.min(50) as f32 / 10.0);
    w.put(state.moves_left as f32 / full_budget(rules).max(1) as f32);
    for outlook in &state.forecast {
        let terms = outlook.terms(&state.objective);
        w.put(terms[Term::MaxLoad as usize] / m);
        w.put(terms[Term::Overload as usize]);
    }
}

#[inline(always)]
fn encode_nodes(state: &ClusterState, out: &mut [f32]) {
    let spec = &*state.spec;
    let (n, m, padded) = (spec.nodes(), spec.resources, spec.padded_nodes());
    let inverse_m = 1.0 / m as f32;
    let width = out.len() / n;
    let now = &state.now;
    for i in 0..n {
        let mut w = Row { out: &mut out[i * width..(i + 1) * width], at: 0 };
        for j in 0..m {
            w.put(now.held[j * padded + i] * spec.inverse_supply[j * padded + i]);
        }
        for j in 0..m {
            w.put(spec.supply[j * padded + i] * spec.inverse_largest[j]);
        }
        w.put(now.load[i] * inverse_m);
        w.put((now.load[i] - now.mean_load) * inverse_m);
        w.put(log2_approx(1.0 + f32::from(state.workloads_on(i))) * std::f32::consts::LN_2 / 4.0);
        w.put(f32::from(state.transfers_of(i)) / 4.0);
        if state.rules.faults.is_some() {
            for feature in health_features(state, i) {
                w.put(feature);
            }
            w.put(f32::from(u8::from(state.health[i] == Health::Failed)));
        }
        if let Some(slot) = state.objective.slot {
            w.put(now.slots[i] / 4.0);
            w.put(slot_remainder(now, slot, i));
            w.put(nearness(state.slots.removals[i]));
            for count in state.slots.size_counts[i] {
                w.put(count / 4.0);
            }
        }
        if state.objective.uses(Term::MachineReassignment) {
            w.put((1.0 + state.machine_cost(i) / state.objective.unit).ln() / 4.0);
        }
        for outlook in &state.forecast {
            w.put((outlook.load[i] - outlook.mean_load) * inverse_m);
        }
    }
}

#[inline(always)]
fn encode_workloads(state: &ClusterState, out: &mut [f32]) {
    let spec = &*state.spec;
    let (m, padded) = (spec.resources, spec.padded_nodes());
    let inverse_m = 1.0 / m as f32;
    let width = out.len() / spec.workloads();
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
        let mut load = 0.0;
        for j in 0..m {
            w.put(demand[j] * spec.inverse_largest[j]);
        }
        for j in 0..m {
            let share = share_of(j, demand[j]);
            load += share;
            w.put(share);
        }
        w.put(log2_approx(1.0 + spec.state_gib[k]) * std::f32::consts::LN_2 / 4.0);
        w.put(spec.priority[k]);
        w.put(f32::from(u8::from(spec.movable[k])));
        w.put(f32::from(state.cooldown[k]) / 8.0);
        w.put(f32::from(u8::from(state.is_in_transfer(k))));
        if state.rules.has_queue() {
            w.put(f32::from(u8::from(state.life[k] == Life::Running)));
            w.put(f32::from(u8::from(matches!(state.life[k], Life::Waiting | Life::Displaced))));
        }
        if state.objective.uses(Term::MachineReassignment) {
            w.put(f32::from(u8::from(state.is_reassigned(k))));
        }
        for h in 0..state.forecast.len() {
            let then: f32 =
                state.forecast_of(h, k).iter().enumerate().map(|(j, &d)| share_of(j, d)).sum();
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
