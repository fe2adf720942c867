//! What changes during an episode: demands, placement, transfers in flight, cooldowns, budgets.

// Lanes are indexed in step across several arrays, which vectorises and reads like the formula.
#![allow(clippy::needless_range_loop)]

use crate::lanes::{LANES, Lanes};
use crate::reassignment::{Instance, Solution};
use crate::scenario::{FaultRules, Mode, Rules};
use crate::state::Infeasible;
use crate::state::cluster::{ClusterSpec, Health, NO_GROUP, NOWHERE};
use crate::state::fences::Fences;
use crate::state::members::MemberCounts;
use crate::state::migration::{MigrationCost, MigrationCostLanes};
use crate::state::objective::Objective;
use crate::state::outlook::{Outlook, Tile};
use crate::state::place_counts::PlaceCounts;
use crate::state::slots::SlotView;
use crate::state::term::{LEVEL_TERMS, LOAD_TERMS, TERMS, Term, Terms};
use std::sync::Arc;

/// Whether a workload is there.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum Life {
    /// It runs on a node.
    #[default]
    Running,
    /// It has not come yet, or has left.
    Absent,
    /// It has come and waits for its first node.
    Waiting,
    /// Its node failed; it waits for another one, where it starts cold.
    Displaced,
}

/// What a policy decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action {
    /// Move nothing now.
    Stay,
    /// Move one workload.
    Migrate {
        /// Workload index.
        workload: usize,
        /// Node index.
        destination: usize,
    },
}

/// A migration under way: the workload counts on its destination, and the source still holds its
/// demand until the transfer ends.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Transfer {
    /// Workload index.
    pub workload: u32,
    /// Node it leaves.
    pub source: u32,
    /// Seconds until the source is released.
    pub remaining_s: f32,
}

/// The cluster as a policy finds it.
#[derive(Debug, Clone)]
pub struct ClusterState {
    /// The rules decisions are made under.
    pub rules: Arc<Rules>,
    /// The rules' objective, resolved.
    pub objective: Objective,
    /// Nodes and workloads.
    pub spec: Arc<ClusterSpec>,
    /// Demand now, `[K][m]`.
    pub demand: Vec<f32>,
    /// Forecast demand per horizon, `[H][K][m]`.
    pub forecast_demand: Vec<f32>,
    /// Node of each workload, [`NOWHERE`] unless it runs, `[K]`.
    pub placement: Vec<u32>,
    /// Whether each workload is there, `[K]`.
    pub life: Vec<Life>,
    /// Workloads that wait for a node, in the order in which they are served.
    pub queue: Vec<u32>,
    /// Whether each node can be relied on, `[N]`.
    pub health: Vec<Health>,
    /// Tick at whose start each draining node fails, `[N]`; 0 for others.
    pub deadline: Vec<u32>,
    /// Ticks for which each workload may not be moved, `[K]`.
    pub cooldown: Vec<u16>,
    /// Transfers in flight.
    pub transfers: Vec<Transfer>,
    /// Current tick.
    pub tick: u32,
    /// Moves left: of the episode (rebalance) or of this tick (online).
    pub moves_left: u32,
    /// Loads now.
    pub now: Outlook,
    /// Loads at each forecast horizon under the current placement.
    pub forecast: Vec<Outlook>,
    /// Slot arithmetic of each node; empty where the objective has no slot.
    pub slots: SlotView,
    /// The placement as an assignment of the machine-reassignment problem, where the cluster has its
    /// constraints and costs.
    pub reassignment: Option<Solution<Arc<Instance>>>,
    /// What may not be moved beyond that; none in training.
    pub fences: Fences,
    /// Transfers that each node takes part in, `[P]`.
    pub(crate) node_transfers: Vec<u32>,
    /// Bandwidth that one more transfer would get on each node's link, `[N]`.
    link_share: Vec<f32>,
    /// Members of each anti-affinity group on each node.
    pub(crate) group_count: MemberCounts,
    /// What is counted by node and zone.
    pub(crate) place_counts: PlaceCounts,
    pub(crate) in_transfer: Vec<bool>,
    /// Workloads that demand more of a resource than any node supplies, `[K]`; empty for none.
    pub(crate) misfits: Vec<bool>,
    /// Nodes that accept no workloads.
    pub(crate) closed_nodes: usize,
    /// Waiting workloads by cause, weighted by priority: displaced, unplaced.
    waiting: [f32; 2],
    /// Workloads on each node, `[P]`.
    pub(crate) workload_count: Vec<u32>,
}

