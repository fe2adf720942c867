//! The integer program over kinds of workloads.

use crate::milp::kinds::{Kind, kinds, priced};
use crate::milp::links::Links;
use crate::milp::options::{Imbalance, MilpError, Options};
use crate::milp::room::{FIT, demand_of, fixed, held, may_arrive, total_free};
use godwit_envs::state::ClusterState;
use godwit_envs::state::objective::Slot;
use godwit_envs::state::term::{LOAD_TERMS, Term};
use highs::{Col, RowProblem};

/// Share of a slot that may be missing, as in [`godwit_envs::state::outlook::whole_slots`].
const SLOT: f64 = 1e-4;

/// The program: `out` counts the workloads of a kind that leave a node, `arrivals` those that
/// come to a node.
pub struct Model {
    pub(super) problem: RowProblem,
    pub(super) kinds: Vec<Kind>,
    /// `[kind][source]`.
    pub(super) out: Vec<Vec<Col>>,
    /// Destination and count, `[kind]`.
    pub(super) arrivals: Vec<Vec<(usize, Col)>>,
    /// Value of each column when nothing moves: where the solver starts from.
    pub(super) start: Vec<f64>,
    /// The solver's objective is `scale` times the weighted one less `constant`.
    pub(super) scale: f64,
    pub(super) constant: f64,
}

/// What comes to a node and leaves it, in workloads of a kind: kind, count, +1 or -1.
type Flows = Vec<Vec<(usize, Col, f64)>>;

impl Model {
    /// The program for a state.
    pub fn new(state: &ClusterState, options: &Options) -> Result<Self, MilpError> {
        let weight = |term: Term| f64::from(state.objective.weights[term as usize]);
        let slot = state.objective.slot.filter(|_| weight(Term::Fragmentation) > 0.0);
        let slot_value = match slot {
            Some(slot) => {
                let free = total_free(state, slot)?;
                if free > 0.0 {
                    weight(Term::Fragmentation) * f64::from(slot.size) / free
                } else {
                    0.0
                }
            }
            None => 0.0,
        };
        let level = [weight(Term::MaxLoad), weight(Term::Overload), slot_value];
        // Where slots alone count, the solver sees whole numbers and may round its bound.
        let largest = level.into_iter().fold(0.0, f64::max);
        let mut model = Self {
            problem: RowProblem::new(),
            kinds: kinds(state),
            out: Vec::new(),
            arrivals: Vec::new(),
            start: Vec::new(),
            scale: if largest > 0.0 { 1.0 / largest } else { 1.0 },
            constant: if slot_value > 0.0 { weight(Term::Fragmentation) } else { 0.0 },
        };
        let mut held = held(state);
        // f32 sums differ from f64 ones by rounding: a node that is as full as it may be counts
        // as full, not as over.
        let padded = state.spec.padded_nodes();
        for (held, &supply) in held.iter_mut().zip(&state.spec.supply) {
            let most = f64::from(supply) * FIT;
            if *held > most && *held < most * (1.0 + 1e-6) {
                *held = most;
            }
        }
        let flows = model.add_counts(state, options, &held);
        model.keep_capacity(state, options, &held, &flows, padded);
        model.keep_groups_apart(state);
        model.add_loads(state, options, &held, &flows);
        model.add_overload(state, &held, &flows);
        if let Some(slot) = slot {
            model.add_slots(state, slot, slot_value, &held, &flows);
        }
        Ok(model)
    }

    fn column(&mut self, cost: f64, (least, most): (f64, f64), integer: bool, start: f64) -> Col {
        self.start.push(start);
        let cost = cost * self.scale;
        self.problem.add_column_with_integrality(cost, least..=most, integer)
    }

