//! What happens to a cluster besides migrations: workloads come, go and lose their nodes, nodes
//! change their health. Each transition is one function, which the environment and the replay of
//! its log share.

use crate::episode::churn::Passage;
use crate::episode::demand::DemandTable;
use crate::scenario::Scheduler;
use crate::state::cluster::{Health, NO_GROUP};
use crate::state::event::EventKind;
use crate::state::outlook::fits;
use crate::state::term::LEVEL_TERMS;
use crate::state::{ClusterState, Life, NOWHERE, Transfer};

/// A change of a node's health at the start of a tick.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HealthChange {
    /// Tick at whose start it happens, 1 or more.
    pub tick: u32,
    /// Node index.
    pub node: u32,
    /// The new health.
    pub health: Health,
    /// Tick at whose start a draining node fails.
    pub deadline: u32,
}

impl ClusterState {
    /// Carries out a transition. Loads and counts are those of before until
    /// [`ClusterState::rebuild`] is called, except for placements and the ends of transfers, which
    /// need loads and leave them up to date. `demand` is the table that demand factors refer to.
    pub fn carry_out(&mut self, event: &EventKind, demand: &DemandTable) {
        match *event {
            EventKind::TickStarted => self.start_tick(),
            EventKind::TimePassed { seconds } => self.pass(seconds),
            EventKind::DemandChanged { workload, factor } => {
                let (k, m) = (workload as usize, self.spec.resources);
                let base = &self.spec.base_demand[k * m..(k + 1) * m];
                demand.apply(k, factor, base, &mut self.demand[k * m..(k + 1) * m]);
            }
            EventKind::Arrived { workload } => {
                self.life[workload as usize] = Life::Waiting;
                self.queue.push(workload);
            }
            EventKind::Placed { workload, node, .. } => {
                self.place(workload as usize, node as usize)
            }
            EventKind::Departed { workload } => {
                let k = workload as usize;
                self.transfers.retain(|transfer| transfer.workload != workload);
                self.queue.retain(|&waiting| waiting != workload);
                self.placement[k] = NOWHERE;
                self.life[k] = Life::Absent;
                self.cooldown[k] = 0;
            }
            EventKind::Displaced { workload, .. } => {
                let k = workload as usize;
                self.placement[k] = NOWHERE;
                self.life[k] = Life::Displaced;
                self.cooldown[k] = 0;
                // The displaced come before those that have not started yet.
                let displaced = |&k: &u32| self.life[k as usize] == Life::Displaced;
                let at = self.queue.iter().take_while(|k| displaced(k)).count();
                self.queue.insert(at, workload);
            }
            EventKind::HealthChanged { node, health, deadline } => {
                self.health[node as usize] = health;
                self.deadline[node as usize] = deadline;
            }
            // The price follows from the state; the event repeats what was decided.
            EventKind::TransferStarted { workload, destination, .. } => {
                let _ = self.migrate(workload as usize, destination as usize);
            }
            EventKind::TransferEnded { .. } => {
                self.end_transfer();
            }
            EventKind::TransferRolledBack { workload, source, .. } => {
                self.transfers.retain(|transfer| transfer.workload != workload);
                self.placement[workload as usize] = source;
            }
        }
    }

    /// Lets `seconds` pass for the transfers in flight and returns the mean of the level terms
    /// over that time, exact between the ends of transfers.
    pub fn run_transfers(&mut self, seconds: f32) -> [f32; LEVEL_TERMS] {
        self.run_transfers_noting(seconds, |_, _| {})
    }

    /// [`ClusterState::run_transfers`] that hands each transition to `note`, with the seconds
    /// that had passed.
    pub fn run_transfers_noting(
        &mut self,
        seconds: f32,
        mut note: impl FnMut(f32, EventKind),
    ) -> [f32; LEVEL_TERMS] {
        let mut mean = [0.0; LEVEL_TERMS];
        let mut left = seconds;
        loop {
            let span = self.next_transfer_end().min(left);
            for (sum, term) in mean.iter_mut().zip(self.level_terms()) {
                *sum += term * (span / seconds);
            }
            self.pass(span);
            left -= span;
            note(seconds - left, EventKind::TimePassed { seconds: span });
            while let Some(Transfer { workload, source, .. }) = self.end_transfer() {
                let destination = self.placement[workload as usize];
                note(seconds - left, EventKind::TransferEnded { workload, source, destination });
            }
            if left <= 0.0 {
                return mean;
            }
        }
    }

    /// Seconds until the next transfer ends; infinite where none is in flight.
    fn next_transfer_end(&self) -> f32 {
        self.transfers.iter().map(|t| t.remaining_s).fold(f32::INFINITY, f32::min)
    }

    /// Lets time pass for the transfers in flight; at most [`ClusterState::next_transfer_end`].
    fn pass(&mut self, seconds: f32) {
        for transfer in &mut self.transfers {
            transfer.remaining_s -= seconds;
        }
    }

