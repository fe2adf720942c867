//! `godwit bench`: how fast this machine is at what training and deciding do.

use crate::cli::output;
use crate::config::TrainConfig;
use crate::machine::device::DeviceChoice;
use crate::networks::spec::network_spec;
use clap::Subcommand;
use godwit_envs::env::Env;
use godwit_envs::env::cluster_env::ClusterEnv;
use godwit_envs::env::throughput::{memory_write_limit, static_twin, steps_per_second};
use godwit_envs::observe::ObservationBuffer;
use godwit_envs::scenario::{Mode, Phase, Scenario, WorldTemplate};
use godwit_models::net::Network;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

mod decide;
mod figure;
mod learn;

use figure::{Figure, figure};

/// Measure speeds on this machine.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  godwit bench env founding-10x50
  godwit bench act quickstart --json
  godwit bench learn --device cuda --set learner.batch_size=512")]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Env steps per second of one core, observation included, next to the memory-write limit and,
    /// for online scenarios, to the same scenario without its dynamics
    #[command(after_help = "Example:\n  godwit bench env founding-10x50")]
    Env(Options),
    /// Microseconds of one native forward pass on one core
    #[command(after_help = "Example:\n  godwit bench act founding-10x50")]
    Act(Options),
    /// Microseconds of one decision of a policy on one core (features, mask, forward pass and
    /// arg-max), next to a forward pass of the same network in libtorch
    #[command(after_help = "\
Examples:
  godwit bench decide founding-10x50
  godwit bench decide hetero --policy policy.pt --json")]
    Decide {
        #[command(flatten)]
        options: Options,
        /// An artifact; the policy that comes with the program for this scenario, unless stated
        #[arg(long, value_name = "FILE.pt|NAME")]
        policy: Option<PathBuf>,
    },
    /// Env steps and updates per second of a training run, where its time goes, and what share of
    /// it the arithmetic of the update needs (mlp)
    ///
    /// Beside scenarios, two environments that cost next to nothing can be named: `cartpole`, and
    /// `flat-200x50` with 200 inputs and 50 actions. They are trained with an mlp of 64 units, one
    /// environment copy, batches of 64 and an update every four steps unless --set says otherwise.
    #[command(after_help = "\
Examples:
  godwit bench learn quickstart --device cpu
  godwit bench learn cartpole --threads 1 --json
  godwit bench learn flat-200x50 --threads 1 --set network.hidden=256 --set learner.batch_size=256")]
    Learn {
        #[command(flatten)]
        options: Options,
        /// One setting, such as learner.backend=libtorch; may be repeated
        #[arg(long, value_name = "KEY=VALUE")]
        set: Vec<String>,
        /// Threads that step environments and update; 0 for one per core
        #[arg(long, default_value_t = 0, value_name = "N")]
        threads: usize,
        /// Where to compute updates: auto, cpu, cuda or cuda:INDEX
        #[arg(long, default_value_t)]
        device: DeviceChoice,
    },
}

