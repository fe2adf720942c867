//! What a live cluster recorded, in place of what an episode draws: its gaps filled, and the forecasts
//! that policies would see of it.

use crate::episode::demand::{DemandTable, Recorded, Wave};
use crate::rng::stream;
use crate::scenario::ForecastRules;

/// Gaps keep the value before them; the first gap has the first value. Nothing of nothing.
pub fn filled(values: &[Option<f64>]) -> Vec<f64> {
    let mut last = values.iter().flatten().next().copied().unwrap_or_default();
    values
        .iter()
        .map(|value| {
            last = value.unwrap_or(last);
            last
        })
        .collect()
}

/// The forecasts `[horizons][K]` that policies see in an episode whose demand was as recorded: `history`
/// has an amount for each of the same ticks for each of K workloads, `[K][ticks]`; the last tick is the
/// present one. Horizons need a period of at least one tick. Of a season longer than the history, the
/// first tick stands for what was before.
pub fn forecast(history: &[Vec<f32>], rules: &ForecastRules) -> Vec<Vec<f32>> {
    let ticks = history.iter().map(Vec::len).max().unwrap_or(0);
    let before = ticks.saturating_sub(1) as u32;
    let wave =
        |factors| Wave { recorded: Some(Recorded { factors, origin: before }), ..Wave::default() };
    let known = history.iter().map(|series| if series.is_empty() { &[0.0][..] } else { series });
    let waves: Vec<Wave> = known.map(wave).collect();
    // What is recorded is not drawn.
    let table = DemandTable::draw(&waves, before, 0, &mut stream(0, "recorded"));
    let row = |&horizon: &u32| {
        let mut row = vec![0.0; history.len()];
        table.write_forecast(0, horizon, rules.period_ticks.max(1), &mut row);
        row
    };
    rules.horizons.iter().map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(horizons: &[u32], period_ticks: u32) -> ForecastRules {
        ForecastRules { horizons: horizons.to_vec(), period_ticks }
    }

    #[test]
    fn a_forecast_is_the_value_a_whole_number_of_periods_before() {
        // Ticks -5 to 0. For 1 later: tick -3; for 4 later: tick 0; for 5 later, two periods back: -3.
        let history =
            [vec![10.0, 11.0, 12.0, 13.0, 14.0, 15.0], vec![0.0, 1.0, 2.0, 3.0, 4.0, 5.0]];
        let forecast = forecast(&history, &rules(&[1, 4, 5], 4));
        assert_eq!(forecast, [[12.0, 2.0], [15.0, 5.0], [12.0, 2.0]]);
    }

    #[test]
    fn what_was_before_the_history_is_as_at_its_beginning() {
        assert_eq!(forecast(&[vec![7.0, 8.0]], &rules(&[1, 4], 4)), [[7.0], [8.0]]);
        assert_eq!(forecast(&[vec![]], &rules(&[1], 4)), [[0.0]]);
        assert!(forecast(&[], &rules(&[1], 4))[0].is_empty());
    }

    #[test]
    fn gaps_keep_the_value_before_and_the_first_gap_the_first_value() {
        assert_eq!(filled(&[None, Some(2.0), None, Some(4.0), None]), [2.0, 2.0, 2.0, 4.0, 4.0]);
        assert_eq!(filled(&[None]), [0.0]);
    }
}
