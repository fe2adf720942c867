//! What a scenario says will happen at stated ticks.

use crate::build::*;
use godwit_envs::env::Env;
use godwit_envs::env::cluster_env::ClusterEnv;
use godwit_envs::episode::churn::Arrivals;
use godwit_envs::rng::{Rng, stream};
use godwit_envs::scenario::{
    FaultRules, ForecastRules, Phase, Scenario, ScriptedEvent, WorldTemplate,
};
use godwit_envs::state::cluster::Health;
use godwit_envs::state::term::Term;
use godwit_envs::state::{Action, Infeasible, Life};
use proptest::prelude::*;
use rand::RngExt;

/// Gives a world with all dynamics events of every kind.
pub fn add_events(scenario: &mut Scenario, rng: &mut Rng) {
    let mut events = Vec::new();
    for node in scenario.nodes.iter().map(|group| group.name.clone()) {
        if rng.random_bool(0.4) {
            continue;
        }
        let tick = rng.random_range(2..30);
        let ticks = Some(rng.random_range(1..12));
        let recovery = ScriptedEvent::Recover { tick: tick + 5, node: node.clone() };
        match rng.random_range(0..3) {
            0 => {
                let notice = rng.random_range(1..tick.min(8));
                events.push(ScriptedEvent::Drain { tick, node, notice, ticks });
            }
            1 => events.push(ScriptedEvent::Fail { tick, node, ticks }),
            _ => {
                events.extend([recovery, ScriptedEvent::Fail { tick, node, ticks: None }]);
            }
        }
    }
    for group in &mut scenario.workloads {
        if group.arrivals.is_some() && rng.random_bool(0.5) {
            group.arrivals = Some(Arrivals::Events);
            let (tick, group) = (rng.random_range(1..30), group.name.clone());
            let ticks = rng.random_bool(0.5).then_some(3);
            events.push(ScriptedEvent::Arrive { tick, group, count: 1, ticks });
        }
    }
    let names = scenario.workloads.iter().map(|group| group.name.clone());
    for name in names.filter(|_| rng.random_bool(0.3)).collect::<Vec<_>>() {
        let (tick, ticks) = (rng.random_range(1..30), rng.random_range(1..12));
        let known = !scenario.rules.forecast.horizons.is_empty() && rng.random_bool(0.5);
        let (notice, factor) = (known.then_some(4), rng.random_range(0.0..1.0));
        events.push(ScriptedEvent::Burst { tick, ticks, factor, workloads: vec![name], notice });
    }
    scenario.events = events;
}

/// Two nodes for three workloads, and a place for two jobs.
const MAINTENANCE: &str = r#"
name = "maintenance"
nodes = [{ name = "left", supply = { cpu = 10 }, bandwidth_gib_s = 1 },
         { name = "right", supply = { cpu = 20 }, bandwidth_gib_s = 1 }]
workloads = [
    { name = "a", demand = { cpu = 4 }, state_gib = 4, priority = 2, node = "left" },
    { name = "b", demand = { cpu = 2 }, state_gib = 2, node = "left" },
    { name = "c", demand = { cpu = 3 }, state_gib = 1, node = "right" },
    { name = "jobs", count = 2, demand = { cpu = 1 }, arrivals = { kind = "events" } },
]
[rules]
resources = [{ name = "cpu" }]
[rules.episode]
mode = "online"
tick_s = 10
ticks = 24
moves_per_tick = 2
[rules.objective]
weights = { max_load = 1.0, displaced = 1.0, unplaced = 1.0, moved_gib = 0.5, downtime_s = 0.25 }
[rules.forecast]
horizons = [1, 3]
period_ticks = 4
[rules.faults]
restart_s = 8
"#;

const DRAIN: &str = "kind = \"drain\"\ntick = 10\nnode = \"left\"\nnotice = 3\nticks = 4";