impl ClusterState {
    /// A state with this placement, base demand and full budget; call
    /// [`ClusterState::rebuild`] after changing fields by hand.
    pub fn new(rules: Arc<Rules>, spec: Arc<ClusterSpec>, placement: Vec<u32>) -> Self {
        let mut state = Self::unbuilt(rules, spec, placement);
        state.rebuild();
        state
    }

    /// [`ClusterState::new`] for those who change fields, and rebuild, anyway.
    pub(crate) fn unbuilt(rules: Arc<Rules>, spec: Arc<ClusterSpec>, placement: Vec<u32>) -> Self {
        let objective = Objective::of_cluster(&rules, &spec);
        let horizons = rules.forecast.horizons.len();
        let demand = spec.base_demand.clone();
        Self {
            forecast_demand: demand.repeat(horizons),
            life: vec![Life::Running; spec.workloads()],
            queue: Vec::with_capacity(spec.workloads()),
            health: vec![Health::Healthy; spec.nodes()],
            deadline: vec![0; spec.nodes()],
            cooldown: vec![0; spec.workloads()],
            transfers: Vec::with_capacity(most_transfers(&rules, spec.workloads())),
            tick: 0,
            moves_left: full_budget(&rules),
            now: Outlook::new(&spec, &objective),
            forecast: vec![Outlook::new(&spec, &objective); horizons],
            slots: SlotView::new(&spec, &objective),
            reassignment: spec.reassignment.clone().map(Solution::new),
            fences: Fences::default(),
            node_transfers: vec![0; spec.padded_nodes()],
            link_share: vec![0.0; spec.nodes()],
            group_count: MemberCounts::new(spec.groups, spec.nodes()),
            place_counts: PlaceCounts::new(&spec),
            in_transfer: vec![false; spec.workloads()],
            misfits: Vec::new(),
            closed_nodes: 0,
            waiting: [0.0; 2],
            workload_count: vec![0; spec.padded_nodes()],
            rules,
            objective,
            spec,
            demand,
            placement,
        }
    }

    /// Demand of a workload now, `[m]`.
    #[inline(always)]
    pub fn demand_of(&self, workload: usize) -> &[f32] {
        let m = self.spec.resources;
        &self.demand[workload * m..(workload + 1) * m]
    }

    /// Forecast demand of a workload, `[m]`.
    #[inline(always)]
    pub fn forecast_of(&self, horizon: usize, workload: usize) -> &[f32] {
        let m = self.spec.resources;
        let at = (horizon * self.spec.workloads() + workload) * m;
        &self.forecast_demand[at..at + m]
    }

    /// Points in time that are looked at: now, and each forecast horizon.
    pub fn views(&self) -> usize {
        1 + self.forecast.len()
    }

    /// Loads in a view: 0 is now, 1 + h horizon h.
    #[inline(always)]
    pub fn outlook(&self, view: usize) -> &Outlook {
        if view == 0 { &self.now } else { &self.forecast[view - 1] }
    }

    /// Demand of all workloads in a view, `[K][m]`.
    #[inline(always)]
    pub fn demands_in(&self, view: usize) -> &[f32] {
        let width = self.demand.len();
        if view == 0 { &self.demand } else { &self.forecast_demand[(view - 1) * width..][..width] }
    }

    /// Demand of a workload in a view, `[m]`.
    #[inline(always)]
    pub fn demand_in(&self, view: usize, workload: usize) -> &[f32] {
        &self.demands_in(view)[workload * self.spec.resources..][..self.spec.resources]
    }

    /// The level terms now.
    pub fn level_terms(&self) -> [f32; LEVEL_TERMS] {
        let mut terms = [0.0; LEVEL_TERMS];
        terms[..LOAD_TERMS].copy_from_slice(&self.now.terms(&self.objective));
        terms[LOAD_TERMS..LOAD_TERMS + 2].copy_from_slice(&self.waiting);
        terms[Term::MachineReassignment as usize] = self.reassignment_cost() as f32;
        terms
    }

