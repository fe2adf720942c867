//! Names, units and scales of the observed features, in the order the encoder writes them.
//!
//! A policy of one's own finds a feature by its name
//! ([`candidate_feature`](crate::observe::ObservationSpace::candidate_feature) and its kin). What an
//! observation holds is the value below, divided by the feature's
//! [`scale`](crate::observe::schema::Feature::scale) and clipped at
//! [`CLIP`](crate::observe::encoder::CLIP). Which groups of them there are, [`Sections`] says.
//!
//! None depends on which resource kinds there are: `[r]` stands for 1, 2 and 3, the highest, second
//! and third highest of the row's values over resources (0 where there are fewer kinds). `[+h]`
//! stands for `[+h1]`, `[+h2]`, ..., the forecast horizons in order, under the present placement;
//! "change" is after the move minus before it, so that a change of the objective *below 0 is an
//! improvement*, and is in units of the objective (`rules.objective.unit`). A load is a sum of
//! utilisations over resources; "per resource" divides it by their number.
//!
//! | node | value |
//! |---|---|
//! | `utilisation[r]` | demand that the node holds, transfers included, over its supply |
//! | `supply_share` | its supply over the largest supply of a node, mean over resources |
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
//! | `demand_share_per_resource` | the mean of all of these |
//! | `utilisation_on_source[r]` | demand over the supply of its node; 0 on none |
//! | `load_on_source` | the same summed over resources, per resource |
//! | `load_change_on_source[+h]` | that at the horizon minus now |
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
//! | `resource_kinds` | number of resource kinds |
//! | `node_count`, `workload_count` | ln(1 + nodes), ln(1 + workload slots) |
//! | `online` | 1 where the clock runs, 0 in rebalance worlds |
//! | `moves_per_tick`, `cooldown_ticks` | ln(1 + the limit) |
//! | `weight[t]` | ln(1 + weight of term `t` over the objective's unit) |
//! | `ticks_to[+h]` | ln(1 + ticks to the horizon) |
//!
//! | candidate | value |
//! |---|---|
//! | `destination_utilisation[r]`, `source_utilisation[r]` | utilisation after the move |
//! | `destination_load_above_mean`, `source_load_above_mean`, and with `[+h]` | load after the move minus the mean, per resource |
//! | `max_load_change`, `imbalance_change`, `overload_change`, `fragmentation_change` | weighted change of that term |
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
//! | `further_moves` | moves of a chain after its first, which all other features are of; 0 for a single move |
//! | `further_change`, `further_cost` | change of the objective by these moves after the first, and their price |

use crate::observe::schema::{Feature, ObservationSchema};
use crate::observe::sections::{MOST_HORIZONS, Sections};
use crate::state::slots::SIZE_BINS;
use crate::state::term::Term;

/// Grows whenever a feature's meaning changes without its name changing.
const VERSION: u32 = 3;

/// How many of a row's resources are shown: the highest, second and third.
pub const TIGHTEST: usize = 3;

/// Terms whose weights are shown. What machine reassignment and a scenario's own terms are about,
/// their weights do not say.
pub(crate) const WEIGHED: &[Term] = &[
    Term::MaxLoad,
    Term::Imbalance,
    Term::Overload,
    Term::Fragmentation,
    Term::Displaced,
    Term::Unplaced,
];

/// The schema of these sections. Resource kinds, weights and sizes of clusters do not enter it: one
/// policy serves any.
pub fn schema(sections: Sections) -> ObservationSchema {
    ObservationSchema {
        version: VERSION,
        node: node(sections),
        workload: workload(sections),
        global: global(sections),
        candidate: candidate(sections),
    }
}

/// The sections of a schema; none if it is one of another version.
pub fn sections_of(schema: &ObservationSchema) -> Option<Sections> {
    let has = |list: &[Feature], name: &str| list.iter().any(|feature| feature.name == name);
    let horizon = |h: &u32| has(&schema.global, &format!("max_load[+h{h}]"));
    let sections = Sections {
        health: has(&schema.node, "failed"),
        queue: has(&schema.workload, "waiting"),
        slots: has(&schema.node, "slots"),
        machines: has(&schema.node, "machine_cost"),
        follow_up: has(&schema.candidate, "follow_up"),
        chains: has(&schema.candidate, "further_moves"),
        clock: has(&schema.global, "time_of_period_sin"),
        world: has(&schema.global, "resource_kinds"),
        horizons: (1..=MOST_HORIZONS).take_while(horizon).count() as u32,
    };
    (self::schema(sections) == *schema).then_some(sections)
}

