//! The objective of a scenario: its terms with their weights.

use crate::scenario::Rules;
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
        Self { weights, slot, unit: rules.objective.unit }
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
