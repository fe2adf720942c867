//! Training settings from many sources, merged in a fixed order.
//!
//! Defaults, the scenario's own `[train]` table, `--config` file, `--set`, flags: each later one
//! wins. They are merged as TOML tables and read as a whole after each source, so that a mistake
//! is reported with the source that it came from.

use super::BadInput;
use crate::config::TrainConfig;
use anyhow::Context;
use godwit_envs::input::nearest_hint;
use godwit_envs::scenario::Scenario;
use std::path::Path;
use toml::{Table, Value};

/// Where settings may come from, besides the defaults and the scenario.
#[derive(Debug, Default)]
pub(super) struct Sources<'a> {
    /// `--config FILE`.
    pub file: Option<&'a Path>,
    /// Tables from elsewhere, each with the name that errors give to it.
    pub tables: &'a [(&'static str, Table)],
    /// `--set KEY=VALUE`, in order.
    pub set: &'a [String],
    /// Flags that stand for a setting: flag, key, value.
    pub flags: Vec<(&'static str, &'static str, Value)>,
}

/// The settings of a run.
pub(super) fn resolve(scenario: &Scenario, sources: &Sources) -> anyhow::Result<TrainConfig> {
    resolve_for(&scenario.name, scenario.train.as_ref(), sources)
}

/// [`resolve`] for a world of this name that comes with these settings.
pub(super) fn resolve_for(
    name: &str,
    train: Option<&Table>,
    sources: &Sources,
) -> anyhow::Result<TrainConfig> {
    let mut merged = Merged::new()?;
    if let Some(table) = train {
        merged.add(&format!("scenario {name}: train"), table.clone())?;
    }
    if let Some(path) = sources.file {
        merged.add(&path.display().to_string(), read(path)?)?;
    }
    for (source, table) in sources.tables {
        merged.add(source, table.clone())?;
    }
    for text in sources.set {
        merged.add("--set", parse_set(text)?)?;
    }
    for (flag, key, value) in &sources.flags {
        merged.add(flag, nested(key, value.clone()))?;
    }
    merged.config.validate()?;
    Ok(merged.config)
}

struct Merged {
    table: Table,
    config: TrainConfig,
}

impl Merged {
    fn new() -> anyhow::Result<Self> {
        let config = TrainConfig::default();
        Ok(Self { table: Table::try_from(&config).context("the default settings")?, config })
    }

    fn add(&mut self, source: &str, table: Table) -> anyhow::Result<()> {
        self.drop_parameters_of_another_baseline(&table);
        merge(&mut self.table, table);
        self.config = serde_path_to_error::deserialize(Value::Table(self.table.clone())).map_err(
            |error: serde_path_to_error::Error<toml::de::Error>| {
                let path = match error.path().to_string() {
                    root if root == "." => String::new(),
                    path => format!("{path}: "),
                };
                let message = error.inner().message().trim_end();
                BadInput(format!("{source}: {path}{message}{}", hint(message)))
            },
        )?;
        // In its full form: a later source may set a part of what this one gave in short.
        self.table = Table::try_from(&self.config).context("the settings")?;
        Ok(())
    }

    /// Parameters belong to their baseline: who names another one starts from its defaults.
    fn drop_parameters_of_another_baseline(&mut self, table: &Table) {
        let named = table.get("comparisons").and_then(|value| value.get("baseline"));
        let comparisons = self.table.get_mut("comparisons").and_then(Value::as_table_mut);
        if let (Some(named), Some(comparisons)) = (named, comparisons)
            && comparisons.get("baseline") != Some(named)
        {
            comparisons.remove("parameters");
        }
    }
}

/// What the name that a message of serde does not know is most like, of those that it lists.
fn hint(message: &str) -> String {
    let names: Vec<&str> = message.split('`').skip(1).step_by(2).collect();
    match names.split_first() {
        Some((name, known)) if message.starts_with("unknown ") => {
            nearest_hint(name, known.iter().copied())
        }
        _ => String::new(),
    }
}

