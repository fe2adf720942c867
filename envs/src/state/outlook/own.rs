//! The scenario's own terms on an outlook: their values, and what a move does to them.

use super::{NONE_YET, Outlook, OwnValues, Tile, sum, with, without};
use crate::lanes::{LANES, Lanes};
use crate::resources::MAX_RESOURCES;
use crate::state::cluster::ClusterSpec;
use crate::state::expression::{Aggregate, Nodes};
use crate::state::objective::{MOST_OWN, Objective, OwnTerm};
use multiversion::multiversion;

// Nothing here is part of the kernels that call it: without own terms they must stay as quick as they
// are.

impl OwnValues {
    /// Recomputes what is taken over nodes.
    pub(super) fn refresh_totals(&mut self, nodes: usize) {
        let of = &self.of[..nodes];
        self.total = sum(of);
        self.mean = self.total / nodes as f32;
        self.top = (0..).zip(of).fold(NONE_YET, |top, (node, &value)| with(top, (value, node)));
    }

    fn value(&self, aggregate: Aggregate) -> f32 {
        match aggregate {
            Aggregate::Sum => self.total,
            Aggregate::Mean => self.mean,
            Aggregate::Max => self.top[0].0,
        }
    }
}

impl Outlook {
    /// The scenario's own terms with their values, not weighted.
    pub fn own_terms<'a>(
        &'a self,
        objective: &'a Objective,
    ) -> impl Iterator<Item = (&'a OwnTerm, f32)> {
        let values = objective.own.iter().zip(&self.own);
        values.map(|(term, own)| (term, own.value(term.expression.aggregate)))
    }

    /// Values of the own terms on a node, in the order of [`Objective::own`].
    pub fn own_values(&self, node: usize) -> [f32; MOST_OWN] {
        let mut values = [0.0; MOST_OWN];
        for (value, own) in values.iter_mut().zip(&self.own) {
            *value = own.of[node];
        }
        values
    }

    /// The same if the node held this demand (`[m]`), too.
    pub fn own_values_with(
        &self,
        spec: &ClusterSpec,
        objective: &Objective,
        node: usize,
        demand: &[f32],
    ) -> [f32; MOST_OWN] {
        let padded = self.load.len();
        own_values_of(spec, objective, node, |j| self.held[j * padded + node] + demand[j])
    }

    /// The same if the node did not hold this demand.
    #[inline(never)]
    pub(super) fn own_values_without(
        &self,
        spec: &ClusterSpec,
        objective: &Objective,
        node: usize,
        demand: &[f32],
    ) -> [f32; MOST_OWN] {
        let padded = self.load.len();
        let held = |j: usize| (self.held[j * padded + node] - demand[j]).max(0.0);
        own_values_of(spec, objective, node, held)
    }

    #[inline(never)]
    pub(super) fn refresh_own(&mut self, spec: &ClusterSpec, objective: &Objective, node: usize) {
        let padded = self.load.len();
        let values = own_values_of(spec, objective, node, |j| self.held[j * padded + node]);
        for (own, value) in self.own.iter_mut().zip(values) {
            own.of[node] = value;
        }
    }

    /// Change of the weighted own terms if one node alone came to have these values. So that
    /// nodes below the highest can be told apart, a `max` counts the mean, too.
    pub(crate) fn own_change_of_one(
        &self,
        nodes: usize,
        objective: &Objective,
        node: usize,
        values: [f32; MOST_OWN],
    ) -> f32 {
        let terms = objective.own.iter().zip(&self.own).zip(values);
        let change = |((term, own), after): ((&OwnTerm, &OwnValues), f32)| {
            let before = own.of[node];
            let [first, second, _] = own.top;
            let others = if first.1 as usize == node { second.0 } else { first.0 };
            let change = match term.expression.aggregate {
                Aggregate::Sum => after - before,
                Aggregate::Mean => (after - before) / nodes as f32,
                Aggregate::Max => others.max(after) - first.0 + (after - before) / nodes as f32,
            };
            term.weight * change
        };
        terms.map(change).sum()
    }

    /// Change of the weighted own terms by a move to each destination of a tile from a node that comes
    /// to have these values.
    #[inline(never)]
    pub(super) fn own_change(
        &self,
        nodes: usize,
        objective: &Objective,
        (source, source_values): (u32, [f32; MOST_OWN]),
        demand: &[f32],
        tile: &Tile,
    ) -> Lanes {
        let mut used = [[0.0; LANES]; MAX_RESOURCES];
        for (j, &d) in demand.iter().enumerate() {
            used[j] = tile.held[j].map(|held| held + d);
        }
        let m = demand.len();
        let (supply, inverse_supply) = (&tile.supply[..m], &tile.inverse_supply[..m]);
        let at = Nodes { used: &used[..m], supply, inverse_supply };
        let mut change = [0.0; LANES];
        for (at_term, (term, own)) in objective.own.iter().zip(&self.own).enumerate() {
            if term.weight == 0.0 {
                continue;
            }
            let after = evaluate(term, at);
            let (source_before, source_after) = (own.of[source as usize], source_values[at_term]);
            let (top, top_node, second) = without(own.top, source);
            for l in 0..LANES {
                let before = own.of.get(tile.node[l] as usize).copied().unwrap_or(0.0);
                let sum = source_after - source_before + (after[l] - before);
                let others = if tile.node[l] == top_node { second } else { top };
                change[l] += term.weight
                    * match term.expression.aggregate {
                        Aggregate::Sum => sum,
                        Aggregate::Mean => sum / nodes as f32,
                        Aggregate::Max => others.max(after[l]).max(source_after) - own.top[0].0,
                    };
            }
        }
        change
    }

    /// Change of the weighted own terms when these nodes come to have these values.
    #[inline(never)]
    pub(super) fn own_change_of_several(
        &self,
        nodes: usize,
        objective: &Objective,
        changed: &[usize],
        values: &[[f32; MOST_OWN]],
    ) -> f32 {
        let mut change = 0.0;
        for (at, (term, own)) in objective.own.iter().zip(&self.own).enumerate() {
            let after = values.iter().map(|values| values[at]);
            let sum = || -> f32 {
                changed.iter().zip(after.clone()).map(|(&node, after)| after - own.of[node]).sum()
            };
            change += term.weight
                * match term.expression.aggregate {
                    Aggregate::Sum => sum(),
                    Aggregate::Mean => sum() / nodes as f32,
                    Aggregate::Max => {
                        let others = (0..nodes).filter(|node| !changed.contains(node));
                        let highest = others.map(|node| own.of[node]).chain(after);
                        highest.fold(f32::NEG_INFINITY, f32::max) - own.top[0].0
                    }
                };
        }
        change
    }
}

