//! The file that holds tuned parameters of baselines for one scenario.
//!
//! `godwit tune-baselines` writes it and `godwit evaluate --tuned` reads it. It is TOML, made to be
//! read and kept next to the results that rest on it:
//!
//! ```toml
//! format = "godwit-baselines/1"
//! scenario = "founding-10x50"
//! scenario_sha256 = "..."       # of the world, as in the manifest of an artifact
//!
//! [search]                      # what it takes to repeat the search
//! trials = 96                   # settings that were tried for each baseline at most
//! episodes = 96                 # training episodes of the last rung...
//! first_seed = 0                # ...the first of them
//! holdout_episodes = 192        # fresh training episodes, which decided...
//! holdout_first_seed = 96       # ...the first of them
//!
//! [baselines.hold-down]
//! tuned = true                  # false: the defaults stayed ahead on the fresh episodes
//! default_return = -300.5       # mean return of the defaults over the fresh episodes
//! best_return = -290.25         # of the best setting that was found, used or not
//! standard_error = 1.5          # of the paired difference between these two
//! trials = 96                   # settings that were tried for this baseline
//!
//! [baselines.hold-down.parameters]
//! hold_ticks = 2                # every parameter is stated, defaults included
//! min_gain = 0.05
//! threshold = 0.08
//! ```
//!
//! Every parameter is written out, so that a default that changes later changes no result that was
//! obtained with the file. A file for another scenario is refused, and one for an earlier state of
//! the same scenario, too: what was best there may be poor here. Seeds are those of training
//! episodes, of which evaluation never plays any.

use godwit_envs::input::{InputError, parse_toml, read_text};
use godwit_envs::scenario::Scenario;
use godwit_models::baselines::parameters::{Kind, Parameter};
use godwit_models::baselines::{Assignment, Baseline, baseline_with, find};
use godwit_models::parameter_search::{Search, Tuned};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use toml::Value;

/// Version of the format.
pub const FORMAT: &str = "godwit-baselines/1";

/// A whole file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TunedFile {
    /// [`FORMAT`].
    pub format: String,
    /// Name of the scenario.
    pub scenario: String,
    /// SHA-256 of the scenario.
    pub scenario_sha256: String,
    /// How the parameters were found.
    pub search: SearchRecord,
    /// What was found for each baseline.
    pub baselines: BTreeMap<String, TunedBaseline>,
}

/// How parameters were found.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SearchRecord {
    /// Settings that were tried for each baseline, at most.
    pub trials: usize,
    /// Training episodes of the last rung.
    pub episodes: usize,
    /// Seed of the first of them, and of all draws.
    pub first_seed: u64,
    /// Fresh training episodes that decided between the best setting and the defaults.
    pub holdout_episodes: usize,
    /// Seed of the first of them.
    pub holdout_first_seed: u64,
}

/// What was found for a baseline.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TunedBaseline {
    /// Whether `parameters` are better than the defaults, and not the defaults.
    pub tuned: bool,
    /// Mean return of the defaults over the fresh episodes.
    pub default_return: f64,
    /// Mean return of the best setting over the fresh episodes, used or not.
    pub best_return: f64,
    /// Standard error of the mean paired difference between the two.
    pub standard_error: f64,
    /// Settings that were tried.
    pub trials: usize,
    /// The parameters to use: numbers, and names of choices.
    pub parameters: BTreeMap<String, Value>,
}

/// Parameters of a baseline that a file gave, checked.
#[derive(Debug, Clone, PartialEq)]
pub struct Setting {
    /// Whether they are better than the defaults, and not the defaults.
    pub tuned: bool,
    /// The parameters.
    pub parameters: Assignment,
}

/// Where the file of a scenario lies unless another path is given: `baselines/NAME.toml`.
pub fn default_path(scenario: &Scenario) -> PathBuf {
    Path::new("baselines").join(format!("{}.toml", scenario.name))
}

