//! The weighted objective that a state holds over the payback time: what gains are measured on.

use godwit_envs::scenario::Mode;
use godwit_envs::state::ClusterState;
use godwit_envs::state::objective::Objective;
use godwit_envs::state::term::{LOAD_TERMS, Term};

/// The weighted objective that a state holds over `ticks` ticks if nothing more is moved, in units
/// of the objective times ticks: by the demand that its forecast says, if it has one. In rebalance
/// scenarios, where no time passes, the objective once.
pub fn held(state: &ClusterState, ticks: u32) -> f64 {
    if state.rules.episode.mode == Mode::Rebalance {
        return level(&state.objective, &state.level_terms(), state.reassignment_cost());
    }
    held_from(state, 0, ticks)
}

/// [`held`] of an online state in which `passed` of these ticks are over, from then on. Its demand and
/// forecast are still those of the first.
pub(super) fn held_from(state: &ClusterState, passed: u32, ticks: u32) -> f64 {
    let tick_s = state.rules.episode.tick_s;
    let (from, to) = (f64::from(passed), f64::from(ticks));
    let longest = longest_transfer_s(state);
    let in_transit = (f64::from(longest) / f64::from(tick_s)).min(to - from);
    if in_transit <= 0.0 {
        return held_settled(state, from, to);
    }
    let mut state = state.clone();
    let terms = state.run_transfers(longest.min(tick_s * (ticks - passed) as f32));
    complete(&mut state);
    let transient = transient_level(&state, &terms) * in_transit;
    if in_transit >= to - from {
        return transient;
    }
    transient + held_settled(&state, from + in_transit, to)
}

/// Lets all transfers end. Rounding may leave the last one a little time.
pub(super) fn complete(state: &mut ClusterState) {
    while !state.transfers.is_empty() {
        state.run_transfers(longest_transfer_s(state));
    }
}

/// The level while transfers run that end in `settled`. That source and destination both hold the
/// demand may level the loads out; it is no gain, or a move would be worth making for the time that
/// it takes.
pub(super) fn transient_level(settled: &ClusterState, terms: &[f32]) -> f64 {
    level(&settled.objective, terms, 0).max(level(&settled.objective, &settled.level_terms(), 0))
}

/// The same between two times, in ticks from now, of a state without transfers: from view to view
/// the level changes evenly, and stays what it is after the last.
fn held_settled(state: &ClusterState, from: f64, to: f64) -> f64 {
    let mut terms = state.level_terms();
    let (mut at, mut last) = (0.0, level(&state.objective, &terms, 0));
    let mut sum = 0.0;
    for (&horizon, outlook) in state.rules.forecast.horizons.iter().zip(&state.forecast) {
        terms[..LOAD_TERMS].copy_from_slice(&outlook.terms(&state.objective));
        let (next_at, next) = (f64::from(horizon), level(&state.objective, &terms, 0));
        let (begin, end) = (from.max(at), to.min(next_at));
        if begin < end {
            let slope = (next - last) / (next_at - at);
            sum += (end - begin) * (last + slope * ((begin + end) / 2.0 - at));
        }
        (at, last) = (next_at, next);
    }
    sum + (to - from.max(at)).max(0.0) * last
}

fn longest_transfer_s(state: &ClusterState) -> f32 {
    state.transfers.iter().map(|transfer| transfer.remaining_s).fold(0.0, f32::max)
}

/// The weighted sum in double precision, with the machine-reassignment cost as the whole number that
/// it is.
pub(super) fn level(objective: &Objective, terms: &[f32], reassignment_cost: i64) -> f64 {
    let weighted =
        objective.weights.iter().zip(terms).enumerate().map(|(term, (&weight, &value))| {
            let value = match term {
                term if term == Term::MachineReassignment as usize => reassignment_cost as f64,
                _ => f64::from(value),
            };
            f64::from(weight) * value
        });
    weighted.sum()
}
