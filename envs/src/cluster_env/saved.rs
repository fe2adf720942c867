//! What is needed to go on stepping an episode with the same results.

use super::ClusterEnv;
use crate::cluster::Health;
use crate::scenario::Mode;
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