fn play(events: &[&str]) -> ClusterEnv {
    let events: String = events.iter().map(|event| format!("\n[[events]]\n{event}\n")).collect();
    let scenario = Scenario::parse(&format!("{MAINTENANCE}{events}"), "test").unwrap();
    env_of(&scenario, Phase::Evaluate).unwrap()
}

fn stay_until(env: &mut ClusterEnv, tick: u32) {
    while env.state().tick < tick {
        env.step(0).unwrap();
    }
}

#[test]
fn a_drain_is_seen_from_its_notice_on_and_the_node_comes_back() {
    let mut env = play(&[DRAIN]);
    let feature = |name: &str| env.observation_space().node_feature(name).unwrap();
    let (draining, nearness) = (feature("draining"), feature("deadline_nearness"));
    let width = env.observation_space().schema.node.len();
    let seen = |env: &ClusterEnv| {
        let nodes = observe(env).nodes;
        assert_eq!(nodes[width + draining], 0.0, "the other node");
        (nodes[draining], nodes[nearness])
    };
    for tick in 0..7 {
        assert_eq!(env.state().tick, tick);
        assert_eq!((env.state().health[0], env.state().deadline[0]), (Health::Healthy, 0));
        assert_eq!(seen(&env), (0.0, 0.0));
        env.state().check(2, 0).unwrap();
        env.step(0).unwrap();
    }
    for left in [2, 1, 0] {
        assert_eq!((env.state().health[0], env.state().deadline[0]), (Health::Draining, 10));
        assert_eq!(seen(&env), (1.0, (-0.25 * left as f32).exp2()));
        assert_eq!(env.state().check(2, 0), Err(Infeasible::NodeClosed));
        assert_eq!(env.state().level_terms()[Term::Displaced as usize], 0.0);
        env.step(0).unwrap();
    }
    // Tick 10: both fit on the other node at once, and have started cold.
    assert_eq!((env.state().tick, env.state().health[0]), (10, Health::Failed));
    assert_eq!((env.state().placement[..3].to_vec(), env.restarts()), (vec![1, 1, 1], 2));
    for _ in 10..14 {
        assert_eq!((env.state().health[0], seen(&env)), (Health::Failed, (0.0, 0.0)));
        assert_eq!(env.state().check(2, 0), Err(Infeasible::NodeClosed));
        env.step(0).unwrap();
    }
    assert_eq!((env.state().tick, env.state().health[0]), (14, Health::Healthy));
    env.apply(Action::Migrate { workload: 2, destination: 0 }).unwrap();
}

#[test]
fn who_leaves_in_time_is_not_displaced() {
    let mut env = play(&[DRAIN]);
    stay_until(&mut env, 7);
    env.apply(Action::Migrate { workload: 0, destination: 1 }).unwrap();
    env.apply(Action::Migrate { workload: 1, destination: 1 }).unwrap();
    stay_until(&mut env, 10);
    assert_eq!((env.state().health[0], env.restarts()), (Health::Failed, 0));
}

#[test]
fn a_failure_is_not_seen_beforehand_and_lasts_until_the_node_recovers() {
    let mut env = play(&[
        "kind = \"recover\"\ntick = 9\nnode = \"left\"",
        "kind = \"fail\"\ntick = 5\nnode = \"left\"",
    ]);
    let mut calm = play(&[]);
    stay_until(&mut env, 4);
    stay_until(&mut calm, 4);
    assert_eq!(bits(&observe(&env)), bits(&observe(&calm)));
    let step = env.step(0).unwrap();
    assert_eq!((env.state().health[0], env.restarts()), (Health::Failed, 2));
    // 8 s each, of priorities 2 and 1.
    assert_eq!(step.terms[Term::DowntimeS as usize], 24.0);
    stay_until(&mut env, 8);
    assert_eq!(env.state().health[0], Health::Failed);
    stay_until(&mut env, 9);
    assert_eq!(env.state().health[0], Health::Healthy);
}

