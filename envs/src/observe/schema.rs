//! Names, order and version of every observed feature. The hash of this schema travels in
//! artifacts and checkpoints: weights are only ever applied to the features they were trained on.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// One observed number.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Feature {
    /// Unique name within its group, for example `destination_utilisation[1]`.
    pub name: String,
    /// Unit before scaling, or `1` for a ratio.
    pub unit: String,
    /// What the raw value is divided by.
    pub scale: f32,
}

/// The ordered features of each part of an observation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ObservationSchema {
    /// Grows with every change of meaning that the names do not show.
    pub version: u32,
    /// `F_n` features of a node.
    pub node: Vec<Feature>,
    /// `F_w` features of a workload.
    pub workload: Vec<Feature>,
    /// `F_g` features of the whole cluster.
    pub global: Vec<Feature>,
    /// `F_c` features of a candidate.
    pub candidate: Vec<Feature>,
}

impl ObservationSchema {
    /// SHA-256, in hex, over version, names, units and scales in order.
    pub fn hash(&self) -> String {
        let mut hasher = Sha256::new();
        hasher.update(self.version.to_le_bytes());
        for (group, features) in [
            ("node", &self.node),
            ("workload", &self.workload),
            ("global", &self.global),
            ("candidate", &self.candidate),
        ] {
            hasher.update(group.as_bytes());
            for feature in features {
                hasher.update([0]);
                hasher.update(feature.name.as_bytes());
                hasher.update([0]);
                hasher.update(feature.unit.as_bytes());
                hasher.update(feature.scale.to_le_bytes());
            }
        }
        crate::hex(&hasher.finalize())
    }
}
