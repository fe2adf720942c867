//! The features again, recomputed from demands and placement in f64, one number at a time and by
//! name: slow, and independent of the encoder's arithmetic and order.

use godwit_envs::scenario::Mode;
use godwit_envs::state::cluster::{Health, NO_GROUP};
use godwit_envs::state::migration::MigrationMode;
use godwit_envs::state::term::Term;
use godwit_envs::state::{ClusterState, Life, NOWHERE, Transfer, full_budget};
use std::cell::RefCell;
use std::collections::HashMap;

/// All nodes at one point in time.
pub struct Point {
    pub utilisation: Vec<Vec<f64>>,
    pub load: Vec<f64>,
    pub mean: f64,
    pub free: Vec<f64>,
    pub slots: Vec<f64>,
    pub terms: [f64; 5],
}

/// What a node has of a resource: where it lacks what is demanded there, half of the smallest such
/// demand. Infinite where nobody demands it.
fn supply(state: &ClusterState, node: usize, j: usize) -> f64 {
    let (m, supply) = (state.spec.resources, state.spec.supply_of(node, j));
    if supply > 0.0 {
        return f64::from(supply);
    }
    let demanded = state.placement.iter().enumerate().filter(|on| *on.1 as usize == node);
    let views = state.demand.chunks(state.demand.len().max(1));
    let views = views.chain(state.forecast_demand.chunks(state.demand.len().max(1)));
    let demands = views.flat_map(|view| demanded.clone().map(|(k, _)| view[k * m + j]));
    let smallest = demands.filter(|d| *d > 0.0).fold(f32::INFINITY, f32::min);
    f64::from(smallest) / 2.0
}

/// What the nodes carry under a placement.
pub fn point(
    state: &ClusterState,
    demand: &[f32],
    placement: &[u32],
    transfers: &[Transfer],
) -> Point {
    let spec = &*state.spec;
    let (n, m) = (spec.nodes(), spec.resources);
    let mut held = vec![vec![0.0; m]; n];
    for (k, &node) in placement.iter().enumerate().filter(|(_, node)| **node != NOWHERE) {
        for j in 0..m {
            held[node as usize][j] += f64::from(demand[k * m + j]);
        }
    }
    for transfer in transfers {
        for j in 0..m {
            held[transfer.source as usize][j] +=
                f64::from(demand[transfer.workload as usize * m + j]);
        }
    }
    let utilisation: Vec<Vec<f64>> =
        (0..n).map(|i| (0..m).map(|j| held[i][j] / supply(state, i, j)).collect()).collect();
    let load: Vec<f64> = utilisation.iter().map(|u| u.iter().sum()).collect();
    let mean = load.iter().sum::<f64>() / n as f64;
    let variance = load.iter().map(|l| (l - mean).powi(2)).sum::<f64>() / n as f64;
    let over = utilisation.iter().flatten().map(|u| (u - 1.0).max(0.0)).sum();
    let (mut free, mut slots, mut fragmentation) = (Vec::new(), Vec::new(), 0.0);
    if let Some(slot) = state.objective.slot {
        free = (0..n)
            .map(|i| {
                (f64::from(spec.supply_of(i, slot.resource)) - held[i][slot.resource]).max(0.0)
            })
            .collect();
        let size = f64::from(slot.size);
        slots = free.iter().map(|free| (free / size + 1e-4).floor()).collect();
        let total: f64 = free.iter().sum();
        if total > 0.0 {
            fragmentation = 1.0 - slots.iter().sum::<f64>() * size / total;
        }
    }
    let imbalance = if mean > 0.0 { variance.sqrt() / mean } else { 0.0 };
    let own = if state.objective.own.is_empty() { 0.0 } else { own(state, &held, &utilisation) };
    let terms = [load.iter().copied().fold(0.0, f64::max), imbalance, over, fragmentation, own];
    Point { utilisation, load, mean, free, slots, terms }
}

/// The weighted sum of [`OWN_TERMS`](crate::build::OWN_TERMS).
fn own(state: &ClusterState, held: &[Vec<f64>], utilisation: &[Vec<f64>]) -> f64 {
    let hot: f64 = utilisation.iter().map(|u| (u[0] - 0.5).max(0.0)).sum();
    let rough: f64 = utilisation.iter().map(|u| u.iter().sum::<f64>().powi(2)).sum();
    let tight = utilisation.iter().zip(held).enumerate().map(|(i, (u, held))| {
        let supply = f64::from(state.spec.supply_of(i, 0));
        u[0] - (supply - held[0]).max(0.0) / (supply + 8.0)
    });
    1.5 * hot
        + 0.25 * rough / utilisation.len() as f64
        + 2.0 * tight.fold(f64::NEG_INFINITY, f64::max)
}