    /// Counts of what leaves and arrives, the budget, and the price of moves.
    fn add_counts(&mut self, state: &ClusterState, options: &Options, held: &[f64]) -> Flows {
        let spec = &*state.spec;
        let budget = f64::from(state.moves_left);
        let fixed = if options.transient { held.to_vec() } else { fixed(state, held, &self.kinds) };
        let links = Links::new(state);
        let priced = priced(state);
        let mut flows: Flows = vec![Vec::new(); spec.nodes()];
        let mut spent = Vec::new();
        for s in 0..self.kinds.len() {
            let kind = self.kinds[s].clone();
            let k = kind.representative;
            let places: Vec<(usize, f64)> = (0..spec.nodes())
                .filter(|&d| kind.elsewhere(d) > 0 && may_arrive(state, &fixed, k, d))
                .map(|d| (d, budget.min(kind.elsewhere(d) as f64)))
                .collect();
            // One price for all where all links are alike.
            let flat = match places.first() {
                Some(&(d, _)) if priced && links.kinds.len() == 1 => {
                    let from = kind.sources.iter().find(|source| source.node != d);
                    from.map_or(0.0, |source| price(state, source.workloads[0], d))
                }
                _ => 0.0,
            };
            let mut out = Vec::new();
            for source in &kind.sources {
                let reach = places.iter().any(|&(d, _)| d != source.node);
                let most = if reach { budget.min(source.workloads.len() as f64) } else { 0.0 };
                let count = self.column(flat, (0.0, most), true, 0.0);
                flows[source.node].push((s, count, -1.0));
                out.push(count);
            }
            let mut arrivals = Vec::new();
            for &(d, most) in &places {
                let count = self.column(0.0, (0.0, most), true, 0.0);
                flows[d].push((s, count, 1.0));
                arrivals.push((d, count));
            }
            let mut balance: Vec<(Col, f64)> = out.iter().map(|&count| (count, 1.0)).collect();
            balance.extend(arrivals.iter().map(|&(_, count)| (count, -1.0)));
            self.problem.add_row(0.0..=0.0, balance);
            spent.extend(out.iter().map(|&count| (count, 1.0)));
            if priced && links.kinds.len() > 1 {
                self.add_link_flows(state, &links, &kind, &out, &arrivals);
            }
            self.out.push(out);
            self.arrivals.push(arrivals);
        }
        self.problem.add_row(..=budget, spent);
        flows
    }

    /// The price of a move depends on the slower of two links: counts of moves between nodes of
    /// two bandwidths carry it.
    fn add_link_flows(
        &mut self,
        state: &ClusterState,
        links: &Links,
        kind: &Kind,
        out: &[Col],
        arrivals: &[(usize, Col)],
    ) {
        let n = links.kinds.len();
        let mut leave: Vec<Vec<(Col, f64)>> = vec![Vec::new(); n];
        let mut arrive: Vec<Vec<(Col, f64)>> = vec![Vec::new(); n];
        for (source, &count) in kind.sources.iter().zip(out) {
            leave[links.of[source.node]].push((count, -1.0));
        }
        for &(d, count) in arrivals {
            arrive[links.of[d]].push((count, -1.0));
        }
        for (a, leave) in leave.iter_mut().enumerate() {
            for (b, arrive) in arrive.iter_mut().enumerate() {
                let from = kind.sources.iter().filter(|source| links.of[source.node] == a);
                let pair = from
                    .flat_map(|source| arrivals.iter().map(move |&(d, _)| (source, d)))
                    .find(|(source, d)| links.of[*d] == b && *d != source.node);
                let Some((source, d)) = pair else { continue };
                let cost = price(state, source.workloads[0], d);
                let most = f64::from(state.moves_left);
                let count = self.column(cost, (0.0, most), true, 0.0);
                leave.push((count, 1.0));
                arrive.push((count, 1.0));
            }
        }
        for row in leave.into_iter().chain(arrive).filter(|row| !row.is_empty()) {
            self.problem.add_row(0.0..=0.0, row);
        }
    }

