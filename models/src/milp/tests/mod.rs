//! Optima worked by hand, and the real cluster's.

mod brute_force;

use super::{MilpError, Options, Status, bound, solve};
use crate::baselines::search::integer_programming::Milp;
use crate::order::{Ordering, make};
use crate::policy::Policy;
use crate::testing::{cluster, env, rules};
use godwit_envs::env::Env;
use godwit_envs::importers::{ImportOptions, vm_snapshot};
use godwit_envs::scenario::Phase;
use godwit_envs::state::cluster::WorkloadSpec;
use godwit_envs::state::{Action, ClusterState};
use serde_json::json;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

#[test]
fn the_founding_example_is_solved_as_by_hand() {
    // Own loads 0.7, 0.8 and 1.3 on three nodes: no placement is below 1.3, and two moves reach it.
    let mut env = env("founding-3x3", Phase::Evaluate);
    env.reset(0).unwrap();
    let found = bound(env.state(), Duration::from_secs(60)).unwrap();
    assert!((found.objective - 1.3).abs() < 1e-5 && (found.bound - 1.3).abs() < 1e-5, "{found:?}");
    assert!(found.optimal && found.reachable);
}

#[test]
fn where_no_better_parts_exist_the_placement_stays_as_it_is() {
    // Loads 1.0 and 0.8: the parts of two sums closer than 10 and 8 do not exist.
    let placed = [(6.0, 0), (4.0, 0), (7.0, 1), (1.0, 1)];
    let state = cluster(rules(json!({})), (2, 10.0), &placed, |_| {});
    let solution = solve(&state, &Options::default()).unwrap();
    assert!((solution.objective - 1.0).abs() < 1e-6, "{solution:?}");
}

#[test]
fn transient_demand_keeps_the_source() {
    // Loads 0.9 and 0.7. Exchanging the 5 and the 4 gives 0.8 and 0.8, but no node can hold both.
    let placed = [(5.0, 0), (4.0, 0), (4.0, 1), (3.0, 1)];
    let pin = |w: &mut [WorkloadSpec]| (w[1].movable, w[3].movable) = (false, false);
    let state = cluster(rules(json!({})), (2, 10.0), &placed, pin);
    let plain = solve(&state, &Options::default()).unwrap();
    assert!((plain.objective - 0.8).abs() < 1e-6, "{plain:?}");
    assert_eq!((plain.ordering, plain.blocked.len()), (Ordering::Impossible, 2));
    let transient = solve(&state, &Options { transient: true, ..Options::default() }).unwrap();
    assert!((transient.objective - 0.9).abs() < 1e-6, "{transient:?}");
    assert_eq!((transient.ordering, transient.blocked.len()), (Ordering::Complete, 0));
    // The policy plays what can be played: nothing.
    assert_eq!(Milp::default().act(&state), Action::Stay);
}

#[test]
fn what_has_no_linear_form_is_refused() {
    let online = rules(json!({"episode": {"mode": "online"}}));
    let state = cluster(online, (2, 10.0), &[(4.0, 0)], |_| {});
    assert_eq!(solve(&state, &Options::default()), Err(MilpError::Online));
    assert_eq!(bound(&state, Duration::from_secs(1)), Err(MilpError::Online));
    let objective = json!({
        "weights": {"max_load": 1.0, "hot": 1.0},
        "terms": {"hot": "sum(max(0, utilisation.cpu - 0.8))", "unpaid": "sum(load)"},
    });
    let own = rules(json!({"objective": objective}));
    let error = solve(&cluster(own, (2, 10.0), &[(4.0, 0)], |_| {}), &Options::default());
    assert_eq!(
        error.unwrap_err().to_string(),
        "milp: expected an objective of linear terms, got one with rules.objective.terms.hot"
    );
    let slots = rules(json!({"objective": {
        "weights": {"fragmentation": 1.0}, "slot": {"resource": "cpu", "size": 4.0}
    }}));
    let state = cluster(slots, (2, 10.0), &[(8.0, 0), (4.0, 0)], |_| {});
    let refused = solve(&state, &Options::default()).unwrap_err();
    assert_eq!(refused, MilpError::Overfull { node: "n0".into() });
}

#[test]
fn imbalance_is_bounded_from_below() {
    // Loads 0.8 and 0: at best 0.4 and 0.4, with an imbalance of 0.
    let weights = rules(json!({"objective": {"weights": {"max_load": 1.0, "imbalance": 1.0}}}));
    let state = cluster(weights, (2, 10.0), &[(4.0, 0), (4.0, 0)], |_| {});
    let found = bound(&state, Duration::from_secs(10)).unwrap();
    assert!((found.objective - 0.4).abs() < 1e-6 && (found.bound - 0.4).abs() < 1e-5);
    assert!(!found.optimal && found.reachable);
    // Nothing may move: the program has no columns.
    let mut still = state;
    still.moves_left = 0;
    let found = bound(&still, Duration::from_secs(10)).unwrap();
    assert!((found.objective - 1.8).abs() < 1e-6 && (found.bound - 0.8).abs() < 1e-6, "{found:?}");
}

#[test]
fn the_optima_of_the_real_cluster_are_proven() {
    let default = concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/data");
    let folder = std::env::var_os("GODWIT_DATA").map_or(PathBuf::from(default), PathBuf::from);
    let path = folder.join("vm-snapshot/cluster-279.json");
    if !path.exists() {
        eprintln!("skipped: no data set at {} (set GODWIT_DATA)", path.display());
        return;
    }
    for (budget, slots) in [(10, 12), (25, 22), (50, 35), (100, 60)] {
        let options = ImportOptions { budget, ..ImportOptions::default() };
        let imported = vm_snapshot(&path, &options).unwrap();
        let (spec, placement) = imported.snapshot.to_spec();
        let rules = Arc::new(imported.scenario.rules);
        let state = ClusterState::new(rules, Arc::new(spec), placement);
        let clock = Instant::now();
        let solution = solve(&state, &Options::default()).unwrap();
        let seconds = clock.elapsed().as_secs_f64();
        eprintln!("{budget} moves: {} slots in {seconds:.2} s", solution.slots);
        assert_eq!((solution.status, solution.slots), (Status::Optimal, slots), "{budget}");
        assert!(solution.objective - solution.bound.unwrap() < 1e-5, "{solution:?}");
        assert_eq!(solution.ordering, Ordering::Complete, "{budget}");
        assert!(seconds < 10.0, "{budget} moves took {seconds} s");
        // The policy's small search tree is enough.
        let (mut played, mut policy) = (state, Milp::default());
        while let Action::Migrate { workload, destination } = policy.act(&played) {
            assert!(make(&mut played, (workload, destination)));
        }
        assert_eq!(played.now.total_slots() as u32, slots, "{budget}");
    }
}
