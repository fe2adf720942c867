//! What a scenario must satisfy beyond its types. The first offence is reported.

use super::load::ScenarioError;
use super::types::{Amount, DemandProcess, NodeGroup, Perturb, Rules, Scenario, WorkloadGroup};
use crate::input::{InputError, nearest};
use crate::objective::Term;
use crate::outlook::fits;
use crate::resources::MAX_RESOURCES;
use crate::snapshot::{MAX_CLASSES, MAX_ENTITIES};
use std::collections::{BTreeMap, HashMap, HashSet};

/// Result of one check.
type Checked<T = ()> = Result<T, InputError>;

impl Scenario {
    /// Checks everything that the types of a scenario do not say. `file` is what errors call it.
    /// Scenarios that were loaded or parsed have passed; call it for those built in code.
    ///
    /// # Errors
    /// The first field that is not allowed, what was expected and what it holds.
    pub fn validate(&self, file: &str) -> Result<(), ScenarioError> {
        let check = Check { file };
        check.name("name", &self.name)?;
        check.rules(&self.rules)?;
        check.start(self)?;
        if self.snapshot.is_none() && self.cluster.is_none() {
            check.groups(self)?;
        } else {
            check.snapshot(self)?;
        }
        Ok(())
    }
}

/// The name of a group's `index`-th member: groups of one keep the plain name.
fn member_name(group: &str, count: u32, index: u32) -> String {
    if count == 1 { group.to_owned() } else { format!("{group}-{index}") }
}

/// Most that a workload of this group may want of a resource, noise aside (noise has no bound).
fn peak_demand(group: &WorkloadGroup, resource: &str) -> f32 {
    let base = group.demand.get(resource).map_or(0.0, |amount| amount.bounds().1);
    match &group.process {
        DemandProcess::Diurnal { amplitude, resources, .. }
            if resources.is_empty() || resources.iter().any(|name| name == resource) =>
        {
            base * (1.0 + amplitude.bounds().1)
        }
        _ => base,
    }
}

struct Check<'a> {
    file: &'a str,
}