    /// Whether a node accepts workloads.
    pub fn is_open(&self, node: usize) -> bool {
        self.now.accepting[node] > 0.0
    }

    /// Node that the workload runs on.
    pub fn node_of(&self, workload: usize) -> Option<usize> {
        let node = self.placement[workload];
        (node != NOWHERE).then_some(node as usize)
    }

    /// The weighted objective now, without flow costs.
    pub fn level(&self) -> f32 {
        self.objective.level(&self.level_terms())
    }

    /// Transfers that a node takes part in.
    pub fn transfers_of(&self, node: usize) -> u32 {
        self.node_transfers[node]
    }

    /// Members of the workload's anti-affinity group on a node, those that are being transferred away
    /// included; 0 without a group.
    #[inline(always)]
    pub fn members_on(&self, workload: usize, node: usize) -> u32 {
        match self.spec.group[workload] {
            NO_GROUP => 0,
            group => self.group_count.of(group, node),
        }
    }

    /// What is counted by node and zone, for whoever tries out what may come next.
    pub fn place_counts(&self) -> &PlaceCounts {
        &self.place_counts
    }

    /// Workloads on a node.
    pub fn workloads_on(&self, node: usize) -> u32 {
        self.workload_count[node]
    }

    /// Whether the workload's transfer is under way.
    pub fn is_in_transfer(&self, workload: usize) -> bool {
        self.in_transfer[workload]
    }

    /// Recomputes everything that is derived from demand, placement and transfers.
    pub fn rebuild(&mut self) {
        let spec = &*self.spec;
        let (m, padded) = (spec.resources, spec.padded_nodes());
        self.node_transfers.fill(0);
        self.group_count.clear();
        self.in_transfer.fill(false);
        self.workload_count.fill(0);
        self.refresh_health();
        let spec = &*self.spec;
        for (k, &node) in self.placement.iter().enumerate() {
            if node == NOWHERE {
                continue;
            }
            self.workload_count[node as usize] += 1;
            if spec.group[k] != NO_GROUP {
                self.group_count.add(spec.group[k], node as usize);
            }
        }
        self.now.held.fill(0.0);
        for (k, demand) in self.demand.chunks_exact(m).enumerate() {
            let Some(node) = self.node_of(k) else { continue };
            for (j, d) in demand.iter().enumerate() {
                self.now.held[j * padded + node] += d;
            }
        }
        for transfer in &self.transfers {
            let (k, source) = (transfer.workload as usize, transfer.source as usize);
            self.node_transfers[source] += 1;
            self.node_transfers[self.placement[k] as usize] += 1;
            self.in_transfer[k] = true;
            if spec.group[k] != NO_GROUP {
                self.group_count.add(spec.group[k], source);
            }
            for j in 0..m {
                self.now.held[j * padded + source] += self.demand[k * m + j];
            }
        }
        let leaving = self.transfers.iter().map(|t| (t.workload as usize, t.source as usize));
        self.place_counts.rebuild(spec, &self.placement, leaving);
        for (i, share) in self.link_share.iter_mut().enumerate() {
            *share = link_share(spec, &self.node_transfers, i);
        }
        for (h, outlook) in self.forecast.iter_mut().enumerate() {
            outlook.held.fill(0.0);
            let at = h * self.placement.len() * m;
            let demands = &self.forecast_demand[at..at + self.placement.len() * m];
            for (demand, &node) in demands.chunks_exact(m).zip(&self.placement) {
                if node == NOWHERE {
                    continue;
                }
                for (j, d) in demand.iter().enumerate() {
                    outlook.held[j * padded + node as usize] += d;
                }
            }
        }
        for outlook in std::iter::once(&mut self.now).chain(&mut self.forecast) {
            for i in 0..spec.nodes() {
                outlook.refresh_node(spec, &self.objective, i);
            }
            outlook.refresh_totals(spec);
        }
        self.slots.rebuild(spec, &self.objective, &self.demand, &self.placement, &self.now.free);
        if let Some(board) = &mut self.reassignment {
            board.set(&self.placement);
        }
    }

