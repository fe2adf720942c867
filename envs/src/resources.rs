//! Resource kinds and their limits.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Most resource kinds that a scenario may declare.
pub const MAX_RESOURCES: usize = 16;

/// A declared resource kind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ResourceKind {
    /// For example `cpu`.
    pub name: String,
    /// For example `cores`.
    #[serde(default)]
    pub unit: String,
}
