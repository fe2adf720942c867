//! When workloads come and go: drawn before the episode starts, so that it cannot depend on what
//! a policy does.
//!
//! A workload group with arrivals is a pool of slots. Each arrival takes a free slot of the pool
//! and gives it back when its lifetime is over, whether or not it found a node: demand for service
//! does not wait for the policy. An arrival that finds no free slot is turned away.

use crate::rng::Rng;
use rand::RngExt;
use rand_distr::{Distribution, LogNormal, Poisson};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How the workloads of a group come and go.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Arrivals {
    /// Poisson arrivals with log-normal lifetimes.
    Poisson {
        /// Mean arrivals per tick.
        #[schemars(range(min = 0.0, max = 1000.0))]
        per_tick: f32,
        /// Median lifetime in ticks.
        #[schemars(range(min = 1.0, max = 1e6))]
        lifetime_ticks: f32,
        /// Standard deviation of the logarithm of the lifetime.
        #[serde(default)]
        #[schemars(range(min = 0.0, max = 5.0))]
        sigma: f32,
        /// Workloads of the group that are there at the start. What is left of their lifetimes is
        /// drawn as in a pool in equilibrium, where the long-lived are met more often.
        #[serde(default)]
        start: u32,
    },
    /// Stated arrivals: one for each workload of the group or, where the scenario has
    /// `start.windows`, as many as there were, of which an episode plays those of its window.
    Trace {
        /// Tick of each arrival, 0 for those that are there at the start; ascending where there are
        /// windows.
        arrives: Vec<u32>,
        /// Tick of each departure, above that of the arrival.
        departs: Vec<u32>,
    },
    /// As the scenario's `events` of kind `arrive` say; none of the group's workloads is there at the
    /// start.
    Events,
}

/// A workload's coming or going at the start of a tick.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Passage {
    /// Tick at whose start it happens, 1 or more.
    pub tick: u32,
    /// Whether it comes; departures are carried out first.
    pub arrives: bool,
    /// Workload index.
    pub workload: u32,
}

/// Who is there at the start, and all passages of an episode in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PassageTable {
    /// `[K]`; empty where no workload comes or goes.
    pub present: Vec<bool>,
    /// By tick, departures first, then by workload.
    pub passages: Vec<Passage>,
}

impl PassageTable {
    /// A table in which these many workloads stay for ever.
    pub fn constant(workloads: usize) -> Self {
        Self { present: vec![true; workloads], passages: Vec::new() }
    }

    /// Draws the passages of the workloads `first .. first + count`. Where there is an `origin`,
    /// the episode starts at that tick of the group's trace.
    pub fn draw(
        &mut self,
        arrivals: &Arrivals,
        first: usize,
        count: usize,
        ticks: u32,
        origin: Option<u32>,
        rng: &mut Rng,
    ) {
        self.present[first..first + count].fill(false);
        match arrivals {
            Arrivals::Events => {}
            Arrivals::Trace { arrives, departs } => {
                let stays = arrives.iter().copied().zip(departs.iter().copied());
                let Some(origin) = origin else {
                    for (at, (arrives, departs)) in stays.enumerate() {
                        self.stay(first + at, arrives, departs, ticks);
                    }
                    return;
                };
                let mut free = vec![0_u32; count];
                let last = origin.saturating_add(ticks);
                let before = stays.take_while(|&(arrives, _)| arrives <= last);
                for (arrives, departs) in before.filter(|&(_, departs)| departs > origin) {
                    let (arrives, departs) = (arrives.saturating_sub(origin), departs - origin);
                    let Some(at) = free.iter().position(|&free| free <= arrives) else { continue };
                    free[at] = departs.saturating_add(1);
                    self.stay(first + at, arrives, departs, ticks);
                }
            }
            Arrivals::Poisson { per_tick, lifetime_ticks, sigma, start } => {
                // Parameters are validated; a distribution that cannot be made draws nothing.
                let Ok(lifetime) = LogNormal::new(lifetime_ticks.ln(), *sigma) else { return };
                let number = Poisson::new(f64::from(*per_tick)).ok();
                // Tick from which each slot is free again.
                let mut free = vec![0_u32; count];
                for tick in 0..=ticks {
                    let arrivals = match (tick, &number) {
                        (0, _) => *start,
                        (_, Some(number)) => number.sample(rng) as u32,
                        _ => 0,
                    };
                    for _ in 0..arrivals {
                        let drawn = match tick {
                            // The lifetime of who is met at a random time is biased by its length
                            // (again log-normal), and a uniform part of it is left.
                            0 => lifetime.sample(rng) * (sigma * sigma).exp() * rng.random::<f32>(),
                            _ => lifetime.sample(rng),
                        };
                        let stays = drawn.ceil().clamp(1.0, 1e9) as u32;
                        let Some(at) = free.iter().position(|&free| free <= tick) else { continue };
                        free[at] = tick + stays + 1;
                        self.stay(first + at, tick, tick + stays, ticks);
                    }
                }
            }
        }
    }

