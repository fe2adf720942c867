//! A policy that plays episodes within an operator's limits, as the scorer would keep it to them.

use crate::plan::PlannedMove;
use crate::policy::Policy;
use crate::shell::limited::Shell;
use crate::shell::memory::{Carried, Memory};
use crate::shell::rules::ShellRules;
use godwit_envs::scenario::Mode;
use godwit_envs::snapshot::{Snapshot, SnapshotNode, SnapshotTransfer, SnapshotWorkload};
use godwit_envs::state::{Action, ClusterState, Life};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

/// A policy within limits. Each tick begins with a plan for all of it ([`Shell::plan`]), whose moves
/// are then made one by one, and remembered as carried out; a static episode is one plan, which ends
/// where it no longer pays.
///
/// The world stands in for what a live cluster sends: metrics are never old, and the first tick
/// begins at midnight (UTC). A workload that departs is forgotten, so that who comes to its slot
/// neither rests nor is held down for it.
pub struct Shelled {
    policy: Box<dyn Policy>,
    rules: Arc<ShellRules>,
    /// Where workloads state their tenants and disruption groups.
    labels: Option<Arc<Snapshot>>,
    memory: Memory,
    /// What the shell sees; empty before the first decision of an episode.
    snapshot: Snapshot,
    /// Tick that is planned.
    planned: Option<u32>,
    /// What is left of the plan, last move first.
    moves: Vec<PlannedMove>,
}

impl Shelled {
    /// Keeps a policy within these rules. Tenants and disruption groups are those that the workloads
    /// of the same names state in `labels`.
    pub fn new(
        policy: Box<dyn Policy>,
        rules: Arc<ShellRules>,
        labels: Option<Arc<Snapshot>>,
    ) -> Self {
        let (memory, snapshot) = Default::default();
        Self { policy, rules, labels, memory, snapshot, planned: None, moves: Vec::new() }
    }

    /// Brings the shell's view up to date. The order of nodes and workloads is that of the state, as
    /// plans and fences go by index.
    fn look(&mut self, state: &ClusterState) {
        if self.snapshot.nodes.is_empty() {
            self.snapshot = names(state, self.labels.as_deref());
        }
        let snapshot = &mut self.snapshot;
        snapshot.tick = Some(u64::from(state.tick));
        snapshot.taken_at_s = Some(f64::from(state.tick) * f64::from(state.rules.episode.tick_s));
        let spec = &*state.spec;
        let transfers = state.transfers.iter().map(|transfer| SnapshotTransfer {
            workload: spec.workload_names[transfer.workload as usize].clone(),
            source: spec.node_names[transfer.source as usize].clone(),
            remaining_s: transfer.remaining_s,
        });
        snapshot.transfers = transfers.collect();
        for (life, name) in state.life.iter().zip(&spec.workload_names) {
            if *life == Life::Absent {
                self.memory.forget(name);
            }
        }
    }

    fn plan(&mut self, state: &ClusterState) {
        self.look(state);
        let now_s = self.snapshot.taken_at_s.unwrap_or_default();
        // Where nothing is to be decided, nothing is moved.
        let Ok(shell) = Shell::new(&self.rules, &self.memory, &self.snapshot, now_s) else {
            return;
        };
        let plan = shell.plan(state, self.policy.as_mut(), u32::MAX, None);
        if !plan.moves.is_empty() {
            let world = state.fingerprint();
            let carried = Carried { moves: &plan.moves, later: &plan.later, world };
            self.memory.record(&self.rules, u64::from(state.tick), carried);
        }
        self.moves = plan.moves;
        self.moves.reverse();
    }
}

impl Policy for Shelled {
    fn name(&self) -> &str {
        self.policy.name()
    }

    fn reset(&mut self, seed: u64) {
        self.policy.reset(seed);
        (self.memory, self.snapshot) = Default::default();
        self.planned = None;
        self.moves.clear();
    }

    fn limit_time(&mut self, limit: Option<Duration>) {
        self.policy.limit_time(limit);
    }

    fn act(&mut self, state: &ClusterState) -> Action {
        let planned = match state.rules.episode.mode {
            Mode::Online => self.planned == Some(state.tick),
            Mode::Rebalance => self.planned.is_some(),
        };
        if !planned {
            self.planned = Some(state.tick);
            self.moves.clear();
            self.plan(state);
        }
        match self.moves.pop() {
            Some(PlannedMove { workload, destination, .. }) => {
                Action::Migrate { workload, destination }
            }
            None => Action::Stay,
        }
    }
}

/// A snapshot with all that limits ask of nodes and workloads: names, tenants, groups.
fn names(state: &ClusterState, labels: Option<&Snapshot>) -> Snapshot {
    let labelled: HashMap<&str, &SnapshotWorkload> = labels
        .map_or(&[][..], |labels| &labels.workloads)
        .iter()
        .map(|workload| (workload.name.as_str(), workload))
        .collect();
    let node = |name: &String| SnapshotNode { name: name.clone(), ..SnapshotNode::default() };
    let workload = |name: &String| {
        let label = labelled.get(name.as_str());
        SnapshotWorkload {
            name: name.clone(),
            tenant: label.and_then(|label| label.tenant.clone()),
            disruption_group: label.and_then(|label| label.disruption_group.clone()),
            ..SnapshotWorkload::default()
        }
    };
    Snapshot {
        nodes: state.spec.node_names.iter().map(node).collect(),
        workloads: state.spec.workload_names.iter().map(workload).collect(),
        ..Snapshot::default()
    }
}
