//! A program of the user's as a policy: one JSON line for each decision, one line back.
//!
//! The program is started by `sh -c`, once for each thread, and reads lines until its input ends:
//!
//! ```json
//! {"seed": 7, "tick": 0, "moves_left": 1, "snapshot": {...}, "candidates": [[3, 1], [3, 4]]}
//! ```
//!
//! `seed` is that of the episode, `snapshot` the cluster as `godwit-scorer` reads it, and `candidates`
//! (only where they are asked for) the moves that an environment offers, as pairs of workload and
//! destination. The answer is one of
//!
//! ```json
//! {"workload": 3, "destination": 1}
//! {"workload": "web-3", "destination": "node-1"}
//! {}
//! ```
//!
//! by the snapshot's indices or names; `{}` and `null` stay. Decisions within one tick come one after
//! the other, until the program stays or no moves are left.

use godwit_envs::observe::candidates::{CandidateList, action_space};
use godwit_envs::state::{Action, ClusterState};
use godwit_models::policy::Policy;
use serde::Deserialize;
use serde_json::json;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

/// Longest answer.
const LONGEST: u64 = 1 << 20;
/// What `stop` of [`External::new`] becomes when a program fails.
pub const FAILED: usize = usize::MAX;

/// What all copies of a program tell.
#[derive(Debug, Default)]
pub struct Told {
    /// What went wrong first.
    failure: Mutex<Option<String>>,
    /// Nanoseconds until answers came, and their number.
    waited: AtomicU64,
    answers: AtomicU64,
}

impl Told {
    /// What went wrong first, if anything did.
    pub fn failure(&self) -> Option<String> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Mean microseconds from a line that was sent to its answer; none without answers.
    pub fn answer_us(&self) -> Option<f64> {
        let answers = self.answers.load(Ordering::Relaxed);
        (answers > 0).then(|| self.waited.load(Ordering::Relaxed) as f64 * 1e-3 / answers as f64)
    }
}

/// A program as a policy. Where it fails it stays from then on, [`Told`] says why, and `stop` becomes
/// [`FAILED`].
pub struct External {
    name: String,
    command: String,
    candidates: bool,
    told: Arc<Told>,
    stop: Arc<AtomicUsize>,
    running: Option<Running>,
    seed: u64,
    list: CandidateList,
}

