//! The world with everything on: bursts, arrivals, departures, faults, transfers over several
//! ticks. What is checked is recomputed from the definitions.

use crate::build::*;
use godwit_envs::env::cluster_env::ClusterEnv;
use godwit_envs::env::event_replay::Replay;
use godwit_envs::env::{Env, Step};
use godwit_envs::rng::stream;
use godwit_envs::state::cluster::{Health, NO_GROUP};
use godwit_envs::state::event::EventKind;
use godwit_envs::state::migration::{MigrationMode, MigrationRules};
use godwit_envs::state::term::Term;
use godwit_envs::state::{ClusterState, Life, NOWHERE};
use proptest::prelude::*;

/// Env steps that each random world is followed for.
const STEPS: usize = 10_000;

fn dynamic_shapes() -> impl Strategy<Value = Shape> {
    shapes().prop_map(|shape| Shape {
        online: true,
        dynamics: true,
        events: shape.seed % 2 == 1,
        nodes: shape.nodes.clamp(2, 17),
        ..shape
    })
}

/// Demand that a node holds for placements and for transfers that leave it.
fn held(state: &ClusterState, node: usize, resource: usize) -> f64 {
    let demand = |k: usize| f64::from(state.demand_of(k)[resource]);
    let placed: f64 =
        (0..state.placement.len()).filter(|&k| state.placement[k] == node as u32).map(demand).sum();
    let leaving: f64 = state
        .transfers
        .iter()
        .filter(|t| t.source as usize == node)
        .map(|t| demand(t.workload as usize))
        .sum();
    placed + leaving
}

/// Whether a node takes a workload, from the definitions.
fn takes(state: &ClusterState, workload: usize, node: usize) -> bool {
    let spec = &*state.spec;
    let room = (0..spec.resources).all(|j| {
        let demand = f64::from(state.demand_of(workload)[j]);
        let supply = f64::from(spec.supply_of(node, j));
        demand == 0.0 || held(state, node, j) + demand <= supply * 1.00002
    });
    let here = |k: usize| {
        state.placement[k] == node as u32
            || state.transfers.iter().any(|t| t.workload as usize == k && t.source == node as u32)
    };
    let apart = spec.group[workload] == NO_GROUP
        || (0..spec.workloads())
            .all(|k| k == workload || spec.group[k] != spec.group[workload] || !here(k));
    matches!(state.health[node], Health::Healthy | Health::Degraded)
        && spec.class_allows(workload, node)
        && crate::places::places_allow(state, workload, node)
        && room
        && apart
}

/// GiB moved and seconds down by the closed form of the geometric model.
fn closed_form(rules: &MigrationRules, state: f64, dirty: f64, bandwidth: f64) -> (f64, f64) {
    let switch = f64::from(rules.switch_over_s);
    let r = (dirty / bandwidth).min(1.0);
    let n = match rules.mode {
        MigrationMode::StopAndCopy => 0,
        MigrationMode::Live => (0..rules.max_rounds)
            .find(|&n| state * r.powi(n as i32) / bandwidth <= f64::from(rules.downtime_target_s))
            .unwrap_or(rules.max_rounds),
    } as i32;
    let moved = match r {
        1.0 => state * f64::from(n + 1),
        _ => state * (1.0 - r.powi(n + 1)) / (1.0 - r),
    };
    (moved, state * r.powi(n) / bandwidth + switch)
}

fn close(a: f64, b: f64) -> bool {
    (a - b).abs() <= 1e-4 * a.abs().max(b.abs()).max(1.0)
}

/// Every workload in exactly one place, waiting, or away.
fn check_places(state: &ClusterState) -> Result<(), TestCaseError> {
    let n = state.spec.nodes();
    for k in 0..state.spec.workloads() {
        let queued = state.queue.iter().filter(|&&other| other as usize == k).count();
        let placed = (state.placement[k] as usize) < n;
        prop_assert!(placed || state.placement[k] == NOWHERE);
        let (runs, waits) = match state.life[k] {
            Life::Running => (true, 0),
            Life::Absent => (false, 0),
            Life::Waiting | Life::Displaced => (false, 1),
        };
        prop_assert_eq!((placed, queued), (runs, waits), "workload {}", k);
        let transfers = state.transfers.iter().filter(|t| t.workload as usize == k).count();
        prop_assert!(transfers <= usize::from(runs));
        if placed {
            let health = state.health[state.placement[k] as usize];
            prop_assert!(health != Health::Failed, "workload {} on a failed node", k);
        }
    }
    for transfer in &state.transfers {
        prop_assert!(state.health[transfer.source as usize] != Health::Failed);
        prop_assert!(transfer.remaining_s > 0.0);
    }
    Ok(())
}

