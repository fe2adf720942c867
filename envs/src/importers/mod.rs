//! Public data sets of real clusters, turned into scenarios.
//!
//! Importers read files and return an [`Imported`]; nothing is written until [`Imported::write`],
//! and then all of it or nothing. The data itself is not part of the project:
//! `docs/src/import.md` names where each set is published.

mod decision_log;
mod files;
mod imported;
mod machine_reassignment;
mod openb;
mod openb_churn;
mod prometheus;
mod report;
mod table;
mod trace;
mod vm_snapshot;

pub use decision_log::{LogOptions, LogReport, decision_log};
pub use imported::{ImportObjective, ImportOptions, Imported, ImportedOnline};
pub use machine_reassignment::{machine_reassignment, machine_reassignment_of};
pub use openb::openb;
pub use openb_churn::{ChurnOptions, ChurnReport, openb_churn};
pub use prometheus::{
    HISTORY_FORMAT, History, PrometheusReport, RecordedUse, Series, prometheus, ticks_of,
};
pub use report::{ImportReport, ResourceSummary, SlotSummary};
pub use trace::{BadRows, TraceOptions, TraceReport, trace};
pub use vm_snapshot::vm_snapshot;

#[cfg(test)]
mod tests;
