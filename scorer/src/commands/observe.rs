//! `observe`: what a policy sees of a snapshot, as arrays for other programs.

use std::path::Path;
use std::sync::Arc;
use std::{fs, io};

use anyhow::Context;
use godwit_decide::engine::Engine;
use godwit_decide::loaded::Loaded;
use godwit_envs::snapshot::Snapshot;
use godwit_models::artifact::{Golden, golden_bytes};

use super::decide_stream::read_snapshot;
use crate::cli::file_args::ObserveArgs;

/// `godwit-scorer observe`.
pub fn observe(args: &ObserveArgs) -> anyhow::Result<()> {
    let loaded = Loaded::open(&args.model)?;
    let engine = Engine::new(Arc::new(loaded));
    let (text, label) = read_snapshot(&args.snapshot)?;
    let case = engine.case(Snapshot::from_json(&text, &label)?, &label)?;
    let artifact = &engine.loaded().artifact;
    let (space, observation) = case.observation(artifact.sections);
    let mut network = artifact.network.clone();
    let mut q = vec![f32::NEG_INFINITY; space.actions];
    network.q_values(&observation, &mut q);
    let bytes = golden_bytes(network.spec(), &[Golden { observation, q }]);
    write(&args.out, &bytes)
        .with_context(|| format!("{}: cannot be written", args.out.display()))?;
    let (n, k, a) = (space.nodes, space.workloads, space.actions);
    eprintln!("{}: {n} nodes, {k} workloads, {a} candidates", args.out.display());
    Ok(())
}

/// Writes a file whole or not at all.
fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".tmp");
    let written = fs::write(&beside, bytes).and_then(|()| fs::rename(&beside, path));
    if written.is_err() {
        // What was begun is of no use to anybody; the first error is the one that counts.
        let _ = fs::remove_file(&beside);
    }
    written
}