#[derive(Debug, clap::Args)]
struct Options {
    /// Embedded scenario or scenario file
    #[arg(default_value = "founding-10x50")]
    scenario: String,
    /// Measure for about this long
    #[arg(long, default_value_t = 3.0)]
    seconds: f64,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

impl Options {
    fn seconds(&self) -> f64 {
        self.seconds.clamp(0.01, 3600.0)
    }
}

/// Turns of the comparison with the static twin; odd.
const TURNS: usize = 9;

/// Runs the command.
///
/// # Errors
/// When the scenario or the device cannot be used.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let (name, options, figures) = match &args.what {
        What::Env(options) => {
            let scenario = super::scenario(&options.scenario)?;
            let figures = env(&scenario, options.seconds())?;
            (scenario.name, options, figures)
        }
        What::Act(options) => {
            let scenario = super::scenario(&options.scenario)?;
            let figures = act(&scenario, options.seconds())?;
            (scenario.name, options, figures)
        }
        What::Decide { options, policy } => {
            let scenario = super::scenario(&options.scenario)?;
            let named = PathBuf::from(&scenario.name);
            let figures =
                decide::decide(&scenario, policy.as_ref().unwrap_or(&named), options.seconds())?;
            (scenario.name, options, figures)
        }
        What::Learn { options, set, threads, device } => {
            let seconds = options.seconds();
            let (name, figures) = learn::learn(&options.scenario, set, seconds, *threads, *device)?;
            (name, options, figures)
        }
    };
    if options.json {
        output::print_json(&serde_json::json!({ "scenario": name, "figures": figures }))?;
    } else {
        let width = figures.iter().map(|figure| figure.name.len()).max().unwrap_or(0);
        let lines: Vec<String> = figures
            .iter()
            .map(|Figure { name, value, unit }| {
                let digits = if *value < 100.0 { 2 } else { 0 };
                format!("{name:width$}  {value:>12.digits$} {unit}")
            })
            .collect();
        eprintln!("{name}");
        output::print(&lines.join("\n"))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn env(scenario: &Scenario, seconds: f64) -> anyhow::Result<Vec<Figure>> {
    let mut env = ClusterEnv::new(Arc::new(WorldTemplate::new(scenario)), Phase::Train)?;
    let speed = steps_per_second(&mut env, seconds)?;
    let limit = memory_write_limit(speed.bytes_per_observation, (seconds / 4.0).min(1.0));
    let mut figures = vec![
        figure("env steps", speed.steps_per_s, "per second and core"),
        figure("memory-write limit", limit, "observations per second and core"),
        figure("share of the limit", 100.0 * speed.steps_per_s / limit, "%"),
        figure("observation", speed.bytes_per_observation as f64, "bytes"),
        figure("replay state", speed.bytes_per_state as f64, "bytes"),
        figure("allowed actions", speed.mean_open, "mean per step"),
    ];
    if scenario.rules.episode.mode == Mode::Online {
        let twin = static_twin(scenario);
        let mut twin = ClusterEnv::new(Arc::new(WorldTemplate::new(&twin)), Phase::Train)?;
        let (still, ratio) = cost_of_dynamics(&mut env, &mut twin, seconds)?;
        figures.extend([
            figure("without dynamics", still, "env steps per second and core"),
            figure("cost of dynamics", ratio, "times a step without them"),
        ]);
    }
    Ok(figures)
}

/// Steps a second of the twin, and how many of its steps one of `env` takes. In turns, so that
/// whatever else the machine does slows both; medians, since it does so in bursts.
fn cost_of_dynamics(
    env: &mut ClusterEnv,
    twin: &mut ClusterEnv,
    seconds: f64,
) -> anyhow::Result<(f64, f64)> {
    let mut turns = Vec::with_capacity(TURNS);
    for _ in 0..TURNS {
        let still = steps_per_second(twin, seconds / TURNS as f64)?.steps_per_s;
        turns.push((still, still / steps_per_second(env, seconds / TURNS as f64)?.steps_per_s));
    }
    let median = |mut values: Vec<f64>| {
        values.sort_by(f64::total_cmp);
        values[TURNS / 2]
    };
    let (still, ratios) = turns.into_iter().unzip();
    Ok((median(still), median(ratios)))
}

fn act(scenario: &Scenario, seconds: f64) -> anyhow::Result<Vec<Figure>> {
    let env = ClusterEnv::new(Arc::new(WorldTemplate::new(scenario)), Phase::Train)?;
    let spec = network_spec(&TrainConfig::default(), &env)?;
    let mut network = Network::new(&spec);
    // Speed does not depend on the weights, but zeros would let shortcuts show.
    let weights: Vec<f32> =
        (0..spec.parameter_count()).map(|i| ((i as f32) * 0.618).fract() * 0.2 - 0.1).collect();
    network.load_flat(&weights);
    let mut observation = ObservationBuffer::new(env.observation_space());
    let mut q = vec![0.0; env.action_space()];
    let measure = |work: &mut dyn FnMut()| {
        let (start, mut count) = (Instant::now(), 0_u32);
        while start.elapsed().as_secs_f64() < seconds / 2.0 {
            (0..16).for_each(|_| work());
            count += 16;
        }
        1e6 * start.elapsed().as_secs_f64() / f64::from(count)
    };
    let observe = measure(&mut || env.observe(&mut observation));
    let forward = measure(&mut || {
        std::hint::black_box(network.best_action(&observation, &mut q));
    });
    Ok(vec![
        figure("observe", observe, "us"),
        figure("forward pass", forward, "us"),
        figure("decisions", 1e6 / (observe + forward), "per second and core"),
    ])
}
