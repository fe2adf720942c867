//! The objective of a scenario: its terms with their weights.

use crate::lanes::LANES;
use crate::resources::MAX_RESOURCES;
use crate::scenario::Rules;
use crate::state::cluster::ClusterSpec;
use crate::state::expression::{Aggregate, Expression, ExpressionError, Nodes};
use crate::state::term::{TERMS, Term, Terms};
use std::sync::Arc;

/// Most terms of a scenario's own.
pub const MOST_OWN: usize = 8;

/// A slot resolved to a resource index.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Slot {
    /// Index of the resource kind.
    pub resource: usize,
    /// Size in its unit.
    pub size: f32,
}

/// A term of the scenario's own.
#[derive(Debug, Clone, PartialEq)]
pub struct OwnTerm {
    /// Its name in the scenario.
    pub name: String,
    /// 0 or more; a term without weight is reported but not paid for.
    pub weight: f32,
    /// What it is of the nodes.
    pub expression: Expression,
}

/// A term of the scenario's own is no expression.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("rules.objective.terms.{name}: {error}")]
pub struct OwnTermError {
    /// The term's name.
    pub name: String,
    /// What is wrong with it.
    pub error: ExpressionError,
}

/// The terms of the rules' own, by name.
///
/// # Errors
/// The first that is no expression in the rules' resource kinds.
pub fn own_terms(rules: &Rules) -> Result<Vec<OwnTerm>, OwnTermError> {
    let resources: Vec<&str> = rules.resources.iter().map(|kind| kind.name.as_str()).collect();
    let terms = rules.objective.terms.iter().map(|(name, text)| {
        let expression = Expression::parse(text, &resources)
            .map_err(|error| OwnTermError { name: name.clone(), error })?;
        let weight = rules.objective.weights.get(name).copied().unwrap_or(0.0);
        Ok(OwnTerm { name: name.clone(), weight, expression })
    });
    terms.collect()
}

/// Weighted objective: `sum of weight x term`, to be minimised.
#[derive(Debug, Clone, PartialEq)]
pub struct Objective {
    /// Weight per term.
    pub weights: Terms,
    /// The scenario's own terms, by name, at most [`MOST_OWN`]. [`Term::Own`] is their weighted sum,
    /// and has the weight 1 where one of them has any.
    pub own: Arc<[OwnTerm]>,
    /// What fragmentation is measured in.
    pub slot: Option<Slot>,
    /// Size of a typical good change; features divide by it.
    pub unit: f32,
}

/// Size of a typical good change of the weighted objective in a cluster, from its sizes and mean
/// demands alone: for the highest load a quarter of what a mean workload adds to a node's load, for
/// overload a sixteenth; for imbalance one node of N brought to the mean; for fragmentation one slot
/// more; for own terms see [`typical_own_change`]. So one network reads changes alike in clusters of
/// all sizes. None where none of these counts.
fn typical_change(objective: &Objective, spec: &ClusterSpec) -> Option<f32> {
    let (weights, slot) = (&objective.weights, objective.slot);
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
        + of(Term::Fragmentation, slots)
        + of(Term::Own, typical_own_change(&objective.own, spec));
    (sum.is_finite() && sum > 0.0).then_some(sum as f32)
}

/// The same of the own terms: a quarter of what a mean workload changes of a mean node's value, on
/// average over 16 nodes from nearly empty to a quarter above full; of a mean one node's share.
fn typical_own_change(own: &[OwnTerm], spec: &ClusterSpec) -> f64 {
    let (n, m, padded) = (spec.nodes(), spec.resources, spec.padded_nodes());
    let (mut before, mut after) = ([[0.0; LANES]; MAX_RESOURCES], [[0.0; LANES]; MAX_RESOURCES]);
    let (mut supply, mut inverse) = (before, before);
    for j in 0..m {
        let of_nodes: f32 = spec.supply[j * padded..][..n].iter().sum();
        let demand: f32 = spec.base_demand.iter().skip(j).step_by(m).sum();
        let mean = of_nodes / n.max(1) as f32;
        supply[j] = [mean; LANES];
        inverse[j] = [if mean > 0.0 { 1.0 / mean } else { 0.0 }; LANES];
        before[j] = std::array::from_fn(|l| mean * 1.25 * (l + 1) as f32 / LANES as f32);
        after[j] = before[j].map(|used| used + demand / spec.workloads().max(1) as f32);
    }
    let nodes = |used| Nodes { used, supply: &supply[..m], inverse_supply: &inverse[..m] };
    let of = |term: &OwnTerm| {
        let [before, after] = [&before[..m], &after[..m]]
            .map(|used| term.expression.evaluate(nodes(used)).map(f64::from));
        let changes = before.iter().zip(after).map(|(before, after)| (after - before).abs());
        let share = if term.expression.aggregate == Aggregate::Mean { n.max(1) } else { 1 };
        f64::from(term.weight) * changes.sum::<f64>() / (4 * LANES * share) as f64
    };
    own.iter().map(of).sum()
}

impl Objective {
    /// Resolves names; the rules have been validated, unknown names are ignored, and own terms where
    /// one is no expression.
    pub fn new(rules: &Rules) -> Self {
        let mut weights = [0.0; TERMS];
        for (name, &weight) in &rules.objective.weights {
            if let Some(term) = Term::from_name(name) {
                weights[term as usize] = weight;
            }
        }
        let own = own_terms(rules).unwrap_or_default();
        weights[Term::Own as usize] = f32::from(u8::from(own.iter().any(|term| term.weight > 0.0)));
        let slot = rules.objective.slot.as_ref().and_then(|slot| {
            let resource = rules.resources.iter().position(|kind| kind.name == slot.resource)?;
            Some(Slot { resource, size: slot.size })
        });
        Self { weights, own: own.into(), slot, unit: rules.unit() }
    }

    /// The same for a cluster: where the rules state no unit, that of its typical changes.
    pub fn of_cluster(rules: &Rules, spec: &ClusterSpec) -> Self {
        let mut objective = Self::new(rules);
        if rules.objective.unit.is_none() {
            let typical = typical_change(&objective, spec);
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
