//! `godwit snapshot`: a cluster state as the scorer reads it.

use super::{BadInput, output};
use crate::policies::baseline_name;
use anyhow::Context;
use godwit_envs::env::Env;
use godwit_envs::env::cluster_env::ClusterEnv;
use godwit_envs::scenario::{Phase, WorldTemplate};
use godwit_models::baselines::baseline;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

/// Write a state of an evaluation episode as a snapshot: its start, or a later tick.
///
/// A snapshot is one cluster state as JSON: what a live cluster sends to `godwit-scorer`. Where the
/// scenario has forecast horizons, the forecasts are in it. Until a later tick a baseline plays; in
/// rebalance scenarios each of its moves is a tick.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  godwit snapshot quickstart --seed 7 --out snapshot.json
  godwit snapshot faults --tick 60 --baseline evacuate --out snapshot.json
  godwit-scorer decide --model policy.pt --snapshot snapshot.json")]
pub struct Args {
    /// Embedded scenario or scenario file
    scenario: String,
    /// Seed of the episode
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Tick of the episode
    #[arg(long, default_value_t = 0)]
    tick: u32,
    /// Who plays until then
    #[arg(long, default_value = "stay", value_name = "NAME")]
    baseline: String,
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
    play_until(&mut env, args)?;
    let snapshot = env.state().to_snapshot();
    output::write_file(&args.out, (snapshot.to_json() + "\n").as_bytes())?;
    let (nodes, workloads) = (snapshot.nodes.len(), snapshot.workloads.len());
    eprintln!("{}: {nodes} nodes, {workloads} workloads", args.out.display());
    Ok(ExitCode::SUCCESS)
}

/// Lets the baseline play until the tick that is asked for.
fn play_until(env: &mut ClusterEnv, args: &Args) -> anyhow::Result<()> {
    let name = baseline_name("--baseline", &args.baseline)?;
    let mut policy = baseline(name).context("a name of the list")?;
    policy.reset(args.seed);
    let mut ticks = 0;
    while ticks < args.tick {
        let action = policy.act(env.state());
        let step = env.apply(action).with_context(|| format!("{name} at tick {ticks}"))?;
        ticks += step.elapsed_ticks;
        if step.end.is_some() && ticks < args.tick {
            let scenario = &args.scenario;
            return Err(BadInput(format!(
                "--tick: expected at most {ticks}, where the episode of {scenario} ends, got {}",
                args.tick
            ))
            .into());
        }
    }
    Ok(())
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

    #[test]
    fn a_later_tick_is_that_of_an_episode_that_the_baseline_played() {
        let folder = tempfile::tempdir().unwrap();
        let args = |tick| Args {
            scenario: "faults".to_owned(),
            seed: 3,
            tick,
            baseline: "evacuate".to_owned(),
            out: folder.path().join("snapshot.json"),
        };
        run(&args(40)).unwrap();
        let read = Snapshot::load(&args(40).out).unwrap();
        assert_eq!(read.tick, Some(40));
        let scenario = Scenario::embedded("faults").unwrap();
        let template = Arc::new(WorldTemplate::new(&scenario));
        let mut env = ClusterEnv::new(template, Phase::Evaluate).unwrap();
        env.reset(3).unwrap();
        let mut policy = baseline("evacuate").unwrap();
        policy.reset(3);
        while env.state().tick < 40 {
            let action = policy.act(env.state());
            env.apply(action).unwrap();
        }
        assert_eq!(read, env.state().to_snapshot());
        let error = run(&args(100_000)).unwrap_err().to_string();
        assert!(error.starts_with("--tick: expected at most "), "{error}");
    }
}
