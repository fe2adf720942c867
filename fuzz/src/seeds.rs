//! Writes the corpora that fuzzing starts from: small artifacts and snapshots of embedded
//! scenarios.

use std::error::Error;
use std::fs;
use std::io::{Cursor, Write};
use std::path::Path;
use std::sync::Arc;

use godwit_envs::env::cluster_env::ClusterEnv;
use godwit_envs::env::Env;
use godwit_envs::observe::ObservationBuffer;
use godwit_envs::scenario::{Phase, Scenario, WorldTemplate};
use godwit_envs::snapshot::{Snapshot, SnapshotReassignment};
use godwit_models::artifact::{
    Artifact, Golden, Manifest, extra_files, golden_bytes, seal_bytes, weights_bytes,
};
use godwit_models::net::{Architecture, FixedSize, Network, NetworkSpec};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// The machine-reassignment problem of two machines and three processes.
const MODEL: &str = "3\n1 10\n0 20\n0 5\n2\n0 0 10 11 12 8 9 9 0 1\n1 4 12 13 14 9 9 9 1 0\n2\n2 1 1\n0 0\n3\n\
                     0 1 2 1 3\n0 2 3 1 4\n1 3 4 1 5\n1\n0 1 20\n10\n1 10 100\n";

fn main() -> Result<()> {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    for target in ["artifact", "sealed", "snapshot"] {
        fs::create_dir_all(corpus.join(target))?;
    }
    for architecture in [Architecture::Relational, Architecture::Candidate, Architecture::Mlp] {
        let entries = entries(architecture)?;
        let name = format!("{architecture:?}");
        fs::write(corpus.join("artifact").join(&name), archive(&entries)?)?;
        let parts = entries.iter().flat_map(|(_, bytes)| {
            let length = (bytes.len() as u32).to_le_bytes();
            [length.to_vec(), bytes.clone()].concat()
        });
        fs::write(corpus.join("sealed").join(&name), parts.collect::<Vec<u8>>())?;
    }
    for (name, snapshot) in snapshots()? {
        snapshot.validate(&name)?;
        fs::write(corpus.join("snapshot").join(name), snapshot.to_json())?;
    }
    Ok(())
}

fn env(name: &str) -> Result<ClusterEnv> {
    let template = WorldTemplate::new(&Scenario::embedded(name)?);
    let mut env = ClusterEnv::new(Arc::new(template), Phase::Evaluate)?;
    env.reset(7)?;
    Ok(env)
}

/// The three entries of an artifact with a tiny network.
fn entries(architecture: Architecture) -> Result<[(String, Vec<u8>); 3]> {
    let env = env("founding-3x3")?;
    let space = env.observation_space();
    let fixed = (architecture == Architecture::Mlp)
        .then_some(FixedSize { nodes: space.nodes, workloads: space.workloads });
    let spec = NetworkSpec {
        hidden: 4,
        head_hidden: 3,
        ..NetworkSpec::new(architecture, &space.schema, fixed)
    };
    let weights: Vec<f32> =
        (0..spec.parameter_count()).map(|i| 0.05 * (0.7 * i as f32).sin()).collect();
    let mut network = Network::new(&spec);
    network.load_flat(&weights);
    let mut observation = ObservationBuffer::new(space);
    env.observe(&mut observation);
    let mut q = vec![0.0; observation.actions()];
    network.q_values(&observation, &mut q);
    let known = Artifact::open(Path::new("founding-3x3"))?;
    let manifest = Manifest { network: spec.clone(), evaluation: Vec::new(), ..known.manifest };
    let golden = golden_bytes(&spec, &[Golden { observation, q }]);
    Ok(extra_files(manifest, weights_bytes(&spec, &weights), golden))
}

fn archive(entries: &[(String, Vec<u8>)]) -> Result<Vec<u8>> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    let stored = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
    let deflated = stored.compression_method(CompressionMethod::Deflated);
    for (name, contents) in entries {
        zip.start_file(format!("seed/extra/{name}"), stored)?;
        zip.write_all(contents)?;
    }
    zip.start_file("seed/code/__torch__.py", deflated)?;
    zip.write_all(&b"def forward(self)\n".repeat(9))?;
    let mut bytes = zip.finish()?.into_inner();
    seal_bytes(&mut bytes)?;
    Ok(bytes)
}

/// Small clusters that use every field.
fn snapshots() -> Result<Vec<(String, Snapshot)>> {
    let mut all = Vec::new();
    for name in ["quickstart", "diurnal"] {
        let mut small = env(name)?.state().to_snapshot();
        small.nodes.truncate(3);
        small.workloads.truncate(6);
        small.transfers.clear();
        for (k, workload) in small.workloads.iter_mut().enumerate() {
            workload.node = Some(small.nodes[k % 3].name.clone());
        }
        all.push((name.to_owned(), small.clone()));
        small.taken_at_s = Some(1.7e9);
        small.nodes[0].class = "gpu".to_owned();
        small.nodes[1].zone = "b".to_owned();
        small.nodes[1].health = godwit_envs::state::cluster::Health::Draining;
        small.nodes[1].deadline_ticks = 3;
        small.nodes[2].metrics_age_s = 40.0;
        for workload in &mut small.workloads[..2] {
            workload.anti_affinity = Some("apart".to_owned());
            workload.tenant = Some("a".to_owned());
            workload.disruption_group = Some("service".to_owned());
        }
        small.workloads[2].classes = vec!["standard".to_owned()];
        small.workloads[3].movable = false;
        small.workloads[4].cooldown_ticks = 2;
        small.transfers.push(godwit_envs::snapshot::SnapshotTransfer {
            workload: small.workloads[5].name.clone(),
            source: small.nodes[0].name.clone(),
            remaining_s: 12.5,
        });
        all.push((format!("{name}-full"), small));
    }
    let mut problem = all[0].1.clone();
    problem.nodes.truncate(2);
    problem.workloads.truncate(3);
    let mut instance = SnapshotReassignment { model: MODEL.to_owned(), initial: vec![0, 1, 0] };
    let read = instance.instance("seed")?;
    instance.initial = read.initial().to_vec();
    let floats = |numbers: &[i64]| numbers.iter().map(|&x| x as f32).collect();
    for (i, node) in problem.nodes.iter_mut().enumerate() {
        node.supply = floats(read.capacity(i));
    }
    for (k, workload) in problem.workloads.iter_mut().enumerate() {
        workload.demand = floats(read.requirement(k));
        workload.node = Some(problem.nodes[read.initial()[k] as usize].name.clone());
    }
    problem.machine_reassignment = Some(instance);
    all.push(("reassignment".to_owned(), problem));
    Ok(all)
}
