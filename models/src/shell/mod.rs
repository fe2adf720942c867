//! The safety shell: what an operator asks of every plan is kept outside the network. The limits
//! reach the policy as fences of the state, so that it plans within them, and the finished plan is
//! checked again in another way ([`broken`]).

mod check;
#[cfg(test)]
mod frozen_tests;
mod memory;
#[cfg(test)]
mod memory_tests;
mod rules;
mod shelled;
mod stays;
#[cfg(test)]
mod tests;

pub use check::{Broken, broken, cooling};
pub use memory::{Carried, Change, Memory, span};
pub use rules::{Backoff, ShellRules, Window};
pub use shelled::Shelled;
pub use stays::{Stay, StayReason, Stays};

use crate::plan::{Plan, PlannedMove, Reach, plan_within};
use crate::policy::Policy;
use godwit_envs::snapshot::Snapshot;
use godwit_envs::state::fences::Fences;
use godwit_envs::state::{Action, ClusterState};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::cell::OnceCell;
use std::collections::{HashMap, HashSet};
use std::time::Instant;

/// Why nothing at all is decided about a snapshot.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, thiserror::Error)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Refusal {
    /// Rules that look back or at the clock need times that the snapshot does not state.
    #[error("{field}: expected a value, as {rule} asks for it, got none")]
    NoTime {
        /// Field of the snapshot.
        field: String,
        /// Rule that needs it.
        rule: String,
    },
    /// The snapshot is too old.
    #[error("taken_at_s: expected a snapshot of at most {limit_s} s, got one of {age_s} s{}", ahead(*age_s))]
    Stale {
        /// Its age, seconds; negative for one from the future.
        age_s: f64,
        /// Oldest that is decided about, seconds.
        limit_s: f64,
    },
    /// Too few nodes have fresh metrics.
    #[error("nodes: expected fresh metrics of a share of at least {least}, got {share}")]
    FewFresh {
        /// Share of nodes with fresh metrics.
        share: f32,
        /// Least share.
        least: f32,
    },
    /// No maintenance window is open.
    #[error("windows: expected a time within one, got {time_s} s since 1970")]
    OutsideWindows {
        /// The snapshot's time, seconds since 1970.
        time_s: f64,
    },
}

/// How many workloads or nodes are left out of a decision, by reason.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LeftOut {
    /// Nodes whose metrics are stale.
    pub stale_nodes: u32,
    /// Workloads that rest after moves before.
    pub resting: u32,
    /// Workloads that must not return to a node yet.
    pub held_down: u32,
    /// Workloads that were moved before, since when nothing else has changed.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub settled: u32,
    /// Workloads of plans that left after this snapshot came.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub under_way: u32,
}

fn is_zero(count: &u32) -> bool {
    *count == 0
}

impl LeftOut {
    /// Whether nothing is left out.
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }
}

/// A snapshot within an operator's limits.
pub struct Shell<'a> {
    rules: &'a ShellRules,
    snapshot: &'a Snapshot,
    memory: &'a Memory,
    /// Fingerprint of the snapshot's state, once someone has asked for it.
    world: OnceCell<u64>,
    /// Fences before the first move.
    fences: Fences,
    left_out: LeftOut,
    quotas: Quotas,
    /// Nodes of plans that left after the snapshot came, by index.
    under_way: Vec<usize>,
}

/// How many workloads of each limited tenant and disruption group may still be moved.
#[derive(Debug, Default)]
struct Quotas {
    left: Vec<u32>,
    /// Each workload's quotas: of its tenant, and of its group. Empty where no rule counts.
    of: Vec<[Option<usize>; 2]>,
}

impl<'a> Shell<'a> {
    /// Looks at a valid snapshot. `now_s` is the time in seconds since 1970, for the snapshot's age.
    ///
    /// # Errors
    /// When nothing is to be decided about it.
    pub fn new(
        rules: &'a ShellRules,
        memory: &'a Memory,
        snapshot: &'a Snapshot,
        now_s: f64,
    ) -> Result<Self, Refusal> {
        admit(rules, snapshot, now_s)?;
        let mut shell = Self {
            rules,
            snapshot,
            memory,
            world: OnceCell::new(),
            fences: Fences::default(),
            left_out: LeftOut::default(),
            quotas: Quotas::new(rules, memory, snapshot),
            under_way: Vec::new(),
        };
        shell.fence(memory);
        Ok(shell)
    }

    /// What is left out from the start.
    pub fn left_out(&self) -> &LeftOut {
        &self.left_out
    }

