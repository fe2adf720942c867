//! What is needed to go on stepping an episode with the same results.

use super::ClusterEnv;
use crate::scenario::Mode;
use crate::state::cluster::Health;
use crate::state::{Life, NOWHERE, Transfer};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Saved {
    seed: u64,
    ended: bool,
    tick: u32,
    moves_left: u32,
    placement: Vec<u32>,
    cooldown: Vec<u16>,
    transfers: Vec<Transfer>,
    life: Vec<Life>,
    queue: Vec<u32>,
    health: Vec<Health>,
    deadline: Vec<u32>,
    restarts: u32,
}

/// The first of these workloads (each below `workloads`) that is named a second time.
fn repeated(named: impl Iterator<Item = u32>, workloads: usize) -> Option<u32> {
    let mut seen = vec![false; workloads];
    named.into_iter().find(|&workload| std::mem::replace(&mut seen[workload as usize], true))
}

impl ClusterEnv {
    /// See [`Env::save`](crate::env::Env::save).
    pub(super) fn saved(&self) -> serde_json::Value {
        let state = &self.state;
        let saved = Saved {
            seed: self.seed,
            ended: self.ended,
            tick: state.tick,
            moves_left: state.moves_left,
            placement: state.placement.clone(),
            cooldown: state.cooldown.clone(),
            transfers: state.transfers.clone(),
            life: state.life.clone(),
            queue: state.queue.clone(),
            health: state.health.clone(),
            deadline: state.deadline.clone(),
            restarts: self.restarts,
        };
        serde_json::to_value(saved).unwrap_or_default()
    }

    /// See [`Env::restore`](crate::env::Env::restore).
    pub(super) fn restore_saved(&mut self, saved: &serde_json::Value) -> Result<(), String> {
        let saved =
            Saved::deserialize(saved).map_err(|error| format!("environment state: {error}"))?;
        let (nodes, workloads) = (self.space.nodes, self.space.workloads);
        if saved.placement.len() != workloads
            || saved.cooldown.len() != workloads
            || saved.life.len() != workloads
            || saved.health.len() != nodes
            || saved.deadline.len() != nodes
            || saved.queue.iter().any(|&k| k as usize >= workloads)
            || saved.placement.iter().any(|&node| node != NOWHERE && node as usize >= nodes)
        {
            return Err(format!(
                "environment state: expected {workloads} workloads on {nodes} nodes, got a placement of {}",
                saved.placement.len()
            ));
        }
        let outside = |transfer: &Transfer| {
            transfer.workload as usize >= workloads
                || transfer.source as usize >= nodes
                || saved.placement[transfer.workload as usize] == NOWHERE
        };
        if saved.transfers.iter().any(outside) {
            return Err(
                "environment state: expected transfers of known workloads and nodes, got others"
                    .into(),
            );
        }
        let moving = saved.transfers.iter().map(|transfer| transfer.workload);
        if let Some(twice) = repeated(moving, workloads) {
            return Err(format!(
                "environment state: expected one transfer of each workload, got two of workload \
                 {twice}"
            ));
        }
        if let Some(twice) = repeated(saved.queue.iter().copied(), workloads) {
            return Err(format!(
                "environment state: expected each workload to wait once, got workload {twice} twice"
            ));
        }
        let rules = &self.template.rules.episode;
        if rules.mode == Mode::Online && saved.tick > rules.ticks {
            let (ticks, tick) = (rules.ticks, saved.tick);
            return Err(format!("environment state: expected a tick up to {ticks}, got {tick}"));
        }
        self.start(saved.seed).map_err(|error| error.to_string())?;
        self.ended = saved.ended;
        self.state.tick = saved.tick;
        self.state.moves_left = saved.moves_left;
        self.state.placement = saved.placement;
        self.state.cooldown = saved.cooldown;
        self.state.transfers = saved.transfers;
        self.state.life = saved.life;
        self.state.queue = saved.queue;
        self.state.health = saved.health;
        self.state.deadline = saved.deadline;
        self.restarts = saved.restarts;
        self.settle();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::env::Env;
    use crate::scenario::{Phase, Scenario, WorldTemplate};
    use std::sync::Arc;

    /// An online world in which a workload is on its way.
    fn moving() -> ClusterEnv {
        let mut scenario = Scenario::embedded("quickstart").expect("an embedded scenario");
        scenario.rules.episode.mode = Mode::Online;
        scenario.rules.episode.ticks = 24;
        scenario.rules.episode.tick_s = 1.0;
        scenario.rules.episode.moves_per_tick = 2;
        let scenario = Scenario::parse(&scenario.to_toml(), "online").expect("a valid scenario");
        let template = Arc::new(WorldTemplate::new(&scenario));
        let mut env = ClusterEnv::new(template, Phase::Train).expect("a start");
        env.reset(3).expect("a start");
        let first = (1..env.action_space()).find(|&action| env.step(action).is_ok());
        assert!(first.is_some() && !env.state().transfers.is_empty(), "nothing moves");
        env
    }

    #[test]
    fn a_workload_that_moves_or_waits_twice_is_refused() {
        let mut env = moving();
        let good = env.save();
        assert_eq!(env.restore(&good), Ok(()));
        let mut doubled = good.clone();
        let transfers = doubled["transfers"].as_array_mut().expect("a list");
        transfers.push(transfers[0].clone());
        let workload = transfers[0]["workload"].clone();
        assert_eq!(
            env.restore(&doubled),
            Err(format!(
                "environment state: expected one transfer of each workload, got two of workload \
                 {workload}"
            ))
        );
        let mut waiting = good.clone();
        waiting["queue"] = serde_json::json!([1, 0, 1]);
        let error = env.restore(&waiting).expect_err("a workload that waits twice");
        assert!(error.ends_with("got workload 1 twice"), "{error}");
        // What was refused has changed nothing.
        assert_eq!(env.save(), good);
    }
}
