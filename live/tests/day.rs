//! A day of a played scenario through the loop: it gains what the same policy gains tick by tick, its
//! journal stays bounded, and so does its memory.

#![allow(clippy::unwrap_used)] // a failed expectation is the point of a test

use std::path::Path;
use std::sync::Arc;

use godwit_envs::env::Env;
use godwit_envs::env::cluster_env::ClusterEnv;
use godwit_envs::scenario::{Phase, Scenario, WorldTemplate};
use godwit_envs::state::Action;
use godwit_live::clusters::{simulated, standing};
use godwit_live::config::{Mode, Moves, Settings};
use godwit_live::control::Control;
use godwit_live::desk::Desk;
use godwit_live::driver::{Driver, Pace};
use godwit_live::journal::Journal;

const SCENARIO: &str = "faults";

fn settings(folder: &Path) -> Settings {
    let text = format!(
        "state = {:?}\nmodel = \"{SCENARIO}\"\nthink_ms = 0\n",
        folder.display().to_string()
    );
    Settings::from_toml(&text, "test").unwrap()
}

/// Return of the loop.
fn lived(seed: u64, folder: &Path) -> f64 {
    let played = simulated::Settings { scenario: SCENARIO.to_owned(), seed, speed: f64::INFINITY };
    let (cluster, world, clock) = simulated::open(&played).unwrap();
    let settings = settings(folder);
    let journal = Journal::open(folder).unwrap();
    let desk = Desk::open(&settings, false).unwrap();
    let tick_s = desk.tick_s();
    let moves = Moves { in_all: 64, per_node: 64, calibrate: false, ..Moves::default() };
    let pace = Pace { mode: Mode::Active, interval_s: tick_s, poll_s: tick_s / 10.0, moves };
    let mut driver = Driver::new(cluster, desk, journal, clock, Arc::new(Control::default()), pace);
    driver.run(|_| standing(&world).over).unwrap();
    assert!(!driver.ledger().demoted, "{:?}", driver.ledger().assessed);
    standing(&world).return_so_far
}

/// Return of an episode in which the desk decides at the beginning of every tick, or nothing is done.
fn tick_by_tick(seed: u64, desk: Option<&mut Desk>) -> f64 {
    let template = Arc::new(WorldTemplate::new(&Scenario::embedded(SCENARIO).unwrap()));
    let mut env = ClusterEnv::new(template, Phase::Evaluate).unwrap().without_candidates();
    env.reset(seed).unwrap();
    let (mut sum, mut over, mut desk) = (0.0, false, desk);
    while !over {
        let mut step = None;
        if let Some(desk) = &mut desk {
            let mut snapshot = env.state().to_snapshot();
            snapshot.tick = Some(u64::from(env.state().tick));
            let answer = desk.decide(snapshot, "day".to_owned()).unwrap();
            let spec = Arc::clone(&env.state().spec);
            for planned in &answer.decided.plan.moves {
                let is = |name: &String| *name == planned.workload_name;
                let workload = spec.workload_names.iter().position(is).unwrap();
                let action = Action::Migrate { workload, destination: planned.destination };
                step = env.apply(action).ok();
                sum += step.map_or(0.0, |step| f64::from(step.reward));
                over |= step.is_some_and(|step| step.end.is_some());
            }
        }
        // The tick's last move ends it.
        if step.is_none_or(|step| step.elapsed_ticks == 0) {
            let step = env.apply(Action::Stay).unwrap();
            sum += f64::from(step.reward);
            over |= step.end.is_some();
        }
    }
    sum
}

fn resident_mib() -> f64 {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = text.split(' ').nth(1).and_then(|pages| pages.parse::<f64>().ok());
    pages.unwrap_or(0.0) * 4096.0 / f64::from(1 << 20)
}

#[test]
fn days_gain_what_the_policy_gains_tick_by_tick_within_bounded_journal_and_memory() {
    let (mut by_loop, mut by_tick) = (Vec::new(), Vec::new());
    let mut resident = Vec::new();
    for seed in 0..6 {
        let folder = tempfile::tempdir().unwrap();
        let stays = tick_by_tick(seed, None);
        by_loop.push(lived(seed, folder.path()) - stays);
        let mut desk = Desk::aside(&settings(folder.path()), false).unwrap();
        by_tick.push(tick_by_tick(seed, Some(&mut desk)) - stays);
        let files = std::fs::read_dir(folder.path()).unwrap();
        let bytes: u64 = files.map(|file| file.unwrap().metadata().unwrap().len()).sum();
        assert!(bytes < 48 << 20, "{bytes}");
        resident.push(resident_mib());
    }
    let mean = |gains: &[f64]| gains.iter().sum::<f64>() / gains.len() as f64;
    println!(
        "gain over staying: loop {by_loop:.2?}, tick by tick {by_tick:.2?}, MiB {resident:.0?}"
    );
    assert!(mean(&by_tick) > 0.0);
    // Moves fail here where a node fails between decision and beginning.
    assert!(mean(&by_loop) > 0.95 * mean(&by_tick), "{} of {}", mean(&by_loop), mean(&by_tick));
    assert!(resident[5] < resident[1] + 64.0, "{resident:?}");
}