/// 2^(1 - removals), 0 for 8 or more.
fn nearness(removals: f64) -> f64 {
    if removals < 8.0 { 2.0_f64.powf(1.0 - removals) } else { 0.0 }
}

/// Demand for the slot's resource in slots.
fn slots_demanded(state: &ClusterState, workload: usize) -> f64 {
    let slot = state.objective.slot.unwrap();
    f64::from(state.demand_of(workload)[slot.resource]) / f64::from(slot.size)
}

/// Movable workloads on a node whose demand in slots falls in this bin, as a feature.
fn of_size(state: &ClusterState, node: usize, bin: usize) -> f64 {
    let edges = [0.0, 0.125, 0.25, 0.5, 1.0, f64::INFINITY];
    let inside = |size: f64| {
        // The tolerance of the world: a size on an edge belongs below it.
        size > edges[bin] * if bin == 0 { 1.0 } else { 1.0001 } && size <= edges[bin + 1] * 1.0001
    };
    let count = (0..state.placement.len())
        .filter(|&k| state.placement[k] as usize == node && state.spec.movable[k])
        .filter(|&k| inside(slots_demanded(state, k)))
        .count();
    count as f64 / 4.0
}

/// Fewest departures that complete the next slot of a node, at most 8.
fn removals(state: &ClusterState, placement: &[u32], node: usize, free: f64) -> f64 {
    let Some(slot) = state.objective.slot else { return 0.0 };
    let mut sizes: Vec<f64> = (0..placement.len())
        .filter(|&k| placement[k] as usize == node && state.spec.movable[k])
        .map(|k| f64::from(state.demand_of(k)[slot.resource]))
        .filter(|&size| size > 0.0)
        .collect();
    sizes.sort_by(|a, b| b.total_cmp(a));
    let size = f64::from(slot.size);
    let missing = ((free / size + 1e-4).floor() + 1.0) * size - free;
    (1..=sizes.len().min(8))
        .find(|&count| sizes[..count].iter().sum::<f64>() >= missing - size * 1e-4)
        .map_or(8.0, |count| count as f64)
}

/// (GiB moved, seconds of transfer, seconds of downtime).
fn cost(state: &ClusterState, workload: usize, destination: usize) -> (f64, f64, f64) {
    let (spec, rules) = (&*state.spec, &state.rules.migration);
    let source = state.placement[workload] as usize;
    let share = |node: usize| {
        let transfers = state.transfers.iter().filter(|t| {
            t.source as usize == node || state.placement[t.workload as usize] as usize == node
        });
        f64::from(spec.bandwidth_gib_s[node]) / (transfers.count() + 1) as f64
    };
    let b = share(source).min(share(destination));
    let state_gib = f64::from(spec.state_gib[workload]);
    let ratio = (f64::from(spec.dirty_gib_s[workload]) / b).min(1.0);
    let (mut rounds, mut last, mut moved) = (0, state_gib, state_gib);
    while rules.mode == MigrationMode::Live
        && rounds < rules.max_rounds
        && last / b > f64::from(rules.downtime_target_s)
    {
        rounds += 1;
        last = state_gib * ratio.powi(rounds as i32);
        moved += last;
    }
    let switch = f64::from(rules.switch_over_s);
    (moved, moved / b + switch, last / b + switch)
}

/// A feature's name without brackets, the rank in them and the position of the horizon; a view of
/// which there is none is the last that there is.
fn parse<'a>(state: &ClusterState, name: &'a str) -> (&'a str, usize, Option<usize>) {
    let Some((base, inside)) = name.trim_end_matches(']').split_once('[') else {
        return (name, 0, None);
    };
    match inside.strip_prefix("+h") {
        Some(at) => {
            let views = state.rules.forecast.horizons.len();
            (base, 0, at.parse::<usize>().unwrap().min(views).checked_sub(1))
        }
        None => match inside.parse::<usize>() {
            Ok(rank) => (base, rank - 1, None),
            Err(_) => (name, 0, None),
        },
    }
}

/// The value of this rank, from the highest on.
fn ranked(values: impl Iterator<Item = f64>, rank: usize) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(|a, b| b.total_cmp(a));
    values.get(rank).copied().unwrap_or(0.0)
}

