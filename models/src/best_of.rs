//! Best of N: in a static world whole plans can be tried in the simulator before the first move.
//!
//! At the start of an episode N plans are played from its state: the network's greedy one, and
//! N - 1 whose actions are drawn from a softmax over its values. The plan that earns most is
//! carried out, as far as it earns most. The simulator of a static world is exact, so that no
//! episode returns less than under the greedy plan.
//!
//! [`BestOf`] is that as a policy. For plans that an operator's limits fence in, and that may end
//! with a deadline, [`Draws`] draws the actions, and whoever plans compares the plans
//! ([`best_plan`]).

use crate::deadline::Deadline;
use crate::network_policy::NetworkPolicy;
use crate::plan::Plan;
use crate::policy::Policy;
use godwit_envs::observe::ranges::Unfamiliar;
use godwit_envs::scenario::{Mode, Rules};
use godwit_envs::state::{Action, ClusterState};
use rand::RngExt;
use rand_xoshiro::Xoshiro256PlusPlus;
use std::time::Duration;

/// Softmax temperature, in the units of the network's values.
const TEMPERATURE: f32 = 0.02;

/// A network policy that looks before it leaps.
#[derive(Debug, Clone)]
pub struct BestOf {
    name: String,
    policy: NetworkPolicy,
    plans: usize,
    rng: Xoshiro256PlusPlus,
    /// The moves still to be made, the next one last; `None` before the first decision.
    plan: Option<Vec<Action>>,
    limit: Option<Duration>,
}

impl BestOf {
    /// The best of so many plans of `policy`; online it acts as `policy` does.
    pub fn new(name: &str, policy: NetworkPolicy, plans: usize) -> Self {
        let rng = godwit_envs::rng::stream(0, "best-of");
        Self { name: name.to_owned(), policy, plans, rng, plan: None, limit: None }
    }

    /// The moves of the best plan, the first one last.
    fn search(&mut self, state: &ClusterState) -> Vec<Action> {
        let (mut best, mut most) = (Vec::new(), 0.0);
        let deadline = Deadline::after(self.limit);
        for plan in 0..self.plans {
            if plan > 0 && deadline.has_passed() {
                break;
            }
            let (moves, earned) = self.play(state, plan > 0);
            if earned > most {
                (best, most) = (moves, earned);
            }
        }
        best.reverse();
        best
    }

    /// Plays a plan up to where it has earned most: the moves that it needs for that, and what they
    /// earn.
    fn play(&mut self, state: &ClusterState, drawn: bool) -> (Vec<Action>, f32) {
        let mut played = state.clone();
        let (start, mut paid) = (state.level(), 0.0);
        let (mut moves, mut best, mut most) = (Vec::new(), 0, 0.0);
        while played.moves_left > 0 {
            let rng = &mut self.rng;
            let pick = |q: &[f32]| draw(q, rng);
            let action =
                if drawn { self.policy.act_by(&played, pick) } else { self.policy.act(&played) };
            let Action::Migrate { workload, destination } = action else { break };
            let Ok(cost) = played.migrate(workload, destination) else { break };
            paid += played.objective.value(&played.flow_terms(workload, &cost));
            played.start_tick();
            moves.push(action);
            let earned = start - played.level() - paid;
            if earned > most {
                (best, most) = (moves.len(), earned);
            }
        }
        moves.truncate(best);
        needed(state, moves, most)
    }
}

/// The moves of a plan without those that it earns as much without, and what is earned then.
fn needed(state: &ClusterState, mut moves: Vec<Action>, mut most: f32) -> (Vec<Action>, f32) {
    for at in (0..moves.len()).rev() {
        let mut fewer = moves.clone();
        fewer.remove(at);
        if let Some(earned) = earned(state, &fewer).filter(|earned| *earned >= most) {
            (moves, most) = (fewer, earned);
        }
    }
    (moves, most)
}

/// What these moves earn, if all of them are possible.
fn earned(state: &ClusterState, moves: &[Action]) -> Option<f32> {
    let (mut played, mut paid) = (state.clone(), 0.0);
    for action in moves {
        let Action::Migrate { workload, destination } = *action else { return None };
        let cost = played.migrate(workload, destination).ok()?;
        paid += played.objective.value(&played.flow_terms(workload, &cost));
        played.start_tick();
    }
    Some(state.level() - played.level() - paid)
}

/// A network policy whose seed says which of several plans it makes: 0 the greedy one, any other one
/// whose actions are drawn, always the same ones.
#[derive(Debug, Clone)]
pub struct Draws {
    policy: NetworkPolicy,
    /// Where the actions are drawn from; `None` for the greedy plan.
    rng: Option<Xoshiro256PlusPlus>,
}