impl TunedFile {
    /// A file without baselines yet.
    pub fn new(scenario: &Scenario, search: &Search) -> Self {
        let (seen, fresh) = (search.seeds(), search.holdout_seeds());
        Self {
            format: FORMAT.to_owned(),
            scenario: scenario.name.clone(),
            scenario_sha256: scenario.world_sha256(),
            search: SearchRecord {
                trials: search.trials,
                episodes: search.episodes,
                first_seed: seen.start,
                holdout_episodes: (fresh.end - fresh.start) as usize,
                holdout_first_seed: fresh.start,
            },
            baselines: BTreeMap::new(),
        }
    }

    /// Adds what was found for a baseline.
    pub fn add(&mut self, name: &str, found: &Tuned) {
        let parameters = parameters_of(name);
        let value = |(key, &value): (&String, &f64)| {
            let known = parameters.iter().find(|parameter| parameter.name == key);
            (key.clone(), known.map_or(Value::Float(value), |known| to_value(known, value)))
        };
        // Six decimals: the rest would be noise to whoever reads the file.
        let short = |x: f64| (x * 1e6).round() / 1e6;
        self.baselines.insert(
            name.to_owned(),
            TunedBaseline {
                tuned: found.tuned,
                default_return: short(found.default_return),
                best_return: short(found.best_return),
                standard_error: short(found.standard_error),
                trials: found.trials,
                parameters: found.parameters.iter().map(value).collect(),
            },
        );
    }

    /// The file's text, with a comment on each parameter.
    pub fn to_toml(&self) -> String {
        let SearchRecord { trials, episodes, first_seed, .. } = self.search;
        let mut text = format!(
            "# Parameters of baselines, tuned on training episodes by godwit {}.\n\
             # Settings tried: {trials} for each baseline, on up to {episodes} episodes (--seed {first_seed}).\n\n",
            env!("CARGO_PKG_VERSION")
        );
        let line = |table: &mut String, key: &str, value: Value| {
            // Writing to a string does not fail.
            let _ = writeln!(table, "{key} = {value}");
        };
        line(&mut text, "format", Value::from(self.format.as_str()));
        line(&mut text, "scenario", Value::from(self.scenario.as_str()));
        line(&mut text, "scenario_sha256", Value::from(self.scenario_sha256.as_str()));
        text.push_str("\n[search]\n");
        let search = &self.search;
        for (key, number) in [
            ("trials", search.trials as u64),
            ("episodes", search.episodes as u64),
            ("first_seed", search.first_seed),
            ("holdout_episodes", search.holdout_episodes as u64),
            ("holdout_first_seed", search.holdout_first_seed),
        ] {
            line(&mut text, key, Value::Integer(number as i64));
        }
        for (name, found) in &self.baselines {
            let _ = writeln!(text, "\n[baselines.{name}]");
            line(&mut text, "tuned", Value::Boolean(found.tuned));
            line(&mut text, "default_return", Value::Float(found.default_return));
            line(&mut text, "best_return", Value::Float(found.best_return));
            line(&mut text, "standard_error", Value::Float(found.standard_error));
            line(&mut text, "trials", Value::Integer(found.trials as i64));
            let _ = writeln!(text, "\n[baselines.{name}.parameters]");
            let known = parameters_of(name);
            for (key, value) in &found.parameters {
                if let Some(known) = known.iter().find(|known| known.name == key) {
                    let default = known.text(known.default);
                    let _ = writeln!(
                        text,
                        "# {}: {}, default {default}{}",
                        known.meaning,
                        known.range(),
                        if known.online_only { "; online scenarios only" } else { "" }
                    );
                }
                line(&mut text, key, value.clone());
            }
        }
        text
    }

