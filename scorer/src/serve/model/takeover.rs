//! Why another artifact does not take over, and reading one without waiting for ever.

use std::path::{Path, PathBuf};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use godwit_decide::loaded::Loaded;
use godwit_envs::observe::schema::Feature;
use godwit_models::artifact::{ArtifactError, Failure};
use serde_json::{Value, json};

/// Longest time to read an artifact's file.
pub const READ_TIMEOUT: Duration = Duration::from_secs(10);

/// Most threads that wait for a file system that does not answer.
const MOST_STUCK: usize = 4;

/// Most differences that a message names.
const MOST_TOLD: usize = 5;

/// Why another artifact does not take over.
#[derive(Debug, thiserror::Error)]
pub enum ReloadError {
    /// It fails a check.
    #[error(transparent)]
    Artifact(#[from] ArtifactError),
    /// The file system does not answer.
    #[error("artifact {}: expected to read the file within {READ_TIMEOUT:?}, got no end", .0.display())]
    Slow(PathBuf),
    /// It takes other input than the one that decides, or decides under other rules.
    #[error(
        "artifact {}: expected the resources, features and rules of the artifact that decides \
         (allow_other_rules takes others), got {} differences: {}",
        path.display(), differences.len(), told(differences)
    )]
    OtherRules {
        /// The file.
        path: PathBuf,
        /// What differs, field by field.
        differences: Vec<String>,
    },
}

impl ReloadError {
    /// All of [`ReloadError::reason`].
    pub const REASONS: [&str; 6] =
        ["unreadable", "not_a_file", "too_large", "slow", "damaged", "other_rules"];

    /// The name in metrics.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Slow(_) => "slow",
            Self::OtherRules { .. } => "other_rules",
            Self::Artifact(error) => match *error.failure {
                Failure::File(_) | Failure::Missing { .. } => "unreadable",
                Failure::NotAFile { .. } => "not_a_file",
                Failure::TooLarge { .. } => "too_large",
                _ => "damaged",
            },
        }
    }
}

fn told(differences: &[String]) -> String {
    let mut told = differences.iter().take(MOST_TOLD).cloned().collect::<Vec<_>>().join("; ");
    if let Some(more) = differences.len().checked_sub(MOST_TOLD).filter(|more| *more > 0) {
        told += &format!("; and {more} more");
    }
    told
}

/// Asks a file system that may never answer.
#[derive(Debug, Default)]
pub struct Reader {
    /// Held by each thread that asks.
    asking: Arc<()>,
}

impl Reader {
    /// What `ask` gives about the path, from a thread that is left behind when it takes longer than
    /// [`READ_TIMEOUT`]. A few that were left behind keep others from being started.
    ///
    /// # Errors
    /// When it takes too long.
    pub fn ask<T: Send + 'static>(
        &self,
        path: &Path,
        ask: impl FnOnce(&Path) -> T + Send + 'static,
    ) -> Result<T, ReloadError> {
        self.ask_within(READ_TIMEOUT, path, ask)
    }

    fn ask_within<T: Send + 'static>(
        &self,
        timeout: Duration,
        path: &Path,
        ask: impl FnOnce(&Path) -> T + Send + 'static,
    ) -> Result<T, ReloadError> {
        let slow = || ReloadError::Slow(path.to_owned());
        if Arc::strong_count(&self.asking) > MOST_STUCK {
            return Err(slow());
        }
        let (asking, path) = (Arc::clone(&self.asking), path.to_owned());
        let (reply, answer) = mpsc::sync_channel(1);
        let started = thread::Builder::new().name("artifact".to_owned()).spawn({
            let path = path.clone();
            move || {
                // Whoever asked may have given up.
                let _ = reply.send(ask(&path));
                drop(asking);
            }
        });
        started.map_err(|_| slow())?;
        answer.recv_timeout(timeout).map_err(|_| slow())
    }
}

/// What another artifact would change for whoever sends snapshots: resource kinds, features, the
/// cluster size that a network is made for, and the rules that decisions are made under.
pub fn differences(running: &Loaded, new: &Loaded) -> Vec<String> {
    let mut found = Vec::new();
    let [old, new] = [running, new].map(outline);
    for ((name, old), (_, new)) in old.iter().zip(&new) {
        differ(name, old, new, &mut found);
    }
    found
}