    /// Plans as [`crate::plan::plan`] does, within the limits. `state` is that of the snapshot.
    pub fn plan(
        &self,
        state: &ClusterState,
        policy: &mut dyn Policy,
        max_moves: u32,
        deadline: Option<Instant>,
    ) -> Plan {
        let max_moves = self.rules.max_moves.map_or(max_moves, |most| most.min(max_moves));
        let expires_s = self.rules.expires_s(self.snapshot.taken_at_s);
        let reach = Reach {
            max_moves,
            deadline,
            expires_s,
            payback_ticks: self.rules.payback_ticks,
            min_gain_share: self.rules.min_gain_share,
        };
        let settled = self.settled(state);
        let mut policy = Promised { policy, moves: self.promised(state) };
        plan_within(state, &mut policy, reach, &mut |state, moves| {
            state.fences = self.fences_after(moves);
            for &k in &settled {
                state.fences.hold_workload(k, state.spec.workloads());
            }
        })
    }

    /// Workloads that were moved already while the cluster was as it is now, but for the placement:
    /// nothing speaks for moving them again, whatever a policy thinks.
    pub fn settled(&self, state: &ClusterState) -> Vec<usize> {
        if self.memory.is_empty() {
            return Vec::new();
        }
        let (world, names) = (self.world(state), &state.spec.workload_names);
        (0..names.len()).filter(|&k| self.memory.is_settled(world, &names[k])).collect()
    }

    /// Large clusters take a while, and every plan, and what is told of it, asks.
    fn world(&self, state: &ClusterState) -> u64 {
        *self.world.get_or_init(|| state.fingerprint())
    }

    /// What an earlier plan counts on in this world, the first move last.
    fn promised(&self, state: &ClusterState) -> Vec<(usize, usize)> {
        if self.memory.is_empty() {
            return Vec::new();
        }
        let spec = &*state.spec;
        let index = |names: &[String], name: &String| names.iter().position(|n| n == name);
        let later = self.memory.later(self.world(state)).iter().rev();
        let moves = later.map(|later| {
            let workload = index(&spec.workload_names, &later.workload_name)?;
            Some((workload, index(&spec.node_names, &later.destination_name)?))
        });
        moves.flatten().collect()
    }

    /// Fences from what is known before the plan.
    fn fence(&mut self, memory: &Memory) {
        let (snapshot, rules) = (self.snapshot, self.rules);
        let (nodes, workloads) = (snapshot.nodes.len(), snapshot.workloads.len());
        for (i, node) in snapshot.nodes.iter().enumerate() {
            if rules.max_metrics_age_s.is_some_and(|most| node.metrics_age_s >= most) {
                self.fences.close_node(i, nodes);
                self.left_out.stale_nodes += 1;
            }
        }
        let Some(tick) = snapshot.tick.filter(|_| !memory.is_empty()) else { return };
        let index: HashMap<&str, usize> =
            snapshot.nodes.iter().map(|node| node.name.as_str()).zip(0..).collect();
        for (k, workload) in snapshot.workloads.iter().enumerate() {
            if memory.rest(rules, tick, &workload.name) > 0 {
                self.fences.hold_workload(k, workloads);
                self.left_out.resting += 1;
            }
            let mut moves = false;
            // What such a plan takes of its nodes the snapshot does not show, either.
            for node in memory.hidden(&workload.name).flatten() {
                moves = true;
                self.fences.hold_workload(k, workloads);
                if let Some(&node) = index.get(node) {
                    self.fences.close_node(node, nodes);
                    self.under_way.push(node);
                }
            }
            self.left_out.under_way += u32::from(moves);
            let mut held = false;
            for node in memory.left_by(rules, tick, &workload.name) {
                if let Some(&node) = index.get(node) {
                    self.fences.keep_apart(k, node);
                    held = true;
                }
            }
            self.left_out.held_down += u32::from(held);
        }
    }

    /// Fences once these moves are planned.
    fn fences_after(&self, moves: &[PlannedMove]) -> Fences {
        let mut fences = self.fences.clone();
        let (nodes, workloads) = (self.snapshot.nodes.len(), self.snapshot.workloads.len());
        let left = self.quotas.left_after(moves);
        if self.rules.hold_down_ticks > 0 {
            for planned in moves {
                fences.keep_apart(planned.workload, planned.source);
            }
        }
        if let Some(most) = self.rules.max_moves_per_node {
            let mut of_node = vec![0; nodes];
            moves.iter().flat_map(|m| [m.source, m.destination]).for_each(|i| of_node[i] += 1);
            (0..nodes).filter(|&i| of_node[i] >= most).for_each(|i| fences.close_node(i, nodes));
        }
        for k in 0..self.quotas.of.len() {
            if self.quotas.of(k).any(|quota| left[quota] == 0) {
                fences.hold_workload(k, workloads);
            }
        }
        fences
    }
}

