//! What the lines of the log say.

use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use godwit_decide::engine::Effort;
use godwit_decide::loaded::ArtifactName;
use godwit_decide::safety::Moment;
use godwit_models::shell::Memory;
use serde::{Deserialize, Serialize};
use serde_json::json;
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

use godwit_decide::outcomes::drift::Standing;
use godwit_decide::outcomes::evaluation::Evaluation;

/// Name and version of the format.
pub const FORMAT: &str = "godwit-decision-log/1";

/// Planner of a decision that the artifact's policy made.
pub const POLICY: &str = "policy";

/// Planner of a decision that nobody made, as migrations were halted.
pub const HALT: &str = "halt";

/// The operator's limits of all decisions in a file; its first line holds them.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Limits {
    /// SHA-256 of the text, in hex: what decisions call them.
    pub sha256: String,
    /// The text that they were read from; empty without limits.
    pub toml: String,
}

/// Something to be put down.
#[derive(Debug)]
pub enum Event {
    /// The service starts.
    Start(Start),
    /// A decision was made.
    Decision(Box<Made>),
    /// Migrations were halted, or resumed.
    Halt(bool),
    /// Another artifact was to be loaded: what it is, or why it was refused.
    Reload(Result<ArtifactName, String>),
    /// It was told what a plan came to.
    Feedback {
        /// What it came to.
        evaluation: Box<Evaluation>,
        /// What was sent, valid JSON.
        sent: Bytes,
    },
    /// The fallback plans from now on.
    Demoted(Standing),
    /// The policy decides again.
    Promoted,
    /// The service ends.
    End,
}

/// The service starts.
#[derive(Debug, Serialize)]
pub struct Start {
    /// What answers mean.
    pub mode: &'static str,
    /// Who plans next to the policy.
    pub baseline: Option<String>,
    /// Which policy decides.
    pub artifact: ArtifactName,
}

/// A decision that was made.
#[derive(Debug)]
pub struct Made {
    /// Names the request.
    pub id: String,
    /// What the answer means.
    pub mode: &'static str,
    /// Who planned: `policy` or a baseline; `halt` where nobody was asked.
    pub planner: String,
    /// SHA-256 of the artifact.
    pub artifact: String,
    /// Most migrations, of the request and of the service.
    pub max_moves: u32,
    /// Plans of the policy that were compared.
    pub best_of: u32,
    /// Whether each workload that stays was told of.
    pub list_stays: bool,
    /// Milliseconds in which the policy's plan was compared with others.
    pub think_ms: u32,
    /// How often the planner was asked, and how many plans were simulated.
    pub effort: Effort,
    /// When, and what was remembered.
    pub moment: Moment,
    /// What was remembered when the plan was found to break a limit.
    pub memory_at_check: Option<Memory>,
    /// The snapshot as it was sent, valid JSON.
    pub snapshot: Bytes,
    /// The document that is answered, or why the plan was refused.
    pub answer: Result<Bytes, String>,
}

/// A decision as its line says it, next to `format`, `kind` and `time_s`.
#[derive(Debug, Serialize, Deserialize)]
pub struct DecisionRecord {
    /// Names the request.
    pub id: String,
    /// What the answer means.
    pub mode: String,
    /// Who planned: `policy` or a baseline; `halt` where nobody was asked.
    pub planner: String,
    /// SHA-256 of the artifact.
    pub artifact: String,
    /// SHA-256 of the operator's limits.
    pub limits: String,
    /// Most migrations, of the request and of the service.
    pub max_moves: u32,
    /// Most plans of the policy that were compared.
    #[serde(default = "one_plan")]
    pub best_of: u32,
    /// Whether each workload that stays was told of.
    #[serde(default)]
    pub list_stays: bool,
    /// Milliseconds in which the policy's plan was to be compared with others.
    #[serde(default)]
    pub think_ms: u32,
    /// Plans that were simulated in that time.
    #[serde(default)]
    pub simulations: u32,
    /// How often the planner was asked: a deadline that passed is told by nothing else.
    pub decisions: u32,
    /// When it was made, and what was remembered about the snapshot's workloads.
    pub moment: Moment,
    /// What was remembered when the plan was found to break a limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_at_check: Option<Memory>,
    /// The snapshot as it was sent, but for line breaks, which have become spaces, and spaces around
    /// it.
    pub snapshot: Box<RawValue>,
    /// What was answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<Box<RawValue>>,
    /// Why the plan was refused instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

impl Limits {
    /// The limits that this text says.
    pub fn new(toml: &str) -> Self {
        let sha256 = godwit_envs::hex(&Sha256::digest(toml));
        Self { sha256, toml: toml.to_owned() }
    }

