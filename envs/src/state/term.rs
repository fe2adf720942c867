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
    /// The scenario's own terms, each times its weight.
    #[schemars(skip)] // no scenario gives it a weight: that is 1
    Own,
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
pub const TERMS: usize = 10;

/// The first terms describe a state and hold over time; the others accrue with each move.
pub const LEVEL_TERMS: usize = 8;

/// The first of the level terms are functions of what each node holds: those a move changes.
pub const LOAD_TERMS: usize = 5;

impl Term {
    /// All terms, in the order of [`Terms`].
    pub const ALL: [Term; TERMS] = [
        Term::MaxLoad,
        Term::Imbalance,
        Term::Overload,
        Term::Fragmentation,
        Term::Own,
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
            "own",
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

    /// The terms that a scenario may give a weight, beside its own.
    pub fn built_in() -> impl Iterator<Item = Term> {
        Term::ALL.into_iter().filter(|term| *term != Term::Own)
    }
}

/// One value per term, in the order of [`Term::ALL`].
pub type Terms = [f32; TERMS];
