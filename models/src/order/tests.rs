use super::*;
use crate::testing::{cluster, rules};
use proptest::prelude::*;
use serde_json::json;

/// So many nodes of 10 with these demands on them.
fn state(nodes: usize, placed: &[(f32, u32)]) -> ClusterState {
    cluster(rules(json!({})), (nodes, 10.0), placed, |_| {})
}

/// Two full nodes that want to exchange a 6 and a 5.
const FULL: [(f32, u32); 4] = [(6.0, 0), (4.0, 0), (5.0, 1), (5.0, 1)];
const EXCHANGE: [Move; 2] = [(0, 1), (2, 0)];

/// Plays the moves; where everything is in the end.
fn played(state: &ClusterState, moves: &[Move]) -> Vec<u32> {
    let mut state = state.clone();
    for &planned in moves {
        assert!(make(&mut state, planned), "{planned:?} of {moves:?}");
    }
    state.placement
}

#[test]
fn an_exchange_of_full_nodes_has_no_first_move() {
    // A third node that is empty leaves the exchange itself as it is.
    for nodes in [2, 3] {
        let ordered = order(&state(nodes, &FULL), &EXCHANGE);
        assert_eq!(ordered.ordering, Ordering::Impossible);
        assert_eq!((ordered.moves, ordered.blocked), (vec![], EXCHANGE.to_vec()));
    }
}

#[test]
fn the_order_leaves_room_for_what_comes_later() {
    // Node 1 has room for one of the two 3s that go there; the 5 that leaves it for node 2 needs
    // the 4 of node 2 to have gone to node 1 first. The 3 that goes first would block both.
    let state = state(3, &[(3.0, 0), (5.0, 1), (1.0, 1), (4.0, 2), (2.0, 2)]);
    let ordered = order(&state, &[(0, 1), (1, 2), (3, 1)]);
    assert_eq!(ordered.ordering, Ordering::Complete);
    assert_eq!(ordered.moves, [(3, 1), (1, 2), (0, 1)]);
}

#[test]
fn an_exchange_goes_through_a_node_with_room_and_back() {
    // The exchange leaves 4 + 5 and 5 + 6: the second does not fit.
    let three = state(3, &FULL);
    assert_eq!(order_within(&three, &EXCHANGE, 1, 100).ordering, Ordering::Impossible);
    // Exchanging the 5s of full nodes does. Node 2 holds 5, and takes either of them.
    let fives = [(5.0, 0), (5.0, 0), (5.0, 1), (5.0, 1), (5.0, 2)];
    let three = state(3, &fives);
    let ordered = order_within(&three, &EXCHANGE, 1, 100);
    assert_eq!((ordered.ordering, ordered.blocked), (Ordering::Complete, vec![]));
    assert_eq!(ordered.moves, [(0, 2), (2, 0), (0, 1)]);
    assert_eq!(played(&three, &ordered.moves), [1, 0, 0, 1, 2]);
    // Without the right to park, and without room: there is no way.
    assert_eq!(order_within(&three, &EXCHANGE, 0, 100).ordering, Ordering::Impossible);
    let mut full = fives.to_vec();
    full.push((5.0, 2));
    assert_eq!(order_within(&state(3, &full), &EXCHANGE, 2, 100).ordering, Ordering::Impossible);
    assert_eq!(
        order_within(&state(2, &fives[..4]), &EXCHANGE, 2, 100).ordering,
        Ordering::Impossible
    );
}

#[test]
fn a_parked_workload_waits_until_it_may_move_again() {
    let fives = [(5.0, 0), (5.0, 0), (5.0, 1), (5.0, 1), (1.0, 2), (1.0, 2)];
    let resting = |ticks: u32| {
        let limits = json!({"cooldown_ticks": ticks});
        cluster(rules(json!({"limits": limits})), (3, 10.0), &fives, |_| {})
    };
    // The move after the parking takes one tick, and so does the parking itself.
    let two = order_within(&resting(2), &EXCHANGE, 1, 100);
    assert_eq!(two.moves, [(0, 2), (2, 0), (0, 1)]);
    assert_eq!(order_within(&resting(3), &EXCHANGE, 1, 100).ordering, Ordering::Impossible);
}

#[test]
fn a_search_without_time_says_that_it_does_not_know() {
    let fives = [(5.0, 0), (5.0, 0), (5.0, 1), (5.0, 1), (5.0, 2)];
    let ordered = order_within(&state(3, &fives), &EXCHANGE, 1, 1);
    assert_eq!(ordered.ordering, Ordering::NotFound);
    assert_eq!(ordered.blocked, EXCHANGE);
}

proptest! {
    #[test]
    fn a_ring_of_full_nodes_turns_through_one_free_place(
        length in 2..6_usize,
        start in 0..6_usize,
        free in 0..2_usize,
        others in 0..3_usize,
    ) {
        // One workload fills each node of the ring, and wants to go to the next one; `others` are
        // full nodes beside it, and `free` empty ones.
        let placed: Vec<(f32, u32)> = (0..length + others).map(|i| (10.0, i as u32)).collect();
        let state = state(length + others + free, &placed);
        let ring = (0..length).map(|i| (i + start) % length);
        let moves: Vec<Move> = ring.map(|k| (k, (k + 1) % length)).collect();
        prop_assert_eq!(order(&state, &moves).ordering, Ordering::Impossible);
        let ordered = order_within(&state, &moves, length, 1000);
        if free == 0 {
            prop_assert_eq!(ordered.ordering, Ordering::Impossible);
            prop_assert_eq!(ordered.blocked, moves);
        } else {
            // One is parked, and no more.
            prop_assert_eq!(ordered.ordering, Ordering::Complete);
            prop_assert_eq!(ordered.moves.len(), length + 1);
            let end = played(&state, &ordered.moves);
            prop_assert!(moves.iter().all(|&(k, node)| end[k] as usize == node), "{:?}", end);
        }
    }
}
