//! The operator's limits, and what they remember from one decision to the next.

use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use godwit_envs::input::{InputError, read_text};
use godwit_envs::snapshot::Snapshot;
use godwit_models::plan::{Plan, PlannedMove};
use godwit_models::shell::{Broken, Memory, Refusal, Shell, ShellRules, broken};

/// Limits on every plan, whoever made it.
#[derive(Debug, Default)]
pub struct Safety {
    rules: ShellRules,
    memory: Mutex<Memory>,
}

impl Safety {
    /// The limits in a TOML file; none without a file.
    ///
    /// # Errors
    /// When the file cannot be read, or the first thing in it that is wrong.
    pub fn load(path: Option<&Path>) -> Result<Self, InputError> {
        let Some(path) = path else { return Ok(Self::default()) };
        let rules = ShellRules::from_toml(&read_text(path)?, &path.display().to_string())?;
        Ok(Self { rules, memory: Mutex::default() })
    }

    /// The limits around plans for this snapshot.
    ///
    /// # Errors
    /// When nothing is to be decided about it.
    pub fn around<'a>(&'a self, snapshot: &'a Snapshot) -> Result<Shell<'a>, Refusal> {
        // A clock before 1970 makes every snapshot too old, where ages are limited at all.
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Shell::new(&self.rules, &self.memory(), snapshot, now.as_secs_f64())
    }

    /// Every limit that finished moves do not keep.
    pub fn broken(&self, snapshot: &Snapshot, moves: &[PlannedMove]) -> Vec<Broken> {
        broken(&self.rules, &self.memory(), snapshot, moves)
    }

    /// Remembers a plan that is going to be carried out.
    pub fn carried_out(&self, tick: Option<u64>, plan: &Plan) {
        if let Some(tick) = tick {
            self.memory().record(&self.rules, tick, &plan.moves);
        }
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        // What was being recorded when a thread panicked is at worst there in part.
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
