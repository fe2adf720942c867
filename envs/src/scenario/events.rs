//! What a scenario says will happen at a stated tick.

use crate::scenario::groups::one;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Something that happens at a stated tick of every episode, 1 to `rules.episode.ticks`, counted
/// from the episode's start. Only in online scenarios.
///
/// `drain`, `fail` and `recover` need the table `rules.faults`, which may be empty: then nodes fail
/// as events say, and in no other way. From the first tick of its notice to its end, an event
/// overrules what is drawn for its node. Two events of a node may not overlap or touch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum ScriptedEvent {
    /// A node is switched off, and drains before: it takes no more workloads, and policies see that
    /// it drains and how near its end is. Who is still there at `tick` is displaced.
    Drain {
        /// Tick at whose start the node is switched off.
        #[schemars(range(min = 2, max = 1_000_000))]
        tick: u32,
        /// Name of the node: that of its group or, where the group has several, `NAME-0`, `NAME-1`, ...
        node: String,
        /// Ticks before `tick` from which it drains, at least 1 and less than `tick`. A node that is
        /// broken by then drains once it is repaired.
        #[schemars(range(min = 1, max = 999_999))]
        notice: u32,
        /// Ticks for which it is off; until it recovers by another event, or to the end of the
        /// episode, if left out.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schemars(range(min = 1))]
        ticks: Option<u32>,
    },
    /// A node fails, and nobody knows beforehand.
    Fail {
        /// Tick at whose start it fails.
        #[schemars(range(min = 1, max = 1_000_000))]
        tick: u32,
        /// Name of the node, as in `drain`.
        node: String,
        /// Ticks for which it is off, as in `drain`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schemars(range(min = 1))]
        ticks: Option<u32>,
    },
    /// A node is back that an earlier `drain` or `fail` without `ticks` has taken out.
    Recover {
        /// Tick from whose start it takes workloads again.
        #[schemars(range(min = 1, max = 1_000_000))]
        tick: u32,
        /// Name of the node, as in `drain`.
        node: String,
    },
    /// Demand is `factor` times what it would be, on the resources that follow the workload's
    /// process; on all where that is constant. Factors of bursts at the same time are multiplied.
    Burst {
        /// First tick of the burst.
        #[schemars(range(min = 1, max = 1_000_000))]
        tick: u32,
        /// How many ticks it lasts.
        #[schemars(range(min = 1))]
        ticks: u32,
        /// Factor on the demand, 0 to 100. A node must be able to hold each workload at its peak.
        #[schemars(range(min = 0.0, max = 100.0))]
        factor: f32,
        /// Workload groups, or single workloads, by name; empty for all workloads.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        workloads: Vec<String>,
        /// Ticks before `tick` from which forecasts have the burst in them, 0 for those that are made
        /// in the burst itself; needs `rules.forecast.horizons`. Forecasts never have it if left out.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        notice: Option<u32>,
    },
    /// Workloads of a group come, and wait for a node. Nobody knows beforehand.
    Arrive {
        /// Tick at whose start they come.
        #[schemars(range(min = 1, max = 1_000_000))]
        tick: u32,
        /// Name of a workload group whose `arrivals` are of kind `events`.
        group: String,
        /// How many come. With those that are there, at most the group's `count`; a place is free one
        /// tick after its workload has left.
        #[serde(default = "one")]
        #[schemars(range(min = 1))]
        count: u32,
        /// Ticks until they leave, whether or not they found a node; they stay if left out.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schemars(range(min = 1))]
        ticks: Option<u32>,
    },
}

/// A node out of service because of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Absence<'a> {
    /// Index of the event.
    pub event: usize,
    /// Name of the node.
    pub node: &'a str,
    /// First tick in which the event says what becomes of the node.
    pub from: u32,
    /// Tick at whose start it is switched off.
    pub off: u32,
    /// Tick at whose start it is back; `u32::MAX` for never.
    pub back: u32,
    /// Whether it is back by an event of its own, or never.
    pub is_open: bool,
}

impl ScriptedEvent {
    /// Tick at whose start it happens.
    pub fn tick(&self) -> u32 {
        match *self {
            Self::Drain { tick, .. }
            | Self::Fail { tick, .. }
            | Self::Recover { tick, .. }
            | Self::Burst { tick, .. }
            | Self::Arrive { tick, .. } => tick,
        }
    }

    /// The node that it is about.
    pub(super) fn node(&self) -> Option<&str> {
        match self {
            Self::Drain { node, .. } | Self::Fail { node, .. } | Self::Recover { node, .. } => {
                Some(node)
            }
            Self::Burst { .. } | Self::Arrive { .. } => None,
        }
    }
}

/// When which node is out of service, in the order of the events.
pub(super) fn absences(events: &[ScriptedEvent]) -> Vec<Absence<'_>> {
    let recovers = |node: &str, after: u32| {
        let of_node = events.iter().filter_map(|event| match event {
            ScriptedEvent::Recover { tick, node: other } if other == node => Some(*tick),
            _ => None,
        });
        of_node.filter(|&tick| tick > after).min().unwrap_or(u32::MAX)
    };
    let mut absences = Vec::new();
    for (at, event) in events.iter().enumerate() {
        let (node, notice, off, ticks) = match event {
            ScriptedEvent::Drain { tick, node, notice, ticks } => (node, *notice, *tick, *ticks),
            ScriptedEvent::Fail { tick, node, ticks } => (node, 0, *tick, *ticks),
            _ => continue,
        };
        let back = ticks.map_or_else(|| recovers(node, off), |ticks| off.saturating_add(ticks));
        let from = off.saturating_sub(notice);
        absences.push(Absence { event: at, node, from, off, back, is_open: ticks.is_none() });
    }
    absences
}

/// Tick at which who comes by an event leaves; `u32::MAX` for never.
pub(super) fn departure(tick: u32, ticks: Option<u32>) -> u32 {
    ticks.map_or(u32::MAX, |ticks| tick.saturating_add(ticks))
}

/// When the workloads of a group come and leave by events, `(arrives, departs)` by time; nobody
/// departs later than one tick after the last of the episode's `ticks`.
pub(crate) fn stays(events: &[ScriptedEvent], group: &str, ticks: u32) -> Vec<(u32, u32)> {
    let of_event = |event: &ScriptedEvent| match event {
        ScriptedEvent::Arrive { tick, group: name, count, ticks: length } if name == group => {
            let departs = departure(*tick, *length).min(ticks.saturating_add(1));
            Some(std::iter::repeat_n((*tick, departs), *count as usize))
        }
        _ => None,
    };
    let mut stays: Vec<(u32, u32)> = events.iter().filter_map(of_event).flatten().collect();
    stays.sort_unstable();
    stays
}
