//! `godwit bench learn`: how fast a training run is, and where its time goes.

use super::figure::{Figure, figure};
use crate::cli::{BadInput, settings};
use crate::config::TrainConfig;
use crate::config::schedule::Schedule;
use crate::machine::device::DeviceChoice;
use crate::train::assemble::new_trainer;
use crate::train::trainer::{Trainer, World};
use godwit_envs::env::Env;
use godwit_envs::env::featherweight::{SpeedEnv, SpeedKind};
use godwit_models::net::rate::{matrix_rate, update_operations};
use godwit_models::net::{Architecture, FixedSize, NetworkSpec};
use std::time::{Duration, Instant};
use toml::Table;

/// What the small environments are trained with, where `--set` says nothing else: the algorithm
/// that the compared learners have.
const SMALL: &str = "\
env_copies = 1
round_steps = 4
steps_per_update = 4
warm_up_steps = 1000
replay_capacity = 10000
network = { architecture = 'mlp', hidden = 64, dueling = false }
learner = { batch_size = 64, n_step = 1, double = false, target_every = 500 }
";

/// Share of exploring actions while measuring. A run of unknown length would stay at its first
/// epsilon, where no network acts.
const EPSILON: f64 = 0.05;

/// Measures for about `seconds`; returns the name of what was trained on, and figures.
pub(super) fn learn(
    name: &str,
    set: &[String],
    seconds: f64,
    threads: usize,
    device: DeviceChoice,
) -> anyhow::Result<(String, Vec<Figure>)> {
    crate::cli::use_threads(threads)?;
    let device = crate::cli::compute_device(device)?;
    let sources = settings::Sources { set, ..settings::Sources::default() };
    let prepared = |mut config: TrainConfig| {
        config.env_steps = u64::MAX;
        config.exploration.epsilon = Schedule { from: EPSILON, to: EPSILON, share: 1.0 };
        // Batches have their shares of these; how many there are to draw from does not matter.
        config.demonstrations.steps = config.demonstrations.steps.min(1_000);
        config.comparisons.states = config.comparisons.states.min(200);
        // What is measured is the run after its warm start.
        config.demonstrations.pretrain_updates = 0;
        config.comparisons.pretrain_updates = 0;
        config
    };
    if let Some(kind) = SpeedKind::ALL.into_iter().find(|kind| kind.name() == name) {
        let table: Table = SMALL.parse()?;
        let config = prepared(settings::resolve_for(name, Some(&table), &sources)?);
        let mut trainer = small_trainer(kind, &config, device)?;
        return Ok((name.to_owned(), measure(&mut trainer, seconds)?));
    }
    let scenario = crate::cli::scenario(name)?;
    let config = prepared(settings::resolve(&scenario, &sources)?);
    let mut trainer = new_trainer(&scenario.clone().into(), &config, device)?;
    Ok((scenario.name, measure(&mut trainer, seconds)?))
}

fn small_trainer(
    kind: SpeedKind,
    config: &TrainConfig,
    device: tch::Device,
) -> anyhow::Result<Trainer<SpeedEnv>> {
    if config.network.architecture != Architecture::Mlp {
        let message = format!("network.architecture: expected mlp for {}", kind.name());
        return Err(BadInput(message).into());
    }
    let env = SpeedEnv::new(kind);
    let space = env.observation_space();
    let fixed = FixedSize { nodes: space.nodes, workloads: space.workloads };
    let mut spec = NetworkSpec::new(Architecture::Mlp, &space.schema, Some(fixed));
    spec.hidden = config.network.hidden;
    spec.dueling = config.network.dueling;
    let envs = vec![env.clone(); config.env_copies];
    let decoders = vec![env.clone(); rayon::current_num_threads()];
    let world = World { envs, decoders, reward_unit: 1.0 };
    Ok(Trainer::new(config, &spec, vec![world], device)?)
}

