//! What it is worth to a node that a workload leaves it, and at what price others take it.
//!
//! All by [`Gauge`], node by node. Nodes that take a workload are listed, the cheapest first; of
//! equally cheap ones the one on which least of a slot would be left over.

use super::gauge::Gauge;
use crate::baselines::search::trial::Trial;
use godwit_envs::state::cluster::NO_GROUP;
use godwit_envs::state::outlook::fits;
use std::collections::HashMap;

/// Nodes on a workload's list.
const LISTED: usize = 8;

/// Of those, nodes that are tried for a workload of a chain.
pub(super) const TRIED: usize = 3;

/// A node that takes a workload at this price.
#[derive(Debug, Clone, Copy)]
pub(super) struct Offer {
    pub(super) price: f32,
    /// Supply that would be left over there.
    stranded: f32,
    pub(super) node: u32,
}

/// Prices at the placement that a trial stood at when they were taken.
#[derive(Debug)]
pub(super) struct Prices {
    pub(super) gauge: Gauge,
    /// Numbers in a workload's demand over all outlooks.
    pub(super) width: usize,
    /// Demand of each workload, `[K][1 + H][m]`.
    pub(super) wants: Vec<f32>,
    /// Workloads of one kind are taken by the same nodes at the same price, `[K]`.
    pub(super) kind: Vec<u32>,
    /// A workload of each kind.
    pub(super) model: Vec<usize>,
    /// One movable workload of those that are interchangeable, up to three times, by node:
    /// `start[i] .. start[i + 1]`.
    pub(super) members: Vec<u32>,
    pub(super) start: Vec<usize>,
    /// By kind, cheapest first.
    pub(super) offers: Vec<Vec<Offer>>,
    /// Lowest price at which a workload finds another node, fare included, and that node, `[K]`.
    pub(super) cheapest: Vec<(f32, u32)>,
    /// What a workload's own node gains when it leaves, negative, `[K]`.
    pub(super) departure: Vec<f32>,
    pub(super) scratch: Vec<f32>,
    /// Differences below this are none.
    pub(super) resolution: f32,
}

impl Prices {
    pub(super) fn new(trial: &mut Trial) -> Self {
        let state = trial.state;
        let spec = &*state.spec;
        let (k, m) = (spec.workloads(), spec.resources);
        let views = trial.ticks().len();
        let mut wants = Vec::with_capacity(k * views * m);
        for workload in 0..k {
            for view in 0..views {
                wants.extend_from_slice(state.demand_in(view, workload));
            }
        }
        let width = views * m;
        let mut kind = vec![u32::MAX; k];
        let mut model: Vec<usize> = Vec::new();
        let mut known: HashMap<Vec<u32>, u32> = HashMap::new();
        for &workload in &trial.movable {
            let own = &wants[workload * width..][..width];
            let mut key: Vec<u32> = own.iter().map(|want| want.to_bits()).collect();
            key.extend([
                spec.class_mask[workload] as u32,
                (spec.class_mask[workload] >> 32) as u32,
                spec.set_of(workload),
            ]);
            // With this one the same nodes have room for it; a group tells workloads apart.
            let apart = spec.group[workload] != NO_GROUP
                || spec.has_zone_group(workload)
                || spec.reassignment.is_some()
                || state.fences.has_pair(workload);
            if apart {
                key.push(workload as u32);
            }
            kind[workload] = *known.entry(key).or_insert_with(|| {
                model.push(workload);
                model.len() as u32 - 1
            });
        }
        Self {
            gauge: Gauge::default(),
            width,
            wants,
            kind,
            members: Vec::new(),
            start: Vec::new(),
            offers: vec![Vec::new(); model.len()],
            model,
            cheapest: vec![(f32::INFINITY, 0); k],
            departure: vec![0.0; k],
            scratch: vec![0.0; width],
            resolution: 1e-6 * trial.magnitude(),
        }
    }

    /// Takes the prices at the placement that a trial stands at.
    pub(super) fn take(&mut self, trial: &Trial) {
        self.gauge.measure(trial);
        self.group(trial);
        self.list_offers(trial);
        self.price_members(trial);
    }

    pub(super) fn want(&self, workload: usize) -> &[f32] {
        &self.wants[workload * self.width..][..self.width]
    }