    /// Reads a file that must be for this scenario as it is now; settings by the baselines' names.
    ///
    /// # Errors
    /// When it cannot be read, is for another scenario, or names a baseline, parameter or value
    /// that there is not.
    pub fn read(path: &Path, scenario: &Scenario) -> Result<BTreeMap<String, Setting>, InputError> {
        Self::parse(&read_text(path)?, &path.display().to_string(), scenario)
    }

    /// [`TunedFile::read`], of a text; `label` is what errors call the file.
    ///
    /// # Errors
    /// As for [`TunedFile::read`].
    pub fn parse(
        text: &str,
        label: &str,
        scenario: &Scenario,
    ) -> Result<BTreeMap<String, Setting>, InputError> {
        let file: Self = parse_toml(text, label)?;
        if file.format != FORMAT {
            return Err(InputError::field(label, "format", FORMAT, file.format));
        }
        let (expected, got) = (scenario.world_sha256(), file.scenario_sha256);
        if expected != got {
            let short = |hash: &str| hash.chars().take(12).collect::<String>();
            return Err(InputError::field(
                label,
                "scenario_sha256",
                format!("{} ({} as it is now)", short(&expected), scenario.name),
                format!("{} (tuned on {})", short(&got), file.scenario),
            ));
        }
        file.baselines
            .into_iter()
            .map(|(name, found)| {
                let parameters = checked(label, &name, &found.parameters)?;
                Ok((name, Setting { tuned: found.tuned, parameters }))
            })
            .collect()
    }
}

fn parameters_of(name: &str) -> Vec<Parameter> {
    let declaration = find(name).and_then(Baseline::declaration);
    declaration.map(|declaration| declaration.parameters()).unwrap_or_default()
}

fn to_value(parameter: &Parameter, value: f64) -> Value {
    match parameter.kind {
        Kind::Integer(_) => Value::Integer(value as i64),
        Kind::Real(_) | Kind::LogReal(_) => Value::Float(value),
        Kind::Choice(_) => Value::String(parameter.text(value)),
    }
}