    /// Recomputes what two nodes hold, from the workloads on them: exact, where adding and
    /// subtracting would drift. Forecasts know no transfers: the end of one leaves them as they
    /// are.
    pub(crate) fn refresh_pair(&mut self, a: usize, b: usize, forecasts: bool) {
        let spec = &*self.spec;
        let (m, padded) = (spec.resources, spec.padded_nodes());
        let forecast = if forecasts { &mut self.forecast[..] } else { &mut [] };
        for outlook in std::iter::once(&mut self.now).chain(&mut *forecast) {
            for j in 0..m {
                outlook.held[j * padded + a] = 0.0;
                outlook.held[j * padded + b] = 0.0;
            }
        }
        let workloads = self.placement.len();
        for (k, &node) in self.placement.iter().enumerate() {
            let node = node as usize;
            if node != a && node != b {
                continue;
            }
            for j in 0..m {
                self.now.held[j * padded + node] += self.demand[k * m + j];
                for (h, outlook) in forecast.iter_mut().enumerate() {
                    outlook.held[j * padded + node] +=
                        self.forecast_demand[(h * workloads + k) * m + j];
                }
            }
        }
        for transfer in &self.transfers {
            let source = transfer.source as usize;
            if source == a || source == b {
                for j in 0..m {
                    self.now.held[j * padded + source] +=
                        self.demand[transfer.workload as usize * m + j];
                }
            }
        }
        for outlook in std::iter::once(&mut self.now).chain(forecast) {
            outlook.refresh_node(spec, &self.objective, a);
            outlook.refresh_node(spec, &self.objective, b);
            outlook.refresh_totals(spec);
        }
        for node in [a, b] {
            self.link_share[node] = link_share(spec, &self.node_transfers, node);
            let free = &self.now.free;
            self.slots.refresh(spec, &self.objective, &self.demand, &self.placement, free, node);
        }
    }

    /// Bandwidth that a transfer started now would get: the smaller of the two links' shares.
    fn bandwidth(&self, source: usize, destination: usize) -> f32 {
        self.link_share[source].min(self.link_share[destination])
    }

    /// Whether leaving this node is a cold restart: a failed node has no state left to copy from.
    #[inline(always)]
    pub fn restarts_from(&self, node: usize) -> bool {
        self.health[node] == Health::Failed
    }

    /// Price of a cold restart: no traffic, and down until the workload runs again. Where the rules
    /// know no faults, that takes [`FaultRules::RESTART_S`].
    fn restart_cost(&self) -> MigrationCost {
        let faults = self.rules.faults.as_ref();
        let restart_s = faults.map_or(FaultRules::RESTART_S, |faults| faults.restart_s);
        MigrationCost { moved_gib: 0.0, transfer_s: restart_s, downtime_s: restart_s }
    }

    /// Price of this migration if it started now; that of a cold restart from a failed node.
    pub fn migration_cost(&self, workload: usize, destination: usize) -> MigrationCost {
        let source = self.placement[workload] as usize;
        if self.restarts_from(source) {
            return self.restart_cost();
        }
        self.rules.migration.cost(
            self.spec.state_gib[workload],
            self.spec.dirty_gib_s[workload],
            self.bandwidth(source, destination),
        )
    }

    /// [`ClusterState::migration_cost`] for the nodes of a tile.
    #[inline(always)]
    pub fn migration_cost_lanes(&self, workload: usize, tile: &Tile, out: &mut MigrationCostLanes) {
        let source = self.placement[workload] as usize;
        if self.restarts_from(source) {
            let cost = self.restart_cost();
            out.moved_gib = [cost.moved_gib; LANES];
            out.transfer_s = [cost.transfer_s; LANES];
            out.downtime_s = [cost.downtime_s; LANES];
            return;
        }
        let most = self.link_share[source];
        // Unused lanes take the last node's share: they must not make the lanes differ.
        let mut share = most;
        let mut bandwidth: Lanes = [most; LANES];
        for l in 0..LANES {
            share = self.link_share.get(tile.node[l] as usize).copied().unwrap_or(share);
            bandwidth[l] = most.min(share);
        }
        let spec = &*self.spec;
        self.rules.migration.cost_lanes(
            spec.state_gib[workload],
            spec.dirty_gib_s[workload],
            &bandwidth,
            out,
        );
    }