    /// The first line of a file.
    pub fn line(&self) -> serde_json::Result<Vec<u8>> {
        stamped("file", &json!({ "version": env!("CARGO_PKG_VERSION"), "limits": self }))
    }
}

impl Event {
    /// The line, with what ends it; `limits` is the SHA-256 of the operator's.
    ///
    /// # Errors
    /// When a document in it is no JSON.
    pub fn line(self, limits: &str) -> serde_json::Result<Vec<u8>> {
        #[derive(Serialize)]
        struct Told<'a> {
            evaluation: &'a Evaluation,
            sent: Box<RawValue>,
        }
        match self {
            Self::Start(start) => stamped("start", &start),
            Self::Decision(made) => stamped("decision", &made.record(limits)?),
            Self::Halt(true) => stamped("halt", &json!({})),
            Self::Halt(false) => stamped("resume", &json!({})),
            Self::Reload(Ok(artifact)) => stamped("reload", &json!({ "artifact": artifact })),
            Self::Reload(Err(error)) => stamped("reload_failed", &json!({ "error": error })),
            Self::Feedback { evaluation, sent } => {
                let body = Told { evaluation: &evaluation, sent: raw(&sent)? };
                stamped("feedback", &body)
            }
            Self::Demoted(standing) => stamped("demoted", &standing),
            Self::Promoted => stamped("promoted", &json!({})),
            Self::End => stamped("end", &json!({})),
        }
    }

    /// About how much memory it takes while it waits to be written.
    pub fn size(&self) -> usize {
        match self {
            Self::Decision(made) => {
                made.snapshot.len() + made.answer.as_ref().map_or(0, Bytes::len)
            }
            Self::Feedback { sent, .. } => sent.len(),
            _ => 0,
        }
    }
}

impl Made {
    fn record(self, limits: &str) -> serde_json::Result<DecisionRecord> {
        let (answer, error) = match self.answer {
            Ok(document) => (Some(raw(&document)?), None),
            Err(error) => (None, Some(error)),
        };
        Ok(DecisionRecord {
            id: self.id,
            mode: self.mode.to_owned(),
            planner: self.planner,
            artifact: self.artifact,
            limits: limits.to_owned(),
            max_moves: self.max_moves,
            best_of: self.best_of,
            list_stays: self.list_stays,
            think_ms: self.think_ms,
            simulations: self.effort.simulations,
            decisions: self.effort.decisions,
            moment: self.moment,
            memory_at_check: self.memory_at_check,
            snapshot: raw(&self.snapshot)?,
            answer,
            error,
        })
    }
}

/// What was compared before several plans were.
fn one_plan() -> u32 {
    1
}

/// A document on one line. JSON has line breaks between tokens only, where a space says the same.
fn raw(document: &[u8]) -> serde_json::Result<Box<RawValue>> {
    let text = String::from_utf8_lossy(document).replace(['\n', '\r'], " ");
    RawValue::from_string(text)
}

fn stamped(kind: &str, body: &impl Serialize) -> serde_json::Result<Vec<u8>> {
    #[derive(Serialize)]
    struct Stamped<'a, T> {
        format: &'static str,
        kind: &'a str,
        time_s: f64,
        #[serde(flatten)]
        body: &'a T,
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let mut line =
        serde_json::to_vec(&Stamped { format: FORMAT, kind, time_s: now.as_secs_f64(), body })?;
    line.push(b'\n');
    Ok(line)
}
