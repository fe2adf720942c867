//! Rewards, time, seeds and phases.

use crate::build::*;
use godwit_envs::env::cluster_env::ClusterEnv;
use godwit_envs::env::{Env, EpisodeEnd, Step};
use godwit_envs::observe::chains::LONGEST;
use godwit_envs::rng::stream;
use godwit_envs::scenario::FaultRules;
use godwit_envs::scenario::*;
use godwit_envs::state::cluster::Health;
use godwit_envs::state::term::Term;
use godwit_envs::state::{Action, Infeasible, Life};
use proptest::prelude::*;

/// A scenario from text.
fn parse(toml: &str) -> Scenario {
    Scenario::parse(toml, "test").unwrap()
}

/// Steps with random actions until the episode ends, at most `most` times.
fn roll(env: &mut ClusterEnv, seed: u64, most: usize) -> Vec<Step> {
    let rng = &mut stream(seed, "actions");
    let mut steps: Vec<Step> = Vec::new();
    while steps.len() < most && steps.last().is_none_or(|step| step.end.is_none()) {
        steps.push(env.step(random_action(&observe(env), rng)).unwrap());
    }
    steps
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn a_reward_is_minus_the_weighted_terms(shape in shapes()) {
        let Some(mut env) = env(&shape) else { return Err(TestCaseError::reject("no start")) };
        let weights = env.state().objective.weights;
        for step in roll(&mut env, shape.seed, 40) {
            let sum: f64 =
                weights.iter().zip(step.terms).map(|(w, t)| f64::from(*w) * f64::from(t)).sum();
            prop_assert!((f64::from(step.reward) + sum).abs() < 1e-4 * sum.abs().max(1.0));
        }
    }

    #[test]
    fn a_rebalance_return_is_initial_minus_final_objective_minus_costs(shape in shapes()) {
        let shape = Shape { online: false, ..shape };
        let Some(mut env) = env(&shape) else { return Err(TestCaseError::reject("no start")) };
        let before = f64::from(env.state().level());
        let steps = roll(&mut env, shape.seed, 40);
        let (mut total, mut costs) = (0.0, 0.0);
        for step in &steps {
            total += f64::from(step.reward);
            costs += f64::from(env.state().objective.weights[Term::MovedGib as usize])
                * f64::from(step.terms[Term::MovedGib as usize])
                + f64::from(env.state().objective.weights[Term::DowntimeS as usize])
                    * f64::from(step.terms[Term::DowntimeS as usize]);
            // A tick for each move: several of a chain.
            let chains = env.state().rules.candidates.chains > 0;
            let longest = if chains { LONGEST as u32 } else { 1 };
            prop_assert!((1..=longest).contains(&step.elapsed_ticks));
        }
        prop_assert_eq!(steps.last().unwrap().end, Some(EpisodeEnd::Terminated));
        let ticks: u32 = steps.iter().map(|step| step.elapsed_ticks).sum();
        prop_assert!(ticks <= 1 + env.state().rules.episode.move_budget);
        let gained = before - f64::from(env.state().level()) - costs;
        prop_assert!((total - gained).abs() < 1e-3 * (1.0 + costs.abs()), "{} {}", total, gained);
    }

    #[test]
    fn an_online_episode_is_truncated_after_its_ticks(shape in shapes()) {
        let shape = Shape { online: true, ..shape };
        let Some(mut env) = env(&shape) else { return Err(TestCaseError::reject("no start")) };
        let rules = std::sync::Arc::clone(&env.state().rules);
        let steps = roll(&mut env, shape.seed, 1000);
        let ticks: u32 = steps.iter().map(|step| step.elapsed_ticks).sum();
        prop_assert_eq!(ticks, rules.episode.ticks);
        prop_assert_eq!(steps.last().unwrap().end, Some(EpisodeEnd::Truncated));
        let mut moves = 0;
        for step in &steps {
            moves = if step.elapsed_ticks == 0 { moves + 1 } else { 0 };
            prop_assert!(moves < rules.episode.moves_per_tick);
        }
    }

    #[test]
    fn the_same_seed_gives_the_same_rollout(shape in shapes()) {
        let Some(mut a) = env(&shape) else { return Err(TestCaseError::reject("no start")) };
        // The other one has lived through another episode before.
        let mut b = a.clone();
        if b.reset(99).is_ok() {
            roll(&mut b, 1, 5);
        }
        for env in [&mut a, &mut b] {
            env.reset(5).map_err(|e| TestCaseError::reject(e.to_string()))?;
        }
        prop_assert_eq!(bits(&observe(&a)), bits(&observe(&b)));
        prop_assert_eq!(roll(&mut a, 3, 30), roll(&mut b, 3, 30));
        prop_assert_eq!(bits(&observe(&a)), bits(&observe(&b)));
    }

    #[test]
    fn demand_does_not_depend_on_actions_and_forecasts_only_on_the_past(shape in shapes()) {
        let shape = Shape { online: true, waves: true, horizons: true, ..shape };
        let Some(mut active) = env(&shape) else { return Err(TestCaseError::reject("no start")) };
        let mut idle = active.clone();
        let rng = &mut stream(shape.seed, "actions");
        let period = active.state().rules.forecast.period_ticks;
        let horizons = active.state().rules.forecast.horizons.clone();
        let mut seen: Vec<Vec<f32>> = Vec::new();
        loop {
            let state = active.state();
            prop_assert_eq!(&state.demand, &idle.state().demand);
            prop_assert_eq!(&state.forecast_demand, &idle.state().forecast_demand);
            seen.push(state.demand.clone());
            let width = state.demand.len();
            for (h, &horizon) in horizons.iter().enumerate() {
                let at = state.tick + horizon;
                let mut known = i64::from(at) - i64::from(period);
                while known > i64::from(state.tick) {
                    known -= i64::from(period);
                }
                if let Ok(known) = usize::try_from(known) {
                    let forecast = &state.forecast_demand[h * width..(h + 1) * width];
                    prop_assert_eq!(forecast, &seen[known][..]);
                }
            }
            let end = loop {
                let step = active.step(random_action(&observe(&active), rng)).unwrap();
                if step.elapsed_ticks > 0 {
                    break step.end;
                }
            };
            idle.step(0).unwrap();
            if end.is_some() {
                break;
            }
        }
    }

    #[test]
    fn arrivals_departures_and_faults_do_not_depend_on_actions(shape in shapes()) {
        let events = shape.seed % 2 == 1;
        let shape = Shape { online: true, dynamics: true, events, ..shape };
        let Some(mut active) = env(&shape) else { return Err(TestCaseError::reject("no start")) };
        let mut idle = active.clone();
        let rng = &mut stream(shape.seed, "actions");
        let absent = |env: &ClusterEnv| -> Vec<bool> {
            env.state().life.iter().map(|&life| life == Life::Absent).collect()
        };
        loop {
            prop_assert_eq!(&active.state().health, &idle.state().health);
            prop_assert_eq!(&active.state().deadline, &idle.state().deadline);
            prop_assert_eq!(absent(&active), absent(&idle));
            let end = loop {
                let step = active.step(random_action(&observe(&active), rng)).unwrap();
                if step.elapsed_ticks > 0 {
                    break step.end;
                }
            };
            idle.step(0).unwrap();
            if end.is_some() {
                break;
            }
        }
    }

    #[test]
    fn training_never_starts_from_the_true_placement_where_starts_are_perturbed(
        seed in any::<u64>(),
        share in prop::sample::select(vec![0.01_f32, 0.4, 1.0]),
        by_moves in any::<bool>(),
    ) {
        let mut scenario = Scenario::embedded("founding-3x3").unwrap();
        scenario.start.perturb = Some(match by_moves {
            true => Perturb { moves: Some([0, 2]), replace_share: None },
            false => Perturb { moves: None, replace_share: Some(share) },
        });
        let template = WorldTemplate::new(&scenario);
        let truth = template.draw(seed, Phase::Evaluate).unwrap().placement;
        prop_assert_eq!(&truth, &vec![0, 0, 0]);
        for phase in [Phase::Train, Phase::Validate] {
            prop_assert_ne!(template.draw(seed, phase).unwrap().placement, truth.clone());
        }
    }
}

