//! Priorities of replayed transitions (Schaul et al., ICLR 2016): a sum tree, drawn from in
//! proportion, with stratified draws and importance weights.

use rand::RngExt;
use rand_xoshiro::Xoshiro256PlusPlus;

/// Added to every absolute TD error, so that no transition is lost for good; in scaled rewards.
const FLOOR: f64 = 1e-3;

/// A complete binary tree whose leaves are weights and whose inner nodes are the sums of their
/// children. A change or a search costs one pass from leaf to root or back.
#[derive(Debug, Clone)]
pub struct SumTree {
    /// The root at 1, the children of `i` at `2 i` and `2 i + 1`, the leaves in the second half.
    nodes: Vec<f64>,
}

impl SumTree {
    /// At least so many leaves, all of weight 0.
    pub fn new(leaves: usize) -> Self {
        Self { nodes: vec![0.0; 2 * leaves.next_power_of_two()] }
    }

    /// Sum of all leaves.
    pub fn total(&self) -> f64 {
        self.nodes[1]
    }

    /// Weight of a leaf.
    pub fn get(&self, leaf: usize) -> f64 {
        self.nodes[self.nodes.len() / 2 + leaf]
    }

    /// Sets the weight (0 or more) of a leaf.
    pub fn set(&mut self, leaf: usize, weight: f64) {
        let mut at = self.nodes.len() / 2 + leaf;
        self.nodes[at] = weight;
        while at > 1 {
            at /= 2;
            // Added anew instead of changed by a difference: rounding errors do not pile up.
            self.nodes[at] = self.nodes[2 * at] + self.nodes[2 * at + 1];
        }
    }

    /// The first leaf at which the sum of the leaves up to it exceeds `prefix` (0 up to the
    /// total); never one of weight 0 while another is not.
    pub fn find(&self, mut prefix: f64) -> usize {
        let half = self.nodes.len() / 2;
        let mut at = 1;
        while at < half {
            let (left, right) = (self.nodes[2 * at], self.nodes[2 * at + 1]);
            // Rounding may carry the prefix past the last weight, to where nothing is.
            if prefix < left || right == 0.0 {
                at *= 2;
            } else {
                prefix -= left;
                at = 2 * at + 1;
            }
        }
        at - half
    }
}

/// Priorities of the entries of a replay.
#[derive(Debug, Clone)]
pub struct Priorities {
    tree: SumTree,
    exponent: f64,
    largest: f64,
}

impl Priorities {
    /// For so many entries; `exponent` is the paper's alpha.
    pub fn new(entries: usize, exponent: f64) -> Self {
        Self { tree: SumTree::new(entries), exponent, largest: 1.0 }
    }

    /// Entry `at` may be drawn from now on, as if its error were the largest so far.
    pub fn admit(&mut self, at: usize) {
        self.tree.set(at, self.largest);
    }

    /// Entry `at` may not be drawn.
    pub fn forget(&mut self, at: usize) {
        self.tree.set(at, 0.0);
    }

    /// Entry `at` has shown this absolute TD error.
    pub fn update(&mut self, at: usize, error: f32) {
        // A diverged network must not take every draw with it.
        let error = if error.is_finite() { f64::from(error) } else { 0.0 };
        let weight = (error + FLOOR).powf(self.exponent);
        self.largest = self.largest.max(weight);
        self.tree.set(at, weight);
    }

    /// Draw number `draw` of `draws`: an entry in proportion to its priority to the power of
    /// alpha, from the `draw`-th of `draws` equal parts of their sum.
    pub fn draw(&self, draw: usize, draws: usize, rng: &mut Xoshiro256PlusPlus) -> usize {
        let part = self.tree.total() / draws as f64;
        self.tree.find((draw as f64 + rng.random::<f64>()) * part)
    }

    /// Priority of an entry to the power of alpha; 0 where it may not be drawn.
    pub fn weight(&self, at: usize) -> f64 {
        self.tree.get(at)
    }

