//! Where time and memory go for a large cluster.
//!
//! `cargo run --release -p godwit-decide --example large -- SNAPSHOT.json [MOVES]`, with a snapshot
//! that `benchmarks/large/generate.py` wrote. Prints how long each stage takes, and the most memory
//! that was held by then; with MOVES (50 unless given; 0 for none) also for plans of so many.

use std::error::Error;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use std::{env, fs};

use godwit_decide::engine::{Engine, PlanLimits, plan_with};
use godwit_decide::loaded::Loaded;
use godwit_decide::safety::Safety;
use godwit_envs::scenario::Rules;
use godwit_envs::snapshot::Snapshot;
use godwit_models::plan::Plan;
use godwit_models::{Policy, baseline};

/// Most memory that the process has held, MiB; 0 where the system does not tell.
fn peak_mib() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok());
    kib.unwrap_or(0) / 1024
}

/// Runs a stage and prints what it took.
fn timed<T>(stage: &str, run: impl FnOnce() -> T) -> T {
    let started = Instant::now();
    let result = run();
    let ms = started.elapsed().as_secs_f64() * 1e3;
    println!("{stage:<40} {ms:>9.1} ms {:>7} MiB at most", peak_mib());
    result
}

fn main() -> Result<(), Box<dyn Error>> {
    let path = env::args().nth(1).ok_or("expected the path of a snapshot, got nothing")?;
    let moves: u32 = env::args().nth(2).map_or(Ok(50), |moves| moves.parse())?;
    let mut loaded = Loaded::open(Path::new("generalist"))?;
    let mut rules = Rules::clone(&loaded.rules);
    rules.episode.moves_per_tick = moves;
    // All of them may be under way at a time.
    rules.limits.transfers_in_flight = moves.max(1);
    loaded.rules = Arc::new(rules);
    let sections = loaded.artifact.sections;
    let mut engine = Engine::new(Arc::new(loaded));

    let text = timed("read the file", || fs::read_to_string(&path))?;
    let snapshot = timed("parse and check", || Snapshot::from_json(&text, &path))?;
    drop(text);
    println!("{} nodes, {} workloads", snapshot.nodes.len(), snapshot.workloads.len());
    let mut case = timed("make it a state", || engine.case(snapshot, &path))?;
    if moves == 0 {
        return Ok(());
    }
    timed("observe", || case.observation(sections));
    let safety = Safety::default();
    let moment = safety.moment(&mut case, 0);
    let limits = PlanLimits { max_moves: moves, think: Duration::ZERO, ..PlanLimits::NONE };
    let mut best: Box<dyn Policy> = baseline("best-single-move").ok_or("expected the baseline")?;
    let planned = timed("plan by best-single-move, whole answer", || {
        plan_with(best.as_mut(), &case, &safety, &moment, limits)
    })?;
    let told = |plan: &Plan| {
        let Plan { moves, stop_reason, objective_before, objective_after, .. } = plan;
        let count = moves.len();
        println!(
            "{count} moves, {stop_reason:?}; objective {objective_before} to {objective_after}"
        );
    };
    told(&planned.plan);
    let planned =
        timed("plan by generalist, whole answer", || engine.plan(&case, &safety, &moment, limits))?;
    told(&planned.plan);
    println!(
        "of that {} ms plan, {} ms guard, {} ms stays",
        planned.plan_us / 1000,
        planned.guard_us / 1000,
        planned.stays_us / 1000
    );
    Ok(())
}
