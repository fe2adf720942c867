//! Names, units and scales of the observed features, in the order the encoder writes them.
//!
//! A policy of one's own finds a feature by its name
//! ([`candidate_feature`](crate::observe::ObservationSpace::candidate_feature) and its kin). What an
//! observation holds is the value below, divided by the feature's
//! [`scale`](crate::observe::schema::Feature::scale) and clipped at
//! [`CLIP`](crate::observe::encoder::CLIP). `[r]` stands for a resource kind, `[+h]` for a forecast
//! horizon in ticks, under the present placement; "change" is after the move minus before it, so
//! that a change of the objective *below 0 is an improvement*. A load is a sum of utilisations
//! over resources; "per resource" divides it by their number.
//!
//! | node | value |
//! |---|---|
//! | `utilisation[r]` | demand that the node holds, transfers included, over its supply |
//! | `supply_share[r]` | its supply over the largest supply of a node |
//! | `load_per_resource` | its load per resource |
//! | `load_above_mean`, `load_above_mean[+h]` | its load minus the mean of all nodes, per resource |
//! | `workload_count` | ln(1 + workloads on it) |
//! | `transfers` | transfers that it takes part in |
//! | `degraded`, `draining`, `failed` | 1 or 0 |
//! | `deadline_nearness` | of a draining node: 1 in its last tick, half with every 4 ticks more; else 0 |
//! | `slots` | whole slots in its free supply |
//! | `slot_remainder` | free supply beyond them, in slots |
//! | `slot_nearness` | 2^(1 - least removals that complete a slot) |
//! | `workloads_of_size_n` | its workloads by size, in bins |
//! | `machine_cost` | ln(1 + its weighted load and balance cost over the objective's unit) |
//!
//! | workload | value |
//! |---|---|
//! | `demand_share[r]` | demand over the largest supply of a node |
//! | `utilisation_on_source[r]` | demand over the supply of its node; 0 on none |
//! | `load_change_on_source[+h]` | the same summed over resources, then minus now, per resource |
//! | `state` | ln(1 + GiB of state) |
//! | `priority` | as the scenario states it |
//! | `movable`, `in_transfer`, `running`, `waiting`, `moved` | 1 or 0 |
//! | `cooldown` | ticks for which it may not move |
//!
//! | cluster | value |
//! |---|---|
//! | `max_load`, `max_load[+h]` | the highest load per resource |
//! | `imbalance`, `overload`, `overload[+h]`, `fragmentation`, `displaced`, `unplaced`, `machine_reassignment` | the objective's level terms |
//! | `closed_nodes_share` | share of nodes that accept nothing |
//! | `on_degraded_nodes`, `on_draining_nodes` | priority of the workloads there |
//! | `nearest_deadline` | the largest `deadline_nearness` |
//! | `mean_load_per_resource` | mean load of nodes, per resource |
//! | `time_of_period_sin`, `time_of_period_cos` | where the tick is in the day |
//! | `moves_left`, `moves_left_share` | moves of the budget that are left (50 count as all), and their share |
//!
//! | candidate | value |
//! |---|---|
//! | `destination_utilisation[r]`, `source_utilisation[r]` | utilisation after the move |
//! | `destination_load_above_mean`, `source_load_above_mean`, and with `[+h]` | load after the move minus the mean, per resource |
//! | `max_load_change`, `imbalance_change`, `overload_change`, `fragmentation_change` | weighted change of that term, in units of the objective |
//! | `source_machine_cost_change`, `destination_machine_cost_change`, `move_cost_change` | weighted change of those costs |
//! | `returns_to_its_initial_machine` | 1 or 0 |
//! | `objective_change`, `objective_change[+h]` | change of the weighted objective without the price of the move; **below 0 is better** |
//! | `cost` | price of the move in the same unit: traffic and downtime, weighted; 0 or more |
//! | `transfer` | ln(1 + seconds that its transfer takes) |
//! | `source_degraded`, `source_draining`, `source_deadline_nearness`, `destination_degraded` | as for nodes |
//! | `priority` | of the workload |
//! | `source_slots_gained`, `destination_slots_gained` | slots after the move minus before |
//! | `source_slot_remainder`, `destination_slot_remainder`, and with `_before` | free supply beyond whole slots, in slots, after the move and before |
//! | `source_nearness_before`, `source_nearness_after`, `destination_nearness_before`, `destination_nearness_after` | `slot_nearness` before and after |
//! | `slots_demanded` | the workload's demand in slots |
//! | `source_workloads_of_size_n`, `destination_workloads_of_size_n` | workloads there by size, before the move |
//! | `follow_up`, `follow_up[+h]` | change of the objective by the best further move into the room that this one makes; 0 or below |
//! | `follow_up_beyond`, `follow_up_beyond[+h]` | how much of it could not be had without this one |

