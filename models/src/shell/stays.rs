//! Why workloads stay where they are: of each that a plan does not move, the first reason that would
//! have to fall.

use crate::duties::ends_in_time;
use crate::plan::{Method, Plan, StopReason};
use crate::shell::limited::Shell;
use godwit_envs::lanes::LANES;
use godwit_envs::scenario::Mode;
use godwit_envs::state::fences::Fences;
use godwit_envs::state::outlook::Tile;
use godwit_envs::state::{ClusterState, Transfer};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::BTreeMap;

/// Why a workload stays. What is asked first comes first; room and limits are those that the
/// plan's moves leave.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum StayReason {
    /// It runs on no node: it waits for one.
    NotRunning,
    /// The snapshot says that it must not be moved.
    Pinned,
    /// Its transfer is under way already.
    InTransfer,
    /// It moved too recently for the rules of the scenario.
    Cooldown,
    /// A plan that left after this snapshot came moves it, or others to or from its node, or every
    /// node that could take it.
    UnderWay,
    /// It was moved before, and nothing else has changed since.
    Settled,
    /// The operator's back-off lets it rest.
    Resting,
    /// The metrics of its node, or of every node that could take it, are stale.
    StaleNode,
    /// Its tenant has all the migrations that it may have.
    TenantLimit,
    /// As many of its disruption group are unavailable as may be.
    DisruptionBudget,
    /// Its node, or every node that could take it, has all the migrations that it may have.
    NodeLimit,
    /// The cluster, or its node, has all the transfers in flight that it may have.
    TransferLimit,
    /// It has left the nodes that could take it, and must not return to them yet.
    HeldDown,
    /// Its node drains, and no transfer to a node that could take it would end before the deadline.
    TooLate,
    /// No node could take it: capacity, class, set of nodes, workloads per node, anti-affinity, zones,
    /// health or transfers in flight.
    NoFeasibleDestination,
    /// It could move, and the policy prefers to move nothing more.
    PolicyStays,
    /// It could move, but what the policy chose would not have improved the objective by what it
    /// costs.
    NoGain,
    /// It could move, but what the policy chose would have gained less than the operator asks for.
    GainBelowThreshold,
    /// The scenario's budget (of the episode, or of this tick) is spent.
    BudgetSpent,
    /// The plan has as many moves as the caller or the operator allows.
    MaxMoves,
    /// The deadline passed before the policy came to it.
    Deadline,
    /// The next migration could start only when it has expired.
    OutOfTime,
    /// The plan ended as the policy chose a migration that is not allowed.
    InfeasibleChoice,
    /// Migrations are halted.
    Halted,
    /// Nothing is decided about this snapshot, or not now.
    Refused,
}

/// The workloads that a plan leaves where they are.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Stays {
    /// How many, by reason.
    pub counts: BTreeMap<StayReason, u32>,
    /// Each of them, if that was asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub workloads: Vec<Stay>,
}

/// A workload that stays where it is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Stay {
    /// Workload index in the snapshot.
    pub workload: usize,
    /// The workload's name.
    pub workload_name: String,
    /// Why it stays.
    pub reason: StayReason,
}

impl Stays {
    /// Why everything that this plan does not move stays, one by one if `listed`. `shell` is what
    /// the plan was made within, if it was made at all.
    pub fn new(shell: Option<&Shell>, state: &ClusterState, plan: &Plan, listed: bool) -> Self {
        let names = &state.spec.workload_names;
        let mut moved = vec![false; state.spec.workloads()];
        plan.moves.iter().for_each(|planned| moved[planned.workload] = true);
        let judge = Judge::new(shell, state, plan);
        let mut stays = Self::default();
        for workload in (0..moved.len()).filter(|&k| !moved[k]) {
            let reason = judge.reason(workload);
            *stays.counts.entry(reason).or_default() += 1;
            if listed {
                let workload_name = names[workload].clone();
                stays.workloads.push(Stay { workload, workload_name, reason });
            }
        }
        stays
    }
}

struct Judge<'a> {
    /// Before the plan.
    state: &'a ClusterState,
    /// With its moves: complete, or online under way.
    end: Cow<'a, ClusterState>,
    /// The end's nodes.
    tiles: Vec<Tile>,
    shell: Option<&'a Shell<'a>>,
    /// Who was moved in this very world, ascending.
    settled: Vec<usize>,
    /// Fences, and what is left of the shell's quotas, after the plan.
    fences: Fences,
    quotas: Vec<u32>,
    stop_reason: StopReason,
}

