//! Uniform over what is allowed.
//!
//! Rule: every feasible migration and `Stay` are equally likely. No parameters but the seed. It
//! shows what a policy that has learnt nothing does: masked exploration at epsilon = 1.

use crate::policy::Policy;
use godwit_envs::lanes::LANES;
use godwit_envs::rng::{Rng, stream};
use godwit_envs::state::outlook::Tile;
use godwit_envs::state::{Action, ClusterState};
use rand::RngExt;

/// Uniform over `Stay` and all feasible migrations.
#[derive(Debug, Clone)]
pub struct Random {
    rng: Rng,
    tiles: Vec<Tile>,
    /// Feasible destinations of the workloads so far, running total, `[K]`.
    totals: Vec<u64>,
}

impl Random {
    /// Draws from the stream of this seed until it is reset with another.
    pub fn new(seed: u64) -> Self {
        Self { rng: stream(seed, "policy random"), tiles: Vec::new(), totals: Vec::new() }
    }
}

impl Policy for Random {
    fn name(&self) -> &str {
        "random"
    }

    fn reset(&mut self, seed: u64) {
        self.rng = stream(seed, "policy random");
    }

    fn act(&mut self, state: &ClusterState) -> Action {
        let spec = &*state.spec;
        self.tiles.resize_with(spec.padded_nodes() / LANES, Tile::default);
        for (block, tile) in self.tiles.iter_mut().enumerate() {
            state.now.tile_of_block(spec, block * LANES, tile);
        }
        self.totals.clear();
        let mut total = 0;
        for k in 0..spec.workloads() {
            if state.may_leave(k).is_ok() {
                for tile in &self.tiles {
                    let open = state.open_lanes(k, tile);
                    total += open.iter().filter(|open| **open).count() as u64;
                }
            }
            self.totals.push(total);
        }
        let drawn = self.rng.random_range(0..=total);
        if drawn == total {
            return Action::Stay;
        }
        let workload = self.totals.partition_point(|&sum| sum <= drawn);
        let before = if workload == 0 { 0 } else { self.totals[workload - 1] };
        let mut rank = drawn - before;
        for tile in &self.tiles {
            for (&node, open) in tile.node.iter().zip(state.open_lanes(workload, tile)) {
                if open && rank == 0 {
                    return Action::Migrate { workload, destination: node as usize };
                }
                rank -= u64::from(open);
            }
        }
        Action::Stay
    }
}
