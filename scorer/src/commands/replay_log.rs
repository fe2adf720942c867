//! `replay`: decisions of a decision log made again, and compared.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use godwit_decide::decision::Decision;
use godwit_decide::engine::{self, Effort, Engine, EngineError, PlanLimits, plan_with};
use godwit_decide::loaded::Loaded;
use godwit_decide::safety::Safety;
use godwit_decide::timing::Timing;
use godwit_envs::input::InputError;
use godwit_envs::snapshot::Snapshot;
use godwit_models::baselines::baseline;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::cli::file_args::ReplayArgs;
use crate::decision_log::{DecisionRecord, FORMAT, HALT, Limits, Line, POLICY, lines, log_files};

/// Fields of an answer that are no part of the decision that is made again: who planned is taken
/// from the record.
const NOT_COMPARED: &[&str] =
    &["id", "mode", "planner", "fallback", "returning", "comparison", "timing_us"];

/// Why a replay is no success.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// Decisions come out differently.
    #[error("replay: expected every decision to be the same again, got {0} that are not")]
    Differs(u64),
    /// Decisions could not be made again.
    #[error("replay: expected records that can be decided again, got {0} that cannot")]
    Incomplete(u64),
}

/// What has become of all records.
#[derive(Debug, Default, Serialize)]
struct Summary {
    /// Decisions in the log.
    decisions: u64,
    /// Decisions that came out the same.
    equal: u64,
    /// Decisions that did not.
    different: u64,
    /// Records that could not be decided about, by reason.
    skipped: BTreeMap<&'static str, u64>,
    /// Files that end in the middle of a line.
    torn_lines: u64,
    /// What differs.
    differences: Vec<Difference>,
}

/// One field that came out differently.
#[derive(Debug, Serialize)]
struct Difference {
    file: String,
    line: usize,
    id: String,
    /// Path in the answer, or `error`.
    field: String,
    /// What the log says.
    logged: Value,
    /// What came out now.
    replayed: Value,
}

/// Why a record cannot be decided about.
enum Skip {
    /// The line is none of the format.
    Unreadable,
    /// Another artifact decided.
    OtherArtifact,
    /// The operator's limits are not in the file.
    UnknownLimits,
    /// There is no such baseline.
    UnknownPlanner,
    /// The snapshot is refused.
    BadSnapshot,
}

/// `godwit-scorer replay`.
pub fn replay(args: &ReplayArgs) -> anyhow::Result<()> {
    let mut replay = Replay::new(&args.models)?;
    for path in &args.logs {
        let unreadable =
            |source| InputError::Unreadable { file: path.display().to_string(), source };
        let files: Vec<PathBuf> = match path.is_dir() {
            true => log_files(path).map_err(unreadable)?,
            false => vec![path.clone()],
        };
        if files.is_empty() {
            let label = path.display().to_string();
            let expected = "files decisions-<number>.jsonl";
            return Err(InputError::field(label, "folder", expected, "none").into());
        }
        for file in files {
            replay.file(&file)?;
        }
    }
    let summary = replay.summary;
    let mut out = io::stdout().lock();
    if args.json {
        writeln!(out, "{}", serde_json::to_string_pretty(&summary)?)?;
    } else {
        summary.print(&mut out)?;
    }
    let skipped = summary.skipped.values().sum();
    match (summary.different, skipped) {
        (0, 0) => Ok(()),
        (0, skipped) => Err(ReplayError::Incomplete(skipped).into()),
        (different, _) => Err(ReplayError::Differs(different).into()),
    }
}

/// Engines, and what came out so far.
struct Replay {
    engines: HashMap<String, Engine>,
    summary: Summary,
}

impl Replay {
    fn new(models: &[PathBuf]) -> anyhow::Result<Self> {
        let mut engines = HashMap::new();
        for model in models {
            let loaded = Loaded::open(model)?;
            engines.insert(loaded.name.sha256.clone(), Engine::new(Arc::new(loaded)));
        }
        Ok(Self { engines, summary: Summary::default() })
    }

