//! Overload detection from each node's history, selection by minimum migration time.
//!
//! Rules, with a node's utilisation being the highest over its resources, counted as it will be
//! once the transfers in flight have ended:
//!
//! 1. Demands are recorded once per tick. The history of a node is what its present workloads
//!    demanded of it, so that a move leaves no step in the histories of its two nodes.
//! 2. A node is overloaded by its [`Detector`]: its utilisation exceeds a fixed threshold (THR), or
//!    one that its history puts the lower the more it varies, by interquartile range (IQR) or by
//!    median absolute deviation (MAD); or a local regression over the last ten observations
//!    predicts for the next tick a utilisation that, times a safety factor, is at least 1 (LR).
//!    With fewer than ten observations, and in rebalance worlds, the fixed threshold applies.
//! 3. Overloaded nodes give up workloads in ascending order of the time that their migration takes
//!    (state over the node's bandwidth), until they would be overloaded no longer.
//! 4. Of all that are given up, the most demanding goes first, to the most utilised of the nodes
//!    that can take it and are overloaded neither without it nor with it. If there is none, the
//!    next; if nothing can go, stay. Each decision makes the selection anew, so that a workload that
//!    need not go after the last move stays.
//!
//! Parameters: the detector with its safety factor, the fixed threshold, and the ticks of history.
//!
//! Source: Beloglazov and Buyya, "Optimal online deterministic algorithms and adaptive heuristics
//! for energy and performance efficient dynamic consolidation of virtual machines in Cloud data
//! centers", Concurrency and Computation 2012, and its code in CloudSim (quartiles, the fixed
//! threshold while the history is short, histories by workload). There the destination is the
//! node whose power increases least. There is no power model here: the most utilised node stands
//! in for it, as best fit decreasing does without one. LR predicts one tick ahead; there it looks as
//! far ahead as the slowest migration off the node takes. Emptying underloaded nodes to switch them
//! off is left out.
//!
//! In a static cluster histories are constant, so from the tenth observation on each node's
//! threshold is, too, and a workload moves only from a node above it to one that stays below: at
//! most once, and the cluster comes to rest.

use crate::baselines::declaration::Declaration;
use crate::baselines::utilisation::{SLACK, add_up, highest, own};
use crate::policy::Policy;
use godwit_envs::scenario::Mode;
use godwit_envs::state::{Action, ClusterState};

/// Observations of the local regression, and the least that any detector but THR works with.
const REGRESSED: usize = 10;

/// What makes a node overloaded.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Detector {
    /// THR: the fixed threshold of the rules.
    Threshold,
    /// IQR: more than `1 - safety x interquartile range` of the history.
    InterquartileRange {
        /// Factor on the range.
        safety: f32,
    },
    /// MAD: more than `1 - safety x median absolute deviation` of the history.
    MedianAbsoluteDeviation {
        /// Factor on the deviation.
        safety: f32,
    },
    /// LR: `safety x` the prediction of a local regression is at least 1.
    LocalRegression {
        /// Factor on the prediction.
        safety: f32,
    },
}

impl Detector {
    /// IQR with the paper's safety factor.
    pub const IQR: Self = Self::InterquartileRange { safety: 1.5 };
    /// MAD with the paper's safety factor.
    pub const MAD: Self = Self::MedianAbsoluteDeviation { safety: 2.5 };
    /// LR with the paper's safety factor.
    pub const LR: Self = Self::LocalRegression { safety: 1.2 };
}

/// Parameters of [`OverloadDetection`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DetectionRules {
    /// What makes a node overloaded.
    pub detector: Detector,
    /// Above this utilisation a node is overloaded by THR, and by all while the history is short.
    pub threshold: f32,
    /// Ticks of history, at least ten.
    pub window: usize,
}

impl Default for DetectionRules {
    /// THR at 0.8; CloudSim keeps 30 observations.
    fn default() -> Self {
        Self { detector: Detector::Threshold, threshold: 0.8, window: 30 }
    }
}

/// The parameters of one of the four detectors as data.
pub(crate) fn declaration(detector: Detector) -> Declaration<DetectionRules> {
    let default = DetectionRules { detector, ..DetectionRules::default() };
    let declaration = Declaration::new(default, OverloadDetection::new).real(
        "threshold",
        "utilisation above which a node is overloaded (but for thr: with a short history only)",
        0.3..=1.0,
        |r| (&mut r.threshold).into(),
    );
    let safety = "factor on what the history says";
    match detector {
        Detector::Threshold => declaration,
        Detector::LocalRegression { .. } => {
            declaration.real("safety", safety, 0.8..=2.0, |r| r.safety().into()).online()
        }
        Detector::InterquartileRange { .. } | Detector::MedianAbsoluteDeviation { .. } => {
            declaration
                .real("safety", safety, 0.0..=6.0, |r| r.safety().into())
                .online()
                .integer("window", "ticks of history", 10..=72, |r| (&mut r.window).into())
                .online()
        }
    }
}

