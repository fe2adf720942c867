//! The operator's limits again, counted on a finished plan in the plainest way.

use crate::plan::PlannedMove;
use crate::shell::memory::Memory;
use crate::shell::rules::ShellRules;
use godwit_envs::snapshot::{Snapshot, SnapshotWorkload};
use serde::Serialize;
use std::collections::{BTreeSet, HashMap};

/// A limit that a plan does not keep. `at` is the position of the first move that breaks it.
#[derive(Debug, Clone, PartialEq, Serialize, thiserror::Error)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Broken {
    /// More migrations than allowed, of the plan, a node or a tenant.
    #[error("move {at}: expected at most {most} migrations of {whose}, got more")]
    Count {
        /// Position in the plan.
        at: usize,
        /// Whose they are.
        whose: String,
        /// The limit.
        most: u32,
    },
    /// More members of a disruption group would be unavailable than allowed.
    #[error("move {at}: expected at most {most} unavailable members of {group:?}, got more")]
    Disruption {
        /// Position in the plan.
        at: usize,
        /// The group.
        group: String,
        /// The limit.
        most: u32,
    },
    /// The node's metrics are stale.
    #[error("move {at}: expected nodes with fresh metrics, got {node:?}")]
    StaleNode {
        /// Position in the plan.
        at: usize,
        /// The node.
        node: String,
    },
    /// A plan that left after the snapshot came moves the workload, or others to or from the node.
    #[error("move {at}: expected to leave alone what another plan moves meanwhile, got {whose}")]
    UnderWay {
        /// Position in the plan.
        at: usize,
        /// The workload or node.
        whose: String,
    },
    /// The workload's cool-down by the artifact's rules is not over.
    #[error(
        "move {at}: expected a workload that is not cooling down, got {workload:?} with {ticks} ticks to wait"
    )]
    Cooldown {
        /// Position in the plan.
        at: usize,
        /// The workload.
        workload: String,
        /// Ticks it still has to wait.
        ticks: u64,
    },
    /// The workload still rests from its last moves.
    #[error("move {at}: expected a rested workload, got {workload:?} with {ticks} ticks to wait")]
    Rest {
        /// Position in the plan.
        at: usize,
        /// The workload.
        workload: String,
        /// Ticks it still has to wait.
        ticks: u64,
    },
    /// The workload would return too soon.
    #[error("move {at}: expected {workload:?} to stay off {node:?} for a while, got it back")]
    Return {
        /// Position in the plan.
        at: usize,
        /// The workload.
        workload: String,
        /// The node it left.
        node: String,
    },
    /// The move would start, or is said to be worth starting, after its time.
    #[error("move {at}: expected it to start {within}, got from {start_s} s to {expires_s:?} s")]
    Late {
        /// Position in the plan.
        at: usize,
        /// Within what.
        within: String,
        /// Its earliest start, seconds after the snapshot.
        start_s: f32,
        /// When it is said to expire, seconds after the snapshot; none if never.
        expires_s: Option<f32>,
    },
}

