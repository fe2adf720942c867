//! The loop closed: a live cluster is watched, decided about, and its workloads are moved.
//!
//! # Layout
//! Each takes from those above it in this list, never from those below:
//!
//! - `clock`: time, the machine's or a played one
//! - `cluster`: what every kind of cluster has to offer
//! - `ledger`: what is known of decisions and moves, and the records that it follows from
//! - `journal`: those records on disk
//! - `http`, `program`: services over HTTP, and other programs, called with a time-out
//! - `prometheus`: what was measured in place of what a cluster says of its workloads
//! - `clusters`: the kinds of clusters
//! - `config`: `live.toml`
//! - `control`: what others ask of the loop, and what it shows
//! - `desk`: where decisions are made
//! - `driver`: the loop
//! - `web`: the page to look at, and its routes
//! - `running`: requests to them
//! - `cli`: the command line
//! - `commands`: what each command does

pub mod cli;
pub mod clock;
pub mod cluster;
pub mod clusters;
pub mod commands;
pub mod config;
pub mod control;
pub mod desk;
pub mod driver;
pub mod http;
pub mod journal;
pub mod ledger;
mod program;
pub mod prometheus;
pub mod running;
pub mod web;
