//! A policy that first does what has to be done, and then asks another one.
//!
//! 1. Workloads leave failed nodes, and draining ones where the other policy does not see health: by
//!    deadline, priority and size to the healthy node of the lowest load, as the baseline
//!    [`evacuate`](crate::baselines::greedy::evacuate) orders them, whatever that costs.
//! 2. Whoever runs on a node of a class that it may not have or that is not in its set, beside a member
//!    of its anti-affinity group, in the zone of another that it must not share one with, in a zone that
//!    has too many of its spread group, or on a node that has too many workloads, leaves it. Of the
//!    members on one node, or in one zone, that one goes whose best move is worth most.
//! 3. Demand leaves nodes over their supply: where the objective weighs no overload, until they are
//!    not, and in any case where they lack the resource. Where it weighs overload, the policy
//!    knows what an excess costs, and how long it may last.
//!
//! Each of these is a feasible move of the state, fences included. What has no feasible move stays,
//! and once there is none left the other policy decides until the plan ends.

use crate::baselines::greedy::best_single_move::BestSingleMoveRules;
use crate::baselines::greedy::evacuate::refuge;
use crate::baselines::scan::Scan;
use crate::duties::duty::{breaks_class, ends_in_time, excess_of, has_company};
use crate::duties::places::{Trouble, breaks};
use crate::policy::{Policy, Thought};
use godwit_envs::state::cluster::Health;
use godwit_envs::state::outlook::fits;
use godwit_envs::state::term::Term;
use godwit_envs::state::{Action, ClusterState};
use std::collections::HashSet;
use std::time::Duration;

/// Members of a zone that has too many whose moves are compared.
const LOOKED_AT: usize = 64;

/// The duties, and then the other policy. One value plans for one state.
pub struct DutiesFirst<'a> {
    policy: &'a mut dyn Policy,
    /// Whether the other policy has its say over draining nodes.
    sees_health: bool,
    /// Tick of the snapshot: static worlds count every move as one.
    start: Option<u32>,
    /// Workloads below this break no rule of class or company that a move could mend.
    workloads_done: usize,
    /// Workloads below this are in no trouble that a move could mend.
    placed_done: usize,
    /// What no move could mend.
    hopeless: HashSet<Trouble>,
    /// Nodes below this have no excess that a move could mend.
    nodes_done: usize,
    done: bool,
    scan: Scan,
}

impl<'a> DutiesFirst<'a> {
    /// Duties before `policy`.
    pub fn new(policy: &'a mut dyn Policy, sees_health: bool) -> Self {
        Self {
            policy,
            sees_health,
            start: None,
            workloads_done: 0,
            placed_done: 0,
            hopeless: HashSet::new(),
            nodes_done: 0,
            done: false,
            scan: Scan::default(),
        }
    }

    fn duty(&mut self, state: &ClusterState) -> Option<Action> {
        if state.moves_left == 0 {
            return None;
        }
        let found = self.evacuation(state);
        let found = found.or_else(|| self.parting(state)).or_else(|| self.placing(state));
        let found = found.or_else(|| self.relief(state));
        found.map(|(workload, destination)| Action::Migrate { workload, destination })
    }

    fn evacuation(&self, state: &ClusterState) -> Option<(usize, usize)> {
        let leaves = |node: usize| match state.health[node] {
            Health::Failed => true,
            Health::Draining => !self.sees_health,
            Health::Healthy | Health::Degraded => false,
        };
        if !(0..state.spec.nodes()).any(leaves) {
            return None;
        }
        let mut ways: Vec<(u32, f32, f32, usize)> = (0..state.spec.workloads())
            .filter_map(|k| {
                let node = state.node_of(k).filter(|&node| leaves(node))?;
                state.may_leave(k).ok()?;
                // Whoever is on a failed node is down already.
                let due = if state.restarts_from(node) { 0 } else { state.deadline[node] };
                Some((due, -state.spec.priority[k], state.spec.state_gib[k], k))
            })
            .collect();
        ways.sort_unstable_by(|a, b| {
            let sizes = a.1.total_cmp(&b.1).then(a.2.total_cmp(&b.2));
            a.0.cmp(&b.0).then(sizes).then(a.3.cmp(&b.3))
        });
        let now = self.start.unwrap_or(state.tick);
        ways.into_iter()
            .find_map(|(.., k)| Some((k, refuge(state, k, |to| ends_in_time(state, now, k, to))?)))
    }

    fn parting(&mut self, state: &ClusterState) -> Option<(usize, usize)> {
        while self.workloads_done < state.spec.workloads() {
            let k = self.workloads_done;
            let node = state.node_of(k);
            let found = node.and_then(|node| {
                if breaks_class(state, k, node) {
                    return self.best(state, &[k]);
                }
                if state.members_on(k, node) < 2 || !has_company(state, k, node) {
                    return None;
                }
                let group = state.spec.group[k];
                let member = |&other: &usize| {
                    state.spec.group[other] == group && state.node_of(other) == Some(node)
                };
                let members: Vec<usize> = (0..state.spec.workloads()).filter(member).collect();
                self.best(state, &members)
            });
            if found.is_some() {
                return found;
            }
            self.workloads_done += 1;
        }
        None
    }