    /// The flow terms of a migration at this price.
    pub fn flow_terms(&self, workload: usize, cost: &MigrationCost) -> Terms {
        let mut terms = [0.0; TERMS];
        terms[Term::MovedGib as usize] = cost.moved_gib;
        terms[Term::DowntimeS as usize] = cost.downtime_s * self.spec.priority[workload];
        terms
    }

    /// Carries out a migration that [`ClusterState::check`] allows and returns its price. In an
    /// online world a transfer starts; in a static one, and from a failed node, the move is complete
    /// at once: nothing is copied, and the source holds nothing any more.
    ///
    /// # Errors
    /// The constraint that forbids it; the state is unchanged.
    pub fn migrate(
        &mut self,
        workload: usize,
        destination: usize,
    ) -> Result<MigrationCost, Infeasible> {
        self.check(workload, destination)?;
        let cost = self.migration_cost(workload, destination);
        let source = self.placement[workload] as usize;
        let group = self.spec.group[workload];
        self.placement[workload] = destination as u32;
        self.workload_count[source] -= 1;
        self.workload_count[destination] += 1;
        let transfers = self.rules.episode.mode == Mode::Online && !self.restarts_from(source);
        if group != NO_GROUP {
            // In transit the workload is on both nodes: no other member may take the source yet.
            if !transfers {
                self.group_count.take(group, source);
            }
            self.group_count.add(group, destination);
        }
        self.place_counts.start(&self.spec, workload, source, destination);
        if !transfers {
            self.place_counts.finish(&self.spec, workload, source, destination);
        }
        self.cooldown[workload] = self.rules.limits.cooldown_ticks.min(u32::from(u16::MAX)) as u16;
        self.moves_left -= 1;
        if transfers {
            self.transfers.push(Transfer {
                workload: workload as u32,
                source: source as u32,
                remaining_s: cost.transfer_s,
            });
            self.node_transfers[source] += 1;
            self.node_transfers[destination] += 1;
            self.in_transfer[workload] = true;
        }
        self.refresh_pair(source, destination, true);
        if let Some(board) = &mut self.reassignment {
            board.apply_shift(workload, destination);
        }
        Ok(cost)
    }

    fn refresh_health(&mut self) {
        self.closed_nodes = 0;
        for (i, health) in self.health.iter().enumerate() {
            let open = matches!(health, Health::Healthy | Health::Degraded);
            self.closed_nodes += usize::from(!open);
            for outlook in std::iter::once(&mut self.now).chain(&mut self.forecast) {
                outlook.accepting[i] = f32::from(u8::from(open));
            }
        }
        self.refresh_waiting();
    }

    pub(crate) fn refresh_waiting(&mut self) {
        self.waiting = [0.0; 2];
        for &k in &self.queue {
            let k = k as usize;
            let cause = usize::from(self.life[k] == Life::Waiting);
            self.waiting[cause] += self.spec.priority[k];
        }
    }

    /// Starts the next tick: cooldowns run down and, online, the tick's budget is full again.
    pub fn start_tick(&mut self) {
        self.tick += 1;
        if self.rules.episode.mode == Mode::Online {
            self.moves_left = full_budget(&self.rules);
        }
        for cooldown in &mut self.cooldown {
            *cooldown = cooldown.saturating_sub(1);
        }
    }
}

/// Bandwidth that one more transfer would get on a node's link.
fn link_share(spec: &ClusterSpec, node_transfers: &[u32], node: usize) -> f32 {
    spec.bandwidth_gib_s[node] / (node_transfers[node] + 1) as f32
}

/// Transfers that can be in flight at once: one for each workload at most.
pub fn most_transfers(rules: &Rules, workloads: usize) -> usize {
    (rules.limits.transfers_in_flight as usize).min(workloads)
}

/// Moves that a fresh episode (rebalance) or tick (online) allows.
pub fn full_budget(rules: &Rules) -> u32 {
    match rules.episode.mode {
        Mode::Rebalance => rules.episode.move_budget,
        Mode::Online => rules.episode.moves_per_tick,
    }
}
