//! Whole episodes within limits, recounted from what was moved.

use crate::baselines::{NAMES, baseline};
use crate::plan::PlannedMove;
use crate::policy::Policy;
use crate::rollout::{Move, Observer, Outcome, rollout, run};
use crate::shell::tests::moved;
use crate::shell::{Backoff, Broken, Carried, Memory, ShellRules, Shelled, broken};
use godwit_envs::env::Step;
use godwit_envs::env::cluster_env::ClusterEnv;
use godwit_envs::rng::stream;
use godwit_envs::scenario::{Mode, Phase, Scenario, WorldTemplate};
use godwit_envs::snapshot::{Snapshot, SnapshotTransfer, SnapshotWorkload};
use godwit_envs::state::ClusterState;
use proptest::prelude::*;
use rand::RngExt;
use std::sync::Arc;

/// Four nodes and a dozen workloads: demand changes, nodes fail, and four workloads come and go. Up
/// to four moves a tick, and nothing in the scenario itself keeps a workload from going back.
const WORLD: &str = r#"
name = "small"
[rules]
resources = [{ name = "cpu" }]
episode = { mode = "online", ticks = 12, tick_s = 3600, moves_per_tick = 4 }
objective = { weights = { max_load = 1.0, imbalance = 1.0, overload = 4.0, unplaced = 1.0 } }
limits = { transfers_per_node = 8, transfers_in_flight = 16 }
faults = { degrade_per_tick = 0.05, drain_per_tick = 0.05, drain_ticks = 2, repair_ticks = [1, 3] }
[start]
placement = "random"
[[nodes]]
name = "node"
count = 4
supply = { cpu = 10 }
[[workloads]]
name = "stays"
count = 8
demand = { cpu = [0.5, 1.5] }
process = { kind = "bursty", peak = 3, start_per_tick = 0.2, stop_per_tick = 0.4 }
[[workloads]]
name = "comes"
count = 4
demand = { cpu = 1 }
arrivals = { kind = "poisson", per_tick = 0.5, lifetime_ticks = 2, start = 2 }
"#;

fn world(change: impl Fn(&str) -> String) -> ClusterEnv {
    let scenario = Scenario::parse(&change(WORLD), "small.toml").unwrap();
    ClusterEnv::new(Arc::new(WorldTemplate::new(&scenario)), Phase::Evaluate).unwrap()
}

fn online() -> ClusterEnv {
    world(str::to_owned)
}

/// The same cluster as it stands, with at most six moves.
fn fixed() -> ClusterEnv {
    world(|text| {
        let episode = "episode = { mode = \"rebalance\", move_budget = 6 }";
        let lines = text.lines().map(|line| match line {
            line if line.starts_with("episode") => episode,
            line if line.starts_with("faults") || line.starts_with("arrivals") => "",
            line if line.starts_with("process") => "",
            line => line,
        });
        lines.collect::<Vec<_>>().join("\n")
    })
}

/// Tenants and groups for the workloads that stay.
fn labels() -> Arc<Snapshot> {
    let workload = |k: usize| SnapshotWorkload {
        name: format!("stays-{k}"),
        tenant: (k < 6).then(|| format!("t{}", k % 2)),
        disruption_group: (!k.is_multiple_of(3)).then(|| "g".to_owned()),
        ..SnapshotWorkload::default()
    };
    Arc::new(Snapshot { workloads: (0..8).map(workload).collect(), ..Snapshot::default() })
}

/// The transfers under way at the start of each tick: workload and source.
#[derive(Default)]
struct Transfers(Vec<Vec<(u32, u32)>>);

impl Transfers {
    fn note(&mut self, state: &ClusterState) {
        self.0.push(state.transfers.iter().map(|t| (t.workload, t.source)).collect());
    }
}

impl Observer for Transfers {
    fn began(&mut self, state: &ClusterState) {
        self.note(state);
    }

    fn stepped(&mut self, state: &ClusterState, step: &Step) {
        if step.elapsed_ticks > 0 {
            self.note(state);
        }
    }
}

/// Every limit that an episode breaks, counted tick by tick from the moves that were made. In
/// static episodes all moves are one plan.
fn recount(
    env: &mut ClusterEnv,
    policy: &mut dyn Policy,
    rules: &ShellRules,
    seed: u64,
) -> Vec<Broken> {
    let (mut outcome, mut transfers) = (Outcome::default(), Transfers::default());
    run(env, policy, seed, &mut outcome, &mut transfers).unwrap();
    let spec = Arc::clone(&env.state().spec);
    let online = env.state().rules.episode.mode == Mode::Online;
    let node = |i: u32| spec.node_names[i as usize].clone();
    // Who is the second in a slot has a name of its own, as in a live cluster.
    let name = |workload: u32, occupant: u32| match occupant {
        0 => spec.workload_names[workload as usize].clone(),
        _ => format!("{}, {occupant}", spec.workload_names[workload as usize]),
    };
    let planned = |m: &Move| PlannedMove {
        destination_name: node(m.destination),
        ..moved(&name(m.workload, m.occupant), &node(m.source))
    };
    let mut snapshot = (*labels()).clone();
    let (mut memory, mut found) = (Memory::default(), Vec::new());
    for (tick, under_way) in (0..).zip(&transfers.0) {
        let of_plan = |m: &&Move| m.tick == tick || !online;
        let moves: Vec<_> = outcome.moves_made.iter().filter(of_plan).map(planned).collect();
        snapshot.tick = Some(u64::from(tick));
        snapshot.transfers = under_way
            .iter()
            .map(|&(workload, source)| SnapshotTransfer {
                workload: name(workload, 0),
                source: node(source),
                remaining_s: 1.0,
            })
            .collect();
        found.extend(broken(rules, &memory, &snapshot, &moves));
        if !online {
            break;
        }
        memory.record(rules, u64::from(tick), Carried::of(&moves));
    }
    found
}

