//! Checks of node and workload groups, and of the placements that they list.

use super::{Check, Checked};
use crate::episode::churn::Arrivals;
use crate::input::{nearest, nearest_hint};
use crate::scenario::{
    Amount, DemandProcess, Mode, NodeGroup, Rules, Scenario, StartPlacement, WorkloadGroup,
};
use crate::snapshot::MAX_CLASSES;
use crate::state::outlook::fits;
use crate::state::term::Term;
use std::collections::{BTreeMap, HashMap, HashSet};

/// The name of a group's `index`-th member: groups of one keep the plain name.
fn member_name(group: &str, count: u32, index: u32) -> String {
    if count == 1 { group.to_owned() } else { format!("{group}-{index}") }
}

/// Whether a workload of this group may run on one of these nodes, as far as their names say.
fn allows_some(group: &WorkloadGroup, nodes: &NodeGroup) -> bool {
    let is_named = |name: &String| group.nodes.contains(name);
    group.nodes.is_empty()
        || is_named(&nodes.name)
        || (0..nodes.count).any(|copy| is_named(&member_name(&nodes.name, nodes.count, copy)))
}

/// Most that a workload of this group may want of a resource, noise aside (noise has no bound), while
/// events multiply its demand by `burst`.
fn peak_demand(group: &WorkloadGroup, resource: &str, burst: f32) -> f32 {
    let base = group.demand.get(resource).map_or(0.0, |amount| amount.bounds().1);
    let (resources, most): (&[String], f32) = match &group.process {
        DemandProcess::Constant => (&[], 1.0),
        DemandProcess::Diurnal { amplitude, resources, .. } => {
            (resources, 1.0 + amplitude.bounds().1)
        }
        DemandProcess::Bursty { peak, resources, .. } => (resources, peak.bounds().1.max(1.0)),
        DemandProcess::Trace { series, resources } => {
            (resources, series.iter().flatten().copied().fold(1.0, f32::max))
        }
    };
    let follows = resources.is_empty() || resources.iter().any(|name| name == resource);
    if follows { base * (most * burst) } else { base }
}

/// The most that a workload of a group may want, while events multiply its demand by `burst`, where no
/// node could hold it, were it empty.
pub(super) fn misfit(scenario: &Scenario, group: &WorkloadGroup, burst: f32) -> Option<String> {
    let holds = |node: &NodeGroup| {
        (group.classes.is_empty() || group.classes.contains(&node.class))
            && allows_some(group, node)
            && group.demand.keys().all(|resource| {
                fits(
                    0.0,
                    peak_demand(group, resource, burst),
                    node.supply.get(resource).copied().unwrap_or(0.0),
                )
            })
    };
    if scenario.nodes.iter().any(holds) {
        return None;
    }
    let demand: Vec<String> = group
        .demand
        .keys()
        .map(|resource| format!("{resource} = {}", peak_demand(group, resource, burst)))
        .collect();
    Some(format!("a peak demand of {{{}}}", demand.join(", ")))
}