    /// Ends the first transfer that has no time left, if there is one, and returns it.
    fn end_transfer(&mut self) -> Option<Transfer> {
        let index = self.transfers.iter().position(|t| t.remaining_s <= 0.0)?;
        let transfer = self.transfers.remove(index);
        let (k, source) = (transfer.workload as usize, transfer.source as usize);
        let destination = self.placement[k] as usize;
        self.node_transfers[source] -= 1;
        self.node_transfers[destination] -= 1;
        self.in_transfer[k] = false;
        let group = self.spec.group[k];
        if group != NO_GROUP {
            self.group_count.take(group, source);
        }
        self.place_counts.finish(&self.spec, k, source, destination);
        self.refresh_pair(source, destination, false);
        Some(transfer)
    }

    /// The transitions that a node's change of health brings about, in order. A node that fails
    /// first undoes all transfers that it takes part in: until a transfer ends, the state that
    /// counts is the source's. Then it loses what runs on it.
    pub fn consequences(&self, change: &HealthChange, out: &mut Vec<EventKind>) {
        let HealthChange { node, health, deadline, .. } = *change;
        out.push(EventKind::HealthChanged { node, health, deadline });
        if health != Health::Failed {
            return;
        }
        let involved = |transfer: &&Transfer| {
            transfer.source == node || self.placement[transfer.workload as usize] == node
        };
        let mut back = Vec::new();
        for &Transfer { workload, source, .. } in self.transfers.iter().filter(involved) {
            let destination = self.placement[workload as usize];
            out.push(EventKind::TransferRolledBack { workload, source, destination });
            back.push((workload, source));
        }
        for (k, &placed) in self.placement.iter().enumerate() {
            let workload = k as u32;
            let node_of = back.iter().find(|(other, _)| *other == workload);
            if node_of.map_or(placed, |&(_, source)| source) == node {
                out.push(EventKind::Displaced { workload, node });
            }
        }
    }

    /// Priority of the workloads that a node would lose if it failed now: those that run there, of
    /// transfers those that leave it.
    pub fn priority_running_on(&self, node: usize) -> f32 {
        let leaving = self.transfers.iter().filter(|transfer| transfer.source as usize == node);
        let placed = self.placement.iter().enumerate();
        let staying =
            placed.filter(|&(k, &at)| at as usize == node && !self.in_transfer[k]).map(|(k, _)| k);
        leaving
            .map(|transfer| transfer.workload as usize)
            .chain(staying)
            .map(|k| self.spec.priority[k])
            .sum()
    }

    /// The transition that a passage brings about.
    pub fn passage(&self, passage: &Passage) -> EventKind {
        let workload = passage.workload;
        if passage.arrives {
            EventKind::Arrived { workload }
        } else {
            EventKind::Departed { workload }
        }
    }

    /// Where the cluster's own scheduler would place a waiting workload now.
    pub fn scheduled_node(&self, workload: usize) -> Option<usize> {
        let spec = &*self.spec;
        let padded = spec.padded_nodes();
        let room = |node: usize| -> f32 {
            (0..spec.resources)
                .map(|j| {
                    let at = j * padded + node;
                    (spec.supply[at] - self.now.held[at]) * spec.inverse_largest[j]
                })
                .sum()
        };
        let mut best: Option<(f32, usize)> = None;
        for node in (0..spec.nodes()).filter(|&node| self.could_hold(workload, node)) {
            let cost = match self.rules.scheduler {
                Scheduler::LeastLoaded => self.now.load[node],
                Scheduler::BestFit => room(node),
            };
            if best.is_none_or(|(least, _)| cost < least) {
                best = Some((cost, node));
            }
        }
        best.map(|(_, node)| node)
    }

    /// What the cluster's own scheduler does next: places the first workload of the queue, from
    /// position `at` on, that fits somewhere. `at` is moved past those that do not.
    pub fn next_placed(&self, at: &mut usize) -> Option<EventKind> {
        while let Some(&workload) = self.queue.get(*at) {
            if let Some(node) = self.scheduled_node(workload as usize) {
                let restart = self.life[workload as usize] == Life::Displaced;
                return Some(EventKind::Placed { workload, node: node as u32, restart });
            }
            *at += 1;
        }
        None
    }

    /// Whether a node that is open has room for a workload that is not on it, by class, group, places
    /// and supply.
    pub fn could_hold(&self, workload: usize, node: usize) -> bool {
        let spec = &*self.spec;
        let padded = spec.padded_nodes();
        self.is_open(node)
            && spec.class_allows(workload, node)
            && self.members_on(workload, node) == 0
            && self.place_counts.allows(spec, workload, self.node_of(workload), node).is_ok()
            && self.demand_of(workload).iter().enumerate().all(|(j, &d)| {
                let at = j * padded + node;
                d <= 0.0 || fits(self.now.held[at], d, spec.supply[at])
            })
    }

    fn place(&mut self, workload: usize, node: usize) {
        self.queue.retain(|&waiting| waiting as usize != workload);
        self.life[workload] = Life::Running;
        self.placement[workload] = node as u32;
        self.workload_count[node] += 1;
        let group = self.spec.group[workload];
        if group != NO_GROUP {
            self.group_count.add(group, node);
        }
        self.place_counts.add(&self.spec, workload, node);
        self.refresh_pair(node, node, true);
        self.refresh_waiting();
    }
}
