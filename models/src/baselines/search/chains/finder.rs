//! Finds chains: a few moves that belong together.
//!
//! A chain is a set of up to three workloads of one node that leave it, each for a node that has
//! room for it. One of them may push another workload out of its new node, which then goes
//! elsewhere (an ejection), or back to where the first one came from (a swap).
//!
//! Very many chains are valued by [`Gauge`], node by node: what leaves a node is worth what the
//! node gains, and each workload has a short list of nodes that take it at the lowest price, the
//! tightest first. The most promising chains are then tried out in the trial, where their true
//! cost is known.

use super::gauge::Gauge;
use crate::baselines::search::trial::Trial;
use godwit_envs::state::cluster::NO_GROUP;
use godwit_envs::state::outlook::fits;
use std::collections::HashMap;

/// Nodes on a workload's list.
const LISTED: usize = 8;

/// Of those, nodes that are tried for a workload of a chain.
const TRIED: usize = 3;

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

/// A node that takes a workload at this price.
#[derive(Debug, Clone, Copy)]
struct Offer {
    price: f32,
    /// Supply that would be left over there.
    stranded: f32,
    node: u32,
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
    gauge: Gauge,
    /// Numbers in a workload's demand over all outlooks.
    width: usize,
    /// Demand of each workload, `[K][1 + H][m]`.
    wants: Vec<f32>,
    /// Workloads of one kind are taken by the same nodes at the same price, `[K]`.
    kind: Vec<u32>,
    /// A workload of each kind.
    model: Vec<usize>,
    /// One movable workload of those that are interchangeable, up to three times, by node:
    /// `start[i] .. start[i + 1]`.
    members: Vec<u32>,
    start: Vec<usize>,
    /// By kind, cheapest first.
    offers: Vec<Vec<Offer>>,
    ejections: Vec<Vec<Ejection>>,
    /// Lowest price at which a workload finds another node, fare included, and that node, `[K]`.
    cheapest: Vec<(f32, u32)>,
    /// What a workload's own node gains when it leaves, negative, `[K]`.
    departure: Vec<f32>,
    ideas: Vec<Idea>,
    scratch: Vec<f32>,
    nodes: Vec<usize>,
    /// Differences below this are none.
    resolution: f32,
}