    /// Groups the movable workloads by node.
    fn group(&mut self, trial: &Trial) {
        let n = trial.state.spec.nodes();
        let mut by_node: Vec<u32> = trial.movable.iter().map(|&k| k as u32).collect();
        // Those that are away come first: to move them again costs no further move.
        by_node.sort_by_key(|&k| {
            let (k, node) = (k as usize, trial.placement[k as usize]);
            (node, self.kind[k], trial.home(k) == node as usize, k)
        });
        self.members.clear();
        self.start.clear();
        self.start.resize(n + 1, 0);
        for &k in &by_node {
            let (a, node) = (k as usize, trial.placement[k as usize]);
            let twins = self.members.iter().rev().take_while(|&&other| {
                let b = other as usize;
                trial.placement[b] == node
                    && self.kind[a] == self.kind[b]
                    && trial.home(a) == trial.home(b)
                    && trial.state.look_alike(a, b)
            });
            if twins.take(3).count() < 3 {
                self.members.push(k);
                self.start[node as usize + 1] += 1;
            }
        }
        for node in 0..n {
            self.start[node + 1] += self.start[node];
        }
    }

    /// Lists for each kind of workload the nodes that take it.
    fn list_offers(&mut self, trial: &Trial) {
        let n = trial.state.spec.nodes();
        let coarse = 10.0 * self.resolution.max(f32::MIN_POSITIVE);
        for (offers, &model) in self.offers.iter_mut().zip(&self.model) {
            let want = &self.wants[model * self.width..][..self.width];
            offers.clear();
            for node in 0..n {
                let has_room = self
                    .gauge
                    .room(node)
                    .zip(want)
                    .all(|((held, supply), &want)| want <= 0.0 || fits(held, want, supply));
                if !has_room
                    || trial.state.fences.keeps_out(model, node)
                    || !trial.takes(node, model)
                {
                    continue;
                }
                let change = self.gauge.change(node, want) + trial.reassignment_change(model, node);
                // Rounding must not hide that two nodes are as good.
                let price = (change / coarse).round() * coarse;
                let stranded = self.gauge.stranded(node, want);
                let offer = Offer { price, stranded, node: node as u32 };
                let key = |offer: &Offer| (offer.price, offer.stranded);
                let at = offers.partition_point(|other| key(other) <= key(&offer));
                if at < LISTED {
                    offers.truncate(LISTED - 1);
                    offers.insert(at, offer);
                }
            }
        }
    }

    /// What it is worth to a workload's node that it leaves, and where it would go.
    fn price_members(&mut self, trial: &Trial) {
        for at in 0..self.members.len() {
            let k = self.members[at] as usize;
            let node = trial.placement[k] as usize;
            for (scratch, want) in self.scratch.iter_mut().zip(&self.wants[k * self.width..]) {
                *scratch = -want;
            }
            self.departure[k] = self.gauge.change(node, &self.scratch);
            self.cheapest[k] = self.cheapest_of(trial, k);
        }
    }

    /// The lowest price at which a workload finds another node, and that node.
    fn cheapest_of(&self, trial: &Trial, k: usize) -> (f32, u32) {
        let node = trial.placement[k] as usize;
        let paid = trial.fare(k, node);
        let mut best = (f32::INFINITY, u32::MAX);
        let offers = self.offers[self.kind[k] as usize].iter();
        let others = offers.filter(|offer| offer.node as usize != node);
        for offer in others.take(TRIED) {
            let price = offer.price + trial.fare(k, offer.node as usize) - paid;
            if price < best.0 {
                best = (price, offer.node);
            }
        }
        let home = trial.home(k);
        if home != node && trial.takes(home, k) {
            let change = self.gauge.change(home, self.want(k)) + trial.reassignment_change(k, home);
            if change - paid < best.0 {
                best = (change - paid, home as u32);
            }
        }
        best
    }

    /// Whether a node has room for a workload once another one has left it.
    pub(super) fn makes_room(&self, trial: &Trial, k: usize, victim: usize, node: usize) -> bool {
        let spec = &*trial.state.spec;
        let (comes, leaves) = (self.want(k), self.want(victim));
        let room = self.gauge.room(node).zip(comes.iter().zip(leaves));
        trial.state.is_open(node)
            && spec.may_run_on(k, node)
            && !trial.state.fences.keeps_out(k, node)
            && room.into_iter().all(|((held, supply), (&comes, &leaves))| {
                comes <= 0.0 || fits((held - leaves).max(0.0), comes, supply)
            })
    }

    /// What it costs a node to hold one workload in place of another.
    pub(super) fn exchange(&mut self, node: usize, comes: usize, leaves: usize) -> f32 {
        let (a, b) = (comes * self.width, leaves * self.width);
        for at in 0..self.width {
            self.scratch[at] = self.wants[a + at] - self.wants[b + at];
        }
        self.gauge.change(node, &self.scratch)
    }
}
