//! Sandpiper: the hottest node sheds what carries the most load per byte.
//!
//! Rules, with utilisations counted as they will be once the transfers in flight have ended:
//!
//! 1. The volume of a node is the product over its resources of 1 / (1 - u), with the utilisation
//!    u clipped below 1; a workload's volume is the same with its own utilisation of its node.
//! 2. A node is hot if some utilisation exceeds the threshold, and did so at `sustained` of the
//!    last `observed` ticks. A rebalance world has no history: there the present is enough.
//! 3. The hot node of the highest volume sheds first. Its workloads are tried by descending ratio
//!    of volume to size (VSR; the size is the state that a migration copies), each on the nodes
//!    by ascending volume: it goes to the first that can take it and stays at or below the
//!    threshold. Workloads that use nothing of what exceeds the threshold are passed over.
//! 4. If nothing can go, a workload of the hot node (again by descending VSR) is exchanged with
//!    one of a node of low volume (by ascending VSR), if that node stays at or below the
//!    threshold and the hot node's utilisation above it falls. The exchange is two moves, each
//!    feasible in its turn; the second is remembered, and made once it is feasible. Online it is
//!    given up after the next tick, or when the first has been copied if that takes longer.
//! 5. Otherwise the next hot node, or stay.
//!
//! Parameters: threshold, clip, `sustained` of `observed` ticks, and how many nodes of low volume
//! exchanges look at.
//!
//! Source: Wood et al., "Black-box and gray-box strategies for virtual machine migration", NSDI
//! 2007. That system also asks that the next value, as predicted by a time series, exceeds the
//! threshold, and exchanges one workload for several; both are left out.
//!
//! Every move and every completed exchange takes something off the utilisation above the threshold,
//! summed over the cluster, and nothing adds to it. So a static cluster comes to rest, as long as
//! transfers end in time for the second halves of exchanges.

use crate::baselines::declaration::Declaration;
use crate::baselines::greedy::best_move_or_swap::{ends_with_transfers, order};
use crate::baselines::utilisation::{SLACK, add_up, highest, own};
use crate::policy::Policy;
use godwit_envs::scenario::Mode;
use godwit_envs::state::{Action, ClusterState, Infeasible};

/// An exchange that takes less off a hot node is not worth two moves, a utilisation.
const LEAST_RELIEF: f32 = 1e-3;

/// Parameters of [`Sandpiper`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SandpiperRules {
    /// Above this utilisation of some resource a node is hot, a ratio.
    pub threshold: f32,
    /// Utilisations are clipped to this in volumes, a ratio below 1.
    pub clip: f32,
    /// Online: ticks of the last `observed` in which the threshold must have been exceeded.
    pub sustained: u32,
    /// Online: ticks that are looked at, at most 32.
    pub observed: u32,
    /// Nodes of the lowest volume that exchanges look at.
    pub swap_nodes: usize,
}

impl Default for SandpiperRules {
    /// The paper's threshold and 3 of 5 observations.
    fn default() -> Self {
        Self { threshold: 0.75, clip: 0.99, sustained: 3, observed: 5, swap_nodes: 16 }
    }
}

/// The parameters as data.
pub(crate) fn declaration() -> Declaration<SandpiperRules> {
    Declaration::new(SandpiperRules::default(), Sandpiper::new)
        .real("threshold", "utilisation above which a node is hot", 0.3..=1.0, |r| {
            (&mut r.threshold).into()
        })
        .real("clip", "utilisations count up to this in volumes", 0.8..=0.999, |r| {
            (&mut r.clip).into()
        })
        .integer("sustained", "ticks of the observed ones that must be hot", 1..=16, |r| {
            (&mut r.sustained).into()
        })
        .online()
        .integer("observed", "ticks that are looked at", 1..=16, |r| (&mut r.observed).into())
        .online()
        .integer("swap_nodes", "nodes of low volume that exchanges look at", 0..=64, |r| {
            (&mut r.swap_nodes).into()
        })
        .relation("sustained", "no more than observed", |r| r.sustained <= r.observed)
}

/// The remembered second move of an exchange.
#[derive(Debug, Clone, Copy)]
struct Pending {
    first: (usize, usize),
    second: (usize, usize),
    /// Last tick at which it may still be made, unless the first is still being copied.
    until: u32,
}