/// Tables are merged, everything else is replaced.
fn merge(into: &mut Table, from: Table) {
    for (key, value) in from {
        match (into.get_mut(&key), value) {
            (Some(Value::Table(into)), Value::Table(from)) => merge(into, from),
            (_, value) => {
                into.insert(key, value);
            }
        }
    }
}

pub(super) fn read(path: &Path) -> anyhow::Result<Table> {
    let label = path.display();
    let text = std::fs::read_to_string(path)
        .map_err(|error| BadInput(format!("{label}: expected a readable file, got {error}")))?;
    let table = text.parse().map_err(|error: toml::de::Error| {
        let start = error.span().map_or(0, |span| span.start.min(text.len()));
        let line = 1 + text.as_bytes()[..start].iter().filter(|byte| **byte == b'\n').count();
        BadInput(format!("{label}: line {line}: expected valid TOML, got {}", error.message()))
    })?;
    Ok(table)
}

/// `learner.gamma=0.9`: a dotted key and a TOML value; a bare word or path is taken as text.
fn parse_set(text: &str) -> anyhow::Result<Table> {
    let refused = |got: &str| {
        BadInput(format!("--set: expected KEY=VALUE such as learner.gamma=0.99, got {got:?}"))
    };
    let (key, value) = text.split_once('=').ok_or_else(|| refused(text))?;
    let (key, value) = (key.trim(), value.trim());
    let is_name = |part: &str| {
        !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    };
    if !key.split('.').all(is_name) {
        return Err(refused(text).into());
    }
    // A line break could smuggle in a second key.
    let parsed = format!("value = {value}").parse().ok().filter(|table: &Table| table.len() == 1);
    let value = match parsed.and_then(|mut table| table.remove("value")) {
        Some(parsed) => parsed,
        None if is_word(value) => Value::String(value.to_owned()),
        None => return Err(refused(text).into()),
    };
    Ok(nested(key, value))
}

fn is_word(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_alphabetic() || "./~".contains(first))
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_./~".contains(&byte))
}

