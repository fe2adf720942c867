//! What moves have taught about links and workloads: by how much predictions were off.
//!
//! A measured move gives two numbers, its speed (traffic by time) and its traffic. The speed is the
//! link's: both of its nodes' bandwidths are corrected, as the slower one is not known. Traffic below
//! the state's size says that less is copied than was thought; above it, that the state is dirtied
//! while it is copied: with r = dirty rate by bandwidth and endless rounds, pre-copy moves
//! V / (1 - r) (see the world model's migration), so r = 1 - V / moved.

use std::collections::BTreeMap;

use godwit_envs::snapshot::Snapshot;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Corrections lie between 1 / this and this.
const MOST: f32 = 64.0;

/// Share of what a new measurement says in a corrected bandwidth; the rest is what was known.
const WEIGHT: f32 = 0.5;

/// Largest ratio of dirty rate to bandwidth that is believed.
const MOST_DIRTY: f32 = 0.95;

/// What is known of a cluster beyond what it says of itself.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Calibration {
    /// What each node's bandwidth is multiplied by.
    pub bandwidth: BTreeMap<String, f32>,
    /// What each workload's state and dirty rate are.
    pub workloads: BTreeMap<String, Learnt>,
}

/// What is known of a workload.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Learnt {
    /// The size of its state, GiB, where the cluster says of it about what it said then.
    pub state_gib: f32,
    /// What the cluster said of it then, GiB.
    pub said_gib: f32,
    /// Its dirty rate, GiB/s; what the cluster says of it counts where that is higher.
    pub dirty_gib_s: f32,
}

/// What one move has taught.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Finding {
    /// The order.
    pub order: String,
    /// The nodes, and what their bandwidths are multiplied by from now on.
    pub bandwidth: Vec<(String, f32)>,
    /// The workload, and what is known of it from now on.
    pub workload: Option<(String, Learnt)>,
}

/// A move that was measured, beside what its snapshot said.
#[derive(Debug, Clone, Copy)]
pub struct Measured<'a> {
    /// The order.
    pub order: &'a str,
    /// The workload.
    pub workload: &'a str,
    /// Source and destination.
    pub nodes: [&'a str; 2],
    /// What the cluster says of their bandwidths, GiB/s, not corrected.
    pub bandwidth_gib_s: [f32; 2],
    /// What it says of the workload's state, GiB, not corrected.
    pub state_gib: f32,
    /// Traffic, GiB.
    pub moved_gib: f32,
    /// Length, seconds, without the switch-over.
    pub copy_s: f32,
}

impl Calibration {
    /// What a move teaches beyond what is known; `None` where its figures say nothing.
    pub fn learn(&self, measured: Measured<'_>) -> Option<Finding> {
        let Measured { moved_gib, copy_s, state_gib, .. } = measured;
        let all = [moved_gib, copy_s, state_gib];
        if all.iter().any(|figure| !figure.is_finite() || *figure <= 0.0) {
            return None;
        }
        let speed = moved_gib / copy_s;
        let corrected = |at: usize| {
            let known = self.factor(measured.nodes[at]);
            // The faster end of a link is not what its speed is about.
            let is_slower = measured.bandwidth_gib_s[at] * known
                <= 1.5 * measured.bandwidth_gib_s[1 - at] * self.factor(measured.nodes[1 - at]);
            let seen = speed / measured.bandwidth_gib_s[at].max(1e-6);
            let factor = known.powf(1.0 - WEIGHT) * seen.powf(WEIGHT);
            // Without anything known before, the first measurement is all that there is.
            let factor =
                if self.bandwidth.contains_key(measured.nodes[at]) { factor } else { seen };
            (is_slower || seen > known).then(|| (measured.nodes[at].to_owned(), bounded(factor)))
        };
        let share = moved_gib / state_gib;
        let ratio = (1.0 - 1.0 / share).clamp(0.0, MOST_DIRTY);
        let learnt = Learnt {
            state_gib: state_gib * bounded(share.min(1.0)),
            said_gib: state_gib,
            dirty_gib_s: ratio * speed,
        };
        Some(Finding {
            order: measured.order.to_owned(),
            bandwidth: (0..2).filter_map(corrected).collect(),
            workload: Some((measured.workload.to_owned(), learnt)),
        })
    }

    /// Believes a finding.
    pub fn believe(&mut self, finding: &Finding) {
        self.bandwidth.extend(finding.bandwidth.iter().cloned());
        self.workloads.extend(finding.workload.iter().cloned());
    }

