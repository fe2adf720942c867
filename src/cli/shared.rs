//! What several commands do alike.

use crate::machine::device::DeviceChoice;
use godwit_envs::scenario::Scenario;
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};
use tch::Device;

/// The scenario that the command line names.
pub(crate) fn scenario(name_or_path: &str) -> anyhow::Result<Scenario> {
    Ok(Scenario::resolve(name_or_path)?)
}

/// The exit code that shells give to a process that this signal ended.
pub(crate) fn interrupted(received: &AtomicUsize) -> ExitCode {
    ExitCode::from(128 + u8::try_from(received.load(Ordering::Relaxed)).unwrap_or(0))
}

/// Sizes the thread pool that environments, evaluations and updates share; 0 for one thread per
/// core. The calling thread is one of them: work handed to a pool from outside would wait for
/// another thread to wake up, which takes longer than a small network's update.
pub(crate) fn use_threads(threads: usize) -> anyhow::Result<()> {
    rayon::ThreadPoolBuilder::new().num_threads(threads).use_current_thread().build_global()?;
    Ok(())
}

/// The device of the updates. This comes before any other use of libtorch, which looks for its
/// CUDA half once only.
pub(crate) fn compute_device(choice: DeviceChoice) -> anyhow::Result<Device> {
    let device = choice.resolve()?;
    // Networks are narrow: more threads inside one operation gain nothing, and they would fight
    // with the threads that step environments.
    tch::set_num_threads(1);
    Ok(device)
}