#[test]
fn where_starts_are_perturbed_only_evaluation_has_a_single_one() {
    let single = |scenario: &Scenario| {
        let template = WorldTemplate::new(scenario);
        [Phase::Train, Phase::Validate, Phase::Evaluate]
            .map(|phase| template.has_single_start(phase))
    };
    let mut scenario = Scenario::embedded("founding-3x3").unwrap();
    scenario.start.perturb = None;
    assert_eq!(single(&scenario), [true; 3]);
    scenario.start.perturb = Some(Perturb { moves: Some([1, 2]), replace_share: None });
    assert_eq!(single(&scenario), [false, false, true]);
    assert_eq!(single(&Scenario::embedded("quickstart").unwrap()), [false; 3]);
}

#[test]
fn phases_never_share_an_episode_for_a_seed() {
    for name in ["quickstart", "founding-10x50"] {
        for seed in 0..20 {
            let [train, validate, evaluate] =
                [Phase::Train, Phase::Validate, Phase::Evaluate].map(|phase| {
                    let mut env = embedded(name, phase);
                    env.reset(seed).unwrap();
                    bits(&observe(&env))
                });
            assert!(train != validate && train != evaluate && validate != evaluate, "{name}");
        }
    }
}

/// Two nodes, one resource; a transfer of 4 GiB takes 4 s of copying and 1 s of switch-over.
const TWO_NODES: &str = r#"
name = "two-nodes"
nodes = [{ name = "left", supply = { cpu = 10 }, bandwidth_gib_s = 1 },
         { name = "right", supply = { cpu = 10 }, bandwidth_gib_s = 1 }]