/// A horizon, and who has left.
type FollowUp = (Option<usize>, Option<usize>);

/// Recomputes observations of one state.
pub struct Naive<'a> {
    state: &'a ClusterState,
    now: Point,
    horizons: Vec<Point>,
    /// Best gains by a further move, once worked out.
    follow_ups: RefCell<HashMap<FollowUp, f64>>,
}

impl<'a> Naive<'a> {
    pub fn new(state: &'a ClusterState) -> Self {
        let now = point(state, &state.demand, &state.placement, &state.transfers);
        let horizons = (0..state.rules.forecast.horizons.len())
            .map(|h| point(state, Self::forecast(state, h), &state.placement, &[]))
            .collect();
        Self { state, now, horizons, follow_ups: RefCell::default() }
    }

    fn forecast(state: &ClusterState, h: usize) -> &[f32] {
        let width = state.demand.len();
        &state.forecast_demand[h * width..(h + 1) * width]
    }

    fn at(&self, h: Option<usize>) -> &Point {
        h.map_or(&self.now, |h| &self.horizons[h])
    }

    /// Best gain at horizon `h` by moving a workload of the two most loaded nodes, where it fits
    /// now: to the node of `left`, who is gone from there, or else to any node.
    fn follow_up(&self, h: Option<usize>, left: Option<usize>) -> f64 {
        if let Some(&gain) = self.follow_ups.borrow().get(&(h, left)) {
            return gain;
        }
        let state = self.state;
        let spec = &*state.spec;
        let demand = h.map_or(&state.demand[..], |h| Self::forecast(state, h));
        let transfers = if h.is_none() { &state.transfers[..] } else { &[] };
        let load = &self.at(h).load;
        let mut hot: Vec<usize> = (0..spec.nodes()).collect();
        hot.sort_by(|&a, &b| load[b].total_cmp(&load[a]));
        hot.truncate(2);
        let mut rest = state.placement.clone();
        left.into_iter().for_each(|k| rest[k] = NOWHERE);
        let weights = state.objective.weights.map(f64::from);
        let level = |placement: &[u32]| -> f64 {
            let terms = point(state, demand, placement, transfers).terms;
            (0..3).map(|term| weights[term] * terms[term]).sum()
        };
        let without = level(&rest);
        let mut best = 0.0_f64;
        for k in (0..spec.workloads()).filter(|&k| {
            rest[k] != NOWHERE
                && spec.movable[k]
                && state.cooldown[k] <= 1
                && !state.is_in_transfer(k)
                && hot.contains(&(rest[k] as usize))
        }) {
            for node in 0..spec.nodes() {
                let is_left = left.is_none_or(|left| state.placement[left] as usize == node);
                let open = matches!(state.health[node], Health::Healthy | Health::Degraded);
                let rival = |other: usize| {
                    let from = state.transfers.iter().find(|t| t.workload as usize == other);
                    spec.group[other] != NO_GROUP
                        && spec.group[other] == spec.group[k]
                        && (rest[other] as usize == node
                            || from.is_some_and(|t| t.source as usize == node))
                };
                let fits = (0..spec.resources).all(|j| {
                    let d = f64::from(state.demand_of(k)[j]);
                    let supply = f64::from(spec.supply_of(node, j));
                    let own = |k: usize| f64::from(state.demand_of(k)[j]);
                    let held: f64 = (0..rest.len())
                        .filter(|&other| rest[other] as usize == node)
                        .map(own)
                        .chain(
                            (state.transfers.iter().filter(|t| t.source as usize == node))
                                .map(|t| own(t.workload as usize)),
                        )
                        .sum();
                    d <= 0.0 || held + d <= supply * (1.0 + 1e-5)
                });
                let able = is_left && open && fits && rest[k] as usize != node;
                if able && spec.may_run_on(k, node) && !(0..rest.len()).any(rival) {
                    let mut placement = rest.clone();
                    placement[k] = node as u32;
                    best = best.min(level(&placement) - without);
                }
            }
        }
        self.follow_ups.borrow_mut().insert((h, left), best);
        best
    }

    /// Priority of all workloads that wait for this reason.
    fn waiting(&self, life: Life) -> f64 {
        let state = self.state;
        (0..state.life.len())
            .filter(|&k| state.life[k] == life)
            .map(|k| f64::from(state.spec.priority[k]))
            .sum()
    }