    /// Corrects what a snapshot says of links and states.
    pub fn correct(&self, snapshot: &mut Snapshot) {
        for node in &mut snapshot.nodes {
            node.bandwidth_gib_s *= self.factor(&node.name);
        }
        for workload in &mut snapshot.workloads {
            if let Some(learnt) = self.workloads.get(&workload.name) {
                // It has grown or shrunk since, or the cluster has learnt the same.
                let alike = learnt.said_gib / 2.0..=learnt.said_gib * 2.0;
                if alike.contains(&workload.state_gib) {
                    workload.state_gib = learnt.state_gib;
                }
                workload.dirty_gib_s = workload.dirty_gib_s.max(learnt.dirty_gib_s);
            }
        }
    }

    /// Forgets nodes and workloads that are not in the cluster any more.
    pub fn retain(&mut self, snapshot: &Snapshot) {
        let nodes: std::collections::HashSet<&str> =
            snapshot.nodes.iter().map(|node| node.name.as_str()).collect();
        let workloads: std::collections::HashSet<&str> =
            snapshot.workloads.iter().map(|workload| workload.name.as_str()).collect();
        self.bandwidth.retain(|name, _| nodes.contains(name.as_str()));
        self.workloads.retain(|name, _| workloads.contains(name.as_str()));
    }

    fn factor(&self, node: &str) -> f32 {
        self.bandwidth.get(node).copied().unwrap_or(1.0)
    }
}

fn bounded(factor: f32) -> f32 {
    factor.clamp(1.0 / MOST, MOST)
}

#[cfg(test)]
mod tests {
    use godwit_envs::snapshot::SnapshotWorkload;

    use super::*;

    fn measured(moved_gib: f32, copy_s: f32) -> Measured<'static> {
        Measured {
            order: "d.0",
            workload: "w",
            nodes: ["a", "b"],
            bandwidth_gib_s: [1.0, 1.0],
            state_gib: 2.0,
            moved_gib,
            copy_s,
        }
    }

    #[test]
    fn a_slow_link_corrects_both_of_its_nodes_and_the_state_is_what_was_copied() {
        let mut calibration = Calibration::default();
        // 1 GiB of the 2 in 4 s: a quarter of the speed.
        let finding = calibration.learn(measured(1.0, 4.0)).unwrap();
        assert_eq!(finding.bandwidth, [("a".to_owned(), 0.25), ("b".to_owned(), 0.25)]);
        let learnt = Learnt { state_gib: 1.0, said_gib: 2.0, dirty_gib_s: 0.0 };
        assert_eq!(finding.workload, Some(("w".to_owned(), learnt)));
        calibration.believe(&finding);
        // Then at full speed: half way between, as factors go.
        let finding = calibration.learn(measured(2.0, 2.0)).unwrap();
        assert_eq!(finding.bandwidth, [("a".to_owned(), 0.5), ("b".to_owned(), 0.5)]);
    }

    #[test]
    fn traffic_above_the_state_is_what_was_dirtied() {
        // 4 GiB for 2: r = 1/2, at 1 GiB/s.
        let finding = Calibration::default().learn(measured(4.0, 4.0)).unwrap();
        let (_, learnt) = finding.workload.unwrap();
        assert_eq!((learnt.state_gib, learnt.dirty_gib_s), (2.0, 0.5));
    }

    #[test]
    fn figures_that_say_nothing_teach_nothing_and_corrections_are_bounded() {
        let calibration = Calibration::default();
        for (moved, copy) in [(0.0, 1.0), (1.0, 0.0), (f32::NAN, 1.0), (1.0, f32::INFINITY)] {
            assert_eq!(calibration.learn(measured(moved, copy)), None);
        }
        let finding = calibration.learn(measured(1e-6, 1e6)).unwrap();
        assert_eq!(finding.bandwidth[0].1, 1.0 / MOST);
        assert_eq!(finding.workload.unwrap().1.state_gib, 2.0 / MOST);
    }

    #[test]
    fn a_state_that_is_said_to_be_another_by_now_is_not_corrected() {
        let mut calibration = Calibration::default();
        calibration.believe(&calibration.learn(measured(1.0, 4.0)).unwrap());
        let corrected = |state_gib: f32| {
            let workload =
                SnapshotWorkload { name: "w".to_owned(), state_gib, ..Default::default() };
            let mut snapshot = Snapshot { workloads: vec![workload], ..Snapshot::default() };
            calibration.correct(&mut snapshot);
            snapshot.workloads[0].state_gib
        };
        assert_eq!([2.0, 1.5, 5.0, 0.9].map(corrected), [1.0, 1.0, 5.0, 0.9]);
    }
}