    /// Largest weight so far, for checkpoints.
    pub fn largest(&self) -> f64 {
        self.largest
    }

    /// Becomes what was saved.
    pub fn restore(&mut self, largest: f64, weights: impl Iterator<Item = f64>) {
        self.largest = largest;
        weights.enumerate().for_each(|(at, weight)| self.tree.set(at, weight));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rand::SeedableRng;

    #[test]
    fn a_sum_tree_finds_what_hand_worked_sums_say() {
        let mut tree = SumTree::new(5);
        for (leaf, weight) in [3.0, 0.0, 1.0, 4.0, 2.0].into_iter().enumerate() {
            tree.set(leaf, weight);
        }
        assert_eq!((tree.total(), tree.get(3), tree.get(1)), (10.0, 4.0, 0.0));
        // Sums up to each leaf: 3, 3, 4, 8, 10.
        let found = [0.0, 2.9, 3.0, 3.9, 4.0, 7.9, 8.0, 9.9].map(|prefix| tree.find(prefix));
        assert_eq!(found, [0, 0, 2, 2, 3, 3, 4, 4]);
        tree.set(3, 0.0);
        assert_eq!((tree.total(), tree.find(4.0), tree.find(3.5)), (6.0, 4, 2));
        assert_eq!(tree.find(6.0), 4, "past the end: the last leaf that has a weight");
    }

    #[test]
    fn priorities_are_errors_to_the_power_of_alpha_and_newcomers_get_the_largest() {
        let mut priorities = Priorities::new(4, 0.5);
        priorities.admit(0);
        assert_eq!(priorities.weight(0), 1.0);
        priorities.update(0, 9.0 - 1e-3);
        assert!((priorities.weight(0) - 3.0).abs() < 1e-6);
        priorities.update(1, 0.25 - 1e-3);
        assert!((priorities.weight(1) - 0.5).abs() < 1e-6);
        priorities.admit(2);
        assert_eq!(priorities.weight(2), priorities.weight(0));
        priorities.forget(0);
        priorities.update(3, f32::NAN);
        assert!(priorities.weight(0) == 0.0 && priorities.weight(3) > 0.0);
    }

    proptest! {
        #[test]
        fn every_inner_sum_is_that_of_its_leaves(
            changes in prop::collection::vec((0_usize..13, 0.0_f64..100.0), 1..60),
        ) {
            let mut tree = SumTree::new(13);
            let mut plain = [0.0; 13];
            for (leaf, weight) in changes {
                tree.set(leaf, weight);
                plain[leaf] = weight;
            }
            prop_assert!((tree.total() - plain.iter().sum::<f64>()).abs() < 1e-9);
            let mut sum = 0.0;
            for (leaf, &weight) in plain.iter().enumerate() {
                if weight > 1e-6 {
                    prop_assert_eq!(tree.find(sum + weight / 2.0), leaf);
                }
                sum += weight;
            }
        }

        #[test]
        fn frequencies_of_draws_match_the_weights(
            errors in prop::collection::vec(0.0_f32..10.0, 2..20),
            exponent in 0.0_f64..1.0,
            seed in 0_u64..1000,
        ) {
            let mut priorities = Priorities::new(errors.len() + 3, exponent);
            errors.iter().enumerate().for_each(|(at, &error)| priorities.update(at, error));
            let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
            let mut counts = vec![0_u32; errors.len()];
            let draws = 20_000;
            for draw in 0..draws {
                counts[priorities.draw(draw % 50, 50, &mut rng)] += 1;
            }
            let total: f64 = (0..errors.len()).map(|at| priorities.weight(at)).sum();
            for (at, &count) in counts.iter().enumerate() {
                let expected = draws as f64 * priorities.weight(at) / total;
                // Six standard deviations: a right sampler fails once in a hundred million.
                let allowed = 6.0 * expected.sqrt() + 1.0;
                prop_assert!((f64::from(count) - expected).abs() < allowed, "{at}: {count} {expected}");
            }
        }
    }
}
