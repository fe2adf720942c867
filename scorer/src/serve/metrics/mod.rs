//! What the service counts and measures, as Prometheus reads it.
//!
//! `families` holds all metrics, `labels` what tells their values apart, `registration` their names
//! and help texts, and `recording` says when each is counted. `process_figures` are those that every
//! program has.

pub mod families;
mod labels;
pub mod process_figures;
mod recording;
mod registration;

use prometheus_client::encoding::prometheus_text;
use prometheus_client::metrics::counter::Counter;

use crate::serve::settings::roles::Mode;

pub use families::Metrics;

/// Content type of [`Metrics::text`].
pub const CONTENT_TYPE: &str = prometheus_text::CONTENT_TYPE;

/// All metrics at their start, each with the mode.
pub fn start(mode: Mode, fallback: &str, state_lost: Counter) -> Metrics {
    let mut metrics = Metrics::unregistered(mode, fallback, state_lost);
    registration::register(&mut metrics);
    metrics
}
