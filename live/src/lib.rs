//! The loop closed: a live cluster is watched, decided about, and its workloads are moved.
//!
//! [`cluster`] is what every kind of cluster has to offer; [`clusters`] are the kinds.

pub mod cluster;
pub mod clusters;