use crate::observe::schema::{Feature, ObservationSchema};
use crate::scenario::{Mode, Rules};
use crate::state::objective::Objective;
use crate::state::slots::SIZE_BINS;
use crate::state::term::{LOAD_TERMS, Term};

/// Grows whenever a feature's meaning changes without its name changing.
const VERSION: u32 = 2;

/// The schema that these rules lead to. Sizes of clusters do not enter it: one policy serves any.
pub fn schema(rules: &Rules) -> ObservationSchema {
    let objective = Objective::new(rules);
    let resources: Vec<&str> = rules.resources.iter().map(|kind| kind.name.as_str()).collect();
    let shown = Shown {
        rules,
        resources: &resources,
        faults: rules.faults.is_some(),
        slot: objective.slot.is_some(),
        reassignment: objective.uses(Term::MachineReassignment),
        objective: &objective,
    };
    ObservationSchema {
        version: VERSION,
        node: shown.node(),
        workload: shown.workload(),
        global: shown.global(),
        candidate: shown.candidate(),
    }
}

/// What decides which features there are.
struct Shown<'a> {
    rules: &'a Rules,
    resources: &'a [&'a str],
    objective: &'a Objective,
    faults: bool,
    slot: bool,
    reassignment: bool,
}

impl Shown<'_> {
    fn node(&self) -> Vec<Feature> {
        let mut list = List::default();
        list.each("utilisation", self.resources);
        list.each("supply_share", self.resources);
        list.add("load_per_resource", "1", 1.0);
        list.add("load_above_mean", "1", 1.0);
        list.add("workload_count", "ln(1+n)", 4.0);
        list.add("transfers", "1", 4.0);
        if self.faults {
            list.add("degraded", "1", 1.0);
            list.add("draining", "1", 1.0);
            list.add("deadline_nearness", "2^(-ticks/4)", 1.0);
            list.add("failed", "1", 1.0);
        }
        if self.slot {
            list.add("slots", "1", 4.0);
            list.add("slot_remainder", "1", 1.0);
            list.add("slot_nearness", "2^(1-removals)", 1.0);
            for bin in 0..SIZE_BINS {
                list.add(&format!("workloads_of_size_{bin}"), "1", 4.0);
            }
        }
        if self.reassignment {
            list.add("machine_cost", "ln(1+objective/unit)", 4.0);
        }
        for h in &self.rules.forecast.horizons {
            list.add(&format!("load_above_mean[+{h}]"), "1", 1.0);
        }
        list.0
    }

    fn workload(&self) -> Vec<Feature> {
        let mut list = List::default();
        list.each("demand_share", self.resources);
        list.each("utilisation_on_source", self.resources);
        list.add("state", "ln(1+gib)", 4.0);
        list.add("priority", "1", 1.0);
        list.add("movable", "1", 1.0);
        list.add("cooldown", "ticks", 8.0);
        list.add("in_transfer", "1", 1.0);
        if self.rules.has_queue() {
            list.add("running", "1", 1.0);
            list.add("waiting", "1", 1.0);
        }
        if self.reassignment {
            list.add("moved", "1", 1.0);
        }
        for h in &self.rules.forecast.horizons {
            list.add(&format!("load_change_on_source[+{h}]"), "1", 0.5);
        }
        list.0
    }

    fn global(&self) -> Vec<Feature> {
        let mut list = List::default();
        for term in &Term::ALL[..LOAD_TERMS] {
            list.add(term.name(), "1", 1.0);
        }
        if self.rules.has_queue() {
            list.add("displaced", "priority", 4.0);
            list.add("unplaced", "priority", 4.0);
        }
        if self.reassignment {
            list.add("machine_reassignment", "initial cost", 1.0);
        }
        if self.faults {
            list.add("closed_nodes_share", "1", 1.0);
            list.add("on_degraded_nodes", "priority", 8.0);
            list.add("on_draining_nodes", "priority", 8.0);
            list.add("nearest_deadline", "2^(-ticks/4)", 1.0);
        }
        list.add("mean_load_per_resource", "1", 1.0);
        if self.rules.episode.mode == Mode::Online {
            list.add("time_of_period_sin", "1", 1.0);
            list.add("time_of_period_cos", "1", 1.0);
        }
        list.add("moves_left", "1", 10.0);
        list.add("moves_left_share", "1", 1.0);
        for h in &self.rules.forecast.horizons {
            list.add(&format!("max_load[+{h}]"), "1", 1.0);
            list.add(&format!("overload[+{h}]"), "1", 1.0);
        }
        list.0
    }

    fn candidate(&self) -> Vec<Feature> {
        let mut list = List::default();
        list.each("destination_utilisation", self.resources);
        list.each("source_utilisation", self.resources);
        list.add("destination_load_above_mean", "1", 1.0);
        list.add("source_load_above_mean", "1", 1.0);
        let weighted: Vec<Term> = Term::ALL[..LOAD_TERMS]
            .iter()
            .copied()
            .filter(|&term| self.objective.uses(term))
            .collect();
        if weighted.len() > 1 {
            for term in weighted {
                list.add(&format!("{}_change", term.name()), "objective", self.objective.unit);
            }
        }
        if self.reassignment {
            list.add("source_machine_cost_change", "objective", self.objective.unit);
            list.add("destination_machine_cost_change", "objective", self.objective.unit);
            list.add("move_cost_change", "objective", self.objective.unit);
            list.add("returns_to_its_initial_machine", "1", 1.0);
        }
        list.add("objective_change", "objective", self.objective.unit);
        list.add("cost", "objective", self.objective.unit);
        list.add("transfer", "ln(1+s)", 4.0);
        if self.faults {
            list.add("source_degraded", "1", 1.0);
            list.add("source_draining", "1", 1.0);
            list.add("source_deadline_nearness", "2^(-ticks/4)", 1.0);
            list.add("destination_degraded", "1", 1.0);
            list.add("priority", "1", 1.0);
        }
        if self.slot {
            add_slots(&mut list);
        }
        for h in &self.rules.forecast.horizons {
            list.add(&format!("destination_load_above_mean[+{h}]"), "1", 1.0);
            list.add(&format!("source_load_above_mean[+{h}]"), "1", 1.0);
            list.add(&format!("objective_change[+{h}]"), "objective", self.objective.unit);
        }
        if self.rules.candidates.follow_up {
            let views = std::iter::once(String::new())
                .chain(self.rules.forecast.horizons.iter().map(|h| format!("[+{h}]")));
            for view in views {
                list.add(&format!("follow_up{view}"), "objective", self.objective.unit);
                list.add(&format!("follow_up_beyond{view}"), "objective", self.objective.unit);
            }
        }
        list.0
    }
}

