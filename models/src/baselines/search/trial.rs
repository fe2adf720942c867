//! A placement that is tried out: what the baselines that search over placements share.
//!
//! The cost of a placement is the weighted objective, summed over the ticks for which it is assumed
//! to last as in [`crate::baselines::scan`], plus what the migrations of the workloads away from
//! their start cost, plus the least gain for each of them. Transfers in flight count as ended.

use crate::baselines::greedy::best_single_move::BestSingleMoveRules;
use crate::baselines::scan::{Scan, demand_at, move_cost, tick_weights};
use crate::baselines::search::totals::{Share, Totals};
use crate::deadline::Deadline;
use godwit_envs::reassignment::{Instance, Solution};
use godwit_envs::rng::Rng;
use godwit_envs::scenario::Mode;
use godwit_envs::state::ClusterState;
use godwit_envs::state::cluster::NO_GROUP;
use godwit_envs::state::members::MemberCounts;
use godwit_envs::state::outlook::{Outlook, fits};
use godwit_envs::state::place_counts::PlaceCounts;
use godwit_envs::state::term::Term;
use rand::RngExt;
use std::sync::Arc;

/// Parameters that all planning baselines have.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PlanRules {
    /// For how long a gain counts, and the least gain that is worth each of a plan's moves.
    pub single: BestSingleMoveRules,
    /// Online: ticks after this one whose moves a plan may count on. Only the moves of this tick
    /// are made; the next one plans anew.
    pub ahead_ticks: u32,
}

impl Default for PlanRules {
    /// As for single moves, but with more to gain: a plan's later moves are less certain. By a
    /// sweep over training episodes of `founding-10x50` (`--example baselines sweep-plans`).
    fn default() -> Self {
        let single = BestSingleMoveRules { min_gain: 0.3, ..BestSingleMoveRules::default() };
        Self { single, ahead_ticks: 2 }
    }
}

/// Up to this many nodes sums over nodes are taken anew for each cost: that is quick, and does not
/// depend on the way that led to a placement, not even in the last bit.
const SUMMED_ANEW: usize = 64;

/// Where a workload is while it is taken off its node.
const LIFTED: u32 = u32::MAX;

/// A placement that is tried out, with its loads.
#[derive(Debug)]
pub struct Trial<'a> {
    /// The cluster that the search starts from.
    pub state: &'a ClusterState,
    /// Workloads that may leave their node now.
    pub movable: Vec<usize>,
    /// Workloads that may be away from their start.
    pub budget: usize,
    /// Workloads on another node than at the start.
    pub away: usize,
    /// Node of each workload, `[K]`.
    pub placement: Vec<u32>,
    /// The placement of the lowest cost so far, `[K]`; see [`Trial::note`].
    pub best_placement: Vec<u32>,
    /// Its cost.
    pub best_cost: f32,
    /// When the search has to end.
    pub deadline: Deadline,
    rules: PlanRules,
    /// Least gain of a move.
    surcharge: f32,
    /// How many ticks each outlook stands for, `[1 + H]`.
    ticks: Vec<f32>,
    /// Loads without transfers in flight.
    loads: Vec<Outlook>,
    /// Their sums over nodes, in clusters of more than [`SUMMED_ANEW`] nodes without own terms; else
    /// empty.
    totals: Vec<Totals>,
    /// What nodes hold, `[1 + H][m][P]`: f64, so that adding and subtracting leaves no trace.
    held: Vec<f64>,
    /// Members of each anti-affinity group on each node.
    group_count: MemberCounts,
    /// What is counted by node and zone.
    place_counts: PlaceCounts,
    /// Under the machine-reassignment problem: the placement, with lifted workloads where they were.
    board: Option<Solution<Arc<Instance>>>,
    /// Weighted cost of the migrations; f64 for the same reason.
    flow: f64,
    /// Whether the sums over nodes are out of date.
    stale: bool,
    /// Workloads and where they were, since [`Trial::mark`].
    log: Vec<(usize, u32)>,
}

