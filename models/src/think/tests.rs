use super::*;
use crate::baselines::registry::{baseline, find};
use crate::guard::violations;
use crate::net::{Architecture, Network, NetworkSpec};
use crate::network_policy::NetworkPolicy;
use crate::plan::{Reach, plan_within};
use crate::rollout::rollout;
use crate::testing::{cluster, env, random_state, rules};
use godwit_envs::env::Env;
use godwit_envs::observe::features::schema;
use godwit_envs::scenario::Phase;
use proptest::prelude::*;
use serde_json::json;

/// Time that no test waits for: simulations end it.
const AMPLE: Duration = Duration::from_secs(3600);

/// Makes these moves, one in each decision, and then stays.
struct Script(Vec<(usize, usize)>);

impl Policy for Script {
    fn name(&self) -> &str {
        "policy"
    }

    fn reset(&mut self, _seed: u64) {}

    fn act(&mut self, state: &ClusterState) -> Action {
        let next = self.0.iter().find(|&&(k, to)| state.check(k, to).is_ok());
        next.map_or(Action::Stay, |&(workload, destination)| Action::Migrate {
            workload,
            destination,
        })
    }
}

/// Weights that know nothing.
fn network(state: &ClusterState, seed: f32) -> NetworkPolicy {
    let spec = NetworkSpec::new(Architecture::Candidate, &schema(state.rules.sections()), None);
    let mut network = Network::new(&spec);
    let weights: Vec<f32> =
        (0..spec.parameter_count()).map(|at| (at as f32 * 0.7 + seed).sin() * 0.3).collect();
    network.load_flat(&weights);
    NetworkPolicy::new("policy", network, state.rules.sections())
}

fn thinking(policy: impl Policy + 'static, simulations: u32) -> Think {
    let mut think = Think::new("think", Box::new(policy), Duration::ZERO);
    think.begin(Allowance { time: AMPLE, until: None, simulations: Some(simulations) });
    think
}

fn moves_of(policy: &mut dyn Policy, state: &ClusterState) -> Moves {
    propose(policy, state, &|| false).expect("there is time")
}

#[test]
fn every_row_is_a_baseline_that_remembers_nothing() {
    for entry in PORTFOLIO {
        let known = find(entry.name).expect(entry.name);
        assert_eq!(known.remembers, None, "{}", entry.name);
    }
    assert!(PORTFOLIO.windows(2).all(|pair| pair[0].least_ms <= pair[1].least_ms));
}

/// Loads 0.9, 0.1 and 0.2 in a static world that counts only the highest load.
#[test]
fn a_bad_policy_is_overruled_and_the_plan_is_that_of_the_best_single_moves() {
    let placed = [(5.0, 0), (4.0, 0), (1.0, 1), (2.0, 2)];
    let state = cluster(rules(json!({})), (3, 10.0), &placed, |_| {});
    // It piles everything up on the first node: 1.0 instead of 0.9.
    let mut think = thinking(Script(vec![(2, 0)]), 100);
    // Either to node 1: 0.5 and 0.5, or 0.4 and 0.6. From 0.5 nothing leads farther.
    assert_eq!(moves_of(&mut think, &state), [(1, 1)]);
    assert_eq!(think.thought().expect("a thought").origin, "best-single-move");
}

#[test]
fn the_policy_keeps_what_nobody_does_better_and_stays_where_that_is_best() {
    let placed = [(5.0, 0), (4.0, 0), (1.0, 1), (2.0, 2)];
    let state = cluster(rules(json!({})), (3, 10.0), &placed, |_| {});
    let mut think = thinking(Script(vec![(1, 1)]), 100);
    assert_eq!(moves_of(&mut think, &state), [(1, 1)]);
    assert_eq!(think.thought().expect("a thought").origin, "policy");

    // Level already: every move is worse than none.
    let placed = [(5.0, 0), (5.0, 1)];
    let online = json!({
        "episode": {"mode": "online", "ticks": 50, "moves_per_tick": 1},
        "forecast": {"horizons": [1], "period_ticks": 10},
    });
    let level = cluster(rules(online), (3, 10.0), &placed, |_| {});
    let mut wasteful = Script(vec![(0, 2), (1, 2)]);
    assert_eq!(moves_of(&mut wasteful, &level).len(), 1);
    let mut think = thinking(Script(Vec::new()), 100);
    assert_eq!(moves_of(&mut think, &level), []);
}