/// Volumes and volume-to-size ratios.
#[derive(Debug, Clone, Default)]
pub struct Sandpiper {
    rules: SandpiperRules,
    /// Whether the threshold was exceeded, a bit per tick, the last one lowest, `[N]`.
    exceeded: Vec<u32>,
    recorded: Option<u32>,
    pending: Option<Pending>,
    /// `[N][m]`.
    utilisation: Vec<f32>,
    /// Volume and index of the nodes, ascending.
    nodes: Vec<(f32, u32)>,
    /// Node, VSR and index of the workloads that may leave, ascending.
    members: Vec<(u32, f32, u32)>,
}

impl Sandpiper {
    /// With these parameters.
    pub fn new(rules: SandpiperRules) -> Self {
        Self { rules, ..Self::default() }
    }

    /// The remembered move, or what to do while it has to wait; `None` to search anew.
    fn resume(&mut self, state: &ClusterState) -> Option<Action> {
        let Pending { first, second, until } = self.pending?;
        let (workload, destination) = second;
        let made = state.placement.get(first.0).is_some_and(|&node| node as usize == first.1);
        let copied = state.transfers.iter().any(|transfer| transfer.workload as usize == first.0);
        let waits = (copied || state.tick < until) && state.rules.episode.mode == Mode::Online;
        match state.check(workload, destination) {
            Ok(()) if made => {
                self.pending = None;
                Some(Action::Migrate { workload, destination })
            }
            Err(refusal) if made && waits && ends_with_transfers(refusal) => Some(Action::Stay),
            _ => {
                self.pending = None;
                None
            }
        }
    }

    fn utilisation_of(&self, node: usize, resources: usize) -> &[f32] {
        &self.utilisation[node * resources..(node + 1) * resources]
    }

    /// Adds up utilisations, ranks nodes and workloads, and records the tick once.
    fn observe(&mut self, state: &ClusterState) {
        let (n, m) = (state.spec.nodes(), state.spec.resources);
        add_up(state, &state.demand, &mut self.utilisation);
        self.exceeded.resize(n, 0);
        if self.recorded != Some(state.tick) {
            self.recorded = Some(state.tick);
            for (node, exceeded) in self.exceeded.iter_mut().enumerate() {
                let now = highest(&self.utilisation[node * m..(node + 1) * m]);
                *exceeded = *exceeded << 1 | u32::from(now > self.rules.threshold + SLACK);
            }
        }
        let clip = self.rules.clip;
        self.nodes.clear();
        for node in 0..n {
            self.nodes.push((volume(self.utilisation_of(node, m), clip), node as u32));
        }
        self.nodes.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        self.members.clear();
        for (k, &node) in state.placement.iter().enumerate() {
            if state.may_leave(k).is_ok() {
                let share = |j| 1.0 / (1.0 - own(state, k, node as usize, j).min(clip));
                let volume: f32 = (0..m).map(share).product();
                let vsr = volume / state.spec.state_gib[k].max(f32::MIN_POSITIVE);
                self.members.push((node, vsr, k as u32));
            }
        }
        self.members
            .sort_unstable_by(|a, b| a.0.cmp(&b.0).then(a.1.total_cmp(&b.1)).then(b.2.cmp(&a.2)));
    }

    /// Movable workloads of a node by ascending VSR; of equal ones the last first, so that the
    /// first one is the first of the descending order.
    fn members_of(&self, node: usize) -> &[(u32, f32, u32)] {
        let start = self.members.partition_point(|member| (member.0 as usize) < node);
        let end = self.members.partition_point(|member| member.0 as usize <= node);
        &self.members[start..end]
    }

    fn is_hot(&self, state: &ClusterState, node: usize) -> bool {
        let now = highest(self.utilisation_of(node, state.spec.resources));
        let rules = &self.rules;
        let recent = self.exceeded[node] & u32::MAX.unbounded_shr(32 - rules.observed.min(32));
        now > rules.threshold + SLACK
            && (state.rules.episode.mode == Mode::Rebalance
                || recent.count_ones() >= rules.sustained)
    }