struct Running {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Drop for Running {
    fn drop(&mut self) {
        // It has nothing more to say; if it is gone already, so much the better.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A workload or node, by index or by name.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Which {
    Index(usize),
    Name(String),
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Answer {
    workload: Option<Which>,
    destination: Option<Which>,
}

impl External {
    /// The program that this command starts; with the candidates in each line, or without.
    pub fn new(
        name: &str,
        command: &str,
        candidates: bool,
        told: &Arc<Told>,
        stop: &Arc<AtomicUsize>,
    ) -> Self {
        Self {
            name: name.to_owned(),
            command: command.to_owned(),
            candidates,
            told: Arc::clone(told),
            stop: Arc::clone(stop),
            running: None,
            seed: 0,
            list: CandidateList::default(),
        }
    }

    fn ask(&mut self, state: &ClusterState) -> Result<Action, String> {
        // The snapshot has those that run, and its indices are theirs.
        let mut snapshot = state.to_snapshot();
        snapshot.workloads.retain(|workload| workload.node.is_some());
        let there: Vec<usize> =
            (0..state.spec.workloads()).filter(|&k| state.node_of(k).is_some()).collect();
        let mut line = json!({
            "seed": self.seed,
            "tick": state.tick,
            "moves_left": state.moves_left,
            "snapshot": snapshot,
        });
        if self.candidates {
            line["candidates"] = json!(self.offered(state, &there));
        }
        let running = match &mut self.running {
            Some(running) => running,
            None => self.running.insert(start(&self.command)?),
        };
        let asked = Instant::now();
        let text = exchange(running, &line.to_string())?;
        let waited = u64::try_from(asked.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.told.waited.fetch_add(waited, Ordering::Relaxed);
        self.told.answers.fetch_add(1, Ordering::Relaxed);
        let answer: Option<Answer> = serde_json::from_str(&text).map_err(|error| {
            format!(
                "expected {{\"workload\": .., \"destination\": ..}} or {{}}, got {text:?}: {error}"
            )
        })?;
        let action = match answer.unwrap_or_default() {
            Answer { workload: None, destination: None } => return Ok(Action::Stay),
            Answer { workload: Some(workload), destination: Some(destination) } => {
                let spec = &state.spec;
                let names = there.iter().map(|&k| spec.workload_names[k].as_str());
                let at = find("workload", &workload, names)?;
                let nodes = spec.node_names.iter().map(String::as_str);
                let destination = find("destination", &destination, nodes)?;
                Action::Migrate { workload: there[at], destination }
            }
            _ => return Err(format!("expected both workload and destination, got {text:?}")),
        };
        if let Action::Migrate { workload, destination } = action {
            state.check(workload, destination).map_err(|reason| {
                format!("expected a move that is allowed, got {}: {reason}", text.trim())
            })?;
        }
        Ok(action)
    }

    /// The moves that an environment would offer, by the snapshot's indices.
    fn offered(&mut self, state: &ClusterState, there: &[usize]) -> Vec<[usize; 2]> {
        let (n, k) = (state.spec.nodes(), state.spec.workloads());
        let (actions, every_pair) = action_space(n, k, &state.rules.candidates);
        if every_pair {
            let pairs = there.iter().enumerate().flat_map(|(at, &k)| {
                (0..n).filter(move |&node| state.check(k, node).is_ok()).map(move |i| [at, i])
            });
            return pairs.collect();
        }
        self.list.fill(state, actions - 1);
        let pair = |at: usize| match self.list.action(at)? {
            Action::Migrate { workload, destination } => {
                let at = there.binary_search(&workload).ok()?;
                Some([at, destination])
            }
            Action::Stay => None,
        };
        (0..self.list.moves()).filter_map(pair).collect()
    }
}

impl Policy for External {
    fn name(&self) -> &str {
        &self.name
    }

    fn reset(&mut self, seed: u64) {
        self.seed = seed;
    }

    fn act(&mut self, state: &ClusterState) -> Action {
        if self.stop.load(Ordering::Relaxed) != 0 {
            return Action::Stay;
        }
        self.ask(state).unwrap_or_else(|error| {
            let tick = state.tick;
            let mut failure = self.told.failure.lock().unwrap_or_else(PoisonError::into_inner);
            failure.get_or_insert(format!(
                "{} in the episode of seed {}, tick {tick}: {error}",
                self.name, self.seed
            ));
            self.stop.store(FAILED, Ordering::Relaxed);
            Action::Stay
        })
    }
}

fn start(command: &str) -> Result<Running, String> {
    let failed = |error: std::io::Error| format!("expected a command that runs, got {error}");
    let mut child = Command::new("sh")
        .args(["-c", command])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(failed)?;
    match (child.stdin.take(), child.stdout.take()) {
        (Some(input), Some(output)) => Ok(Running { child, input, output: BufReader::new(output) }),
        // Both were asked for above.
        _ => Err("expected a program with standard input and output, got none".to_owned()),
    }
}

/// Sends a line and waits for one.
fn exchange(running: &mut Running, line: &str) -> Result<String, String> {
    let ended = |error: &str| format!("expected an answer, got the end of the program ({error})");
    let Running { input, output, .. } = running;
    let sent = input.write_all(line.as_bytes()).and_then(|()| input.write_all(b"\n"));
    sent.and_then(|()| input.flush()).map_err(|error| ended(&error.to_string()))?;
    let mut text = String::new();
    let read = output.by_ref().take(LONGEST).read_line(&mut text);
    match read {
        Err(error) => Err(ended(&error.to_string())),
        Ok(0) => Err(ended("its output is closed")),
        Ok(_) if !text.ends_with('\n') => Err(format!(
            "expected a line of at most {LONGEST} bytes, got a longer one, or its start"
        )),
        Ok(_) => Ok(text),
    }
}

/// Index of what is asked for.
fn find<'a>(
    field: &str,
    which: &Which,
    names: impl ExactSizeIterator<Item = &'a str>,
) -> Result<usize, String> {
    let count = names.len();
    match which {
        Which::Index(index) if *index < count => Ok(*index),
        Which::Index(index) => Err(format!("{field}: expected 0 to {}, got {index}", count - 1)),
        Which::Name(name) => names
            .into_iter()
            .position(|known| known == name)
            .ok_or_else(|| format!("{field}: expected a name of the snapshot, got {name:?}")),
    }
}
