//! Limits that count moves: of tenants and of disruption groups, the operator's and the snapshot's.

use crate::plan::PlannedMove;
use crate::shell::memory::Memory;
use crate::shell::rules::ShellRules;
use godwit_envs::snapshot::Snapshot;
use std::collections::{HashMap, HashSet};

/// How many workloads of each limited tenant and disruption group may still be moved.
#[derive(Debug, Default)]
pub(super) struct Quotas {
    pub left: Vec<u32>,
    /// Each workload's quotas: of its tenant, and of its group by the operator and by the snapshot.
    /// Empty where no rule counts.
    pub of: Vec<[Option<usize>; 3]>,
}

impl Quotas {
    /// The quotas of a snapshot, less what is planned to be moved of each disruption group by plans that
    /// left after the snapshot came; the operator's less what is in transfer, too, which the snapshot
    /// has taken off its own.
    pub(super) fn new(rules: &ShellRules, memory: &Memory, snapshot: &Snapshot) -> Self {
        let mut quotas = Self::default();
        let live = &snapshot.disruption_budgets;
        if rules.max_moves_per_tenant.is_none()
            && rules.disruption_budgets.is_empty()
            && live.is_empty()
        {
            return quotas;
        }
        let live: HashMap<&str, u32> =
            live.iter().map(|budget| (budget.group.as_str(), budget.disruptions_allowed)).collect();
        let in_transfer: HashSet<&str> =
            snapshot.transfers.iter().map(|transfer| transfer.workload.as_str()).collect();
        let [mut tenants, mut groups, mut lives] = [HashMap::new(), HashMap::new(), HashMap::new()];
        for workload in &snapshot.workloads {
            let group = workload.disruption_group.as_deref();
            let budget = group.and_then(|group| rules.disruption_budgets.get(group)).copied();
            let allowed = group.and_then(|group| live.get(group)).copied();
            let tenant = workload.tenant.as_deref();
            let tenant = quotas.named(&mut tenants, tenant, rules.max_moves_per_tenant);
            let allowed = quotas.named(&mut lives, group, allowed);
            let group = quotas.named(&mut groups, group, budget);
            let is_hidden = memory.hidden(&workload.name).next().is_some();
            let moves = is_hidden || in_transfer.contains(workload.name.as_str());
            for (quota, counts) in [(group, moves), (allowed, is_hidden)] {
                if let Some(quota) = quota.filter(|_| counts) {
                    quotas.left[quota] = quotas.left[quota].saturating_sub(1);
                }
            }
            quotas.of.push([tenant, group, allowed]);
        }
        quotas
    }

    /// The quota of this name among those that are `known`; one of `most` where it is new.
    fn named<'a>(
        &mut self,
        known: &mut HashMap<&'a str, usize>,
        name: Option<&'a str>,
        most: Option<u32>,
    ) -> Option<usize> {
        let most = most?;
        Some(*known.entry(name?).or_insert_with(|| {
            self.left.push(most);
            self.left.len() - 1
        }))
    }

    /// What is left of each once these moves are planned.
    pub(super) fn left_after(&self, moves: &[PlannedMove]) -> Vec<u32> {
        let mut left = self.left.clone();
        for quota in moves.iter().flat_map(|planned| self.of(planned.workload)) {
            left[quota] = left[quota].saturating_sub(1);
        }
        left
    }

    /// The quotas that a workload counts for.
    pub(super) fn of(&self, workload: usize) -> impl Iterator<Item = usize> {
        self.of.get(workload).into_iter().flatten().copied().flatten()
    }
}