#[test]
fn a_burst_multiplies_demand_and_is_forecast_from_its_notice_on() {
    let burst = "kind = \"burst\"\ntick = 5\nticks = 2\nfactor = 2.5\nworkloads = [\"a\"]";
    for notice in [None, Some(2)] {
        let notice_line = notice.map_or(String::new(), |n| format!("\nnotice = {n}"));
        let mut env = play(&[&format!("{burst}{notice_line}")]);
        for tick in 0..10 {
            let state = env.state();
            let at = |tick: u32| if (5..7).contains(&tick) { 10.0 } else { 4.0 };
            assert_eq!((state.demand_of(0), state.demand_of(1)), (&[at(tick)][..], &[2.0][..]));
            for (h, horizon) in [1, 3].into_iter().enumerate() {
                let known = notice.is_some_and(|notice| 5 - notice <= tick);
                let expected = if known { at(tick + horizon) } else { 4.0 };
                assert_eq!(state.forecast_of(h, 0), [expected], "tick {tick}, {horizon} ahead");
                assert_eq!(state.forecast_of(h, 1), [2.0]);
            }
            env.step(0).unwrap();
        }
    }
}

#[test]
fn arrivals_come_at_their_tick_wait_for_a_node_and_leave() {
    let arrive = |tick, count, ticks: &str| {
        format!("kind = \"arrive\"\ntick = {tick}\ngroup = \"jobs\"\ncount = {count}{ticks}")
    };
    let mut env = play(&[&arrive(3, 2, "\nticks = 4"), &arrive(8, 1, "")]);
    for tick in 0..24 {
        let here = env.state().life[3..].iter().filter(|&&life| life == Life::Running).count();
        // Two from tick 3 to 7, and one that stays from tick 8 on.
        let expected =
            [(3, 7, 2), (8, 25, 1)].iter().find(|(from, to, _)| (*from..*to).contains(&tick));
        let expected = expected.map_or(0, |(.., count)| *count);
        assert_eq!((env.state().tick, here), (tick, expected));
        env.step(0).unwrap();
    }
}

#[test]
fn whoever_plays_a_scenario_of_events_alone_meets_the_same_episode_in_every_seed() {
    let env = play(&[DRAIN]);
    assert!(env.template().has_single_start(Phase::Evaluate));
    let [first, second] = [1, 2].map(|seed| env.template().draw(seed, Phase::Evaluate).unwrap());
    assert_eq!(first.health_changes, second.health_changes);
}

#[test]
fn a_snapshot_may_have_events_too() {
    let folder = tempfile::tempdir().unwrap();
    let snapshot = godwit_envs::Snapshot::from_json(
        r#"{"format": "godwit-snapshot/1", "resources": ["cpu"],
            "nodes": [{"name": "n", "supply": [8]}, {"name": "m", "supply": [8]}],
            "workloads": [{"name": "w", "node": "n", "demand": [2]}, {"name": "v", "node": "m", "demand": [1]}]}"#,
        "test",
    );
    std::fs::write(folder.path().join("cluster.json"), snapshot.unwrap().to_json()).unwrap();
    let file = folder.path().join("live.toml");
    std::fs::write(
        &file,
        r#"
name = "live"
snapshot = "cluster.json"
events = [{ kind = "fail", tick = 2, node = "m" },
          { kind = "burst", tick = 1, ticks = 1, factor = 3, workloads = ["w"] }]
[rules]
resources = [{ name = "cpu" }]
episode = { mode = "online", ticks = 4 }
objective = { weights = { max_load = 1 } }
faults = {}
"#,
    )
    .unwrap();
    let mut env = env_of(&Scenario::load(&file).unwrap(), Phase::Evaluate).unwrap();
    env.step(0).unwrap();
    assert_eq!(env.state().demand, [6.0, 1.0]);
    env.step(0).unwrap();
    assert_eq!(
        (env.state().demand.clone(), env.state().health[1]),
        (vec![2.0, 1.0], Health::Failed)
    );
    assert_eq!(env.state().placement, [0, 0]);
}

