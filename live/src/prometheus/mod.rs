//! What Prometheus knows of workloads, in place of what a cluster says: their use now, and forecasts by
//! the estimator that policies were trained with.

mod ask;
mod replace;
mod settings;

use std::path::Path;

use godwit_envs::scenario::{ForecastRules, Rules};

use crate::cluster::{CallError, Seen, Source};
use ask::Prometheus;
pub use ask::{HistoryError, history};
pub use settings::{OpenError, Query, Settings};

/// A cluster whose workloads' use is what Prometheus says. Ticks, horizons and season of forecasts are
/// those of the rules that the policy was trained under. Files are looked for in `folder`. Nothing is asked
/// yet.
///
/// # Errors
/// When a setting makes no sense, or the rules forecast without a season.
pub fn measured(
    source: Box<dyn Source>,
    settings: &Settings,
    rules: &Rules,
    folder: &Path,
) -> Result<Box<dyn Source>, OpenError> {
    let forecast = rules.forecast.clone();
    if !forecast.horizons.is_empty() && forecast.period_ticks == 0 {
        let field = "rules.forecast.period_ticks".to_owned();
        return Err(OpenError::Setting { field, expected: "at least 1", got: "0".to_owned() });
    }
    let tick_s = f64::from(rules.episode.tick_s);
    let prometheus = Prometheus::new(settings, folder)?;
    Ok(Box::new(Measured { source, prometheus, settings: settings.clone(), forecast, tick_s }))
}

/// The decorator.
struct Measured {
    source: Box<dyn Source>,
    prometheus: Prometheus,
    settings: Settings,
    forecast: ForecastRules,
    tick_s: f64,
}

impl Source for Measured {
    fn look(&mut self) -> Result<Seen, CallError> {
        let seen = self.source.look()?;
        let now_s = self.prometheus.now()?;
        let ticks = replace::ticks(&self.forecast, self.tick_s);
        let found = self.prometheus.ask(&self.settings, now_s, self.tick_s, ticks)?;
        replace::replace(seen, &found, &self.settings, &self.forecast)
    }
}

#[cfg(test)]
mod tests;