    fn file(&mut self, path: &Path) -> Result<(), InputError> {
        let label = path.display().to_string();
        let bytes = fs::read(path)
            .map_err(|source| InputError::Unreadable { file: label.clone(), source })?;
        let mut limits = None;
        for (number, line) in lines(&bytes) {
            let done = match line {
                Line::Torn => {
                    self.summary.torn_lines += 1;
                    continue;
                }
                Line::NoText => Err(Skip::Unreadable),
                Line::Whole(line) => self.line(line, &mut limits, &label, number),
            };
            if let Err(reason) = done {
                *self.summary.skipped.entry(reason.name()).or_default() += 1;
            }
        }
        Ok(())
    }

    fn line(
        &mut self,
        line: &str,
        limits: &mut Option<Limits>,
        file: &str,
        number: usize,
    ) -> Result<(), Skip> {
        #[derive(Deserialize)]
        struct Head {
            format: String,
            kind: String,
            limits: Option<Box<RawValue>>,
        }
        let head: Head = serde_json::from_str(line).map_err(|_| Skip::Unreadable)?;
        if head.format != FORMAT {
            return Err(Skip::Unreadable);
        }
        match (head.kind.as_str(), head.limits) {
            ("file", Some(text)) => {
                let found = serde_json::from_str(text.get()).map_err(|_| Skip::Unreadable)?;
                *limits = Some(found);
                Ok(())
            }
            ("decision", _) => {
                self.summary.decisions += 1;
                let record = serde_json::from_str(line).map_err(|_| Skip::Unreadable)?;
                self.decision(&record, limits.as_ref(), file, number)
            }
            // Nothing was decided.
            _ => Ok(()),
        }
    }

    fn decision(
        &mut self,
        record: &DecisionRecord,
        limits: Option<&Limits>,
        file: &str,
        line: usize,
    ) -> Result<(), Skip> {
        let engine = self.engines.get_mut(&record.artifact).ok_or(Skip::OtherArtifact)?;
        let toml = limits.filter(|limits| limits.sha256 == record.limits);
        let toml = toml.ok_or(Skip::UnknownLimits)?.toml.clone();
        let replayed = decide(engine, record, toml)?;
        let logged = (record.answer.as_deref().map(RawValue::get), record.error.as_deref());
        let fields = differences(logged, &replayed);
        if fields.is_empty() {
            self.summary.equal += 1;
        } else {
            self.summary.different += 1;
        }
        let differences = fields.into_iter().map(|(field, logged, replayed)| Difference {
            file: file.to_owned(),
            line,
            id: record.id.clone(),
            field,
            logged,
            replayed,
        });
        self.summary.differences.extend(differences);
        Ok(())
    }
}

