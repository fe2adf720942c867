//! Rules of known systems and papers. Each file names its source and where it departs from it.

pub mod hold_down;
pub mod low_node_utilization;
pub mod overload_detection;
pub mod sandpiper;
pub mod watcher_balance;
pub mod watcher_stabilization;
