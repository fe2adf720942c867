//! Guests of real QEMU processes are moved between hosts that are folders of this machine. Each test
//! is skipped, with a line that says so, where QEMU is missing.

#![allow(clippy::unwrap_used)] // a failed expectation is the point of a test

mod arena;
mod crashes;
mod faults;
mod guests;
mod lab;
mod link;
mod moves;
mod sight;
mod strikes;
