//! The heuristic that a network improves on.

use crate::baselines::{Assignment, ParameterError, baseline_with};
use crate::policy::Policy;
use serde::{Deserialize, Serialize};
use std::sync::{Mutex, PoisonError};

/// A base policy, and by how much the network must value another action above that policy's before
/// it is taken. Where the network knows little, the two are about level, and the heuristic decides:
/// a policy made so starts at its base and leaves it where that pays (safe policy improvement:
/// Laroche, Trichelair and Tachet des Combes, ICML 2019).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Base {
    /// Name of a baseline.
    pub baseline: String,
    /// Its parameters that differ from their defaults.
    #[serde(default, skip_serializing_if = "Assignment::is_empty")]
    pub parameters: Assignment,
    /// In the units of the network's values; 0 or more. Without one the network is never followed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub margin: Option<f32>,
}

/// A [`Base`] that plays.
pub(super) struct Playing {
    pub settings: Base,
    /// Never locked: what holds it by `&mut` alone may be shared between threads.
    policy: Mutex<Box<dyn Policy>>,
}

impl Playing {
    pub fn new(settings: &Base) -> Result<Self, ParameterError> {
        let policy = baseline_with(&settings.baseline, &settings.parameters)?;
        Ok(Self { settings: settings.clone(), policy: Mutex::new(policy) })
    }

    pub fn policy(&mut self) -> &mut dyn Policy {
        self.policy.get_mut().unwrap_or_else(PoisonError::into_inner).as_mut()
    }
}

impl Clone for Playing {
    fn clone(&self) -> Self {
        Self::new(&self.settings).expect("name and parameters were accepted before")
    }
}

impl std::fmt::Debug for Playing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.settings.fmt(f)
    }
}
