//! The events of a scenario, laid out for its episodes.

use crate::episode::churn::Arrivals;
use crate::episode::demand::ScriptedBurst;
use crate::episode::faults::Outage;
use crate::scenario::events::{Absence, ScriptedEvent, absences, stays};
use crate::scenario::types::Scenario;
use crate::state::cluster::ClusterSpec;
use std::ops::Range;
use std::sync::Arc;

/// What events bring, the same in every episode.
#[derive(Debug, Default)]
pub(super) struct Script {
    /// By node, then by time.
    pub outages: Vec<Outage>,
    /// In the order of the file.
    pub bursts: Arc<[ScriptedBurst]>,
    /// Groups whose workloads come by events: first workload, how many, when.
    pub arrivals: Vec<(usize, usize, Arrivals)>,
}

impl Script {
    /// Lays out the events of a validated scenario with these nodes and workloads.
    pub fn new(scenario: &Scenario, spec: &ClusterSpec) -> Self {
        let events = &scenario.events;
        if events.is_empty() {
            return Self::default();
        }
        let outage = |absence: &Absence| {
            let node = spec.node_names.iter().position(|name| name == absence.node)? as u32;
            Some(Outage { node, from: absence.from, off: absence.off, back: absence.back })
        };
        let mut outages: Vec<Outage> = absences(events).iter().filter_map(outage).collect();
        outages.sort_unstable_by_key(|outage| (outage.node, outage.from));
        let groups = groups(scenario);
        let burst = |event: &ScriptedEvent| match event {
            ScriptedEvent::Burst { tick, ticks, factor, workloads, notice } => {
                Some(ScriptedBurst {
                    from: *tick,
                    to: tick.saturating_add(*ticks),
                    known_from: notice.map(|notice| tick.saturating_sub(notice)),
                    factor: *factor,
                    workloads: workloads_of(workloads, &groups, spec),
                })
            }
            _ => None,
        };
        let scripted = scenario.workloads.iter().zip(&groups);
        let arrivals = scripted
            .filter(|(group, _)| group.comes_by_events())
            .map(|(group, (name, slots))| {
                let stays = stays(events, name, scenario.rules.episode.ticks);
                let (arrives, departs) = stays.into_iter().unzip();
                (slots.start, group.count as usize, Arrivals::Trace { arrives, departs })
            })
            .collect();
        Self { outages, bursts: events.iter().filter_map(burst).collect(), arrivals }
    }

    /// Whether each workload has a burst, `[K]`.
    pub fn bursting(&self, workloads: usize) -> Vec<bool> {
        let mut bursting = vec![false; workloads];
        for &k in self.bursts.iter().flat_map(|burst| &burst.workloads) {
            bursting[k as usize] = true;
        }
        bursting
    }
}

/// Names of the workload groups, each with its workloads.
fn groups(scenario: &Scenario) -> Vec<(&str, Range<usize>)> {
    let mut first = 0;
    let mut slots = |count: u32| {
        first += count as usize;
        first - count as usize..first
    };
    scenario.workloads.iter().map(|group| (group.name.as_str(), slots(group.count))).collect()
}

/// The workloads that these names stand for, ascending and each once.
fn workloads_of(names: &[String], groups: &[(&str, Range<usize>)], spec: &ClusterSpec) -> Vec<u32> {
    if names.is_empty() {
        return (0..spec.workloads() as u32).collect();
    }
    let named = |name: &String| match groups.iter().find(|(group, _)| group == name) {
        Some((_, slots)) => slots.clone(),
        None => {
            let at = spec.workload_names.iter().position(|workload| workload == name);
            at.map_or(0..0, |at| at..at + 1)
        }
    };
    let mut workloads: Vec<u32> = names.iter().flat_map(named).map(|at| at as u32).collect();
    workloads.sort_unstable();
    workloads.dedup();
    workloads
}
