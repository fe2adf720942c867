//! `state.json`: everything small. Floating-point numbers are written as their bits, so that they
//! come back exactly.

use super::error::CheckpointError;
use super::names;
use crate::train::trainer::Counters;
use godwit_envs::observe::normalisation::{Affine, Normalisation};
use godwit_envs::state::term::TERMS;
use godwit_models::net::NetworkSpec;
use godwit_models::network_policy::Base;
use rand_xoshiro::Xoshiro256PlusPlus;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// The file.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct State {
    /// Version of this crate that wrote it; for people.
    pub producer: String,
    /// Shape of the network.
    pub spec: NetworkSpec,
    /// Hash of the features that the weights belong to.
    pub schema_hash: String,
    /// Bits of the weight of each scenario.
    pub weight_bits: Vec<u64>,
    /// Where the run stands.
    pub counters: SavedCounters,
    /// Bits of the mean validation return (`best` only).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mean_return_bits: Option<u64>,
    /// What the policy improves on (`best` only).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<Base>,
    /// What only resuming needs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resume: Option<ResumeState>,
}

/// Streams of random numbers, environments, optimiser steps.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ResumeState {
    pub adam_updates: u64,
    pub learner_rng: Xoshiro256PlusPlus,
    pub actor_rngs: Vec<Xoshiro256PlusPlus>,
    pub environments: Vec<SavedEnvironment>,
    /// What normalises observations, where they are normalised.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub normalisation: Option<SavedNormalisation>,
}

/// [`Normalisation`] as bits of scale and shift of each feature.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SavedNormalisation {
    node: Vec<[u32; 2]>,
    workload: Vec<[u32; 2]>,
    global: Vec<[u32; 2]>,
    candidate: Vec<[u32; 2]>,
}

/// One environment copy. Its seed is part of its own state.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SavedEnvironment {
    /// Episodes started.
    pub episodes: u64,
    /// What `Env::save` returned.
    pub state: serde_json::Value,
}

/// [`Counters`] with bits in place of floating-point numbers.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SavedCounters {
    env_steps: u64,
    updates: u64,
    rounds: u64,
    episodes: u64,
    running_return_bits: Vec<u64>,
    running_terms_bits: Vec<[u32; TERMS]>,
    owed_updates_bits: u64,
}

impl From<&Counters> for SavedCounters {
    fn from(counters: &Counters) -> Self {
        // No `..`: a new counter must find its way into the file.
        let Counters {
            env_steps,
            updates,
            rounds,
            episodes,
            running_return,
            running_terms,
            owed_updates,
        } = counters;
        Self {
            env_steps: *env_steps,
            updates: *updates,
            rounds: *rounds,
            episodes: *episodes,
            running_return_bits: running_return.iter().map(|value| value.to_bits()).collect(),
            running_terms_bits: running_terms.iter().map(|terms| terms.map(f32::to_bits)).collect(),
            owed_updates_bits: owed_updates.to_bits(),
        }
    }
}

impl From<&SavedCounters> for Counters {
    fn from(saved: &SavedCounters) -> Self {
        Self {
            env_steps: saved.env_steps,
            updates: saved.updates,
            rounds: saved.rounds,
            episodes: saved.episodes,
            running_return: saved
                .running_return_bits
                .iter()
                .map(|&bits| f64::from_bits(bits))
                .collect(),
            running_terms: saved
                .running_terms_bits
                .iter()
                .map(|bits| bits.map(f32::from_bits))
                .collect(),
            owed_updates: f64::from_bits(saved.owed_updates_bits),
        }
    }
}

impl From<&Normalisation> for SavedNormalisation {
    fn from(normalisation: &Normalisation) -> Self {
        let Normalisation { node, workload, global, candidate } = normalisation;
        let bits = |features: &[Affine]| {
            features.iter().map(|of| [of.scale.to_bits(), of.shift.to_bits()]).collect()
        };
        Self {
            node: bits(node),
            workload: bits(workload),
            global: bits(global),
            candidate: bits(candidate),
        }
    }
}

impl From<&SavedNormalisation> for Normalisation {
    fn from(saved: &SavedNormalisation) -> Self {
        let features = |bits: &[[u32; 2]]| {
            let values = bits.iter().map(|bits| bits.map(f32::from_bits));
            values.map(|[scale, shift]| Affine { scale, shift }).collect()
        };
        Self {
            node: features(&saved.node),
            workload: features(&saved.workload),
            global: features(&saved.global),
            candidate: features(&saved.candidate),
        }
    }
}

impl State {
    /// Reads the file of a checkpoint.
    pub fn read(checkpoint: &Path) -> Result<Self, CheckpointError> {
        let path = checkpoint.join(names::STATE);
        serde_json::from_slice(&super::stage::read(&path)?)
            .map_err(|error| CheckpointError::content(&path, "the state of a checkpoint", error))
    }

    /// Mean validation return, for `best`.
    pub fn mean_return(&self) -> Option<f64> {
        self.mean_return_bits.map(f64::from_bits)
    }
}