    /// Brings the passages in order; call it after the last draw.
    pub fn finish(&mut self) {
        self.passages.sort_unstable();
    }

    fn stay(&mut self, workload: usize, arrives: u32, departs: u32, ticks: u32) {
        let id = workload as u32;
        if arrives == 0 {
            self.present[workload] = true;
        } else if arrives <= ticks {
            self.passages.push(Passage { tick: arrives, arrives: true, workload: id });
        }
        if departs <= ticks && arrives <= ticks {
            self.passages.push(Passage { tick: departs, arrives: false, workload: id });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::stream;

    #[test]
    fn a_trace_is_followed_to_the_tick() {
        let mut table = PassageTable::constant(3);
        let trace = Arrivals::Trace { arrives: vec![0, 2], departs: vec![2, 9] };
        table.draw(&trace, 1, 2, 5, None, &mut stream(1, "churn"));
        table.finish();
        assert_eq!(table.present, [true, true, false]);
        let expected = [
            Passage { tick: 2, arrives: false, workload: 1 },
            Passage { tick: 2, arrives: true, workload: 2 },
        ];
        assert_eq!(table.passages, expected);
    }

    #[test]
    fn a_window_of_a_trace_is_played_in_slots_that_are_used_again() {
        // Gone before tick 10; there at tick 10; comes in a free slot; takes the first's slot one
        // tick after it left; finds none free; comes at the last tick; comes after the episode.
        let trace = Arrivals::Trace {
            arrives: vec![0, 4, 11, 14, 14, 20, 21],
            departs: vec![10, 13, 18, 99, 15, 30, 22],
        };
        let mut table = PassageTable::constant(3);
        table.draw(&trace, 1, 2, 10, Some(10), &mut stream(1, "churn"));
        table.finish();
        assert_eq!(table.present, [true, true, false]);
        let passage = |tick, arrives, workload| Passage { tick, arrives, workload };
        let expected = [
            passage(1, true, 2),
            passage(3, false, 1),
            passage(4, true, 1),
            passage(8, false, 2),
            passage(10, true, 2),
        ];
        assert_eq!(table.passages, expected);
    }

    #[test]
    fn the_population_of_a_poisson_pool_is_rate_times_lifetime() {
        let rules =
            Arrivals::Poisson { per_tick: 0.5, lifetime_ticks: 20.0, sigma: 0.0, start: 10 };
        let mut table = PassageTable::constant(60);
        table.draw(&rules, 0, 60, 20_000, None, &mut stream(2, "churn"));
        table.finish();
        let (mut here, mut sum, mut tick) = (10_i64, 0_i64, 0);
        for passage in &table.passages {
            sum += here * i64::from(passage.tick - tick);
            tick = passage.tick;
            here += if passage.arrives { 1 } else { -1 };
            assert!((0..=60).contains(&here));
        }
        // Little's law: 0.5 arrivals a tick that stay 20 ticks each.
        let mean = sum as f64 / f64::from(tick);
        assert!((mean - 10.0).abs() < 0.3, "{mean}");
    }
}
