//! What one plan is asked for with, and how it is put down.

use bytes::Bytes;
use godwit_decide::engine::{Effort, EngineError, PlanLimits};
use godwit_decide::loaded::Loaded;
use godwit_decide::safety::Moment;
use godwit_models::shell::Memory;

use crate::decision_log::{Event, Made};
use crate::serve::app::App;
use crate::serve::bodies::api_error::ApiError;

/// What one plan is asked for with.
pub struct Question<'a> {
    /// Names the request.
    pub id: &'a str,
    /// The snapshot as it was sent.
    pub body: &'a Bytes,
    /// How far the plan may go.
    pub limits: PlanLimits,
    /// When, and what is remembered.
    pub moment: Moment,
}

/// Puts a decision down in the decision log, if there is one.
pub fn put_down(
    app: &App,
    question: &Question<'_>,
    loaded: &Loaded,
    planner: &str,
    planned: Result<(&Bytes, Effort), &EngineError>,
) -> Result<(), ApiError> {
    let Some(log) = &app.log else { return Ok(()) };
    let (answer, effort, memory_at_check) = match planned {
        Ok((json, effort)) => (Ok(json.clone()), effort, None),
        Err(error) => {
            let (effort, memory) = match error {
                EngineError::Limits { effort, memory, .. } => (*effort, Some(memory)),
                EngineError::Violations { effort, .. } => (*effort, None),
                EngineError::TooSlow(_) | EngineError::Input(_) => (Effort::default(), None),
            };
            (Err(error.to_string()), effort, memory.map(|memory| Memory::clone(memory)))
        }
    };
    let made = Made {
        id: question.id.to_owned(),
        mode: app.settings.mode.name(),
        planner: planner.to_owned(),
        artifact: loaded.name.sha256.clone(),
        max_moves: question.limits.max_moves,
        best_of: question.limits.best_of,
        list_stays: question.limits.list_stays,
        think_ms: question.limits.think.as_millis() as u32,
        effort,
        moment: question.moment.clone(),
        memory_at_check,
        snapshot: question.body.clone(),
        answer,
    };
    log.decision(Event::Decision(Box::new(made))).map_err(|_| ApiError::log_failed())
}
