//! Who was there from when to when, and what they wanted, as groups of a scenario.

use crate::episode::churn::Arrivals;
use crate::scenario::{Amount, DemandProcess, WorkloadGroup};
use crate::snapshot::{Snapshot, SnapshotWorkload};
use std::collections::HashMap;

/// A workload from when it comes until it is gone.
#[derive(Debug)]
pub(in crate::importers) struct Stay {
    /// As the first snapshot of the stay has it.
    workload: SnapshotWorkload,
    /// How many stays of the same workload came before.
    again: u32,
    /// First tick.
    from: u32,
    /// First tick in which it is gone.
    to: u32,
    /// Demand of each tick, `[to - from][m]`.
    demand: Vec<f32>,
}

/// The stays in these snapshots, one per tick, in the order in which they begin.
pub(super) fn stays(ticks: &[&Snapshot]) -> Vec<Stay> {
    let mut stays: Vec<Stay> = Vec::new();
    let mut last: HashMap<&str, usize> = HashMap::new();
    for (tick, snapshot) in (0..).zip(ticks) {
        // Who waits for a node has not come yet.
        for workload in snapshot.workloads.iter().filter(|workload| workload.node.is_some()) {
            let before = last.get(workload.name.as_str()).copied();
            if let Some(at) = before.filter(|&at| stays[at].to == tick) {
                stays[at].demand.extend_from_slice(&workload.demand);
                stays[at].to += 1;
                continue;
            }
            last.insert(&workload.name, stays.len());
            stays.push(Stay {
                workload: workload.clone(),
                again: before.map_or(0, |at| stays[at].again + 1),
                from: tick,
                to: tick + 1,
                demand: workload.demand.clone(),
            });
        }
    }
    stays
}

/// Demand as a world tells it: a base, of which some resources follow one factor.
#[derive(Debug, PartialEq)]
pub(super) struct Fit {
    /// `[m]`.
    pub(super) base: Vec<f32>,
    /// `[m]`.
    pub(super) follows: Vec<bool>,
    /// One per tick, 0 to 1; all 1 where nothing changes.
    pub(super) factors: Vec<f32>,
    /// The most by which a demand is missed, as a share of a node's mean supply.
    pub(super) error: f32,
}

/// The factor is that of the resource which swings most against the nodes' mean supply, so that this
/// one is exact; each other resource follows it, or keeps its mean, whichever is closer.
pub(super) fn fit(demand: &[f32], supply: &[f32]) -> Fit {
    let m = supply.len();
    let series = |j: usize| demand.iter().skip(j).step_by(m).copied();
    let most = |j: usize| series(j).fold(0.0, f32::max);
    let share = |j: usize, amount: f32| amount / supply[j].max(f32::MIN_POSITIVE);
    let swing = |j: usize| share(j, most(j) - series(j).fold(f32::INFINITY, f32::min));
    let lead = (0..m).max_by(|&a, &b| swing(a).total_cmp(&swing(b))).filter(|&j| swing(j) > 0.0);
    let Some(lead) = lead else {
        let factors = series(0).map(|_| 1.0).collect();
        return Fit { base: demand[..m].to_vec(), follows: vec![false; m], factors, error: 0.0 };
    };
    let factors: Vec<f32> = series(lead).map(|amount| amount / most(lead)).collect();
    let mut fit = Fit { base: vec![0.0; m], follows: vec![false; m], factors, error: 0.0 };
    for j in 0..m {
        // The base that is nearest to the recorded demand in squares, for either case.
        let base = |factor: &dyn Fn(usize) -> f32| {
            let pairs = || series(j).enumerate().map(|(t, amount)| (factor(t), amount));
            let product: f64 = pairs().map(|(f, amount)| f64::from(f) * f64::from(amount)).sum();
            let square: f64 = pairs().map(|(f, _)| f64::from(f).powi(2)).sum();
            (product / square) as f32
        };
        let follow = |t: usize| fit.factors[t];
        let [follows, keeps] = [if j == lead { most(j) } else { base(&follow) }, base(&|_| 1.0)];
        let error = |base: f32, factor: &dyn Fn(usize) -> f32| {
            let misses = series(j).enumerate().map(|(t, amount)| (base * factor(t) - amount).abs());
            misses.fold((0.0_f32, 0.0_f32), |(most, sum), miss| (most.max(miss), sum + miss * miss))
        };
        let (following, keeping) = (error(follows, &follow), error(keeps, &|_| 1.0));
        fit.follows[j] = j == lead || following.1 < keeping.1;
        let (base, miss) = if fit.follows[j] { (follows, following) } else { (keeps, keeping) };
        fit.base[j] = base;
        fit.error = fit.error.max(share(j, miss.0));
    }
    fit
}

