//! Export: a checkpoint's network becomes an artifact, one immutable TorchScript file.

mod inputs;
mod observe;
mod parity;
mod results;
mod verify;

pub use inputs::{inputs, module_q};
pub use observe::{disturbed, observations};
pub use parity::{Parity, TOLERANCE, compare};
pub use results::results;
pub use verify::{VerifyReport, load_module, verify, verify_with};

use crate::checkpoint::{self, LoadedCheckpoint};
use crate::networks::{Parameters, script};
use crate::torch_ext::{Constant, export_script_module};
use anyhow::{Context, anyhow};
use godwit_envs::observe::ranges::Ranges;
use godwit_envs::observe::{ObservationBuffer, features};
use godwit_envs::scenario::Scenario;
use godwit_models::artifact::{
    Artifact, Evaluation, FORMAT, Golden, Manifest, extra_files, golden_bytes, seal, weights_bytes,
};
use godwit_models::net::{Network, NetworkSpec};
use godwit_models::network_policy::Base;
use serde::Serialize;
use serde_json::{Value, json};
use std::fs::File;
use std::path::{Path, PathBuf};
use tch::Device;

/// Golden observations in an artifact.
const GOLDEN: usize = 2;

/// Observations of the scenario between two golden ones: other episodes, other numbers of moves.
const GOLDEN_APART: usize = 19;

/// Further observations that a new file is compared on.
const CHECKED: usize = 100;

/// Seed of the episodes that golden vectors and checks come from.
const SEED: u64 = 0x676f_6c64;

/// What an artifact is made of.
#[derive(Debug, Clone)]
pub struct Source {
    /// Shape of the network.
    pub spec: NetworkSpec,
    /// All weights, flat, in the order of [`NetworkSpec::parameters`].
    pub weights: Vec<f32>,
    /// What the policy improves on, if it does.
    pub base: Option<Base>,
    /// What it was trained on, or is to decide about.
    pub scenario: Scenario,
    /// Whether it takes the resource kinds of each snapshot, in place of the scenario's.
    pub any_resources: bool,
    /// Within which ranges features were in training; empty where that is not known.
    pub ranges: Ranges,
    /// Where the weights come from.
    pub training: Value,
    /// How well they do.
    pub evaluation: Vec<Evaluation>,
}

/// What was written.
#[derive(Debug, Clone, Serialize)]
pub struct ExportReport {
    /// The file.
    pub path: PathBuf,
    /// Its size.
    pub bytes: u64,
    /// SHA-256 of the file.
    pub sha256: String,
    /// Number of weights.
    pub weights: usize,
    /// Scenario that the network was trained on.
    pub scenario: String,
    /// Golden observations in it.
    pub golden: usize,
    /// libtorch against the native forward pass, both read back from the file, on the golden and
    /// on further observations of the scenario.
    pub parity: Parity,
}

impl std::fmt::Display for ExportReport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(
            f,
            "{}: {} weights trained on {}, {} golden observations, {} bytes, sha256 {}",
            self.path.display(),
            self.weights,
            self.scenario,
            self.golden,
            self.bytes,
            self.sha256
        )?;
        writeln!(f, "libtorch against native: {}", self.parity)
    }
}

/// What an artifact decides about, where that is not the scenario of its training.
#[derive(Debug, Clone, Default)]
pub struct Target {
    /// Its rules are the artifact's; the first scenario of the training if there is none.
    pub scenario: Option<Scenario>,
    /// Whether the artifact takes the resource kinds of each snapshot.
    pub any_resources: bool,
}

/// Exports the policy of a checkpoint, or of a run directory: its best checkpoint, else its last.
/// The artifact states how it and the baselines do on so many held-out episodes of the scenario that
/// it is for.
///
/// # Errors
/// When the checkpoint cannot be used, or as for [`write()`].
pub fn export(
    checkpoint_path: &Path,
    out: &Path,
    target: Target,
    episodes: usize,
    progress: bool,
) -> anyhow::Result<ExportReport> {
    let loaded = checkpoint::load(checkpoint_path)?;
    let policy = loaded.policy(results::POLICY)?;
    let LoadedCheckpoint {
        spec, weights, mixture, config, counters, mean_return, base, path, ..
    } = loaded;
    let training = json!({
        // The name alone: where it lay on this machine says nothing elsewhere.
        "checkpoint": path.file_name().map(|name| name.to_string_lossy()),
        "seed": config.seed,
        "env_steps": counters.env_steps,
        "updates": counters.updates,
        "episodes": counters.episodes,
        "validation_return": mean_return,
        "scenarios": mixture.parts().iter().map(|part| &part.scenario.name).collect::<Vec<_>>(),
        "config": serde_json::to_value(&config).context("the training configuration as JSON")?,
    });
    let any_resources = target.any_resources;
    let mut scenario = target.scenario.unwrap_or_else(|| mixture.first().clone()).with_unit();
    if scenario.rules.sections() != policy.sections() {
        scenario.rules.observation = Some(policy.sections());
    }
    let ranges = observe::ranges(&mixture, &policy, SEED)?;
    let evaluation = results(&scenario, policy, episodes, progress)?;
    write(
        &Source { spec, weights, base, scenario, any_resources, ranges, training, evaluation },
        out,
    )
}

