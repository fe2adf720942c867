//! Which code makes the updates: chosen in one place, from all that bears on it.

use crate::config;
use crate::config::TrainConfig;
use crate::learn::cuda::DeviceUpdates;
use crate::learn::native::NativeUpdate;
use tch::Device;

/// What makes the updates of a learner.
pub enum Backend {
    /// Plain Rust, on the CPU.
    Native(Box<NativeUpdate>),
    /// Updates that live on a CUDA device as a whole.
    Device(Box<DeviceUpdates>),
    /// libtorch's autograd, with next states valued on the CPU.
    Autograd,
}

/// A [`Backend`] by its kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// [`Backend::Native`].
    Native,
    /// [`Backend::Device`].
    Device,
    /// [`Backend::Autograd`].
    Autograd,
}

/// What bears on the choice.
#[derive(Debug, Clone, Copy)]
pub struct Facts {
    /// Where updates are computed.
    pub device: Device,
    /// What was asked for.
    pub wanted: config::Backend,
    /// Several scenarios, quantiles or noisy heads: what only autograd computes.
    pub extra_networks: bool,
    /// Demonstrations, comparisons or prioritised replay: what is drawn and valued on the host.
    pub extra_draws: bool,
    /// Whether gradients are averaged over several processes.
    pub several_ranks: bool,
}

/// What a learner on a CUDA device says where its updates cannot be made there as a whole.
const EXTRA_TERMS_ON_CUDA: &str = "with several scenarios, demonstrations, comparisons, \
     prioritised replay, quantiles or noisy heads, next states are valued on the CPU and updates are not recorded as a \
     CUDA graph";

/// What a learner on the CPU says where libtorch makes its updates although it was not asked to.
const EXTRA_TERMS_ON_CPU: &str = "with several scenarios, quantiles or noisy heads, libtorch \
     computes the updates, not the native code";

/// The same, where gradients are averaged over several processes.
const SEVERAL_RANKS_ON_CUDA: &str = "on several ranks, updates are not recorded as a CUDA graph";

impl Facts {
    /// Of a run with so many scenarios, in one process.
    pub fn new(config: &TrainConfig, scenarios: usize, device: Device) -> Self {
        let TrainConfig { learner, exploration, demonstrations, comparisons, .. } = config;
        Self {
            device,
            wanted: learner.backend,
            extra_networks: scenarios > 1 || learner.quantiles > 1 || exploration.noisy_sigma > 0.0,
            extra_draws: !demonstrations.baseline.is_empty()
                || comparisons.are_made()
                || learner.priority_exponent > 0.0,
            several_ranks: false,
        }
    }

    /// The choice, and what people should know of it.
    pub fn choose(&self) -> (Kind, Option<String>) {
        let (kind, note) = match self.device {
            Device::Cpu => match self.wanted {
                config::Backend::Libtorch => (Kind::Autograd, None),
                _ if self.extra_networks => (Kind::Autograd, Some(EXTRA_TERMS_ON_CPU)),
                _ => (Kind::Native, None),
            },
            Device::Cuda(_) if self.extra_networks || self.extra_draws => {
                (Kind::Autograd, Some(EXTRA_TERMS_ON_CUDA))
            }
            // A graph cannot wait for other processes.
            Device::Cuda(_) if self.several_ranks => (Kind::Autograd, Some(SEVERAL_RANKS_ON_CUDA)),
            Device::Cuda(_) => (Kind::Device, None),
            _ => (Kind::Autograd, None),
        };
        let refused =
            (self.wanted == config::Backend::Native && self.device != Device::Cpu).then(|| {
                format!(
                    "the native update runs on the CPU, not on {:?}: libtorch is used",
                    self.device
                )
            });
        (kind, refused.or_else(|| note.map(str::to_owned)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(device: Device, settings: &str) -> Facts {
        let config: TrainConfig = toml::from_str(settings).expect("settings");
        Facts::new(&config, 1, device)
    }

    #[test]
    fn each_device_makes_updates_the_fastest_way_that_serves_the_settings() {
        let (cpu, cuda) = (Device::Cpu, Device::Cuda(0));
        for (device, settings, kind, noted) in [
            (cpu, "", Kind::Native, false),
            (cpu, "learner.backend = 'libtorch'", Kind::Autograd, false),
            (cpu, "learner.quantiles = 8", Kind::Autograd, true),
            (cpu, "learner = { quantiles = 8, backend = 'libtorch' }", Kind::Autograd, false),
            (cpu, "exploration.noisy_sigma = 0.5", Kind::Autograd, true),
            (cpu, "learner.priority_exponent = 0.6", Kind::Native, false),
            (cpu, "comparisons.baseline = 'evacuate'", Kind::Native, false),
            (cuda, "", Kind::Device, false),
            (cuda, "learner.backend = 'libtorch'", Kind::Device, false),
            (cuda, "learner.backend = 'native'", Kind::Device, true),
            (cuda, "learner.quantiles = 8", Kind::Autograd, true),
            (cuda, "learner.priority_exponent = 0.6", Kind::Autograd, true),
            (cuda, "demonstrations.baseline = 'evacuate'", Kind::Autograd, true),
        ] {
            let (chosen, note) = facts(device, settings).choose();
            assert_eq!((chosen, note.is_some()), (kind, noted), "{device:?} {settings}: {note:?}");
        }
    }

    #[test]
    fn several_ranks_keep_the_native_update_and_leave_the_graph() {
        let of = |device| Facts { several_ranks: true, ..facts(device, "") }.choose();
        assert_eq!(of(Device::Cpu), (Kind::Native, None));
        assert_eq!(of(Device::Cuda(0)), (Kind::Autograd, Some(SEVERAL_RANKS_ON_CUDA.to_owned())));
    }

    #[test]
    fn several_scenarios_are_learnt_by_autograd() {
        let config = TrainConfig::default();
        assert_eq!(Facts::new(&config, 2, Device::Cpu).choose().0, Kind::Autograd);
        assert_eq!(Facts::new(&config, 2, Device::Cuda(0)).choose().0, Kind::Autograd);
    }
}
