//! What a plan is said to cost: the account by which plans are compared.
//!
//! *Online* a plan is the moves of this tick. They are made, the tick passes, and then the policy
//! itself decides for [`TICKS`] ticks, whoever made the plan. The world is played on as the state foresees it:
//! demand follows the forecast and stays what it is after the last horizon, draining nodes fail at
//! their deadlines, and the cluster's scheduler places who waits; transfers, cooldowns, budgets and
//! fences are as they are. The cost is the weighted objective held over each tick, what all the moves
//! cost, what degraded nodes are expected to lose, and the objective at the end for [`TAIL_TICKS`]
//! more. Who arrives, who leaves and which nodes begin to fail is not foreseen.
//!
//! That the policy goes on, and not a rule of thumb, matters: a plan then costs what it makes
//! harder or easier for who really decides next, and a move that the policy would make a tick later
//! anyway is worth little.
//!
//! *In a static world* a plan is all that is left of the budget, and its cost is exactly minus what it
//! earns.

use crate::baselines::search::foreseen::{expect, let_fail};
use crate::policy::Policy;
use godwit_envs::scenario::Mode;
use godwit_envs::state::cluster::Health;
use godwit_envs::state::term::Term;
use godwit_envs::state::{Action, ClusterState};

/// Ticks that are played on.
const TICKS: u32 = 12;

/// Ticks for which the objective at the end counts.
const TAIL_TICKS: u32 = 6;

/// Ticks of the present objective by which another plan must be better where demand is forecast.
/// Chosen on validation episodes of `founding-10x50`, with its own demand and with more.
const MARGIN_TICKS: f64 = 0.1;

/// Ticks of the present objective by which another plan must be better where demand is not forecast.
/// There the account takes what is now to last, and the policy has learnt how long it does: bursts
/// end, and jobs leave. Chosen on validation episodes of `bursty`, `churn`, `faults` and `gpu-defrag`.
const BLIND_MARGIN_TICKS: f64 = 15.0;

/// Share of the cost that sums of 32-bit numbers may be off by.
const ROUNDING: f64 = 1e-6;

/// Workload and destination of each move, in order.
pub type Moves = Vec<(usize, usize)>;

/// By how much another plan must cost less than the policy's, beyond rounding: nothing in a static
/// world, where the account is exact.
pub fn margin(state: &ClusterState) -> f64 {
    let ticks = match state.rules.episode.mode {
        Mode::Rebalance => 0.0,
        Mode::Online if state.rules.forecast.horizons.is_empty() => BLIND_MARGIN_TICKS,
        Mode::Online => MARGIN_TICKS,
    };
    ticks * f64::from(state.level())
}

/// Whether a cost is less than another by more than rounding.
pub(super) fn is_better(cost: f64, than: f64) -> bool {
    cost < than - ROUNDING * than.abs().max(1.0)
}

/// What these moves cost with `policy` going on; `None` if one of them is not feasible in its turn, or
/// `over` says that time is up.
pub fn cost(
    state: &ClusterState,
    moves: &[(usize, usize)],
    policy: &mut dyn Policy,
    over: &dyn Fn() -> bool,
) -> Option<f64> {
    match state.rules.episode.mode {
        Mode::Rebalance => static_cost(state, moves),
        Mode::Online => online_cost(state, moves, policy, over),
    }
}

