//! `decide` and `stream`: a snapshot in, a plan out.

use std::io::{self, Read, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use godwit_envs::input::InputError;
use serde::Serialize;

use crate::cli::{DecideArgs, PolicyArgs, StreamArgs, TellArgs};
use crate::decision::Decision;
use crate::engine::{Engine, EngineError, Loaded, PlanLimits};
use crate::lines::{Line, Lines};
use crate::problem::{ErrorBody, LINE_TOO_LARGE, MALFORMED_JSON, engine_code};
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

/// What `stream` prints for a line that cannot be decided about.
#[derive(Serialize)]
struct Refused {
    /// Number of the line, from 1.
    line: usize,
    /// As `serve` answers it.
    #[serde(flatten)]
    body: ErrorBody,
}

/// `godwit-scorer stream`. A line that cannot be decided about yields `{"line": .., "error": ..}`
/// and the next one is read: a live cluster sends another snapshot soon.
pub fn stream(args: &StreamArgs) -> anyhow::Result<()> {
    let mut scorer = Scorer::new(&args.policy, &args.tell)?;
    let mut out = io::stdout().lock();
    let mut lines = Lines::new(io::stdin().lock(), args.max_line_bytes);
    for number in 1.. {
        let Some(line) = lines.next().context("standard input: cannot read on")? else { break };
        let json = match scorer.decide_line(&line, number, args.max_line_bytes) {
            Ok(None) => continue,
            Ok(Some(decision)) => serde_json::to_string(&decision)?,
            Err(body) => serde_json::to_string(&Refused { line: number, body })?,
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

    /// The decision about a line; none about one that is blank.
    fn decide_line(
        &mut self,
        line: &Line<'_>,
        number: usize,
        most_bytes: usize,
    ) -> Result<Option<Decision>, ErrorBody> {
        let label = format!("line {number}");
        let bytes = match *line {
            Line::Whole(bytes) => bytes,
            Line::TooLong(got) => {
                let message = format!(
                    "{label}: expected at most {most_bytes} bytes, got {got} (see --max-line-bytes)"
                );
                return Err(ErrorBody::new(LINE_TOO_LARGE, message));
            }
        };
        let text = std::str::from_utf8(bytes).map_err(|error| {
            let message = format!("{label}: expected JSON in UTF-8, got {error}");
            ErrorBody::new(MALFORMED_JSON, message)
        })?;
        if text.trim().is_empty() {
            return Ok(None);
        }
        let refused =
            |error: EngineError| ErrorBody::new(engine_code(&error, bytes), error.to_string());
        self.decide(text, &label).map(Some).map_err(refused)
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