fn limits(seed: u64) -> ShellRules {
    let mut rng = stream(seed, "limits");
    let mut some = |most: u32| rng.random_bool(0.5).then(|| rng.random_range(1..=most));
    ShellRules {
        max_moves: some(3),
        max_moves_per_node: some(2),
        max_moves_per_tenant: some(2),
        disruption_budgets: some(2).map(|most| ("g".to_owned(), most)).into_iter().collect(),
        hold_down_ticks: some(8).unwrap_or(0),
        backoff: some(3).map(|first_ticks| Backoff {
            first_ticks,
            factor: 2.0,
            most_ticks: 6,
            forget_ticks: 9,
        }),
        ..ShellRules::default()
    }
}

fn shelled(name: &str, rules: &ShellRules) -> Shelled {
    Shelled::new(baseline(name).unwrap(), Arc::new(rules.clone()), Some(labels()))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn no_episode_within_a_shell_breaks_a_limit(
        seed in any::<u64>(),
        name in prop::sample::select(NAMES.to_vec()),
    ) {
        let rules = limits(seed);
        for mut env in [online(), fixed()] {
            let found = recount(&mut env, &mut shelled(name, &rules), &rules, seed);
            prop_assert_eq!(found, vec![], "{}", name);
        }
    }
}

/// The control: the same episodes without the shell do break limits, each kind of them.
#[test]
fn episodes_without_a_shell_break_limits() {
    let mut found = Vec::new();
    for seed in 0..20 {
        let mut policy = baseline("random").unwrap();
        found.extend(recount(&mut online(), policy.as_mut(), &limits(seed), seed));
    }
    let has = |kind: fn(&Broken) -> bool| found.iter().any(kind);
    assert!(has(|broken| matches!(broken, Broken::Count { whose, .. } if whose == "the plan")));
    assert!(has(
        |broken| matches!(broken, Broken::Count { whose, .. } if whose.starts_with("node"))
    ));
    assert!(has(
        |broken| matches!(broken, Broken::Count { whose, .. } if whose.starts_with("tenant"))
    ));
    assert!(has(|broken| matches!(broken, Broken::Disruption { .. })));
    assert!(has(|broken| matches!(broken, Broken::Rest { .. })));
    assert!(has(|broken| matches!(broken, Broken::Return { .. })));
}

/// Nothing but the net-gain rule: it leaves out what does not pay, and what is left earns no less.
#[test]
fn without_limits_policies_earn_no_less_and_one_that_moves_at_random_far_more() {
    let earned = |policy: &mut dyn Policy| {
        let mut earn = |seed| rollout(&mut online(), policy, seed).unwrap();
        let outcomes: Vec<Outcome> = (0..40).map(&mut earn).collect();
        let moves: u32 = outcomes.iter().map(|outcome| outcome.moves).sum();
        (outcomes.iter().map(|outcome| outcome.episode_return).sum::<f64>(), moves)
    };
    for name in ["random", "best-single-move", "receding-horizon", "load-balancer", "evacuate"] {
        let (free, moves) = earned(baseline(name).unwrap().as_mut());
        let (within, fewer) = earned(&mut shelled(name, &ShellRules::default()));
        assert!(fewer <= moves && (name == "evacuate" || fewer > 0), "{name}: {fewer} of {moves}");
        let least = if name == "random" { free * 0.9 } else { free * 1.01 };
        assert!(within >= least, "{name}: {within} where it earns {free}");
    }
}

#[test]
fn each_tick_is_a_plan_of_its_own_and_a_static_episode_is_one() {
    let rules = ShellRules { max_moves: Some(1), ..ShellRules::default() };
    let moves = |env: &mut ClusterEnv, seed| {
        rollout(env, &mut shelled("random", &rules), seed).unwrap().moves_made
    };
    let ticks: Vec<u32> = moves(&mut online(), 3).iter().map(|made| made.tick).collect();
    assert!(ticks.len() > 6 && ticks.windows(2).all(|pair| pair[0] < pair[1]), "{ticks:?}");
    let most = |env: &mut ClusterEnv| (0..9).map(|seed| moves(env, seed).len()).max();
    assert_eq!(most(&mut fixed()), Some(1));
}

#[test]
fn nothing_moves_outside_the_windows() {
    // Ticks last an hour and the first begins at midnight.
    let rules =
        ShellRules::from_toml(r#"windows = [{ from = "03:00", to = "05:00" }]"#, "shell.toml");
    let mut policy = shelled("random", &rules.unwrap());
    let made = rollout(&mut online(), &mut policy, 3).unwrap().moves_made;
    assert!(!made.is_empty() && made.iter().all(|made| [3, 4].contains(&made.tick)), "{made:?}");
}

#[test]
fn who_comes_to_a_slot_does_not_rest_for_who_left_it() {
    let rules = ShellRules::from_toml("hold_down_ticks = 99", "shell.toml").unwrap();
    let mut memory = Memory::default();
    memory.record(&rules, 1, Carried::of(&[moved("a", "n0"), moved("b", "n0")]));
    memory.forget("a");
    assert_eq!(["a", "b"].map(|name| memory.left_by(&rules, 2, name).count()), [0, 1]);

    // In an episode, a second occupant goes back to where the first came from.
    let returns = (0..40).any(|seed| {
        let made = rollout(&mut online(), &mut shelled("random", &rules), seed).unwrap().moves_made;
        made.iter().enumerate().any(|(at, later)| {
            made[..at].iter().any(|earlier| {
                earlier.workload == later.workload
                    && earlier.occupant < later.occupant
                    && earlier.source == later.destination
            })
        })
    });
    assert!(returns);
}