    /// What arrives finds room. A node that starts above its supply may stay there as long as
    /// nothing that demands the resource comes to it.
    fn keep_capacity(
        &mut self,
        state: &ClusterState,
        options: &Options,
        held: &[f64],
        flows: &Flows,
        padded: usize,
    ) {
        for (d, flows) in flows.iter().enumerate() {
            for j in 0..state.spec.resources {
                let demand = |s: usize| demand_of(state, &self.kinds[s], j);
                let comes: Vec<Col> = flows
                    .iter()
                    .filter(|&&(s, _, sign)| sign > 0.0 && demand(s) > 0.0)
                    .map(|&(_, count, _)| count)
                    .collect();
                if comes.is_empty() {
                    continue;
                }
                let mut row: Vec<(Col, f64)> = flows
                    .iter()
                    .filter(|&&(s, _, sign)| demand(s) > 0.0 && !(options.transient && sign < 0.0))
                    .map(|&(s, count, sign)| (count, sign * demand(s)))
                    .collect();
                let at = j * padded + d;
                let room = f64::from(state.spec.supply[at]) * FIT - held[at];
                if room < 0.0 {
                    let open = self.column(0.0, (0.0, 1.0), true, 0.0);
                    row.push((open, -room));
                    let most = f64::from(state.moves_left);
                    for count in comes {
                        self.problem.add_row(..=0.0, [(count, 1.0), (open, -most)]);
                    }
                }
                self.problem.add_row(..=room.max(0.0), row);
            }
        }
    }

    /// At most one member of an anti-affinity group comes to a node, and none while one stays.
    /// (Members that share a node at the start may go on doing so.)
    fn keep_groups_apart(&mut self, state: &ClusterState) {
        let spec = &*state.spec;
        for group in 0..spec.groups as u32 {
            for d in 0..spec.nodes() {
                let members = (0..self.kinds.len()).filter(|&s| self.kinds[s].group == group);
                let comes: Vec<(Col, f64)> = members
                    .flat_map(|s| &self.arrivals[s])
                    .filter(|(node, _)| *node == d)
                    .map(|&(_, count)| (count, 1.0))
                    .collect();
                if comes.is_empty() {
                    continue;
                }
                self.problem.add_row(..=1.0, &comes);
                for k in 0..spec.workloads() {
                    if spec.group[k] != group || state.placement[k] as usize != d {
                        continue;
                    }
                    // Members are kinds of their own; one that is not listed is pinned.
                    let own = (0..self.kinds.len()).find(|&s| self.kinds[s].representative == k);
                    let mut row = comes.clone();
                    row.extend(own.map(|s| (self.out[s][0], -1.0)));
                    self.problem.add_row(..=0.0, row);
                }
            }
        }
    }