impl Check<'_> {
    fn fail<T>(
        &self,
        field: &str,
        expected: impl Into<String>,
        got: impl Into<String>,
    ) -> Checked<T> {
        Err(InputError::field(self.file, field, expected, got))
    }

    fn require(&self, holds: bool, field: &str, expected: &str, got: impl ToString) -> Checked {
        if holds { Ok(()) } else { self.fail(field, expected, got.to_string()) }
    }

    fn name(&self, field: &str, name: &str) -> Checked {
        self.require(!name.trim().is_empty(), field, "a name", "an empty one")?;
        self.require(
            !name.contains(char::is_control),
            field,
            "a name on one line",
            format!("{name:?}"),
        )
    }

    fn non_negative(&self, field: &str, x: f32) -> Checked {
        self.require(x.is_finite() && x >= 0.0, field, "a finite number, 0 or more", x)
    }

    fn positive(&self, field: &str, x: f32) -> Checked {
        self.require(x.is_finite() && x > 0.0, field, "a finite number above 0", x)
    }

    fn at_least_one(&self, field: &str, x: u32) -> Checked {
        self.require(x >= 1, field, "1 or more", x)
    }

    /// A finite, ordered amount within `[least, most]`.
    fn amount(&self, field: &str, amount: Amount, least: f32, most: f32) -> Checked {
        let (low, high) = amount.bounds();
        for x in [low, high] {
            if !(x.is_finite() && (least..=most).contains(&x)) {
                let expected = match most {
                    f32::MAX => format!("finite numbers, {least} or more"),
                    _ => format!("numbers from {least} to {most}"),
                };
                return self.fail(field, expected, x.to_string());
            }
        }
        self.require(low <= high, field, "a range [least, most]", format!("[{low}, {high}]"))
    }

    fn resource(&self, rules: &Rules, field: &str, name: &str) -> Checked {
        let known: Vec<&str> = rules.resources.iter().map(|kind| kind.name.as_str()).collect();
        let expected = format!("one of the scenario's resources ({})", known.join(", "));
        self.require(known.contains(&name), field, &expected, format!("{name:?}"))
    }

    fn rules(&self, rules: &Rules) -> Checked {
        let kinds = &rules.resources;
        let expected = format!("1 to {MAX_RESOURCES} resource kinds");
        self.require(
            (1..=MAX_RESOURCES).contains(&kinds.len()),
            "rules.resources",
            &expected,
            kinds.len(),
        )?;
        let mut seen = HashSet::new();
        for (j, kind) in kinds.iter().enumerate() {
            let field = format!("rules.resources[{j}].name");
            self.name(&field, &kind.name)?;
            self.require(
                seen.insert(&kind.name),
                &field,
                "a name of its own",
                format!("{:?} again", kind.name),
            )?;
        }

        self.positive("rules.episode.tick_s", rules.episode.tick_s)?;
        self.at_least_one("rules.episode.ticks", rules.episode.ticks)?;
        self.at_least_one("rules.episode.moves_per_tick", rules.episode.moves_per_tick)?;
        self.at_least_one("rules.episode.move_budget", rules.episode.move_budget)?;

        self.non_negative("rules.migration.downtime_target_s", rules.migration.downtime_target_s)?;
        self.non_negative("rules.migration.switch_over_s", rules.migration.switch_over_s)?;
        self.at_least_one("rules.limits.transfers_per_node", rules.limits.transfers_per_node)?;
        self.at_least_one("rules.limits.transfers_in_flight", rules.limits.transfers_in_flight)?;
        self.require(
            rules.candidates.max >= 2,
            "rules.candidates.max",
            "2 or more",
            rules.candidates.max,
        )?;
        self.objective(rules)?;
        self.forecast(rules)
    }

    fn objective(&self, rules: &Rules) -> Checked {
        let objective = &rules.objective;
        let terms: Vec<&str> = Term::ALL.iter().map(|term| term.name()).collect();
        for (name, &weight) in &objective.weights {
            let field = format!("rules.objective.weights.{name}");
            if Term::from_name(name).is_none() {
                let expected = format!("a term ({})", terms.join(", "));
                return self.fail(&field, expected, format!("{name:?}"));
            }
            self.non_negative(&field, weight)?;
        }
        let any = objective.weights.values().any(|weight| *weight > 0.0);
        self.require(any, "rules.objective.weights", "at least one weight above 0", "none")?;
        let paid =
            objective.weights.get(Term::Fragmentation.name()).is_some_and(|weight| *weight > 0.0);
        match &objective.slot {
            Some(slot) => {
                self.resource(rules, "rules.objective.slot.resource", &slot.resource)?;
                self.positive("rules.objective.slot.size", slot.size)
            }
            None => self.require(
                !paid,
                "rules.objective.slot",
                "a slot, as fragmentation has a weight",
                "none",
            ),
        }
    }

    fn forecast(&self, rules: &Rules) -> Checked {
        let horizons = &rules.forecast.horizons;
        let field = "rules.forecast.horizons";
        self.require(
            !horizons.contains(&0),
            field,
            "horizons of 1 tick or more",
            format!("{horizons:?}"),
        )?;
        self.require(
            horizons.is_sorted_by(|a, b| a < b),
            field,
            "ascending horizons",
            format!("{horizons:?}"),
        )?;
        let period = rules.forecast.period_ticks;
        let seasonal = horizons.is_empty() || period > 0;
        self.require(
            seasonal,
            "rules.forecast.period_ticks",
            "1 or more, as there are horizons",
            period,
        )
    }

    fn start(&self, scenario: &Scenario) -> Checked {
        match &scenario.start.perturb {
            None => Ok(()),
            Some(Perturb { moves: Some([least, most]), replace_share: None }) => self.require(
                least <= most && *most >= 1,
                "start.perturb.moves",
                "a range [least, most] with most at least 1",
                format!("[{least}, {most}]"),
            ),
            Some(Perturb { moves: None, replace_share: Some(share) }) => self.require(
                *share > 0.0 && *share <= 1.0,
                "start.perturb.replace_share",
                "a share above 0, up to 1",
                share,
            ),
            Some(Perturb { moves, .. }) => self.fail(
                "start.perturb",
                "exactly one of moves and replace_share",
                if moves.is_some() { "both" } else { "neither" },
            ),
        }
    }

    fn snapshot(&self, scenario: &Scenario) -> Checked {
        for (field, given) in
            [("nodes", scenario.nodes.len()), ("workloads", scenario.workloads.len())]
        {
            self.require(
                given == 0,
                field,
                "none, as the snapshot holds them",
                format!("{given} groups"),
            )?;
        }
        let Some(cluster) = &scenario.cluster else {
            return self.fail("snapshot", "a loaded snapshot", "only its path");
        };
        let declared: Vec<&str> =
            scenario.rules.resources.iter().map(|kind| kind.name.as_str()).collect();
        let expected = format!("a snapshot with resources [{}]", declared.join(", "));
        let got = format!("[{}]", cluster.resources.join(", "));
        self.require(cluster.resources == declared, "snapshot", &expected, got)?;
        self.total("snapshot", "workloads", cluster.workloads.len() as u64)
    }

    fn total(&self, field: &str, what: &str, total: u64) -> Checked {
        let expected = format!("1 to {MAX_ENTITIES} {what}");
        self.require((1..=MAX_ENTITIES as u64).contains(&total), field, &expected, total)
    }

    fn groups(&self, scenario: &Scenario) -> Checked {
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
            for (c, class) in group.classes.iter().enumerate() {
                let field = format!("workloads[{g}].classes[{c}]");
                let known = classes.contains(class.as_str());
                self.require(known, &field, "the class of a node", format!("{class:?}"))?;
            }
            self.fits_somewhere(scenario, g)?;
        }
        self.listed(scenario, &node_of)
    }

    /// Index of the group of each member name; names are unique.
    fn members<'a>(
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
        let DemandProcess::Diurnal {
            period_ticks,
            amplitude,
            phase,
            noise,
            persistence,
            resources,
        } = &group.process
        else {
            return Ok(());
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

    /// Whether an empty node could hold the most that a workload of this group may want.
    fn fits_somewhere(&self, scenario: &Scenario, g: usize) -> Checked {
        let group = &scenario.workloads[g];
        let holds = |node: &NodeGroup| {
            (group.classes.is_empty() || group.classes.contains(&node.class))
                && group.demand.keys().all(|resource| {
                    fits(
                        0.0,
                        peak_demand(group, resource),
                        node.supply.get(resource).copied().unwrap_or(0.0),
                    )
                })
        };
        if scenario.nodes.iter().any(holds) {
            return Ok(());
        }
        let demand: Vec<String> = group
            .demand
            .keys()
            .map(|resource| format!("{resource} = {}", peak_demand(group, resource)))
            .collect();
        let got = format!("demand {{{}}}", demand.join(", "));
        self.fail(&format!("workloads[{g}]"), "a node that can hold it", got)
    }

    /// Placements that the file lists: the nodes exist and can hold what is put there.
    fn listed(&self, scenario: &Scenario, node_of: &BTreeMap<String, usize>) -> Checked {
        let mut held: HashMap<(&str, &str), f32> = HashMap::new();
        let mut spread: HashSet<(&str, &str)> = HashSet::new();
        for (g, group) in scenario.workloads.iter().enumerate() {
            let field = format!("workloads[{g}].node");
            let Some(node) = &group.node else {
                let needed = scenario.start.placement == super::types::StartPlacement::Listed;
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
            if group.process != DemandProcess::Constant {
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

#[cfg(test)]
#[path = "validate_tests.rs"]
mod tests;