/// Of a candidate: what it does to the slots of both nodes.
fn add_slots(list: &mut List) {
    list.add("source_slots_gained", "1", 1.0);
    list.add("destination_slots_gained", "1", 1.0);
    list.add("source_slot_remainder", "1", 1.0);
    list.add("destination_slot_remainder", "1", 1.0);
    list.add("source_slot_remainder_before", "1", 1.0);
    list.add("destination_slot_remainder_before", "1", 1.0);
    for side in ["source", "destination"] {
        list.add(&format!("{side}_nearness_before"), "2^(1-removals)", 1.0);
        list.add(&format!("{side}_nearness_after"), "2^(1-removals)", 1.0);
    }
    list.add("slots_demanded", "1", 1.0);
    for side in ["source", "destination"] {
        for bin in 0..SIZE_BINS {
            list.add(&format!("{side}_workloads_of_size_{bin}"), "1", 4.0);
        }
    }
}

#[derive(Default)]
struct List(Vec<Feature>);

impl List {
    fn add(&mut self, name: &str, unit: &str, scale: f32) {
        self.0.push(Feature { name: name.into(), unit: unit.into(), scale });
    }

    fn each(&mut self, name: &str, resources: &[&str]) {
        for resource in resources {
            self.add(&format!("{name}[{resource}]"), "1", 1.0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::{EMBEDDED, Scenario};

    #[test]
    fn the_documentation_states_every_feature_of_every_scenario() {
        let text: Vec<&str> = include_str!("features.rs")
            .lines()
            .take_while(|line| line.starts_with("//!"))
            .collect();
        let text = text.join("\n");
        for embedded in EMBEDDED {
            let scenario = Scenario::embedded(embedded.name).expect("an embedded scenario");
            let ObservationSchema { node, workload, global, candidate, .. } =
                schema(&scenario.rules);
            for feature in [node, workload, global, candidate].concat() {
                let (name, of) = feature.name.split_once('[').unwrap_or((&feature.name, ""));
                let name = name.trim_end_matches(|c: char| c.is_ascii_digit());
                let name =
                    name.strip_suffix("size_").map_or(name.to_owned(), |n| format!("{n}size_n"));
                let documented = match of.chars().next() {
                    None => [format!("`{name}`"), format!("`{name}[r]`")],
                    Some('+') => [format!("`{name}[+h]`"), format!("`{name}`, and with `[+h]`")],
                    Some(_) => [format!("`{name}[r]`"), format!("`{name}[r]`")],
                };
                let pair = name.contains("load_above_mean") || name.ends_with("_before");
                let stem = name.trim_end_matches("_before");
                assert!(
                    documented.iter().any(|text_of| text.contains(text_of.as_str()))
                        || pair && text.contains(&format!("`{stem}`")),
                    "{}: {} is not documented",
                    scenario.name,
                    feature.name
                );
            }
        }
    }
}
