//! Statistics over episodes that all policies played with the same seeds.
//!
//! After Agarwal et al., *Deep Reinforcement Learning at the Edge of the Statistical Precipice*,
//! NeurIPS 2021: an inter-quartile mean next to the mean, percentile bootstrap intervals in place
//! of point estimates, and a probability of improvement.
//!
//! The strata of their stratified bootstrap are the tasks, which here are scenarios: a resample
//! never trades an episode of one scenario for one of another. An evaluation is of one scenario,
//! hence one stratum, and a resample draws as many episodes from it, with replacement, as there
//! are. Figures of pairs (`ahead`, the probability of improvement) resample pairs, which keeps
//! what the seeds share.

use godwit_envs::rng::stream;
use rand::RngExt;
use serde::Serialize;

/// Resamples behind an interval.
pub const RESAMPLES: usize = 2_000;

/// An estimate with its 95 % bootstrap interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Estimate {
    /// From the episodes as they are.
    pub value: f64,
    /// 2.5th percentile of the resampled values.
    pub low: f64,
    /// 97.5th percentile of the resampled values.
    pub high: f64,
}

impl Estimate {
    /// Distance from the value to the farther end of its interval.
    pub fn reach(&self) -> f64 {
        (self.value - self.low).max(self.high - self.value)
    }
}

/// Standard error of the mean; 0 of fewer than two values.
pub fn standard_error(values: &[f64]) -> f64 {
    if values.len() < 2 {
        return 0.0;
    }
    let (mean, n) = (mean(values), values.len() as f64);
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    (squares / (n - 1.0) / n).sqrt()
}

/// The smallest of `sorted` that at least this share of them does not exceed; 0 of nothing.
pub fn quantile(sorted: &[f64], share: f64) -> f64 {
    let rank = (share * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.saturating_sub(1)).copied().unwrap_or(0.0)
}

/// Arithmetic mean; 0 of nothing.
pub fn mean(values: &[f64]) -> f64 {
    if values.is_empty() { 0.0 } else { values.iter().sum::<f64>() / values.len() as f64 }
}

/// Mean of the middle half: a quarter of the values, rounded down, is cut at each end.
pub fn interquartile_mean(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let cut = sorted.len() / 4;
    mean(&sorted[cut..sorted.len() - cut])
}

/// `statistic` of `values` with its interval; the same for the same seed.
pub fn bootstrap(values: &[f64], statistic: fn(&[f64]) -> f64, seed: u64) -> Estimate {
    let value = statistic(values);
    if values.len() < 2 {
        return Estimate { value, low: value, high: value };
    }
    let mut rng = stream(seed, "bootstrap");
    let mut resample = vec![0.0; values.len()];
    let mut found: Vec<f64> = (0..RESAMPLES)
        .map(|_| {
            resample.fill_with(|| values[rng.random_range(0..values.len())]);
            statistic(&resample)
        })
        .collect();
    found.sort_by(f64::total_cmp);
    Estimate { value, low: percentile(&found, 0.025), high: percentile(&found, 0.975) }
}

/// Linear interpolation between the neighbours in a sorted list.
fn percentile(sorted: &[f64], share: f64) -> f64 {
    let at = share * (sorted.len() - 1) as f64;
    let (below, above) = (sorted[at.floor() as usize], sorted[at.ceil() as usize]);
    below + (above - below) * at.fract()
}

/// `a - b`, episode by episode.
pub fn paired_difference(a: &[f64], b: &[f64]) -> Vec<f64> {
    a.iter().zip(b).map(|(a, b)| a - b).collect()
}

/// 1 for each of the paired episodes in which `a` is above `b`, 0.5 where they are equal, 0
/// otherwise: their mean is the probability of improvement.
pub fn improvements(a: &[f64], b: &[f64]) -> Vec<f64> {
    let win = |(a, b): (&f64, &f64)| match a.total_cmp(b) {
        std::cmp::Ordering::Greater => 1.0,
        _ if a == b => 0.5,
        _ => 0.0,
    };
    a.iter().zip(b).map(win).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantile_is_one_of_the_values() {
        let values = [1.0, 2.0, 3.0, 4.0];
        assert_eq!(
            [0.0, 0.5, 0.51, 0.99].map(|share| quantile(&values, share)),
            [1.0, 2.0, 3.0, 4.0]
        );
        assert_eq!(quantile(&[], 0.5), 0.0);
    }

    #[test]
    fn the_standard_error_is_that_of_a_sample() {
        // Variance ((-1)^2 + 0 + 1) / 2 = 1, over three values.
        assert!((standard_error(&[1.0, 2.0, 3.0]) - (1.0_f64 / 3.0).sqrt()).abs() < 1e-12);
        assert_eq!(standard_error(&[4.0]), 0.0);
    }

    #[test]
    fn the_interquartile_mean_cuts_a_quarter_at_each_end() {
        // Eight values: two are cut at each end, (3 + 4 + 5 + 6) / 4 stays, outliers do not count.
        assert_eq!(interquartile_mean(&[6.0, -100.0, 3.0, 5.0, 2.0, 4.0, 7.0, 900.0]), 4.5);
        // Five values: one at each end.
        assert_eq!(interquartile_mean(&[1.0, 2.0, 3.0, 4.0, 50.0]), 3.0);
        // Too few to cut any.
        assert_eq!(interquartile_mean(&[1.0, 2.0, 6.0]), 3.0);
    }

    #[test]
    fn the_interval_of_a_mean_is_about_two_standard_errors_wide_on_each_side() {
        // 0 and 1 in turn, 400 of them: standard error 0.5 / 20 = 0.025, 1.96 of it is 0.049.
        let values: Vec<f64> = (0..400).map(|i| f64::from(i % 2)).collect();
        let Estimate { value, low, high } = bootstrap(&values, mean, 1);
        assert_eq!(value, 0.5);
        assert!((low - 0.451).abs() < 0.006 && (high - 0.549).abs() < 0.006, "{low} {high}");
        assert_eq!(bootstrap(&values, mean, 1), bootstrap(&values, mean, 1));
    }

    #[test]
    fn one_value_and_equal_values_have_no_spread() {
        let of = |value| Estimate { value, low: value, high: value };
        assert_eq!(bootstrap(&[3.0], mean, 0), of(3.0));
        assert_eq!(bootstrap(&[2.0; 10], interquartile_mean, 0), of(2.0));
    }

    #[test]
    fn pairs_cancel_what_their_seeds_share() {
        // The episodes differ by hundreds, the policies by exactly 1 in each.
        let b: Vec<f64> = (0..50).map(|i| f64::from(i) * 100.0).collect();
        let a: Vec<f64> = b.iter().map(|b| b + 1.0).collect();
        let difference = bootstrap(&paired_difference(&a, &b), mean, 0);
        assert_eq!(difference, Estimate { value: 1.0, low: 1.0, high: 1.0 });
        assert_eq!(mean(&improvements(&a, &b)), 1.0);
    }

    #[test]
    fn a_tie_is_half_an_improvement() {
        let wins = improvements(&[1.0, 2.0, 3.0, 4.0], &[1.0, 1.0, 4.0, 3.0]);
        assert_eq!((wins[0], mean(&wins)), (0.5, 0.625));
    }

    #[test]
    fn percentiles_interpolate() {
        assert_eq!(percentile(&[0.0, 10.0, 20.0], 0.25), 5.0);
        assert_eq!(percentile(&[0.0, 10.0, 20.0], 1.0), 20.0);
    }
}
