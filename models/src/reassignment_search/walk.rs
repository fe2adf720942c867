//! The state of a search and its moves, each accepted or refused by the rule of simulated
//! annealing: what improves always, what costs `d` more with probability `exp(-d / temperature)`
//! (Metropolis et al. 1953; Kirkpatrick, Gelatt and Vecchi, *Optimization by Simulated Annealing*,
//! Science 220, 1983).
//!
//! A broken spread or dependency costs a price on top, which rises while a round meets no feasible
//! assignment and falls while rounds do (strategic oscillation: Glover, *Tabu Search*, ORSA Journal
//! on Computing 1, 1989).

use godwit_envs::reassignment::{Instance, Solution, Violations};
use godwit_envs::rng::{Rng, stream};
use rand::RngExt;

/// Moves tried to learn what moves cost.
const SAMPLES: usize = 2000;
/// Factors of the price after a round with and without a feasible assignment: it halves in some 70
/// rounds and doubles in some 35.
const CHEAPER: f64 = 0.99;
const DEARER: f64 = 1.02;
/// Highest price, in typical changes of cost: no single move wins so much.
const HIGHEST_PRICE: f64 = 1000.0;
/// A rise of so many temperatures is refused without a draw: its chance is below 1e-17.
const HOPELESS: f64 = 40.0;

/// A search under way.
pub(super) struct Walk<'a> {
    pub(super) now: Solution<&'a Instance>,
    pub(super) rng: Rng,
    /// Moves tried.
    pub(super) tried: u64,
    /// Typical change of cost by a move.
    pub(super) scale: f64,
    pub(super) temperature: f64,
    /// Price of a broken spread or dependency.
    pub(super) price: f64,
    best: Vec<u32>,
    best_cost: i64,
}

impl<'a> Walk<'a> {
    /// A walk that begins at a feasible assignment.
    pub(super) fn new(start: Solution<&'a Instance>, seed: u64) -> Self {
        let mut walk = Self {
            best: start.assignment().to_vec(),
            best_cost: start.cost(),
            now: start,
            rng: stream(seed, "reassignment"),
            tried: 0,
            scale: 1.0,
            temperature: 0.0,
            price: 0.0,
        };
        walk.scale = walk.typical_change();
        walk.price = walk.scale;
        walk
    }

    /// The best assignment, its cost, and the moves tried.
    pub(super) fn finish(self) -> (Vec<u32>, i64, u64) {
        (self.best, self.best_cost, self.tried)
    }

    pub(super) fn best(&self) -> (&[u32], i64) {
        (&self.best, self.best_cost)
    }

    pub(super) fn processes(&self) -> usize {
        self.now.assignment().len()
    }

    pub(super) fn machines(&self) -> usize {
        self.now.instance().machines().len()
    }

    /// Where a process is.
    pub(super) fn machine(&self, process: usize) -> usize {
        self.now.assignment()[process] as usize
    }

    pub(super) fn below(&mut self, end: usize) -> usize {
        self.rng.random_range(0..end)
    }

    /// The median of the changes of cost by random shifts that fit and change it.
    fn typical_change(&mut self) -> f64 {
        let mut changes = Vec::new();
        for _ in 0..SAMPLES {
            let (p, to) = (self.below(self.processes()), self.below(self.machines()));
            if self.now.fits(p, to) {
                changes.push(self.now.shift(p, to).cost.abs());
            }
        }
        changes.retain(|&change| change > 0);
        changes.sort_unstable();
        changes.get(changes.len() / 2).map_or(1.0, |&change| change as f64)
    }

    /// Tries so many moves at the present temperature, then adapts the price.
    pub(super) fn round(&mut self, moves: u64, mut step: impl FnMut(&mut Self)) {
        let mut feasible = false;
        for _ in 0..moves {
            step(self);
            feasible |= self.now.violations().none();
        }
        self.tried += moves;
        self.price *= if feasible { CHEAPER } else { DEARER };
        // Below the temperature it would be no price.
        self.price = self.price.min(self.scale * HIGHEST_PRICE).max(self.temperature);
    }

    fn accepts(&mut self, cost: i64, broken: Violations) -> bool {
        if broken.capacity > 0 || broken.conflict > 0 {
            return false;
        }
        let rise = cost as f64 + self.price * (broken.spread + broken.dependency) as f64;
        if rise <= 0.0 {
            return true;
        }
        rise < HOPELESS * self.temperature
            && self.rng.random::<f64>() < (-rise / self.temperature).exp()
    }

    fn record(&mut self) {
        if self.now.cost() < self.best_cost && self.now.violations().none() {
            self.best_cost = self.now.cost();
            self.best.copy_from_slice(self.now.assignment());
        }
    }

    /// Tries to move a process.
    pub(super) fn try_shift(&mut self, p: usize, to: usize) {
        if self.machine(p) == to || !self.now.fits(p, to) {
            return;
        }
        let change = self.now.shift(p, to);
        if self.accepts(change.cost, change.violations) {
            self.now.commit_shift(p, to, change);
            self.record();
        }
    }

    /// Tries to trade the machines of two processes.
    pub(super) fn try_swap(&mut self, p: usize, q: usize) {
        let service = |p: usize| self.now.instance().processes()[p].service;
        if self.machine(p) == self.machine(q) {
            return;
        }
        if service(p) != service(q) && !self.now.fits_swap(p, q) {
            return;
        }
        let change = self.now.swap(p, q);
        if self.accepts(change.cost, change.violations) {
            self.now.apply_swap(p, q);
            self.record();
        }
    }

    /// Tries to move a process to the machine of another, which moves on to a third.
    pub(super) fn try_chain(&mut self, p: usize, q: usize, third: usize) {
        let (from, to) = (self.machine(p), self.machine(q));
        if from == to || third == from || third == to || !self.now.fits(q, third) {
            return;
        }
        let first = self.now.shift(q, third);
        self.now.commit_shift(q, third, first);
        if self.now.fits(p, to) {
            let second = self.now.shift(p, to);
            let mut broken = first.violations;
            broken += second.violations;
            if self.accepts(first.cost + second.cost, broken) {
                self.now.commit_shift(p, to, second);
                self.record();
                return;
            }
        }
        self.now.apply_shift(q, to);
    }
}