/// A move of 4 from load 0.9 levels to 0.5 at most; the policy sends it where it makes 0.6.
#[test]
fn a_plan_is_polished() {
    let placed = [(5.0, 0), (4.0, 0), (1.0, 1), (2.0, 2)];
    let state = cluster(rules(json!({})), (3, 10.0), &placed, |_| {});
    let policy = Script(vec![(1, 2)]);
    let mut think = thinking(policy, 100);
    let origin = Origin { baseline: None, polished: false };
    let cost = think.simulate(&state, &vec![(1, 2)]).expect("a feasible plan");
    let mut best = Best { moves: vec![(1, 2)], cost, origin };
    think.polish(&state, &mut best);
    // From 0.9 to 0.5, which is minus 0.4.
    assert!((best.cost + 0.4).abs() < 1e-6, "{}", best.cost);
    assert_eq!(best.origin.name(), "policy, polished");
}

/// The demand of the only workload on node 0 goes up to its supply in a tick; what else is there must
/// leave now, as the forecast says and the present does not.
#[test]
fn online_the_account_knows_the_forecast_and_the_future_moves_of_the_policy() {
    let online = json!({
        "episode": {"mode": "online", "ticks": 50, "moves_per_tick": 1, "tick_s": 600.0},
        "forecast": {"horizons": [1, 3], "period_ticks": 10},
    });
    let mut state = cluster(rules(online), (2, 10.0), &[(2.0, 0), (2.0, 0), (2.0, 1)], |_| {});
    for row in state.forecast_demand.chunks_exact_mut(3) {
        row[0] = 8.0;
    }
    state.rebuild();
    let stays = &mut Script(Vec::new());
    let always = || false;
    let staying = cost(&state, &[], stays, &always).expect("a cost");
    // One tick at 0.4, eleven and six at the end at 1.0.
    assert!((staying - (0.4 + 17.0)).abs() < 1e-4, "{staying}");
    let moving = cost(&state, &[(1, 1)], stays, &always).expect("a cost");
    // 4 on node 1 and 8 on node 0; the transfer of a second weighs next to nothing.
    assert!((moving - (0.4 + 17.0 * 0.8)).abs() < 1e-2, "{moving}");
    // A policy that moves it in the next tick loses little by staying in this one.
    let later = cost(&state, &[], &mut Script(vec![(1, 1)]), &always).expect("a cost");
    assert!(later < moving + 0.5, "{later}");
}

#[test]
fn where_demand_is_not_forecast_another_plan_must_be_better_by_a_margin() {
    let blind = json!({"episode": {"mode": "online", "ticks": 50, "moves_per_tick": 1}});
    let mut overload = blind.clone();
    overload["objective"] = json!({"weights": {"overload": 1.0}});
    let placed = [(7.0, 0), (5.0, 0), (1.0, 1)];
    let state = cluster(rules(overload), (3, 10.0), &placed, |_| {});
    assert!(state.level() > 0.0 && margin(&state) == 15.0 * f64::from(state.level()));
    assert_eq!(margin(&random_state(1, false, 3)), 0.0);
    // Eighteen ticks without it instead of with it are more than that.
    let mut think = thinking(Script(Vec::new()), 100);
    assert_eq!(moves_of(&mut think, &state), [(0, 1)]);
    // At 0.8 instead of 0.9 they are less.
    let placed = [(8.0, 0), (1.0, 0)];
    let state = cluster(rules(blind), (3, 10.0), &placed, |_| {});
    let mut think = thinking(Script(Vec::new()), 100);
    assert_eq!(moves_of(&mut think, &state), []);
}

#[test]
fn in_no_time_it_is_the_policy() {
    let mut env = env("founding-10x50", Phase::Evaluate);
    let base = network(env.state(), 1.0);
    let plain = rollout(&mut env, &mut base.clone(), 3).expect("an episode");
    let mut think = Think::new("think", Box::new(base), Duration::ZERO);
    let same = rollout(&mut env, &mut think, 3).expect("an episode");
    assert_eq!((plain.episode_return, plain.moves_made), (same.episode_return, same.moves_made));
    assert_eq!(think.thought(), None);
}

