//! `decide` and `stream`: a snapshot in, a plan out.

use std::io::{self, BufRead, Read, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use godwit_envs::input::InputError;
use serde::Serialize;

use crate::cli::{DecideArgs, PolicyArgs, StreamArgs, TellArgs};
use crate::decision::Decision;
use crate::engine::{Engine, EngineError, Loaded, PlanLimits};
use crate::safety::Safety;

/// `godwit-scorer decide`.
pub fn decide(args: &DecideArgs) -> anyhow::Result<()> {
    let mut scorer = Scorer::new(&args.policy, &args.tell)?;
    let (text, label) = read_snapshot(&args.snapshot)?;
    let decision = scorer.decide(&text, &label)?;
    let json = if args.pretty {
        serde_json::to_string_pretty(&decision)?
    } else {
        serde_json::to_string(&decision)?
    };
    writeln!(io::stdout(), "{json}")?;
    Ok(())
}

/// `godwit-scorer stream`. A line that cannot be decided about yields `{"line": .., "error": ..}`
/// and the next one is read: a live cluster sends another snapshot soon.
pub fn stream(args: &StreamArgs) -> anyhow::Result<()> {
    #[derive(Serialize)]
    struct Refusal {
        line: usize,
        error: String,
    }
    let mut scorer = Scorer::new(&args.policy, &args.tell)?;
    let mut out = io::stdout().lock();
    for (at, line) in io::stdin().lock().lines().enumerate() {
        let number = at + 1;
        let line = line?;
        if line.trim().is_empty() {
            continue;
        }
        let json = match scorer.decide(&line, &format!("line {number}")) {
            Ok(decision) => serde_json::to_string(&decision)?,
            Err(error) => {
                serde_json::to_string(&Refusal { line: number, error: error.to_string() })?
            }
        };
        scorer.read_us = 0;
        writeln!(out, "{json}")?;
        // One plan per snapshot, at once: whoever waits for it must not wait for a full buffer.
        out.flush()?;
    }
    Ok(())
}

/// An engine, and what its decisions are told.
struct Scorer {
    engine: Engine,
    safety: Safety,
    limits: PlanLimits,
    deadline: Option<Duration>,
    /// Time to read the artifact, until a decision has stated it.
    read_us: u64,
}

impl Scorer {
    fn new(args: &PolicyArgs, tell: &TellArgs) -> anyhow::Result<Self> {
        let loaded = Loaded::open(&args.model)?;
        let safety = Safety::load(args.limits.as_deref())?;
        Ok(Self {
            read_us: loaded.read_us,
            engine: Engine::new(Arc::new(loaded)),
            safety,
            limits: PlanLimits {
                max_moves: args.max_moves,
                best_of: args.best_of.get(),
                list_stays: tell.stays,
                ..PlanLimits::NONE
            },
            deadline: args.deadline_ms.map(Duration::from_millis),
        })
    }

    fn decide(&mut self, text: &str, label: &str) -> Result<Decision, EngineError> {
        let Self { engine, safety, limits, deadline, .. } = self;
        let mut decision = engine.decide(text, label, safety, *limits, *deadline)?;
        safety.carried_out(decision.tick, &decision.plan);
        decision.timing_us.artifact = self.read_us;
        decision.timing_us.total += self.read_us;
        Ok(decision)
    }
}

/// The text of a snapshot and what errors call it.
fn read_snapshot(path: &Path) -> Result<(String, String), InputError> {
    let (read, label) = if path == Path::new("-") {
        let mut text = String::new();
        let read = io::stdin().read_to_string(&mut text).map(|_| text);
        (read, "standard input".to_owned())
    } else {
        (std::fs::read_to_string(path), path.display().to_string())
    };
    match read {
        Ok(text) => Ok((text, label)),
        Err(source) => Err(InputError::Unreadable { file: label, source }),
    }
}
