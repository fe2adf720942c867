//! What `godwit doctor` checks on a CUDA device: that each network learns there what it learns on
//! the CPU, that nothing waits for the device, and how fast updates are.

use crate::config::TrainConfig;
use crate::learn::error::LearnError;
use crate::torch_ext::cuda::refuse_synchronisation;
use crate::train::assemble::{ClusterTrainer, new_trainer};
use anyhow::Context;
use godwit_envs::scenario::Scenario;
use godwit_models::net::Architecture;
use serde::Serialize;
use std::fmt;
use std::time::{Duration, Instant};
use tch::{Cuda, Device, Tensor};

/// Where observations come from.
const SCENARIO: &str = "quickstart";
/// How long each speed is measured.
const MEASURE: Duration = Duration::from_millis(400);
/// Updates on the CPU before the comparison: Adam's first step is as long as the learning rate
/// whatever the gradient, and on which side of 0 the smallest ones are is a matter of rounding.
const UPDATES_BEFORE: usize = 10;
/// Updates that are compared; the last ones are replayed as a graph.
const UPDATES: usize = 6;
const LEARNING_RATE: f64 = 5e-4;

/// One network on the device.
#[derive(Debug, Clone, Serialize)]
pub struct NetworkReport {
    /// Which one.
    pub network: Architecture,
    /// Largest difference of a value from the CPU's, for the states of a batch.
    pub forward_difference: f64,
    /// Difference of the loss, at the first update.
    pub loss_difference: f64,
    /// Largest difference of a weight after the first update.
    pub update_difference: f64,
    /// Largest difference of a weight after some more, with a graph where there is one.
    pub later_difference: f64,
    /// Why updates are not replayed as a graph, if they are not.
    pub no_graph: Option<String>,
    /// What waited for the device in updates whose figures nobody wants, with or without a graph,
    /// if anything did.
    pub synchronises: Option<String>,
    /// Updates per second on the device from batches that are ready on the host.
    pub updates_per_s: f64,
    /// The same without a graph.
    pub updates_per_s_plain: f64,
    /// The same with drawing and decoding the batches on all threads.
    pub learning_per_s: f64,
    /// Updates of the CPU per second, with drawing and decoding on all threads.
    pub cpu_learning_per_s: f64,
}

impl NetworkReport {
    /// Whether CPU and device agree and nothing waits.
    pub fn is_fine(&self, tolerance: f64) -> bool {
        let differences = [
            self.forward_difference,
            self.loss_difference,
            self.update_difference,
            self.later_difference,
        ];
        // Written so that NaN fails.
        differences.iter().all(|&difference| difference <= tolerance) && self.synchronises.is_none()
    }
}

impl fmt::Display for NetworkReport {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "CPU = CUDA to {:.1e} (values), {:.1e} (loss), {:.1e} (update), {:.1e} ({UPDATES} \
             updates); {:.0} updates/s with a graph, {:.0} without; with drawing and decoding \
             {:.0}, CPU {:.0}",
            self.forward_difference,
            self.loss_difference,
            self.update_difference,
            self.later_difference,
            self.updates_per_s,
            self.updates_per_s_plain,
            self.learning_per_s,
            self.cpu_learning_per_s,
        )?;
        if let Some(reason) = &self.no_graph {
            write!(formatter, "; no graph: {reason}")?;
        }
        if let Some(reason) = &self.synchronises {
            write!(formatter, "; waits for the device: {reason}")?;
        }
        Ok(())
    }
}

/// Checks every network on the device; takes some seconds.
///
/// # Errors
/// When the device fails.
pub fn check(device: Device) -> anyhow::Result<Vec<NetworkReport>> {
    // As in training: networks are narrow.
    tch::set_num_threads(1);
    [Architecture::Relational, Architecture::Candidate, Architecture::Mlp]
        .into_iter()
        .map(|network| check_network(network, device).with_context(|| format!("{network:?}")))
        .collect()
}