impl Stay {
    /// A workload that is there for all of these ticks, with its demand in each, `[ticks][m]`.
    pub(in crate::importers) fn throughout(
        workload: SnapshotWorkload,
        ticks: u32,
        demand: Vec<f32>,
    ) -> Self {
        Self { workload, again: 0, from: 0, to: ticks, demand }
    }

    /// The stay as a group of one, with the share of a node's supply by which demand is missed.
    /// `full` says whether its node holds more than it has at the start.
    pub(super) fn group(
        &self,
        resources: &[String],
        supply: &[f32],
        ticks: u32,
        full: impl Fn(&str) -> bool,
    ) -> (WorkloadGroup, f32) {
        let Fit { base, follows, factors, error } = fit(&self.demand, supply);
        let follow: Vec<String> = resources
            .iter()
            .zip(follows)
            .filter(|(_, follows)| *follows)
            .map(|(name, _)| name.clone())
            .collect();
        // A scenario lists no constant demand that exceeds a supply, and clusters do.
        let full = self.from == 0 && self.workload.node.as_deref().is_some_and(full);
        let process = if follow.is_empty() && !full {
            DemandProcess::Constant
        } else {
            // Before it comes and after it is gone, the factor means nothing.
            let held = |count: u32, factor: Option<&f32>| {
                vec![factor.copied().unwrap_or(1.0); count as usize]
            };
            let before = held(self.from, factors.first());
            let after = held(ticks - self.to, factors.last());
            DemandProcess::Trace {
                // None means all, which a factor of 1 leaves as they are.
                resources: follow,
                series: vec![[before, factors, after].concat()],
            }
        };
        let workload = &self.workload;
        let demand = resources.iter().zip(base).filter(|(_, amount)| *amount > 0.0);
        let group = WorkloadGroup {
            name: match self.again {
                0 => workload.name.clone(),
                again => format!("{} ({})", workload.name, again + 1),
            },
            count: 1,
            demand: demand.map(|(name, base)| (name.clone(), Amount::Fixed(base))).collect(),
            state_gib: Amount::Fixed(workload.state_gib),
            dirty_gib_s: workload.dirty_gib_s,
            priority: workload.priority,
            classes: workload.classes.clone(),
            nodes: workload.nodes.clone(),
            anti_affinity: workload.anti_affinity.clone(),
            spread: workload.spread.clone(),
            zone_anti_affinity: workload.zone_anti_affinity.clone(),
            movable: workload.movable,
            node: workload.node.clone().filter(|_| self.from == 0),
            process,
            arrivals: (!self.lasts(ticks)).then(|| Arrivals::Trace {
                arrives: vec![self.from],
                // Who is there to the end does not depart within any episode.
                departs: vec![if self.to == ticks { ticks + 1 } else { self.to }],
            }),
        };
        (group, error)
    }

    /// Whether it is there for all of these ticks.
    pub(super) fn lasts(&self, ticks: u32) -> bool {
        self.from == 0 && self.to == ticks
    }
}

/// Nodes that hold more of a resource than they have.
pub(super) fn overfull(snapshot: &Snapshot) -> Vec<&str> {
    let exceeds = |node: &&crate::snapshot::SnapshotNode| {
        (0..node.supply.len()).any(|j| {
            let is_here = |name: Option<&str>| name == Some(node.name.as_str());
            let on = snapshot.workloads.iter().filter(|workload| is_here(workload.node.as_deref()));
            on.map(|workload| workload.demand[j]).sum::<f32>() > node.supply[j]
        })
    };
    snapshot.nodes.iter().filter(exceeds).map(|node| node.name.as_str()).collect()
}