workloads = [
    { name = "a", demand = { cpu = 4 }, state_gib = 4, priority = 2, node = "left" },
    { name = "b", demand = { cpu = 2 }, state_gib = 2, node = "left" },
    { name = "c", demand = { cpu = 3 }, state_gib = 1, node = "right" },
]
[rules]
resources = [{ name = "cpu" }]
[rules.episode]
mode = "online"
tick_s = 10
ticks = 3
moves_per_tick = 2
[rules.objective]
weights = { max_load = 1.0, imbalance = 1.0, moved_gib = 0.5, downtime_s = 0.25 }
[rules.migration]
downtime_target_s = 0
switch_over_s = 1
[rules.limits]
cooldown_ticks = 2
"#;

fn close(got: f32, expected: f64) {
    assert!((f64::from(got) - expected).abs() < 1e-5, "{got} is not {expected}");
}

#[test]
fn a_tick_pays_the_time_weighted_terms_of_a_transfer_that_ends_inside_it() {
    let mut env = env_of(&parse(TWO_NODES), Phase::Train).unwrap();
    let step = env.apply(Action::Migrate { workload: 0, destination: 1 }).unwrap();
    // The move itself pays 4 GiB and 1 s of downtime at priority 2.
    assert_eq!(step.terms, [0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 4.0, 2.0]);
    close(step.reward, -(0.5 * 4.0 + 0.25 * 2.0));
    assert_eq!((step.elapsed_ticks, step.end), (0, None));
    // In flight, both nodes hold a: loads 0.6 and 0.7.
    assert_eq!(env.state().transfers_of(0), 1);
    close(env.state().now.load[0], 0.6);
    close(env.state().now.load[1], 0.7);
    let step = env.step(0).unwrap();
    // 5 s at (0.6, 0.7), then 5 s at (0.2, 0.7).
    let imbalance = (0.05 / 0.65 + 0.25 / 0.45) / 2.0;
    close(step.terms[Term::MaxLoad as usize], 0.7);
    close(step.terms[Term::Imbalance as usize], imbalance);
    close(step.reward, -(0.7 + imbalance));
    assert_eq!((step.elapsed_ticks, step.end), (1, None));
    assert!(env.state().transfers.is_empty());
    close(env.state().now.load[0], 0.2);
    // Moved in tick 0 with a cooldown of 2: it may not move in tick 1 and may in tick 2.
    assert!(env.state().check(0, 0).is_err());
    env.step(0).unwrap();
    assert!(env.state().check(0, 0).is_ok());
}

#[test]
fn transfers_share_links_and_end_one_after_the_other() {
    let mut env = env_of(&parse(TWO_NODES), Phase::Train).unwrap();
    env.apply(Action::Migrate { workload: 2, destination: 0 }).unwrap();
    // b goes the other way at half the bandwidth: 2 GiB take 4 s and the switch-over 1 s.
    let step = env.apply(Action::Migrate { workload: 1, destination: 1 }).unwrap();
    // The tick's last move ends it. 2 s at (0.9, 0.5), 3 s at (0.9, 0.2), 5 s at (0.7, 0.2).
    close(step.terms[Term::MaxLoad as usize], 0.5 * 0.9 + 0.5 * 0.7);
    let cv = |a: f64, b: f64| (a - b).abs() / (a + b);
    let imbalance = 0.2 * cv(0.9, 0.5) + 0.3 * cv(0.9, 0.2) + 0.5 * cv(0.7, 0.2);
    close(step.terms[Term::Imbalance as usize], imbalance);
    assert_eq!(step.terms[Term::MovedGib as usize], 2.0);
    assert_eq!(step.elapsed_ticks, 1);
    assert!(env.state().transfers.is_empty());
}

