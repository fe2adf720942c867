//! The kinds of clusters, each with what it can promise and what it cannot.

pub mod command;
pub mod libvirt;
pub mod proxmox;
pub mod simulated;
