//! Who plans: the policy; in shadow mode the baseline next to it; and the fallback where the policy
//! cannot be relied on.

use godwit_decide::case::Case;
use godwit_decide::engine::{self, EngineError, PlanLimits, Planned, plan_with};
use godwit_models::plan::StopReason;
use godwit_models::policy::Policy;
use schemars::JsonSchema;
use serde::Serialize;

use super::question::{Question, put_down};
use crate::cli::serve_args::Choice;
use crate::decision_log::{HALT, POLICY};
use crate::serve::app::App;
use crate::serve::settings::roles::{FallbackReason, Shadow};
use crate::serve::workers::pool::Worker;

/// A plan, and who made it.
pub struct Outcome {
    /// The plan.
    pub planned: Planned,
    /// `policy`, the name of a baseline, or `halt` where nobody was asked.
    pub planner: String,
    /// Why it was not the policy, where it should have been.
    pub fallback: Option<FallbackReason>,
    /// In shadow mode, policy and baseline next to each other.
    pub comparison: Option<Comparison>,
}

/// Policy and baseline next to each other, on the same cluster with the same limits.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Comparison {
    /// Whose plan is returned.
    pub returned: Choice,
    /// The artifact's policy.
    pub policy: Outline,
    /// The baseline.
    pub baseline: Outline,
    /// Policy minus baseline; absent if one of them has no plan.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub difference: Option<Difference>,
}

/// A plan in short.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Outline {
    /// Who planned.
    pub name: String,
    /// Number of migrations; absent if there is no plan.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub moves: Option<usize>,
    /// Weighted level terms once the plan is carried out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub objective_after: Option<f32>,
    /// Why the plan ends where it ends.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stop_reason: Option<StopReason>,
    /// Why there is no plan.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
}

/// What the policy's plan has more than the baseline's.
#[derive(Debug, Clone, Copy, Serialize, JsonSchema)]
pub struct Difference {
    /// Migrations.
    pub moves: i64,
    /// Weighted level terms once the plan is carried out: less is better.
    pub objective_after: f32,
}

/// The plan of a halted service.
pub fn halted(case: &Case, list_stays: bool) -> Outcome {
    let planned = engine::halted(case, list_stays);
    Outcome { planned, planner: HALT.to_owned(), fallback: None, comparison: None }
}

/// The plan that is returned, and in shadow mode how it compares.
///
/// # Errors
/// When whoever has the last word has no plan that may leave.
pub fn plan(
    app: &App,
    worker: &mut Worker,
    case: &Case,
    question: &Question<'_>,
) -> Result<Outcome, EngineError> {
    let shadow = app.settings.shadow.as_ref();
    let demoted = app.drift.is_demoted();
    if demoted && shadow.is_none() {
        return fall_back(app, worker, case, question, FallbackReason::Demoted);
    }
    let safety = &app.settings.safety;
    let policy = worker.engine.plan(case, safety, &question.moment, question.limits);
    let Some(Shadow { baseline, returned }) = shadow else {
        return by_policy(app, worker, case, question, policy);
    };
    let planned = plan_by(app, worker.baseline.as_mut(), case, question);
    let comparison = Comparison {
        returned: *returned,
        policy: outline(POLICY, &policy),
        baseline: outline(baseline, &planned),
        difference: match (&policy, &planned) {
            (Ok(Planned { plan: p, .. }), Ok(Planned { plan: b, .. })) => Some(Difference {
                moves: p.moves.len() as i64 - b.moves.len() as i64,
                objective_after: p.objective_after - b.objective_after,
            }),
            _ => None,
        },
    };
    let outcome = match returned {
        Choice::Policy if demoted => {
            fall_back(app, worker, case, question, FallbackReason::Demoted)
        }
        Choice::Policy => by_policy(app, worker, case, question, policy),
        Choice::Baseline => planned.map(|planned| Outcome {
            planned,
            planner: baseline.clone(),
            fallback: None,
            comparison: None,
        }),
    };
    Ok(Outcome { comparison: Some(comparison), ..outcome? })
}

/// The policy's plan, or that of the fallback if it has none.
fn by_policy(
    app: &App,
    worker: &mut Worker,
    case: &Case,
    question: &Question<'_>,
    policy: Result<Planned, EngineError>,
) -> Result<Outcome, EngineError> {
    let error = match policy {
        Ok(planned)
            if app.settings.fallback.outside_training && planned.findings.is_outside_training() =>
        {
            return fall_back(app, worker, case, question, FallbackReason::OutsideTraining);
        }
        Ok(planned) => {
            let planner = POLICY.to_owned();
            return Ok(Outcome { planned, planner, fallback: None, comparison: None });
        }
        Err(error) => error,
    };
    let reason = match &error {
        EngineError::TooSlow(_) => FallbackReason::TooSlow,
        EngineError::Violations { .. } | EngineError::Limits { .. } => {
            // What it wanted to do must not be lost: it should never have come to this.
            let loaded = worker.engine.loaded();
            let _ = put_down(app, question, loaded, POLICY, Err(&error));
            FallbackReason::PlanRefused
        }
        EngineError::Input(_) => return Err(error),
    };
    tracing::error!(id = question.id, %error, "the fallback plans instead of the policy");
    fall_back(app, worker, case, question, reason)
}

