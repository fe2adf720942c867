//! Clusters that are reached through other programs: libvirt's `virsh`, and programs of users.
#![allow(clippy::unwrap_used)] // a failed expectation is the point of a test

mod command;
mod libvirt;
mod libvirt_moves;
mod watching;