impl<'a> Trial<'a> {
    /// Stands at the present placement.
    pub fn new(state: &'a ClusterState, rules: PlanRules, deadline: Deadline) -> Self {
        let spec = &*state.spec;
        let mut ticks = Vec::new();
        tick_weights(state, rules.single.persistence, &mut ticks);
        let mut trial = Self {
            state,
            movable: (0..spec.workloads()).filter(|&k| state.may_leave(k).is_ok()).collect(),
            budget: budget(state, rules.ahead_ticks),
            away: 0,
            placement: vec![LIFTED; spec.workloads()],
            best_placement: state.placement.clone(),
            best_cost: 0.0,
            deadline,
            rules,
            surcharge: rules.single.least_gain(state),
            loads: vec![Outlook::new(spec, &state.objective); ticks.len()],
            totals: if spec.nodes() > SUMMED_ANEW && !state.objective.uses(Term::Own) {
                vec![Totals::new(spec.nodes()); ticks.len()]
            } else {
                Vec::new()
            },
            held: vec![0.0; ticks.len() * spec.resources * spec.padded_nodes()],
            ticks,
            group_count: MemberCounts::new(spec.groups, spec.nodes()),
            place_counts: PlaceCounts::new(spec),
            board: state.reassignment.clone(),
            flow: 0.0,
            stale: true,
            log: Vec::new(),
        };
        for (loads, present) in
            trial.loads.iter_mut().zip(std::iter::once(&state.now).chain(&state.forecast))
        {
            loads.accepting.clone_from(&present.accepting);
        }
        for k in 0..spec.workloads() {
            trial.set(k, state.placement[k]);
        }
        for node in 0..spec.nodes() {
            trial.refresh(node);
        }
        trial.best_cost = trial.cost();
        trial
    }

    /// Whether there is anything to search.
    pub fn can_move(&self) -> bool {
        !self.movable.is_empty() && self.budget > 0 && self.state.spec.nodes() > 1
    }

    /// Cost of the placement.
    pub fn cost(&mut self) -> f32 {
        let objective = &self.state.objective;
        if std::mem::take(&mut self.stale) && self.totals.is_empty() {
            for loads in &mut self.loads {
                loads.refresh_totals(&self.state.spec);
            }
        }
        let mut cost = self.flow as f32 + self.surcharge * self.away as f32;
        for (at, ticks) in self.ticks.iter().enumerate() {
            let terms = match self.totals.get(at) {
                Some(totals) => totals.terms(objective),
                None => self.loads[at].terms(objective),
            };
            cost += ticks * objective.level(&terms);
        }
        if let Some(board) = &self.board {
            // As a difference: f32 cannot tell small changes of the whole.
            let change = board.cost() - self.state.reassignment_cost();
            cost += self.state.reassignment_weight() * change as f32;
        }
        cost
    }

    /// How large the cost is as a whole; [`Trial::cost`] leaves out what the machine-reassignment
    /// problem costs at the start.
    pub fn magnitude(&mut self) -> f32 {
        let left_out = self.state.reassignment_weight() * self.state.reassignment_cost() as f32;
        (self.cost() + left_out).abs()
    }

    /// The cost, remembered with its placement if that is the best so far and within the budget.
    pub fn note(&mut self) -> f32 {
        let cost = self.cost();
        if cost < self.best_cost && self.away <= self.budget {
            self.best_cost = cost;
            self.best_placement.clone_from(&self.placement);
        }
        cost
    }

    /// How many ticks each outlook stands for, `[1 + H]`.
    pub fn ticks(&self) -> &[f32] {
        &self.ticks
    }

    /// Loads of the placement, without transfers in flight, `[1 + H]`. Only what each node has by
    /// itself is up to date.
    pub fn loads(&self) -> &[Outlook] {
        &self.loads
    }

    /// Under the machine-reassignment problem: by how much the weighted cost changes when a
    /// workload goes to another node; 0 elsewhere.
    pub fn reassignment_change(&self, workload: usize, node: usize) -> f32 {
        let change = self.board.as_ref().map_or(0, |board| board.shift(workload, node).cost);
        self.state.reassignment_weight() * change as f32
    }

    /// What it costs to have a workload on this node, away from its start or not, the least gain
    /// of a move included.
    pub fn fare(&self, workload: usize, node: usize) -> f32 {
        if node == self.home(workload) {
            return 0.0;
        }
        self.surcharge + move_cost(self.state, workload, node)
    }

    /// Load of a node now.
    pub fn load(&self, node: usize) -> f32 {
        self.loads[0].load[node]
    }

    /// Where a workload was at the start.
    pub fn home(&self, workload: usize) -> usize {
        self.state.placement[workload] as usize
    }

    /// Whether a workload may be put on another node than it is on: class, group, places, room and the
    /// constraints of the machine-reassignment problem.
    pub fn takes(&self, node: usize, workload: usize) -> bool {
        let board = self.board.as_ref();
        board.is_none_or(|board| board.broken_by(workload, node).is_none())
            && self.has_place(node, workload)
    }