/// Rounds made so far, and the time that each part has taken.
struct Parts {
    env_steps: u64,
    updates: u64,
    times: [(&'static str, Duration); 7],
}

impl Parts {
    fn of<E: Env>(trainer: &mut Trainer<E>) -> Self {
        let acting = trainer
            .actors
            .iter_mut()
            .map(|actor| actor.get_mut().unwrap_or_else(|poisoned| poisoned.into_inner()).spent)
            .sum();
        let learning = trainer.learner.times();
        Self {
            env_steps: trainer.counters.env_steps,
            updates: trainer.counters.updates,
            times: [
                ("acting", acting),
                ("env steps and replay writes", trainer.collecting.saturating_sub(acting)),
                ("replay draw", learning.draw),
                ("replay decode", learning.decode),
                ("next-state values", learning.next_values),
                ("forward and backward", learning.gradient),
                ("optimiser and target", learning.optimiser),
            ],
        }
    }
}

/// Time that the cores have worked for this process. Unlike the clock it stands still while other
/// programs hold them.
fn cpu_time() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the call writes one timespec to the pointer, which is valid for that.
    unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &mut time) };
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

fn measure<E: Env>(trainer: &mut Trainer<E>, seconds: f64) -> anyhow::Result<Vec<Figure>> {
    // Until the replay is warm there are no updates; the first rounds also allocate.
    while trainer.counters.updates < 64 {
        trainer.round(false)?;
    }
    let waits = |trainer: &mut Trainer<E>| trainer.learner.cuda().map(|cuda| cuda.waits());
    let waits_before = waits(trainer);
    let before = Parts::of(trainer);
    let (start, cpu_before) = (Instant::now(), cpu_time());
    while start.elapsed().as_secs_f64() < seconds {
        for _ in 0..16 {
            trainer.round(false)?;
        }
    }
    // Updates that are still under way on a device count once they are done.
    trainer.weights();
    let elapsed = start.elapsed().as_secs_f64();
    let cpu = (cpu_time() - cpu_before).as_secs_f64();
    let after = Parts::of(trainer);
    let spent: Vec<(&'static str, f64)> = after
        .times
        .iter()
        .zip(before.times)
        .map(|((name, after), (_, before))| (*name, (*after - before).as_secs_f64()))
        .collect();
    // On one thread the parts are shares of the time; on several they overlap.
    let total = spent.iter().map(|(_, seconds)| seconds).sum::<f64>().max(elapsed);
    let updates = (after.updates - before.updates) as f64;
    let learner = trainer.config.learner.clone();
    let env_steps = (after.env_steps - before.env_steps) as f64;
    let mut figures = vec![
        figure("env steps", env_steps / elapsed, "per second"),
        figure("env steps of CPU time", env_steps / cpu, "per second that a core worked"),
        figure("updates", updates / elapsed, "per second"),
        figure("batch", learner.batch_size as f64, "transitions per update"),
        figure("threads", rayon::current_num_threads() as f64, ""),
        figure(
            "replay",
            (trainer.vector.slots()[0].state.len() + 13) as f64,
            "bytes per transition",
        ),
    ];
    for (name, seconds) in &spent {
        figures.push(figure(name, 100.0 * seconds / total, "% of the time"));
    }
    let named: f64 = spent.iter().map(|(_, seconds)| seconds).sum();
    figures.push(figure("everything else", 100.0 * (1.0 - named / total), "% of the time"));
    let step: f64 = spent[5..].iter().map(|(_, seconds)| seconds / total).sum();
    figures.push(figure("gradient step", 1e6 * step * cpu / updates, "us of CPU time"));
    if let Some((now, then)) = waits(trainer).zip(waits_before) {
        let share = (now - then) as f64 / updates.max(1.0);
        figures.push(figure("waits for the device", share, "per update"));
        let graph = trainer.learner.cuda().is_some_and(|cuda| cuda.has_graph());
        figures.push(figure("CUDA graph", f64::from(u8::from(graph)), "(1 for yes)"));
    }
    let rate = matrix_rate();
    figures.push(figure("matrix products", rate / 1e9, "GFLOP/s of one core"));
    let spec = trainer.learner.online.spec();
    if let Some(operations) = update_operations(spec, learner.batch_size, learner.double) {
        let floor = operations / rate;
        figures.push(figure("arithmetic of an update", 1e6 * floor, "us at that rate"));
        let share = 100.0 * floor * updates / cpu;
        figures.push(figure("share of the arithmetic floor", share, "% of the CPU time"));
    }
    Ok(figures)
}
