//! The program against every placement there is, on small random clusters.

use crate::milp::{MilpError, Options, Status, bound, solve};
use crate::order::Ordering;
use crate::testing::{node, rules, workload};
use godwit_envs::rng::{Rng, stream};
use godwit_envs::state::ClusterState;
use godwit_envs::state::cluster::{ClusterSpec, NO_GROUP, NodeSpec, WorkloadSpec};
use godwit_envs::state::term::Term;
use rand::RngExt;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

const INSTANCES: u64 = 200;

/// Up to 6 nodes and 12 workloads, with everything that constrains a placement.
fn instance(seed: u64, weights: &Value) -> ClusterState {
    let mut rng = stream(seed, "milp instance");
    let m = rng.random_range(1..=3);
    let (n, k) = (rng.random_range(2..=6), rng.random_range(2..=12));
    // Few enough placements to try them all.
    let budget = rng.random_range(1..=if k <= 6 { 6 } else { 3 });
    let kinds: Vec<Value> = (0..m).map(|j| json!({"name": format!("r{j}")})).collect();
    let rules = rules(json!({
        "resources": kinds,
        "episode": {"mode": "rebalance", "move_budget": budget},
        "objective": {"weights": weights, "slot": {"resource": "r0", "size": 4.0}},
    }));
    let alike = rng.random::<bool>();
    let nodes: Vec<NodeSpec> = (0..n)
        .map(|i| {
            let mut supply: Vec<f32> =
                (0..m).map(|_| if alike { 12.0 } else { rng.random_range(8..18) as f32 }).collect();
            if m > 1 && chance(&mut rng, 0.1) {
                supply[m - 1] = 0.0;
            }
            let mut node = node(&format!("n{i}"), &supply);
            if chance(&mut rng, 0.3) {
                node.class = "special".into();
            }
            if !alike {
                node.bandwidth_gib_s = rng.random_range(1..4) as f32;
            }
            node
        })
        .collect();
    let whole = rng.random::<bool>();
    let workloads: Vec<WorkloadSpec> = (0..k)
        .map(|k| {
            let amount = |rng: &mut Rng| {
                if whole { rng.random_range(0..6) as f32 } else { rng.random_range(0.0..5.0) }
            };
            let demand: Vec<f32> = (0..m).map(|_| amount(&mut rng)).collect();
            let mut workload = workload(&format!("w{k}"), &demand);
            workload.movable = chance(&mut rng, 0.85);
            workload.state_gib = rng.random_range(1..4) as f32;
            workload.dirty_gib_s = rng.random_range(0..2) as f32 * 0.25;
            workload.priority = rng.random_range(1..3) as f32;
            if chance(&mut rng, 0.2) {
                workload.classes = vec!["standard".into()];
            }
            if chance(&mut rng, 0.3) {
                workload.anti_affinity = Some(format!("g{}", rng.random_range(0..2)));
            }
            workload
        })
        .collect();
    // Mostly where there is room, now and then anywhere: some nodes start above their supply.
    let mut used = vec![0.0_f32; n * m];
    let placement: Vec<u32> = workloads
        .iter()
        .map(|w| {
            let mut at = rng.random_range(0..n);
            let anywhere = chance(&mut rng, 0.05);
            let room =
                |i: usize| (0..m).all(|j| used[i * m + j] + w.demand[j] <= nodes[i].supply[j]);
            for _ in 0..20 {
                if anywhere || room(at) {
                    break;
                }
                at = rng.random_range(0..n);
            }
            for j in 0..m {
                used[at * m + j] += w.demand[j];
            }
            at as u32
        })
        .collect();
    let spec = Arc::new(ClusterSpec::new(m, nodes, workloads));
    let mut state = ClusterState::new(rules, spec, placement);
    for cooldown in &mut state.cooldown {
        *cooldown = if chance(&mut rng, 0.1) { rng.random_range(1..3) } else { 0 };
    }
    state
}

fn chance(rng: &mut Rng, share: f32) -> bool {
    rng.random::<f32>() < share
}

/// The lowest weighted objective of all placements within the budget.
struct BruteForce<'a> {
    state: &'a ClusterState,
    transient: bool,
    placement: Vec<usize>,
    /// `[N][m]`: what is held at the end, and with what has left still there.
    used: Vec<f64>,
    reserved: Vec<f64>,
    best: f64,
}

impl<'a> BruteForce<'a> {
    fn best(state: &'a ClusterState, transient: bool) -> f64 {
        let (n, m) = (state.spec.nodes(), state.spec.resources);
        let placement: Vec<usize> = state.placement.iter().map(|&node| node as usize).collect();
        let mut used = vec![0.0; n * m];
        for (k, &i) in placement.iter().enumerate() {
            for j in 0..m {
                used[i * m + j] += f64::from(state.demand_of(k)[j]);
            }
        }
        let reserved = used.clone();
        let mut search = Self { state, transient, placement, used, reserved, best: f64::INFINITY };
        search.place(0, state.moves_left, 0.0);
        search.best
    }

    fn place(&mut self, k: usize, moves: u32, cost: f64) {
        let spec = &*self.state.spec;
        let m = spec.resources;
        if k == spec.workloads() {
            self.judge(cost);
            return;
        }
        self.place(k + 1, moves, cost);
        let cooled = u32::from(self.state.cooldown[k]) < self.state.moves_left;
        if moves == 0 || !spec.movable[k] || !cooled {
            return;
        }
        let from = self.placement[k];
        let demand: Vec<f64> = self.state.demand_of(k).iter().map(|&d| f64::from(d)).collect();
        for to in (0..spec.nodes()).filter(|&to| to != from && spec.may_run_on(k, to)) {
            let price = self.state.migration_cost(k, to);
            let price = self.state.objective.value(&self.state.flow_terms(k, &price));
            self.placement[k] = to;
            for (j, d) in demand.iter().enumerate() {
                self.used[from * m + j] -= d;
                self.used[to * m + j] += d;
                self.reserved[to * m + j] += d;
            }
            self.place(k + 1, moves - 1, cost + f64::from(price));
            for (j, d) in demand.iter().enumerate() {
                self.used[from * m + j] += d;
                self.used[to * m + j] -= d;
                self.reserved[to * m + j] -= d;
            }
            self.placement[k] = from;
        }
    }