#[test]
fn a_transfer_that_outlasts_the_tick_goes_on_in_the_next() {
    let mut scenario = parse(TWO_NODES);
    scenario.rules.episode.tick_s = 4.0;
    let mut env = env_of(&scenario, Phase::Train).unwrap();
    env.apply(Action::Migrate { workload: 0, destination: 1 }).unwrap();
    close(env.step(0).unwrap().terms[Term::Imbalance as usize], 0.05 / 0.65);
    assert_eq!(env.state().transfers[0].remaining_s, 1.0);
    // 1 s of four still in flight.
    let expected = 0.25 * 0.05 / 0.65 + 0.75 * 0.25 / 0.45;
    close(env.step(0).unwrap().terms[Term::Imbalance as usize], expected);
}

#[test]
fn an_episode_that_has_ended_takes_no_action_of_any_kind() {
    let mut scenario = parse(TWO_NODES);
    scenario.rules.episode.ticks = 1;
    let mut env = env_of(&scenario, Phase::Train).unwrap();
    assert!(env.apply(Action::Stay).unwrap().end.is_some());
    let migrate = Action::Migrate { workload: 0, destination: 1 };
    assert_eq!(env.apply(migrate).unwrap_err(), Infeasible::Ended);
    assert_eq!(env.apply(Action::Stay).unwrap_err(), Infeasible::Ended);
}

#[test]
fn luck_is_what_failures_cost_beyond_their_expectation_and_averages_to_nothing() {
    let mut scenario = parse(TWO_NODES);
    scenario.rules.episode.tick_s = 4.0;
    scenario.rules.faults = Some(FaultRules {
        degrade_per_tick: 1.0,
        hazard_per_tick: 0.25,
        recover_per_tick: 0.0,
        restart_s: 8.0,
        ..FaultRules::default()
    });
    let mut env = env_of(&scenario, Phase::Train).unwrap();
    let (mut total, mut plain, mut without) = (0.0, Vec::new(), Vec::new());
    for seed in 0..4000 {
        env.reset(seed).unwrap();
        // Both nodes degrade at the end of the first tick: nothing that could fail in it.
        assert_eq!(env.step(0).unwrap().luck, 0.0);
        // Still in flight at the end of the tick: a (priority 2) runs on the left, next to b (1).
        env.apply(Action::Migrate { workload: 0, destination: 1 }).unwrap();
        let step = env.step(0).unwrap();
        let failed = |node: usize| f32::from(env.state().health[node] == Health::Failed);
        // 0.25 of weight times 8 s times priority, at a hazard of 0.25.
        let luck = 2.0 * (3.0 * (0.25 - failed(0)) + 1.0 * (0.25 - failed(1)));
        close(step.luck, f64::from(luck));
        total += f64::from(step.luck);
        // Where both fail at once, nobody restarts yet: what that costs comes later.
        if failed(0) * failed(1) == 0.0 {
            plain.push(f64::from(step.reward));
            without.push(f64::from(step.reward - step.luck));
        }
    }
    // One standard error of the mean is 0.04.
    assert!((total / 4000.0).abs() < 0.16, "{total}");
    let variance = |x: &[f64]| {
        let mean = x.iter().sum::<f64>() / x.len() as f64;
        x.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / x.len() as f64
    };
    let (plain, without) = (variance(&plain), variance(&without));
    assert!(without < 0.1 * plain, "{without} is left of {plain}");
}

/// One node holds nothing but those that fit nowhere else, and each other node is full, too.
const BRIM_FULL: &str = r#"
name = "brim-full"

[rules]
resources = [{ name = "cpu" }]

[rules.episode]
mode = "rebalance"

[rules.objective]
weights = { max_load = 1 }

[start]
placement = "random"

[[nodes]]
name = "fast"
class = "fast"
supply = { cpu = 10 }

[[nodes]]
name = "other"
count = 4
supply = { cpu = 10 }

[[workloads]]
name = "picky"
count = 5
demand = { cpu = 2 }
classes = ["fast"]

[[workloads]]
name = "easy"
count = 20
demand = { cpu = 2 }
"#;

#[test]
fn a_cluster_too_full_for_random_starts_is_packed() {
    let scenario = parse(BRIM_FULL);
    let mut env =
        ClusterEnv::new(std::sync::Arc::new(WorldTemplate::new(&scenario)), Phase::Train).unwrap();
    for seed in 0..20 {
        env.reset(seed).unwrap();
        let full = env.state().now.load[..5].iter().all(|&load| (load - 1.0).abs() < 1e-4);
        assert!(full, "{:?}", env.state().now.load);
    }
}
