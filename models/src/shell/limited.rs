//! A snapshot within an operator's limits: which fences they put up, and the plan within these.

use crate::plan::{LaterMove, Plan, PlannedMove, Reach, plan_within};
use crate::policy::Policy;
use crate::shell::admission::{Refusal, admit};
use crate::shell::memory::Memory;
use crate::shell::quotas::Quotas;
use crate::shell::rules::ShellRules;
use godwit_envs::snapshot::Snapshot;
use godwit_envs::state::fences::Fences;
use godwit_envs::state::{Action, ClusterState};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::cell::OnceCell;
use std::collections::HashMap;
use std::time::Duration;
use std::time::Instant;

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
    pub(super) rules: &'a ShellRules,
    pub(super) snapshot: &'a Snapshot,
    pub(super) memory: &'a Memory,
    /// Fingerprint of the snapshot's state, once someone has asked for it.
    pub(super) world: OnceCell<u64>,
    /// Fences before the first move.
    pub(super) fences: Fences,
    pub(super) left_out: LeftOut,
    pub(super) quotas: Quotas,
    /// Nodes of plans that left after the snapshot came, by index.
    pub(super) under_way: Vec<usize>,
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
        let promised = self.promised(state);
        let mut policy = Promised { policy, moves: promised.clone() };
        let mut plan = plan_within(state, &mut policy, reach, &mut |state, moves| {
            state.fences = self.fences_after(moves);
            for &k in &settled {
                state.fences.hold_workload(k, state.spec.workloads());
            }
        });
        if !plan.moves.is_empty() {
            keep_promised(&mut plan, &promised, state);
        }
        plan
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
    pub(super) fn fences_after(&self, moves: &[PlannedMove]) -> Fences {
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

/// What was promised and is not made yet stays promised: the plan before was worth its costs with all
/// of it, while this one, for which those are spent, may be with less.
fn keep_promised(plan: &mut Plan, promised: &[(usize, usize)], state: &ClusterState) {
    let spec = &*state.spec;
    for &(workload, destination) in promised.iter().rev() {
        let workload_name = &spec.workload_names[workload];
        let is_made = plan.moves.iter().any(|planned| planned.workload == workload);
        if !is_made && plan.later.iter().all(|later| later.workload_name != *workload_name) {
            plan.later.push(LaterMove {
                workload_name: workload_name.clone(),
                destination_name: spec.node_names[destination].clone(),
            });
        }
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

    fn limit_time(&mut self, limit: Option<Duration>) {
        self.policy.limit_time(limit);
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