    fn has_place(&self, node: usize, workload: usize) -> bool {
        let spec = &*self.state.spec;
        let (padded, group) = (spec.padded_nodes(), spec.group[workload]);
        let room = self.state.demand_of(workload).iter().enumerate().all(|(j, &d)| {
            let at = j * padded + node;
            d <= 0.0 || fits(self.loads[0].held[at], d, spec.supply[at])
        });
        let from = self.placement[workload];
        let from = (from != LIFTED).then_some(from as usize);
        room && self.state.is_open(node)
            && spec.class_allows(workload, node)
            && (group == NO_GROUP || self.group_count.of(group, node) == 0)
            && self.place_counts.allows(spec, workload, from, node).is_ok()
    }

    /// Takes a workload off its node.
    pub fn lift(&mut self, workload: usize) {
        self.log.push((workload, self.placement[workload]));
        self.set(workload, LIFTED);
    }

    /// Puts a workload on a node, wherever it is.
    pub fn put(&mut self, workload: usize, node: usize) {
        self.log.push((workload, self.placement[workload]));
        self.set(workload, node as u32);
    }

    /// Moves a workload to another node if that takes it.
    pub fn shift(&mut self, workload: usize, node: usize) -> bool {
        let possible = self.placement[workload] as usize != node && self.takes(node, workload);
        if possible {
            self.put(workload, node);
        }
        possible
    }

    /// Exchanges two workloads of different nodes if both nodes allow. Otherwise they are left
    /// anywhere: [`Trial::undo`].
    pub fn swap(&mut self, a: usize, b: usize) -> bool {
        let (from, to) = (self.placement[a] as usize, self.placement[b] as usize);
        let broken = self.board.as_ref().is_some_and(|board| board.swap(a, b).violations.worsen());
        if from == to || broken {
            return false;
        }
        self.lift(a);
        self.lift(b);
        if !self.has_place(to, a) {
            return false;
        }
        self.put(a, to);
        if !self.has_place(from, b) {
            return false;
        }
        self.put(b, from);
        true
    }

    /// Puts a lifted workload on that of its home and these nodes which takes it at the lowest
    /// cost. Where none does it goes home, and the answer is no.
    pub fn insert(&mut self, workload: usize, nodes: impl Iterator<Item = usize>) -> bool {
        let home = self.home(workload);
        let (mut best, mut least) = (None, f32::INFINITY);
        for node in std::iter::once(home).chain(nodes.filter(|&node| node != home)) {
            if self.takes(node, workload) {
                self.set(workload, node as u32);
                let cost = self.cost();
                self.set(workload, LIFTED);
                if cost < least {
                    (best, least) = (Some(node), cost);
                }
            }
        }
        self.put(workload, best.unwrap_or(home));
        best.is_some()
    }

    /// Sends the workloads home that are worth least where they are, until the budget is kept.
    /// Whether that was possible.
    pub fn trim(&mut self, queue: &mut Vec<(f32, usize)>) -> bool {
        if self.away <= self.budget {
            return true;
        }
        queue.clear();
        for at in 0..self.movable.len() {
            let k = self.movable[at];
            let (node, home) = (self.placement[k], self.state.placement[k]);
            if node != home {
                self.set(k, home);
                queue.push((self.cost(), k));
                self.set(k, node);
            }
        }
        queue.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        // Another workload's return can make room: two rounds.
        for _ in 0..2 {
            for &(_, k) in queue.iter() {
                if self.away <= self.budget {
                    return true;
                }
                self.shift(k, self.home(k));
            }
        }
        self.away <= self.budget
    }

    /// Goes to another placement of the movable workloads.
    pub fn go_to(&mut self, placement: &[u32]) {
        for at in 0..self.movable.len() {
            let k = self.movable[at];
            if self.placement[k] != placement[k] {
                self.set(k, placement[k]);
            }
        }
        self.log.clear();
    }

    /// From here on [`Trial::undo`] can go back.
    pub fn mark(&mut self) {
        self.log.clear();
    }

    /// Back to the last [`Trial::mark`].
    pub fn undo(&mut self) {
        self.undo_to(0);
    }

    /// Where the way since the last [`Trial::mark`] stands, for [`Trial::undo_to`].
    pub fn waypoint(&self) -> usize {
        self.log.len()
    }

    /// Back to a waypoint.
    pub fn undo_to(&mut self, waypoint: usize) {
        while self.log.len() > waypoint
            && let Some((k, node)) = self.log.pop()
        {
            self.set(k, node);
        }
    }

    /// How much of a search is over that ends after so many steps or with the time.
    pub fn progress(&self, step: usize, steps: usize) -> f32 {
        (step as f32 / steps as f32).max(self.deadline.share())
    }