impl DetectionRules {
    /// The detector's factor; the threshold itself where it has none.
    fn safety(&mut self) -> &mut f32 {
        match &mut self.detector {
            Detector::Threshold => &mut self.threshold,
            Detector::InterquartileRange { safety }
            | Detector::MedianAbsoluteDeviation { safety }
            | Detector::LocalRegression { safety } => safety,
        }
    }
}

/// Detects overloaded nodes and relieves them by minimum migration time.
#[derive(Debug, Clone, Default)]
pub struct OverloadDetection {
    rules: DetectionRules,
    /// Utilisation that the present workloads made of each node, `[W][N][m]`, oldest first.
    nodes: Vec<Vec<f32>>,
    /// Demands, `[W][K][m]`, oldest first.
    demands: Vec<Vec<f32>>,
    recorded: Option<u32>,
    history: History,
    /// Whether each node is overloaded, `[N]`.
    overloaded: Vec<bool>,
    /// Utilisation and index of the nodes that are not overloaded, the most utilised first.
    takers: Vec<(f32, u32)>,
    /// State and index of a node's workloads.
    queue: Vec<(f32, u32)>,
    /// Utilisation and index of the workloads that are given up.
    given_up: Vec<(f32, u32)>,
}

impl OverloadDetection {
    /// With these parameters.
    pub fn new(rules: DetectionRules) -> Self {
        Self { rules, ..Self::default() }
    }

    /// With this detector and otherwise the default parameters.
    pub fn with(detector: Detector) -> Self {
        Self::new(DetectionRules { detector, ..DetectionRules::default() })
    }

    /// Records the demands of this tick, once, and adds up every recorded tick for the placement.
    fn observe(&mut self, state: &ClusterState) {
        // Another cluster than before: nothing that was recorded is about it.
        if self.demands.last().is_some_and(|last| last.len() != state.demand.len()) {
            self.demands.clear();
            self.recorded = None;
        }
        let window = match self.rules.detector {
            Detector::Threshold => 1,
            _ if state.rules.episode.mode == Mode::Rebalance => 1,
            _ => self.rules.window.max(REGRESSED),
        };
        if self.recorded == Some(state.tick) {
            // Within a tick only the placement changes, unless somebody corrects the demands.
            if let Some(last) = self.demands.last_mut() {
                last.clone_from(&state.demand);
            }
        } else {
            self.recorded = Some(state.tick);
            if self.demands.len() < window {
                self.demands.push(state.demand.clone());
            } else {
                self.demands.rotate_left(1);
                if let Some(last) = self.demands.last_mut() {
                    last.clone_from(&state.demand);
                }
            }
        }
        self.nodes.resize_with(self.demands.len(), Vec::new);
        for (demand, nodes) in self.demands.iter().zip(&mut self.nodes) {
            add_up(state, demand, nodes);
        }
    }

    /// Starts a what-if from a node's history.
    fn start(&mut self, state: &ClusterState, node: usize) {
        let m = state.spec.resources;
        self.history.resources = m;
        self.history.loads.clear();
        for nodes in &self.nodes {
            self.history.loads.extend_from_slice(&nodes[node * m..(node + 1) * m]);
        }
    }

    /// Adds a workload to the history of [`OverloadDetection::start`], or takes it away.
    fn change(&mut self, state: &ClusterState, node: usize, workload: usize, sign: f32) {
        let (m, padded) = (state.spec.resources, state.spec.padded_nodes());
        for (loads, demand) in self.history.loads.chunks_exact_mut(m.max(1)).zip(&self.demands) {
            for (j, load) in loads.iter_mut().enumerate() {
                let share = state.spec.inverse_supply[j * padded + node];
                *load += sign * demand[workload * m + j] * share;
            }
        }
    }

    /// What the node's own workloads have to give up (rule 3).
    fn give_up(&mut self, state: &ClusterState, node: usize) {
        let mut queue = std::mem::take(&mut self.queue);
        queue.clear();
        for (k, &at) in state.placement.iter().enumerate() {
            if at as usize == node && state.may_leave(k).is_ok() {
                // All of them share the node's bandwidth: the smallest state is the fastest.
                queue.push((state.spec.state_gib[k], k as u32));
            }
        }
        queue.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        self.start(state, node);
        for &(_, k) in &queue {
            let workload = k as usize;
            let most = (0..state.spec.resources)
                .map(|j| own(state, workload, node, j))
                .fold(0.0, f32::max);
            self.given_up.push((most, k));
            self.change(state, node, workload, -1.0);
            if !self.history.is_overloaded(&self.rules, SLACK) {
                break;
            }
        }
        self.queue = queue;
    }
}

/// Utilisations of a node as they were or would have been, and scratch to judge them.
#[derive(Debug, Clone, Default)]
struct History {
    resources: usize,
    /// `[W][m]`, oldest first.
    loads: Vec<f32>,
    /// Highest over the resources, `[W]`.
    series: Vec<f32>,
    sorted: Vec<f32>,
}