/// The parts that are compared, those that tell most first.
fn outline(loaded: &Loaded) -> [(&'static str, Value); 9] {
    let manifest = &loaded.artifact.manifest;
    let features = |features: &[Feature]| -> Value {
        let named = features.iter().map(|feature| (feature.name.clone(), json!(feature)));
        Value::Object(named.collect())
    };
    let schema = &manifest.schema;
    let names: Vec<&str> = loaded.rules.resources.iter().map(|kind| kind.name.as_str()).collect();
    [
        ("resources", json!(names)),
        ("schema_hash", json!(manifest.schema_hash)),
        ("network.fixed", json!(manifest.network.fixed)),
        // As this version reads them: what is left out has its default.
        ("rules", json!(*loaded.rules)),
        ("schema.version", json!(schema.version)),
        ("schema.node", features(&schema.node)),
        ("schema.workload", features(&schema.workload)),
        ("schema.global", features(&schema.global)),
        ("schema.candidate", features(&schema.candidate)),
    ]
}

/// Puts down the fields below `name` that differ.
fn differ(name: &str, old: &Value, new: &Value, found: &mut Vec<String>) {
    match (old, new) {
        (Value::Object(left), Value::Object(right)) => {
            let more = right.keys().filter(|key| !left.contains_key(*key));
            for key in left.keys().chain(more) {
                differ(&format!("{name}.{key}"), &old[key], &new[key], found);
            }
        }
        (Value::Array(left), Value::Array(right)) if left.len() == right.len() => {
            for (at, (old, new)) in left.iter().zip(right).enumerate() {
                differ(&format!("{name}[{at}]"), old, new, found);
            }
        }
        _ if old == new => {}
        _ => found.push(format!("{name}: {} decides, {} in the file", short(old), short(new))),
    }
}

fn short(value: &Value) -> String {
    let text = match value {
        Value::Null => "none".to_owned(),
        other => other.to_string(),
    };
    match text.char_indices().nth(80) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    #[test]
    fn a_file_system_that_does_not_answer_holds_nobody_up_and_few_threads() {
        let reader = Reader::default();
        let (held, hold) = (Arc::new(()), Duration::from_millis(20));
        let stuck = Arc::downgrade(&held);
        let (release, released) = mpsc::channel::<()>();
        let released = Arc::new(std::sync::Mutex::new(released));
        let started = Instant::now();
        for _ in 0..20 {
            let (held, released) = (Arc::clone(&held), Arc::clone(&released));
            let asked = reader.ask_within(hold, Path::new("p"), move |_| {
                let _held = held;
                // Ends when the sender is gone.
                let _ = released.lock().unwrap().recv();
            });
            assert_eq!(asked.unwrap_err().reason(), "slow");
        }
        assert!(started.elapsed() < Duration::from_secs(5));
        drop(held);
        assert_eq!(stuck.strong_count(), MOST_STUCK);
        drop(release);
        while stuck.strong_count() > 0 {
            thread::sleep(Duration::from_millis(1));
        }
        while Arc::strong_count(&reader.asking) > 1 {
            thread::sleep(Duration::from_millis(1));
        }
        let patient = reader.ask_within(Duration::from_secs(20), Path::new("p"), Path::to_owned);
        assert_eq!(patient.unwrap(), Path::new("p"));
    }

    #[test]
    fn differences_are_named_field_by_field_and_told_in_part() {
        let old = json!({"a": [1, 2], "b": {"c": 1, "gone": true}, "same": 0.5});
        let new = json!({"a": [1, 3], "b": {"c": 2}, "same": 0.5});
        let mut found = Vec::new();
        differ("rules", &old, &new, &mut found);
        assert_eq!(
            found,
            [
                "rules.a[1]: 2 decides, 3 in the file",
                "rules.b.c: 1 decides, 2 in the file",
                "rules.b.gone: true decides, none in the file"
            ]
        );
        let many: Vec<String> = (0..9).map(|number| number.to_string()).collect();
        assert_eq!(told(&many), "0; 1; 2; 3; 4; and 4 more");
    }
}
