//! Looks at the cluster: the snapshot of what has been heard so far.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::api::Api;
use super::seen::{Time, snapshot_of};
use super::settings::Settings;
use super::watching::{Shared, locked};
use crate::cluster::{CallError, Seen, Source};

/// Sees a cluster through its API server.
pub(super) struct KubernetesSource {
    pub settings: Settings,
    pub resources: Vec<String>,
    pub world: Shared,
    /// What hears of changes goes on for as long as this is held.
    pub api: Api,
}

impl Source for KubernetesSource {
    fn look(&mut self) -> Result<Seen, CallError> {
        let behind_s = self.behind()?.as_secs_f32();
        let mut world = locked(&self.world);
        let world = &mut *world;
        world.objects.sweep();
        let time = Time { now_s: now_s(), behind_s };
        let ordinals = &mut world.ordinals;
        snapshot_of(&world.objects, &self.resources, &self.settings, ordinals, time, "kubernetes")
            .map_err(|error| CallError::Refused(error.to_string()))
    }
}

impl KubernetesSource {
    /// Waits, at first, until everything has been listed.
    fn behind(&self) -> Result<Duration, CallError> {
        const POLL: Duration = Duration::from_millis(20);
        let until = Instant::now() + self.api.timeout;
        loop {
            let behind = locked(&self.world).behind();
            match behind {
                Err(CallError::Later { .. }) if Instant::now() < until => std::thread::sleep(POLL),
                answer => return answer,
            }
        }
    }
}

/// Seconds since 1970.
pub(super) fn now_s() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}
