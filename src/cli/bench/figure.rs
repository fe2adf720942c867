//! What a measurement says.

use serde::Serialize;

/// A measured number.
#[derive(Debug, Serialize)]
pub(super) struct Figure {
    pub name: &'static str,
    pub value: f64,
    pub unit: &'static str,
}

/// A figure of this name.
pub(super) fn figure(name: &'static str, value: f64, unit: &'static str) -> Figure {
    Figure { name, value, unit }
}
