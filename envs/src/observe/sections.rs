//! Which groups of features an observation has.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Most forecast horizons that are shown.
pub const MOST_HORIZONS: u32 = 8;

/// Which groups of features an observation has beside those that every one has. None of them depends
/// on the resource kinds, on weights or on the size of a cluster: whoever was trained with some of
/// them can be shown any cluster. What a cluster has and the sections leave out is not seen; what it
/// lacks is shown as absent (0, or for a horizon the view before it).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Sections {
    /// Health of nodes and deadlines of drains.
    pub health: bool,
    /// Workloads that wait for a node.
    pub queue: bool,
    /// Slots and what is missing to complete one.
    pub slots: bool,
    /// Costs of the machine-reassignment problem.
    pub machines: bool,
    /// What a candidate makes room for.
    pub follow_up: bool,
    /// What the further moves of a chain bring.
    #[serde(skip_serializing_if = "is_false")]
    #[schemars(extend("default" = false))]
    pub chains: bool,
    /// Where the tick is in the day.
    pub clock: bool,
    /// Sizes, weights, horizons and limits: what differs between worlds and not within one.
    pub world: bool,
    /// How many forecast horizons, the nearest first.
    #[schemars(range(max = MOST_HORIZONS))]
    pub horizons: u32,
}

impl Sections {
    /// All that either has: what one network needs that is trained on both.
    pub fn union(self, other: Self) -> Self {
        Self {
            health: self.health || other.health,
            queue: self.queue || other.queue,
            slots: self.slots || other.slots,
            machines: self.machines || other.machines,
            follow_up: self.follow_up || other.follow_up,
            chains: self.chains || other.chains,
            clock: self.clock || other.clock,
            world: self.world || other.world,
            horizons: self.horizons.max(other.horizons),
        }
    }

    /// Names of what `other` shows and this does not.
    pub fn lacks(self, other: Self) -> Vec<&'static str> {
        [
            ("health of nodes", self.health, other.health),
            ("waiting workloads", self.queue, other.queue),
            ("slots", self.slots, other.slots),
            ("machine-reassignment costs", self.machines, other.machines),
            ("chains of moves", self.chains, other.chains),
        ]
        .into_iter()
        .filter_map(|(name, own, other)| (other && !own).then_some(name))
        .chain((other.horizons > self.horizons).then_some("further forecast horizons"))
        .collect()
    }
}

/// Where a switch that is off is left out of files.
pub(crate) fn is_false(x: &bool) -> bool {
    !x
}
