//! Demand over an episode: one factor per workload and tick on its base demand, drawn before the
//! episode starts, so that it cannot depend on what a policy does.

use crate::resources::MAX_RESOURCES;
use crate::rng::Rng;
use rand::{Rng as _, RngExt};
use std::sync::Arc;

/// A workload's process with its drawn parameters.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Wave<'a> {
    /// Ticks per period; 0 for constant demand.
    pub period_ticks: u32,
    /// Relative swing around the base.
    pub amplitude: f32,
    /// Share of a period by which the wave leads.
    pub phase: f32,
    /// Standard deviation of the relative noise.
    pub noise: f32,
    /// AR(1) coefficient of the noise.
    pub persistence: f32,
    /// Which resources follow the process, `[m]`.
    pub follows: [bool; MAX_RESOURCES],
    /// Bursts instead of a wave.
    pub bursts: Option<Bursts>,
    /// A recorded series instead of a wave.
    pub recorded: Option<Recorded<'a>>,
}

/// A recorded series, and where in it the episode starts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Recorded<'a> {
    /// Factor at each tick of the trace; not empty. Before and after it, the first and the last
    /// are held.
    pub factors: &'a [f32],
    /// Tick of the trace that is the episode's tick 0.
    pub origin: u32,
}

/// Bursts with their drawn parameters.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bursts {
    /// Factor during a burst.
    pub peak: f32,
    /// Chance per tick that one begins.
    pub start_per_tick: f32,
    /// Chance per tick that one ends.
    pub stop_per_tick: f32,
}

/// A burst at a stated time.
#[derive(Debug, Clone, PartialEq)]
pub struct ScriptedBurst {
    /// First tick.
    pub from: u32,
    /// The tick after its last.
    pub to: u32,
    /// Tick from which forecasts have it in them; `None` for never.
    pub known_from: Option<u32>,
    /// Factor on what demand would be.
    pub factor: f32,
    /// Who bursts, each once.
    pub workloads: Vec<u32>,
}

impl ScriptedBurst {
    fn spans(&self, tick: u32) -> bool {
        (self.from..self.to).contains(&tick)
    }

    fn apply(&self, factors: &mut [f32]) {
        self.workloads.iter().for_each(|&k| factors[k as usize] *= self.factor);
    }
}

/// Demand factors of one episode, and of the history before it that forecasts may use.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct DemandTable {
    workloads: usize,
    history_ticks: u32,
    /// `[history + ticks + 1][K]`.
    factors: Vec<f32>,
    follows: Vec<[bool; MAX_RESOURCES]>,
    bursts: Arc<[ScriptedBurst]>,
}

impl DemandTable {
    /// Draws the factors of ticks `-history_ticks ..= ticks`.
    pub fn draw(waves: &[Wave], history_ticks: u32, ticks: u32, rng: &mut Rng) -> Self {
        let rows = (history_ticks + ticks + 1) as usize;
        let workloads = waves.len();
        let mut factors = vec![1.0; rows * workloads];
        for (k, wave) in waves.iter().enumerate() {
            if let Some(bursts) = &wave.bursts {
                // The chain starts in its stationary distribution.
                let share = bursts.start_per_tick / (bursts.start_per_tick + bursts.stop_per_tick);
                let mut bursting = rng.random::<f32>() < share;
                for row in 0..rows {
                    factors[row * workloads + k] = if bursting { bursts.peak } else { 1.0 };
                    let chance =
                        if bursting { bursts.stop_per_tick } else { bursts.start_per_tick };
                    bursting ^= rng.random::<f32>() < chance;
                }
                continue;
            }
            if let Some(Recorded { factors: series, origin }) = wave.recorded {
                for row in 0..rows {
                    let at = (origin as usize + row).saturating_sub(history_ticks as usize);
                    factors[row * workloads + k] = series[at.min(series.len() - 1)];
                }
                continue;
            }
            if wave.period_ticks == 0 {
                continue;
            }
            // The wave is advanced by rotation, in f64: no sine per tick and no visible drift.
            let step = std::f64::consts::TAU / f64::from(wave.period_ticks);
            let start =
                std::f64::consts::TAU * f64::from(wave.phase) - step * f64::from(history_ticks);
            let (step_sin, step_cos) = step.sin_cos();
            let (mut sin, mut cos) = start.sin_cos();
            let fresh = wave.noise * (1.0 - wave.persistence * wave.persistence).sqrt();
            let mut noise = wave.noise * normal(rng);
            for row in 0..rows {
                let factor = 1.0 + wave.amplitude * sin as f32 + noise;
                factors[row * workloads + k] = factor.max(0.0);
                noise = wave.persistence * noise + fresh * normal(rng);
                (sin, cos) = (sin * step_cos + cos * step_sin, cos * step_cos - sin * step_sin);
            }
        }
        Self {
            workloads,
            history_ticks,
            factors,
            follows: waves.iter().map(|w| w.follows).collect(),
            bursts: Arc::default(),
        }
    }