impl Draws {
    /// The plans of `policy`, beginning with the greedy one.
    pub fn new(policy: NetworkPolicy) -> Self {
        Self { policy, rng: None }
    }
}

impl Policy for Draws {
    fn name(&self) -> &str {
        self.policy.name()
    }

    fn reset(&mut self, seed: u64) {
        self.policy.reset(seed);
        self.rng = (seed > 0).then(|| godwit_envs::rng::stream(seed, "best-of"));
    }

    fn act(&mut self, state: &ClusterState) -> Action {
        match &mut self.rng {
            Some(rng) => self.policy.act_by(state, |q| draw(q, rng)),
            None => self.policy.act(state),
        }
    }

    fn sees_health(&self, rules: &Rules) -> bool {
        self.policy.sees_health(rules)
    }

    fn unfamiliar(&mut self, state: &ClusterState) -> Vec<Unfamiliar> {
        self.policy.unfamiliar(state)
    }
}

/// The plan that gains most, costs taken off, of at most so many, and its number; of equal ones the
/// first. `make` makes the plan of each number from 0 and says whether another one may be made.
pub fn best_plan(plans: u32, mut make: impl FnMut(u64) -> (Plan, bool)) -> (u64, Plan) {
    let (mut best, mut more) = make(0);
    let mut at = 0;
    for number in 1..u64::from(plans) {
        if !more {
            break;
        }
        let (plan, another) = make(number);
        more = another;
        if plan.worth > best.worth {
            (at, best) = (number, plan);
        }
    }
    (at, best)
}

/// An index in proportion to `exp(q / TEMPERATURE)`.
fn draw(q: &[f32], rng: &mut Xoshiro256PlusPlus) -> usize {
    let highest = q.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let weight = |value: f32| ((value - highest) / TEMPERATURE).exp();
    let mut left = rng.random::<f32>() * q.iter().map(|&value| weight(value)).sum::<f32>();
    for (index, &value) in q.iter().enumerate() {
        left -= weight(value);
        if left < 0.0 {
            return index;
        }
    }
    // Rounding left a rest: the best one.
    crate::net::first_best(q)
}

impl Policy for BestOf {
    fn name(&self) -> &str {
        &self.name
    }

    fn reset(&mut self, seed: u64) {
        self.policy.reset(seed);
        self.rng = godwit_envs::rng::stream(seed, "best-of");
        self.plan = None;
    }

    fn limit_time(&mut self, limit: Option<Duration>) {
        self.limit = limit;
    }

