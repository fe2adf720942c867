//! What a change of one node is worth, to first order: the objective as a sum over nodes.
//!
//! `overload` is such a sum. `fragmentation` and `imbalance` are nearly linear in the sums over
//! nodes that they are made of, and `max_load` counts what a node has above the second highest
//! load; own terms are treated like these. That is good enough to tell which few of very many chains
//! are worth a look at their true cost.

use crate::baselines::search::trial::Trial;
use godwit_envs::resources::MAX_RESOURCES;
use godwit_envs::state::expression::{Aggregate, Nodes};
use godwit_envs::state::objective::{MOST_OWN, OwnTerm};
use godwit_envs::state::outlook::whole_slots;
use godwit_envs::state::term::Term;
use std::sync::Arc;

/// An outlook, as far as its sums over nodes go.
#[derive(Debug, Clone, Default)]
struct View {
    /// Ticks that it stands for.
    ticks: f32,
    mean: f32,
    /// Loads above this one count as the highest.
    second: f32,
    /// Weight of a squared distance from the mean.
    spread: f32,
    /// Gain of a slot, and cost of free supply.
    slot: f32,
    free: f32,
    /// The second highest values of own terms.
    own: [f32; MOST_OWN],
}

/// The nodes of a placement, measured.
#[derive(Debug, Clone, Default)]
pub(super) struct Gauge {
    views: Vec<View>,
    /// Terms of the scenario's own.
    own: Arc<[OwnTerm]>,
    resources: usize,
    max_load: f32,
    overload: f32,
    /// Index and size of the slot.
    slot: Option<(usize, f32)>,
    /// `[N][1 + H][m]`.
    held: Vec<f32>,
    /// `[N][m]`.
    supply: Vec<f32>,
    inverse: Vec<f32>,
    /// 1 for nodes that accept workloads, `[N]`.
    open: Vec<f32>,
    /// Cost of each node as it is, `[N]`.
    base: Vec<f32>,
}

impl Gauge {
    /// Measures the placement that a trial stands at.
    pub(super) fn measure(&mut self, trial: &Trial) {
        let state = trial.state;
        let (spec, objective) = (&*state.spec, &state.objective);
        let (n, m, padded) = (spec.nodes(), spec.resources, spec.padded_nodes());
        self.resources = m;
        self.own = objective.own.clone();
        self.max_load = objective.weights[Term::MaxLoad as usize];
        self.overload = objective.weights[Term::Overload as usize];
        self.slot = objective.slot.map(|slot| (slot.resource, slot.size));
        self.views.clear();
        for (loads, &ticks) in trial.loads().iter().zip(trial.ticks()) {
            let loads_of = &loads.load[..n];
            let mean = loads_of.iter().sum::<f32>() / n as f32;
            let squares: f32 = loads_of.iter().map(|load| (load - mean) * (load - mean)).sum();
            let (mut first, mut second) = (0.0_f32, 0.0_f32);
            for &load in loads_of {
                (first, second) = (first.max(load), second.max(first.min(load)));
            }
            // The derivative of the imbalance, kept finite where all loads are equal.
            let deviation = (squares / n as f32).sqrt().max(0.01 * mean);
            let weight = objective.weights[Term::Imbalance as usize];
            let spread =
                if mean > 0.0 { weight / (2.0 * n as f32 * mean * deviation) } else { 0.0 };
            let weight = objective.weights[Term::Fragmentation as usize];
            let (mut slot, mut free) = (0.0, 0.0);
            if let Some((_, size)) = self.slot {
                let total = loads.free[..n].iter().sum::<f32>().max(size);
                slot = weight * size / total;
                free = slot * loads.slots[..n].iter().sum::<f32>() / total;
            }
            let (mut highest, mut own) =
                ([f32::NEG_INFINITY; MOST_OWN], [f32::NEG_INFINITY; MOST_OWN]);
            for node in 0..n {
                for ((first, second), value) in
                    highest.iter_mut().zip(&mut own).zip(loads.own_values(node))
                {
                    (*first, *second) = (first.max(value), second.max(first.min(value)));
                }
            }
            self.views.push(View { ticks, mean, second, spread, slot, free, own });
        }
        let views = self.views.len();
        self.held.clear();
        self.supply.clear();
        self.inverse.clear();
        self.open.clear();
        for node in 0..n {
            for loads in trial.loads() {
                self.held.extend((0..m).map(|j| loads.held[j * padded + node]));
            }
            self.supply.extend((0..m).map(|j| spec.supply[j * padded + node]));
            self.inverse.extend((0..m).map(|j| spec.inverse_supply[j * padded + node]));
            self.open.push(f32::from(u8::from(state.is_open(node))));
        }
        let none = vec![0.0; views * m];
        self.base.clear();
        for node in 0..n {
            let cost = self.cost(node, &none);
            self.base.push(cost);
        }
    }