/// Proposes moves that were promised, and then asks the policy.
struct Promised<'a> {
    policy: &'a mut dyn Policy,
    /// The next one last.
    moves: Vec<(usize, usize)>,
}

impl Policy for Promised<'_> {
    fn name(&self) -> &str {
        self.policy.name()
    }

    fn reset(&mut self, seed: u64) {
        self.policy.reset(seed);
    }

    fn act(&mut self, state: &ClusterState) -> Action {
        while let Some((workload, destination)) = self.moves.pop() {
            if state.check(workload, destination).is_ok() {
                return Action::Migrate { workload, destination };
            }
        }
        self.policy.act(state)
    }
}

impl Quotas {
    /// The quotas of a snapshot, less what is in transfer of each disruption group, or planned to be
    /// by plans that left after the snapshot came.
    fn new(rules: &ShellRules, memory: &Memory, snapshot: &Snapshot) -> Self {
        let mut quotas = Self::default();
        if rules.max_moves_per_tenant.is_none() && rules.disruption_budgets.is_empty() {
            return quotas;
        }
        let in_transfer: HashSet<&str> =
            snapshot.transfers.iter().map(|transfer| transfer.workload.as_str()).collect();
        let [mut tenants, mut groups] = [HashMap::new(), HashMap::new()];
        for workload in &snapshot.workloads {
            let group = workload.disruption_group.as_deref();
            let budget = group.and_then(|group| rules.disruption_budgets.get(group)).copied();
            let tenant = workload.tenant.as_deref();
            let tenant = quotas.named(&mut tenants, tenant, rules.max_moves_per_tenant);
            let group = quotas.named(&mut groups, group, budget);
            let moves = in_transfer.contains(workload.name.as_str())
                || memory.hidden(&workload.name).next().is_some();
            if let Some(group) = group.filter(|_| moves) {
                quotas.left[group] = quotas.left[group].saturating_sub(1);
            }
            quotas.of.push([tenant, group]);
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
    fn left_after(&self, moves: &[PlannedMove]) -> Vec<u32> {
        let mut left = self.left.clone();
        for quota in moves.iter().flat_map(|planned| self.of(planned.workload)) {
            left[quota] = left[quota].saturating_sub(1);
        }
        left
    }

    /// The quotas that a workload counts for.
    fn of(&self, workload: usize) -> impl Iterator<Item = usize> {
        self.of.get(workload).into_iter().flatten().copied().flatten()
    }
}

/// What is wrong with a time that is ahead of the clock: by thousands of years, its unit.
fn ahead(age_s: f64) -> &'static str {
    match age_s {
        age_s if age_s < -1e10 => ", which looks like milliseconds",
        age_s if age_s < 0.0 => ", as some clock is wrong",
        _ => "",
    }
}

/// Whether anything may be decided.
fn admit(rules: &ShellRules, snapshot: &Snapshot, now_s: f64) -> Result<(), Refusal> {
    let missing = |field: &str, rule: &str| Refusal::NoTime {
        field: field.to_owned(),
        rule: rule.to_owned(),
    };
    if snapshot.tick.is_none() {
        if rules.hold_down_ticks > 0 {
            return Err(missing("tick", "hold_down_ticks"));
        }
        if rules.backoff.is_some() {
            return Err(missing("tick", "backoff"));
        }
    }
    if let Some(limit_s) = rules.max_age_s {
        let taken = snapshot.taken_at_s.ok_or_else(|| missing("taken_at_s", "max_age_s"))?;
        // A snapshot from the future is as doubtful as an old one: some clock is wrong.
        let age_s = now_s - taken;
        if age_s.abs() > limit_s {
            return Err(Refusal::Stale { age_s, limit_s });
        }
    }
    if let Some(most) = rules.max_metrics_age_s {
        let fresh = snapshot.nodes.iter().filter(|node| node.metrics_age_s < most).count();
        let (share, least) = (fresh as f32 / snapshot.nodes.len() as f32, rules.min_fresh_share);
        if share < least {
            return Err(Refusal::FewFresh { share, least });
        }
    }
    if !rules.windows.is_empty() {
        let time_s = snapshot.taken_at_s.ok_or_else(|| missing("taken_at_s", "windows"))?;
        if !rules.windows.iter().any(|window| window.contains(time_s)) {
            return Err(Refusal::OutsideWindows { time_s });
        }
    }
    Ok(())
}