/// Every limit that these moves do not keep; empty if they keep all.
pub fn broken(
    rules: &ShellRules,
    memory: &Memory,
    snapshot: &Snapshot,
    moves: &[PlannedMove],
) -> Vec<Broken> {
    let mut found = Vec::new();
    let counted = rules.max_moves_per_tenant.is_some()
        || !rules.disruption_budgets.is_empty()
        || !snapshot.disruption_budgets.is_empty();
    let workloads = snapshot.workloads.iter().filter(|_| counted);
    let index: HashMap<&str, &SnapshotWorkload> =
        workloads.map(|workload| (workload.name.as_str(), workload)).collect();
    let workload = |name: &str| index.get(name).copied();
    let tick = snapshot.tick.unwrap_or(0);
    let hidden: Vec<(&str, [&str; 2])> = snapshot
        .workloads
        .iter()
        .flat_map(|w| memory.hidden(&w.name).map(|ends| (w.name.as_str(), ends)))
        .collect();
    for (at, planned) in moves.iter().enumerate() {
        let so_far = &moves[..=at];
        let mut count = |whose: String, most: Option<u32>, count: usize| {
            if let Some(most) = most.filter(|&most| count > most as usize) {
                found.push(Broken::Count { at, whose, most });
            }
        };
        count("the plan".to_owned(), rules.max_moves, so_far.len());
        for node in [&planned.source_name, &planned.destination_name] {
            let touches = |m: &&PlannedMove| m.source_name == *node || m.destination_name == *node;
            let touched = so_far.iter().filter(touches).count();
            count(format!("node {node:?}"), rules.max_moves_per_node, touched);
        }
        let of = workload(&planned.workload_name);
        let shares = |field: fn(&SnapshotWorkload) -> &Option<String>, name: &str| {
            let named = |m: &&PlannedMove| {
                workload(&m.workload_name).and_then(|w| field(w).as_deref()) == Some(name)
            };
            so_far.iter().filter(named).count()
        };
        if let Some(tenant) = of.and_then(|workload| workload.tenant.as_deref()) {
            let moved = shares(|workload| &workload.tenant, tenant);
            count(format!("tenant {tenant:?}"), rules.max_moves_per_tenant, moved);
        }
        if let Some(group) = of.and_then(|workload| workload.disruption_group.as_deref())
            && let Some(&most) = rules.disruption_budgets.get(group)
        {
            let moving = snapshot.transfers.iter().map(|transfer| transfer.workload.as_str());
            let moving: BTreeSet<&str> = moving.chain(hidden.iter().map(|h| h.0)).collect();
            let in_group = |name: &&&str| {
                workload(name).and_then(|w| w.disruption_group.as_deref()) == Some(group)
            };
            let moved = shares(|workload| &workload.disruption_group, group);
            if moving.iter().filter(in_group).count() + moved > most as usize {
                found.push(Broken::Disruption { at, group: group.to_owned(), most });
            }
        }
        let group = of.and_then(|workload| workload.disruption_group.as_deref());
        for budget in snapshot.disruption_budgets.iter().filter(|b| Some(&*b.group) == group) {
            // Those in transfer have been taken off it; those that the snapshot does not show have not.
            let in_group =
                |name: &&str| workload(name).and_then(|w| w.disruption_group.as_deref()) == group;
            let others: BTreeSet<&str> = hidden.iter().map(|h| h.0).filter(in_group).collect();
            let moved = shares(|workload| &workload.disruption_group, &budget.group);
            if others.len() + moved > budget.disruptions_allowed as usize {
                let (group, most) = (budget.group.clone(), budget.disruptions_allowed);
                found.push(Broken::Disruption { at, group, most });
            }
        }
        for node in [&planned.source_name, &planned.destination_name] {
            let stale =
                |most| snapshot.nodes.iter().any(|n| n.name == *node && n.metrics_age_s >= most);
            if rules.max_metrics_age_s.is_some_and(stale) {
                found.push(Broken::StaleNode { at, node: node.clone() });
            }
        }
        let name = &planned.workload_name;
        if hidden.iter().any(|(moved, _)| moved == name) {
            found.push(Broken::UnderWay { at, whose: format!("workload {name:?}") });
        }
        for node in [&planned.source_name, &planned.destination_name] {
            if hidden.iter().any(|(_, ends)| ends.contains(&node.as_str())) {
                found.push(Broken::UnderWay { at, whose: format!("node {node:?}") });
            }
        }
        let ticks = memory.rest(rules, tick, name);
        if ticks > 0 {
            found.push(Broken::Rest { at, workload: name.clone(), ticks });
        }
        let node = &planned.destination_name;
        for within in late(rules, snapshot, planned) {
            let (start_s, expires_s) = (planned.earliest_start_s, planned.expires_s);
            found.push(Broken::Late { at, within, start_s, expires_s });
        }
        let left_before = memory.left_by(rules, tick, name).any(|left| left == node);
        let left_in_plan = rules.hold_down_ticks > 0
            && moves[..at].iter().any(|m| m.workload_name == *name && m.source_name == *node);
        if left_before || left_in_plan {
            found.push(Broken::Return { at, workload: name.clone(), node: node.clone() });
        }
    }
    found
}

/// Moves of workloads that cool down from remembered migrations, where the rules of the world give
/// each a cool-down of so many ticks.
pub fn cooling(
    ticks: u32,
    memory: &Memory,
    snapshot: &Snapshot,
    moves: &[PlannedMove],
) -> Vec<Broken> {
    let Some(tick) = snapshot.tick else { return Vec::new() };
    let mut found = Vec::new();
    for (at, planned) in moves.iter().enumerate() {
        let workload = &planned.workload_name;
        let ticks = memory.cooldown(ticks, tick, workload);
        if ticks > 0 {
            found.push(Broken::Cooldown { at, workload: workload.clone(), ticks });
        }
    }
    found
}

/// Within what a move does not start, or does not expire.
fn late(rules: &ShellRules, snapshot: &Snapshot, planned: &PlannedMove) -> Vec<String> {
    let mut found = Vec::new();
    let (start_s, expires_s) = (planned.earliest_start_s, planned.expires_s);
    if let Some(most) = rules.move_lifetime_s
        && (start_s >= most || expires_s.is_none_or(|expires_s| expires_s > most))
    {
        found.push(format!("within {most} s"));
    }
    if let Some(taken_s) = snapshot.taken_at_s.filter(|_| !rules.windows.is_empty()) {
        let is_open = |after_s: f64| rules.windows.iter().any(|w| w.contains(taken_s + after_s));
        // Windows begin and end with a minute. Expiries are rounded down to less than a second.
        let to_minute = 60.0 - taken_s.rem_euclid(60.0);
        let end_s = f64::from(expires_s.unwrap_or(f32::INFINITY)).min(86_400.0);
        let minutes = (0..=1440).map(|minute| to_minute + 60.0 * f64::from(minute));
        let mut within = minutes.take_while(|&after_s| after_s < end_s - 1e-3);
        if !is_open(f64::from(start_s)) || !is_open(0.0) || !within.all(is_open) {
            found.push("while a window is open".to_owned());
        }
    }
    found
}