#[test]
fn the_example_of_the_book_is_valid() {
    let book = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/src/scenarios.md");
    let page = std::fs::read_to_string(book).unwrap();
    let (_, rest) = page.split_once("## Events at known ticks").unwrap();
    let (_, rest) = rest.split_once("```toml\n").unwrap();
    let (example, _) = rest.split_once("```").unwrap();
    let mut faults = Scenario::embedded("faults").unwrap();
    faults.rules.forecast = ForecastRules { horizons: vec![6], period_ticks: 60 };
    let pool = "[[workloads]]\nname = \"nightly\"\ncount = 4\ndemand = { cpu = 4 }\narrivals = { kind = \"events\" }";
    let text = format!("{}\n{pool}\n{example}", faults.to_toml());
    assert_eq!(Scenario::parse(&text, "book").unwrap().events.len(), 5);
}

#[test]
fn a_stated_failure_of_a_degraded_node_is_no_luck() {
    let fail = "\n[[events]]\nkind = \"fail\"\ntick = 2\nnode = \"left\"\n";
    let mut scenario = Scenario::parse(&format!("{MAINTENANCE}{fail}"), "test").unwrap();
    scenario.rules.faults = Some(FaultRules {
        degrade_per_tick: 1.0,
        hazard_per_tick: 0.25,
        recover_per_tick: 0.0,
        restart_s: 8.0,
        ..FaultRules::default()
    });
    let mut env = env_of(&scenario, Phase::Train).unwrap();
    for seed in 0..50 {
        env.reset(seed).unwrap();
        env.step(0).unwrap();
        assert_eq!(env.state().health, [Health::Degraded; 2]);
        let step = env.step(0).unwrap();
        assert_eq!(env.state().health[0], Health::Failed);
        // 0.25 of weight times 8 s, for the one workload on the right.
        let failed = f32::from(u8::from(env.state().health[1] == Health::Failed));
        assert_eq!(step.luck, 2.0 * (0.25 - failed));
    }
}