    /// By how much the cost changes when a node holds so much more, `[1 + H][m]`.
    pub(super) fn change(&self, node: usize, more: &[f32]) -> f32 {
        self.cost(node, more) - self.base[node]
    }

    /// Supply of the slot's resource that no slot would use if the node held so much more now.
    pub(super) fn stranded(&self, node: usize, more: &[f32]) -> f32 {
        let Some((resource, size)) = self.slot else { return 0.0 };
        let held = self.held[node * self.views.len() * self.resources + resource];
        let free = (self.supply[node * self.resources + resource] - held - more[resource]).max(0.0);
        free - size * whole_slots(free, size)
    }

    /// How much of each resource is free now on a node, and what that is of its supply.
    pub(super) fn room(&self, node: usize) -> impl Iterator<Item = (f32, f32)> {
        let m = self.resources;
        let held = &self.held[node * self.views.len() * m..][..m];
        held.iter().copied().zip(self.supply[node * m..][..m].iter().copied())
    }

    fn cost(&self, node: usize, more: &[f32]) -> f32 {
        let m = self.resources;
        let held = &self.held[node * self.views.len() * m..][..self.views.len() * m];
        let (supply, inverse) = (&self.supply[node * m..][..m], &self.inverse[node * m..][..m]);
        let mut cost = 0.0;
        for (at, view) in self.views.iter().enumerate() {
            let (mut load, mut over) = (0.0, 0.0);
            for j in 0..m {
                let utilisation = (held[at * m + j] + more[at * m + j]).max(0.0) * inverse[j];
                load += utilisation;
                over += (utilisation - 1.0).max(0.0);
            }
            let off = load - view.mean;
            let mut own = view.spread * off * off
                + self.overload * over
                + self.max_load * (load - view.second).max(0.0);
            if let Some((j, size)) = self.slot {
                let free = supply[j] - (held[at * m + j] + more[at * m + j]).max(0.0);
                let free = self.open[node] * free.max(0.0);
                own += view.free * free - view.slot * whole_slots(free, size);
            }
            if !self.own.is_empty() {
                let held = &held[at * m..][..m];
                own += self.own_cost(node, view, |j| (held[j] + more[at * m + j]).max(0.0));
            }
            cost += view.ticks * own;
        }
        cost
    }

    /// What own terms make of a node that holds so much.
    fn own_cost(&self, node: usize, view: &View, held: impl Fn(usize) -> f32) -> f32 {
        let m = self.resources;
        let [mut used, mut supply, mut inverse] = [[[0.0]; MAX_RESOURCES]; 3];
        for j in 0..m {
            used[j] = [held(j)];
            supply[j] = [self.supply[node * m + j]];
            inverse[j] = [self.inverse[node * m + j]];
        }
        let nodes = Nodes { used: &used[..m], supply: &supply[..m], inverse_supply: &inverse[..m] };
        let value = |(own, second): (&OwnTerm, f32)| {
            let [value] = own.expression.evaluate(nodes);
            let share = match own.expression.aggregate {
                Aggregate::Sum => value,
                Aggregate::Mean => value / self.open.len() as f32,
                Aggregate::Max => (value - second).max(0.0),
            };
            own.weight * share
        };
        self.own.iter().zip(view.own).map(value).sum()
    }
}
