//! The loop over a cluster whose calls fail, hang and are cut off: what the journal says is what
//! happened, and nothing happens twice.

#![allow(clippy::unwrap_used)] // a failed expectation is the point of a test

#[path = "driver/courses.rs"]
mod courses;
#[path = "driver/crashes.rs"]
mod crashes;
#[path = "driver/world.rs"]
mod world;

mod support;
