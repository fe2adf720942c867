//! `decide` and `stream`: a snapshot in, a plan out.

use std::io::{self, Read as _, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use bytes::Bytes;
use godwit_decide::case::Case;
use godwit_decide::decision::Decision;
use godwit_decide::engine::{Effort, Engine, EngineError, PlanLimits};
use godwit_decide::error_document::{ErrorBody, LINE_TOO_LARGE, MALFORMED_JSON, engine_code};
use godwit_decide::given_answers::{Answers, Asked, Wanted};
use godwit_decide::loaded::Loaded;
use godwit_decide::safety::{Moment, Overtaken, Safety};
use godwit_decide::state_journal::Journal;
use godwit_decide::timing::micros;
use godwit_envs::input::InputError;
use godwit_envs::snapshot::Snapshot;
use serde::Serialize;

use super::bounded_lines::{Line, Lines};
use crate::cli::decide_args::{DecideArgs, PolicyArgs, StreamArgs, TellArgs};
use crate::stderr_log::log_errors;

/// `godwit-scorer decide`.
pub fn decide(args: &DecideArgs) -> anyhow::Result<()> {
    let mut scorer = Scorer::new(&args.policy, &args.tell, None)?;
    let (text, label) = read_snapshot(&args.snapshot)?;
    let mut read = scorer.read(&text, &label)?;
    let moment = scorer.safety.moment(&mut read.case, 0);
    let decision = scorer.decide(&read, &moment)?;
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
/// and the next one is read: a live cluster sends another snapshot soon. The same snapshot again, as
/// after a lost answer, gives the same line again.
pub fn stream(args: &StreamArgs) -> anyhow::Result<()> {
    log_errors();
    let journal = args.state.folder.as_deref().map(Journal::open).transpose()?;
    let mut scorer = Scorer::new(&args.policy, &args.tell, journal)?;
    let mut out = io::stdout().lock();
    let mut lines = Lines::new(io::stdin().lock(), args.max_line_bytes);
    for number in 1.. {
        let Some(line) = lines.next().context("standard input: cannot read on")? else { break };
        let label = format!("line {number}");
        let answer = match text(&line, &label, args.max_line_bytes) {
            Ok(text) if text.trim().is_empty() => continue,
            Ok(text) => scorer.answer(text, &label)?.map_err(|error| {
                ErrorBody::new(engine_code(&error, text.as_bytes()), error.to_string())
            }),
            Err(body) => Err(body),
        };
        let json = match answer {
            Ok(answer) => answer,
            Err(body) => serde_json::to_vec(&Refused { line: number, body })?.into(),
        };
        scorer.read_us = 0;
        out.write_all(&json)?;
        writeln!(out)?;
        // One plan per snapshot, at once: whoever waits for it must not wait for a full buffer.
        out.flush()?;
    }
    Ok(())
}

/// An engine, and what its decisions are told.
struct Scorer {
    engine: Engine,
    safety: Safety,
    answers: Answers,
    limits: PlanLimits,
    deadline: Option<Duration>,
    /// Time to read the artifact, until a decision has stated it.
    read_us: u64,
}

impl Scorer {
    fn new(args: &PolicyArgs, tell: &TellArgs, journal: Option<Journal>) -> anyhow::Result<Self> {
        let loaded = Loaded::open(&args.model)?;
        let safety = Safety::load(args.limits.as_deref())?.with_journal(journal);
        Ok(Self {
            read_us: loaded.read_us,
            engine: Engine::new(Arc::new(loaded)),
            safety,
            answers: Answers::default(),
            limits: PlanLimits {
                max_moves: args.max_moves,
                think: Duration::from_millis(args.think.into()),
                best_of: args.best_of.get(),
                list_stays: tell.stays,
                ..PlanLimits::NONE
            },
            deadline: args.deadline_ms.map(Duration::from_millis),
        })
    }

    fn read(&self, text: &str, label: &str) -> Result<Read, EngineError> {
        let started = Instant::now();
        let case = self.engine.case(Snapshot::from_json(text, label)?, label)?;
        Ok(Read { case, started, snapshot_us: micros(started) })
    }

    /// What is answered to a line: what was answered before if it is the same again, or a plan that
    /// is remembered as carried out.
    fn answer(&mut self, text: &str, label: &str) -> anyhow::Result<Result<Bytes, EngineError>> {
        let mut read = match self.read(text, label) {
            Ok(read) => read,
            Err(error) => return Ok(Err(error)),
        };
        let plans = self.safety.plans();
        let moment = self.safety.moment(&mut read.case, plans);
        let (snapshot, artifact) = (&read.case.snapshot, &self.engine.loaded().name.sha256);
        let PlanLimits { max_moves, list_stays, .. } = self.limits;
        // The deadline is the same for every line.
        let wanted = Wanted { max_moves, list_stays, deadline_ms: None };
        let asked = Asked { named: None, content: wanted.of_content(snapshot, artifact) };
        // What was answered before may not be worth anything any more.
        if self.safety.around(snapshot, &moment).is_ok()
            && let Ok(Some(answer)) = self.answers.find(&asked)
        {
            return Ok(Ok(answer));
        }
        let decision = match self.decide(&read, &moment) {
            Ok(decision) => decision,
            Err(error) => return Ok(Err(error)),
        };
        // Nobody else plans: this was checked against the same memory.
        if let Err(Overtaken { broken, memory }) =
            self.safety.carried_out(&read.case, plans, &decision.plan)
        {
            let memory = Box::new(memory);
            return Ok(Err(EngineError::Limits { broken, effort: Effort::default(), memory }));
        }
        self.safety.sync();
        let json = Bytes::from(serde_json::to_vec(&decision)?);
        self.answers.keep(&asked, &json);
        Ok(Ok(json))
    }

    fn decide(&mut self, read: &Read, moment: &Moment) -> Result<Decision, EngineError> {
        let Self { engine, safety, limits, deadline, .. } = self;
        let (started, limits) = (read.started, limits.until(read.started, *deadline));
        let times = (started, read.snapshot_us);
        let mut decision = Decision::by(engine, &read.case, safety, moment, limits, times)?;
        decision.timing_us.artifact = self.read_us;
        decision.timing_us.total += self.read_us;
        Ok(decision)
    }
}

/// A case that was read.
struct Read {
    case: Case,
    /// When that began.
    started: Instant,
    snapshot_us: u64,
}

/// The text of a line.
fn text<'a>(line: &Line<'a>, label: &str, most_bytes: usize) -> Result<&'a str, ErrorBody> {
    match *line {
        Line::Whole(bytes) => std::str::from_utf8(bytes).map_err(|error| {
            let message = format!("{label}: expected JSON in UTF-8, got {error}");
            ErrorBody::new(MALFORMED_JSON, message)
        }),
        Line::TooLong(got) => {
            let message = format!(
                "{label}: expected at most {most_bytes} bytes, got {got} (see --max-line-bytes)"
            );
            Err(ErrorBody::new(LINE_TOO_LARGE, message))
        }
    }
}

/// The text of a snapshot and what errors call it.
pub(super) fn read_snapshot(path: &Path) -> Result<(String, String), InputError> {
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
