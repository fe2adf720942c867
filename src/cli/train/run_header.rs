//! What a run says at its start: what is trained, on what, and how.

use crate::cli::reference::toml_value;
use crate::cli::settings_list::wrapped;
use crate::config::TrainConfig;
use crate::train::assemble::ClusterTrainer;
use crate::train::mixture::{Mixture, Part};
use godwit_envs::scenario::WorldTemplate;
use godwit_models::net::Architecture;
use serde_json::{Map, Value};
use std::path::Path;
use tch::Device;

/// Longest line.
const COLUMNS: usize = 80;

/// Scenarios that are listed at most.
const MOST_LISTED: usize = 8;

/// Settings that lines of their own tell.
const TOLD: [&str; 4] = ["env_steps", "max_minutes", "seed", "network.architecture"];

/// The lines, before the first round. `ranks` is how many processes train together.
pub(super) fn header(
    mixture: &Mixture,
    trainer: &ClusterTrainer,
    ranks: usize,
    folder: &Path,
) -> String {
    let config = &trainer.config;
    let mut lines = Vec::new();
    for Part { scenario, .. } in mixture.parts().iter().take(MOST_LISTED) {
        let template = WorldTemplate::new(scenario);
        let mode = scenario.rules.episode.mode.name();
        let (nodes, workloads) = (template.spec().nodes(), template.spec().workloads());
        let text = format!("{}: {nodes} nodes, {workloads} workloads, {mode}", scenario.name);
        lines.push(("scenario", text));
    }
    let more = mixture.parts().len().saturating_sub(MOST_LISTED);
    if more > 0 {
        lines.push(("", format!("and {more} more")));
    }
    let architecture = match config.network.architecture {
        Architecture::Relational => "relational",
        Architecture::Candidate => "candidate",
        Architecture::Mlp => "mlp",
    };
    let parameters = trainer.learner.online.flat.numel();
    lines.push(("network", format!("{architecture}, {parameters} parameters")));
    let backend = trainer.learner.backend();
    let device = match trainer.learner.online.flat.device() {
        Device::Cuda(index) => format!("cuda:{index}"),
        _ => "cpu".to_owned(),
    };
    let threads = match rayon::current_num_threads() {
        1 => "1 thread".to_owned(),
        threads => format!("{threads} threads"),
    };
    let each = if ranks > 1 { format!(" on each of {ranks} ranks") } else { String::new() };
    let text = format!("{device}, {backend} backend, {threads}{each}, seed {}", config.seed);
    lines.push(("device", text));
    lines.push(("recipe", recipe(config)));
    lines.push(("length", length(config, trainer.counters.env_steps)));
    lines.push(("folder", folder.display().to_string()));
    let mut text = String::new();
    for (name, told) in lines {
        for (at, line) in wrapped(&told, COLUMNS - 10).iter().enumerate() {
            let name = if at == 0 { name } else { "" };
            text.push_str(&format!("{name:<10}{line}\n"));
        }
    }
    text
}

/// The settings that are not at their defaults.
fn recipe(config: &TrainConfig) -> String {
    let table = |config: &TrainConfig| {
        let mut flat = Vec::new();
        let value = serde_json::to_value(config).unwrap_or_default();
        flatten("", value.as_object().unwrap_or(&Map::new()), &mut flat);
        flat
    };
    let defaults = table(&TrainConfig::default());
    let differs = table(config)
        .into_iter()
        .filter(|setting| !TOLD.contains(&setting.0.as_str()) && !defaults.contains(setting))
        .map(|(key, value)| format!("{key} = {}", toml_value(&value)))
        .collect::<Vec<_>>();
    match differs.is_empty() {
        true => "all settings at their defaults".to_owned(),
        false => format!("{}; all else at defaults", differs.join(", ")),
    }
}

/// Tables become dotted keys; schedules stay whole.
fn flatten(path: &str, table: &Map<String, Value>, out: &mut Vec<(String, Value)>) {
    for (name, value) in table {
        let key = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        match value {
            Value::Object(inner) if !is_schedule(inner) => flatten(&key, inner, out),
            _ => out.push((key, value.clone())),
        }
    }
}

fn is_schedule(table: &Map<String, Value>) -> bool {
    ["from", "to", "share"].iter().all(|part| table.contains_key(*part))
}

fn length(config: &TrainConfig, made: u64) -> String {
    let mut text = format!("{} env steps", config.env_steps);
    if made > 0 {
        text.push_str(&format!(", {made} of them made"));
    }
    if config.max_minutes > 0.0 {
        text.push_str(&format!(", {} minutes at most", config.max_minutes));
    }
    text.push_str("; the time follows once updates are made");
    text
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a failed expectation is the point of a test

    use super::*;
    use crate::config::schedule::Schedule;
    use crate::train::assemble::new_trainer;
    use godwit_envs::scenario::Scenario;

    #[test]
    fn the_header_says_what_is_trained_and_what_differs_from_the_defaults() {
        let mut config = TrainConfig { seed: 7, env_copies: 2, ..TrainConfig::default() };
        config.max_minutes = 30.0;
        config.learner.n_step = 3;
        config.exploration.epsilon = Schedule { from: 1.0, to: 0.1, share: 0.5 };
        let mixture = Mixture::from(Scenario::embedded("founding-3x3").unwrap());
        let trainer = new_trainer(&mixture, &config, Device::Cpu).unwrap();
        let text = header(&mixture, &trainer, 1, Path::new("checkpoints/a"));
        for part in [
            "scenario  founding-3x3: 3 nodes, 3 workloads, rebalance\n",
            &format!("network   relational, {} parameters\n", trainer.learner.online.flat.numel()),
            "device    cpu, native backend, ",
            "seed 7\n",
            "env_copies = 2",
            "learner.n_step = 3",
            "exploration.epsilon = { from = 1.0, to = 0.1, share = 0.5 }",
            "200000 env steps, 30 minutes at most",
            "folder    checkpoints/a\n",
        ] {
            let joined = text.replace("\n          ", " ");
            assert!(joined.contains(part), "expected {part:?} in\n{text}");
        }
        assert!(!text.contains("gamma"), "{text}");
        assert!(text.lines().all(|line| line.chars().count() <= COLUMNS), "{text}");
        assert_eq!(recipe(&TrainConfig::default()), "all settings at their defaults");
    }
}
