//! Runs an episode again from its event log, without the policy and without drawing anything.

use crate::env::cluster_env::ClusterEnv;
use crate::episode::demand::DemandTable;
use crate::state::ClusterState;
use crate::state::event::{Event, EventKind};

/// A cluster that follows an event log. After each event its state is, bit for bit, the one that
/// the environment had, but for forecasts, which are no part of the world.
#[derive(Debug, Clone)]
pub struct Replay {
    state: ClusterState,
    demand: DemandTable,
    /// Whether what is derived from the state lags behind it.
    stale: bool,
}

impl Replay {
    /// Stands where `env` stands: at the start of an episode whose log is to be followed.
    pub fn new(env: &ClusterEnv) -> Self {
        Self { state: env.state().clone(), demand: env.demand().clone(), stale: false }
    }

    /// Follows one event.
    pub fn follow(&mut self, event: &Event) {
        let needs_loads = matches!(
            event.kind,
            EventKind::TransferStarted { .. }
                | EventKind::TransferEnded { .. }
                | EventKind::Placed { .. }
        );
        if needs_loads {
            self.settle();
        }
        self.state.carry_out(&event.kind, &self.demand);
        self.stale |= !needs_loads;
    }

    /// The cluster after the events so far.
    pub fn state(&mut self) -> &ClusterState {
        self.settle();
        &self.state
    }

    fn settle(&mut self) {
        if std::mem::take(&mut self.stale) {
            self.state.rebuild();
        }
    }
}
