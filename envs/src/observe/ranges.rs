//! Within which ranges features were in training, and which of an observation lie far outside.

use crate::observe::ObservationBuffer;
use crate::observe::schema::{Feature, ObservationSchema};
use serde::{Deserialize, Serialize};

/// Share of a range by which a value may lie outside before that is told, and what is added to it in
/// scaled units: most features are in about [-1, 1].
const SLACK: (f32, f32) = (0.5, 0.1);

/// Least and most of each feature, in the order of the schema.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ranges {
    /// Features of nodes.
    pub node: Vec<[f32; 2]>,
    /// Features of workloads that are there.
    pub workload: Vec<[f32; 2]>,
    /// Features of the cluster.
    pub global: Vec<[f32; 2]>,
    /// Features of unmasked candidates.
    pub candidate: Vec<[f32; 2]>,
}

/// A feature that lies far outside of its range.
#[derive(Debug, Clone, PartialEq)]
pub struct Unfamiliar {
    /// Name of the feature, with what it is of.
    pub feature: String,
    /// The value that lies furthest outside.
    pub value: f32,
    /// Its range in training.
    pub range: [f32; 2],
}

/// A range that holds nothing yet.
const NOTHING: [f32; 2] = [f32::INFINITY, f32::NEG_INFINITY];

impl Ranges {
    /// Of no observation yet.
    pub fn new(schema: &ObservationSchema) -> Self {
        let none = |features: &[Feature]| vec![NOTHING; features.len()];
        Self {
            node: none(&schema.node),
            workload: none(&schema.workload),
            global: none(&schema.global),
            candidate: none(&schema.candidate),
        }
    }

    /// Widens the ranges to an observation that is not normalised.
    pub fn add(&mut self, observation: &ObservationBuffer) {
        let [node, workload, global, candidate] =
            [&mut self.node, &mut self.workload, &mut self.global, &mut self.candidate];
        let widen = |ranges: &mut [[f32; 2]], feature: usize, value: f32| {
            let [least, most] = &mut ranges[feature];
            (*least, *most) = (least.min(value), most.max(value));
        };
        each(&observation.nodes, node.len(), |feature, value| widen(node, feature, value));
        each(&observation.workloads, workload.len(), |f, value| widen(workload, f, value));
        each(&observation.globals, global.len(), |feature, value| widen(global, feature, value));
        each_candidate(observation, candidate.len(), |f, value| widen(candidate, f, value));
    }

    /// The same, with `[0, 0]` for features that were never seen: no world had any of them, or no
    /// move was ever open.
    pub fn without_gaps(mut self) -> Self {
        let all = [&mut self.node, &mut self.workload, &mut self.global, &mut self.candidate];
        for range in all.into_iter().flatten().filter(|range| **range == NOTHING) {
            *range = [0.0; 2];
        }
        self
    }

    /// The features of an observation that lie far outside, those of the cluster first, each with the
    /// value that lies furthest.
    pub fn unfamiliar(
        &self,
        observation: &ObservationBuffer,
        schema: &ObservationSchema,
    ) -> Vec<Unfamiliar> {
        let o = observation;
        let mut found = Vec::new();
        let mut tell =
            |of: &str, ranges: &[[f32; 2]], features: &[Feature], furthest: &[Outlier]| {
                for ((range, feature), outlier) in ranges.iter().zip(features).zip(furthest) {
                    if let Some((_, value)) = outlier {
                        let feature = format!("{} of {of}", feature.name);
                        found.push(Unfamiliar { feature, value: *value, range: *range });
                    }
                }
            };
        let mut furthest = vec![None; self.global.len()];
        each(&o.globals, self.global.len(), |f, value| {
            keep(&mut furthest[f], self.global[f], value)
        });
        tell("the cluster", &self.global, &schema.global, &furthest);
        let mut furthest = vec![None; self.node.len()];
        each(&o.nodes, self.node.len(), |f, value| keep(&mut furthest[f], self.node[f], value));
        tell("a node", &self.node, &schema.node, &furthest);
        let mut furthest = vec![None; self.workload.len()];
        each(&o.workloads, self.workload.len(), |f, value| {
            keep(&mut furthest[f], self.workload[f], value);
        });
        tell("a workload", &self.workload, &schema.workload, &furthest);
        let mut furthest = vec![None; self.candidate.len()];
        each_candidate(o, self.candidate.len(), |f, value| {
            keep(&mut furthest[f], self.candidate[f], value);
        });
        tell("a move", &self.candidate, &schema.candidate, &furthest);
        found
    }
}

/// By how much a value lies outside, and the value, if one does.
type Outlier = Option<(f32, f32)>;

/// Keeps the value that lies furthest outside of a range and its slack.
fn keep(furthest: &mut Outlier, [least, most]: [f32; 2], value: f32) {
    let slack = SLACK.0 * (most - least) + SLACK.1;
    let outside = (least - slack - value).max(value - most - slack);
    if outside > furthest.map_or(0.0, |(outside, _)| outside) {
        *furthest = Some((outside, value));
    }
}

/// Calls `see` with each value of rows of so many features, and which feature it is.
fn each(rows: &[f32], width: usize, mut see: impl FnMut(usize, f32)) {
    for row in rows.chunks_exact(width.max(1)) {
        row.iter().enumerate().for_each(|(feature, &value)| see(feature, value));
    }
}

/// The same for the features of unmasked candidates but `Stay`.
fn each_candidate(o: &ObservationBuffer, width: usize, mut see: impl FnMut(usize, f32)) {
    for (feature, row) in o.candidates.chunks_exact(o.candidate_stride).take(width).enumerate() {
        for (&value, _) in row.iter().zip(&o.mask).skip(1).filter(|(_, open)| **open) {
            see(feature, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::env::Env as _;
    use crate::env::cluster_env::ClusterEnv;
    use crate::scenario::{Phase, Scenario, WorldTemplate};
    use std::sync::Arc;

    fn observed(scenario: &Scenario, seeds: std::ops::Range<u64>) -> Vec<ObservationBuffer> {
        let template = Arc::new(WorldTemplate::new(scenario));
        let mut env = ClusterEnv::new(template, Phase::Evaluate).expect("a feasible start");
        let mut observe = |seed| {
            env.reset(seed).expect("a feasible start");
            let mut seen = ObservationBuffer::new(env.observation_space());
            env.observe(&mut seen);
            seen
        };
        seeds.map(&mut observe).collect()
    }

    #[test]
    fn a_fuller_cluster_with_larger_workloads_is_unfamiliar_and_further_episodes_are_not() {
        let scenario = Scenario::embedded("founding-10x50").expect("an embedded scenario");
        let schema = crate::observe::features::schema(scenario.rules.sections());
        let mut ranges = Ranges::new(&schema);
        for seen in observed(&scenario, 0..40) {
            ranges.add(&seen);
        }
        for seen in observed(&scenario, 100..110) {
            assert_eq!(ranges.unfamiliar(&seen, &schema), []);
        }
        let mut other = scenario;
        for group in &mut other.nodes {
            group.bandwidth_gib_s /= 1_000.0;
            group.count *= 8;
        }
        let seen = &observed(&other, 0..1)[0];
        let found = ranges.unfamiliar(seen, &schema);
        let names: Vec<&str> = found.iter().map(|unfamiliar| unfamiliar.feature.as_str()).collect();
        assert!(names.contains(&"transfer of a move"), "{names:?}");
        for Unfamiliar { value, range, .. } in found {
            assert!(value < range[0] || value > range[1]);
        }
    }
}
