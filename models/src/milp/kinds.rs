//! Interchangeable workloads, counted instead of named.
//!
//! Two workloads are of one kind when the same nodes would take them with the same effect: equal
//! demand, allowed classes and nodes, and equal price of a migration where the objective has one. A
//! member of an anti-affinity group is a kind of its own. A program over kinds has one integer
//! count where a program over workloads has many binaries, and none of their symmetry, which is
//! what makes branch and bound slow.

use godwit_envs::state::ClusterState;
use godwit_envs::state::cluster::NO_GROUP;
use godwit_envs::state::term::Term;
use std::collections::HashMap;

/// Movable workloads that are alike, by the node they are on.
#[derive(Debug, Clone)]
pub struct Kind {
    /// One of them.
    pub representative: usize,
    /// Anti-affinity group, or [`NO_GROUP`].
    pub group: u32,
    /// Where they are, in the order of nodes.
    pub sources: Vec<Source>,
}

/// The workloads of one kind on one node.
#[derive(Debug, Clone)]
pub struct Source {
    /// The node.
    pub node: usize,
    /// The workloads, those that may leave first in front.
    pub workloads: Vec<usize>,
}

impl Kind {
    /// Number of workloads on other nodes than this.
    pub fn elsewhere(&self, node: usize) -> usize {
        self.sources.iter().filter(|source| source.node != node).map(|s| s.workloads.len()).sum()
    }
}

/// Whether the objective has a price for migrations.
pub fn priced(state: &ClusterState) -> bool {
    state.objective.uses(Term::MovedGib) || state.objective.uses(Term::DowntimeS)
}

/// The kinds of all workloads that may leave their node within the budget. One that is cooling
/// down counts if its cooldown can run out while others move: each move takes a tick.
pub fn kinds(state: &ClusterState) -> Vec<Kind> {
    let spec = &*state.spec;
    let mut thawed = state.clone();
    for cooldown in &mut thawed.cooldown {
        if u32::from(*cooldown) < state.moves_left {
            *cooldown = 0;
        }
    }
    let priced = priced(state);
    let mut index: HashMap<Vec<u64>, usize> = HashMap::new();
    let mut kinds: Vec<Kind> = Vec::new();
    for k in (0..spec.workloads()).filter(|&k| thawed.may_leave(k).is_ok()) {
        let mut key = vec![spec.class_mask[k], spec.set_of(k).into()];
        key.extend(state.demand_of(k).iter().map(|d| u64::from(d.to_bits())));
        if priced {
            let traits = [spec.state_gib[k], spec.dirty_gib_s[k], spec.priority[k]];
            key.extend(traits.map(|x| u64::from(x.to_bits())));
        }
        if spec.group[k] != NO_GROUP {
            key.push(k as u64);
        }
        let at = *index.entry(key).or_insert_with(|| {
            kinds.push(Kind { representative: k, group: spec.group[k], sources: Vec::new() });
            kinds.len() - 1
        });
        let (node, sources) = (state.placement[k] as usize, &mut kinds[at].sources);
        match sources.iter_mut().find(|source| source.node == node) {
            Some(source) => source.workloads.push(k),
            None => sources.push(Source { node, workloads: vec![k] }),
        }
    }
    for kind in &mut kinds {
        kind.sources.sort_by_key(|source| source.node);
        for source in &mut kind.sources {
            source.workloads.sort_by_key(|&k| state.cooldown[k]);
        }
    }
    kinds
}
