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

/// Notes of moves since the best assignment, per process, until each process is noted once.
const MOST_STRAYED: usize = 4;

/// A search under way.
pub(super) struct Walk<'a> {
    pub(super) now: Solution<&'a Instance>,
    pub(super) rng: Rng,
    /// Moves tried.
    pub(super) tried: u64,
    /// Typical change of cost by a move that can be made at the start.
    pub(super) scale: f64,
    /// Mean change of cost by a move, whether it can be made or not: where machines are full, what
    /// can be made at the start is small, and what can be made later is not.
    pub(super) mean_change: f64,
    pub(super) temperature: f64,
    /// Price of a broken spread or dependency.
    pub(super) price: f64,
    /// Whether spreads and dependencies may be broken.
    soft: bool,
    /// Least cost of a feasible assignment since [`Self::begin`].
    least_met: i64,
    best: Vec<u32>,
    best_cost: i64,
    /// Processes that have moved since the best assignment was written down.
    strayed: Vec<u32>,
}

impl<'a> Walk<'a> {
    /// A walk that begins at a feasible assignment.
    pub(super) fn new(start: Solution<&'a Instance>, seed: u64) -> Self {
        let mut walk = Self {
            best: start.assignment().to_vec(),
            best_cost: start.cost(),
            strayed: Vec::new(),
            now: start,
            rng: stream(seed, "reassignment"),
            tried: 0,
            scale: 1.0,
            mean_change: 1.0,
            temperature: 0.0,
            price: 0.0,
            soft: true,
            least_met: i64::MAX,
        };
        (walk.scale, walk.mean_change) = walk.changes();
        walk.price = walk.scale;
        walk
    }

    /// The best assignment, its cost, and the moves tried.
    pub(super) fn finish(self) -> (Vec<u32>, i64, u64) {
        (self.best, self.best_cost, self.tried)
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

    /// The median of the changes of cost by random shifts that fit and change it, and the mean of
    /// those by all.
    fn changes(&mut self) -> (f64, f64) {
        let mut fitting = Vec::new();
        let mut sum = 0.0;
        for _ in 0..SAMPLES {
            let (p, to) = (self.below(self.processes()), self.below(self.machines()));
            let change = self.now.shift(p, to).cost.abs();
            sum += change as f64;
            if change > 0 && self.now.fits(p, to) {
                fitting.push(change);
            }
        }
        fitting.sort_unstable();
        let median = fitting.get(fitting.len() / 2).map_or(1.0, |&change| change as f64);
        (median, (sum / SAMPLES as f64).max(1.0))
    }

    /// Begins anew at the best assignment.
    pub(super) fn begin(&mut self, soft: bool) {
        self.back_to_best();
        self.soft = soft;
        self.price = self.scale;
        self.least_met = i64::MAX;
    }

    /// The least cost of a feasible assignment since [`Self::begin`].
    pub(super) fn least_met(&self) -> i64 {
        self.least_met
    }

    /// Goes to the best assignment.
    pub(super) fn back_to_best(&mut self) {
        while let Some(process) = self.strayed.pop() {
            self.now.apply_shift(process as usize, self.best[process as usize] as usize);
        }
    }

    /// The initial machine of a process.
    pub(super) fn home(&self, process: usize) -> usize {
        self.now.instance().initial()[process] as usize
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
        let forbidden =
            if self.soft { broken.capacity > 0 || broken.conflict > 0 } else { broken.worsen() };
        if forbidden {
            return false;
        }
        let rise = cost as f64 + self.price * (broken.spread + broken.dependency) as f64;
        if rise <= 0.0 {
            return true;
        }
        rise < HOPELESS * self.temperature
            && self.rng.random::<f64>() < (-rise / self.temperature).exp()
    }

    /// Moves a process, whatever that breaks and costs.
    pub(super) fn put(&mut self, process: usize, machine: u32) {
        if self.now.assignment()[process] != machine {
            self.now.apply_shift(process, machine as usize);
            self.moved(process);
        }
    }

    /// Notes that a process has moved.
    fn moved(&mut self, process: usize) {
        self.strayed.push(process as u32);
        if self.strayed.len() > MOST_STRAYED * self.best.len() {
            self.strayed.sort_unstable();
            self.strayed.dedup();
        }
    }

    /// Writes down an assignment that is the best so far: only what has moved since the last time,
    /// for copying all processes at every new best would take most of the time where they are many.
    fn record(&mut self) {
        let cost = self.now.cost();
        if cost >= self.least_met || !self.now.violations().none() {
            return;
        }
        self.least_met = cost;
        if cost < self.best_cost {
            self.best_cost = cost;
            let now = self.now.assignment();
            for process in self.strayed.drain(..) {
                self.best[process as usize] = now[process as usize];
            }
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
            self.moved(p);
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
            self.moved(p);
            self.moved(q);
            self.record();
        }
    }

    /// Tries to move a process to the machine of another, which moves on to a third.
    pub(super) fn try_chain(&mut self, p: usize, q: usize, third: usize) {
        let (from, to) = (self.machine(p), self.machine(q));
        if from == to || third == from || third == to || !self.now.fits(q, third) {
            return;
        }
        // Before two moves are made and perhaps taken back.
        if !self.now.fits_in_place_of(p, q)
            || self.now.chain_cost(p, q, third) as f64 >= HOPELESS * self.temperature
        {
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
                self.moved(p);
                self.moved(q);
                self.record();
                return;
            }
        }
        self.now.apply_shift(q, to);
    }
}
