//! The terms that an objective may weigh.

use schemars::JsonSchema;

/// A named part of the objective.
#[derive(Debug, Clone, Copy, PartialEq, Eq, JsonSchema)]
#[schemars(rename_all = "snake_case")]
#[repr(usize)]
pub enum Term {
    /// Load of the most loaded node, `max_i L_i`, a ratio.
    MaxLoad,
    /// Coefficient of variation of the loads L_i over the nodes, a ratio.
    Imbalance,
    /// Sum over nodes and resources of utilisation above 1, a ratio.
    Overload,
    /// `1 - deployable slots x slot size / free supply` of the slot's resource, a ratio.
    Fragmentation,
    /// Workloads that lost their node to a failure and wait for another, weighted by priority.
    Displaced,
    /// Arrivals that wait for their first node, weighted by priority.
    Unplaced,
    /// Cost of the machine-reassignment problem (ROADEF/EURO challenge 2012), a whole number: load
    /// above safety capacities, balance, process, service and machine moves. 0 where the
    /// cluster has no such costs.
    MachineReassignment,
    /// Migration traffic in GiB.
    MovedGib,
    /// Seconds in which workloads did not run because of migrations and cold restarts, weighted by
    /// priority.
    DowntimeS,
}

/// Number of terms.
pub const TERMS: usize = 9;

/// The first terms describe a state and hold over time; the others accrue with each move.
pub const LEVEL_TERMS: usize = 7;

/// The first of the level terms are functions of what each node holds: those a move changes.
pub const LOAD_TERMS: usize = 4;

impl Term {
    /// All terms, in the order of [`Terms`].
    pub const ALL: [Term; TERMS] = [
        Term::MaxLoad,
        Term::Imbalance,
        Term::Overload,
        Term::Fragmentation,
        Term::Displaced,
        Term::Unplaced,
        Term::MachineReassignment,
        Term::MovedGib,
        Term::DowntimeS,
    ];

    /// Name in scenario files, logs and tables.
    pub fn name(self) -> &'static str {
        [
            "max_load",
            "imbalance",
            "overload",
            "fragmentation",
            "displaced",
            "unplaced",
            "machine_reassignment",
            "moved_gib",
            "downtime_s",
        ][self as usize]
    }

    /// The term with this name.
    pub fn from_name(name: &str) -> Option<Term> {
        Term::ALL.into_iter().find(|term| term.name() == name)
    }
}

/// One value per term, in the order of [`Term::ALL`].
pub type Terms = [f32; TERMS];
