//! `godwit snapshot`: a cluster state as the scorer reads it.

use super::output;
use godwit_envs::env::Env;
use godwit_envs::env::cluster_env::ClusterEnv;
use godwit_envs::scenario::{Phase, WorldTemplate};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

/// Write the start of an evaluation episode as a snapshot.
///
/// A snapshot is one cluster state as JSON: what a live cluster sends to `godwit-scorer`. Where the
/// scenario has forecast horizons, the forecasts are in it.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  godwit snapshot quickstart --seed 7 --out snapshot.json
  godwit-scorer decide --model policy.pt --snapshot snapshot.json")]
pub struct Args {
    /// Embedded scenario or scenario file
    scenario: String,
    /// Seed of the episode
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Where to write the snapshot
    #[arg(long, value_name = "FILE.json")]
    out: PathBuf,
}

/// Runs the command.
///
/// # Errors
/// When the scenario cannot be used or the file cannot be written.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let scenario = super::scenario(&args.scenario)?;
    let mut env = ClusterEnv::new(Arc::new(WorldTemplate::new(&scenario)), Phase::Evaluate)?;
    env.reset(args.seed)?;
    let snapshot = env.state().to_snapshot();
    output::write_file(&args.out, (snapshot.to_json() + "\n").as_bytes())?;
    let (nodes, workloads) = (snapshot.nodes.len(), snapshot.workloads.len());
    eprintln!("{}: {nodes} nodes, {workloads} workloads", args.out.display());
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a failed expectation is the point of a test

    use super::*;
    use godwit_envs::scenario::{EMBEDDED, Scenario};
    use godwit_envs::snapshot::Snapshot;
    use godwit_envs::state::NOWHERE;
    use godwit_envs::state::cluster::ClusterSpec;

    #[test]
    fn a_snapshot_describes_the_state_that_it_was_taken_from() {
        for embedded in EMBEDDED {
            let scenario = Scenario::embedded(embedded.name).unwrap();
            let template = Arc::new(WorldTemplate::new(&scenario));
            let mut env = ClusterEnv::new(template, Phase::Evaluate).unwrap();
            env.reset(7).unwrap();
            let state = env.state();
            let read = Snapshot::from_json(&state.to_snapshot().to_json(), "snapshot").unwrap();
            let (spec, placement) = read.to_spec();
            let horizons = scenario.rules.forecast.horizons.len();
            assert!(read.workloads.iter().all(|workload| workload.forecast.len() == horizons));
            let running: Vec<u32> =
                state.placement.iter().copied().filter(|&node| node != NOWHERE).collect();
            assert_eq!(placement, running, "{}", embedded.name);
            if running.len() < state.placement.len() {
                // Who is not there yet is not in the snapshot.
                continue;
            }
            assert_eq!(spec.base_demand, state.demand);
            let expected =
                ClusterSpec { base_demand: spec.base_demand.clone(), ..(*state.spec).clone() };
            assert_eq!(spec, expected);
        }
    }
}
