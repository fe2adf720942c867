//! The annealing itself.

use godwit_envs::reassignment::{Instance, Solution, Violations};
use godwit_envs::rng::{Rng, stream};
use rand::RngExt;

/// The cycles of a search: the share of it that is over when the cycle ends, and its first
/// temperature as a share of the first cycle's. Each begins at the best assignment so far.
pub(super) const CYCLES: [(f64, f64); 4] = [(0.55, 1.0), (0.75, 0.1), (0.9, 0.03), (1.0, 0.01)];
/// Iterations between looks at the clock.
const ROUND: u64 = 512;
/// Moves tried to learn what moves cost.
const SAMPLES: usize = 2000;
/// First temperature of a search, in typical changes of cost by a move.
const HOT: f64 = 0.3;
/// Last temperature of each cycle, in units of cost: about the price of moving a process.
const COLD: f64 = 2.0;

/// A search under way.
pub(super) struct Annealer<'a> {
    now: Solution<'a>,
    best: Vec<u32>,
    best_cost: i64,
    iterations: u64,
    rng: Rng,
    /// Typical change of cost by a move.
    scale: f64,
    /// Price of a broken spread or dependency.
    price: f64,
    /// Highest change of cost, price included, that is accepted now.
    temperature: f64,
    machines: usize,
    processes: usize,
}

impl<'a> Annealer<'a> {
    pub(super) fn new(start: Solution<'a>, seed: u64) -> Self {
        let instance: &Instance = start.instance();
        let mut annealer = Self {
            best: start.assignment().to_vec(),
            best_cost: start.cost(),
            iterations: 0,
            rng: stream(seed, "reassignment"),
            scale: 1.0,
            price: 0.0,
            temperature: 0.0,
            machines: instance.machines().len(),
            processes: instance.processes().len(),
            now: start,
        };
        annealer.learn_scale();
        annealer
    }

    pub(super) fn finish(self) -> (Vec<u32>, i64, u64) {
        (self.best, self.best_cost, self.iterations)
    }

    /// The median of the changes of cost by random shifts that fit.
    fn learn_scale(&mut self) {
        let mut changes: Vec<i64> = (0..SAMPLES)
            .filter_map(|_| {
                let (p, to) = self.draw();
                let change = self.now.fits(p, to).then(|| self.now.shift(p, to).cost.abs());
                change.filter(|&change| change > 0)
            })
            .collect();
        changes.sort_unstable();
        self.scale = changes.get(changes.len() / 2).map_or(1.0, |&change| change as f64);
        self.price = self.scale;
    }

    fn draw(&mut self) -> (usize, usize) {
        (self.rng.random_range(0..self.processes), self.rng.random_range(0..self.machines))
    }

    /// Cools from a heat to the end. `progress` tells from the iterations what share of the cycle
    /// is over.
    pub(super) fn cycle(&mut self, heat: f64, progress: impl Fn(u64) -> f64) {
        let best = std::mem::take(&mut self.best);
        self.now.set(&best);
        self.best = best;
        let hot = (self.scale * HOT * heat).max(COLD);
        loop {
            let done = progress(self.iterations);
            if done >= 1.0 {
                break;
            }
            self.temperature = hot * (COLD / hot).powf(done);
            let mut feasible = false;
            for _ in 0..ROUND {
                self.iterations += 1;
                self.step();
                feasible |= self.now.violations().none();
            }
            self.price *= if feasible { 0.99 } else { 1.02 };
            self.price = self.price.clamp(self.temperature, self.scale * 1000.0);
        }
    }

    /// Tries one move.
    fn step(&mut self) {
        match self.rng.random_range(0..100) {
            0..50 => {
                let (p, to) = self.draw();
                self.try_shift(p, to);
            }
            50..97 => {
                let p = self.rng.random_range(0..self.processes);
                let q = self.rng.random_range(0..self.processes);
                self.try_swap(p, q);
            }
            _ => {
                let (p, to) = self.draw();
                let (q, third) = self.draw();
                self.try_chain(p, to, q, third);
            }
        }
    }

    fn accepts(&mut self, cost: i64, broken: Violations) -> bool {
        if broken.capacity > 0 || broken.conflict > 0 {
            return false;
        }
        let rise = cost as f64 + self.price * (broken.spread + broken.dependency) as f64;
        if rise <= 0.0 {
            return true;
        }
        // exp(-40) is never drawn.
        rise < 40.0 * self.temperature
            && self.rng.random::<f64>() < (-rise / self.temperature).exp()
    }

    fn record(&mut self) {
        if self.now.cost() < self.best_cost && self.now.violations().none() {
            self.best_cost = self.now.cost();
            self.best.copy_from_slice(self.now.assignment());
        }
    }

    fn try_shift(&mut self, p: usize, to: usize) {
        if self.now.assignment()[p] as usize == to || !self.now.fits(p, to) {
            return;
        }
        let change = self.now.shift(p, to);
        if self.accepts(change.cost, change.violations) {
            self.now.commit_shift(p, to, change);
            self.record();
        }
    }

    fn try_swap(&mut self, p: usize, q: usize) {
        let assignment = self.now.assignment();
        let service = |p: usize| self.now.instance().processes()[p].service;
        if assignment[p] == assignment[q] {
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

    /// Moves a process to the machine of another, which moves on to a third.
    fn try_chain(&mut self, p: usize, _: usize, q: usize, third: usize) {
        let (from, to) = (self.now.assignment()[p] as usize, self.now.assignment()[q] as usize);
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