    fn health(&self, name: &str, i: usize) -> f64 {
        let state = self.state;
        let is = |health: Health| f64::from(u8::from(state.health[i] == health));
        match name {
            "degraded" => is(Health::Degraded),
            "draining" => is(Health::Draining),
            "failed" => is(Health::Failed),
            "deadline_nearness" => {
                let left = f64::from(state.deadline[i]) - f64::from(state.tick) - 1.0;
                is(Health::Draining) * 2.0_f64.powf(-left / 4.0)
            }
            other => panic!("unknown feature {other} of a node's health"),
        }
    }

    /// Priority of the workloads that run on nodes of this health; in transit they run where they
    /// leave.
    fn priority_on(&self, health: Health) -> f64 {
        let state = self.state;
        (0..state.placement.len())
            .filter(|&k| {
                let leaves = state.transfers.iter().find(|t| t.workload as usize == k);
                let node = leaves.map_or(state.placement[k], |t| t.source);
                node != NOWHERE && state.health[node as usize] == health
            })
            .map(|k| f64::from(state.spec.priority[k]))
            .sum()
    }

    pub fn global(&self, name: &str) -> f64 {
        let (state, m) = (self.state, self.state.spec.resources as f64);
        let (base, _, h) = parse(state, name);
        let terms = self.at(h).terms;
        let period = f64::from(state.rules.forecast.period_ticks.max(1));
        let angle = std::f64::consts::TAU * f64::from(state.tick) / period;
        let online = state.rules.episode.mode == Mode::Online;
        if let Some(term) = base.strip_prefix("weight[") {
            let term = Term::from_name(term.trim_end_matches(']')).unwrap();
            let weight = f64::from(state.objective.weights[term as usize]);
            return (1.0 + weight / f64::from(state.objective.unit)).ln() / 4.0;
        }
        match base {
            "max_load" => terms[0] / m,
            "imbalance" => terms[1],
            "overload" => terms[2],
            "fragmentation" => terms[3],
            "displaced" => self.waiting(Life::Displaced) / 4.0,
            "unplaced" => self.waiting(Life::Waiting) / 4.0,
            "closed_nodes_share" => {
                let open = |h: &&Health| matches!(h, Health::Healthy | Health::Degraded);
                1.0 - state.health.iter().filter(open).count() as f64 / state.health.len() as f64
            }
            "on_degraded_nodes" => self.priority_on(Health::Degraded) / 8.0,
            "on_draining_nodes" => self.priority_on(Health::Draining) / 8.0,
            "nearest_deadline" => (0..state.spec.nodes())
                .map(|node| self.health("deadline_nearness", node))
                .fold(0.0, f64::max),
            "mean_load_per_resource" => self.now.mean / m,
            "time_of_period_sin" => angle.sin(),
            "time_of_period_cos" => angle.cos(),
            "machine_reassignment" => 0.0,
            "resource_kinds" => m / 8.0,
            "node_count" => (1.0 + state.spec.nodes() as f64).ln() / 4.0,
            "workload_count" => (1.0 + state.spec.workloads() as f64).ln() / 8.0,
            "online" => f64::from(u8::from(online)),
            "moves_per_tick" if !online => 0.0,
            "moves_per_tick" => (1.0 + f64::from(state.rules.episode.moves_per_tick)).ln() / 4.0,
            "cooldown_ticks" => (1.0 + f64::from(state.rules.limits.cooldown_ticks)).ln() / 4.0,
            "ticks_to" => {
                let ticks = h.map_or(0, |h| state.rules.forecast.horizons[h]);
                (1.0 + f64::from(ticks)).ln() / 4.0
            }
            "moves_left" => f64::from(state.moves_left) / 10.0,
            "moves_left_share" => {
                f64::from(state.moves_left) / f64::from(full_budget(&state.rules))
            }
            other => panic!("unknown global feature {other}"),
        }
    }