    fn act(&mut self, state: &ClusterState) -> Action {
        if state.rules.episode.mode == Mode::Online {
            return self.policy.act(state);
        }
        let mut plan = match self.plan.take() {
            Some(plan) => plan,
            None => self.search(state),
        };
        let action = plan.pop().unwrap_or(Action::Stay);
        self.plan = Some(plan);
        action
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guard::violations;
    use crate::net::{Architecture, Network, NetworkSpec};
    use crate::plan::{PlannedMove, Reach, StopReason, plan_within};
    use crate::rollout::rollout;
    use godwit_envs::env::Env;
    use godwit_envs::env::cluster_env::ClusterEnv;
    use godwit_envs::scenario::{Phase, Scenario, WorldTemplate};
    use std::sync::Arc;

    fn env(name: &str) -> ClusterEnv {
        let scenario = Scenario::embedded(name).expect("an embedded scenario");
        let template = Arc::new(WorldTemplate::new(&scenario));
        ClusterEnv::new(template, Phase::Evaluate).expect("a start")
    }

    /// Weights that know nothing.
    fn policy(env: &ClusterEnv) -> NetworkPolicy {
        let schema = &env.observation_space().schema;
        let spec = NetworkSpec::new(Architecture::Candidate, schema, None);
        let mut network = Network::new(&spec);
        let weights: Vec<f32> =
            (0..spec.parameter_count()).map(|i| (i as f32 * 0.618).fract() * 0.2 - 0.1).collect();
        network.load_flat(&weights);
        NetworkPolicy::new("policy", network, env.observation_space().sections)
    }

    #[test]
    fn what_a_plan_promised_is_what_the_episode_returns() {
        let mut env = env("quickstart");
        for seed in 0..8 {
            env.reset(seed).expect("a start");
            let mut planner = BestOf::new("best of 6", policy(&env), 6);
            planner.reset(seed);
            let promised =
                (0..6).map(|plan| planner.play(env.state(), plan > 0).1).fold(0.0, f32::max);
            let outcome = rollout(&mut env, &mut planner, seed).expect("an episode");
            assert!((outcome.episode_return - f64::from(promised)).abs() < 1e-3, "{promised}");
        }
    }

    #[test]
    fn moves_that_earn_nothing_are_left_out_of_a_plan() {
        use crate::testing::{cluster, rules};
        let state = cluster(
            rules(serde_json::json!({})),
            (4, 10.0),
            &[(4.0, 0), (2.0, 0), (1.0, 1)],
            |_| {},
        );
        let to = |workload, destination| Action::Migrate { workload, destination };
        // Loads 0.6, 0.1, 0, 0: the 2 lowers the highest to 0.4, the 1 nothing.
        let plan = vec![to(2, 3), to(1, 2), to(2, 1)];
        let most = earned(&state, &plan).expect("possible moves");
        assert!((most - 0.2).abs() < 1e-6, "{most}");
        assert_eq!(needed(&state, plan, most).0, [to(1, 2)]);
    }

    #[test]
    fn more_plans_return_more_and_never_less_than_the_greedy_one() {
        let mut env = env("quickstart");
        let (mut one, mut many, mut greedy) = (0.0, 0.0, 0.0);
        for seed in 0..12 {
            let base = policy(&env);
            let mut returned = |policy: &mut dyn Policy| {
                rollout(&mut env, policy, seed).expect("an episode").episode_return
            };
            let plain = returned(&mut base.clone());
            let first = returned(&mut BestOf::new("1", base.clone(), 1));
            let best = returned(&mut BestOf::new("16", base.clone(), 16));
            assert!(first >= plain - 1e-4 && best >= first - 1e-4, "{plain} {first} {best}");
            (greedy, one, many) = (greedy + plain, one + first, many + best);
        }
        assert!(many > one + 0.5 && one >= greedy, "{greedy} {one} {many}");
    }

    #[test]
    fn the_best_of_several_plans_keeps_the_fences_and_never_gains_less_than_the_greedy_one() {
        let mut env = env("quickstart");
        let (mut one, mut many) = (0.0, 0.0);
        for seed in 0..8 {
            env.reset(seed).expect("a start");
            let state = env.state().clone();
            // A workload that has moved stays where it is, and so does the first one.
            let mut fence = |state: &mut ClusterState, moves: &[PlannedMove]| {
                let workloads = state.spec.workloads();
                state.fences.hold_workload(0, workloads);
                for planned in moves {
                    state.fences.hold_workload(planned.workload, workloads);
                }
            };
            let reach = Reach::of(5);
            let mut best_of = |plans| {
                let mut draws = Draws::new(policy(&env));
                best_plan(plans, |number| {
                    draws.reset(number);
                    (plan_within(&state, &mut draws, reach, &mut fence), true)
                })
                .1
            };
            let [first, best] = [best_of(1), best_of(8)];
            assert_eq!(best_of(8), best, "another time another plan");
            assert!(best.worth >= first.worth);
            assert!(best.moves.iter().all(|planned| planned.workload != 0));
            assert_eq!(violations(&state, &best.moves), []);
            let mut moved: Vec<usize> = best.moves.iter().map(|planned| planned.workload).collect();
            moved.sort_unstable();
            moved.dedup();
            assert_eq!(moved.len(), best.moves.len());
            (one, many) = (one + first.worth, many + best.worth);
        }
        assert!(many > one + 0.1, "{one} {many}");
    }

    #[test]
    fn no_further_plan_is_made_when_time_is_up_and_of_equal_ones_the_first_counts() {
        let empty = Plan {
            moves: Vec::new(),
            waves: 0,
            stop_reason: StopReason::NoGain,
            objective_before: 1.0,
            objective_after: 1.0,
            worth: 0.0,
            payback_ticks: None,
            later: Vec::new(),
        };
        let mut made = 0;
        let best = best_plan(9, |number| {
            made += 1;
            let stop_reason = if number == 0 { StopReason::NoGain } else { StopReason::Deadline };
            (Plan { stop_reason, ..empty.clone() }, number < 2)
        });
        assert_eq!((made, best), (3, (0, empty)));
    }

    #[test]
    fn draws_follow_the_softmax_and_never_take_a_masked_action() {
        let q = [0.0, f32::NEG_INFINITY, TEMPERATURE * 3.0_f32.ln()];
        let mut rng = godwit_envs::rng::stream(1, "test");
        let mut counts = [0; 3];
        (0..4000).for_each(|_| counts[draw(&q, &mut rng)] += 1);
        assert_eq!(counts[1], 0);
        // Odds of one to three.
        assert!((900..1100).contains(&counts[0]), "{counts:?}");
    }

    #[test]
    fn online_it_does_what_its_network_does() {
        let mut env = env("bursty");
        let base = policy(&env);
        let plain = rollout(&mut env, &mut base.clone(), 3).expect("an episode");
        let planned = rollout(&mut env, &mut BestOf::new("4", base, 4), 3).expect("an episode");
        assert_eq!(plain.moves_made, planned.moves_made);
    }
}