    /// The same with bursts at stated times.
    #[must_use]
    pub fn with_bursts(self, bursts: Arc<[ScriptedBurst]>) -> Self {
        Self { bursts, ..self }
    }

    /// Factors `[K]` at `tick`, which may be before the episode, as they were drawn: without the
    /// bursts at stated times.
    pub fn drawn(&self, tick: i64) -> &[f32] {
        let row = (tick + i64::from(self.history_ticks)).max(0) as usize;
        &self.factors[row * self.workloads..(row + 1) * self.workloads]
    }

    /// Writes the factors at a tick of the episode, `[K]`.
    pub fn write_factors(&self, tick: u32, out: &mut [f32]) {
        out.copy_from_slice(self.drawn(i64::from(tick)));
        self.bursts.iter().filter(|burst| burst.spans(tick)).for_each(|burst| burst.apply(out));
    }

    /// Writes the factors of the forecast made at `tick` for `tick + horizon`, `[K]`: those drawn for
    /// the latest tick that has been seen and is a whole number of periods before it
    /// (seasonal-naive), times the bursts then that are known at `tick`.
    pub fn write_forecast(&self, tick: u32, horizon: u32, period: u32, out: &mut [f32]) {
        let seasons = horizon.div_ceil(period);
        let seen = i64::from(tick) + i64::from(horizon) - i64::from(seasons) * i64::from(period);
        out.copy_from_slice(self.drawn(seen));
        let known = |burst: &&ScriptedBurst| burst.known_from.is_some_and(|from| from <= tick);
        let then = tick.saturating_add(horizon);
        let bursts = self.bursts.iter().filter(known).filter(|burst| burst.spans(then));
        bursts.for_each(|burst| burst.apply(out));
    }

    /// Writes the demand `[K][m]` under these factors.
    pub fn write(&self, factors: &[f32], base: &[f32], resources: usize, out: &mut [f32]) {
        let rows = base.chunks_exact(resources).zip(out.chunks_exact_mut(resources));
        for (k, (base, out)) in rows.enumerate() {
            self.apply(k, factors[k], base, out);
        }
    }

    /// Factor on the base demand of a workload at a tick of the episode.
    pub fn factor(&self, tick: u32, workload: usize) -> f32 {
        let drawn = self.drawn(i64::from(tick))[workload];
        let here = |burst: &&ScriptedBurst| burst.workloads.contains(&(workload as u32));
        let bursts = self.bursts.iter().filter(|burst| burst.spans(tick)).filter(here);
        bursts.fold(drawn, |factor, burst| factor * burst.factor)
    }

    /// Writes a workload's demand under this factor, `[m]`.
    pub fn apply(&self, workload: usize, factor: f32, base: &[f32], out: &mut [f32]) {
        for ((out, &base), &follows) in out.iter_mut().zip(base).zip(&self.follows[workload]) {
            *out = if follows { base * factor } else { base };
        }
    }
}

