//! Connections, and the way of each request to what its route does.

pub mod access;
pub mod gate;
pub mod listener;
pub mod openapi;
pub mod patience;
pub mod places;
pub mod router;
pub mod routes;
