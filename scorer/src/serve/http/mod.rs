//! Connections, and the way of each request to what its route does.
//!
//! The `listener` accepts connections as long as there are `places`, and has `patience` with those
//! who read slowly. Each request passes the `gate`, which asks `access` whether it may, and the
//! `router` brings it to its handler. `routes` is the table that the router and `openapi` are made
//! from.

pub mod access;
pub mod gate;
pub mod listener;
pub mod openapi;
pub mod patience;
pub mod places;
pub mod router;
pub mod routes;