/// The parameters of a baseline as numbers, once it is known that it takes them.
fn checked(
    label: &str,
    name: &str,
    values: &BTreeMap<String, Value>,
) -> Result<Assignment, InputError> {
    let known = parameters_of(name);
    let field = |parameter: Option<&str>| match parameter {
        Some(parameter) => format!("baselines.{name}.parameters.{parameter}"),
        None => format!("baselines.{name}"),
    };
    let mut assignment = Assignment::new();
    for (key, value) in values {
        let parameter = known.iter().find(|parameter| parameter.name == key);
        let number = match (value, parameter.map(|parameter| &parameter.kind)) {
            (Value::String(variant), Some(Kind::Choice(names))) => {
                names.iter().position(|name| name == variant).map(|index| index as f64)
            }
            (_, Some(Kind::Choice(_))) => None,
            (Value::Integer(number), _) => Some(*number as f64),
            (Value::Float(number), _) => Some(*number),
            // An unknown parameter is refused below, whatever its value is.
            (_, None) => Some(0.0),
            _ => None,
        };
        let Some(number) = number else {
            let expected = parameter.map(Parameter::range).unwrap_or_default();
            return Err(InputError::field(label, field(Some(key)), expected, value.to_string()));
        };
        assignment.insert(key.clone(), number);
    }
    match baseline_with(name, &assignment) {
        Ok(_) => Ok(assignment),
        Err(error) => Err(InputError::field(
            label,
            field(error.parameter.as_deref()),
            error.expected,
            error.got,
        )),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a failed expectation is the point of a test

    use super::*;

    fn scenario() -> Scenario {
        Scenario::embedded("quickstart").unwrap()
    }

    fn file() -> TunedFile {
        let search = Search { trials: 8, episodes: 3, seed: 7 };
        let mut file = TunedFile::new(&scenario(), &search);
        let found = |parameters: &[(&str, f64)]| Tuned {
            tuned: true,
            parameters: parameters.iter().map(|(key, value)| ((*key).into(), *value)).collect(),
            default_return: 1.25,
            best_return: 4.0 / 3.0,
            standard_error: 0.0,
            trials: 8,
        };
        file.add("hold-down", &found(&[("hold_ticks", 2.0), ("threshold", 0.1)]));
        file.add("annealing", &Tuned { tuned: false, ..found(&[("cold", 1e-5)]) });
        file.add("low-node-utilization", &found(&[("thresholds", 1.0), ("low", 0.25)]));
        file
    }

    #[test]
    fn what_is_written_is_read_back() {
        let text = file().to_toml();
        insta::assert_snapshot!(text.replace(&scenario().world_sha256(), "HASH"));
        assert_eq!(parse_toml::<TunedFile>(&text, "x").unwrap(), file());
        let settings = TunedFile::parse(&text, "x", &scenario()).unwrap();
        assert_eq!(settings["hold-down"].parameters["hold_ticks"], 2.0);
        assert_eq!(settings["low-node-utilization"].parameters["thresholds"], 1.0);
        assert!(settings["hold-down"].tuned && !settings["annealing"].tuned);
    }

    #[test]
    fn what_is_wrong_is_named_with_file_and_field() {
        let text = file().to_toml();
        let refused = |from: &str, to: &str| {
            assert!(text.contains(from), "{from}");
            let text = text.replacen(from, to, 1);
            TunedFile::parse(&text, "x.toml", &scenario()).unwrap_err().to_string()
        };
        for (from, to, expected) in [
            (
                "hold_ticks = 2",
                "hold_ticks = 0",
                "x.toml: baselines.hold-down.parameters.hold_ticks: expected a whole number from \
                 1 to 12, got 0",
            ),
            (
                "hold_ticks = 2",
                "hold_ticks = \"2\"",
                "x.toml: baselines.hold-down.parameters.hold_ticks: expected a whole number from \
                 1 to 12, got \"2\"",
            ),
            (
                "\nthresholds = \"fixed\"",
                "\nthresholds = \"mixed\"",
                "x.toml: baselines.low-node-utilization.parameters.thresholds: expected one of \
                 deviation, fixed, got \"mixed\"",
            ),
            (
                "\nlow = 0.25",
                "\nlow = 0.75",
                "x.toml: baselines.low-node-utilization.parameters.low: expected no more than \
                 target, got 0.75",
            ),
            (
                "tuned = true",
                "tuned = 1",
                "x.toml: baselines.hold-down.tuned: expected a boolean, got integer 1",
            ),
            ("/1\"", "/2\"", "x.toml: format: expected godwit-baselines/1, got godwit-baselines/2"),
        ] {
            assert_eq!(refused(from, to), expected);
        }
        let text = refused("\nhold_ticks", "\nhold_tick");
        assert!(text.contains("parameters.hold_tick: expected one of the parameters"), "{text}");
        let text = refused("baselines.annealing]", "baselines.annealer]");
        assert!(text.starts_with("x.toml: baselines.annealer"), "{text}");
        assert!(refused("[search]", "[search").contains("x.toml: line "));
    }

    #[test]
    fn a_file_for_another_world_is_refused() {
        let text = file().to_toml();
        // How policies train changes nothing in the world.
        let train = Some(toml::toml! { env_steps = 5 });
        let other_training = Scenario { train, ..scenario() };
        assert!(TunedFile::parse(&text, "x", &other_training).is_ok());
        let mut changed = scenario();
        changed.rules.episode.move_budget = 11;
        let error = TunedFile::parse(&text, "x", &changed).unwrap_err().to_string();
        assert!(error.starts_with("x: scenario_sha256: expected "), "{error}");
        let other = Scenario::embedded("founding-3x3").unwrap();
        let error = TunedFile::parse(&text, "x", &other).unwrap_err().to_string();
        assert!(error.contains("founding-3x3 as it is now"), "{error}");
        assert!(error.contains("tuned on quickstart"), "{error}");
    }
}
