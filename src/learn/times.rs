//! Where the learner's time goes.

use std::ops::AddAssign;
use std::time::Duration;

/// Time spent in each part of learning, summed over threads.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LearnTimes {
    /// Choosing transitions.
    pub draw: Duration,
    /// Turning compact states into observations.
    pub decode: Duration,
    /// Valuing next states, weights handed over included.
    pub next_values: Duration,
    /// Forward pass, loss and backward pass.
    pub gradient: Duration,
    /// Clipping, Adam and the target network.
    pub optimiser: Duration,
}

impl AddAssign for LearnTimes {
    fn add_assign(&mut self, other: Self) {
        let Self { draw, decode, next_values, gradient, optimiser } = other;
        self.draw += draw;
        self.decode += decode;
        self.next_values += next_values;
        self.gradient += gradient;
        self.optimiser += optimiser;
    }
}
