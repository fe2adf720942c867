//! Queries over HTTP.

use std::path::Path;

use godwit_envs::importers::{RecordedUse, Series};

use super::settings::{OpenError, Query, Settings, client};
use crate::cluster::CallError;
use crate::http::{Client, NoAnswer};

/// Steps of a range query: the server takes 11,000 at most.
const STEPS: usize = 10_000;

/// A server.
pub(super) struct Prometheus(Client);

/// What the server says of one resource.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// The resource.
    pub(super) name: String,
    /// Values now.
    pub(super) now: Vec<Series>,
    /// When those values were sampled, as values.
    pub(super) sampled: Vec<Series>,
    /// Values at each tick before now, the first `ticks` ticks before.
    pub(super) before: Vec<Series>,
}

/// What the server says of all resources, and when.
#[derive(Debug, Default)]
pub(super) struct All {
    pub(super) now_s: f64,
    pub(super) tick_s: f64,
    /// Ticks before now.
    pub(super) ticks: usize,
    pub(super) resources: Vec<Found>,
}

impl Prometheus {
    pub(super) fn new(settings: &Settings, folder: &Path) -> Result<Self, OpenError> {
        client(settings, folder).map(Self)
    }

    /// The server's time, in seconds since 1970.
    pub(super) fn now(&self) -> Result<f64, CallError> {
        let answer = self.call("query", "time()", &[("query", "time()")])?;
        let time = answer.first().and_then(|series| series.points.first());
        let unclear = || CallError::Unknown("time(): expected a number, got none".to_owned());
        time.map(|point| point.1).ok_or_else(unclear)
    }

    /// Use now, and at each of so many ticks before.
    pub(super) fn ask(
        &self,
        settings: &Settings,
        now_s: f64,
        tick_s: f64,
        ticks: usize,
    ) -> Result<All, CallError> {
        let mut resources = Vec::with_capacity(settings.resources.len());
        for (name, query) in &settings.resources {
            let at = now_s.to_string();
            let instant = |query: &str| {
                self.call("query", &format!("resources.{name}"), &[("query", query), ("time", &at)])
            };
            resources.push(Found {
                name: name.clone(),
                now: instant(&query.query)?,
                sampled: instant(&format!("timestamp({})", query.query))?,
                before: self.range(
                    name,
                    &query.query,
                    now_s - ticks as f64 * tick_s,
                    tick_s,
                    ticks,
                )?,
            });
        }
        Ok(All { now_s, tick_s, ticks, resources })
    }

    /// Use at each of so many ticks up to now.
    pub(super) fn history(
        &self,
        settings: &Settings,
        now_s: f64,
        tick_s: f64,
        ticks: usize,
    ) -> Result<Vec<RecordedUse>, CallError> {
        let from = now_s - ticks.saturating_sub(1) as f64 * tick_s;
        let of = |(name, query): (&String, &Query)| {
            let series = self.range(name, &query.query, from, tick_s, ticks)?;
            Ok(RecordedUse {
                resource: name.clone(),
                text: Series::write(&series),
                label: format!("resources.{name}"),
                factor: query.factor,
            })
        };
        settings.resources.iter().map(of).collect()
    }

    /// Values at `from` and so many ticks after, less the last.
    fn range(
        &self,
        name: &str,
        query: &str,
        from: f64,
        tick_s: f64,
        ticks: usize,
    ) -> Result<Vec<Series>, CallError> {
        let mut all = Vec::new();
        for first in (0..ticks).step_by(STEPS) {
            let last = (first + STEPS).min(ticks) - 1;
            let [start, end] = [first, last].map(|tick| (from + tick as f64 * tick_s).to_string());
            let step = tick_s.to_string();
            let form = [("query", query), ("start", &start), ("end", &end), ("step", &step)];
            all.extend(self.call("query_range", &format!("resources.{name}"), &form)?);
        }
        Ok(all)
    }

    fn call(
        &self,
        path: &str,
        what: &str,
        form: &[(&str, &str)],
    ) -> Result<Vec<Series>, CallError> {
        let label = format!("{what} ({path})");
        let answer = self.0.post(&format!("/api/v1/{path}"), form).map_err(|error| {
            let (NoAnswer::NotSent(why) | NoAnswer::Unclear(why)) = error;
            // It only reads: asking again does no harm.
            CallError::Later { reason: format!("{label}: no answer: {why}"), after: None }
        })?;
        Series::read(&answer.body, &label).map_err(|error| match answer.status {
            400..500 => CallError::Refused(format!("{error} (status {})", answer.status)),
            status => {
                CallError::Later { reason: format!("{error} (status {status})"), after: None }
            }
        })
    }
}

/// The use of all resources over so many ticks up to now, for an import into a training scenario. Files
/// are looked for in `folder`.
///
/// # Errors
/// When the settings make no sense, or the server does not answer or refuses.
pub fn history(
    settings: &Settings,
    folder: &Path,
    tick_s: f64,
    ticks: usize,
) -> Result<Vec<RecordedUse>, HistoryError> {
    let server = Prometheus::new(settings, folder)?;
    let now_s = server.now()?;
    Ok(server.history(settings, now_s, tick_s, ticks)?)
}

/// Why there is no history.
#[derive(Debug, thiserror::Error)]
pub enum HistoryError {
    /// The settings make no sense.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The server does not say.
    #[error(transparent)]
    Call(#[from] CallError),
}
