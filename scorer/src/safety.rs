//! The operator's limits, and what they remember from one decision to the next.

use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use godwit_envs::input::{InputError, read_text};
use godwit_envs::snapshot::Snapshot;
use godwit_models::plan::{Plan, PlannedMove};
use godwit_models::shell::{Broken, Memory, Refusal, Shell, ShellRules, broken};
use serde::{Deserialize, Serialize};

/// Limits on every plan, whoever made it.
#[derive(Debug, Default)]
pub struct Safety {
    rules: ShellRules,
    /// The text that the rules were read from.
    text: String,
    memory: Mutex<Memory>,
}

/// What a decision depends on besides snapshot, artifact and limits.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Moment {
    /// When it was made, in microseconds since 1970: a whole number, which every reader of JSON
    /// gives back as it was.
    pub now_us: u64,
    /// What was remembered about the workloads of its snapshot.
    pub memory: Memory,
}

impl Safety {
    /// The limits in a TOML file; none without a file.
    ///
    /// # Errors
    /// When the file cannot be read, or the first thing in it that is wrong.
    pub fn load(path: Option<&Path>) -> Result<Self, InputError> {
        let Some(path) = path else { return Ok(Self::default()) };
        Self::recalled(read_text(path)?, &path.display().to_string(), Memory::default())
    }

    /// The limits in a TOML text, which errors call `label`, with what was remembered once.
    ///
    /// # Errors
    /// The first thing in it that is wrong.
    pub fn recalled(text: String, label: &str, memory: Memory) -> Result<Self, InputError> {
        let rules = ShellRules::from_toml(&text, label)?;
        Ok(Self { rules, text, memory: Mutex::new(memory) })
    }

    /// The limits.
    pub fn rules(&self) -> &ShellRules {
        &self.rules
    }

    /// The text that the limits were read from; empty if there are none.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Ticks in which workloads do not return; 0 where nobody asks for that.
    pub fn hold_down_ticks(&self) -> u32 {
        self.rules.hold_down_ticks
    }

    /// Now, for this snapshot.
    pub fn moment(&self, snapshot: &Snapshot) -> Moment {
        // A clock before 1970 makes every snapshot too old, where ages are limited at all.
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let now_us = u64::try_from(now.as_micros()).unwrap_or(u64::MAX);
        Moment { now_us, memory: self.memory().about(snapshot) }
    }

    /// The limits around plans for this snapshot at that moment.
    ///
    /// # Errors
    /// When nothing is to be decided about it.
    pub fn around<'a>(
        &'a self,
        snapshot: &'a Snapshot,
        moment: &Moment,
    ) -> Result<Shell<'a>, Refusal> {
        Shell::new(&self.rules, &moment.memory, snapshot, moment.now_us as f64 * 1e-6)
    }

    /// Seconds after the snapshot before which migrations may start; `None` without an end.
    pub fn expires_s(&self, snapshot: &Snapshot) -> Option<f32> {
        self.rules.expires_s(snapshot.taken_at_s)
    }

    /// Every limit that finished moves do not keep, given what is remembered by now, and that. Plans
    /// that were carried out since the moves were planned count, too.
    pub fn broken(&self, snapshot: &Snapshot, moves: &[PlannedMove]) -> (Vec<Broken>, Memory) {
        let memory = self.memory().about(snapshot);
        (broken(&self.rules, &memory, snapshot, moves), memory)
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
