//! The operator's limits, and what they remember from one decision to the next.

use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use godwit_envs::input::{InputError, read_text};
use godwit_envs::scenario::Rules;
use godwit_envs::snapshot::Snapshot;
use godwit_models::plan::{Plan, PlannedMove};
use godwit_models::shell::{
    Broken, Carried, Change, Memory, Refusal, Shell, ShellRules, broken, cooling, span,
};
use serde::{Deserialize, Serialize};

use super::case::Case;
use crate::state_journal::{Entry, Journal, Unsynced};

/// What counts as a short while for a workload that returns, in ticks, where the limits do not say.
const RETURN_TICKS: u32 = 24;

/// Limits on every plan, whoever made it.
#[derive(Debug, Default)]
pub struct Safety {
    rules: ShellRules,
    /// The text that the rules were read from.
    text: String,
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    memory: Memory,
    /// Where it is kept across restarts.
    journal: Option<Journal>,
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

/// Limits that a plan does not keep any more, and what is remembered by now.
#[derive(Debug)]
pub struct Overtaken {
    /// The limits.
    pub broken: Vec<Broken>,
    /// What is remembered about the snapshot's workloads.
    pub memory: Memory,
}

impl Safety {
    /// The limits in a TOML file; none without a file.
    ///
    /// # Errors
    /// When the file cannot be read, or the first thing in it that is wrong.
    pub fn load(path: Option<&Path>) -> Result<Self, InputError> {
        let Some(path) = path else { return Ok(Self::default()) };
        Self::recalled(read_text(path)?, &path.display().to_string())
    }

    /// The limits in a TOML text, which errors call `label`.
    ///
    /// # Errors
    /// The first thing in it that is wrong.
    pub fn recalled(text: String, label: &str) -> Result<Self, InputError> {
        let rules = ShellRules::from_toml(&text, label)?;
        Ok(Self { rules, text, kept: Mutex::default() })
    }

    /// Goes on from what a journal remembers, if there is one, and writes down in it what is
    /// remembered from now on.
    pub fn with_journal(self, mut journal: Option<Journal>) -> Self {
        let memory = journal.as_mut().map(Journal::recalled).unwrap_or_default();
        Self { kept: Mutex::new(Kept { memory, journal }), ..self }
    }

    /// The limits.
    pub fn rules(&self) -> &ShellRules {
        &self.rules
    }

    /// Ticks within which moves have to be worth their costs: the operator's word before the
    /// artifact's.
    pub fn payback_ticks(&self, rules: &Rules) -> u32 {
        self.rules.payback_ticks.unwrap_or(rules.limits.payback_ticks)
    }

    /// Ticks in which a workload that was moved is not moved again: the operator's word before the
    /// artifact's.
    fn cooldown_ticks(&self, rules: &Rules) -> u32 {
        self.rules.cooldown_ticks.unwrap_or(rules.limits.cooldown_ticks)
    }

    /// Lets workloads of the case cool down that were moved before.
    pub fn cool_down(&self, case: &mut Case, memory: &Memory) {
        let ticks = self.cooldown_ticks(&case.state.rules);
        let Some(tick) = case.snapshot.tick.filter(|_| ticks > 0) else { return };
        for (cooldown, workload) in case.state.cooldown.iter_mut().zip(&case.snapshot.workloads) {
            let said = u64::from(workload.cooldown_ticks);
            let left = said.max(memory.cooldown(ticks, tick, &workload.name));
            *cooldown = u16::try_from(left).unwrap_or(u16::MAX);
        }
    }

    /// The text that the limits were read from; empty if there are none.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Now, for this case, whose snapshot came when [`Safety::plans`] was `arrived`. Workloads that
    /// were moved before cool down in its state.
    pub fn moment(&self, case: &mut Case, arrived: u64) -> Moment {
        // A clock before 1970 makes every snapshot too old, where ages are limited at all.
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let now_us = u64::try_from(now.as_micros()).unwrap_or(u64::MAX);
        let memory = self.kept().memory.about(self.horizon(case), &case.snapshot, arrived);
        let moment = Moment { now_us, memory };
        self.cool_down(case, &moment.memory);
        moment
    }

    /// Plans with moves that are remembered as carried out so far.
    pub fn plans(&self) -> u64 {
        self.kept().memory.plans()
    }