    /// Whether a node stays at or below the threshold when a workload comes and one may go.
    fn takes(&self, state: &ClusterState, node: usize, comes: usize, goes: Option<usize>) -> bool {
        let now = self.utilisation_of(node, state.spec.resources);
        now.iter().enumerate().all(|(j, &now)| {
            let less = goes.map_or(0.0, |goes| own(state, goes, node, j));
            now + own(state, comes, node, j) - less <= self.rules.threshold
        })
    }

    /// What an exchange takes off a node's utilisation above the threshold.
    fn relief(&self, state: &ClusterState, node: usize, goes: usize, comes: usize) -> f32 {
        let now = self.utilisation_of(node, state.spec.resources).iter().enumerate();
        let above = |utilisation: f32| (utilisation - self.rules.threshold).max(0.0);
        now.map(|(j, &now)| {
            let change = own(state, comes, node, j) - own(state, goes, node, j);
            above(now) - above(now + change)
        })
        .sum()
    }

    /// Whether the workload uses something of what exceeds the threshold on its node.
    fn relieves(&self, state: &ClusterState, node: usize, workload: usize) -> bool {
        let now = self.utilisation_of(node, state.spec.resources).iter().enumerate();
        now.into_iter().any(|(j, &now)| {
            now > self.rules.threshold + SLACK && own(state, workload, node, j) > SLACK
        })
    }

    /// The first workload and node of rule 3.
    fn shift(&self, state: &ClusterState, source: usize) -> Option<(usize, usize)> {
        for &(_, _, k) in self.members_of(source).iter().rev() {
            let workload = k as usize;
            if !self.relieves(state, source, workload) {
                continue;
            }
            let taker = self.nodes.iter().map(|node| node.1 as usize).find(|&node| {
                self.takes(state, node, workload, None) && state.check(workload, node).is_ok()
            });
            if let Some(destination) = taker {
                return Some((workload, destination));
            }
        }
        None
    }

    /// The first exchange of rule 4, its moves in the order in which they can be made.
    fn swap(&self, state: &ClusterState, source: usize) -> Option<[(usize, usize); 2]> {
        for &(_, _, a) in self.members_of(source).iter().rev() {
            let a = a as usize;
            if !self.relieves(state, source, a) {
                continue;
            }
            for &(_, cold) in self.nodes.iter().take(self.rules.swap_nodes) {
                let cold = cold as usize;
                if cold == source {
                    continue;
                }
                let there = state.check(a, cold);
                if !matches!(there, Ok(()) | Err(Infeasible::Capacity)) {
                    continue;
                }
                for &(_, _, b) in self.members_of(cold) {
                    let b = b as usize;
                    if self.takes(state, cold, a, Some(b))
                        && self.relief(state, source, a, b) >= LEAST_RELIEF
                        && let Some(moves) = order(state, (a, source, there), (b, cold))
                    {
                        return Some(moves);
                    }
                }
            }
        }
        None
    }
}

/// Product over the resources of 1 / (1 - u).
fn volume(utilisations: &[f32], clip: f32) -> f32 {
    utilisations.iter().map(|u| 1.0 / (1.0 - u.min(clip))).product()
}

impl Policy for Sandpiper {
    fn name(&self) -> &str {
        "sandpiper"
    }

    fn reset(&mut self, _seed: u64) {
        self.exceeded.clear();
        self.recorded = None;
        self.pending = None;
    }

    fn act(&mut self, state: &ClusterState) -> Action {
        self.observe(state);
        if let Some(action) = self.resume(state) {
            return action;
        }
        // A swap needs two moves: of the episode's budget, or of this tick's and the next one's.
        let may_swap = state.rules.episode.mode == Mode::Online || state.moves_left >= 2;
        for rank in (0..self.nodes.len()).rev() {
            let source = self.nodes[rank].1 as usize;
            if !self.is_hot(state, source) {
                continue;
            }
            if let Some((workload, destination)) = self.shift(state, source) {
                return Action::Migrate { workload, destination };
            }
            if may_swap && let Some([first, second]) = self.swap(state, source) {
                self.pending = Some(Pending { first, second, until: state.tick + 1 });
                return Action::Migrate { workload: first.0, destination: first.1 };
            }
        }
        Action::Stay
    }
}
