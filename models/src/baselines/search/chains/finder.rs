//! Finds chains: a few moves that belong together.
//!
//! A chain is a set of up to three workloads of one node that leave it, each for a node that has
//! room for it. One of them may push another workload out of its new node, which then goes
//! elsewhere (an ejection), or back to where the first one came from (a swap).
//!
//! Very many chains are valued by [`Prices`]: what leaves a node is worth what the node gains, and
//! each workload has a short list of nodes that take it. The most promising chains are then tried out in the trial, where their true
//! cost is known.

use super::prices::{Prices, TRIED};
use crate::baselines::search::trial::Trial;

/// Ejections that are kept for each kind of workload.
const EJECTIONS: usize = 3;

/// Workloads of a node of which sets are made.
const SET_FROM: usize = 12;

/// Chains that are kept for each node.
const PER_NODE: usize = 4;

/// Pairs of workloads that are looked at for ejections and swaps, each.
const PAIRS: usize = 250_000;

/// Several workloads of one node.
type Set = [u32; 3];

/// A chain as it is first thought of.
#[derive(Debug, Clone, Copy)]
struct Idea {
    /// The first `count` leave their node.
    members: Set,
    count: u8,
    /// The first member goes to this node, from which this workload is pushed out.
    pushes: Option<(u32, u32)>,
    /// Estimated gain for each move.
    worth: f32,
}

/// A node that takes a workload if another one is pushed out.
#[derive(Debug, Clone, Copy)]
struct Ejection {
    price: f32,
    node: u32,
    victim: u32,
}

/// Finds the chains of a trial; kept over a search, and good for one trial only.
#[derive(Debug)]
pub(crate) struct Finder {
    prices: Prices,
    /// By kind, cheapest first.
    ejections: Vec<Vec<Ejection>>,
    ideas: Vec<Idea>,
    nodes: Vec<usize>,
}

impl Finder {
    pub(crate) fn new(trial: &mut Trial) -> Self {
        let prices = Prices::new(trial);
        let ejections = vec![Vec::new(); prices.model.len()];
        Self { prices, ejections, ideas: Vec::new(), nodes: Vec::new() }
    }

    /// Plays the best chains, each looked for among as many as are `tried` out, until none gains
    /// anything, and notes where each of them leads.
    pub(crate) fn improve(&mut self, trial: &mut Trial, tried: usize) {
        trial.mark();
        while !trial.deadline.has_passed() && self.step(trial, tried, || 1.0) {
            trial.note();
        }
    }

    /// Plays the chain that gains most for each of its moves, of as many as are `tried` out. Whether
    /// there is one that gains anything. `weigh` is multiplied into what a chain is worth.
    pub(crate) fn step(
        &mut self,
        trial: &mut Trial,
        tried: usize,
        mut weigh: impl FnMut() -> f32,
    ) -> bool {
        self.look(trial);
        let mut ideas = std::mem::take(&mut self.ideas);
        for idea in &mut ideas {
            idea.worth *= weigh();
        }
        let better = |a: &Idea, b: &Idea| b.worth.total_cmp(&a.worth);
        if ideas.len() > tried {
            ideas.select_nth_unstable_by(tried, better);
            ideas.truncate(tried);
        }
        ideas.sort_by(better);
        let (before, away) = (trial.cost(), trial.away);
        let mut best: Option<(f32, Idea)> = None;
        for idea in &ideas {
            if trial.deadline.has_passed() {
                break;
            }
            let waypoint = trial.waypoint();
            if self.play(trial, idea) && trial.away <= trial.budget {
                let gain = before - trial.cost();
                let worth = per_move(gain, trial.away as f32 - away as f32) * weigh();
                if gain > self.prices.resolution && best.is_none_or(|(most, _)| worth > most) {
                    best = Some((worth, *idea));
                }
            }
            trial.undo_to(waypoint);
        }
        self.ideas = ideas;
        best.is_some_and(|(_, idea)| self.play(trial, &idea))
    }

    /// Lists all chains that are worth a closer look.
    fn look(&mut self, trial: &Trial) {
        self.ideas.clear();
        self.prices.take(trial);
        self.list_ejections(trial);
        for node in 0..trial.state.spec.nodes() {
            self.list_sets(trial, node);
        }
        self.list_swaps(trial);
    }