    pub fn node(&self, name: &str, i: usize) -> f64 {
        let (state, m) = (self.state, self.state.spec.resources as f64);
        let (base, j, h) = parse(state, name);
        let spec = &*state.spec;
        let at = self.at(h);
        if state.objective.slot.is_none()
            && (base.starts_with("slot") || base.starts_with("workloads_of_size_"))
        {
            return 0.0;
        }
        if let Some(bin) = base.strip_prefix("workloads_of_size_") {
            let slot = state.objective.slot.unwrap();
            let edges = [0.0, 0.125, 0.25, 0.5, 1.0, f32::INFINITY];
            let bin: usize = bin.parse().unwrap();
            let count = (0..spec.workloads()).filter(|&k| {
                let size = state.demand_of(k)[slot.resource] / slot.size;
                state.placement[k] as usize == i
                    && spec.movable[k]
                    && size > edges[bin]
                    && size <= edges[bin + 1]
            });
            return count.count() as f64 / 4.0;
        }
        match base {
            "machine_cost" => 0.0,
            "utilisation" => ranked(at.utilisation[i].iter().copied(), j),
            "supply_share" => {
                let share = |j: usize| {
                    let most = (0..spec.nodes()).map(|i| spec.supply_of(i, j)).fold(0.0, f32::max);
                    if most > 0.0 { f64::from(spec.supply_of(i, j) / most) } else { 0.0 }
                };
                (0..spec.resources).map(share).sum::<f64>() / m
            }
            "load_per_resource" => at.load[i] / m,
            "load_above_mean" => (at.load[i] - at.mean) / m,
            "workload_count" => {
                let count = state.placement.iter().filter(|&&node| node as usize == i).count();
                (1.0 + count as f64).ln() / 4.0
            }
            "transfers" => {
                let ends = state.transfers.iter().filter(|t| {
                    t.source as usize == i || state.placement[t.workload as usize] as usize == i
                });
                ends.count() as f64 / 4.0
            }
            "slots" => at.slots[i] / 4.0,
            "slot_remainder" => {
                at.free[i] / f64::from(state.objective.slot.unwrap().size) - at.slots[i]
            }
            "slot_nearness" => nearness(removals(state, &state.placement, i, at.free[i])),
            other => self.health(other, i),
        }
    }

    pub fn workload(&self, name: &str, k: usize) -> f64 {
        // Nothing is known of who has not come yet.
        if self.state.life[k] == Life::Absent {
            return 0.0;
        }
        let (state, m) = (self.state, self.state.spec.resources as f64);
        let (base, j, h) = parse(state, name);
        let spec = &*state.spec;
        let share = |d: f32, j: usize| match state.node_of(k) {
            None => 0.0,
            Some(node) => f64::from(d) / supply(state, node, j),
        };
        let load =
            |demand: &[f32]| demand.iter().enumerate().map(|(j, &d)| share(d, j)).sum::<f64>();
        let of_largest = |j: usize| {
            let most = (0..spec.nodes()).map(|i| spec.supply_of(i, j)).fold(0.0, f32::max);
            if most > 0.0 { f64::from(state.demand_of(k)[j]) / f64::from(most) } else { 0.0 }
        };
        match base {
            "demand_share" => ranked((0..spec.resources).map(of_largest), j),
            "demand_share_per_resource" => (0..spec.resources).map(of_largest).sum::<f64>() / m,
            "utilisation_on_source" => {
                ranked((0..spec.resources).map(|j| share(state.demand_of(k)[j], j)), j)
            }
            "load_on_source" => load(state.demand_of(k)) / m,
            "moved" => 0.0,
            "state" => f64::from(1.0 + spec.state_gib[k]).ln() / 4.0,
            "priority" => f64::from(spec.priority[k]),
            "movable" => f64::from(u8::from(spec.movable[k])),
            "cooldown" => f64::from(state.cooldown[k]) / 8.0,
            "in_transfer" => {
                let moving = state.transfers.iter().any(|t| t.workload as usize == k);
                f64::from(u8::from(moving))
            }
            "load_change_on_source" => {
                let then = h.map_or(state.demand_of(k), |h| state.forecast_of(h, k));
                (load(then) - load(state.demand_of(k))) / m / 0.5
            }
            "running" => f64::from(u8::from(state.life[k] == Life::Running)),
            "waiting" => {
                let waits = matches!(state.life[k], Life::Waiting | Life::Displaced);
                f64::from(u8::from(waits))
            }
            other => panic!("unknown workload feature {other}"),
        }
    }

