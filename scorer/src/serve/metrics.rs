//! What the service counts and measures, as Prometheus reads it.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant, UNIX_EPOCH};

use godwit_models::plan::{Plan, PlannedMove};
use prometheus_client::encoding::{EncodeLabelSet, prometheus_text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};
use serde::Serialize;

use super::drift::Standing;
use super::feedback::MoveStatus;
use super::planning::FallbackReason;
use super::process::Process;
use super::reload::ReloadError;
use super::settings::Mode;
use crate::decision_log::Counters;
use crate::engine::Loaded;
use crate::findings::{Duties, Findings};
use crate::violations::KINDS;
use crate::warnings::WarningCode;

/// Content type of [`Metrics::text`].
pub const CONTENT_TYPE: &str = prometheus_text::CONTENT_TYPE;

/// What a decision comes to: migrations, none because of the policy, none because someone halted
/// them, none because the operator's limits refuse the snapshot, or no plan that may leave.
const OUTCOMES: [&str; 5] = ["move", "stay", "halted", "refused", "failed"];

/// Buckets of gains, which may be losses.
const GAINS: [f64; 11] = [-10.0, -1.0, -0.1, -0.01, -0.001, 0.0, 0.001, 0.01, 0.1, 1.0, 10.0];

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    route: &'static str,
    status: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RouteLabels {
    route: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReasonLabels {
    reason: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabels {
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CodeLabels {
    reason: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct KindLabels {
    kind: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct FallbackLabels {
    reason: &'static str,
    to: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StageLabels {
    stage: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReloadLabels {
    trigger: &'static str,
    result: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ResultLabels {
    result: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StatusLabels {
    status: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ModelLabels {
    sha256: String,
    scenario: String,
    schema_hash: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct BuildLabels {
    version: &'static str,
}

/// A family of histograms of times between 10 us and 10 s.
type Times<L> = Family<L, Histogram, fn() -> Histogram>;

/// All metrics of the service.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    /// Those that every program has, whose names begin with no other.
    process: Registry,
    started: Instant,
    requests: Family<RequestLabels, Counter>,
    request_times: Times<RouteLabels>,
    refused: Family<ReasonLabels, Counter>,
    decisions: Family<OutcomeLabels, Counter>,
    stops: Family<CodeLabels, Counter>,
    moves: Family<CodeLabels, Counter>,
    returning_moves: Counter,
    overtaken: Family<ResultLabels, Counter>,
    feedback_moves: Family<StatusLabels, Counter>,
    violations: Family<KindLabels, Counter>,
    warnings: Family<CodeLabels, Counter>,
    duties: Family<KindLabels, Counter>,
    fallbacks: Family<FallbackLabels, Counter>,
    feedback: Counter,
    feedback_predicted: Histogram,
    feedback_realised: Histogram,
    missed_share: Gauge<f64, AtomicU64>,
    worthless_share: Gauge<f64, AtomicU64>,
    return_share: Gauge<f64, AtomicU64>,
    demoted: Gauge,
    stage_times: Times<StageLabels>,
    gains: Histogram,
    shadow_moves: Histogram,
    shadow_objective: Histogram,
    reloads: Family<ReloadLabels, Counter>,
    reload_refusals: Family<ReasonLabels, Counter>,
    model: Family<ModelLabels, Gauge>,
    model_read: Gauge<f64, AtomicU64>,
    input_age: Gauge<f64, AtomicU64>,
    /// Microseconds from `started` to the last snapshot.
    last_input_us: AtomicU64,
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
    /// All metrics at their start, each with the mode; counters that an operator may wait for begin
    /// at 0.
    pub fn new(mode: Mode, fallback: &str, state_lost: Counter) -> Self {
        let label = |name: &'static str, value: &'static str| (name.into(), value.into());
        let labels = [label("mode", mode.name())].into_iter();
        let times: fn() -> Histogram = || Histogram::new(exponential_buckets(1e-5, 2.0, 21));
        let mut process = Registry::default();
        process.register_collector(Box::new(Process));
        let mut metrics = Self {
            process,
            registry: Registry::with_prefix_and_labels("godwit_scorer", labels),
            started: Instant::now(),
            requests: Family::default(),
            request_times: Family::new_with_constructor(times),
            refused: Family::default(),
            decisions: Family::default(),
            stops: Family::default(),
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
        metrics.register();
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

    fn register(&mut self) {
        let build: Family<BuildLabels, Gauge> = Family::default();
        build.get_or_create(&BuildLabels { version: env!("CARGO_PKG_VERSION") }).set(1);
        let r = &mut self.registry;
        r.register("build_info", "Version of the program", build);
        r.register("requests", "Requests by route and status", self.requests.clone());
        r.register_with_unit(
            "request_duration",
            "Time from the headers of a request to its answer",
            Unit::Seconds,
            self.request_times.clone(),
        );
        r.register("requests_in_flight", "Requests being answered", self.in_flight.clone());
        r.register("requests_refused", "Refused requests by error code", self.refused.clone());
        r.register("connections", "Open connections", self.connections.clone());
        r.register("panics", "Handlers and workers that panicked", self.panics.clone());
        r.register("decisions", "Decisions by what they came to", self.decisions.clone());
        r.register("decision_stops", "Decisions by why the plan ends", self.stops.clone());
        r.register("moves", "Planned moves by what they are good for", self.moves.clone());
        r.register(
            "returning_moves",
            "Returned moves that bring a workload back to a node that it left a short while ago",
            self.returning_moves.clone(),
        );
        r.register(
            "overtaken_plans",
            "Plans that another plan overtook: made again, or refused in the end",
            self.overtaken.clone(),
        );
        r.register(
            "feedback_moves",
            "Moves of which the outcome was told, by what became of them",
            self.feedback_moves.clone(),
        );
        r.register(
            "state_lost",
            "Times that what is remembered may not have been kept for the next start",
            self.state_lost.clone(),
        );
        r.register(
            "input_violations",
            "Rules that are broken in the snapshots decided about, by kind",
            self.violations.clone(),
        );
        r.register(
            "warnings",
            "Warnings told with decisions, by what they are about; beyond 20 in one they are not told",
            self.warnings.clone(),
        );
        r.register(
            "duty_moves",
            "Planned moves that leave nodes in trouble or mend broken rules",
            self.duties.clone(),
        );
        r.register(
            "fallbacks",
            "Plans of the fallback instead of the policy, by reason",
            self.fallbacks.clone(),
        );
        r.register("feedback", "Plans of which the outcome was told", self.feedback.clone());
        r.register(
            "feedback_predicted_gain",
            "Predicted gain of those moves of a plan that were carried out",
            self.feedback_predicted.clone(),
        );
        r.register(
            "feedback_realised_gain",
            "What the same moves gained, given the demand that came",
            self.feedback_realised.clone(),
        );
        r.register(
            "gain_missed_share",
            "Share of the predicted gains that the policy's last evaluated plans missed",
            self.missed_share.clone(),
        );
        r.register(
            "worthless_share",
            "Share of the policy's last evaluated plans that gained no more than they cost",
            self.worthless_share.clone(),
        );
        r.register(
            "return_share",
            "Share of the moves of the policy's last evaluated plans that brought workloads back",
            self.return_share.clone(),
        );
        r.register(
            "policy_demoted",
            "1 while the fallback plans because of what the policy's plans came to",
            self.demoted.clone(),
        );
        r.register_with_unit(
            "decision_duration",
            "Time of a decision by stage, without waiting for a worker",
            Unit::Seconds,
            self.stage_times.clone(),
        );
        r.register(
            "predicted_gain",
            "Decrease of the weighted objective by each returned plan, costs not taken off",
            self.gains.clone(),
        );
        r.register(
            "shadow_moves_difference",
            "Moves of the policy's plan minus those of the baseline's",
            self.shadow_moves.clone(),
        );
        r.register(
            "shadow_objective_difference",
            "Objective after the policy's plan minus after the baseline's",
            self.shadow_objective.clone(),
        );
        for (name, help, counter) in [
            ("decision_log_records", "Records written to the decision log", &self.log.written),
            ("decision_log_bytes", "Bytes written to the decision log", &self.log.bytes),
            ("decision_log_lost", "Records that were not written", &self.log.lost),
            (
                "decision_log_sync_failures",
                "Times that written records may not have reached the disk",
                &self.log.sync_failures,
            ),
        ] {
            r.register(name, help, counter.clone());
        }
        r.register(
            "decision_log_full",
            "1 while records that must be kept leave no room for others",
            self.log.full.clone(),
        );
        r.register(
            "decision_log_bound_bytes",
            "Most bytes of the decision log's files together",
            self.log.bound_bytes.clone(),
        );
        r.register_with_unit(
            "input_age",
            "Time since the last snapshot came, or since the start",
            Unit::Seconds,
            self.input_age.clone(),
        );
        r.register("halted", "1 while migrations are halted", self.halted.clone());
        r.register("reloads", "Attempts to load another artifact", self.reloads.clone());
        r.register(
            "reload_refusals",
            "Artifacts that did not take over, by reason",
            self.reload_refusals.clone(),
        );
        r.register("model_info", "The artifact that decides", self.model.clone());
        r.register_with_unit(
            "model_read_timestamp",
            "When the artifact was read, since 1970",
            Unit::Seconds,
            self.model_read.clone(),
        );
    }

    /// The metrics in Prometheus' text format.
    ///
    /// # Errors
    /// When a metric cannot be written as text; none is known that could not.
    pub fn text(&self) -> Result<String, std::fmt::Error> {
        let last = Duration::from_micros(self.last_input_us.load(Relaxed));
        self.input_age.set(self.started.elapsed().saturating_sub(last).as_secs_f64());
        let mut text = String::new();
        prometheus_text::encode(&mut text, &self.registry)?;
        prometheus_text::encode(&mut text, &self.process)?;
        Ok(text)
    }

    /// A request was answered.
    pub fn answered(&self, route: &'static str, status: u16, time: Duration) {
        self.requests.get_or_create(&RequestLabels { route, status }).inc();
        self.request_times.get_or_create(&RouteLabels { route }).observe(time.as_secs_f64());
    }

    /// A request, or a connection, was refused with this code.
    pub fn refused(&self, reason: &'static str) {
        self.refused.get_or_create(&ReasonLabels { reason }).inc();
    }

    /// A snapshot came.
    pub fn input(&self) {
        let now = u64::try_from(self.started.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.last_input_us.store(now, Relaxed);
    }

    /// A plan is returned.
    pub fn decided(&self, plan: &Plan) {
        let reason = code(&plan.stop_reason);
        let outcome = match plan.moves.len() {
            0 if reason == "halted" => "halted",
            0 if reason == "refused" => "refused",
            0 => "stay",
            _ => "move",
        };
        self.decisions.get_or_create(&OutcomeLabels { outcome }).inc();
        self.stops.get_or_create(&CodeLabels { reason }).inc();
        for PlannedMove { reason, .. } in &plan.moves {
            self.moves.get_or_create(&CodeLabels { reason: code(reason) }).inc();
        }
        self.gains.observe(f64::from(plan.objective_before - plan.objective_after));
    }

    /// This was told of a snapshot that was decided about.
    pub fn found(&self, findings: &Findings) {
        for (&kind, &count) in &findings.violation_counts {
            self.violations.get_or_create(&KindLabels { kind }).inc_by(u64::from(count));
        }
        for warning in &findings.warnings {
            self.warnings.get_or_create(&CodeLabels { reason: code(&warning.code) }).inc();
        }
        let Duties { evacuates, repairs } = findings.duties;
        for (kind, count) in [("evacuates", evacuates), ("repairs", repairs)] {
            self.duties.get_or_create(&KindLabels { kind }).inc_by(u64::from(count));
        }
    }

    /// No plan could be returned although the snapshot was sound.
    pub fn decision_failed(&self) {
        self.decisions.get_or_create(&OutcomeLabels { outcome: "failed" }).inc();
    }

    /// The fallback plans instead of the policy.
    pub fn fell_back(&self, reason: &'static str, to: &str) {
        self.fallbacks.get_or_create(&FallbackLabels { reason, to: to.to_owned() }).inc();
    }

    /// So many moves of a returned plan bring workloads back.
    pub fn returning(&self, moves: u64) {
        self.returning_moves.inc_by(moves);
    }

    /// A plan was overtaken by another one, and is made `again`, or `refused`.
    pub fn overtaken(&self, result: &'static str) {
        self.overtaken.get_or_create(&ResultLabels { result }).inc();
    }

    /// It was told what became of so many moves.
    pub fn moves_told(&self, status: MoveStatus, moves: u64) {
        let labels = StatusLabels { status: status.name() };
        self.feedback_moves.get_or_create(&labels).inc_by(moves);
    }

    /// It was told what a plan came to.
    pub fn evaluated(&self, predicted: f64, realised: f64) {
        self.feedback.inc();
        self.feedback_predicted.observe(predicted);
        self.feedback_realised.observe(realised);
    }

    /// How the policy stands.
    pub fn standing(&self, standing: &Standing) {
        self.missed_share.set(standing.missed_share);
        self.worthless_share.set(standing.worthless_share);
        self.return_share.set(standing.return_share);
        self.demoted.set(i64::from(standing.demoted));
    }

    /// A stage of a decision took this long.
    pub fn stage(&self, stage: &'static str, micros: u64) {
        self.stage_times.get_or_create(&StageLabels { stage }).observe(micros as f64 * 1e-6);
    }

    /// Policy and baseline both planned.
    pub fn compared(&self, moves: i64, objective: f32) {
        self.shadow_moves.observe(moves as f64);
        self.shadow_objective.observe(f64::from(objective));
    }

    /// Another artifact was to be loaded, and was or was refused for this reason.
    pub fn reloaded(&self, trigger: &'static str, loaded: Result<&Loaded, &'static str>) {
        let result = if loaded.is_ok() { "ok" } else { "error" };
        self.reloads.get_or_create(&ReloadLabels { trigger, result }).inc();
        match loaded {
            Ok(loaded) => self.model(loaded),
            Err(reason) => {
                self.reload_refusals.get_or_create(&ReasonLabels { reason }).inc();
            }
        }
    }

    /// This artifact decides from now on.
    pub fn model(&self, loaded: &Loaded) {
        let labels = ModelLabels {
            sha256: loaded.name.sha256.clone(),
            scenario: loaded.name.scenario.clone(),
            schema_hash: loaded.artifact.manifest.schema_hash.clone(),
        };
        self.model.clear();
        self.model.get_or_create(&labels).set(1);
        let read = loaded.read_at.duration_since(UNIX_EPOCH).unwrap_or_default();
        self.model_read.set(read.as_secs_f64());
    }
}

/// A code as documents write it.
fn code(code: &impl Serialize) -> String {
    let value = serde_json::to_value(code).unwrap_or_default();
    value.as_str().unwrap_or_default().to_owned()
}