    /// Lists for each kind of workload, or for those that are wanted away most, whom it could push
    /// out.
    fn list_ejections(&mut self, trial: &Trial) {
        self.ejections.iter_mut().for_each(Vec::clear);
        if trial.state.reassignment.is_some() {
            return;
        }
        let mut urgent = vec![(0.0_f32, 0_usize); self.prices.model.len()];
        for (kind, urgent) in urgent.iter_mut().enumerate() {
            urgent.1 = kind;
        }
        for &k in &self.prices.members {
            let k = k as usize;
            let urgent = &mut urgent[self.prices.kind[k] as usize];
            urgent.0 = urgent.0.min(self.prices.departure[k]);
        }
        let most = PAIRS / self.prices.members.len().max(1);
        if urgent.len() > most {
            urgent.select_nth_unstable_by(most, |a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
            urgent.truncate(most);
        }
        for (_, kind) in urgent {
            let model = self.prices.model[kind];
            let direct =
                self.prices.offers[kind].first().map_or(f32::INFINITY, |offer| offer.price);
            for node in 0..trial.state.spec.nodes() {
                for at in self.prices.start[node]..self.prices.start[node + 1] {
                    let victim = self.prices.members[at] as usize;
                    if self.prices.kind[victim] as usize == kind
                        || self.prices.cheapest[victim].0 == f32::INFINITY
                        || !self.prices.makes_room(trial, model, victim, node)
                    {
                        continue;
                    }
                    let price =
                        self.prices.exchange(node, model, victim) + self.prices.cheapest[victim].0;
                    if price >= direct - self.prices.resolution {
                        continue;
                    }
                    let ejections = &mut self.ejections[kind];
                    let place = ejections.partition_point(|other| other.price <= price);
                    if place < EJECTIONS {
                        ejections.truncate(EJECTIONS - 1);
                        let (node, victim) = (node as u32, victim as u32);
                        ejections.insert(place, Ejection { price, node, victim });
                    }
                }
            }
        }
    }

    /// Lists the most promising sets of a node's workloads.
    fn list_sets(&mut self, trial: &Trial, node: usize) {
        let all = self.prices.start[node]..self.prices.start[node + 1];
        let mut chosen: Vec<u32> = self.prices.members[all].to_vec();
        if chosen.len() > SET_FROM {
            let single =
                |k: u32| self.prices.departure[k as usize] + self.prices.cheapest[k as usize].0;
            chosen.sort_by(|&a, &b| {
                self.prices.departure[a as usize]
                    .total_cmp(&self.prices.departure[b as usize])
                    .then(single(a).total_cmp(&single(b)))
            });
            chosen.truncate(SET_FROM);
        }
        let mut best: Vec<Idea> = Vec::with_capacity(PER_NODE + 1);
        for a in 0..chosen.len() {
            self.add_set(trial, node, &[chosen[a]], &mut best);
            for b in a + 1..chosen.len() {
                self.add_set(trial, node, &[chosen[a], chosen[b]], &mut best);
                for c in b + 1..chosen.len() {
                    self.add_set(trial, node, &[chosen[a], chosen[b], chosen[c]], &mut best);
                }
            }
        }
        self.ideas.append(&mut best);
    }

    fn add_set(&mut self, trial: &Trial, node: usize, set: &[u32], best: &mut Vec<Idea>) {
        let (mut price, mut moves) = (0.0, 0.0);
        // The member that gains most by pushing somebody out, and by how much.
        let mut push: Option<(f32, usize, Ejection)> = None;
        for (at, &k) in set.iter().enumerate() {
            let k = k as usize;
            let (own, to) = self.prices.cheapest[k];
            let here = trial.home(k) == node;
            let paid = trial.fare(k, node);
            for ejection in &self.ejections[self.prices.kind[k] as usize] {
                let of = ejection.node as usize;
                let price = ejection.price + trial.fare(k, of) - paid;
                if of != node && push.is_none_or(|(least, ..)| price - own < least) && price < own {
                    push = Some((price - own, at, *ejection));
                }
            }
            price += own;
            moves += f32::from(i8::from(to as usize != trial.home(k)) - i8::from(!here));
        }
        let single = set.len() == 1;
        self.prices.scratch.fill(0.0);
        for &k in set {
            let want = &self.prices.wants[k as usize * self.prices.width..][..self.prices.width];
            for (scratch, want) in self.prices.scratch.iter_mut().zip(want) {
                *scratch -= want;
            }
        }
        let gain = if single {
            -self.prices.departure[set[0] as usize]
        } else {
            -self.prices.gauge.change(node, &self.prices.scratch)
        };
        let mut add = |worth: f32, first: usize, pushes: Option<(u32, u32)>| {
            let place = best.partition_point(|idea| idea.worth >= worth);
            if worth.is_finite() && place < PER_NODE {
                let mut members = [0; 3];
                members[..set.len()].copy_from_slice(set);
                members.swap(0, first);
                best.truncate(PER_NODE - 1);
                best.insert(place, Idea { members, count: set.len() as u8, pushes, worth });
            }
        };
        add(per_move(gain - price, moves), 0, None);
        if let Some((_, at, Ejection { price: own, node: of, victim })) = push {
            let k = set[at] as usize;
            let others = (0..set.len()).filter(|&other| other != at);
            let others: f32 = others.map(|other| self.prices.cheapest[set[other] as usize].0).sum();
            let own = own + trial.fare(k, of as usize) - trial.fare(k, node);
            let leaves = f32::from(u8::from(trial.home(victim as usize) == of as usize));
            add(per_move(gain - others - own, moves + leaves), at, Some((of, victim)));
        }
    }

    /// Lists for the workloads that are wanted away most whom they could change places with.
    fn list_swaps(&mut self, trial: &Trial) {
        if trial.state.reassignment.is_some() {
            return;
        }
        let mut urgent = self.prices.members.clone();
        let most = PAIRS / self.prices.members.len().max(1);
        if urgent.len() > most {
            let departure = &self.prices.departure;
            let by = |a: &u32, b: &u32| {
                let value = |k: u32| departure[k as usize];
                value(*a).total_cmp(&value(*b)).then(a.cmp(b))
            };
            urgent.select_nth_unstable_by(most, by);
            urgent.truncate(most);
        }
        for &k in &urgent {
            let a = k as usize;
            let from = trial.placement[a] as usize;
            let mut best: Option<Idea> = None;
            for node in 0..trial.state.spec.nodes() {
                if node == from {
                    continue;
                }
                for at in self.prices.start[node]..self.prices.start[node + 1] {
                    let b = self.prices.members[at] as usize;
                    if self.prices.kind[a] == self.prices.kind[b]
                        || !self.prices.makes_room(trial, a, b, node)
                        || !self.prices.makes_room(trial, b, a, from)
                    {
                        continue;
                    }
                    let change =
                        self.prices.exchange(node, a, b) + self.prices.exchange(from, b, a);
                    let fares = trial.fare(a, node) + trial.fare(b, from)
                        - trial.fare(a, from)
                        - trial.fare(b, node);
                    let away = |k: usize, at: usize| f32::from(u8::from(trial.home(k) != at));
                    let moves = away(a, node) + away(b, from) - away(a, from) - away(b, node);
                    let worth = per_move(-change - fares, moves);
                    if best.is_none_or(|best| worth > best.worth) {
                        let pushes = Some((node as u32, b as u32));
                        best = Some(Idea { members: [k, 0, 0], count: 1, pushes, worth });
                    }
                }
            }
            self.ideas.extend(best);
        }
    }

    /// Plays a chain in the trial; whether everybody found a node.
    fn play(&mut self, trial: &mut Trial, idea: &Idea) -> bool {
        let members = &idea.members[..idea.count as usize];
        let mut nodes = std::mem::take(&mut self.nodes);
        nodes.clear();
        nodes.push(trial.placement[members[0] as usize] as usize);
        for &k in members {
            trial.lift(k as usize);
        }
        let mut sound = true;
        let mut rest = members;
        if let Some((node, victim)) = idea.pushes {
            let (k, node) = (members[0] as usize, node as usize);
            trial.lift(victim as usize);
            sound = trial.takes(node, k);
            if sound {
                trial.put(k, node);
                sound = self.place(trial, victim as usize, node, &mut nodes);
                nodes.push(node);
            }
            rest = &members[1..];
        }
        for &k in rest {
            sound = sound && self.place(trial, k as usize, usize::MAX, &mut nodes);
        }
        self.nodes = nodes;
        sound
    }

    /// Puts a lifted workload on the best of a few nodes but this one; `touched` are nodes that the
    /// chain has changed, which its new one joins.
    fn place(&self, trial: &mut Trial, k: usize, not: usize, touched: &mut Vec<usize>) -> bool {
        let offers = &self.prices.offers[self.prices.kind[k] as usize];
        let listed = offers.iter().map(|offer| offer.node as usize);
        let mut nodes = [usize::MAX; TRIED];
        let mut count = 0;
        for node in listed.filter(|&node| node != not) {
            if count < TRIED && !touched.contains(&node) && trial.takes(node, k) {
                nodes[count] = node;
                count += 1;
            }
        }
        let others = nodes[..count].iter().copied();
        let all = others.chain(touched.iter().copied().filter(|&node| node != not));
        let placed = trial.insert(k, all);
        touched.push(trial.placement[k] as usize);
        placed
    }
}

/// What a gain is worth for each move that it takes; a chain that takes none is worth most.
fn per_move(gain: f32, moves: f32) -> f32 {
    if gain > 0.0 { gain / moves.max(0.5) } else { gain }
}