    /// `max_load`, and the deviation that stands in for `imbalance`.
    fn add_loads(&mut self, state: &ClusterState, options: &Options, held: &[f64], flows: &Flows) {
        let (spec, weights) = (&*state.spec, &state.objective.weights);
        let (n, padded) = (spec.nodes(), spec.padded_nodes());
        let inverse = |j: usize, i: usize| f64::from(spec.inverse_supply[j * padded + i]);
        let load = |i: usize| -> f64 {
            (0..spec.resources).map(|j| held[j * padded + i] * inverse(j, i)).sum()
        };
        let loads: Vec<f64> = (0..n).map(load).collect();
        let rows: Vec<Vec<(Col, f64)>> = (0..n)
            .map(|i| {
                let own = |s: usize| -> f64 {
                    let each = |j| demand_of(state, &self.kinds[s], j) * inverse(j, i);
                    (0..spec.resources).map(each).sum()
                };
                flows[i].iter().map(|&(s, count, sign)| (count, sign * own(s))).collect()
            })
            .collect();
        let weight = f64::from(weights[Term::MaxLoad as usize]);
        if weight > 0.0 {
            let still = (0..n).filter(|&i| rows[i].is_empty()).map(|i| loads[i]);
            let least = still.fold(0.0, f64::max);
            let now = loads.iter().copied().fold(0.0, f64::max);
            let most = self.column(weight, (least, f64::INFINITY), false, now);
            for (row, &load) in rows.iter().zip(&loads).filter(|(row, _)| !row.is_empty()) {
                let above = row.iter().copied().chain([(most, -1.0)]);
                self.problem.add_row(..=-load, above);
            }
        }
        let weight = f64::from(weights[Term::Imbalance as usize]);
        let mean = loads.iter().sum::<f64>() / n.max(1) as f64;
        if weight > 0.0 && mean > 0.0 && options.imbalance == Imbalance::Deviation {
            let weight = weight / (n as f64 * mean);
            for (row, &load) in rows.iter().zip(&loads) {
                let off = (load - mean).abs();
                let deviation = self.column(weight, (0.0, f64::INFINITY), false, off);
                let above = row.iter().copied().chain([(deviation, -1.0)]);
                self.problem.add_row(..=mean - load, above);
                let below = row.iter().copied().chain([(deviation, 1.0)]);
                self.problem.add_row(mean - load.., below);
            }
        }
    }

    /// Utilisation above 1: only where a node starts above its supply, for what arrives fits.
    fn add_overload(&mut self, state: &ClusterState, held: &[f64], flows: &Flows) {
        let spec = &*state.spec;
        let padded = spec.padded_nodes();
        let weight = f64::from(state.objective.weights[Term::Overload as usize]);
        if weight <= 0.0 {
            return;
        }
        for (i, flows) in flows.iter().enumerate() {
            for j in 0..spec.resources {
                let inverse = f64::from(spec.inverse_supply[j * padded + i]);
                let over = held[j * padded + i] * inverse - 1.0;
                if over <= 0.0 {
                    continue;
                }
                let rest = self.column(weight, (0.0, f64::INFINITY), false, over);
                let mut row: Vec<(Col, f64)> = flows
                    .iter()
                    .map(|&(s, count, sign)| {
                        (count, sign * demand_of(state, &self.kinds[s], j) * inverse)
                    })
                    .collect();
                row.push((rest, -1.0));
                self.problem.add_row(..=-over, row);
            }
        }
    }

    /// Whole slots in what is free on each node.
    fn add_slots(
        &mut self,
        state: &ClusterState,
        slot: Slot,
        value: f64,
        held: &[f64],
        flows: &Flows,
    ) {
        let spec = &*state.spec;
        let size = f64::from(slot.size);
        for (i, flows) in flows.iter().enumerate() {
            let at = slot.resource * spec.padded_nodes() + i;
            let supply = f64::from(spec.supply[at]);
            let free = (supply - held[at]).max(0.0);
            let now = (free / size + SLOT).floor();
            let row: Vec<(Col, f64)> = flows
                .iter()
                .map(|&(s, count, sign)| {
                    (count, sign * demand_of(state, &self.kinds[s], slot.resource))
                })
                .filter(|&(_, demand)| demand != 0.0)
                .collect();
            if row.is_empty() {
                self.constant -= value * now;
                continue;
            }
            let most = (supply / size + SLOT).floor();
            let slots = self.column(-value, (0.0, most), true, now);
            // Counted in slots: a supply of thousands of MiB would swamp the tolerance.
            let row = row.into_iter().map(|(count, demand)| (count, demand / size));
            self.problem.add_row(..=free / size + SLOT, row.chain([(slots, 1.0)]));
        }
    }
}

fn price(state: &ClusterState, workload: usize, destination: usize) -> f64 {
    let cost = state.migration_cost(workload, destination);
    f64::from(state.objective.value(&state.flow_terms(workload, &cost)))
}

const _: () = assert!(LOAD_TERMS == 5, "a new load term needs a linear form or an error");