#[test]
fn in_a_static_world_no_episode_returns_less_than_under_the_policy_or_the_baselines() {
    let mut env = env("quickstart", Phase::Evaluate);
    for seed in 0..6 {
        let base = network(env.state(), seed as f32);
        let plain = rollout(&mut env, &mut base.clone(), seed).expect("an episode");
        let mut single = baseline("best-move-or-swap").expect("a baseline");
        let single = rollout(&mut env, single.as_mut(), seed).expect("an episode");
        let mut think = thinking(base, 60);
        let thought = rollout(&mut env, &mut think, seed).expect("an episode");
        let best = plain.episode_return.max(single.episode_return);
        assert!(thought.episode_return > best - 1e-4, "{} {best}", thought.episode_return);
    }
}

#[test]
fn with_as_many_simulations_the_same_is_thought_again_wherever_the_clock_ended_it() {
    let mut env = env("founding-10x50", Phase::Evaluate);
    for (seed, micros) in [200, 1000, 3000, 10_000, 30_000].into_iter().enumerate() {
        env.reset(seed as u64).expect("a start");
        let state = env.state().clone();
        let base = network(&state, 2.0);
        let time = Duration::from_millis(20);
        let mut think = Think::new("think", Box::new(base.clone()), Duration::ZERO);
        let until = Instant::now().checked_add(Duration::from_micros(micros));
        think.begin(Allowance { time, until, simulations: None });
        let first = (moves_of(&mut think, &state), think.origin.map(Origin::name));
        let made = think.left.made;
        let mut again = Think::new("think", Box::new(base), Duration::ZERO);
        again.begin(Allowance { time, until: None, simulations: Some(made) });
        assert_eq!((moves_of(&mut again, &state), again.origin.map(Origin::name)), first);
        assert_eq!(again.left.made, made);
    }
}

#[test]
fn a_plan_that_a_fence_forbids_half_way_is_made_anew_with_what_is_left() {
    let state = env("quickstart", Phase::Evaluate).state().clone();
    let mut think = thinking(network(&state, 1.0), 2000);
    // Whoever has moved stays.
    let mut fence = |state: &mut ClusterState, moves: &[crate::plan::PlannedMove]| {
        for planned in moves {
            state.fences.close_node(planned.destination, state.spec.nodes());
        }
    };
    let plan = plan_within(&state, &mut think, Reach::of(5), &mut fence);
    assert_eq!(violations(&state, &plan.moves), []);
    assert!(plan.moves.len() > 1, "{plan:?}");
    assert!(think.left.made <= 2000);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_plan_is_behind_any_of_the_portfolio_by_the_account(
        seed in any::<u64>(), online in any::<bool>(), budget in 1_u32..4,
    ) {
        let state = random_state(seed, online, budget);
        prop_assume!(state.spec.workloads() > 0);
        let base = network(&state, seed as f32);
        let mut think = thinking(base.clone(), 200);
        let chosen = moves_of(&mut think, &state);
        let priced = |moves: &Moves| {
            cost(&state, moves, &mut base.clone(), &|| false).expect("a feasible plan")
        };
        let least = priced(&chosen);
        let asked = |entry: &&Entry| entry.suits(&state) && (!online || entry.least_ms == 0);
        for entry in PORTFOLIO.iter().filter(asked) {
            let other = moves_of(entry.policy().as_mut(), &state);
            let other = priced(&other);
            let rounding = 1e-5 * other.abs().max(1.0);
            prop_assert!(least <= other + margin(&state) + rounding, "{} {least} {other}", entry.name);
        }
        prop_assert!(is_feasible(&state, &chosen));
    }
}

/// Whether the moves are feasible one after the other.
fn is_feasible(state: &ClusterState, moves: &Moves) -> bool {
    let mut played = state.clone();
    moves.iter().all(|&(workload, destination)| {
        let made = played.migrate(workload, destination).is_ok();
        if state.rules.episode.mode == Mode::Rebalance {
            played.start_tick();
        }
        made
    })
}