impl Finder {
    pub(crate) fn new(trial: &mut Trial) -> Self {
        let state = trial.state;
        let spec = &*state.spec;
        let (k, m) = (spec.workloads(), spec.resources);
        let views = trial.ticks().len();
        let mut wants = Vec::with_capacity(k * views * m);
        for workload in 0..k {
            for view in 0..views {
                wants.extend_from_slice(state.demand_in(view, workload));
            }
        }
        let width = views * m;
        let mut kind = vec![u32::MAX; k];
        let mut model: Vec<usize> = Vec::new();
        let mut known: HashMap<Vec<u32>, u32> = HashMap::new();
        for &workload in &trial.movable {
            let own = &wants[workload * width..][..width];
            let mut key: Vec<u32> = own.iter().map(|want| want.to_bits()).collect();
            key.extend([
                spec.class_mask[workload] as u32,
                (spec.class_mask[workload] >> 32) as u32,
            ]);
            // With this one the same nodes have room for it; a group tells workloads apart.
            let apart = spec.group[workload] != NO_GROUP
                || spec.reassignment.is_some()
                || state.fences.has_pair(workload);
            if apart {
                key.push(workload as u32);
            }
            kind[workload] = *known.entry(key).or_insert_with(|| {
                model.push(workload);
                model.len() as u32 - 1
            });
        }
        Self {
            gauge: Gauge::default(),
            width,
            wants,
            kind,
            members: Vec::new(),
            start: Vec::new(),
            offers: vec![Vec::new(); model.len()],
            ejections: vec![Vec::new(); model.len()],
            model,
            cheapest: vec![(f32::INFINITY, 0); k],
            departure: vec![0.0; k],
            ideas: Vec::new(),
            scratch: vec![0.0; width],
            nodes: Vec::new(),
            resolution: 1e-6 * trial.magnitude(),
        }
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
                if gain > self.resolution && best.is_none_or(|(most, _)| worth > most) {
                    best = Some((worth, *idea));
                }
            }
            trial.undo_to(waypoint);
        }
        self.ideas = ideas;
        best.is_some_and(|(_, idea)| self.play(trial, &idea))
    }

    fn want(&self, workload: usize) -> &[f32] {
        &self.wants[workload * self.width..][..self.width]
    }

    /// Lists all chains that are worth a closer look.
    fn look(&mut self, trial: &Trial) {
        self.gauge.measure(trial);
        self.ideas.clear();
        self.group(trial);
        self.list_offers(trial);
        self.price_members(trial);
        self.list_ejections(trial);
        for node in 0..trial.state.spec.nodes() {
            self.list_sets(trial, node);
        }
        self.list_swaps(trial);
    }

    /// Groups the movable workloads by node.
    fn group(&mut self, trial: &Trial) {
        let n = trial.state.spec.nodes();
        let mut by_node: Vec<u32> = trial.movable.iter().map(|&k| k as u32).collect();
        // Those that are away come first: to move them again costs no further move.
        by_node.sort_by_key(|&k| {
            let (k, node) = (k as usize, trial.placement[k as usize]);
            (node, self.kind[k], trial.home(k) == node as usize, k)
        });
        self.members.clear();
        self.start.clear();
        self.start.resize(n + 1, 0);
        for &k in &by_node {
            let (a, node) = (k as usize, trial.placement[k as usize]);
            let twins = self.members.iter().rev().take_while(|&&other| {
                let b = other as usize;
                trial.placement[b] == node
                    && self.kind[a] == self.kind[b]
                    && trial.home(a) == trial.home(b)
                    && trial.state.look_alike(a, b)
            });
            if twins.take(3).count() < 3 {
                self.members.push(k);
                self.start[node as usize + 1] += 1;
            }
        }
        for node in 0..n {
            self.start[node + 1] += self.start[node];
        }
    }

    /// Lists for each kind of workload the nodes that take it.
    fn list_offers(&mut self, trial: &Trial) {
        let n = trial.state.spec.nodes();
        let coarse = 10.0 * self.resolution.max(f32::MIN_POSITIVE);
        for (offers, &model) in self.offers.iter_mut().zip(&self.model) {
            let want = &self.wants[model * self.width..][..self.width];
            offers.clear();
            for node in 0..n {
                let has_room = self
                    .gauge
                    .room(node)
                    .zip(want)
                    .all(|((held, supply), &want)| want <= 0.0 || fits(held, want, supply));
                if !has_room || !trial.takes(node, model) {
                    continue;
                }
                let change = self.gauge.change(node, want) + trial.reassignment_change(model, node);
                // Rounding must not hide that two nodes are as good.
                let price = (change / coarse).round() * coarse;
                let stranded = self.gauge.stranded(node, want);
                let offer = Offer { price, stranded, node: node as u32 };
                let key = |offer: &Offer| (offer.price, offer.stranded);
                let at = offers.partition_point(|other| key(other) <= key(&offer));
                if at < LISTED {
                    offers.truncate(LISTED - 1);
                    offers.insert(at, offer);
                }
            }
        }
    }

    /// What it is worth to a workload's node that it leaves, and where it would go.
    fn price_members(&mut self, trial: &Trial) {
        for at in 0..self.members.len() {
            let k = self.members[at] as usize;
            let node = trial.placement[k] as usize;
            for (scratch, want) in self.scratch.iter_mut().zip(&self.wants[k * self.width..]) {
                *scratch = -want;
            }
            self.departure[k] = self.gauge.change(node, &self.scratch);
            self.cheapest[k] = self.cheapest_but(trial, k, node);
        }
    }

    /// The lowest price at which a workload finds a node, but for these.
    fn cheapest_but(&self, trial: &Trial, k: usize, not: usize) -> (f32, u32) {
        let node = trial.placement[k] as usize;
        let paid = trial.fare(k, node);
        let mut best = (f32::INFINITY, u32::MAX);
        let offers = self.offers[self.kind[k] as usize].iter();
        let others =
            offers.filter(|offer| offer.node as usize != node && offer.node as usize != not);
        for offer in others.take(TRIED) {
            let price = offer.price + trial.fare(k, offer.node as usize) - paid;
            if price < best.0 {
                best = (price, offer.node);
            }
        }
        let home = trial.home(k);
        if home != node && home != not && trial.takes(home, k) {
            let change = self.gauge.change(home, self.want(k)) + trial.reassignment_change(k, home);
            if change - paid < best.0 {
                best = (change - paid, home as u32);
            }
        }
        best
    }

    /// Lists for each kind of workload, or for those that are wanted away most, whom it could push
    /// out.
    fn list_ejections(&mut self, trial: &Trial) {
        self.ejections.iter_mut().for_each(Vec::clear);
        if trial.state.reassignment.is_some() {
            return;
        }
        let mut urgent = vec![(0.0_f32, 0_usize); self.model.len()];
        for (kind, urgent) in urgent.iter_mut().enumerate() {
            urgent.1 = kind;
        }
        for &k in &self.members {
            let k = k as usize;
            let urgent = &mut urgent[self.kind[k] as usize];
            urgent.0 = urgent.0.min(self.departure[k]);
        }
        let most = PAIRS / self.members.len().max(1);
        if urgent.len() > most {
            urgent.select_nth_unstable_by(most, |a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
            urgent.truncate(most);
        }
        for (_, kind) in urgent {
            let model = self.model[kind];
            let direct = self.offers[kind].first().map_or(f32::INFINITY, |offer| offer.price);
            for node in 0..trial.state.spec.nodes() {
                for at in self.start[node]..self.start[node + 1] {
                    let victim = self.members[at] as usize;
                    if self.kind[victim] as usize == kind
                        || self.cheapest[victim].0 == f32::INFINITY
                        || !self.makes_room(trial, model, victim, node)
                    {
                        continue;
                    }
                    let price = self.exchange(node, model, victim) + self.cheapest[victim].0;
                    if price >= direct - self.resolution {
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

    /// Whether a node has room for a workload once another one has left it.
    fn makes_room(&self, trial: &Trial, k: usize, victim: usize, node: usize) -> bool {
        let spec = &*trial.state.spec;
        let (comes, leaves) = (self.want(k), self.want(victim));
        let room = self.gauge.room(node).zip(comes.iter().zip(leaves));
        trial.state.is_open(node)
            && spec.class_allows(k, node)
            && room.into_iter().all(|((held, supply), (&comes, &leaves))| {
                comes <= 0.0 || fits((held - leaves).max(0.0), comes, supply)
            })
    }

    /// What it costs a node to hold one workload in place of another.
    fn exchange(&mut self, node: usize, comes: usize, leaves: usize) -> f32 {
        let (a, b) = (comes * self.width, leaves * self.width);
        for at in 0..self.width {
            self.scratch[at] = self.wants[a + at] - self.wants[b + at];
        }
        self.gauge.change(node, &self.scratch)
    }

    /// Lists the most promising sets of a node's workloads.
    fn list_sets(&mut self, trial: &Trial, node: usize) {
        let all = self.start[node]..self.start[node + 1];
        let mut chosen: Vec<u32> = self.members[all].to_vec();
        if chosen.len() > SET_FROM {
            let single = |k: u32| self.departure[k as usize] + self.cheapest[k as usize].0;
            chosen.sort_by(|&a, &b| {
                self.departure[a as usize]
                    .total_cmp(&self.departure[b as usize])
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
            let (own, to) = self.cheapest[k];
            let here = trial.home(k) == node;
            let paid = trial.fare(k, node);
            for ejection in &self.ejections[self.kind[k] as usize] {
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
        self.scratch.fill(0.0);
        for &k in set {
            let want = &self.wants[k as usize * self.width..][..self.width];
            for (scratch, want) in self.scratch.iter_mut().zip(want) {
                *scratch -= want;
            }
        }
        let gain = if single {
            -self.departure[set[0] as usize]
        } else {
            -self.gauge.change(node, &self.scratch)
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
            let others: f32 = others.map(|other| self.cheapest[set[other] as usize].0).sum();
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
        let mut urgent = self.members.clone();
        let most = PAIRS / self.members.len().max(1);
        if urgent.len() > most {
            let departure = &self.departure;
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
                for at in self.start[node]..self.start[node + 1] {
                    let b = self.members[at] as usize;
                    if self.kind[a] == self.kind[b]
                        || !self.makes_room(trial, a, b, node)
                        || !self.makes_room(trial, b, a, from)
                    {
                        continue;
                    }
                    let change = self.exchange(node, a, b) + self.exchange(from, b, a);
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
        let offers = &self.offers[self.kind[k] as usize];
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
