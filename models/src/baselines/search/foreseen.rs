//! A world that is played on as a state foresees it: demand is interpolated between now and the
//! forecast horizons, and stays what it is after the last; draining nodes fail at their deadlines, and
//! the cluster's scheduler places who waits. Nothing of the true future is known.

use crate::baselines::scan::demand_at;
use godwit_envs::episode::demand::DemandTable;
use godwit_envs::state::ClusterState;
use godwit_envs::state::cluster::Health;
use godwit_envs::state::dynamics::HealthChange;
use godwit_envs::state::event::EventKind;
use godwit_envs::state::term::Term;

/// Lets nodes fail whose deadline has come and the scheduler place who waits; the weighted downtime
/// of cold restarts.
pub(crate) fn let_fail(played: &mut ClusterState) -> f32 {
    let table = DemandTable::default();
    let mut events = Vec::new();
    for node in 0..played.spec.nodes() {
        if played.health[node] == Health::Draining && played.deadline[node] <= played.tick {
            let (tick, node) = (played.tick, node as u32);
            let change = HealthChange { tick, node, health: Health::Failed, deadline: 0 };
            played.consequences(&change, &mut events);
            events.drain(..).for_each(|event| played.carry_out(&event, &table));
            played.rebuild();
        }
    }
    let restart_s = played.rules.faults.as_ref().map_or(0.0, |faults| faults.restart_s);
    let mut downtime = 0.0;
    let mut at = 0;
    while let Some(placed) = played.next_placed(&mut at) {
        if let EventKind::Placed { workload, restart: true, .. } = placed {
            downtime += restart_s * played.spec.priority[workload as usize];
        }
        played.carry_out(&placed, &table);
    }
    played.objective.weights[Term::DowntimeS as usize] * downtime
}

/// Gives a world that is played on the demands and forecasts that `state` expects after so many
/// ticks.
pub(crate) fn expect(state: &ClusterState, ticks: u32, played: &mut ClusterState) {
    let horizons = &state.rules.forecast.horizons;
    if horizons.is_empty() || state.demand.is_empty() {
        return;
    }
    interpolate(state, ticks, &mut played.demand);
    let width = state.demand.len();
    for (horizon, out) in horizons.iter().zip(played.forecast_demand.chunks_exact_mut(width)) {
        interpolate(state, ticks.saturating_add(*horizon), out);
    }
    played.rebuild();
}

/// Writes the demand that is expected after so many ticks, `[K][m]`.
fn interpolate(state: &ClusterState, ticks: u32, out: &mut [f32]) {
    let horizons = &state.rules.forecast.horizons;
    let next = horizons.partition_point(|&horizon| horizon < ticks);
    let (before, after) = (next, (next + 1).min(horizons.len()));
    let share = match horizons.get(next) {
        Some(&to) => {
            let from = if next == 0 { 0 } else { horizons[next - 1] };
            (ticks - from) as f32 / (to - from).max(1) as f32
        }
        None => 1.0,
    };
    let m = state.spec.resources;
    for (k, out) in out.chunks_exact_mut(m).enumerate() {
        let (a, b) = (demand_at(state, before, k), demand_at(state, after, k));
        for (out, (a, b)) in out.iter_mut().zip(a.iter().zip(b)) {
            *out = a + share * (b - a);
        }
    }
}