impl<'a> Judge<'a> {
    fn new(shell: Option<&'a Shell>, state: &'a ClusterState, plan: &Plan) -> Self {
        let mut end = Cow::Borrowed(state);
        if !plan.moves.is_empty() {
            let end = end.to_mut();
            for planned in &plan.moves {
                end.placement[planned.workload] = planned.destination as u32;
                if state.rules.episode.mode == Mode::Online && planned.method == Method::Live {
                    end.transfers.push(Transfer {
                        workload: planned.workload as u32,
                        source: planned.source as u32,
                        remaining_s: planned.transfer_s,
                    });
                }
            }
            end.rebuild();
        }
        let spec = &*state.spec;
        let mut tiles = vec![Tile::default(); spec.padded_nodes() / LANES];
        for (tile, first) in tiles.iter_mut().zip((0..).step_by(LANES)) {
            end.now.tile_of_block(spec, first, tile);
        }
        Self {
            state,
            end,
            tiles,
            shell,
            settled: shell.map(|shell| shell.settled(state)).unwrap_or_default(),
            fences: shell.map(|shell| shell.fences_after(&plan.moves)).unwrap_or_default(),
            quotas: shell.map(|shell| shell.quotas.left_after(&plan.moves)).unwrap_or_default(),
            stop_reason: plan.stop_reason,
        }
    }

    fn reason(&self, k: usize) -> StayReason {
        let (state, limits) = (self.state, &self.state.rules.limits);
        let Some(node) = state.node_of(k) else { return StayReason::NotRunning };
        if !state.spec.movable[k] {
            StayReason::Pinned
        } else if state.is_in_transfer(k) {
            StayReason::InTransfer
        } else if state.cooldown[k] > 0 {
            StayReason::Cooldown
        } else if matches!(self.stop_reason, StopReason::Halted | StopReason::Refused) {
            self.stop_reason.into()
        } else if state.is_misfit(k) {
            StayReason::NoFeasibleDestination
        } else if let Some(reason) = self.limit(k, node) {
            reason
        } else if self.end.transfers.len() >= limits.transfers_in_flight as usize
            || self.end.transfers_of(node) >= limits.transfers_per_node
        {
            StayReason::TransferLimit
        } else {
            self.destination(k).unwrap_or(self.stop_reason.into())
        }
    }

    /// The operator's limit that keeps the workload on this node.
    fn limit(&self, k: usize, node: usize) -> Option<StayReason> {
        let shell = self.shell?;
        let quotas = shell.quotas.of.get(k).copied().unwrap_or_default();
        let [no_tenant, by_operator, by_cluster] =
            quotas.map(|quota| quota.is_some_and(|quota| self.quotas[quota] == 0));
        if self.settled.binary_search(&k).is_ok() {
            Some(StayReason::Settled)
        } else if shell.under_way.contains(&node) {
            Some(StayReason::UnderWay)
        } else if shell.fences.holds_workload(k) {
            Some(StayReason::Resting)
        } else if shell.fences.closes(node) {
            Some(StayReason::StaleNode)
        } else if no_tenant {
            Some(StayReason::TenantLimit)
        } else if by_operator || by_cluster {
            Some(StayReason::DisruptionBudget)
        } else if self.fences.closes(node) {
            Some(StayReason::NodeLimit)
        } else {
            None
        }
    }

    /// Why no node takes the workload, if none does.
    fn destination(&self, k: usize) -> Option<StayReason> {
        let mut reason = StayReason::NoFeasibleDestination;
        for tile in &self.tiles {
            let open = self.end.open_lanes(k, tile);
            for lane in (0..LANES).filter(|&lane| open[lane]) {
                let node = tile.node[lane] as usize;
                if !self.fences.keeps_out(k, node) {
                    if ends_in_time(self.state, self.state.tick, k, node) {
                        return None;
                    }
                    reason = reason.min(StayReason::TooLate);
                    continue;
                }
                let closed = if self.shell.is_some_and(|shell| shell.under_way.contains(&node)) {
                    StayReason::UnderWay
                } else if self.shell.is_some_and(|shell| shell.fences.closes(node)) {
                    StayReason::StaleNode
                } else if self.fences.closes(node) {
                    StayReason::NodeLimit
                } else {
                    StayReason::HeldDown
                };
                // Of several the one that comes first in the list.
                reason = reason.min(closed);
            }
        }
        Some(reason)
    }
}

impl From<StopReason> for StayReason {
    fn from(reason: StopReason) -> Self {
        match reason {
            StopReason::PolicyStays => Self::PolicyStays,
            StopReason::NoFeasibleMove => Self::NoFeasibleDestination,
            StopReason::BudgetSpent => Self::BudgetSpent,
            StopReason::MaxMoves => Self::MaxMoves,
            StopReason::Deadline => Self::Deadline,
            StopReason::OutOfTime => Self::OutOfTime,
            StopReason::InfeasibleChoice => Self::InfeasibleChoice,
            StopReason::NoGain => Self::NoGain,
            StopReason::GainBelowThreshold => Self::GainBelowThreshold,
            StopReason::Halted => Self::Halted,
            StopReason::Refused => Self::Refused,
        }
    }
}
