//! What a snapshot must satisfy beyond its types. The first offence is reported.

use super::{MAX_CLASSES, MAX_ENTITIES, MAX_NAME_BYTES, SNAPSHOT_FORMAT, Snapshot};
use crate::input::InputError;
use crate::resources::MAX_RESOURCES;
use std::collections::{HashMap, HashSet};
use std::fmt::Display;

/// Largest supply or demand. With [`MOST_LOAD`] it keeps every load, and every sum of squares of
/// loads, within what f32 holds, wherever the workloads go.
const MOST_AMOUNT: f32 = 1e15;

/// Largest load of a node with all workloads of the cluster on it, per resource.
const MOST_LOAD: f64 = 1e15;

/// Smallest supply that is not 0.
const LEAST_SUPPLY: f32 = 1e-15;

/// Largest of the other numbers: with it, what all migrations of a plan cost stays finite.
const MOST: f32 = 1e12;

/// The checks, and what their errors call the snapshot.
pub(super) struct Check<'a> {
    pub(super) file: &'a str,
    /// Resource kinds, m.
    pub(super) kinds: usize,
}

impl Check<'_> {
    fn require(
        &self,
        holds: bool,
        field: impl Display,
        expected: impl Display,
        got: impl Display,
    ) -> Result<(), InputError> {
        // Only an offence is put into words: most snapshots have none, and many fields.
        if holds {
            return Ok(());
        }
        let [field, expected, got] = [field.to_string(), expected.to_string(), got.to_string()];
        Err(InputError::field(self.file, field, expected, got))
    }

    fn name<'n>(
        &self,
        field: impl Display + Copy,
        name: &'n str,
        seen: &mut HashSet<&'n str>,
    ) -> Result<(), InputError> {
        self.label(field, name)?;
        self.require(seen.insert(name), field, "a name of its own", format_args!("{name:?} again"))
    }

    /// What people read, and others may have, too.
    fn label(&self, field: impl Display + Copy, name: &str) -> Result<(), InputError> {
        self.short(field, name)?;
        let usable = !name.trim().is_empty() && !name.contains(char::is_control);
        self.require(usable, field, "a name on one line", format_args!("{name:?}"))
    }

    /// Any name, before it is looked up or told.
    fn short(&self, field: impl Display, name: &str) -> Result<(), InputError> {
        let expected = format_args!("a name of at most {MAX_NAME_BYTES} bytes");
        let got = format_args!("one of {} bytes", name.len());
        self.require(name.len() <= MAX_NAME_BYTES, field, expected, got)
    }

    fn number(&self, field: impl Display + Copy, x: f32) -> Result<(), InputError> {
        self.at_most(MOST, field, x)
    }

    fn at_most(&self, most: f32, field: impl Display + Copy, x: f32) -> Result<(), InputError> {
        self.require(x.is_finite() && x >= 0.0, field, "a finite number, 0 or more", x)?;
        self.require(x <= most, field, format_args!("at most {most:e}"), format_args!("{x:e}"))
    }

    fn vector(&self, field: impl Display + Copy, vector: &[f32]) -> Result<(), InputError> {
        let expected = format_args!("{} numbers, one per resource", self.kinds);
        self.require(vector.len() == self.kinds, field, expected, vector.len())?;
        match vector.iter().position(|x| !(0.0..=MOST_AMOUNT).contains(x)) {
            Some(j) => self.at_most(MOST_AMOUNT, format_args!("{field}[{j}]"), vector[j]),
            None => Ok(()),
        }
    }

    pub(super) fn snapshot(&self, snapshot: &Snapshot) -> Result<(), InputError> {
        let format = format_args!("{:?}", snapshot.format);
        self.require(
            snapshot.format == SNAPSHOT_FORMAT,
            "format",
            format_args!("{SNAPSHOT_FORMAT:?}"),
            format,
        )?;
        let expected = format_args!("1 to {MAX_RESOURCES} names");
        self.require((1..=MAX_RESOURCES).contains(&self.kinds), "resources", expected, self.kinds)?;
        if let Some(time) = snapshot.taken_at_s {
            let sound = time.is_finite() && time >= 0.0;
            self.require(sound, "taken_at_s", "a finite number, 0 or more", time)?;
        }
        let mut seen = HashSet::new();
        for (j, name) in snapshot.resources.iter().enumerate() {
            self.name(format_args!("resources[{j}]"), name, &mut seen)?;
        }
        let most = MAX_ENTITIES;
        let (n, k) = (snapshot.nodes.len(), snapshot.workloads.len());
        self.require((1..=most).contains(&n), "nodes", format_args!("1 to {most} nodes"), n)?;
        self.require(k <= most, "workloads", format_args!("at most {most} workloads"), k)?;

        let mut nodes = HashSet::with_capacity(n);
        for (i, node) in snapshot.nodes.iter().enumerate() {
            let at = format_args!("nodes[{i}]");
            self.name(format_args!("{at}.name"), &node.name, &mut nodes)?;
            self.label(format_args!("{at}.class"), &node.class)?;
            self.short(format_args!("{at}.zone"), &node.zone)?;
            self.vector(format_args!("{at}.supply"), &node.supply)?;
            let tiny = |supply: &f32| *supply > 0.0 && *supply < LEAST_SUPPLY;
            if let Some(j) = node.supply.iter().position(tiny) {
                let expected = format_args!("0, or at least {LEAST_SUPPLY:e}");
                let got = format_args!("{:e}", node.supply[j]);
                self.require(false, format_args!("{at}.supply[{j}]"), expected, got)?;
            }
            let positive = node.bandwidth_gib_s.is_finite() && node.bandwidth_gib_s > 0.0;
            let field = format_args!("{at}.bandwidth_gib_s");
            self.require(positive, field, "a finite number above 0", node.bandwidth_gib_s)?;
            self.number(field, node.bandwidth_gib_s)?;
            self.number(format_args!("{at}.metrics_age_s"), node.metrics_age_s)?;
        }
        let classes: HashSet<&str> =
            snapshot.nodes.iter().map(|node| node.class.as_str()).collect();
        let expected = format_args!("at most {MAX_CLASSES} node classes");
        self.require(classes.len() <= MAX_CLASSES, "nodes", expected, classes.len())?;
        self.workloads(snapshot, &nodes)?;
        self.loads(snapshot)?;
        self.transfers(snapshot, &nodes)?;
        self.budgets(snapshot)?;
        self.reassignment(snapshot)
    }

    fn workloads(&self, snapshot: &Snapshot, nodes: &HashSet<&str>) -> Result<(), InputError> {
        let mut names = HashSet::with_capacity(snapshot.workloads.len());
        let horizons =
            snapshot.workloads.iter().map(|workload| workload.forecast.len()).max().unwrap_or(0);
        for (k, workload) in snapshot.workloads.iter().enumerate() {
            let at = format_args!("workloads[{k}]");
            self.name(format_args!("{at}.name"), &workload.name, &mut names)?;
            for (c, class) in workload.classes.iter().enumerate() {
                self.short(format_args!("{at}.classes[{c}]"), class)?;
            }
            for (i, node) in workload.nodes.iter().enumerate() {
                self.short(format_args!("{at}.nodes[{i}]"), node)?;
            }
            let spread = workload.spread.as_ref();
            let max_skew = spread.map_or(1, |spread| spread.max_skew);
            let field = format_args!("{at}.spread.max_skew");
            self.require(max_skew >= 1, field, "a whole number, 1 or more", max_skew)?;
            let spread = spread.map(|spread| spread.group.as_str());
            for (field, name) in [
                ("anti_affinity", workload.anti_affinity.as_deref()),
                ("spread.group", spread),
                ("zone_anti_affinity", workload.zone_anti_affinity.as_deref()),
                ("tenant", workload.tenant.as_deref()),
                ("disruption_group", workload.disruption_group.as_deref()),
            ] {
                self.short(format_args!("{at}.{field}"), name.unwrap_or_default())?;
            }
            if let Some(node) = workload.node.as_deref() {
                let field = format_args!("{at}.node");
                self.short(field, node)?;
                let known = nodes.contains(node);
                self.require(known, field, "the name of a node", format_args!("{node:?}"))?;
            }
            self.vector(format_args!("{at}.demand"), &workload.demand)?;
            self.number(format_args!("{at}.state_gib"), workload.state_gib)?;
            self.number(format_args!("{at}.dirty_gib_s"), workload.dirty_gib_s)?;
            self.number(format_args!("{at}.priority"), workload.priority)?;
            let (field, given) = (format_args!("{at}.forecast"), workload.forecast.len());
            let expected = format_args!("{horizons} horizons, as for other workloads, or none");
            self.require(given == 0 || given == horizons, field, expected, given)?;
            for (h, demand) in workload.forecast.iter().enumerate() {
                self.vector(format_args!("{field}[{h}]"), demand)?;
            }
        }
        Ok(())
    }

    /// Demands and supplies are in the same unit, or so it seems.
    fn loads(&self, snapshot: &Snapshot) -> Result<(), InputError> {
        for (j, resource) in snapshot.resources.iter().enumerate() {
            let supplies = snapshot.nodes.iter().map(|node| node.supply[j]);
            let least = supplies.filter(|supply| *supply > 0.0).fold(f32::INFINITY, f32::min);
            let demands = snapshot.workloads.iter().map(|workload| {
                let forecast = workload.forecast.iter().map(|demand| demand[j]);
                f64::from(forecast.fold(workload.demand[j], f32::max))
            });
            let total: f64 = demands.sum();
            let expected = format_args!(
                "a total demand for {resource:?} of at most {MOST_LOAD:e} times the smallest \
                 supply, {least:e}"
            );
            let bounded = total <= MOST_LOAD * f64::from(least);
            self.require(bounded, "workloads", expected, format_args!("{total:e}"))?;
        }
        Ok(())
    }

    /// The instance is sound and speaks of the same cluster.
    fn reassignment(&self, snapshot: &Snapshot) -> Result<(), InputError> {
        let Some(problem) = &snapshot.machine_reassignment else { return Ok(()) };
        let instance = problem.instance(self.file)?;
        for (what, field, there, here) in [
            ("resources", "resources", instance.resources().len(), self.kinds),
            ("machines", "nodes", instance.machines().len(), snapshot.nodes.len()),
            ("processes", "workloads", instance.processes().len(), snapshot.workloads.len()),
        ] {
            let expected = format_args!("{there}, as machine_reassignment.model has {what}");
            self.require(here == there, field, expected, here)?;
        }
        let same = |vector: &[f32], numbers: &[i64]| {
            vector.iter().zip(numbers).position(|(&here, &there)| here != there as f32)
        };
        for (i, node) in snapshot.nodes.iter().enumerate() {
            if let Some(j) = same(&node.supply, instance.capacity(i)) {
                let expected = format_args!("{}, as in the model", instance.capacity(i)[j]);
                self.require(
                    false,
                    format_args!("nodes[{i}].supply[{j}]"),
                    expected,
                    node.supply[j],
                )?;
            }
        }
        for (k, workload) in snapshot.workloads.iter().enumerate() {
            let field = format_args!("workloads[{k}].node");
            self.require(workload.node.is_some(), field, "a node, as in the model", "none")?;
            if let Some(j) = same(&workload.demand, instance.requirement(k)) {
                let field = format_args!("workloads[{k}].demand[{j}]");
                let expected = format_args!("{}, as in the model", instance.requirement(k)[j]);
                self.require(false, field, expected, workload.demand[j])?;
            }
        }
        Ok(())
    }

    fn budgets(&self, snapshot: &Snapshot) -> Result<(), InputError> {
        let mut seen = HashSet::new();
        for (at, budget) in snapshot.disruption_budgets.iter().enumerate() {
            self.name(format_args!("disruption_budgets[{at}].group"), &budget.group, &mut seen)?;
        }
        Ok(())
    }

    fn transfers(&self, snapshot: &Snapshot, nodes: &HashSet<&str>) -> Result<(), InputError> {
        if snapshot.transfers.is_empty() {
            return Ok(());
        }
        let destination: HashMap<&str, &str> = snapshot
            .workloads
            .iter()
            .filter_map(|workload| Some((workload.name.as_str(), workload.node.as_deref()?)))
            .collect();
        let mut seen = HashSet::new();
        for (t, transfer) in snapshot.transfers.iter().enumerate() {
            let at = format_args!("transfers[{t}]");
            self.short(format_args!("{at}.workload"), &transfer.workload)?;
            self.short(format_args!("{at}.source"), &transfer.source)?;
            let (field, name) =
                (format_args!("{at}.workload"), format_args!("{:?}", transfer.workload));
            let to = destination.get(transfer.workload.as_str());
            self.require(to.is_some(), field, "the name of a workload on a node", name)?;
            self.require(
                seen.insert(&transfer.workload),
                field,
                "one transfer per workload",
                format_args!("{name} again"),
            )?;
            let (field, source) =
                (format_args!("{at}.source"), format_args!("{:?}", transfer.source));
            self.require(
                nodes.contains(transfer.source.as_str()),
                field,
                "the name of a node",
                source,
            )?;
            let moves = to != Some(&transfer.source.as_str());
            self.require(
                moves,
                field,
                "another node than the workload's node, its destination",
                source,
            )?;
            self.number(format_args!("{at}.remaining_s"), transfer.remaining_s)?;
        }
        Ok(())
    }
}