/// Bits of what is no forecast.
fn world_bits(state: &ClusterState) -> (Vec<u32>, String) {
    let floats = state
        .demand
        .iter()
        .chain(&state.now.held)
        .chain(&state.now.load)
        .chain(state.transfers.iter().map(|t| &t.remaining_s))
        .map(|x| x.to_bits())
        .chain(state.level_terms().map(f32::to_bits));
    let rest = format!(
        "{:?} {:?} {:?} {:?} {:?} {:?} {} {}",
        state.placement,
        state.life,
        state.queue,
        state.health,
        state.deadline,
        state.cooldown,
        state.tick,
        state.moves_left
    );
    (floats.collect(), rest)
}

/// Follows the new events and checks each against the state before it.
fn follow(
    env: &ClusterEnv,
    replay: &mut Replay,
    from: usize,
    step: &Step,
) -> Result<(), TestCaseError> {
    let (mut moved, mut down) = (0.0, 0.0);
    for event in &env.events()[from..] {
        let state = replay.state();
        let rules = &state.rules;
        match event.kind {
            EventKind::Placed { workload, node, restart } => {
                prop_assert!(takes(state, workload as usize, node as usize));
                prop_assert_eq!(restart, state.life[workload as usize] == Life::Displaced);
                if restart {
                    let seconds = rules.faults.as_ref().map_or(0.0, |faults| faults.restart_s);
                    down += f64::from(seconds * state.spec.priority[workload as usize]);
                }
            }
            EventKind::TransferStarted { workload, source, destination } => {
                let k = workload as usize;
                prop_assert!(takes(state, k, destination as usize));
                let share = |node: u32| {
                    let ends = state.transfers.iter().filter(|t| {
                        t.source == node || state.placement[t.workload as usize] == node
                    });
                    f64::from(state.spec.bandwidth_gib_s[node as usize]) / (ends.count() + 1) as f64
                };
                let bandwidth = share(source).min(share(destination));
                let gib = f64::from(state.spec.state_gib[k]);
                let dirty = f64::from(state.spec.dirty_gib_s[k]);
                let cost = closed_form(&rules.migration, gib, dirty, bandwidth);
                moved += cost.0;
                down += cost.1 * f64::from(state.spec.priority[k]);
            }
            EventKind::TransferRolledBack { source, destination, .. } => {
                let failed = |node: u32| state.health[node as usize] == Health::Failed;
                prop_assert!(failed(source) || failed(destination));
            }
            EventKind::Displaced { node, .. } => {
                prop_assert!(state.health[node as usize] == Health::Failed);
            }
            _ => {}
        }
        replay.follow(event);
    }
    let paid = |term: Term| f64::from(step.terms[term as usize]);
    prop_assert!(close(paid(Term::MovedGib), moved), "{} {}", paid(Term::MovedGib), moved);
    prop_assert!(close(paid(Term::DowntimeS), down), "{} {}", paid(Term::DowntimeS), down);
    prop_assert_eq!(world_bits(replay.state()), world_bits(env.state()));
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { max_shrink_iters: 0, ..ProptestConfig::with_cases(12) })]

    #[test]
    fn invariants_hold_and_logs_replay_bit_for_bit_with_all_dynamics_on(
        shape in dynamic_shapes()
    ) {
        let Some(mut env) = env(&shape) else { return Err(TestCaseError::reject("no start")) };
        env.record_events(true);
        let rng = &mut stream(shape.seed, "actions");
        let mut episode = 0;
        let mut replay = Replay::new(&env);
        let mut health_changes = 0;
        for _ in 0..STEPS {
            let from = env.events().len();
            let step = env.step(random_action(&observe(&env), rng)).unwrap();
            let changed = |kind: &EventKind| matches!(kind, EventKind::HealthChanged { .. });
            let events = &env.events()[from..];
            health_changes += events.iter().filter(|event| changed(&event.kind)).count();
            follow(&env, &mut replay, from, &step)?;
            check_places(env.state())?;
            prop_assert_eq!(step.reward, -env.state().objective.value(&step.terms));
            if step.end.is_some() {
                episode += 1;
                env.reset(episode).map_err(|e| TestCaseError::reject(e.to_string()))?;
                replay = Replay::new(&env);
            }
        }
        prop_assert!(health_changes > 0);
    }

    #[test]
    fn a_compact_state_with_all_dynamics_is_observed_as_the_original(shape in dynamic_shapes()) {
        let Some(mut env) = env(&shape) else { return Err(TestCaseError::reject("no start")) };
        let rng = &mut stream(shape.seed, "actions");
        let mut reader = env.clone();
        let mut saved = env.clone();
        for at in 0..60 {
            let (bytes, seen) = (compact(&env), observe(&env));
            reader.read_compact(&bytes);
            prop_assert_eq!(bits(&observe(&reader)), bits(&seen));
            if at % 20 == 10 {
                saved.restore(&env.save()).map_err(TestCaseError::fail)?;
            }
            let action = random_action(&seen, rng);
            let step = env.step(action).unwrap();
            if at >= 10 {
                prop_assert_eq!(&saved.step(action).unwrap(), &step);
                prop_assert_eq!(world_bits(saved.state()), world_bits(env.state()));
            }
            if step.end.is_some() {
                break;
            }
        }
    }
}