    /// The limits around plans for this snapshot at that moment.
    ///
    /// # Errors
    /// When nothing is to be decided about it.
    pub fn around<'a>(
        &'a self,
        snapshot: &'a Snapshot,
        moment: &'a Moment,
    ) -> Result<Shell<'a>, Refusal> {
        Shell::new(&self.rules, &moment.memory, snapshot, moment.now_us as f64 * 1e-6)
    }

    /// Seconds after the snapshot before which migrations may start; `None` without an end.
    pub fn expires_s(&self, snapshot: &Snapshot) -> Option<f32> {
        self.rules.expires_s(snapshot.taken_at_s)
    }

    /// Every limit that finished moves do not keep, given what is remembered.
    pub fn broken(
        &self,
        snapshot: &Snapshot,
        memory: &Memory,
        moves: &[PlannedMove],
    ) -> Vec<Broken> {
        broken(&self.rules, memory, snapshot, moves)
    }

    /// [`Safety::broken`], and moves of workloads that cool down: what other plans that were carried
    /// out meanwhile may have changed.
    pub fn overtaken(&self, case: &Case, memory: &Memory, moves: &[PlannedMove]) -> Vec<Broken> {
        let ticks = self.cooldown_ticks(&case.state.rules);
        let mut broken = self.broken(&case.snapshot, memory, moves);
        broken.extend(cooling(ticks, memory, &case.snapshot, moves));
        broken
    }

    /// Which moves, by position, bring a workload back to a node that it left within the hold-down
    /// of the limits, or within a day's hours in ticks where they have none.
    pub fn returning(
        &self,
        tick: Option<u64>,
        memory: &Memory,
        moves: &[PlannedMove],
    ) -> Vec<usize> {
        let Some(tick) = tick else { return Vec::new() };
        let ticks = self.return_ticks();
        let returns = |at: &usize| {
            let planned = &moves[*at];
            let (name, node) = (&planned.workload_name, &planned.destination_name);
            let before = moves[..*at].iter();
            memory.left_within(ticks, tick, name).any(|left| left == node)
                || before.filter(|m| m.workload_name == *name).any(|m| m.source_name == *node)
        };
        (0..moves.len()).filter(returns).collect()
    }

    /// Remembers a plan that is going to be carried out, if it keeps every limit given all plans
    /// that were before it. Without a tick nothing is remembered.
    ///
    /// # Errors
    /// When another plan came first.
    pub fn carried_out(&self, case: &Case, arrived: u64, plan: &Plan) -> Result<(), Overtaken> {
        let horizon = self.horizon(case);
        let mut kept = self.kept();
        let memory = kept.memory.about(horizon, &case.snapshot, arrived);
        let broken = self.overtaken(case, &memory, &plan.moves);
        if !broken.is_empty() {
            return Err(Overtaken { broken, memory });
        }
        let world = if plan.moves.is_empty() { 0 } else { case.state.fingerprint() };
        let carried = Carried { moves: &plan.moves, later: &plan.later, world };
        if let Some(change) = kept.memory.planned(horizon, &case.snapshot, arrived, carried) {
            kept.make(change);
        }
        Ok(())
    }

    /// Forgets a move that was planned in this tick and was not made; whether it was remembered.
    pub fn not_made(&self, tick: Option<u64>, planned: &PlannedMove) -> bool {
        let mut kept = self.kept();
        let change = kept.memory.not_made(tick, planned);
        let remembered = change.is_some();
        if let Some(change) = change {
            kept.make(change);
        }
        remembered
    }

    /// Whether migrations were halted when the last process ended.
    pub fn was_halted(&self) -> bool {
        self.kept().journal.as_ref().is_some_and(Journal::is_halted)
    }

    /// Writes down that migrations are halted, or resumed.
    pub fn halted(&self, halted: bool) {
        if let Kept { memory, journal: Some(journal) } = &mut *self.kept() {
            journal.put(&Entry::Halted(halted), memory);
        }
    }

    /// Waits until what was written down is on the disk; at once without a journal.
    pub fn sync(&self) {
        let unsynced = self.kept().journal.as_ref().and_then(Journal::unsynced);
        // Without the lock: others need not wait for the disk.
        let Some(synced) = unsynced.map(Unsynced::sync) else { return };
        if let Some(journal) = &mut self.kept().journal {
            journal.synced(synced);
        }
    }

    /// How many ticks anything looks back.
    fn horizon(&self, case: &Case) -> u64 {
        let cooldown = self.cooldown_ticks(&case.state.rules);
        span(&self.rules).max(cooldown.max(self.return_ticks()).into())
    }

    fn return_ticks(&self) -> u32 {
        if self.rules.hold_down_ticks == 0 { RETURN_TICKS } else { self.rules.hold_down_ticks }
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        // What was being recorded when a thread panicked is at worst there in part.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    fn make(&mut self, change: Change) {
        self.memory.apply(&change);
        if let Some(journal) = &mut self.journal {
            journal.put(&Entry::Change(change), &self.memory);
        }
    }
}