/// Writes an artifact: the TorchScript module with manifest, weights and golden vectors, sealed.
/// The file is read back and libtorch compared with the native forward pass before it is renamed
/// into place; on failure nothing is left, and what was at `out` stays.
///
/// # Errors
/// When a file cannot be written or the two forms of the network differ.
pub fn write(source: &Source, out: &Path) -> anyhow::Result<ExportReport> {
    let name = out
        .file_name()
        .ok_or_else(|| anyhow!("{}: expected the name of a file, got none", out.display()))?;
    let folder = match out.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    // Beside the final place, so that renaming is one step; removed when this function ends.
    let scratch = tempfile::Builder::new()
        .prefix(".godwit-export-")
        .tempdir_in(folder)
        .with_context(|| format!("{}: expected a folder to write to", folder.display()))?;
    let draft = scratch.path().join(name);

    let seen = observations(&source.scenario, CHECKED + GOLDEN * GOLDEN_APART, SEED)?;
    let golden: Vec<&ObservationBuffer> = seen.iter().step_by(GOLDEN_APART).take(GOLDEN).collect();
    let golden = golden_vectors(source, &golden, &draft)?;
    save_module(source, &draft, &files(source, &golden)?)?;
    seal(&draft)?;

    let artifact = Artifact::read(&draft)?;
    artifact.rules()?;
    let module = load_module(&draft)?;
    let mut network = Network::new(&source.spec);
    network.load_flat(&artifact.weights);
    let goldens = artifact.golden.iter().map(|golden| &golden.observation);
    let parity = compare(&module, &mut network, goldens.chain(seen.iter().rev().take(CHECKED)))?;
    verify::require(&parity, out)?;

    let written =
        File::open(&draft).and_then(|file| file.sync_all().and_then(|()| file.metadata()));
    let bytes = written.with_context(|| format!("{}: cannot be synced", out.display()))?.len();
    std::fs::rename(&draft, out)
        .and_then(|()| File::open(folder)?.sync_all())
        .with_context(|| format!("{}: cannot be written", out.display()))?;
    Ok(ExportReport {
        path: out.to_owned(),
        bytes,
        sha256: artifact.sha256,
        weights: artifact.weights.len(),
        scenario: source.scenario.name.clone(),
        golden: golden.len(),
        parity,
    })
}

/// Golden values come from libtorch, so that reading the artifact compares two implementations.
fn golden_vectors(
    source: &Source,
    observations: &[&ObservationBuffer],
    draft: &Path,
) -> anyhow::Result<Vec<Golden>> {
    save_module(source, draft, &[])?;
    let module = load_module(draft)?;
    observations
        .iter()
        .map(|&observation| {
            let q = module_q(&module, &inputs(&source.spec, observation))?;
            Ok(Golden { observation: observation.clone(), q })
        })
        .collect()
}

fn files(source: &Source, golden: &[Golden]) -> anyhow::Result<[(String, Vec<u8>); 3]> {
    // By way of text: as a value, a 0.3 of 32 bits would show as 0.30000001192092896.
    let mut rules = source.scenario.rules.clone();
    if source.any_resources {
        rules.resources.clear();
        rules.objective.unit = None;
    }
    let rules = serde_json::to_string(&rules)
        .and_then(|text| serde_json::from_str(&text))
        .context("the rules as JSON")?;
    let manifest = Manifest {
        format: FORMAT.to_owned(),
        producer: env!("CARGO_PKG_VERSION").to_owned(),
        libtorch: crate::doctor::libtorch_in_use().unwrap_or_else(|| "unknown".to_owned()),
        network: source.spec.clone(),
        base: source.base.clone(),
        schema: features::schema(source.scenario.rules.sections()),
        schema_hash: String::new(),
        ranges: source.ranges.clone(),
        scenario_name: source.scenario.name.clone(),
        rules,
        scenario_sha256: source.scenario.world_sha256(),
        training: source.training.clone(),
        evaluation: source.evaluation.clone(),
        weights_sha256: String::new(),
        golden_sha256: String::new(),
    };
    Ok(extra_files(
        manifest,
        weights_bytes(&source.spec, &source.weights),
        golden_bytes(&source.spec, golden),
    ))
}

fn save_module(source: &Source, path: &Path, files: &[(String, Vec<u8>)]) -> anyhow::Result<()> {
    let mut parameters = Parameters::zeros(&source.spec, Device::Cpu);
    parameters.load(&source.weights);
    let named: Vec<_> = parameters.named().collect();
    let constants = [("format".to_owned(), Constant::Text(FORMAT.to_owned()))];
    Ok(export_script_module(path, &script(&source.spec), &named, &constants, files)?)
}
