//! The heuristic that a network improves on.

use crate::baselines::{Assignment, ParameterError, baseline_with};
use crate::net::first_best;
use crate::policy::Policy;
use godwit_envs::observe::ObservationBuffer;
use godwit_envs::state::Action;
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

/// Index of the action to take: the best, if it is ahead of the base policy's `usual` by more than
/// the margin; none where `usual` is no candidate, so that nothing says whether another is better.
pub(super) fn pick(
    usual: Action,
    margin: f32,
    observation: &ObservationBuffer,
    q: &[f32],
) -> Option<usize> {
    let usual = index_of(usual, observation)?;
    let best = first_best(q);
    Some(if q[best] > q[usual] + margin { best } else { usual })
}

fn index_of(action: Action, observation: &ObservationBuffer) -> Option<usize> {
    let Action::Migrate { workload, destination } = action else { return Some(0) };
    let pairs = observation.candidate_workload.iter().zip(&observation.candidate_destination);
    let is_it = |(&w, &d): (&u32, &u32)| (w as usize, d as usize) == (workload, destination);
    let index = 1 + pairs.skip(1).position(is_it)?;
    observation.mask[index].then_some(index)
}
