//! What baselines make of a scenario's own terms.

use super::*;
use crate::plan::{ReasonCode, plan};
use serde_json::Value;

/// Nodes of 10 cores: two hold 7 + 2, the others 5. While two nodes share the highest load, no single
/// move lowers it.
fn two_hot(nodes: usize, objective: Value) -> ClusterState {
    let rules = rules(json!({"objective": objective}));
    let mut placed = vec![(7.0, 0), (2.0, 0), (7.0, 1), (2.0, 1)];
    placed.extend((2..nodes as u32).map(|node| (5.0, node)));
    cluster(rules, (nodes, 10.0), &placed, |_| {})
}

fn hot_nodes(state: &ClusterState) -> usize {
    state.now.load[..state.spec.nodes()].iter().filter(|load| **load > 0.8).count()
}

fn play(policy: &mut dyn Policy, state: &mut ClusterState) {
    policy.reset(4);
    while let Action::Migrate { workload, destination } = policy.act(state) {
        state.migrate(workload, destination).unwrap();
        if state.moves_left == 0 {
            break;
        }
    }
}

#[test]
fn the_best_single_move_lowers_a_term_of_ones_own_where_the_highest_load_shows_no_way() {
    let mut policy = baseline("best-single-move").unwrap();
    let mut plain = two_hot(4, json!({"weights": {"max_load": 1.0}}));
    play(&mut *policy, &mut plain);
    assert_eq!(hot_nodes(&plain), 2);
    let mut own = two_hot(
        4,
        json!({
            "weights": {"max_load": 1.0, "hot": 2.0},
            "terms": {"hot": "sum(max(0, utilisation.cpu - 0.8))"},
        }),
    );
    play(&mut *policy, &mut own);
    assert_eq!(hot_nodes(&own), 0);
}

#[test]
fn baselines_that_lower_the_objective_lower_own_terms() {
    let objective = json!({
        "weights": {"hot": 1.0, "steep": 0.5, "uneven": 0.1},
        "terms": {
            "hot": "sum(max(0, utilisation.cpu - 0.8))",
            "steep": "max(used.cpu)",
            "uneven": "mean(load * load)",
        },
    });
    // Sums over nodes are kept up in another way in large clusters.
    for nodes in [4, 70] {
        let start = two_hot(nodes, objective.clone()).level();
        for name in [
            "best-single-move",
            "best-move-or-swap",
            "annealing",
            "genetic",
            "large-neighbourhood",
            "chains",
            "receding-horizon",
        ] {
            let mut state = two_hot(nodes, objective.clone());
            play(&mut *baseline(name).unwrap(), &mut state);
            assert_eq!(hot_nodes(&state), 0, "{name}, {nodes} nodes");
            assert!(state.level() < start, "{name}, {nodes} nodes");
        }
    }
}

#[test]
fn a_plan_says_that_its_moves_lower_own_terms() {
    let state = two_hot(
        4,
        json!({"weights": {"hot": 1.0}, "terms": {"hot": "sum(max(0, utilisation.cpu - 0.8))"}}),
    );
    let plan = plan(&state, &mut *baseline("best-single-move").unwrap(), 9, None);
    assert_eq!(plan.moves.len(), 2);
    for planned in &plan.moves {
        assert_eq!(planned.reason, ReasonCode::LowersOwn);
        assert!((planned.change.own + 0.1).abs() < 1e-6, "{:?}", planned.change);
    }
    let text = serde_json::to_value(&plan.moves[0]).unwrap();
    assert_eq!(text["reason"], "lowers_own");
}