/// When an event has its node out of service: first tick of its notice, of its outage, and after it.
fn outage(event: &ScriptedEvent, all: &[ScriptedEvent]) -> Option<(String, u32, u32, u32)> {
    let recovery = |node: &String| {
        let ticks = all.iter().filter_map(|event| match event {
            ScriptedEvent::Recover { tick, node: other } if other == node => Some(*tick),
            _ => None,
        });
        ticks.min().unwrap()
    };
    match event {
        ScriptedEvent::Drain { tick, node, notice, ticks } => {
            Some((node.clone(), tick - notice, *tick, tick + ticks.unwrap()))
        }
        ScriptedEvent::Fail { tick, node, ticks } => {
            let back = ticks.map_or_else(|| recovery(node), |ticks| tick + ticks);
            Some((node.clone(), *tick, *tick, back))
        }
        _ => None,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn events_do_as_they_say_and_shift_nothing_else(shape in shapes()) {
        let shape = Shape { online: true, dynamics: true, events: true, ..shape };
        let scripted = scenario(&shape);
        let plain = Scenario { events: Vec::new(), ..scripted.clone() };
        let reject = || TestCaseError::reject("no start");
        let mut with = env_of(&scripted, Phase::Train).ok_or_else(reject)?;
        let mut without = env_of(&plain, Phase::Train).ok_or_else(reject)?;
        let outages: Vec<_> =
            scripted.events.iter().filter_map(|event| outage(event, &scripted.events)).collect();
        let by_events = |k: usize| scripted.workloads[k].arrivals == Some(Arrivals::Events);
        loop {
            let (state, other) = (with.state(), without.state());
            let tick = state.tick;
            for (node, name) in state.spec.node_names.iter().enumerate() {
                let found = (state.health[node], state.deadline[node]);
                match outages.iter().find(|outage| outage.0 == *name) {
                    Some((_, from, off, _)) if (*from..*off).contains(&tick) => {
                        let broken = found.0 == Health::Failed;
                        prop_assert!(broken || found == (Health::Draining, *off));
                    }
                    Some((_, _, off, back)) if (*off..*back).contains(&tick) => {
                        prop_assert_eq!(found.0, Health::Failed);
                    }
                    Some((.., back)) if tick == *back => prop_assert_eq!(found.0, Health::Healthy),
                    Some((.., back)) if tick > *back => {}
                    _ => prop_assert_eq!(found, (other.health[node], other.deadline[node])),
                }
            }
            for (k, name) in state.spec.workload_names.iter().enumerate() {
                let absent = |life: Life| life == Life::Absent;
                let arrived = scripted.events.iter().any(|event| match event {
                    ScriptedEvent::Arrive { tick: from, group, ticks, .. } if group == name => {
                        *from <= tick && ticks.is_none_or(|ticks| tick < from + ticks)
                    }
                    _ => false,
                });
                let expected = if by_events(k) { !arrived } else { absent(other.life[k]) };
                prop_assert_eq!(absent(state.life[k]), expected, "workload {}", k);
                let burst = scripted.events.iter().find_map(|event| match event {
                    ScriptedEvent::Burst { tick, ticks, factor, workloads, .. }
                        if workloads.contains(name) => Some((*tick..tick + ticks, *factor)),
                    _ => None,
                });
                let demand = (state.demand_of(k)[0], other.demand_of(k)[0]);
                match burst {
                    Some((ticks, factor)) if ticks.contains(&tick) => {
                        prop_assert!((demand.0 - demand.1 * factor).abs() <= 1e-5 * demand.1);
                    }
                    _ => prop_assert_eq!(state.demand_of(k), other.demand_of(k)),
                }
            }
            let (step, _) = (with.step(0).unwrap(), without.step(0).unwrap());
            if step.end.is_some() {
                break;
            }
        }
    }

    #[test]
    fn nothing_is_seen_of_an_event_that_is_not_announced(shape in shapes()) {
        let shape = Shape { online: true, dynamics: true, events: true, ..shape };
        let mut scripted = scenario(&shape);
        scripted.events.retain(|event| match event {
            ScriptedEvent::Drain { .. } => false,
            ScriptedEvent::Burst { notice, .. } => notice.is_none(),
            _ => true,
        });
        let first = scripted.events.iter().map(ScriptedEvent::tick).min().unwrap_or(40);
        let plain = Scenario { events: Vec::new(), ..scripted.clone() };
        let reject = || TestCaseError::reject("no start");
        let mut with = env_of(&scripted, Phase::Train).ok_or_else(reject)?;
        let mut without = env_of(&plain, Phase::Train).ok_or_else(reject)?;
        let rng = &mut stream(shape.seed, "actions");
        while with.state().tick < first {
            prop_assert_eq!(bits(&observe(&with)), bits(&observe(&without)));
            let action = random_action(&observe(&with), rng);
            let step = with.step(action).unwrap();
            let same = without.step(action).unwrap();
            if step.elapsed_ticks == 0 || with.state().tick < first {
                prop_assert_eq!(step, same);
            }
        }
    }

    #[test]
    fn the_same_seed_gives_the_same_events_whatever_was_played_before(shape in shapes()) {
        let shape = Shape { online: true, dynamics: true, events: true, ..shape };
        let Some(env) = env(&shape) else { return Err(TestCaseError::reject("no start")) };
        let template = WorldTemplate::new(&scenario(&shape));
        let reject = |e: godwit_envs::ResetError| TestCaseError::reject(e.to_string());
        let first = env.template().draw(3, Phase::Train).map_err(reject)?;
        let again = template.draw(3, Phase::Train).map_err(reject)?;
        prop_assert_eq!(first.health_changes, again.health_changes);
        prop_assert_eq!(first.passages, again.passages);
        prop_assert_eq!(first.demand, again.demand);
    }
}
