//! Reading and writing scenario files.

use crate::input::{InputError, nearest_hint, parse_toml, read_text};
use crate::scenario::embedded::EMBEDDED;
use crate::scenario::rules::Rules;
use crate::scenario::types::Scenario;
use crate::snapshot::Snapshot;
use sha2::{Digest, Sha256};
use std::path::Path;
use std::sync::Arc;

/// Why there is no scenario. Every message is one line.
#[derive(Debug, thiserror::Error)]
pub enum ScenarioError {
    /// The scenario file, or the snapshot it names, was refused.
    #[error(transparent)]
    Input(#[from] InputError),
    /// Neither an embedded scenario nor a file.
    #[error("scenario {name:?}: expected a file or one of {names}{hint}, got neither")]
    UnknownName {
        /// What was asked for.
        name: String,
        /// The embedded names, separated by commas.
        names: String,
        /// Which of them is most like it, if one is ([`nearest_hint`]).
        hint: String,
    },
}

impl Scenario {
    /// Whether two scenarios are the same but for where their files lie, what they recommend, and
    /// what policies see of them.
    pub fn same_world(&self, other: &Self) -> bool {
        let rules = |of: &Self| Rules { observation: None, ..of.with_unit().rules };
        self.name == other.name
            && rules(self) == rules(other)
            && self.start == other.start
            && self.nodes == other.nodes
            && self.workloads == other.workloads
            && self.events == other.events
            && self.cluster == other.cluster
    }

    /// Reads and validates a scenario file, and the snapshot that it may name.
    ///
    /// # Errors
    /// When the file, or its snapshot, cannot be read or says something that is not allowed.
    pub fn load(path: impl AsRef<Path>) -> Result<Self, ScenarioError> {
        let path = path.as_ref();
        Self::parse(&read_text(path)?, &path.display().to_string())
    }

    /// Reads and validates the text of a scenario file. `file_label` is what errors call it; where
    /// the text names a snapshot by a relative path, it lies in the folder of `file_label`.
    ///
    /// # Errors
    /// As for [`Scenario::load`].
    pub fn parse(text: &str, file_label: &str) -> Result<Self, ScenarioError> {
        let mut scenario: Self = parse_toml(text, file_label)?;
        if let Some(relative) = &scenario.snapshot {
            let folder = Path::new(file_label).parent().unwrap_or(Path::new(""));
            scenario.cluster = Some(Arc::new(Snapshot::load(folder.join(relative))?));
        }
        scenario.validate(file_label)?;
        Ok(scenario)
    }

    /// [`Scenario::parse`] of a text that names a snapshot which has been read already.
    ///
    /// # Errors
    /// When the text says something that is not allowed.
    pub fn parse_with(
        text: &str,
        file_label: &str,
        cluster: Option<Arc<Snapshot>>,
    ) -> Result<Self, ScenarioError> {
        let mut scenario: Self = parse_toml(text, file_label)?;
        scenario.cluster = cluster.filter(|_| scenario.snapshot.is_some());
        scenario.validate(file_label)?;
        Ok(scenario)
    }

    /// The embedded scenario with this name.
    ///
    /// # Errors
    /// When there is none; the error lists the names.
    pub fn embedded(name: &str) -> Result<Self, ScenarioError> {
        match EMBEDDED.iter().find(|scenario| scenario.name == name) {
            Some(found) => Self::parse(found.toml, &format!("{name} (embedded)")),
            None => Err(unknown_name(name)),
        }
    }

    /// The scenario that a command line names: an embedded name first, else a path.
    ///
    /// # Errors
    /// When it is neither (the error lists the embedded names), or the file is refused.
    pub fn resolve(name_or_path: &str) -> Result<Self, ScenarioError> {
        if EMBEDDED.iter().any(|scenario| scenario.name == name_or_path) {
            Self::embedded(name_or_path)
        } else if Path::new(name_or_path).exists() {
            Self::load(name_or_path)
        } else {
            Err(unknown_name(name_or_path))
        }
    }

    /// The scenario as a file that [`Scenario::parse`] reads back to an equal scenario (given the
    /// same snapshot next to it; the loaded cluster itself is not written).
    pub fn to_toml(&self) -> String {
        // Serialising fails only for types that TOML lacks (maps with keys that are not strings,
        // integers beyond i64); `Scenario` has none.
        toml::to_string(self).expect("a scenario only holds what TOML can express")
    }

    /// SHA-256 of the world that it describes, as 64 hexadecimal digits: its TOML without the settings
    /// of training, which change nothing that happens in it, and its snapshot's JSON where it has one.
    pub fn world_sha256(&self) -> String {
        let mut hasher = Sha256::new();
        let mut scenario = Self { train: None, ..self.clone() };
        // What policies see and in which unit changes nothing that happens. The unit is what it was in
        // every scenario that stated none: so tuned parameters of that time are still known.
        scenario.rules.observation = None;
        scenario.rules.objective.unit = Some(0.1);
        hasher.update(scenario.to_toml());
        if let Some(cluster) = &scenario.cluster {
            hasher.update(cluster.to_json());
        }
        crate::hex(&hasher.finalize())
    }
}

fn unknown_name(name: &str) -> ScenarioError {
    let names: Vec<&str> = EMBEDDED.iter().map(|scenario| scenario.name).collect();
    let hint = nearest_hint(name, names.iter().copied());
    ScenarioError::UnknownName { name: name.to_owned(), names: names.join(", "), hint }
}

#[cfg(test)]
mod tests;
