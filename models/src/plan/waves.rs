//! Which moves of a plan may run at the same time.

use godwit_envs::state::cluster::NO_GROUP;
use godwit_envs::state::outlook::fits;
use godwit_envs::state::place_counts::PlaceCounts;
use godwit_envs::state::{ClusterState, NOWHERE};

/// Groups moves into waves: a move joins the current wave unless it depends on room, or on
/// a limit, that only the end of the wave frees.
#[derive(Clone)]
pub(super) struct Waves {
    wave: u32,
    /// Seconds from the plan's start until the wave starts.
    start_s: f32,
    /// Longest transfer of the wave, seconds.
    longest_s: f32,
    /// Node of each workload at the wave's start; the wave's own moves are in `arrived`.
    placement: Vec<u32>,
    /// Demand that each node holds, the wave's arrivals included and its departures not taken
    /// off, `[m][P]`.
    held: Vec<f32>,
    /// What is counted by node and zone, with the wave's moves under way.
    place_counts: PlaceCounts,
    /// Workload and destination of the wave's moves.
    arrived: Vec<(usize, usize)>,
    /// Transfers of each node that were in flight before the plan, `[N]`.
    in_flight: Vec<u32>,
    /// Transfers of each node in this wave, those included, `[N]`.
    transfers: Vec<u32>,
    /// Transfers of this wave: cold restarts are none.
    started: usize,
}

/// When a move may start.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Turn {
    /// Its wave, from 0.
    pub wave: u32,
    /// Seconds from the plan's start.
    pub start_s: f32,
}

impl Waves {
    /// No wave yet.
    pub fn new(state: &ClusterState) -> Self {
        let nodes = state.spec.nodes();
        let in_flight: Vec<u32> = (0..nodes).map(|i| state.transfers_of(i)).collect();
        Self {
            wave: 0,
            start_s: 0.0,
            longest_s: 0.0,
            placement: state.placement.clone(),
            held: state.now.held.clone(),
            place_counts: state.place_counts().clone(),
            arrived: Vec::new(),
            transfers: in_flight.clone(),
            in_flight,
            started: 0,
        }
    }

    /// When this move, the one after all before it, may start; its transfer takes so long.
    pub fn add(
        &mut self,
        state: &ClusterState,
        k: usize,
        source: usize,
        destination: usize,
        transfer_s: f32,
    ) -> Turn {
        if !self.arrived.is_empty() && !self.joins(state, k, source, destination) {
            self.next_wave(state);
        }
        let padded = state.spec.padded_nodes();
        for (j, d) in state.demand_of(k).iter().enumerate() {
            self.held[j * padded + destination] += d;
        }
        self.place_counts.start(&state.spec, k, source, destination);
        self.arrived.push((k, destination));
        if !state.restarts_from(source) {
            self.transfers[source] += 1;
            self.transfers[destination] += 1;
            self.started += 1;
        }
        self.longest_s = self.longest_s.max(transfer_s);
        Turn { wave: self.wave, start_s: self.start_s }
    }

    fn joins(&self, state: &ClusterState, k: usize, source: usize, destination: usize) -> bool {
        let (spec, limits) = (&*state.spec, &state.rules.limits);
        let padded = spec.padded_nodes();
        // Spread and dependencies are kept after each move of the given order, not of any other.
        if state.reassignment.is_some() {
            return false;
        }
        let before: u32 = self.in_flight.iter().sum::<u32>() / 2;
        let group = spec.group[k];
        let room = state.demand_of(k).iter().enumerate().all(|(j, &d)| {
            let at = j * padded + destination;
            d <= 0.0 || fits(self.held[at], d, spec.supply[at])
        });
        let may_start = state.restarts_from(source)
            || before as usize + self.started < limits.transfers_in_flight as usize
                && self.transfers[source] < limits.transfers_per_node
                && self.transfers[destination] < limits.transfers_per_node;
        room && may_start
            && self.place_counts.allows(spec, k, Some(source), destination).is_ok()
            && self.arrived.iter().all(|&(other, node)| {
                other != k
                    && (group == NO_GROUP || node != destination || spec.group[other] != group)
            })
            && (group == NO_GROUP
                || self.placement.iter().enumerate().all(|(other, &node)| {
                    other == k || node as usize != destination || spec.group[other] != group
                }))
    }

    fn next_wave(&mut self, state: &ClusterState) {
        self.wave += 1;
        self.start_s += self.longest_s;
        self.longest_s = 0.0;
        for &(k, destination) in &self.arrived {
            let source = self.placement[k] as usize;
            self.place_counts.finish(&state.spec, k, source, destination);
            self.placement[k] = destination as u32;
        }
        self.arrived.clear();
        self.started = 0;
        self.transfers.clone_from(&self.in_flight);
        // Summed anew: adding and subtracting would drift.
        self.held.fill(0.0);
        let padded = state.spec.padded_nodes();
        let mut hold = |k: usize, node: usize| {
            for (j, d) in state.demand_of(k).iter().enumerate() {
                self.held[j * padded + node] += d;
            }
        };
        for (k, &node) in self.placement.iter().enumerate().filter(|(_, node)| **node != NOWHERE) {
            hold(k, node as usize);
        }
        // Only transfers from before the plan: a static world starts none of its own, and an
        // online plan is a single wave.
        for transfer in &state.transfers {
            hold(transfer.workload as usize, transfer.source as usize);
        }
    }
}