fn fall_back(
    app: &App,
    worker: &mut Worker,
    case: &Case,
    question: &Question<'_>,
    reason: FallbackReason,
) -> Result<Outcome, EngineError> {
    let planner = app.settings.fallback.name.clone();
    app.metrics.fell_back(reason.name(), &planner);
    let planned = plan_by(app, worker.fallback.as_mut(), case, question)?;
    Ok(Outcome { planned, planner, fallback: Some(reason), comparison: None })
}

/// A baseline's plan, which may take as long as the request.
fn plan_by(
    app: &App,
    baseline: &mut dyn Policy,
    case: &Case,
    question: &Question<'_>,
) -> Result<Planned, EngineError> {
    let limits = PlanLimits { per_decision: None, best_of: 1, ..question.limits };
    plan_with(baseline, case, &app.settings.safety, &question.moment, limits)
}

fn outline(name: &str, planned: &Result<Planned, EngineError>) -> Outline {
    let plan = planned.as_ref().ok().map(|planned| &planned.plan);
    Outline {
        name: name.to_owned(),
        moves: plan.map(|plan| plan.moves.len()),
        objective_after: plan.map(|plan| plan.objective_after),
        stop_reason: plan.map(|plan| plan.stop_reason),
        refused: planned.as_ref().err().map(EngineError::to_string),
    }
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use godwit_envs::input::InputError;
    use godwit_envs::snapshot::Snapshot;
    use godwit_models::shell::{Broken, Memory};

    use super::*;
    use crate::serve::bodies::request_body::text;
    use crate::serve::test_app::{app, arrival};
    use godwit_decide::engine::Effort;

    /// Load 1.5 on node a and none on b.
    const UNEVEN: &str = r#"{"format": "godwit-snapshot/1", "resources": ["cpu", "memory", "gpu"],
        "nodes": [{"name": "a", "supply": [4, 4, 4]}, {"name": "b", "supply": [4, 4, 4]}],
        "workloads": [{"name": "x", "demand": [1, 1, 1], "node": "a"},
                      {"name": "y", "demand": [1, 1, 1], "node": "a"}]}"#;

    /// What comes of a policy that has no plan because of this.
    async fn instead(arguments: &str, error: EngineError) -> Result<Outcome, EngineError> {
        let app = app(arguments);
        let work = |app: &App, worker: &mut Worker, body: &bytes::Bytes| {
            let snapshot = Snapshot::from_json(text(body)?, "body").unwrap();
            let mut case = worker.engine.case(snapshot, "body").unwrap();
            let moment = app.settings.safety.moment(&mut case, 0);
            let limits = PlanLimits { max_moves: 9, ..PlanLimits::NONE };
            let question = Question { id: "test", body, limits, moment };
            Ok(by_policy(app, worker, &case, &question, Err(error)))
        };
        let outcome = app.work(&arrival(&app), Body::from(UNEVEN), work).await.unwrap();
        if let Ok(Outcome { planner, fallback: Some(reason), .. }) = &outcome {
            let counted = format!("reason=\"{}\",to=\"{planner}\"", reason.name());
            let metrics = app.metrics.text().unwrap();
            let line = metrics.lines().find(|line| line.contains(&counted)).unwrap();
            assert!(line.ends_with(" 1"), "{line}");
        }
        outcome
    }

    fn limits_broken() -> EngineError {
        let broken = vec![Broken::StaleNode { at: 0, node: "b".to_owned() }];
        EngineError::Limits {
            broken,
            effort: Effort::default(),
            memory: Box::new(Memory::default()),
        }
    }

    #[tokio::test]
    async fn the_fallback_plans_instead_of_a_policy_whose_plan_is_refused() {
        let outcome = instead("--fallback best-single-move", limits_broken()).await.unwrap();
        assert_eq!(outcome.planner, "best-single-move");
        assert_eq!(outcome.fallback, Some(FallbackReason::PlanRefused));
        assert_eq!(outcome.planned.plan.moves.len(), 1);

        let broken = EngineError::Violations { broken: Vec::new(), effort: Effort::default() };
        let outcome = instead("", broken).await.unwrap();
        assert_eq!((outcome.planner.as_str(), outcome.planned.plan.moves.len()), ("stay", 0));
    }

    #[tokio::test]
    async fn nobody_plans_on_input_that_cannot_be_decided_about() {
        let input = InputError::field("body", "workloads", "at most 3", "4");
        let outcome = instead("--fallback best-single-move", EngineError::Input(input)).await;
        assert!(matches!(outcome, Err(EngineError::Input(_))));
    }
}