impl Check<'_> {
    pub(super) fn groups(&self, scenario: &Scenario) -> Checked {
        let (nodes, workloads) = (&scenario.nodes, &scenario.workloads);
        // Totals first: expanding the names of a group of four billion would take all memory.
        self.total("nodes", "nodes", nodes.iter().map(|group| u64::from(group.count)).sum())?;
        self.total(
            "workloads",
            "workloads",
            workloads.iter().map(|group| u64::from(group.count)).sum(),
        )?;
        let node_of =
            self.members("nodes", nodes.iter().map(|group| (group.name.as_str(), group.count)))?;
        self.members(
            "workloads",
            workloads.iter().map(|group| (group.name.as_str(), group.count)),
        )?;

        let classes: HashSet<&str> = nodes.iter().map(|group| group.class.as_str()).collect();
        let expected = format!("at most {MAX_CLASSES} node classes");
        self.require(classes.len() <= MAX_CLASSES, "nodes", &expected, classes.len())?;
        for (g, group) in nodes.iter().enumerate() {
            self.node_group(&scenario.rules, &format!("nodes[{g}]"), group)?;
        }
        for (g, group) in workloads.iter().enumerate() {
            self.workload_group(&scenario.rules, &format!("workloads[{g}]"), group)?;
            if let DemandProcess::Trace { series, .. } = &group.process {
                self.series(scenario, &format!("workloads[{g}].process.series"), series)?;
            }
            if let Some(arrivals) = &group.arrivals {
                self.arrivals(
                    scenario,
                    &format!("workloads[{g}].arrivals"),
                    arrivals,
                    group.count,
                )?;
            }
            for (c, class) in group.classes.iter().enumerate() {
                let field = format!("workloads[{g}].classes[{c}]");
                let known = classes.contains(class.as_str());
                let hint = nearest_hint(class, classes.iter().copied());
                let expected = format!("the class of a node{hint}");
                self.require(known, &field, &expected, format!("{class:?}"))?;
            }
            self.places(scenario, g, &node_of)?;
            if let Some(got) = misfit(scenario, group, 1.0) {
                return self.fail(&format!("workloads[{g}]"), "a node that can hold it", got);
            }
        }
        self.anti_affinity(scenario)?;
        self.zone_anti_affinity(scenario)?;
        self.listed(scenario, &node_of)?;
        self.listed_places(scenario, &node_of)
    }

    /// Index of the group of each member name; names are unique.
    pub(super) fn members<'a>(
        &self,
        what: &str,
        groups: impl Iterator<Item = (&'a str, u32)>,
    ) -> Checked<BTreeMap<String, usize>> {
        let mut members = BTreeMap::new();
        for (g, (name, count)) in groups.enumerate() {
            let field = format!("{what}[{g}].name");
            self.name(&field, name)?;
            self.at_least_one(&format!("{what}[{g}].count"), count)?;
            for index in 0..count {
                let member = member_name(name, count, index);
                let got = format!("{member:?} again");
                self.require(
                    members.insert(member, g).is_none(),
                    &field,
                    "a name of its own",
                    got,
                )?;
            }
        }
        Ok(members)
    }

    fn node_group(&self, rules: &Rules, at: &str, group: &NodeGroup) -> Checked {
        self.name(&format!("{at}.class"), &group.class)?;
        for (resource, &supply) in &group.supply {
            let field = format!("{at}.supply.{resource}");
            self.resource(rules, &field, resource)?;
            self.non_negative(&field, supply)?;
        }
        let any = group.supply.values().any(|supply| *supply > 0.0);
        self.require(
            any,
            &format!("{at}.supply"),
            "a supply above 0 of at least one resource",
            "none",
        )?;
        if let Some(most) = group.max_workloads {
            self.at_least_one(&format!("{at}.max_workloads"), most)?;
        }
        self.positive(&format!("{at}.bandwidth_gib_s"), group.bandwidth_gib_s)
    }

    fn workload_group(&self, rules: &Rules, at: &str, group: &WorkloadGroup) -> Checked {
        for (resource, &amount) in &group.demand {
            let field = format!("{at}.demand.{resource}");
            self.resource(rules, &field, resource)?;
            self.amount(&field, amount, 0.0, f32::MAX)?;
        }
        self.amount(&format!("{at}.state_gib"), group.state_gib, 0.0, f32::MAX)?;
        self.non_negative(&format!("{at}.dirty_gib_s"), group.dirty_gib_s)?;
        self.non_negative(&format!("{at}.priority"), group.priority)?;
        if let Some(name) = &group.anti_affinity {
            self.name(&format!("{at}.anti_affinity"), name)?;
        }
        let (period_ticks, amplitude, phase, noise, persistence, resources) = match &group.process {
            DemandProcess::Constant => return Ok(()),
            DemandProcess::Bursty { peak, start_per_tick, stop_per_tick, resources } => {
                self.amount(&format!("{at}.process.peak"), *peak, 0.0, 100.0)?;
                for (name, chance) in
                    [("start_per_tick", start_per_tick), ("stop_per_tick", stop_per_tick)]
                {
                    let holds = *chance > 0.0 && *chance <= 1.0;
                    let field = format!("{at}.process.{name}");
                    self.require(holds, &field, "a chance above 0, up to 1", chance)?;
                }
                for (r, name) in resources.iter().enumerate() {
                    self.resource(rules, &format!("{at}.process.resources[{r}]"), name)?;
                }
                return Ok(());
            }
            DemandProcess::Trace { resources, .. } => {
                for (r, name) in resources.iter().enumerate() {
                    self.resource(rules, &format!("{at}.process.resources[{r}]"), name)?;
                }
                return Ok(());
            }
            DemandProcess::Diurnal {
                period_ticks,
                amplitude,
                phase,
                noise,
                persistence,
                resources,
            } => (period_ticks, amplitude, phase, noise, persistence, resources),
        };
        self.at_least_one(&format!("{at}.process.period_ticks"), *period_ticks)?;
        self.amount(&format!("{at}.process.amplitude"), *amplitude, 0.0, 10.0)?;
        self.amount(&format!("{at}.process.phase"), *phase, -1.0, 1.0)?;
        self.amount(&format!("{at}.process.noise"), Amount::Fixed(*noise), 0.0, 1.0)?;
        let carried = (0.0..1.0).contains(persistence);
        self.require(
            carried,
            &format!("{at}.process.persistence"),
            "a share from 0 to below 1",
            persistence,
        )?;
        for (r, name) in resources.iter().enumerate() {
            self.resource(rules, &format!("{at}.process.resources[{r}]"), name)?;
        }
        Ok(())
    }

    /// Recorded factors that last for every episode.
    fn series(&self, scenario: &Scenario, at: &str, series: &[Vec<f32>]) -> Checked {
        self.require(!series.is_empty(), at, "at least one series", "none")?;
        let needed = match &scenario.start.windows {
            Some(windows) => windows.train[1].max(windows.evaluate[1]),
            None => scenario.rules.episode.ticks.saturating_add(1),
        };
        for (s, factors) in series.iter().enumerate() {
            let field = format!("{at}[{s}]");
            let expected = format!("at least {needed} ticks, which episodes may play");
            self.require(factors.len() >= needed as usize, &field, &expected, factors.len())?;
            for (t, factor) in factors.iter().enumerate() {
                let holds = (0.0..=100.0).contains(factor);
                self.require(holds, &format!("{field}[{t}]"), "a number from 0 to 100", factor)?;
            }
        }
        Ok(())
    }

    fn arrivals(&self, scenario: &Scenario, at: &str, arrivals: &Arrivals, count: u32) -> Checked {
        let rules = &scenario.rules;
        let online = rules.episode.mode == Mode::Online;
        self.require(online, at, "none, as rules.episode.mode is \"rebalance\"", "arrivals")?;
        let field = "rules.objective.weights.unplaced";
        let weight = rules.objective.weights.contains_key(Term::Unplaced.name());
        self.require(weight, field, "a weight (0 to watch only), as there are arrivals", "none")?;
        match arrivals {
            Arrivals::Poisson { per_tick, lifetime_ticks, sigma, start } => {
                let holds = (0.0..=1000.0).contains(per_tick);
                let field = format!("{at}.per_tick");
                self.require(holds, &field, "a number from 0 to 1000", per_tick)?;
                let holds = (1.0..=1e6).contains(lifetime_ticks);
                let field = format!("{at}.lifetime_ticks");
                self.require(holds, &field, "a number from 1 to 1000000", lifetime_ticks)?;
                let holds = (0.0..=5.0).contains(sigma);
                self.require(holds, &format!("{at}.sigma"), "a number from 0 to 5", sigma)?;
                let expected = format!("at most the group's count ({count})");
                self.require(*start <= count, &format!("{at}.start"), &expected, start)
            }
            Arrivals::Events => Ok(()),
            Arrivals::Trace { arrives, departs } => {
                if scenario.start.windows.is_some() {
                    let field = format!("{at}.arrives");
                    let expected = "ascending ticks, as there are start.windows";
                    self.require(
                        arrives.is_sorted(),
                        &field,
                        expected,
                        "a tick below its precursor",
                    )?;
                    let expected = format!("as many ticks as arrives has ({})", arrives.len());
                    let (field, holds) = (format!("{at}.departs"), departs.len() == arrives.len());
                    self.require(holds, &field, &expected, departs.len())?;
                } else {
                    for (name, ticks) in [("arrives", arrives), ("departs", departs)] {
                        let expected = format!("one tick for each of the {count} workloads");
                        let holds = ticks.len() == count as usize;
                        self.require(holds, &format!("{at}.{name}"), &expected, ticks.len())?;
                    }
                }
                for (k, (arrives, departs)) in arrives.iter().zip(departs).enumerate() {
                    let expected = format!("a tick above that of the arrival ({arrives})");
                    let field = format!("{at}.departs[{k}]");
                    self.require(departs > arrives, &field, &expected, departs)?;
                }
                Ok(())
            }
        }
    }

    /// Whether there is a node for each workload of an anti-affinity group that is there from the
    /// start. Those that come and go need not be there at the same time.
    fn anti_affinity(&self, scenario: &Scenario) -> Checked {
        let nodes_for = |classes: &dyn Fn(&str) -> bool| -> u64 {
            let open = scenario.nodes.iter().filter(|node| classes(&node.class));
            open.map(|node| u64::from(node.count)).sum()
        };
        let allows = |group: &WorkloadGroup, class: &str| {
            group.classes.is_empty() || group.classes.iter().any(|allowed| allowed == class)
        };
        let workloads = || scenario.workloads.iter().filter(|group| group.arrivals.is_none());
        for (g, group) in scenario.workloads.iter().enumerate() {
            let Some(name) = group.anti_affinity.as_ref().filter(|_| group.arrivals.is_none())
            else {
                continue;
            };
            let members: Vec<&WorkloadGroup> =
                workloads().filter(|other| other.anti_affinity.as_ref() == Some(name)).collect();
            let all: u64 = members.iter().map(|member| u64::from(member.count)).sum();
            let any = nodes_for(&|class| members.iter().any(|member| allows(member, class)));
            let own = nodes_for(&|class| allows(group, class));
            for (count, nodes) in [(u64::from(group.count), own), (all, any)] {
                let expected = format!(
                    "at most {nodes} workloads in anti-affinity group {name:?}, one for each node \
                     that they may be on"
                );
                let field = format!("workloads[{g}].anti_affinity");
                self.require(count <= nodes, &field, &expected, count)?;
            }
        }
        Ok(())
    }

    /// Placements that the file lists: the nodes exist and can hold what is put there.
    fn listed(&self, scenario: &Scenario, node_of: &BTreeMap<String, usize>) -> Checked {
        let mut held: HashMap<(&str, &str), f32> = HashMap::new();
        let mut spread: HashSet<(&str, &str)> = HashSet::new();
        for (g, group) in scenario.workloads.iter().enumerate() {
            let field = format!("workloads[{g}].node");
            let Some(node) = &group.node else {
                // Who comes later is placed by the scheduler.
                let comes_later = group.comes_later()
                    && (scenario.start.windows.is_none() || group.comes_by_events());
                let needed = scenario.start.placement == StartPlacement::Listed && !comes_later;
                self.require(!needed, &field, "a node, as start.placement is \"listed\"", "none")?;
                continue;
            };
            let Some(&node_group) = node_of.get(node) else {
                let known: Vec<&str> = node_of.keys().map(String::as_str).collect();
                let expected =
                    format!("the name of a node (nearest: {})", nearest(node, &known).join(", "));
                return self.fail(&field, expected, format!("{node:?}"));
            };
            let node_group = &scenario.nodes[node_group];
            let allowed = group.classes.is_empty() || group.classes.contains(&node_group.class);
            let expected = format!("a node of class {}", group.classes.join(" or "));
            self.require(
                allowed,
                &field,
                &expected,
                format!("{node:?} of class {:?}", node_group.class),
            )?;
            if let Some(name) = &group.anti_affinity {
                let alone = spread.insert((node, name)) && group.count == 1;
                let expected =
                    format!("nodes without another workload of anti-affinity group {name:?}");
                self.require(alone, &field, &expected, format!("{node:?} twice"))?;
            }
            // What varies over time may lie below its base at the start: only constant demand counts.
            // Neither do workloads that may not be there.
            if group.process != DemandProcess::Constant || group.arrivals.is_some() {
                continue;
            }
            for (resource, amount) in &group.demand {
                let sum = held.entry((node, resource)).or_default();
                *sum += amount.bounds().1 * group.count as f32;
                let supply = node_group.supply.get(resource).copied().unwrap_or(0.0);
                let expected = format!("at most {supply} {resource} on {node:?}");
                self.require(
                    fits(*sum, 0.0, supply),
                    &field,
                    &expected,
                    format!("a sum of {sum}"),
                )?;
            }
        }
        Ok(())
    }
}
