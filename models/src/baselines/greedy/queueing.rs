//! Nodes as queues: the move that lowers the mean response time most.
//!
//! Rules, with demands counted as they will be once the transfers in flight have ended:
//!
//! 1. Each resource of each node is an M/M/c station. Its servers are the units of its supply
//!    (cores, GiB, devices), rounded, at least 1 and at most `most_servers`; a station with more
//!    units has servers of several units each. The service rate is 1 per server, so the offered
//!    load is `a = utilisation x c` and times are in units of the mean service time.
//! 2. The response time is `T = 1 + C(c, a) / (c - a)`, C being the Erlang C formula (the
//!    probability of waiting). From the utilisation `saturation` on, where a queue has no or
//!    hardly any steady state, T goes on as a straight line that rises by `overload` for each 1 of
//!    utilisation.
//! 3. The mean response time weighs each station with the demand on it, as a share of the
//!    resource's largest supply. Workloads leave the nodes with the most weighted response time;
//!    the feasible move after which the mean is lowest is made, if it lowers it by the least
//!    improvement. Ties go to the lower workload, then the lower node.
//! 4. Otherwise stay.
//!
//! Parameters: servers, saturation, overload, least improvement, source nodes.
//!
//! Source: Kleinrock, "Queueing systems, volume 1", 1975, section 3.5; Erlang B by its recurrence
//! (`B(0) = 1, B(n) = a B(n-1) / (n + a B(n-1))`), from which `C = c B / (c - a (1 - B))`.
//!
//! Every move lowers the mean response time by a least share, so a static cluster comes to rest.

use crate::baselines::declaration::Declaration;
use crate::baselines::utilisation::add_up;
use crate::policy::Policy;
use godwit_envs::resources::MAX_RESOURCES;
use godwit_envs::scenario::Mode;
use godwit_envs::state::{Action, ClusterState};

/// A static world takes every improvement by more than this share, which is rounding.
const ROUNDING: f32 = 1e-4;

/// Parameters of [`Queueing`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct QueueingRules {
    /// Most servers of a station.
    pub most_servers: u32,
    /// Utilisation from which the response time is a straight line, a ratio below 1.
    pub saturation: f32,
    /// Rise of the response time for each 1 of utilisation beyond that, in service times.
    pub overload: f32,
    /// Online: least share by which a move must lower the mean response time.
    pub min_improvement: f32,
    /// Nodes that workloads may leave: those with the most weighted response time.
    pub sources: usize,
}

impl Default for QueueingRules {
    /// Servers and least improvement by a sweep over training episodes of `founding-10x50`
    /// (`--example baselines sweep-queueing`); the others by hand.
    fn default() -> Self {
        Self {
            most_servers: 16,
            saturation: 0.99,
            overload: 100.0,
            min_improvement: 0.001,
            sources: 16,
        }
    }
}

/// The parameters as data.
pub(crate) fn declaration() -> Declaration<QueueingRules> {
    Declaration::new(QueueingRules::default(), Queueing::new)
        .real(
            "saturation",
            "utilisation from which the response time is a line",
            0.8..=0.995,
            |r| (&mut r.saturation).into(),
        )
        .log_real("overload", "rise of the response time beyond it", 10.0..=1000.0, |r| {
            (&mut r.overload).into()
        })
        .real(
            "min_improvement",
            "least share by which a move lowers the response time",
            0.0..=0.2,
            |r| (&mut r.min_improvement).into(),
        )
        .online()
}

/// Lowers the mean response time.
#[derive(Debug, Clone, Default)]
pub struct Queueing {
    rules: QueueingRules,
    /// `[N][m]`.
    utilisation: Vec<f32>,
    /// Weighted response time of each node, `[N]`.
    response: Vec<f32>,
    /// Weighted response time and index of the nodes, the slowest first.
    ranking: Vec<(f32, u32)>,
    is_source: Vec<bool>,
}

impl Queueing {
    /// With these parameters.
    pub fn new(rules: QueueingRules) -> Self {
        Self { rules, ..Self::default() }
    }

    /// Weighted response time of a node when a workload comes (1), goes (-1) or neither (0).
    fn response_with(&self, state: &ClusterState, node: usize, workload: usize, sign: f32) -> f32 {
        let spec = &*state.spec;
        let (m, padded) = (spec.resources, spec.padded_nodes());
        let mut utilisation = [0.0; MAX_RESOURCES];
        utilisation[..m].copy_from_slice(&self.utilisation[node * m..(node + 1) * m]);
        if sign != 0.0 {
            for (j, d) in state.demand_of(workload).iter().enumerate() {
                let own = d * spec.inverse_supply[j * padded + node];
                utilisation[j] = (utilisation[j] + sign * own).max(0.0);
            }
        }
        let mut sum = 0.0;
        for (j, &u) in utilisation[..m].iter().enumerate() {
            let supply = spec.supply[j * padded + node];
            if supply > 0.0 {
                let servers = (supply.round() as u32).clamp(1, self.rules.most_servers.max(1));
                let weight = u * supply * spec.inverse_largest[j];
                sum += weight * response_time(servers, u, &self.rules);
            }
        }
        sum
    }

    fn observe(&mut self, state: &ClusterState) {
        add_up(state, &state.demand, &mut self.utilisation);
        self.response.clear();
        self.ranking.clear();
        for node in 0..state.spec.nodes() {
            let response = self.response_with(state, node, 0, 0.0);
            self.response.push(response);
            self.ranking.push((response, node as u32));
        }
        self.ranking.sort_unstable_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        self.is_source.clear();
        self.is_source.resize(state.spec.nodes(), false);
        for &(_, node) in self.ranking.iter().take(self.rules.sources) {
            self.is_source[node as usize] = true;
        }
    }
}

/// Response time of a station in service times.
pub(crate) fn response_time(servers: u32, utilisation: f32, rules: &QueueingRules) -> f32 {
    let c = servers as f32;
    let stable = utilisation.min(rules.saturation);
    let waiting = erlang_c(servers, stable * c) / (c * (1.0 - stable));
    1.0 + waiting + rules.overload * (utilisation - stable)
}

/// Probability that a customer of an M/M/c queue waits, at an offered load below c.
pub(crate) fn erlang_c(servers: u32, offered: f32) -> f32 {
    let mut blocked = 1.0;
    for n in 1..=servers {
        blocked = offered * blocked / (n as f32 + offered * blocked);
    }
    let c = servers as f32;
    c * blocked / (c - offered * (1.0 - blocked))
}

impl Policy for Queueing {
    fn name(&self) -> &str {
        "queueing"
    }

    fn reset(&mut self, _seed: u64) {}

    fn act(&mut self, state: &ClusterState) -> Action {
        self.observe(state);
        let least = match state.rules.episode.mode {
            Mode::Rebalance => ROUNDING,
            Mode::Online => self.rules.min_improvement,
        };
        // Demand stays what it is: the sum falls as the mean does.
        let mut most = least * self.response.iter().sum::<f32>();
        let mut best = Action::Stay;
        for workload in 0..state.spec.workloads() {
            if state.may_leave(workload).is_err() {
                continue;
            }
            let source = state.placement[workload] as usize;
            if !self.is_source[source] {
                continue;
            }
            let left = self.response[source] - self.response_with(state, source, workload, -1.0);
            for destination in 0..state.spec.nodes() {
                if state.check(workload, destination).is_err() {
                    continue;
                }
                let come = self.response_with(state, destination, workload, 1.0);
                let gain = left - (come - self.response[destination]);
                if gain > most {
                    most = gain;
                    best = Action::Migrate { workload, destination };
                }
            }
        }
        best
    }
}
