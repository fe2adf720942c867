//! The large-margin loss of deep Q-learning from demonstrations (Hester et al., AAAI 2018): in a
//! demonstrated state, the demonstrated action shall be worth more than any other by a margin,
//!
//! ```text
//! J_E = max_a (Q(s, a) + l(a_E, a)) - Q(s, a_E)        l = margin, or 0 for a = a_E
//! ```
//!
//! over the unmasked actions. Where the maximum is the demonstrated action itself the loss is zero,
//! so that only the value of one rival per state is ever needed with its gradient.

use tch::{Kind, Tensor};

/// Demonstrated states in which another action comes too close.
#[derive(Debug)]
pub struct Violations {
    /// Index of the demonstrated action's value, `[V]`.
    pub demonstrated: Tensor,
    /// Index of the value of its closest rival in the same state, `[V]`.
    pub rival: Tensor,
}

/// The action with the highest value once every other than the demonstrated one is raised by the
/// margin. `q` holds a value for each action, `f32::NEG_INFINITY` for masked ones.
pub fn rival(q: &[f32], demonstrated: usize, margin: f32) -> usize {
    let mut best = demonstrated;
    let mut highest = q[demonstrated];
    for (action, value) in q.iter().enumerate() {
        if action != demonstrated && value + margin > highest {
            (best, highest) = (action, value + margin);
        }
    }
    best
}

/// Sum of the losses; `values` is what the indices point into.
pub fn loss(values: &Tensor, violations: &Violations, margin: f64) -> Tensor {
    let demonstrated = values.index_select(0, &violations.demonstrated);
    let rival = values.index_select(0, &violations.rival);
    (rival - demonstrated + margin).sum(Kind::Float)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rival_is_the_best_unmasked_action_within_the_margin() {
        let masked = f32::NEG_INFINITY;
        let q = [0.5, masked, 0.9, 1.0, 0.95];
        assert_eq!(rival(&q, 3, 0.01), 3, "ahead of all by more than the margin");
        assert_eq!(rival(&q, 3, 0.1), 4);
        assert_eq!(rival(&q, 0, 0.0), 3, "without a margin: whoever is better");
        assert_eq!(rival(&[0.0, masked], 0, 1.0), 0, "nothing else is allowed");
    }

    #[test]
    fn the_loss_and_its_gradient_match_hand_worked_numbers() {
        let values = Tensor::from_slice(&[1.0_f32, 0.5, 0.75, 2.0]).set_requires_grad(true);
        let violations = Violations {
            demonstrated: Tensor::from_slice(&[0_i64, 1]),
            rival: Tensor::from_slice(&[2_i64, 3]),
        };
        let loss = loss(&values, &violations, 0.5);
        // (0.75 + 0.5 - 1) + (2 + 0.5 - 0.5)
        assert!((loss.double_value(&[]) - 2.25).abs() < 1e-6);
        let gradient = Tensor::run_backward(&[&loss], &[&values], false, false);
        let gradient: Vec<f32> = Vec::try_from(&gradient[0]).expect("numbers");
        assert_eq!(gradient, [-1.0, -1.0, 1.0, 1.0]);
    }
}
