//! Artifacts and snapshots for tests, written without libtorch.

#![allow(dead_code)] // each test program uses a part
#![allow(clippy::unwrap_used)] // a failed expectation is the point of a test

pub mod client;
pub mod greedy;
pub mod mutate;
pub mod samples;
pub mod service;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use assert_cmd::Command;
use godwit_envs::env::Env;
use godwit_envs::env::cluster_env::ClusterEnv;
use godwit_envs::observe::ObservationBuffer;
use godwit_envs::scenario::{Phase, Scenario, WorldTemplate};
use godwit_models::artifact::{
    FORMAT, Golden, Manifest, extra_files, golden_bytes, seal, weights_bytes,
};
use godwit_models::net::{Architecture, FixedSize, Network, NetworkSpec};
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

pub fn scorer() -> Command {
    Command::cargo_bin("godwit-scorer").unwrap()
}

pub fn env(scenario: &Scenario) -> ClusterEnv {
    ClusterEnv::new(Arc::new(WorldTemplate::new(scenario)), Phase::Evaluate).unwrap()
}

/// Writes the start of an episode as a snapshot, changed as JSON.
pub fn write_snapshot(
    path: &Path,
    scenario: &Scenario,
    change: impl FnOnce(&mut serde_json::Value),
) {
    let mut env = env(scenario);
    env.reset(7).unwrap();
    let mut json = serde_json::to_value(env.state().to_snapshot()).unwrap();
    change(&mut json);
    std::fs::write(path, json.to_string()).unwrap();
}

/// An artifact whose relational network prefers the greatest decrease of the objective and stays
/// where there is none; an mlp has arbitrary weights. `change` may alter the manifest before it
/// is written.
pub fn write_artifact(
    path: &Path,
    scenario: &Scenario,
    architecture: Architecture,
    change: impl FnOnce(&mut Manifest),
) {
    write_artifact_with(path, scenario, architecture, -1e-4, change);
}

/// [`write_artifact`], with what a migration is worth by itself.
pub fn write_artifact_with(
    path: &Path,
    scenario: &Scenario,
    architecture: Architecture,
    bonus: f32,
    change: impl FnOnce(&mut Manifest),
) {
    let env = env(scenario);
    let space = env.observation_space();
    let fixed = (architecture == Architecture::Mlp)
        .then_some(FixedSize { nodes: space.nodes, workloads: space.workloads });
    let spec = NetworkSpec::new(architecture, &space.schema, fixed);
    let weights = match architecture {
        Architecture::Relational => greedy_weights(&spec, &env, bonus),
        Architecture::Candidate | Architecture::Mlp => {
            (0..spec.parameter_count()).map(|i| 0.05 * (0.7 * i as f32).sin()).collect()
        }
    };
    let mut network = Network::new(&spec);
    network.load_flat(&weights);
    let mut observation = ObservationBuffer::new(space);
    env.observe(&mut observation);
    let mut q = vec![0.0; observation.actions()];
    network.q_values(&observation, &mut q);
    let mut manifest = Manifest {
        base: None,
        format: FORMAT.to_owned(),
        producer: "0.1.0".to_owned(),
        libtorch: "none".to_owned(),
        network: spec.clone(),
        schema: space.schema.clone(),
        schema_hash: String::new(),
        ranges: Default::default(),
        scenario_name: scenario.name.clone(),
        rules: serde_json::to_value(&scenario.rules).unwrap(),
        scenario_sha256: "0".repeat(64),
        training: serde_json::json!({"seed": 1, "config": {"learner": {"batch": 64}}}),
        evaluation: Vec::new(),
        weights_sha256: String::new(),
        golden_sha256: String::new(),
    };
    change(&mut manifest);
    let golden = golden_bytes(&spec, &[Golden { observation, q }]);
    let files = extra_files(manifest, weights_bytes(&spec, &weights), golden);

    let mut zip = ZipWriter::new(std::fs::File::create(path).unwrap());
    let stored = SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    for (name, contents) in &files {
        zip.start_file(format!("policy/extra/{name}"), stored).unwrap();
        zip.write_all(contents).unwrap();
    }
    zip.finish().unwrap().sync_all().unwrap();
    seal(path).unwrap();
}

/// Q of a migration: what it takes off the objective, and the bonus; Q of staying: 0.
fn greedy_weights(spec: &NetworkSpec, env: &ClusterEnv, bonus: f32) -> Vec<f32> {
    let schema = &env.observation_space().schema;
    let gain = schema.candidate.iter().position(|f| f.name == "objective_change").unwrap();
    let mut weights = Vec::with_capacity(spec.parameter_count());
    for (name, shape) in spec.parameters() {
        let start = weights.len();
        weights.resize(start + shape.iter().product::<usize>(), 0.0);
        match name.as_str() {
            "candidate_feature_weight" => weights[start + gain * spec.hidden] = -1.0,
            "head_weight" | "advantage_weight" => weights[start] = 1.0,
            "advantage_bias" => weights[start] = bonus,
            _ => {}
        }
    }
    weights
}

/// A folder with a greedy artifact and a snapshot of an embedded scenario.
pub struct Fixture {
    folder: tempfile::TempDir,
    pub scenario: Scenario,
}

impl Fixture {
    pub fn new(name: &str) -> Self {
        let fixture = Self {
            folder: tempfile::tempdir().unwrap(),
            scenario: Scenario::embedded(name).unwrap(),
        };
        write_artifact(&fixture.model(), &fixture.scenario, Architecture::Relational, |_| {});
        write_snapshot(&fixture.snapshot(), &fixture.scenario, |_| {});
        fixture
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn model(&self) -> PathBuf {
        self.path("policy.pt")
    }

    pub fn snapshot(&self) -> PathBuf {
        self.path("snapshot.json")
    }

    /// `decide` with this model and snapshot.
    pub fn decide(&self, model: &Path, snapshot: &Path) -> Command {
        let mut command = scorer();
        command.arg("decide").arg("--model").arg(model).arg("--snapshot").arg(snapshot);
        // Plans that are compared must not depend on the clock.
        command.args(["--think", "0"]);
        command
    }
}