fn node(shown: Sections) -> Vec<Feature> {
    let mut list = List::default();
    list.tightest("utilisation");
    list.add("supply_share", "1", 1.0);
    list.add("load_per_resource", "1", 1.0);
    list.add("load_above_mean", "1", 1.0);
    list.add("workload_count", "ln(1+n)", 4.0);
    list.add("transfers", "1", 4.0);
    if shown.health {
        list.add("degraded", "1", 1.0);
        list.add("draining", "1", 1.0);
        list.add("deadline_nearness", "2^(-ticks/4)", 1.0);
        list.add("failed", "1", 1.0);
    }
    if shown.slots {
        list.add("slots", "1", 4.0);
        list.add("slot_remainder", "1", 1.0);
        list.add("slot_nearness", "2^(1-removals)", 1.0);
        for bin in 0..SIZE_BINS {
            list.add(&format!("workloads_of_size_{bin}"), "1", 4.0);
        }
    }
    if shown.machines {
        list.add("machine_cost", "ln(1+objective/unit)", 4.0);
    }
    for h in 1..=shown.horizons {
        list.add(&format!("load_above_mean[+h{h}]"), "1", 1.0);
    }
    list.0
}

fn workload(shown: Sections) -> Vec<Feature> {
    let mut list = List::default();
    list.tightest("demand_share");
    list.add("demand_share_per_resource", "1", 1.0);
    list.tightest("utilisation_on_source");
    list.add("load_on_source", "1", 1.0);
    list.add("state", "ln(1+gib)", 4.0);
    list.add("priority", "1", 1.0);
    list.add("movable", "1", 1.0);
    list.add("cooldown", "ticks", 8.0);
    list.add("in_transfer", "1", 1.0);
    if shown.queue {
        list.add("running", "1", 1.0);
        list.add("waiting", "1", 1.0);
    }
    if shown.machines {
        list.add("moved", "1", 1.0);
    }
    for h in 1..=shown.horizons {
        list.add(&format!("load_change_on_source[+h{h}]"), "1", 0.5);
    }
    list.0
}

fn global(shown: Sections) -> Vec<Feature> {
    let mut list = List::default();
    list.add("max_load", "1", 1.0);
    list.add("imbalance", "1", 1.0);
    list.add("overload", "1", 1.0);
    if shown.slots {
        list.add("fragmentation", "1", 1.0);
    }
    if shown.queue {
        list.add("displaced", "priority", 4.0);
        list.add("unplaced", "priority", 4.0);
    }
    if shown.machines {
        list.add("machine_reassignment", "initial cost", 1.0);
    }
    if shown.health {
        list.add("closed_nodes_share", "1", 1.0);
        list.add("on_degraded_nodes", "priority", 8.0);
        list.add("on_draining_nodes", "priority", 8.0);
        list.add("nearest_deadline", "2^(-ticks/4)", 1.0);
    }
    list.add("mean_load_per_resource", "1", 1.0);
    if shown.clock {
        list.add("time_of_period_sin", "1", 1.0);
        list.add("time_of_period_cos", "1", 1.0);
    }
    list.add("moves_left", "1", 10.0);
    list.add("moves_left_share", "1", 1.0);
    if shown.world {
        list.add("resource_kinds", "1", 8.0);
        list.add("node_count", "ln(1+n)", 4.0);
        list.add("workload_count", "ln(1+n)", 8.0);
        list.add("online", "1", 1.0);
        list.add("moves_per_tick", "ln(1+n)", 4.0);
        list.add("cooldown_ticks", "ln(1+ticks)", 4.0);
        for term in WEIGHED {
            list.add(&format!("weight[{}]", term.name()), "ln(1+weight/unit)", 4.0);
        }
    }
    for h in 1..=shown.horizons {
        if shown.world {
            list.add(&format!("ticks_to[+h{h}]"), "ln(1+ticks)", 4.0);
        }
        list.add(&format!("max_load[+h{h}]"), "1", 1.0);
        list.add(&format!("overload[+h{h}]"), "1", 1.0);
    }
    list.0
}