/// Values of the own terms on a node that holds this much of each resource.
pub(super) fn own_values_of(
    spec: &ClusterSpec,
    objective: &Objective,
    node: usize,
    held: impl Fn(usize) -> f32,
) -> [f32; MOST_OWN] {
    let (m, padded) = (spec.resources, spec.padded_nodes());
    let (mut used, mut supply) = ([[0.0]; MAX_RESOURCES], [[0.0]; MAX_RESOURCES]);
    let mut inverse_supply = [[0.0]; MAX_RESOURCES];
    for j in 0..m {
        let at = j * padded + node;
        used[j] = [held(j)];
        supply[j] = [spec.supply[at]];
        inverse_supply[j] = [spec.inverse_supply[at]];
    }
    let (used, supply, inverse_supply) = (&used[..m], &supply[..m], &inverse_supply[..m]);
    let mut values = [0.0; MOST_OWN];
    for (value, term) in values.iter_mut().zip(objective.own.iter()) {
        [*value] = term.expression.evaluate(Nodes { used, supply, inverse_supply });
    }
    values
}

#[multiversion(targets(
    "x86_64+avx512f+avx512bw+avx512dq+avx512vl+avx2+fma",
    "x86_64+avx2+fma",
    "aarch64+neon"
))]
fn evaluate(term: &OwnTerm, nodes: Nodes<LANES>) -> Lanes {
    term.expression.evaluate(nodes)
}
