//! Proxmox clusters: what is seen, how moves end, and that outcomes are told truly under faults.
//!
//! The cluster is fakepve, a stand-in for the real one; the head of `live/tests/python/proxmox.py` says
//! which parts are played there instead. Without it, these tests are skipped and say so.
#![allow(clippy::unwrap_used)] // a failed expectation is the point of a test

mod faults;
mod moves;
mod seen;
mod stand_in;