/// About normal: the sum of four uniforms (Irwin-Hall), centred and scaled to variance 1. Tails
/// end at 3.46, which suits a bounded demand, and one random word makes one draw.
fn normal(rng: &mut Rng) -> f32 {
    let word = rng.next_u64();
    let sum: u32 = (0..4).map(|part| (word >> (16 * part) & 0xffff) as u32).sum();
    (sum as f32 / 65535.0 - 2.0) * 3.0_f32.sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::stream;

    fn wave() -> Wave<'static> {
        Wave {
            period_ticks: 4,
            amplitude: 0.5,
            phase: 0.0,
            noise: 0.0,
            persistence: 0.0,
            follows: std::array::from_fn(|j| j == 0),
            bursts: None,
            recorded: None,
        }
    }

    #[test]
    fn a_diurnal_wave_has_its_stated_shape_and_only_on_its_resources() {
        let table = DemandTable::draw(&[wave()], 4, 4, &mut stream(1, "demand"));
        let mut out = [0.0; 2];
        for (tick, expected) in [(0, 10.0), (1, 15.0), (2, 10.0), (3, 5.0), (-3, 15.0)] {
            table.write(table.drawn(tick), &[10.0, 7.0], 2, &mut out);
            assert!((out[0] - expected).abs() < 1e-4, "tick {tick}: {out:?}");
            assert_eq!(out[1], 7.0);
        }
    }

    #[test]
    fn bursts_have_the_stated_share_and_length() {
        let bursts = Bursts { peak: 3.0, start_per_tick: 0.02, stop_per_tick: 0.18 };
        let bursty = Wave { bursts: Some(bursts), ..wave() };
        let table = DemandTable::draw(&[bursty], 0, 100_000, &mut stream(4, "demand"));
        let high = table.factors.iter().filter(|&&f| f == 3.0).count() as f32;
        let starts = table.factors.windows(2).filter(|w| w[0] == 1.0 && w[1] == 3.0).count() as f32;
        // In a burst for 0.02 / (0.02 + 0.18) of the time, 1 / 0.18 ticks each.
        assert!((high / 100_001.0 - 0.1).abs() < 0.01, "{high}");
        assert!((high / starts - 1.0 / 0.18).abs() < 0.3, "{}", high / starts);
    }

    #[test]
    fn a_recorded_series_is_followed_from_its_origin_and_held_before_and_after() {
        let recorded = Some(Recorded { factors: &[0.5, 2.0, 3.0, 1.0], origin: 1 });
        let table =
            DemandTable::draw(&[Wave { recorded, ..wave() }], 3, 4, &mut stream(1, "demand"));
        let mut out = [0.0; 2];
        let ticks = [(-3, 0.5), (-1, 0.5), (0, 2.0), (1, 3.0), (2, 1.0), (4, 1.0)];
        for (tick, factor) in ticks {
            table.write(table.drawn(tick), &[10.0, 7.0], 2, &mut out);
            assert_eq!(out, [10.0 * factor, 7.0], "tick {tick}");
        }
    }

    #[test]
    fn a_forecast_reads_only_what_has_been_seen() {
        // Pure noise: a forecast that peeked at the future would equal it.
        let noisy = Wave { amplitude: 0.0, noise: 0.1, ..wave() };
        let table = DemandTable::draw(&[noisy], 8, 8, &mut stream(2, "demand"));
        for horizon in 1..=4 {
            let mut forecast = [0.0];
            table.write_forecast(3, horizon, 4, &mut forecast);
            assert_eq!(forecast, table.drawn(3 + i64::from(horizon) - 4));
            assert_ne!(forecast, table.drawn(3 + i64::from(horizon)));
        }
    }

    #[test]
    fn bursts_at_stated_times_multiply_demand_and_forecasts_have_what_is_known_of_them() {
        let burst = |from, to, known_from, factor, workloads: &[u32]| ScriptedBurst {
            from,
            to,
            known_from,
            factor,
            workloads: workloads.to_vec(),
        };
        let bursts = [burst(5, 7, Some(3), 2.0, &[0]), burst(6, 9, None, 3.0, &[0, 2])];
        let waves = [Wave { amplitude: 0.0, ..wave() }; 3];
        let table =
            DemandTable::draw(&waves, 4, 12, &mut stream(1, "demand")).with_bursts(bursts.into());
        let mut out = [0.0; 3];
        for (tick, expected) in [
            (4, [1.0, 1.0, 1.0]),
            (5, [2.0, 1.0, 1.0]),
            (6, [6.0, 1.0, 3.0]),
            (8, [3.0, 1.0, 3.0]),
            (9, [1.0, 1.0, 1.0]),
        ] {
            table.write_factors(tick, &mut out);
            assert_eq!(out, expected, "tick {tick}");
            assert_eq!([0, 1, 2].map(|k| table.factor(tick, k)), expected);
        }
        // Made at a tick, for so many ticks later: the first burst from tick 3 on, the second never,
        // and neither comes again a period of four ticks later.
        for (tick, horizon, expected) in
            [(2, 3, 1.0), (3, 2, 2.0), (3, 4, 1.0), (5, 1, 2.0), (6, 4, 1.0), (8, 1, 1.0)]
        {
            table.write_forecast(tick, horizon, 4, &mut out);
            assert_eq!(out, [expected, 1.0, 1.0], "tick {tick} for {horizon} later");
        }
    }

    #[test]
    fn noise_has_the_stated_spread() {
        let noisy = Wave { amplitude: 0.0, noise: 0.1, persistence: 0.5, ..wave() };
        let table = DemandTable::draw(&[noisy], 0, 40_000, &mut stream(3, "demand"));
        let mean = table.factors.iter().sum::<f32>() / table.factors.len() as f32;
        let variance = table.factors.iter().map(|f| (f - mean).powi(2)).sum::<f32>()
            / table.factors.len() as f32;
        assert!((mean - 1.0).abs() < 0.01, "{mean}");
        assert!((variance.sqrt() - 0.1).abs() < 0.005, "{}", variance.sqrt());
    }
}