    fn judge(&mut self, cost: f64) {
        let (state, spec) = (self.state, &*self.state.spec);
        let m = spec.resources;
        let held = if self.transient { &self.reserved } else { &self.used };
        for (k, &to) in self.placement.iter().enumerate() {
            if to == state.placement[k] as usize {
                continue;
            }
            let full = |j: usize| {
                let supply = f64::from(spec.supply_of(to, j));
                state.demand_of(k)[j] > 0.0 && held[to * m + j] > supply * (1.0 + 1e-5)
            };
            let meets = |other: usize| {
                other != k && spec.group[other] == spec.group[k] && self.placement[other] == to
            };
            if (0..m).any(full) || (spec.group[k] != NO_GROUP && (0..spec.workloads()).any(meets)) {
                return;
            }
        }
        let weight = |term: Term| f64::from(state.objective.weights[term as usize]);
        let slot = state.objective.slot.unwrap();
        let (mut most, mut over, mut slots, mut free) = (0.0_f64, 0.0, 0.0, 0.0);
        for i in 0..spec.nodes() {
            let mut load = 0.0;
            for j in 0..m {
                let supply = f64::from(spec.supply_of(i, j));
                if supply > 0.0 {
                    load += self.used[i * m + j] / supply;
                    over += (self.used[i * m + j] / supply - 1.0).max(0.0);
                }
            }
            most = most.max(load);
            let supply = f64::from(spec.supply_of(i, slot.resource));
            let rest = (supply - self.used[i * m + slot.resource]).max(0.0);
            free += rest;
            slots += (rest / f64::from(slot.size) + 1e-4).floor();
        }
        let fragmentation =
            if free > 0.0 { 1.0 - slots * f64::from(slot.size) / free } else { 0.0 };
        let value = weight(Term::MaxLoad) * most
            + weight(Term::Overload) * over
            + weight(Term::Fragmentation) * fragmentation
            + cost;
        self.best = self.best.min(value);
    }
}

/// Solves instances until this many had a linear form; half of them with transient demand.
fn agree(weights: Value) {
    let (mut solved, mut improved, mut unordered) = (0, 0, 0);
    for seed in 0.. {
        if solved == INSTANCES {
            break;
        }
        let state = instance(seed, &weights);
        let transient = seed % 2 == 1;
        let options = Options { transient, ..Options::default() };
        let solution = match solve(&state, &options) {
            Ok(solution) => solution,
            Err(MilpError::Overfull { .. }) => continue,
            Err(error) => panic!("{seed}: {error}"),
        };
        solved += 1;
        assert_eq!(solution.status, Status::Optimal, "{seed}");
        let best = BruteForce::best(&state, transient);
        let objective = solution.objective;
        assert!((objective - best).abs() < 2e-5, "{seed}: expected {best}, got {objective}");
        let proven = solution.bound.unwrap();
        assert!(proven <= best + 1e-5 && proven > best - 2e-5, "{seed}: {best}, bound {proven}");
        improved += u32::from(best < f64::from(state.level()) - 1e-4);

        // The order is feasible move by move and leads where the solution says.
        let mut played = state.clone();
        for &planned in &solution.moves {
            assert!(crate::order::make(&mut played, planned), "{seed}");
        }
        let moved = solution.moves.len() + solution.blocked.len();
        assert!(moved <= state.moves_left as usize, "{seed}");
        match solution.ordering {
            Ordering::Complete => {
                assert!(solution.blocked.is_empty());
                assert_eq!(played.placement, solution.placement, "{seed}");
            }
            Ordering::Impossible => {
                let all = [&solution.moves[..], &solution.blocked[..]].concat();
                assert!(!some_order(&state, &all), "{seed}");
                unordered += 1;
            }
            Ordering::NotFound => panic!("{seed}: so few moves can all be tried"),
        }
        if !transient {
            let bound = bound(&state, Duration::from_secs(60)).unwrap();
            assert!(bound.optimal && (bound.objective - best).abs() < 2e-5, "{seed}");
        }
    }
    // The instances are worth the while.
    assert!(improved > INSTANCES as u32 / 2, "{improved} improved");
    eprintln!("{solved} instances, {improved} improved, {unordered} without an order");
}

fn some_order(state: &ClusterState, moves: &[(usize, usize)]) -> bool {
    moves.is_empty()
        || (0..moves.len()).any(|at| {
            let mut next = state.clone();
            let mut rest = moves.to_vec();
            crate::order::make(&mut next, rest.remove(at)) && some_order(&next, &rest)
        })
}

#[test]
fn the_optimal_max_load_is_that_of_brute_force() {
    agree(json!({"max_load": 1.0}));
}

#[test]
fn the_optimal_fragmentation_is_that_of_brute_force() {
    agree(json!({"fragmentation": 1.0}));
}

#[test]
fn the_optimum_of_all_linear_terms_is_that_of_brute_force() {
    agree(json!({
        "max_load": 1.0, "overload": 4.0, "fragmentation": 0.5, "moved_gib": 0.01,
        "downtime_s": 0.02,
    }));
}