    /// Leaves what has too many: a node of workloads, a zone of members of a group.
    fn placing(&mut self, state: &ClusterState) -> Option<(usize, usize)> {
        state.spec.places.as_ref()?;
        while self.placed_done < state.spec.workloads() {
            let k = self.placed_done;
            if let Some(node) = state.node_of(k) {
                for trouble in Trouble::all(state, k, node) {
                    if self.hopeless.contains(&trouble) || !breaks(state, trouble, k, node) {
                        continue;
                    }
                    let involved = (0..state.spec.workloads())
                        .filter(|&other| trouble.involves(state, other))
                        .collect::<Vec<usize>>();
                    let found = match trouble {
                        Trouble::Uneven { zone, .. } => self.best_outside(state, &involved, zone),
                        Trouble::Crowded { .. } | Trouble::Together { .. } => {
                            self.best(state, &involved)
                        }
                    };
                    if found.is_some() {
                        return found;
                    }
                    self.hopeless.insert(trouble);
                }
            }
            self.placed_done += 1;
        }
        None
    }

    fn relief(&mut self, state: &ClusterState) -> Option<(usize, usize)> {
        let (spec, padded) = (&*state.spec, state.spec.padded_nodes());
        let all = !state.objective.uses(Term::Overload);
        while self.nodes_done < spec.nodes() {
            let node = self.nodes_done;
            let is_over = |j: usize| {
                let supply = spec.supply_of(node, j);
                let held = state.now.held[j * padded + node];
                (all || supply == 0.0) && !fits(held, 0.0, supply)
            };
            // A sum of what is held, transfers that leave included: most nodes end here.
            if (0..spec.resources).any(is_over) {
                let takes_off = |&k: &usize| {
                    state.node_of(k) == Some(node)
                        && (0..spec.resources)
                            .any(|j| is_over(j) && excess_of(state, k, node, j) > 0.0)
                };
                let workloads: Vec<usize> = (0..spec.workloads()).filter(takes_off).collect();
                let found = self.best(state, &workloads);
                if found.is_some() {
                    return found;
                }
            }
            self.nodes_done += 1;
        }
        None
    }

    /// The feasible move of these workloads out of a zone that is worth most; of many workloads that
    /// have one, the first are looked at.
    fn best_outside(
        &mut self,
        state: &ClusterState,
        workloads: &[usize],
        zone: u32,
    ) -> Option<(usize, usize)> {
        self.scan.prepare(state, BestSingleMoveRules::default().persistence);
        let outside = |&node: &usize| state.spec.node_zone[node] != zone;
        let nodes: Vec<usize> = (0..state.spec.nodes()).filter(outside).collect();
        let best_of = |&k: &usize| {
            let open = nodes.iter().filter(|&&node| state.check(k, node).is_ok());
            let valued = open.map(|&node| (self.scan.value(state, k, node), k, node));
            valued.max_by(|a, b| a.0.total_cmp(&b.0).then(b.2.cmp(&a.2)))
        };
        let some = workloads.iter().filter_map(best_of).take(LOOKED_AT);
        let best = some.max_by(|a, b| a.0.total_cmp(&b.0).then(b.1.cmp(&a.1)));
        best.map(|(_, k, node)| (k, node))
    }

    /// The feasible move of these workloads, ascending, that is worth most; it may well cost.
    fn best(&mut self, state: &ClusterState, workloads: &[usize]) -> Option<(usize, usize)> {
        if workloads.is_empty() {
            return None;
        }
        self.scan.prepare(state, BestSingleMoveRules::default().persistence);
        let found = self.scan.best_among(state, workloads)?;
        Some((found.workload, found.destination))
    }
}

impl Policy for DutiesFirst<'_> {
    fn name(&self) -> &str {
        self.policy.name()
    }

    fn reset(&mut self, seed: u64) {
        (self.start, self.done) = (None, false);
        (self.workloads_done, self.placed_done, self.nodes_done) = (0, 0, 0);
        self.hopeless.clear();
        self.policy.reset(seed);
    }

    fn limit_time(&mut self, limit: Option<Duration>) {
        self.policy.limit_time(limit);
    }

    fn thought(&self) -> Option<Thought> {
        self.policy.thought()
    }

    fn act(&mut self, state: &ClusterState) -> Action {
        self.start.get_or_insert(state.tick);
        if !self.done {
            if let Some(action) = self.duty(state) {
                return action;
            }
            self.done = true;
        }
        self.policy.act(state)
    }
}
