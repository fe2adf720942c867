//! The three forms of a network compute the same: the exported TorchScript module in libtorch and
//! in Python, and the native forward pass.

use godwit::export::{self, Source};
use godwit::networks::Parameters;
use godwit_envs::env::Env;
use godwit_envs::env::cluster_env::ClusterEnv;
use godwit_envs::observe::ranges::Ranges;
use godwit_envs::rng::stream;
use godwit_envs::scenario::{Phase, Scenario, WorldTemplate};
use godwit_models::artifact::{Artifact, Golden, golden_bytes};
use godwit_models::net::{Architecture, FixedSize, NetworkSpec};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use tch::{CModule, Device};

const OBSERVATIONS: usize = 1000;

/// Fresh weights for an embedded scenario.
fn source(name: &str, architecture: Architecture, seed: u64) -> Source {
    let scenario = Scenario::embedded(name).unwrap();
    let template = Arc::new(WorldTemplate::new(&scenario));
    let env = ClusterEnv::new(template, Phase::Evaluate).unwrap();
    let space = env.observation_space();
    let fixed = (architecture == Architecture::Mlp)
        .then_some(FixedSize { nodes: space.nodes, workloads: space.workloads });
    let spec = NetworkSpec::new(architecture, &space.schema, fixed);
    let mut weights = Vec::new();
    let mut rng = stream(seed, "weights");
    Parameters::fresh(&spec, Device::Cpu, &mut rng).save(&mut weights);
    // Fresh values are near zero, where a small difference would be a large error.
    weights.iter_mut().for_each(|weight| *weight *= 1.5);
    let training = serde_json::json!({ "seed": seed });
    let (base, any_resources, evaluation) = (None, false, Vec::new());
    let ranges = Ranges::default();
    Source { spec, weights, base, scenario, any_resources, ranges, training, evaluation }
}

/// Every embedded scenario with every network.
fn sources() -> Vec<Source> {
    let mut sources = Vec::new();
    for name in ["founding-3x3", "quickstart", "founding-10x50"] {
        for architecture in [Architecture::Relational, Architecture::Candidate, Architecture::Mlp] {
            sources.push(source(name, architecture, sources.len() as u64));
        }
    }
    sources
}

#[test]
fn libtorch_and_the_native_forward_pass_agree_on_1000_observations() {
    let folder = tempfile::tempdir().unwrap();
    for source in sources() {
        let path = folder.path().join("policy.pt");
        export::write(&source, &path).unwrap();
        let mut network = Artifact::read(&path).unwrap().network;
        let module = CModule::load(&path).unwrap();
        let observations = export::observations(&source.scenario, OBSERVATIONS, 1).unwrap();
        let parity = export::compare(&module, &mut network, &observations).unwrap();
        let label = format!("{} {:?}", source.scenario.name, source.spec.architecture);
        println!("{label}: {parity}");
        assert_eq!(parity.observations, OBSERVATIONS);
        assert!(parity.largest_difference <= 1e-5, "{label}: {parity}");
        assert_eq!(parity.arg_max_disagreements, 0, "{label}: {parity}");
        assert!(parity.largest_q > 0.01, "{label}: values that say nothing: {parity}");

        let report = export::verify_with(&path, 100).unwrap();
        assert!(report.parity.holds() && report.golden_parity.holds(), "{report}");
    }
}

#[test]
fn an_export_leaves_one_file_or_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let source = source("founding-3x3", Architecture::Relational, 0);
    let out = folder.path().join("policy.pt");
    let report = export::write(&source, &out).unwrap();
    assert_eq!(report.bytes, std::fs::metadata(&out).unwrap().len());
    assert_eq!(report.golden, 2);
    let names = || -> Vec<_> {
        std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect()
    };
    assert_eq!(names(), ["policy.pt"]);

    // Weights that no artifact may have: refused, and the file before stays.
    let before = std::fs::read(&out).unwrap();
    let mut broken = source.clone();
    broken.weights[3] = f32::NAN;
    let error = format!("{:#}", export::write(&broken, &out).unwrap_err());
    assert!(error.contains("expected finite numbers, got NaN"), "{error}");
    assert_eq!(names(), ["policy.pt"]);
    assert_eq!(std::fs::read(&out).unwrap(), before);
    assert!(export::write(&source, &folder.path().join("none/policy.pt")).is_err());
}

#[test]
fn a_damaged_artifact_does_not_pass_verification() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("policy.pt");
    export::write(&source("founding-3x3", Architecture::Mlp, 0), &path).unwrap();
    let good = std::fs::read(&path).unwrap();
    for at in (0..good.len()).step_by(good.len() / 20) {
        let mut bytes = good.clone();
        bytes[at] ^= 1;
        std::fs::write(&path, bytes).unwrap();
        export::verify_with(&path, 10).unwrap_err();
    }
}

/// A python3 that imports torch: `GODWIT_PYTHON`, or else the one on the path.
fn python() -> Result<PathBuf, String> {
    let python = std::env::var_os("GODWIT_PYTHON").map_or_else(|| "python3".into(), PathBuf::from);
    match Command::new(&python).args(["-c", "import torch"]).output() {
        Ok(output) if output.status.success() => Ok(python),
        Ok(_) => Err(format!("{} does not import torch", python.display())),
        Err(error) => Err(format!("{} does not start: {error}", python.display())),
    }
}

#[test]
fn python_and_the_native_forward_pass_agree_on_1000_observations() {
    let python = match python() {
        Ok(python) => python,
        Err(reason) => {
            eprintln!("skipped: {reason}; set GODWIT_PYTHON to a python3 that does");
            return;
        }
    };
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/python/parity.py");
    let folder = tempfile::tempdir().unwrap();
    for source in [
        source("quickstart", Architecture::Relational, 1),
        source("quickstart", Architecture::Mlp, 2),
        source("founding-10x50", Architecture::Relational, 3),
        source("founding-10x50", Architecture::Candidate, 4),
    ] {
        let (path, data) = (folder.path().join("policy.pt"), folder.path().join("observations"));
        export::write(&source, &path).unwrap();
        let mut network = Artifact::read(&path).unwrap().network;
        let observations = export::observations(&source.scenario, OBSERVATIONS, 2).unwrap();
        let valued: Vec<Golden> = observations
            .into_iter()
            .map(|observation| {
                let mut q = vec![0.0; observation.actions()];
                network.q_values(&observation, &mut q);
                Golden { observation, q }
            })
            .collect();
        std::fs::write(&data, golden_bytes(&source.spec, &valued)).unwrap();
        let output = Command::new(&python).arg(&script).args([&path, &data]).output().unwrap();
        let [out, err] =
            [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes));
        println!("{} {:?}: {out}", source.scenario.name, source.spec.architecture);
        assert!(output.status.success(), "{out}{err}");
        assert!(out.contains("observations: 1000 compared"), "{out}");
    }
}