impl History {
    /// Whether the node is overloaded by more than `slack`.
    fn is_overloaded(&mut self, rules: &DetectionRules, slack: f32) -> bool {
        self.series.clear();
        self.series.extend(self.loads.chunks_exact(self.resources.max(1)).map(highest));
        let Some(&now) = self.series.last() else { return false };
        let enough = self.series.len() >= REGRESSED;
        let threshold = match rules.detector {
            Detector::InterquartileRange { safety } if enough => {
                1.0 - safety * interquartile_range(&self.series, &mut self.sorted)
            }
            Detector::MedianAbsoluteDeviation { safety } if enough => {
                1.0 - safety * median_absolute_deviation(&self.series, &mut self.sorted)
            }
            Detector::LocalRegression { safety } if enough => {
                let last = &self.series[self.series.len() - REGRESSED..];
                // At 1 already overloaded, unlike at a threshold: one rounding less is allowed.
                return safety * local_regression(last) >= 1.0 + (slack - 0.5 * SLACK);
            }
            _ => rules.threshold,
        };
        now > threshold + slack
    }
}

/// Third minus first quartile, the quartiles being the elements at the rounded ranks (n + 1) / 4
/// and 3 (n + 1) / 4, counted from 1. At least one value.
pub(crate) fn interquartile_range(series: &[f32], sorted: &mut Vec<f32>) -> f32 {
    sort_into(series, sorted);
    let count = sorted.len();
    let quartile = |share: f32| {
        let rank = (share * (count + 1) as f32).round() as usize;
        sorted[rank.clamp(1, count) - 1]
    };
    quartile(0.75) - quartile(0.25)
}

/// Median distance from the median.
pub(crate) fn median_absolute_deviation(series: &[f32], sorted: &mut Vec<f32>) -> f32 {
    sort_into(series, sorted);
    let center = median(sorted);
    for value in sorted.iter_mut() {
        *value = (*value - center).abs();
    }
    sorted.sort_unstable_by(f32::total_cmp);
    median(sorted)
}

/// The next value after these by the straight line that fits them best, with tricube weights that
/// fall from 1 at the last value to 0 at the first (Loess at the right end). At least three values.
pub(crate) fn local_regression(series: &[f32]) -> f32 {
    let last = series.len() as f64 - 1.0;
    let (mut total, mut sum_x, mut sum_y, mut sum_xx, mut sum_xy) = (0.0, 0.0, 0.0, 0.0, 0.0);
    for (i, &y) in series.iter().enumerate() {
        // Counted from the last value, which keeps the sums small.
        let (x, y) = (i as f64 - last, f64::from(y));
        let weight = (1.0 - (-x / last).powi(3)).powi(3);
        total += weight;
        sum_x += weight * x;
        sum_y += weight * y;
        sum_xx += weight * x * x;
        sum_xy += weight * x * y;
    }
    let slope = (total * sum_xy - sum_x * sum_y) / (total * sum_xx - sum_x * sum_x);
    let at_last = (sum_y - slope * sum_x) / total;
    (at_last + slope) as f32
}

fn sort_into(series: &[f32], sorted: &mut Vec<f32>) {
    sorted.clear();
    sorted.extend_from_slice(series);
    sorted.sort_unstable_by(f32::total_cmp);
}

fn median(sorted: &[f32]) -> f32 {
    let half = sorted.len() / 2;
    if sorted.len() % 2 == 1 { sorted[half] } else { 0.5 * (sorted[half - 1] + sorted[half]) }
}

impl Policy for OverloadDetection {
    fn name(&self) -> &str {
        match self.rules.detector {
            Detector::Threshold => "thr-mmt",
            Detector::InterquartileRange { .. } => "iqr-mmt",
            Detector::MedianAbsoluteDeviation { .. } => "mad-mmt",
            Detector::LocalRegression { .. } => "lr-mmt",
        }
    }

    fn reset(&mut self, _seed: u64) {
        self.demands.clear();
        self.recorded = None;
    }

    fn act(&mut self, state: &ClusterState) -> Action {
        self.observe(state);
        let m = state.spec.resources;
        self.overloaded.clear();
        self.takers.clear();
        for node in 0..state.spec.nodes() {
            self.start(state, node);
            let overloaded = self.history.is_overloaded(&self.rules, SLACK);
            self.overloaded.push(overloaded);
            if !overloaded {
                let now = self.history.loads.len().saturating_sub(m);
                self.takers.push((highest(&self.history.loads[now..]), node as u32));
            }
        }
        self.takers.sort_unstable_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        self.given_up.clear();
        for node in 0..state.spec.nodes() {
            if self.overloaded[node] {
                self.give_up(state, node);
            }
        }
        self.given_up.sort_unstable_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        for rank in 0..self.given_up.len() {
            let workload = self.given_up[rank].1 as usize;
            for taker in 0..self.takers.len() {
                let destination = self.takers[taker].1 as usize;
                if state.check(workload, destination).is_err() {
                    continue;
                }
                self.start(state, destination);
                self.change(state, destination, workload, 1.0);
                if !self.history.is_overloaded(&self.rules, 0.0) {
                    return Action::Migrate { workload, destination };
                }
            }
        }
        Action::Stay
    }
}
