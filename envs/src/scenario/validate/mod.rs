//! What a scenario must satisfy beyond its types. The first offence is reported.

mod events;
mod groups;
mod places;
mod terms;

use crate::episode::churn::Arrivals;
use crate::input::{InputError, nearest_hint};
use crate::observe::sections::MOST_HORIZONS;
use crate::resources::MAX_RESOURCES;
use crate::scenario::groups::{Amount, DemandProcess, WorkloadGroup};
use crate::scenario::load::ScenarioError;
use crate::scenario::rules::{MAX_PAYBACK_TICKS, Mode, Rules};
use crate::scenario::types::{Perturb, Scenario, StartPlacement, Windows};
use crate::snapshot::{MAX_ENTITIES, Snapshot};
use crate::state::cluster::Health;
use crate::state::term::Term;
use std::collections::HashSet;

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
            check.reassignment(self, false)?;
        } else {
            check.snapshot(self)?;
        }
        check.events(self)?;
        Ok(())
    }
}

/// The checks, and what their errors call the file.
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
        let hint = nearest_hint(name, known.iter().copied());
        let expected = format!("one of the scenario's resources ({}){hint}", known.join(", "));
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
        // Demand tables hold every tick, and a price is worked out round by round.
        for (field, value, most) in [
            ("rules.episode.ticks", rules.episode.ticks, 1_000_000),
            ("rules.forecast.period_ticks", rules.forecast.period_ticks, 1_000_000),
            ("rules.migration.max_rounds", rules.migration.max_rounds, 1_000),
        ] {
            self.require(value <= most, field, &format!("at most {most}"), value)?;
        }
        self.at_least_one("rules.episode.ticks", rules.episode.ticks)?;
        self.at_least_one("rules.episode.moves_per_tick", rules.episode.moves_per_tick)?;
        self.at_least_one("rules.episode.move_budget", rules.episode.move_budget)?;

        self.non_negative("rules.migration.downtime_target_s", rules.migration.downtime_target_s)?;
        self.non_negative("rules.migration.switch_over_s", rules.migration.switch_over_s)?;
        self.at_least_one("rules.limits.transfers_per_node", rules.limits.transfers_per_node)?;
        self.at_least_one("rules.limits.transfers_in_flight", rules.limits.transfers_in_flight)?;
        self.require(
            (1..=MAX_PAYBACK_TICKS).contains(&rules.limits.payback_ticks),
            "rules.limits.payback_ticks",
            &format!("a number from 1 to {MAX_PAYBACK_TICKS}"),
            rules.limits.payback_ticks,
        )?;
        self.require(
            rules.candidates.max >= 2,
            "rules.candidates.max",
            "2 or more",
            rules.candidates.max,
        )?;
        self.objective(rules)?;
        self.follow_up(rules)?;
        self.chains(rules)?;
        self.faults(rules)?;
        if let Some(shown) = rules.observation {
            self.require(
                shown.horizons <= MOST_HORIZONS,
                "rules.observation.horizons",
                &format!("at most {MOST_HORIZONS}"),
                shown.horizons,
            )?;
        }
        self.forecast(rules)
    }

    fn faults(&self, rules: &Rules) -> Checked {
        let Some(faults) = &rules.faults else { return Ok(()) };
        let online = rules.episode.mode == Mode::Online;
        let expected = "none, as rules.episode.mode is \"rebalance\"";
        self.require(online, "rules.faults", expected, "faults")?;
        for (name, chance, other) in [
            ("degrade_per_tick", faults.degrade_per_tick, faults.drain_per_tick),
            ("drain_per_tick", faults.drain_per_tick, faults.degrade_per_tick),
            ("hazard_per_tick", faults.hazard_per_tick, faults.recover_per_tick),
            ("recover_per_tick", faults.recover_per_tick, faults.hazard_per_tick),
        ] {
            let field = format!("rules.faults.{name}");
            self.require((0.0..=1.0).contains(&chance), &field, "a chance from 0 to 1", chance)?;
            let expected = "a chance that does not exceed 1 with that of the other way out";
            self.require(chance + other <= 1.0, &field, expected, chance)?;
        }
        self.at_least_one("rules.faults.drain_ticks", faults.drain_ticks)?;
        let [least, most] = faults.repair_ticks;
        let holds = 1 <= least && least <= most && most <= 1_000_000;
        let expected = "a range [least, most] of 1 to 1000000 ticks";
        let got = format!("[{least}, {most}]");
        self.require(holds, "rules.faults.repair_ticks", expected, got)?;
        self.require(
            faults.drain_ticks <= 1_000_000,
            "rules.faults.drain_ticks",
            "at most 1000000",
            faults.drain_ticks,
        )?;
        self.non_negative("rules.faults.restart_s", faults.restart_s)
    }

    fn follow_up(&self, rules: &Rules) -> Checked {
        if !rules.candidates.follow_up {
            return Ok(());
        }
        let built_in = [Term::Fragmentation, Term::MachineReassignment].map(Term::name);
        let own = rules.objective.terms.keys().map(String::as_str);
        for name in built_in.into_iter().chain(own) {
            let weight = rules.objective.weights.get(name).copied().unwrap_or(0.0);
            let expected = format!("false, as rules.objective.weights.{name} is above 0");
            self.require(weight == 0.0, "rules.candidates.follow_up", &expected, true)?;
        }
        Ok(())
    }

    fn chains(&self, rules: &Rules) -> Checked {
        let chains = rules.candidates.chains;
        if chains == 0 {
            return Ok(());
        }
        let weight = |term: Term| rules.objective.weights.get(term.name()).copied().unwrap_or(0.0);
        let field = "rules.candidates.chains";
        let online = rules.episode.mode == Mode::Online;
        self.require(!online, field, "0, as rules.episode.mode is \"online\"", chains)?;
        let fragmented = weight(Term::Fragmentation) > 0.0;
        let expected = "0, as rules.objective.weights.fragmentation is 0";
        self.require(fragmented, field, expected, chains)?;
        let reassigned = weight(Term::MachineReassignment) > 0.0;
        let expected = "0, as rules.objective.weights.machine_reassignment is above 0";
        self.require(!reassigned, field, expected, chains)?;
        let most = rules.candidates.max / 2;
        let expected = format!("at most {most}, half of rules.candidates.max");
        self.require(chains <= most, field, &expected, chains)
    }

    fn objective(&self, rules: &Rules) -> Checked {
        let objective = &rules.objective;
        self.own_terms(rules)?;
        let own = objective.terms.keys().map(String::as_str);
        let terms: Vec<&str> =
            Term::built_in().map(|term| -> &str { term.name() }).chain(own).collect();
        for (name, &weight) in &objective.weights {
            let field = format!("rules.objective.weights.{name}");
            if !terms.contains(&name.as_str()) {
                let hint = nearest_hint(name, terms.iter().copied());
                let expected = format!("a term ({}){hint}", terms.join(", "));
                return self.fail(&field, expected, format!("{name:?}"));
            }
            self.non_negative(&field, weight)?;
        }
        if let Some(unit) = objective.unit {
            self.positive("rules.objective.unit", unit)?;
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

    /// Windows hold an episode each, and training shares no tick with evaluation.
    fn windows(&self, scenario: &Scenario) -> Checked {
        let Some(Windows { train, evaluate }) = &scenario.start.windows else { return Ok(()) };
        let trace = |group: &WorkloadGroup| {
            matches!(group.arrivals, Some(Arrivals::Trace { .. }))
                || matches!(group.process, DemandProcess::Trace { .. })
        };
        let expected = "none, as no workload group has arrivals or a process of kind \"trace\"";
        let any = scenario.workloads.iter().any(trace);
        self.require(any, "start.windows", expected, "windows")?;
        let ticks = scenario.rules.episode.ticks;
        for (name, [from, to]) in [("train", train), ("evaluate", evaluate)] {
            let expected = format!("[from, to] with to more than {ticks} ticks above from");
            let holds = to.checked_sub(*from).is_some_and(|length| length > ticks);
            let field = format!("start.windows.{name}");
            self.require(holds, &field, &expected, format!("[{from}, {to}]"))?;
        }
        let apart = train[1] <= evaluate[0] || evaluate[1] <= train[0];
        let expected = format!("a window apart from that of training, {train:?}");
        self.require(apart, "start.windows.evaluate", &expected, format!("{evaluate:?}"))
    }

    fn start(&self, scenario: &Scenario) -> Checked {
        self.windows(scenario)?;
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
        self.reassignment(scenario, cluster.machine_reassignment.is_some())?;
        self.at_rest(cluster)?;
        self.total("snapshot", "workloads", cluster.workloads.len() as u64)
    }

    /// Episodes start with every node healthy and nothing under way: what else a snapshot shows must
    /// not be lost without a word.
    fn at_rest(&self, cluster: &Snapshot) -> Checked {
        let transfers = cluster.transfers.len();
        let expected = "none, as episodes start at rest (let them end, or take them out)";
        self.require(transfers == 0, "snapshot: transfers", expected, transfers)?;
        if let Some(k) = cluster.workloads.iter().position(|workload| workload.cooldown_ticks > 0) {
            let field = format!("snapshot: workloads[{k}].cooldown_ticks");
            let ticks = cluster.workloads[k].cooldown_ticks;
            self.require(false, &field, "0, as episodes start at rest", ticks)?;
        }
        if let Some(i) = cluster.nodes.iter().position(|node| node.health != Health::Healthy) {
            let field = format!("snapshot: nodes[{i}].health");
            let expected = "healthy, as episodes start (rules.faults says how nodes fail later)";
            let got = format!("{:?}", cluster.nodes[i].health).to_lowercase();
            self.require(false, &field, expected, got)?;
        }
        Ok(())
    }

    /// The machine-reassignment problem is a static one, and its constraints are known of complete
    /// placements only.
    fn reassignment(&self, scenario: &Scenario, given: bool) -> Checked {
        let weights = &scenario.rules.objective.weights;
        let weight = weights.get(Term::MachineReassignment.name()).copied().unwrap_or(0.0);
        let field = "rules.objective.weights.machine_reassignment";
        let expected = "no weight, as the cluster is no snapshot with machine_reassignment";
        self.require(given || weight == 0.0, field, expected, weight)?;
        if !given {
            return Ok(());
        }
        let static_world = scenario.rules.episode.mode == Mode::Rebalance;
        let expected = "\"rebalance\", as the snapshot has machine_reassignment";
        self.require(static_world, "rules.episode.mode", expected, "\"online\"")?;
        let listed = scenario.start.placement == StartPlacement::Listed;
        let expected = "\"listed\", as the snapshot has machine_reassignment";
        self.require(listed, "start.placement", expected, "another")?;
        let share = scenario.start.perturb.as_ref().is_some_and(|p| p.replace_share.is_some());
        let expected = "moves instead, as the snapshot has machine_reassignment";
        self.require(!share, "start.perturb.replace_share", expected, "a share")
    }

    fn total(&self, field: &str, what: &str, total: u64) -> Checked {
        let expected = format!("1 to {MAX_ENTITIES} {what}");
        self.require((1..=MAX_ENTITIES as u64).contains(&total), field, &expected, total)
    }
}

#[cfg(test)]
mod tests;
