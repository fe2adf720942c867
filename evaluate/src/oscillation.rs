//! How often a policy takes back what it did: workloads that return to a node they just left.

use godwit_models::rollout::Move;
use std::collections::HashMap;

/// Ticks (in a static episode: moves) within which a return counts, where nothing else is stated.
///
/// Twelve ticks are two hours in a world of ten-minute ticks: far less than the daily cycle, so
/// that following the day is no oscillation, and more than any cooldown of the embedded scenarios,
/// so that a policy cannot hide behind it.
pub const DEFAULT_WINDOW: u32 = 12;

/// For each move, whether it brings a workload back to a node which it left at most `window` ticks
/// before.
pub fn returned(moves: &[Move], window: u32) -> Vec<bool> {
    // When each workload last left each node.
    let mut left: HashMap<(u32, u32, u32), u32> = HashMap::new();
    let mut is_return = |&Move { tick, workload, occupant, source, destination }: &Move| {
        let since = left.get(&(workload, occupant, destination)).map(|&at| tick.saturating_sub(at));
        left.insert((workload, occupant, source), tick);
        since.is_some_and(|ticks| ticks <= window)
    };
    moves.iter().map(&mut is_return).collect()
}

/// How many moves are such returns.
pub fn returns_within(moves: &[Move], window: u32) -> u32 {
    returned(moves, window).into_iter().map(u32::from).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moves(list: &[(u32, u32, u32, u32)]) -> Vec<Move> {
        list.iter()
            .map(|&(tick, workload, source, destination)| Move {
                tick,
                workload,
                occupant: 0,
                source,
                destination,
            })
            .collect()
    }

    #[test]
    fn a_return_counts_up_to_the_window() {
        let there_and_back = moves(&[(0, 7, 1, 2), (5, 7, 2, 1)]);
        assert_eq!(returns_within(&there_and_back, 5), 1);
        assert_eq!(returns_within(&there_and_back, 4), 0);
    }

    #[test]
    fn each_swing_counts_and_a_detour_is_a_return_too() {
        // 1 -> 2 -> 1 -> 2: the second move returns to 1, the third to 2.
        assert_eq!(returns_within(&moves(&[(0, 0, 1, 2), (1, 0, 2, 1), (2, 0, 1, 2)]), 3), 2);
        // 1 -> 2 -> 3 -> 1.
        assert_eq!(returns_within(&moves(&[(0, 0, 1, 2), (1, 0, 2, 3), (2, 0, 3, 1)]), 3), 1);
    }

    #[test]
    fn who_comes_to_the_slot_of_one_that_left_does_not_return() {
        let mut list = moves(&[(0, 7, 1, 2), (5, 7, 2, 1)]);
        list[1].occupant = 1;
        assert_eq!(returns_within(&list, 9), 0);
    }

    #[test]
    fn another_workload_on_the_same_nodes_is_none() {
        assert_eq!(returns_within(&moves(&[(0, 0, 1, 2), (0, 1, 2, 1)]), 9), 0);
    }
}
