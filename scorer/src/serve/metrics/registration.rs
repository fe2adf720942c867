//! Names and help texts of all metrics.

use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Unit;

use super::families::Metrics;
use super::labels::BuildLabels;

/// Registers all metrics, in the order in which they are read.
pub fn register(metrics: &mut Metrics) {
    let build: Family<BuildLabels, Gauge> = Family::default();
    build.get_or_create(&BuildLabels { version: env!("CARGO_PKG_VERSION") }).set(1);
    let r = &mut metrics.registry;
    r.register("build_info", "Version of the program", build);
    r.register("requests", "Requests by route and status", metrics.requests.clone());
    r.register_with_unit(
        "request_duration",
        "Time from the headers of a request to its answer",
        Unit::Seconds,
        metrics.request_times.clone(),
    );
    r.register("requests_in_flight", "Requests being answered", metrics.in_flight.clone());
    r.register("requests_refused", "Refused requests by error code", metrics.refused.clone());
    r.register("connections", "Open connections", metrics.connections.clone());
    r.register("panics", "Handlers and workers that panicked", metrics.panics.clone());
    r.register("decisions", "Decisions by what they came to", metrics.decisions.clone());
    r.register("decision_stops", "Decisions by why the plan ends", metrics.stops.clone());
    r.register(
        "thoughts",
        "Returned plans that were compared with others, by whose plan it is",
        metrics.origins.clone(),
    );
    r.register("moves", "Planned moves by what they are good for", metrics.moves.clone());
    r.register(
        "returning_moves",
        "Returned moves that bring a workload back to a node that it left a short while ago",
        metrics.returning_moves.clone(),
    );
    r.register(
        "overtaken_plans",
        "Plans that another plan overtook: made again, or refused in the end",
        metrics.overtaken.clone(),
    );
    r.register(
        "feedback_moves",
        "Moves of which the outcome was told, by what became of them",
        metrics.feedback_moves.clone(),
    );
    r.register(
        "state_lost",
        "Times that what is remembered may not have been kept for the next start",
        metrics.state_lost.clone(),
    );
    r.register(
        "input_violations",
        "Rules that are broken in the snapshots decided about, by kind",
        metrics.violations.clone(),
    );
    r.register(
        "warnings",
        "Warnings told with decisions, by what they are about; beyond 20 in one they are not told",
        metrics.warnings.clone(),
    );
    r.register(
        "duty_moves",
        "Planned moves that leave nodes in trouble or mend broken rules",
        metrics.duties.clone(),
    );
    r.register(
        "fallbacks",
        "Plans of the fallback instead of the policy, by reason",
        metrics.fallbacks.clone(),
    );
    r.register("feedback", "Plans of which the outcome was told", metrics.feedback.clone());
    r.register(
        "feedback_predicted_gain",
        "Predicted gain of those moves of a plan that were carried out",
        metrics.feedback_predicted.clone(),
    );
    r.register(
        "feedback_realised_gain",
        "What the same moves gained, given the demand that came",
        metrics.feedback_realised.clone(),
    );
    r.register(
        "gain_missed_share",
        "Share of the predicted gains that the policy's last evaluated plans missed",
        metrics.missed_share.clone(),
    );
    r.register(
        "worthless_share",
        "Share of the policy's last evaluated plans that gained no more than they cost",
        metrics.worthless_share.clone(),
    );
    r.register(
        "return_share",
        "Share of the moves of the policy's last evaluated plans that brought workloads back",
        metrics.return_share.clone(),
    );
    r.register(
        "policy_demoted",
        "1 while the fallback plans because of what the policy's plans came to",
        metrics.demoted.clone(),
    );
    r.register_with_unit(
        "decision_duration",
        "Time of a decision by stage, without waiting for a worker",
        Unit::Seconds,
        metrics.stage_times.clone(),
    );
    r.register(
        "predicted_gain",
        "Decrease of the weighted objective by each returned plan, costs not taken off",
        metrics.gains.clone(),
    );
    r.register(
        "shadow_moves_difference",
        "Moves of the policy's plan minus those of the baseline's",
        metrics.shadow_moves.clone(),
    );
    r.register(
        "shadow_objective_difference",
        "Objective after the policy's plan minus after the baseline's",
        metrics.shadow_objective.clone(),
    );
    for (name, help, counter) in [
        ("decision_log_records", "Records written to the decision log", &metrics.log.written),
        ("decision_log_bytes", "Bytes written to the decision log", &metrics.log.bytes),
        ("decision_log_lost", "Records that were not written", &metrics.log.lost),
        (
            "decision_log_sync_failures",
            "Times that written records may not have reached the disk",
            &metrics.log.sync_failures,
        ),
    ] {
        r.register(name, help, counter.clone());
    }
    r.register(
        "decision_log_full",
        "1 while records that must be kept leave no room for others",
        metrics.log.full.clone(),
    );
    r.register(
        "decision_log_bound_bytes",
        "Most bytes of the decision log's files together",
        metrics.log.bound_bytes.clone(),
    );
    r.register_with_unit(
        "input_age",
        "Time since the last snapshot came, or since the start",
        Unit::Seconds,
        metrics.input_age.clone(),
    );
    r.register("halted", "1 while migrations are halted", metrics.halted.clone());
    r.register("reloads", "Attempts to load another artifact", metrics.reloads.clone());
    r.register(
        "reload_refusals",
        "Artifacts that did not take over, by reason",
        metrics.reload_refusals.clone(),
    );
    r.register("model_info", "The artifact that decides", metrics.model.clone());
    r.register_with_unit(
        "model_read_timestamp",
        "When the artifact was read, since 1970",
        Unit::Seconds,
        metrics.model_read.clone(),
    );
}
