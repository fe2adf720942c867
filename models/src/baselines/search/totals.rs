//! Sums over the nodes of an outlook that follow each change of one node: what a placement costs
//! can then be told without a look at all nodes.

use godwit_envs::state::objective::Objective;
use godwit_envs::state::outlook::{Outlook, fragmentation, imbalance};
use godwit_envs::state::term::LOAD_TERMS;

/// What one node adds to the sums.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Share {
    load: f32,
    over: f32,
    slots: f32,
    free: f32,
}

impl Share {
    pub(super) fn of(loads: &Outlook, node: usize) -> Self {
        let (load, over) = (loads.load[node], loads.over[node]);
        Self { load, over, slots: loads.slots[node], free: loads.free[node] }
    }
}

/// The sums of one outlook. In f64, so that adding and subtracting leaves no trace that f32 sees.
#[derive(Debug, Clone)]
pub(super) struct Totals {
    nodes: usize,
    load: f64,
    squares: f64,
    over: f64,
    slots: f64,
    free: f64,
    /// The highest load below each inner node of a complete binary tree whose root is at 1; the
    /// leaves, from `leaves` on, are the nodes.
    highest: Vec<f32>,
    leaves: usize,
}

impl Totals {
    /// Of nodes that hold nothing and have nothing.
    pub(super) fn new(nodes: usize) -> Self {
        let leaves = nodes.next_power_of_two();
        let highest = vec![0.0; 2 * leaves];
        Self { nodes, load: 0.0, squares: 0.0, over: 0.0, slots: 0.0, free: 0.0, highest, leaves }
    }

    /// A node's share is another one from now on.
    pub(super) fn replace(&mut self, node: usize, before: Share, after: Share) {
        let change = |before: f32, after: f32| f64::from(after) - f64::from(before);
        let square = |load: f32| f64::from(load) * f64::from(load);
        self.load += change(before.load, after.load);
        self.squares += square(after.load) - square(before.load);
        self.over += change(before.over, after.over);
        self.slots += change(before.slots, after.slots);
        self.free += change(before.free, after.free);
        let mut at = self.leaves + node;
        self.highest[at] = after.load;
        while at > 1 {
            at /= 2;
            let highest = self.highest[2 * at].max(self.highest[2 * at + 1]);
            if self.highest[at] == highest {
                break;
            }
            self.highest[at] = highest;
        }
    }

    /// The load terms, as [`Outlook::terms`] has them, but for own ones: these are taken anew where
    /// they count.
    pub(super) fn terms(&self, objective: &Objective) -> [f32; LOAD_TERMS] {
        let n = self.nodes as f64;
        let mean = self.load / n;
        let variance = self.squares / n - mean * mean;
        let slot = |size| fragmentation(self.slots as f32, size, self.free as f32);
        [
            self.highest[1],
            imbalance(variance as f32, mean as f32),
            self.over as f32,
            objective.slot.map_or(0.0, |of| slot(of.size)),
            0.0,
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::random_state;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn sums_that_follow_changes_are_those_taken_anew(
            seed in any::<u64>(),
            changes in prop::collection::vec((0_usize..20, 0.0_f32..20.0), 1..40),
        ) {
            let state = random_state(seed, false, 5);
            let (spec, objective) = (&state.spec, &state.objective);
            let mut loads = Outlook::new(spec, objective);
            let mut totals = Totals::new(spec.nodes());
            for (node, held) in changes {
                let node = node % spec.nodes();
                let before = Share::of(&loads, node);
                loads.held[node] = held;
                loads.refresh_node(spec, objective, node);
                totals.replace(node, before, Share::of(&loads, node));
            }
            // Nodes that were never refreshed have no free supply either way.
            loads.refresh_totals(spec);
            for (own, anew) in totals.terms(objective).into_iter().zip(loads.terms(objective)) {
                prop_assert!((own - anew).abs() <= 1e-3 * anew.abs().max(1.0), "{own} {anew}");
            }
        }
    }
}