fn online_cost(
    state: &ClusterState,
    moves: &[(usize, usize)],
    policy: &mut dyn Policy,
    over: &dyn Fn() -> bool,
) -> Option<f64> {
    let episode = &state.rules.episode;
    // What happens after the episode's end is not paid for.
    let left = episode.ticks.saturating_sub(state.tick).max(1);
    let ticks = TICKS.min(left);
    let mut played = state.clone();
    let mut cost = 0.0;
    for &(workload, destination) in moves {
        cost += migrate(&mut played, workload, destination)?;
    }
    for tick in 1..=ticks {
        let held = played.run_transfers(episode.tick_s);
        cost += f64::from(played.objective.level(&held)) + expected_losses(&played, tick);
        played.start_tick();
        expect(state, tick, &mut played);
        cost += f64::from(let_fail(&mut played));
        while tick < ticks && played.moves_left > 0 {
            if over() {
                return None;
            }
            let Action::Migrate { workload, destination } = policy.act(&played) else { break };
            let Some(price) = migrate(&mut played, workload, destination) else { break };
            cost += price;
        }
    }
    let tail = TAIL_TICKS.min(left - ticks);
    Some(cost + f64::from(tail) * f64::from(played.level()))
}

/// Makes a move and says what it costs.
fn migrate(played: &mut ClusterState, workload: usize, destination: usize) -> Option<f64> {
    let price = played.migrate(workload, destination).ok()?;
    Some(f64::from(played.objective.value(&played.flow_terms(workload, &price))))
}

/// What degraded nodes are expected to cost by cold restarts at the end of this tick, the first being
/// 1: by then they may have recovered, or failed.
fn expected_losses(played: &ClusterState, tick: u32) -> f64 {
    let Some(faults) = &played.rules.faults else { return 0.0 };
    let price = played.objective.weights[Term::DowntimeS as usize] * faults.restart_s;
    let stays = (1.0 - faults.hazard_per_tick - faults.recover_per_tick).max(0.0);
    let degraded = |node: &usize| played.health[*node] == Health::Degraded;
    let nodes = (0..played.spec.nodes()).filter(degraded);
    let priority: f32 = nodes.map(|node| played.priority_running_on(node)).sum();
    f64::from(price * priority * faults.hazard_per_tick * stays.powi(tick as i32 - 1))
}

fn static_cost(state: &ClusterState, moves: &[(usize, usize)]) -> Option<f64> {
    let mut played = state.clone();
    let mut paid = 0.0;
    for &(workload, destination) in moves {
        paid += migrate(&mut played, workload, destination)?;
        // As the environment does: each move counts as a tick.
        played.start_tick();
    }
    Some(paid + rise(state, &played))
}

/// How much higher the weighted objective is than at the start.
fn rise(start: &ClusterState, played: &ClusterState) -> f64 {
    let weights = &start.objective.weights;
    let [before, after] = [start, played].map(|state| state.level_terms());
    let terms = weights.iter().zip(before.iter().zip(after)).enumerate();
    let rises = terms.map(|(term, (&weight, (before, after)))| {
        let rise = match term {
            // Whole numbers of up to 2^63: their difference, and not that of their roundings.
            term if term == Term::MachineReassignment as usize => {
                (played.reassignment_cost() - start.reassignment_cost()) as f64
            }
            _ => f64::from(after) - f64::from(*before),
        };
        f64::from(weight) * rise
    });
    rises.sum()
}

/// The moves that a policy makes from here: those of this tick, or in a static world those up to where
/// they have earned most. `None` if `over` says that time is up.
pub(super) fn propose(
    policy: &mut dyn Policy,
    state: &ClusterState,
    over: &dyn Fn() -> bool,
) -> Option<Moves> {
    let is_static = state.rules.episode.mode == Mode::Rebalance;
    let mut played = state.clone();
    let mut moves = Moves::new();
    let (mut paid, mut kept, mut least) = (0.0, 0, 0.0);
    while played.moves_left > 0 {
        if over() {
            return None;
        }
        let Action::Migrate { workload, destination } = policy.act(&played) else { break };
        let Some(price) = migrate(&mut played, workload, destination) else { break };
        moves.push((workload, destination));
        if is_static {
            played.start_tick();
            paid += price;
            let cost = paid + rise(state, &played);
            if cost < least {
                (kept, least) = (moves.len(), cost);
            }
        }
    }
    if is_static {
        moves.truncate(kept);
    }
    Some(moves)
}
