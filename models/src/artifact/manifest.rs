//! What an artifact says about itself.

use std::collections::BTreeMap;

use godwit_envs::observe::features::sections_of;
use godwit_envs::observe::ranges::Ranges;
use godwit_envs::observe::schema::ObservationSchema;
use godwit_envs::observe::sections::Sections;
use serde::{Deserialize, Serialize};

use crate::artifact::error::Failure;
use crate::baselines::baseline_with;
use crate::net::NetworkSpec;
use crate::network_policy::Base;

/// Format that this version reads and writes.
pub const FORMAT: &str = "godwit-artifact/2";

/// `extra/manifest.json` of an artifact.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// [`FORMAT`].
    pub format: String,
    /// Version of godwit that exported it.
    pub producer: String,
    /// Version of libtorch that exported it.
    pub libtorch: String,
    /// Shape of the network.
    pub network: NetworkSpec,
    /// What the policy does where its network is not far ahead; without it, the network decides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<Base>,
    /// The features that the network was trained on.
    pub schema: ObservationSchema,
    /// [`ObservationSchema::hash`] of `schema`.
    pub schema_hash: String,
    /// Within which ranges the features were in training, in the order of `schema`; empty where that
    /// is not known.
    #[serde(default)]
    pub ranges: Ranges,
    /// Name of the training scenario.
    pub scenario_name: String,
    /// The decision rules of the training scenario, as it states them.
    pub rules: serde_json::Value,
    /// SHA-256, in hex, of the training scenario as TOML without its settings of training, followed
    /// by its snapshot as JSON where it has one.
    pub scenario_sha256: String,
    /// Where the weights come from: seed, env steps, updates, episodes, configuration.
    pub training: serde_json::Value,
    /// How well the network does, one row for each policy: its own, then the baselines.
    pub evaluation: Vec<Evaluation>,
    /// SHA-256, in hex, of `extra/weights.safetensors`.
    pub weights_sha256: String,
    /// SHA-256, in hex, of `extra/golden.safetensors`.
    pub golden_sha256: String,
}

/// Results of a policy on one scenario, over episodes with paired seeds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Evaluation {
    /// Name of the scenario.
    pub scenario: String,
    /// `network`, or the name of the baseline it is compared with.
    pub policy: String,
    /// Number of episodes, one for each seed.
    pub seeds: u64,
    /// First seed; the others follow it.
    pub first_seed: u64,
    /// Mean undiscounted return.
    pub mean_return: f64,
    /// Standard error of `mean_return`.
    pub standard_error: f64,
    /// Mean of each objective term over an episode, by name.
    pub terms: BTreeMap<String, f64>,
}

/// The part of a manifest that every format has.
#[derive(Deserialize)]
struct Header {
    format: String,
}

impl Manifest {
    /// Reads JSON. The format comes first: another format has other fields, and its version is
    /// the better message.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, Failure> {
        let header: Header = serde_json::from_slice(bytes).map_err(Failure::Manifest)?;
        if header.format != FORMAT {
            return Err(Failure::Format { expected: FORMAT, got: header.format });
        }
        serde_json::from_slice(bytes).map_err(Failure::Manifest)
    }

    /// The ranges of features, where they are known.
    pub fn known_ranges(&self) -> Option<&Ranges> {
        Some(&self.ranges).filter(|ranges| **ranges != Ranges::default())
    }

    /// Checks what the manifest says about itself: schema hash, sizes of the network,
    /// base. Returns what the network sees.
    pub(super) fn check(&self) -> Result<Sections, Failure> {
        let computed = self.schema.hash();
        if computed != self.schema_hash {
            return Err(Failure::SchemaHash { expected: self.schema_hash.clone(), computed });
        }
        let sections = sections_of(&self.schema)
            .ok_or(Failure::OtherSchema { version: self.schema.version })?;
        self.network.validate().map_err(Failure::Network)?;
        if let Some(base) = &self.base {
            baseline_with(&base.baseline, &base.parameters).map_err(Failure::Base)?;
            if let Some(margin) =
                base.margin.filter(|margin| !(0.0..f32::INFINITY).contains(margin))
            {
                return Err(Failure::Margin(margin));
            }
        }
        let (schema, network) = (&self.schema, &self.network);
        let known = self.known_ranges();
        let of = |ranges: fn(&Ranges) -> &Vec<[f32; 2]>| known.map(|known| ranges(known).len());
        for (group, schema, network, ranges) in [
            ("node", &schema.node, network.node_features, of(|known| &known.node)),
            ("workload", &schema.workload, network.workload_features, of(|known| &known.workload)),
            ("global", &schema.global, network.global_features, of(|known| &known.global)),
            (
                "candidate",
                &schema.candidate,
                network.candidate_features,
                of(|known| &known.candidate),
            ),
        ] {
            let schema = schema.len();
            if schema != network {
                return Err(Failure::Features { group, schema, network });
            }
            if let Some(ranges) = ranges.filter(|&ranges| ranges != schema) {
                return Err(Failure::Ranges { group, schema, ranges });
            }
        }
        Ok(sections)
    }
}
