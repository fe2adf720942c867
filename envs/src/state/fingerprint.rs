//! What a cluster is like apart from where its workloads are.

use crate::state::ClusterState;

impl ClusterState {
    /// A number that differs, as far as 64 bits can tell, between clusters in which anything but the
    /// placement, transfers under way, cooldowns and budgets differs: nodes, workloads, demand,
    /// forecast, health. Two states that share it are one world at two times. Never 0.
    pub fn fingerprint(&self) -> u64 {
        let spec = &*self.spec;
        let mut hash = Fnv::default();
        for name in spec.node_names.iter().chain(&spec.workload_names) {
            hash.add(name.len() as u64);
            name.bytes().for_each(|byte| hash.add(byte.into()));
        }
        for numbers in [&spec.supply, &self.demand, &self.forecast_demand, &spec.state_gib] {
            hash.add(numbers.len() as u64);
            numbers.iter().for_each(|number| hash.add(number.to_bits().into()));
        }
        self.health.iter().for_each(|health| hash.add(*health as u64));
        self.life.iter().for_each(|life| hash.add(*life as u64));
        for k in 0..spec.workloads() {
            hash.add(spec.class_mask[k]);
            hash.add(spec.group[k].into());
            hash.add(spec.movable[k].into());
        }
        if let Some(places) = &spec.places {
            places.words().for_each(|word| hash.add(word));
            spec.node_zone.iter().for_each(|&zone| hash.add(zone.into()));
        }
        hash.0.max(1)
    }
}

/// FNV-1a (Fowler, Noll, Vo), a word at a time: it is the same in every build, and what was
/// remembered by it outlives the process.
struct Fnv(u64);

impl Default for Fnv {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Fnv {
    fn add(&mut self, word: u64) {
        // The shift brings high bits down, which multiplication alone never does.
        self.0 = (self.0 ^ word).wrapping_mul(0x0000_0100_0000_01b3);
        self.0 ^= self.0 >> 29;
    }
}

#[cfg(test)]
mod tests {
    use crate::env::Env;
    use crate::scenario::{Phase, Scenario, WorldTemplate};
    use crate::state::ClusterState;
    use crate::state::cluster::Health;
    use std::sync::Arc;

    #[test]
    fn moves_and_time_leave_the_fingerprint_and_every_other_change_shows() {
        let scenario = Scenario::embedded("bursty").expect("an embedded scenario");
        let template = Arc::new(WorldTemplate::new(&scenario));
        let mut env =
            crate::env::cluster_env::ClusterEnv::new(template, Phase::Evaluate).expect("a start");
        env.reset(1).expect("a start");
        let state = env.state().clone();
        let world = state.fingerprint();
        let of = |change: fn(&mut ClusterState)| {
            let mut changed = state.clone();
            change(&mut changed);
            changed.fingerprint()
        };
        assert_eq!(of(|state| state.placement.swap(0, 1)), world);
        assert_eq!(of(|state| state.start_tick()), world);
        assert_eq!(of(|state| state.transfers.clear()), world);
        let changes: [fn(&mut ClusterState); 4] = [
            |state| state.demand[0] = state.demand[0].next_up(),
            |state| state.demand.swap(0, 3),
            |state| state.health[0] = Health::Draining,
            |state| Arc::make_mut(&mut state.spec).workload_names[0].push('x'),
        ];
        for change in changes {
            assert_ne!(of(change), world);
        }
    }
}
