//! The objective of a scenario: its terms with their weights.

use crate::scenario::Rules;
use crate::state::cluster::ClusterSpec;
use crate::state::term::{TERMS, Term, Terms};

/// A slot resolved to a resource index.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Slot {
    /// Index of the resource kind.
    pub resource: usize,
    /// Size in its unit.
    pub size: f32,
}

/// Weighted objective: `sum of weight x term`, to be minimised.
#[derive(Debug, Clone, PartialEq)]
pub struct Objective {
    /// Weight per term.
    pub weights: Terms,
    /// What fragmentation is measured in.
    pub slot: Option<Slot>,
    /// Size of a typical good change; features divide by it.
    pub unit: f32,
}

/// Size of a typical good change of the weighted objective in a cluster, from its sizes and mean
/// demands alone: for the highest load a quarter of what a mean workload adds to a node's load, for
/// overload a sixteenth; for imbalance one node of N brought to the mean; for fragmentation one slot
/// more. So one network reads changes alike in clusters of all sizes. None where none of these
/// counts.
fn typical_change(weights: &Terms, slot: Option<Slot>, spec: &ClusterSpec) -> Option<f32> {
    let (n, m, padded) = (spec.nodes(), spec.resources, spec.padded_nodes());
    let mut load_of_all = 0.0_f64;
    let mut free = 0.0_f64;
    for j in 0..m {
        let supply: f64 = spec.supply[j * padded..][..n].iter().map(|&x| f64::from(x)).sum();
        let demand: f64 = spec.base_demand.iter().skip(j).step_by(m).map(|&x| f64::from(x)).sum();
        if supply > 0.0 {
            load_of_all += demand / supply;
        }
        if slot.is_some_and(|slot| slot.resource == j) {
            free = (supply - demand).max(0.0);
        }
    }
    let load = load_of_all * n as f64 / spec.workloads().max(1) as f64;
    let slots = slot
        .map_or(0.0, |slot| if free > 0.0 { (f64::from(slot.size) / free).min(1.0) } else { 0.0 });
    let of = |term: Term, change: f64| f64::from(weights[term as usize]) * change;
    let sum = of(Term::MaxLoad, load / 4.0)
        + of(Term::Imbalance, 1.0 / n.max(1) as f64)
        + of(Term::Overload, load / 16.0)
        + of(Term::Fragmentation, slots);
    (sum.is_finite() && sum > 0.0).then_some(sum as f32)
}

impl Objective {
    /// Resolves names; the rules have been validated, unknown names are ignored.
    pub fn new(rules: &Rules) -> Self {
        let mut weights = [0.0; TERMS];
        for (name, &weight) in &rules.objective.weights {
            if let Some(term) = Term::from_name(name) {
                weights[term as usize] = weight;
            }
        }
        let slot = rules.objective.slot.as_ref().and_then(|slot| {
            let resource = rules.resources.iter().position(|kind| kind.name == slot.resource)?;
            Some(Slot { resource, size: slot.size })
        });
        Self { weights, slot, unit: rules.unit() }
    }

    /// The same for a cluster: where the rules state no unit, that of its typical changes.
    pub fn of_cluster(rules: &Rules, spec: &ClusterSpec) -> Self {
        let mut objective = Self::new(rules);
        if rules.objective.unit.is_none() {
            let typical = typical_change(&objective.weights, objective.slot, spec);
            objective.unit = typical.unwrap_or(objective.unit);
        }
        objective
    }

    /// The weighted sum.
    pub fn value(&self, terms: &Terms) -> f32 {
        self.weights.iter().zip(terms).map(|(weight, term)| weight * term).sum()
    }

    /// The weighted sum of the terms that describe a state, or of the first of them.
    pub fn level(&self, terms: &[f32]) -> f32 {
        self.weights.iter().zip(terms).map(|(weight, term)| weight * term).sum()
    }

    /// Whether this term has a weight.
    pub fn uses(&self, term: Term) -> bool {
        self.weights[term as usize] != 0.0
    }
}