fn check_network(network: Architecture, device: Device) -> anyhow::Result<NetworkReport> {
    let scenario = Scenario::embedded(SCENARIO)?;
    let mut config = TrainConfig { warm_up_steps: u64::MAX, ..TrainConfig::default() };
    config.network.architecture = network;
    let mut cpu = new_trainer(&scenario.clone().into(), &config, Device::Cpu)?;
    for _ in 0..40 {
        cpu.round(false)?;
    }
    let (learner, replay) = (&mut cpu.learner, &cpu.replay);
    for _ in 0..UPDATES_BEFORE {
        learner.learn(&replay.into(), LEARNING_RATE, false)?;
    }
    let mut gpu = new_trainer(&scenario.clone().into(), &config, device)?;
    take_over(&mut gpu, &cpu);

    let (learner, replay) = (&mut cpu.learner, &cpu.replay);
    let (rng, batch) = (learner.rng.clone(), learner.draw(&replay.into()));
    let gpu_batch = gpu.learner.draw(&replay.into());
    (learner.rng, gpu.learner.rng) = (rng.clone(), rng);
    let on_cpu = learner.online.forward(&batch.groups[0].states);
    let on_gpu = gpu.learner.online.forward(&gpu_batch.groups[0].states);
    let forward_difference = largest(&on_cpu.0, &on_gpu.0).max(largest(&on_cpu.1, &on_gpu.1));

    let (mut loss_difference, mut update_difference) = (f64::NAN, f64::NAN);
    for update in 0..UPDATES {
        let first = update == 0;
        let on_cpu = cpu.learner.learn(&(&cpu.replay).into(), LEARNING_RATE, first)?;
        let on_gpu = gpu.learner.learn(&(&cpu.replay).into(), LEARNING_RATE, first)?;
        if let Some((on_cpu, on_gpu)) = on_cpu.zip(on_gpu) {
            loss_difference = (on_cpu.loss - on_gpu.loss).abs();
            update_difference = largest(&cpu.learner.online.flat, &gpu.learner.online.flat);
        }
    }
    let later_difference = largest(&cpu.learner.online.flat, &gpu.learner.online.flat)
        .max(largest(&cpu.learner.target.flat, &gpu.learner.target.flat));
    let no_graph = gpu.learner.cuda().and_then(|cuda| cuda.take_note());

    let with_graph = synchronises(&mut gpu, &cpu)?;
    let updates_per_s = speed(device, || ready(&mut gpu))?;
    let learning_per_s = speed(device, || {
        Ok(gpu.learner.learn(&(&cpu.replay).into(), LEARNING_RATE, false).map(drop)?)
    })?;
    config.learner.cuda_graph = false;
    let mut plain = new_trainer(&scenario.clone().into(), &config, device)?;
    plain.learner.learn(&(&cpu.replay).into(), LEARNING_RATE, false)?;
    let synchronises = with_graph.or(synchronises(&mut plain, &cpu)?);
    let updates_per_s_plain = speed(device, || ready(&mut plain))?;
    let ClusterTrainer { learner, replay, .. } = &mut cpu;
    let cpu_learning_per_s = speed(Device::Cpu, || {
        Ok(learner.learn(&(&*replay).into(), LEARNING_RATE, false).map(drop)?)
    })?;
    Ok(NetworkReport {
        network,
        forward_difference,
        loss_difference,
        update_difference,
        later_difference,
        no_graph,
        synchronises,
        updates_per_s,
        updates_per_s_plain,
        learning_per_s,
        cpu_learning_per_s,
    })
}

/// Gives a trainer on the device what the one on the CPU has learnt.
fn take_over(gpu: &mut ClusterTrainer, cpu: &ClusterTrainer) {
    let (to, from) = (&mut gpu.learner, &cpu.learner);
    tch::no_grad(|| {
        to.online.flat.copy_(&from.online.flat);
        to.target.flat.copy_(&from.target.flat);
        to.adam.mean.copy_(&from.adam.mean);
        to.adam.square.copy_(&from.adam.square);
    });
    to.adam.updates = from.adam.updates;
    to.rng = from.rng.clone();
}

/// An update from whatever batch lies ready on the host.
fn ready(trainer: &mut ClusterTrainer) -> anyhow::Result<()> {
    let learner = &mut trainer.learner;
    let (cuda, networks) = learner.on_device().context("expected a learner on a CUDA device")?;
    cuda.update(networks, LEARNING_RATE, false)?;
    Ok(())
}

/// Makes updates while libtorch refuses to wait for the device, and takes weights to act with.
fn synchronises(gpu: &mut ClusterTrainer, cpu: &ClusterTrainer) -> anyhow::Result<Option<String>> {
    let mut weights = Vec::new();
    // The first ones set up memory.
    gpu.learner.acting_weights(&mut weights)?;
    refuse_synchronisation(true)?;
    // What waits shows as an error of the bridge, or as a panic of tch.
    let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        (0..8)
            .try_for_each(|_| {
                gpu.learner.acting_weights(&mut weights)?;
                gpu.learner.learn(&(&cpu.replay).into(), LEARNING_RATE, false).map(drop)
            })
            .map_err(|error: LearnError| error.to_string())
    }));
    refuse_synchronisation(false)?;
    Ok(match outcome {
        Ok(Ok(())) => None,
        Ok(Err(error)) => Some(error),
        Err(_) => Some("an operation of libtorch".to_owned()),
    })
}

/// How often per second `work` can be done.
fn speed(device: Device, mut work: impl FnMut() -> anyhow::Result<()>) -> anyhow::Result<f64> {
    let wait = || {
        if let Device::Cuda(index) = device {
            Cuda::synchronize(index as i64);
        }
    };
    for _ in 0..8 {
        work()?;
    }
    wait();
    let (start, mut count) = (Instant::now(), 0_u32);
    while start.elapsed() < MEASURE {
        for _ in 0..8 {
            work()?;
        }
        count += 8;
    }
    wait();
    Ok(f64::from(count) / start.elapsed().as_secs_f64())
}

/// Largest absolute difference; NaN where there is one.
fn largest(cpu: &Tensor, gpu: &Tensor) -> f64 {
    if cpu.numel() == 0 {
        return 0.0;
    }
    (cpu - gpu.to_device(Device::Cpu)).abs().max().double_value(&[])
}