    /// Goes back to the start.
    pub fn go_home(&mut self) {
        let start = &self.state.placement;
        self.go_to(start);
    }

    /// Goes where the best single moves lead from the start, and notes that placement.
    pub fn descend(&mut self) {
        let mut played = self.state.clone();
        let mut scan = Scan::default();
        // Only where the moves lead is asked for: all of the plan's moves may be made at once.
        played.moves_left = self.budget as u32;
        for _ in 0..self.budget {
            if self.deadline.has_passed() {
                break;
            }
            scan.prepare(&played, self.rules.single.persistence);
            let Some(best) = scan.best(&played, self.surcharge) else { break };
            if played.migrate(best.workload, best.destination).is_err() {
                break;
            }
            played.run_transfers(f32::MAX);
        }
        self.go_to(&played.placement);
        self.note();
    }

    /// A movable workload; there must be one.
    pub fn draw_workload(&self, rng: &mut Rng) -> usize {
        self.movable[rng.random_range(0..self.movable.len())]
    }

    /// Any node.
    pub fn draw_node(&self, rng: &mut Rng) -> usize {
        rng.random_range(0..self.state.spec.nodes())
    }

    /// All nodes where there are at most `most`, or else as many drawn at random.
    pub fn draw_nodes(&self, rng: &mut Rng, most: usize, out: &mut Vec<usize>) {
        let n = self.state.spec.nodes();
        out.clear();
        if n <= most {
            out.extend(0..n);
        } else {
            out.extend((0..most).map(|_| rng.random_range(0..n)));
        }
    }

    /// Puts a workload on a node or on none, and keeps everything but the totals up to date.
    fn set(&mut self, workload: usize, node: u32) {
        let (before, start) = (self.placement[workload], self.state.placement[workload]);
        let is_away = |node: u32| node != LIFTED && node != start;
        self.placement[workload] = node;
        if is_away(before) {
            self.away -= 1;
            self.flow -= f64::from(move_cost(self.state, workload, before as usize));
        }
        if is_away(node) {
            self.away += 1;
            self.flow += f64::from(move_cost(self.state, workload, node as usize));
        }
        for (at, sign) in [(before, -1.0), (node, 1.0)] {
            let at = at as usize;
            if at < self.state.spec.nodes() {
                self.add(workload, at, sign);
                self.refresh(at);
            }
        }
        if let Some(board) = self.board.as_mut().filter(|_| node != LIFTED) {
            board.apply_shift(workload, node as usize);
        }
    }

    fn add(&mut self, workload: usize, node: usize, sign: f64) {
        let spec = &*self.state.spec;
        let (m, padded, group) = (spec.resources, spec.padded_nodes(), spec.group[workload]);
        for outlook in 0..self.ticks.len() {
            let demand = demand_at(self.state, outlook, workload);
            for (j, &d) in demand.iter().enumerate() {
                self.held[(outlook * m + j) * padded + node] += sign * f64::from(d);
            }
        }
        if sign > 0.0 {
            self.place_counts.add(spec, workload, node);
        } else {
            self.place_counts.take(spec, workload, node);
        }
        match group {
            NO_GROUP => {}
            group if sign > 0.0 => self.group_count.add(group, node),
            group => self.group_count.take(group, node),
        }
    }

    fn refresh(&mut self, node: usize) {
        let (spec, objective) = (&*self.state.spec, &self.state.objective);
        let (m, padded) = (spec.resources, spec.padded_nodes());
        for (outlook, loads) in self.loads.iter_mut().enumerate() {
            for j in 0..m {
                let held = self.held[(outlook * m + j) * padded + node];
                loads.held[j * padded + node] = held as f32;
            }
            match self.totals.get_mut(outlook) {
                None => loads.refresh_node(spec, objective, node),
                Some(totals) => {
                    let before = Share::of(loads, node);
                    loads.refresh_node(spec, objective, node);
                    totals.replace(node, before, Share::of(loads, node));
                }
            }
        }
        self.stale = true;
    }
}

/// Moves that a plan may use.
fn budget(state: &ClusterState, ahead_ticks: u32) -> usize {
    let rules = &state.rules.episode;
    let further = match rules.mode {
        Mode::Rebalance => 0,
        Mode::Online => {
            let left = rules.ticks.saturating_sub(state.tick).saturating_sub(1);
            ahead_ticks.min(left).saturating_mul(rules.moves_per_tick)
        }
    };
    state.moves_left.saturating_add(further) as usize
}
