//! Names and scales of the observed features, in the order the encoder writes them.

use crate::observe::schema::{Feature, ObservationSchema};
use crate::scenario::{Mode, Rules};
use crate::state::objective::{LOAD_TERMS, Objective, Term};
use crate::state::slots::SIZE_BINS;

/// Grows whenever a feature's meaning changes without its name changing.
const VERSION: u32 = 2;

/// The schema that these rules lead to. Sizes of clusters do not enter it: one policy serves any.
pub fn schema(rules: &Rules) -> ObservationSchema {
    let objective = Objective::new(rules);
    let resources: Vec<&str> = rules.resources.iter().map(|kind| kind.name.as_str()).collect();
    let horizons = &rules.forecast.horizons;
    let online = rules.episode.mode == Mode::Online;
    let slot = objective.slot.is_some();
    let faults = rules.faults.is_some();
    let reassignment = objective.uses(Term::MachineReassignment);

    let mut node = List::default();
    node.each("utilisation", &resources);
    node.each("supply_share", &resources);
    node.add("load_per_resource", "1", 1.0);
    node.add("load_above_mean", "1", 1.0);
    node.add("workload_count", "ln(1+n)", 4.0);
    node.add("transfers", "1", 4.0);
    if faults {
        node.add("degraded", "1", 1.0);
        node.add("draining", "1", 1.0);
        node.add("deadline_nearness", "2^(-ticks/4)", 1.0);
        node.add("failed", "1", 1.0);
    }
    if slot {
        node.add("slots", "1", 4.0);
        node.add("slot_remainder", "1", 1.0);
        node.add("slot_nearness", "2^(1-removals)", 1.0);
        for bin in 0..SIZE_BINS {
            node.add(&format!("workloads_of_size_{bin}"), "1", 4.0);
        }
    }
    if reassignment {
        node.add("machine_cost", "ln(1+objective/unit)", 4.0);
    }
    for h in horizons {
        node.add(&format!("load_above_mean[+{h}]"), "1", 1.0);
    }

    let mut workload = List::default();
    workload.each("demand_share", &resources);
    workload.each("utilisation_on_source", &resources);
    workload.add("state", "ln(1+gib)", 4.0);
    workload.add("priority", "1", 1.0);
    workload.add("movable", "1", 1.0);
    workload.add("cooldown", "ticks", 8.0);
    workload.add("in_transfer", "1", 1.0);
    if rules.has_queue() {
        workload.add("running", "1", 1.0);
        workload.add("waiting", "1", 1.0);
    }
    if reassignment {
        workload.add("moved", "1", 1.0);
    }
    for h in horizons {
        workload.add(&format!("load_change_on_source[+{h}]"), "1", 0.5);
    }

    let mut global = List::default();
    for term in &Term::ALL[..LOAD_TERMS] {
        global.add(term.name(), "1", 1.0);
    }
    if rules.has_queue() {
        global.add("displaced", "priority", 4.0);
        global.add("unplaced", "priority", 4.0);
    }
    if reassignment {
        global.add("machine_reassignment", "initial cost", 1.0);
    }
    if faults {
        global.add("closed_nodes_share", "1", 1.0);
        global.add("on_degraded_nodes", "priority", 8.0);
        global.add("on_draining_nodes", "priority", 8.0);
        global.add("nearest_deadline", "2^(-ticks/4)", 1.0);
    }
    global.add("mean_load_per_resource", "1", 1.0);
    if online {
        global.add("time_of_period_sin", "1", 1.0);
        global.add("time_of_period_cos", "1", 1.0);
    }
    global.add("moves_left", "1", 10.0);
    global.add("moves_left_share", "1", 1.0);
    for h in horizons {
        global.add(&format!("max_load[+{h}]"), "1", 1.0);
        global.add(&format!("overload[+{h}]"), "1", 1.0);
    }

    let mut candidate = List::default();
    candidate.each("destination_utilisation", &resources);
    candidate.each("source_utilisation", &resources);
    candidate.add("destination_load_above_mean", "1", 1.0);
    candidate.add("source_load_above_mean", "1", 1.0);
    let weighted: Vec<Term> =
        Term::ALL[..LOAD_TERMS].iter().copied().filter(|&term| objective.uses(term)).collect();
    if weighted.len() > 1 {
        for term in weighted {
            candidate.add(&format!("{}_change", term.name()), "objective", objective.unit);
        }
    }
    if reassignment {
        candidate.add("source_machine_cost_change", "objective", objective.unit);
        candidate.add("destination_machine_cost_change", "objective", objective.unit);
        candidate.add("move_cost_change", "objective", objective.unit);
        candidate.add("returns_to_its_initial_machine", "1", 1.0);
    }
    candidate.add("objective_change", "objective", objective.unit);
    candidate.add("cost", "objective", objective.unit);
    candidate.add("transfer", "ln(1+s)", 4.0);
    if faults {
        candidate.add("source_degraded", "1", 1.0);
        candidate.add("source_draining", "1", 1.0);
        candidate.add("source_deadline_nearness", "2^(-ticks/4)", 1.0);
        candidate.add("destination_degraded", "1", 1.0);
        candidate.add("priority", "1", 1.0);
    }
    if slot {
        candidate.add("source_slots_gained", "1", 1.0);
        candidate.add("destination_slots_gained", "1", 1.0);
        candidate.add("source_slot_remainder", "1", 1.0);
        candidate.add("destination_slot_remainder", "1", 1.0);
        candidate.add("source_slot_remainder_before", "1", 1.0);
        candidate.add("destination_slot_remainder_before", "1", 1.0);
        for side in ["source", "destination"] {
            candidate.add(&format!("{side}_nearness_before"), "2^(1-removals)", 1.0);
            candidate.add(&format!("{side}_nearness_after"), "2^(1-removals)", 1.0);
        }
        candidate.add("slots_demanded", "1", 1.0);
        for side in ["source", "destination"] {
            for bin in 0..SIZE_BINS {
                candidate.add(&format!("{side}_workloads_of_size_{bin}"), "1", 4.0);
            }
        }
    }
    for h in horizons {
        candidate.add(&format!("destination_load_above_mean[+{h}]"), "1", 1.0);
        candidate.add(&format!("source_load_above_mean[+{h}]"), "1", 1.0);
        candidate.add(&format!("objective_change[+{h}]"), "objective", objective.unit);
    }
    if rules.candidates.follow_up {
        let views =
            std::iter::once(String::new()).chain(horizons.iter().map(|h| format!("[+{h}]")));
        for view in views {
            candidate.add(&format!("follow_up{view}"), "objective", objective.unit);
            candidate.add(&format!("follow_up_beyond{view}"), "objective", objective.unit);
        }
    }

    ObservationSchema {
        version: VERSION,
        node: node.0,
        workload: workload.0,
        global: global.0,
        candidate: candidate.0,
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