fn candidate(shown: Sections) -> Vec<Feature> {
    let mut list = List::default();
    list.tightest("destination_utilisation");
    list.tightest("source_utilisation");
    list.add("destination_load_above_mean", "1", 1.0);
    list.add("source_load_above_mean", "1", 1.0);
    for term in &WEIGHED[..3] {
        list.add(&format!("{}_change", term.name()), "unit", 1.0);
    }
    if shown.machines {
        list.add("source_machine_cost_change", "unit", 1.0);
        list.add("destination_machine_cost_change", "unit", 1.0);
        list.add("move_cost_change", "unit", 1.0);
        list.add("returns_to_its_initial_machine", "1", 1.0);
    }
    list.add("objective_change", "unit", 1.0);
    list.add("cost", "unit", 1.0);
    list.add("transfer", "ln(1+s)", 4.0);
    if shown.health {
        list.add("source_degraded", "1", 1.0);
        list.add("source_draining", "1", 1.0);
        list.add("source_deadline_nearness", "2^(-ticks/4)", 1.0);
        list.add("destination_degraded", "1", 1.0);
        list.add("priority", "1", 1.0);
    }
    if shown.slots {
        list.add("fragmentation_change", "unit", 1.0);
        add_slots(&mut list);
    }
    for h in 1..=shown.horizons {
        list.add(&format!("destination_load_above_mean[+h{h}]"), "1", 1.0);
        list.add(&format!("source_load_above_mean[+h{h}]"), "1", 1.0);
        list.add(&format!("objective_change[+h{h}]"), "unit", 1.0);
    }
    if shown.follow_up {
        let views =
            std::iter::once(String::new()).chain((1..=shown.horizons).map(|h| format!("[+h{h}]")));
        for view in views {
            list.add(&format!("follow_up{view}"), "unit", 1.0);
            list.add(&format!("follow_up_beyond{view}"), "unit", 1.0);
        }
    }
    if shown.chains {
        list.add("further_moves", "1", 2.0);
        list.add("further_change", "unit", 1.0);
        list.add("further_cost", "unit", 1.0);
    }
    list.0
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

    fn tightest(&mut self, name: &str) {
        for rank in 1..=TIGHTEST {
            self.add(&format!("{name}[{rank}]"), "1", 1.0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: Sections = Sections {
        health: true,
        queue: true,
        slots: true,
        machines: true,
        follow_up: true,
        chains: true,
        clock: true,
        world: true,
        horizons: 3,
    };

    #[test]
    fn the_documentation_states_every_feature() {
        let text: Vec<&str> = include_str!("features.rs")
            .lines()
            .take_while(|line| line.starts_with("//!"))
            .collect();
        let text = text.join("\n");
        let ObservationSchema { node, workload, global, candidate, .. } = schema(ALL);
        for feature in [node, workload, global, candidate].concat() {
            let (name, of) = feature.name.split_once('[').unwrap_or((&feature.name, ""));
            let name = name.trim_end_matches(|c: char| c.is_ascii_digit());
            let name = name.strip_suffix("size_").map_or(name.to_owned(), |n| format!("{n}size_n"));
            let documented = match of.chars().next() {
                None => [format!("`{name}`"), format!("`{name}[r]`")],
                Some('+') => [format!("`{name}[+h]`"), format!("`{name}`, and with `[+h]`")],
                Some(_) => [format!("`{name}[r]`"), format!("`{name}[t]`")],
            };
            let pair = name.contains("load_above_mean") || name.ends_with("_before");
            let stem = name.trim_end_matches("_before");
            assert!(
                documented.iter().any(|text_of| text.contains(text_of.as_str()))
                    || pair && text.contains(&format!("`{stem}`")),
                "{} is not documented",
                feature.name
            );
        }
    }

    #[test]
    fn a_schema_says_which_sections_it_is_of() {
        for bits in 0..256_u32 {
            let has = |bit: u32| bits >> bit & 1 == 1;
            let sections = Sections {
                health: has(0),
                queue: has(1),
                slots: has(2),
                machines: has(3),
                follow_up: has(4),
                clock: has(5),
                world: has(6),
                chains: has(7),
                horizons: bits % 9,
            };
            assert_eq!(sections_of(&schema(sections)), Some(sections));
        }
        let mut other = schema(ALL);
        other.version += 1;
        assert_eq!(sections_of(&other), None);
        let mut other = schema(ALL);
        other.node[0].name = "utilisation[cpu]".into();
        assert_eq!(sections_of(&other), None);
    }
}
