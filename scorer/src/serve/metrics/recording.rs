//! What is counted when, and reading it.

use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, UNIX_EPOCH};

use godwit_decide::findings::{Duties, Findings};
use godwit_decide::loaded::Loaded;
use godwit_models::plan::{Plan, PlannedMove};
use godwit_models::policy::Thought;
use prometheus_client::encoding::prometheus_text;

use super::families::Metrics;
use super::labels::{
    CodeLabels, FallbackLabels, KindLabels, ModelLabels, OriginLabels, OutcomeLabels, ReasonLabels,
    ReloadLabels, RequestLabels, ResultLabels, RouteLabels, StageLabels, StatusLabels, code,
};
use godwit_decide::outcomes::drift::Standing;
use godwit_decide::outcomes::evaluation::MoveStatus;

impl Metrics {
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

    /// The plan that is returned was compared with others.
    pub fn thought(&self, thought: &Thought) {
        self.origins.get_or_create(&OriginLabels { origin: thought.origin.clone() }).inc();
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