    /// The features of moving `k` to `destination`, in the order of `names`.
    pub fn candidate(&self, names: &[&str], k: usize, destination: usize) -> Vec<f64> {
        let (state, m) = (self.state, self.state.spec.resources as f64);
        let source = state.placement[k] as usize;
        let mut placement = state.placement.clone();
        placement[k] = destination as u32;
        let after = point(state, &state.demand, &placement, &state.transfers);
        let horizons: Vec<Point> = (0..self.horizons.len())
            .map(|h| point(state, Self::forecast(state, h), &placement, &[]))
            .collect();
        let weights = state.objective.weights.map(f64::from);
        let unit = f64::from(state.objective.unit);
        let (moved, transfer, downtime) = cost(state, k, destination);
        let size = state.objective.slot.map_or(1.0, |slot| f64::from(slot.size));
        let remainder = |free: f64| free / size - (free / size + 1e-4).floor();
        let value = |name: &str| {
            let (base, j, h) = parse(state, name);
            let (before, after) = (self.at(h), h.map_or(&after, |h| &horizons[h]));
            let change: Vec<f64> =
                (0..5).map(|t| weights[t] * (after.terms[t] - before.terms[t]) / unit).collect();
            if let Some(term) = base.strip_suffix("_change").and_then(Term::from_name) {
                return change[term as usize];
            }
            if state.objective.slot.is_none()
                && ["slot", "nearness_", "workloads_of_size"].iter().any(|part| base.contains(part))
            {
                return 0.0;
            }
            match base {
                "destination_utilisation" => {
                    ranked(after.utilisation[destination].iter().copied(), j)
                }
                "source_machine_cost_change"
                | "destination_machine_cost_change"
                | "move_cost_change"
                | "returns_to_its_initial_machine" => 0.0,
                "source_degraded" => self.health("degraded", source),
                "source_draining" => self.health("draining", source),
                "source_deadline_nearness" => self.health("deadline_nearness", source),
                "destination_degraded" => self.health("degraded", destination),
                "priority" => f64::from(state.spec.priority[k]),
                "source_utilisation" => ranked(after.utilisation[source].iter().copied(), j),
                // Above the mean of before the move.
                "destination_load_above_mean" => (after.load[destination] - before.mean) / m,
                "source_load_above_mean" => (after.load[source] - before.mean) / m,
                "objective_change" => change.iter().sum(),
                "follow_up" | "follow_up_beyond"
                    if [Term::Fragmentation, Term::Own]
                        .into_iter()
                        .any(|term| weights[term as usize] != 0.0) =>
                {
                    0.0
                }
                "follow_up" => self.follow_up(h, Some(k)) / unit,
                "follow_up_beyond" => {
                    (self.follow_up(h, Some(k)) - self.follow_up(h, None)).min(0.0) / unit
                }
                "cost" => {
                    let priority = f64::from(state.spec.priority[k]);
                    let weight = |term: Term| weights[term as usize];
                    (weight(Term::MovedGib) * moved + weight(Term::DowntimeS) * downtime * priority)
                        / unit
                }
                "transfer" => (1.0 + transfer).ln() / 4.0,
                "source_slots_gained" => after.slots[source] - before.slots[source],
                "destination_slots_gained" => after.slots[destination] - before.slots[destination],
                "source_slot_remainder" => remainder(after.free[source]),
                "destination_slot_remainder" => remainder(after.free[destination]),
                "source_slot_remainder_before" => remainder(before.free[source]),
                "destination_slot_remainder_before" => remainder(before.free[destination]),
                "source_nearness_before" => {
                    nearness(removals(state, &state.placement, source, before.free[source]))
                }
                "source_nearness_after" => {
                    nearness(removals(state, &placement, source, after.free[source]))
                }
                "destination_nearness_before" => nearness(removals(
                    state,
                    &state.placement,
                    destination,
                    before.free[destination],
                )),
                "destination_nearness_after" => {
                    nearness(removals(state, &placement, destination, after.free[destination]))
                }
                "slots_demanded" => slots_demanded(state, k),
                "source_workloads_of_size_0" => of_size(state, source, 0),
                "source_workloads_of_size_1" => of_size(state, source, 1),
                "source_workloads_of_size_2" => of_size(state, source, 2),
                "source_workloads_of_size_3" => of_size(state, source, 3),
                "source_workloads_of_size_4" => of_size(state, source, 4),
                "destination_workloads_of_size_0" => of_size(state, destination, 0),
                "destination_workloads_of_size_1" => of_size(state, destination, 1),
                "destination_workloads_of_size_2" => of_size(state, destination, 2),
                "destination_workloads_of_size_3" => of_size(state, destination, 3),
                "destination_workloads_of_size_4" => of_size(state, destination, 4),
                other => panic!("unknown candidate feature {other}"),
            }
        };
        names.iter().map(|name| value(name)).collect()
    }
}
