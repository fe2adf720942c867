//! Checks of what a scenario says will happen at stated ticks.

use super::groups::misfit;
use super::{Check, Checked};
use crate::input::{nearest, nearest_hint};
use crate::scenario::events::{Absence, ScriptedEvent, absences, departure};
use crate::scenario::{Amount, Mode, Scenario};
use std::collections::BTreeMap;

/// Names that events may use; workloads with the index of their group.
struct Known {
    nodes: BTreeMap<String, usize>,
    workloads: BTreeMap<String, usize>,
}

impl Check<'_> {
    pub(super) fn events(&self, scenario: &Scenario) -> Checked {
        if scenario.events.is_empty() {
            return Ok(());
        }
        let online = scenario.rules.episode.mode == Mode::Online;
        let expected = "none, as rules.episode.mode is \"rebalance\"";
        self.require(online, "events", expected, "events")?;
        let known = self.known(scenario)?;
        for (e, event) in scenario.events.iter().enumerate() {
            self.event(scenario, &known, e, event)?;
        }
        self.outages(&scenario.events)
    }

    fn known(&self, scenario: &Scenario) -> Checked<Known> {
        if let Some(cluster) = &scenario.cluster {
            let nodes = cluster.nodes.iter().map(|node| node.name.clone());
            let workloads = cluster.workloads.iter().map(|workload| workload.name.clone());
            return Ok(Known {
                nodes: nodes.zip(0..).collect(),
                workloads: workloads.zip(0..).collect(),
            });
        }
        let nodes = scenario.nodes.iter().map(|group| (group.name.as_str(), group.count));
        let workloads = scenario.workloads.iter().map(|group| (group.name.as_str(), group.count));
        Ok(Known {
            nodes: self.members("nodes", nodes)?,
            workloads: self.members("workloads", workloads)?,
        })
    }

    fn event(
        &self,
        scenario: &Scenario,
        known: &Known,
        e: usize,
        event: &ScriptedEvent,
    ) -> Checked {
        let at = format!("events[{e}]");
        let (tick, most) = (event.tick(), scenario.rules.episode.ticks);
        let expected = format!("a tick from 1 to {most}, the last of an episode");
        self.require((1..=most).contains(&tick), &format!("{at}.tick"), &expected, tick)?;
        if let Some(node) = event.node() {
            if !known.nodes.contains_key(node) {
                let names: Vec<&str> = known.nodes.keys().map(String::as_str).collect();
                let nearest = nearest(node, &names).join(", ");
                let expected = format!("the name of a node (nearest: {nearest})");
                return self.fail(&format!("{at}.node"), expected, format!("{node:?}"));
            }
            let expected = format!("a table (it may be empty), as {at} is about a node");
            self.require(scenario.rules.faults.is_some(), "rules.faults", &expected, "none")?;
        }
        match event {
            ScriptedEvent::Drain { notice, ticks, .. } => {
                let expected = format!("1 or more, and less than the event's tick ({tick})");
                let holds = (1..tick).contains(notice);
                self.require(holds, &format!("{at}.notice"), &expected, notice)?;
                self.length(&at, *ticks)
            }
            ScriptedEvent::Fail { ticks, .. } => self.length(&at, *ticks),
            ScriptedEvent::Recover { .. } => Ok(()),
            ScriptedEvent::Burst { ticks, factor, notice, .. } => {
                self.length(&at, Some(*ticks))?;
                self.amount(&format!("{at}.factor"), Amount::Fixed(*factor), 0.0, 100.0)?;
                let seen = notice.is_none() || !scenario.rules.forecast.horizons.is_empty();
                let expected = "none, as rules.forecast.horizons is empty";
                let got = notice.unwrap_or_default();
                self.require(seen, &format!("{at}.notice"), expected, got)?;
                self.burst(scenario, known, e)
            }
            ScriptedEvent::Arrive { group, count, ticks, .. } => {
                self.length(&at, *ticks)?;
                self.at_least_one(&format!("{at}.count"), *count)?;
                self.arrive(scenario, &at, tick, group)
            }
        }
    }

    fn length(&self, at: &str, ticks: Option<u32>) -> Checked {
        self.at_least_one(&format!("{at}.ticks"), ticks.unwrap_or(1))
    }

    /// Who bursts is there, and fits on a node at its peak. A snapshot may show workloads that fit
    /// nowhere as it is.
    fn burst(&self, scenario: &Scenario, known: &Known, e: usize) -> Checked {
        let ScriptedEvent::Burst { tick, workloads, .. } = &scenario.events[e] else {
            return Ok(());
        };
        let groups = scenario.workloads.iter().map(|group| group.name.as_str());
        for (w, name) in workloads.iter().enumerate() {
            let is_group = groups.clone().any(|group| group == name);
            if !is_group && !known.workloads.contains_key(name) {
                let names = groups.chain(known.workloads.keys().map(String::as_str));
                let hint = nearest_hint(name, names);
                let expected = format!("the name of a workload group or of a workload{hint}");
                let field = format!("events[{e}].workloads[{w}]");
                return self.fail(&field, expected, format!("{name:?}"));
            }
        }
        for (g, group) in scenario.workloads.iter().enumerate() {
            let bursts = |names: &[String]| {
                let is_member = |name: &String| known.workloads.get(name) == Some(&g);
                let is_named = |name: &String| *name == group.name || is_member(name);
                names.is_empty() || names.iter().any(is_named)
            };
            if !bursts(workloads) {
                continue;
            }
            let factors = scenario.events.iter().map(|other| match other {
                ScriptedEvent::Burst { tick: from, ticks, factor, workloads, .. }
                    if (*from..from.saturating_add(*ticks)).contains(tick) && bursts(workloads) =>
                {
                    factor.max(1.0)
                }
                _ => 1.0,
            });
            if let Some(peak) = misfit(scenario, group, factors.product()) {
                let got = format!("{peak} of {:?}", group.name);
                let expected = "a node that can hold each workload at its peak";
                return self.fail(&format!("events[{e}].factor"), expected, got);
            }
        }
        Ok(())
    }

    /// The group takes arrivals by events, and has a place for everybody.
    fn arrive(&self, scenario: &Scenario, at: &str, tick: u32, name: &str) -> Checked {
        let groups = scenario.workloads.iter().filter(|group| group.comes_by_events());
        let Some(group) = groups.clone().find(|group| group.name == name) else {
            let hint = nearest_hint(name, groups.map(|group| group.name.as_str()));
            let expected =
                format!("the name of a workload group with arrivals of kind \"events\"{hint}");
            return self.fail(&format!("{at}.group"), expected, format!("{name:?}"));
        };
        let here = scenario.events.iter().map(|event| match event {
            ScriptedEvent::Arrive { tick: from, group, count, ticks }
                if group == name && (*from..=departure(*from, *ticks)).contains(&tick) =>
            {
                u64::from(*count)
            }
            _ => 0,
        });
        let (here, most) = (here.sum::<u64>(), group.count);
        let expected = format!(
            "at most {most} workloads of {name:?} at tick {tick}, the group's count (who leaves \
             frees a place a tick later)"
        );
        self.require(here <= u64::from(most), &format!("{at}.count"), &expected, here)
    }

    /// No two events say what becomes of a node at a time, and who recovers was out.
    fn outages(&self, events: &[ScriptedEvent]) -> Checked {
        let mut absences = absences(events);
        absences.sort_by_key(|absence| (absence.node, absence.from, absence.event));
        for pair in absences.windows(2) {
            let [first, second] = [&pair[0], &pair[1]];
            let holds = first.node != second.node || first.back < second.from;
            let field = format!("events[{}].tick", second.event);
            let got = match second.off - second.from {
                0 => second.off.to_string(),
                notice => format!("{} with a notice of {notice}", second.off),
            };
            let expected = match first.back {
                u32::MAX => format!(
                    "no event of {:?} after events[{}], which has no end",
                    first.node, first.event
                ),
                back => format!(
                    "a tick that leaves {:?} healthy after events[{}], which ends at {back}",
                    first.node, first.event
                ),
            };
            self.require(holds, &field, &expected, got)?;
        }
        for (e, event) in events.iter().enumerate() {
            let ScriptedEvent::Recover { tick, node } = event else { continue };
            let ends = |absence: &Absence| {
                absence.is_open && absence.node == node && absence.back == *tick
            };
            let out = absences.iter().any(ends);
            let expected =
                format!("a tick after that of a drain or fail without ticks of {node:?}");
            self.require(out, &format!("events[{e}].tick"), &expected, tick)?;
        }
        Ok(())
    }
}
