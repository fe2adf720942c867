//! `decide` and `stream`: a snapshot in, a plan out.

use std::io::{self, BufRead, Read, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::bail;
use godwit_envs::input::InputError;
use godwit_envs::scenario::Rules;
use godwit_envs::snapshot::Snapshot;
use godwit_models::artifact::Artifact;
use godwit_models::baselines::baseline;
use godwit_models::guard::violations;
use godwit_models::network_policy::NetworkPolicy;
use godwit_models::plan::{Plan, StopReason, plan};
use godwit_models::policy::Policy;
use schemars::JsonSchema;
use serde::Serialize;

use crate::cli::{DecideArgs, PolicyArgs, StreamArgs};

/// Name and version of what `decide` prints.
const DECISION_FORMAT: &str = "godwit-plan/1";

/// What `decide` prints.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Decision {
    /// Always `godwit-plan/1`.
    pub format: &'static str,
    /// Which policy decided.
    pub artifact: ArtifactName,
    /// The snapshot's tick, where it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tick: Option<u64>,
    /// Why the plan ends where it ends, or why it moves nothing; `plan.stop_reason` in a sentence.
    pub reason: &'static str,
    /// The migrations in order.
    pub plan: Plan,
    /// Where the time went.
    pub timing_us: Timing,
}

/// An artifact, named so that it can be found again.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct ArtifactName {
    /// SHA-256 of the file, in hex.
    pub sha256: String,
    /// Scenario that the policy was trained on.
    pub scenario: String,
}

/// Microseconds per stage.
#[derive(Debug, Clone, Copy, Default, Serialize, JsonSchema)]
pub struct Timing {
    /// Reading and checking the artifact; 0 where that was done before.
    pub artifact: u64,
    /// Reading and checking the snapshot.
    pub snapshot: u64,
    /// All decisions of the policy, and ordering the moves.
    pub plan: u64,
    /// Checking the hard constraints.
    pub guard: u64,
    /// All of it.
    pub total: u64,
}

/// A policy that is ready to decide.
struct Scorer {
    artifact: Artifact,
    name: ArtifactName,
    rules: Arc<Rules>,
    policy: NetworkPolicy,
    max_moves: u32,
    deadline: Option<Duration>,
    read_us: u64,
}

impl Scorer {
    fn new(args: &PolicyArgs) -> anyhow::Result<Self> {
        let started = Instant::now();
        let artifact = Artifact::open(&args.model)?;
        let rules = Arc::new(artifact.rules()?);
        let policy = NetworkPolicy::new("policy", artifact.network.clone());
        let name = ArtifactName {
            sha256: artifact.sha256.clone(),
            scenario: artifact.manifest.scenario_name.clone(),
        };
        Ok(Self {
            artifact,
            name,
            rules,
            policy,
            max_moves: args.max_moves,
            deadline: args.deadline_ms.map(Duration::from_millis),
            read_us: micros(started),
        })
    }

    /// Decides about the snapshot in `text`; `label` is what errors call it.
    fn decide(&mut self, text: &str, label: &str) -> anyhow::Result<Decision> {
        let started = Instant::now();
        let deadline = self.deadline.map(|deadline| started + deadline);
        let mut timing_us = Timing { artifact: self.read_us, ..Timing::default() };
        let snapshot = Snapshot::from_json(text, label)?;
        let state = self.artifact.state(Arc::clone(&self.rules), &snapshot, label)?;
        timing_us.snapshot = micros(started);

        let planning = Instant::now();
        // A network has nothing to look at in an empty cluster, and there is nothing to decide.
        let mut stay = baseline("stay");
        let policy: &mut dyn Policy = match &mut stay {
            Some(stay) if snapshot.workloads.is_empty() => stay.as_mut(),
            _ => &mut self.policy,
        };
        let plan = plan(&state, policy, self.max_moves, deadline);
        timing_us.plan = micros(planning);

        let checking = Instant::now();
        let violations = violations(&state, &plan.moves);
        if let Some(first) = violations.first() {
            bail!(
                "plan: expected to keep every hard constraint, got {} broken: {first}",
                violations.len()
            );
        }
        timing_us.guard = micros(checking);
        timing_us.total = self.read_us + micros(started);
        Ok(Decision {
            format: DECISION_FORMAT,
            artifact: self.name.clone(),
            tick: snapshot.tick,
            reason: explain(plan.stop_reason),
            plan,
            timing_us,
        })
    }
}

/// `godwit-scorer decide`.
pub fn decide(args: &DecideArgs) -> anyhow::Result<()> {
    let mut scorer = Scorer::new(&args.policy)?;
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
    let mut scorer = Scorer::new(&args.policy)?;
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
                serde_json::to_string(&Refusal { line: number, error: format!("{error:#}") })?
            }
        };
        scorer.read_us = 0;
        writeln!(out, "{json}")?;
        // One plan per snapshot, at once: whoever waits for it must not wait for a full buffer.
        out.flush()?;
    }
    Ok(())
}

/// The reason in a sentence.
fn explain(reason: StopReason) -> &'static str {
    match reason {
        StopReason::PolicyStays => {
            "the policy values staying above every migration that it was offered"
        }
        StopReason::NoFeasibleMove => {
            "no migration is feasible: capacity, class, anti-affinity, cooldown or transfer limits \
             forbid each"
        }
        StopReason::BudgetSpent => "the move budget is spent",
        StopReason::MaxMoves => "as many migrations as were asked for",
        StopReason::Deadline => "the deadline has passed",
        StopReason::InfeasibleChoice => "the policy chose a migration that is not allowed",
        StopReason::GainBelowThreshold => {
            "the migrations that the policy chose improve the objective by less than is asked for"
        }
        StopReason::NoGain => {
            "no migrations that the policy chose improve the objective by more than they cost"
        }
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

fn micros(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_micros()).unwrap_or(u64::MAX)
}
