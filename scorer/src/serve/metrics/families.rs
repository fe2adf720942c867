//! All metrics, and how they begin.

use std::sync::atomic::AtomicU64;
use std::time::Instant;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

use godwit_decide::violations::KINDS;
use godwit_decide::warnings::WarningCode;

use super::labels::{
    CodeLabels, FallbackLabels, KindLabels, ModelLabels, OriginLabels, OutcomeLabels, ReasonLabels,
    ReloadLabels, RequestLabels, ResultLabels, RouteLabels, StageLabels, StatusLabels, code,
};
use crate::decision_log::Counters;
use crate::serve::metrics::process_figures::Process;
use crate::serve::model::takeover::ReloadError;
use crate::serve::settings::roles::{FallbackReason, Mode};
use godwit_decide::outcomes::evaluation::MoveStatus;

/// What a decision comes to: migrations, none because of the policy, none because someone halted
/// them, none because the operator's limits refuse the snapshot, or no plan that may leave.
const OUTCOMES: [&str; 5] = ["move", "stay", "halted", "refused", "failed"];

/// Buckets of gains, which may be losses.
const GAINS: [f64; 11] = [-10.0, -1.0, -0.1, -0.01, -0.001, 0.0, 0.001, 0.01, 0.1, 1.0, 10.0];

/// A family of histograms of times between 10 us and 10 s.
type Times<L> = Family<L, Histogram, fn() -> Histogram>;

/// All metrics of the service.
#[derive(Debug)]
pub struct Metrics {
    pub(super) registry: Registry,
    /// Those that every program has, whose names begin with no other.
    pub(super) process: Registry,
    pub(super) started: Instant,
    pub(super) requests: Family<RequestLabels, Counter>,
    pub(super) request_times: Times<RouteLabels>,
    pub(super) refused: Family<ReasonLabels, Counter>,
    pub(super) decisions: Family<OutcomeLabels, Counter>,
    pub(super) stops: Family<CodeLabels, Counter>,
    pub(super) origins: Family<OriginLabels, Counter>,
    pub(super) moves: Family<CodeLabels, Counter>,
    pub(super) returning_moves: Counter,
    pub(super) overtaken: Family<ResultLabels, Counter>,
    pub(super) feedback_moves: Family<StatusLabels, Counter>,
    pub(super) violations: Family<KindLabels, Counter>,
    pub(super) warnings: Family<CodeLabels, Counter>,
    pub(super) duties: Family<KindLabels, Counter>,
    pub(super) fallbacks: Family<FallbackLabels, Counter>,
    pub(super) feedback: Counter,
    pub(super) feedback_predicted: Histogram,
    pub(super) feedback_realised: Histogram,
    pub(super) missed_share: Gauge<f64, AtomicU64>,
    pub(super) worthless_share: Gauge<f64, AtomicU64>,
    pub(super) return_share: Gauge<f64, AtomicU64>,
    pub(super) demoted: Gauge,
    pub(super) stage_times: Times<StageLabels>,
    pub(super) gains: Histogram,
    pub(super) shadow_moves: Histogram,
    pub(super) shadow_objective: Histogram,
    pub(super) reloads: Family<ReloadLabels, Counter>,
    pub(super) reload_refusals: Family<ReasonLabels, Counter>,
    pub(super) model: Family<ModelLabels, Gauge>,
    pub(super) model_read: Gauge<f64, AtomicU64>,
    pub(super) input_age: Gauge<f64, AtomicU64>,
    /// Microseconds from `started` to the last snapshot.
    pub(super) last_input_us: AtomicU64,
    /// What has become of the decision log's records.
    pub log: Counters,
    /// Entries of the journal that may not have been kept.
    pub state_lost: Counter,
    /// Handlers and workers that panicked.
    pub panics: Counter,
    /// Requests that are being answered.
    pub in_flight: Gauge,
    /// Open connections.
    pub connections: Gauge,
    /// 1 while migrations are halted.
    pub halted: Gauge,
}

impl Metrics {
    /// All metrics at their start, each with the mode, in no registry yet; counters that an operator
    /// may wait for begin at 0.
    pub(super) fn unregistered(mode: Mode, fallback: &str, state_lost: Counter) -> Self {
        let label = |name: &'static str, value: &'static str| (name.into(), value.into());
        let labels = [label("mode", mode.name())].into_iter();
        let times: fn() -> Histogram = || Histogram::new(exponential_buckets(1e-5, 2.0, 21));
        let mut process = Registry::default();
        process.register_collector(Box::new(Process));
        let metrics = Self {
            process,
            registry: Registry::with_prefix_and_labels("godwit_scorer", labels),
            started: Instant::now(),
            requests: Family::default(),
            request_times: Family::new_with_constructor(times),
            refused: Family::default(),
            decisions: Family::default(),
            stops: Family::default(),
            origins: Family::default(),
            moves: Family::default(),
            returning_moves: Counter::default(),
            overtaken: Family::default(),
            feedback_moves: Family::default(),
            violations: Family::default(),
            warnings: Family::default(),
            duties: Family::default(),
            fallbacks: Family::default(),
            feedback: Counter::default(),
            feedback_predicted: Histogram::new(GAINS),
            feedback_realised: Histogram::new(GAINS),
            missed_share: Gauge::default(),
            worthless_share: Gauge::default(),
            return_share: Gauge::default(),
            demoted: Gauge::default(),
            stage_times: Family::new_with_constructor(times),
            gains: Histogram::new(exponential_buckets(1e-4, 4.0, 12)),
            shadow_moves: Histogram::new([-10.0, -5.0, -2.0, -1.0, 0.0, 1.0, 2.0, 5.0, 10.0]),
            shadow_objective: Histogram::new([
                -1.0, -0.1, -0.01, -0.001, 0.0, 0.001, 0.01, 0.1, 1.0,
            ]),
            reloads: Family::default(),
            reload_refusals: Family::default(),
            model: Family::default(),
            model_read: Gauge::default(),
            input_age: Gauge::default(),
            last_input_us: AtomicU64::new(0),
            log: Counters::default(),
            state_lost,
            panics: Counter::default(),
            in_flight: Gauge::default(),
            connections: Gauge::default(),
            halted: Gauge::default(),
        };
        for result in ["again", "refused"] {
            metrics.overtaken.get_or_create(&ResultLabels { result }).inc_by(0);
        }
        for status in MoveStatus::ALL.map(MoveStatus::name) {
            metrics.feedback_moves.get_or_create(&StatusLabels { status }).inc_by(0);
        }
        for outcome in OUTCOMES {
            metrics.decisions.get_or_create(&OutcomeLabels { outcome }).inc_by(0);
        }
        for kind in KINDS {
            metrics.violations.get_or_create(&KindLabels { kind }).inc_by(0);
        }
        for warning in WarningCode::ALL {
            metrics.warnings.get_or_create(&CodeLabels { reason: code(&warning) }).inc_by(0);
        }
        for reason in FallbackReason::ALL.map(FallbackReason::name) {
            let labels = FallbackLabels { reason, to: fallback.to_owned() };
            metrics.fallbacks.get_or_create(&labels).inc_by(0);
        }
        for (trigger, result) in
            [("file", "ok"), ("file", "error"), ("request", "ok"), ("request", "error")]
        {
            metrics.reloads.get_or_create(&ReloadLabels { trigger, result }).inc_by(0);
        }
        for reason in ReloadError::REASONS {
            metrics.reload_refusals.get_or_create(&ReasonLabels { reason }).inc_by(0);
        }
        metrics
    }
}