/// A table that holds `value` at a dotted key.
pub(super) fn nested(key: &str, value: Value) -> Table {
    let mut parts = key.rsplit('.');
    let last = parts.next().unwrap_or_default();
    let innermost = Table::from_iter([(last.to_owned(), value)]);
    parts.fold(innermost, |inner, part| Table::from_iter([(part.to_owned(), Value::Table(inner))]))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a failed expectation is the point of a test

    use super::*;
    use crate::config::schedule::Schedule;
    use godwit_models::net::Architecture;

    fn quickstart(train: &str) -> Scenario {
        let mut scenario = Scenario::embedded("quickstart").unwrap();
        scenario.train = Some(train.parse().unwrap());
        scenario
    }

    fn message(scenario: &Scenario, set: &[&str]) -> String {
        let set: Vec<String> = set.iter().map(ToString::to_string).collect();
        let error = resolve(scenario, &Sources { set: &set, ..Sources::default() }).unwrap_err();
        super::super::one_line(&error)
    }

    #[test]
    fn later_sources_win_and_tables_are_merged() {
        let scenario =
            quickstart("env_steps = 1\nseed = 1\nlearner.gamma = 0.5\nlearner.n_step = 2");
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("config.toml");
        std::fs::write(&file, "seed = 2\nenv_copies = 3\n[learner]\nn_step = 3\n").unwrap();
        let set = ["env_copies = 4", "network.architecture=mlp", "exploration.epsilon.to=0.25"]
            .map(String::from);
        let flags = vec![("--seed", "seed", Value::Integer(5))];
        let config =
            resolve(&scenario, &Sources { file: Some(&file), set: &set, flags, tables: &[] })
                .unwrap();
        assert_eq!((config.env_steps, config.seed, config.env_copies), (1, 5, 4));
        assert_eq!((config.learner.gamma, config.learner.n_step), (0.5, 3));
        assert_eq!(config.network.architecture, Architecture::Mlp);
        assert_eq!(config.exploration.epsilon.to, 0.25);
        let defaults = TrainConfig::default();
        assert_eq!(config.exploration.epsilon.from, defaults.exploration.epsilon.from);
        assert_eq!(config.learner.batch_size, defaults.learner.batch_size);
    }

    #[test]
    fn a_number_sets_a_schedule_and_later_sources_may_change_a_part_of_it() {
        let scenario = quickstart("exploration.epsilon = 0.1");
        let resolved = |set: &[&str]| {
            let set: Vec<String> = set.iter().map(ToString::to_string).collect();
            let config = resolve(&scenario, &Sources { set: &set, ..Sources::default() }).unwrap();
            (config.exploration.epsilon, config.learner.learning_rate)
        };
        let rate = TrainConfig::default().learner.learning_rate;
        assert_eq!(resolved(&[]), (Schedule::constant(0.1), rate));
        assert_eq!(
            resolved(&["exploration.epsilon.from=1", "learner.learning_rate=1e-3"]),
            (Schedule { from: 1.0, to: 0.1, share: 1.0 }, Schedule::constant(1e-3))
        );
        assert_eq!(resolved(&["exploration.epsilon=0"]).0, Schedule::constant(0.0));
        let text = message(&scenario, &["exploration.epsilon=low"]);
        assert!(text.starts_with("--set: exploration.epsilon: invalid type: string"), "{text}");
        let text = message(&scenario, &["exploration.epsilon.form=1"]);
        assert!(text.contains("exploration.epsilon.form: unknown field `form`"), "{text}");
        let text = message(&scenario, &["exploration.epsilon=2"]);
        assert!(text.starts_with("exploration.epsilon: expected from, to and share"), "{text}");
    }

    #[test]
    fn a_misspelt_key_names_its_source_and_the_valid_ones() {
        let scenario = quickstart("");
        let text = message(&scenario, &["learner.gama=0.9"]);
        assert!(
            text.starts_with("--set: learner.gama: unknown field `gama`, expected one of"),
            "{text}"
        );
        assert!(text.contains("`gamma`"), "{text}");
        let text = message(&quickstart("batch_size = 3"), &[]);
        assert!(
            text.starts_with("scenario quickstart: train: batch_size: unknown field"),
            "{text}"
        );
    }

    #[test]
    fn another_baseline_of_comparisons_starts_from_its_own_defaults() {
        let scenario = quickstart(
            "[comparisons]\nbaseline = \"best-single-move\"\n\
             [comparisons.parameters]\nmin_gain = 0.3\n",
        );
        let parameters = |set: &[&str]| {
            let set: Vec<String> = set.iter().map(ToString::to_string).collect();
            let sources = Sources { set: &set, ..Sources::default() };
            let config = resolve(&scenario, &sources).unwrap();
            (config.comparisons.baseline, config.comparisons.parameters.len())
        };
        let same = "comparisons.baseline=best-single-move";
        assert_eq!(parameters(&[same]), ("best-single-move".into(), 1));
        let other = ["comparisons.baseline=runs/last", "comparisons.states=9"];
        assert_eq!(parameters(&other), ("runs/last".into(), 0));
        let tuned = ["comparisons.baseline=genetic", "comparisons.parameters.rounds=3"];
        assert_eq!(parameters(&tuned), ("genetic".into(), 1));
    }

    #[test]
    fn values_of_the_wrong_kind_or_range_are_refused() {
        let scenario = quickstart("");
        let text = message(&scenario, &["learner.n_step=many"]);
        assert!(text.starts_with("--set: learner.n_step: invalid type: string"), "{text}");
        let text = message(&scenario, &["learner.gamma=1.5"]);
        assert_eq!(text, "learner.gamma: expected 0 to 1, got 1.5");
        for bad in ["learner.gamma", "=3", "a..b=3", "seed=[1", "seed=1\nenv_steps=2"] {
            assert!(message(&scenario, &[bad]).starts_with("--set: expected KEY=VALUE"), "{bad}");
        }
    }
}