/// The answer, or the message of the error, that this record leads to now.
fn decide(
    engine: &mut Engine,
    record: &DecisionRecord,
    toml: String,
) -> Result<Result<String, String>, Skip> {
    let safety = Safety::recalled(toml, "limits").map_err(|_| Skip::UnknownLimits)?;
    // The label is that of the service: it is a part of error messages.
    let snapshot = Snapshot::from_json(record.snapshot.get(), "body");
    let case = snapshot.map_err(EngineError::from).and_then(|s| engine.case(s, "body"));
    let mut case = case.map_err(|_| Skip::BadSnapshot)?;
    safety.cool_down(&mut case, &record.moment.memory);
    let limits = PlanLimits {
        max_moves: record.max_moves,
        think: Duration::from_millis(record.think_ms.into()),
        effort: Some(Effort { decisions: record.decisions, simulations: record.simulations }),
        best_of: record.best_of,
        list_stays: record.list_stays,
        ..PlanLimits::NONE
    };
    let planned = match record.planner.as_str() {
        HALT => Ok(engine::halted(&case, record.list_stays)),
        POLICY => engine.plan(&case, &safety, &record.moment, limits),
        name => {
            let mut baseline = baseline(name).ok_or(Skip::UnknownPlanner)?;
            let limits = PlanLimits { best_of: 1, ..limits };
            plan_with(baseline.as_mut(), &case, &safety, &record.moment, limits)
        }
    };
    // Another plan came first, between planning and leaving.
    let planned = planned.and_then(|planned| match &record.memory_at_check {
        Some(memory) => {
            let broken = safety.overtaken(&case, memory, &planned.plan.moves);
            let (effort, memory) = (planned.effort, Box::new(memory.clone()));
            match broken.is_empty() {
                true => Ok(planned),
                false => Err(EngineError::Limits { broken, effort, memory }),
            }
        }
        None => Ok(planned),
    });
    Ok(match planned {
        Ok(planned) => {
            let decision = Decision::new(engine.loaded(), &case, planned, Timing::default());
            serde_json::to_string(&decision).map_err(|error| error.to_string())
        }
        Err(error) => Err(error.to_string()),
    })
}

/// Fields that differ, with what the log says and what came out.
fn differences(
    (answer, error): (Option<&str>, Option<&str>),
    replayed: &Result<String, String>,
) -> Vec<(String, Value, Value)> {
    let mut found = Vec::new();
    let parsed = |text: &str| serde_json::from_str::<Value>(text).unwrap_or_default();
    let mut logged = answer.map(parsed).unwrap_or_default();
    let mut again = replayed.as_deref().map(parsed).unwrap_or_default();
    for document in [&mut logged, &mut again] {
        for field in NOT_COMPARED {
            if let Some(fields) = document.as_object_mut() {
                fields.remove(*field);
            }
        }
    }
    walk("", &logged, &again, &mut found);
    let replayed = replayed.as_ref().err().map(String::as_str);
    walk("error", &Value::from(error), &Value::from(replayed), &mut found);
    found
}

/// Compares leaves as they are written: the text of a float tells all of its bits.
fn walk(path: &str, logged: &Value, again: &Value, found: &mut Vec<(String, Value, Value)>) {
    match (logged, again) {
        (Value::Object(left), Value::Object(right)) => {
            for name in left.keys().chain(right.keys().filter(|name| !left.contains_key(*name))) {
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                walk(&path, &logged[name], &again[name], found);
            }
        }
        (Value::Array(left), Value::Array(right)) => {
            for at in 0..left.len().max(right.len()) {
                let of = |values: &[Value]| values.get(at).cloned().unwrap_or_default();
                walk(&format!("{path}[{at}]"), &of(left), &of(right), found);
            }
        }
        _ => {
            let [left, right] = [logged, again].map(Value::to_string);
            if left != right {
                found.push((path.to_owned(), logged.clone(), again.clone()));
            }
        }
    }
}

impl Skip {
    fn name(&self) -> &'static str {
        match self {
            Self::Unreadable => "unreadable",
            Self::OtherArtifact => "other_artifact",
            Self::UnknownLimits => "unknown_limits",
            Self::UnknownPlanner => "unknown_planner",
            Self::BadSnapshot => "bad_snapshot",
        }
    }
}

impl Summary {
    fn print(&self, out: &mut impl Write) -> io::Result<()> {
        for Difference { file, line, id, field, logged, replayed } in &self.differences {
            writeln!(out, "{file}:{line}: {id}: {field}: logged {logged}, replayed {replayed}")?;
        }
        let Self { decisions, equal, different, torn_lines, .. } = self;
        writeln!(out, "decisions   {decisions}")?;
        writeln!(out, "equal       {equal}")?;
        writeln!(out, "different   {different}")?;
        for (reason, count) in &self.skipped {
            writeln!(out, "skipped     {count} ({reason})")?;
        }
        writeln!(out, "torn lines  {torn_lines}")
    }
}
