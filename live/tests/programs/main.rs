//! Clusters that are reached through other programs: libvirt's `virsh`, and programs of users.

mod command;
mod libvirt;
mod libvirt_moves;
mod watching;
