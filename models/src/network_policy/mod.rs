//! A network as a policy: observe, value the candidates, take the best; or what a heuristic does,
//! unless the best is ahead of that by a margin.

mod base;
mod begun;

pub use base::Base;

use crate::baselines::ParameterError;
use crate::net::{FixedSize, Network, first_best};
use crate::policy::Policy;
use begun::Begun;
use godwit_envs::observe::candidates::CandidateList;
use godwit_envs::observe::encoder::{Candidates, encode, observation_space};
use godwit_envs::observe::ranges::{Ranges, Unfamiliar};
use godwit_envs::observe::sections::Sections;
use godwit_envs::observe::{ObservationBuffer, ObservationSpace};
use godwit_envs::scenario::Rules;
use godwit_envs::state::cluster::ClusterSpec;
use godwit_envs::state::{Action, ClusterState};
use std::sync::Arc;
use std::time::Duration;

/// Takes the candidate of highest value. On a [`Base`] it takes that one's action, unless the best
/// is ahead of it by the margin. Buffers are made for the first cluster it sees, and made anew for
/// one that is observed in another way: of another size, or under other rules.
#[derive(Debug, Clone)]
pub struct NetworkPolicy {
    name: String,
    network: Network,
    /// What the network was trained to see, whatever a cluster's rules call for.
    sections: Sections,
    /// Ranges of what it was trained on, where they are known.
    ranges: Option<Arc<Ranges>>,
    base: Option<base::Playing>,
    list: CandidateList,
    begun: Begun,
    buffers: Option<Buffers>,
}

#[derive(Debug, Clone)]
struct Buffers {
    /// What they were made for: both are held, so that the same pointers mean the same cluster.
    rules: Arc<Rules>,
    spec: Arc<ClusterSpec>,
    space: ObservationSpace,
    observation: ObservationBuffer,
    q: Vec<f32>,
}

impl NetworkPolicy {
    /// A policy with this network, which reads these sections of features.
    pub fn new(name: &str, network: Network, sections: Sections) -> Self {
        Self {
            name: name.to_owned(),
            network,
            sections,
            ranges: None,
            base: None,
            list: CandidateList::default(),
            begun: Begun::default(),
            buffers: None,
        }
    }

    /// The only cluster size that it serves, if there is one.
    pub fn fixed_size(&self) -> Option<FixedSize> {
        self.network.spec().fixed
    }

    /// What it sees.
    pub fn sections(&self) -> Sections {
        self.sections
    }

    /// The same policy on a base; without one, as it is.
    ///
    /// # Errors
    /// When there is no such baseline, or it has no such parameters.
    pub fn on_base(mut self, base: Option<&Base>) -> Result<Self, ParameterError> {
        self.base = base.map(base::Playing::new).transpose()?;
        Ok(self)
    }

    /// The same policy, which knows the ranges of what it was trained on.
    pub fn trained_within(mut self, ranges: Option<Ranges>) -> Self {
        self.ranges = ranges.map(Arc::new);
        self
    }

    /// The network alone.
    pub fn into_network(self) -> Network {
        self.network
    }

    /// Sets by how much the network must be ahead of the base, if there is one.
    pub fn set_margin(&mut self, margin: f32) {
        if let Some(base) = &mut self.base {
            base.settings.margin = Some(margin);
        }
    }

    /// Takes over other weights of the same shape.
    pub fn load_flat(&mut self, weights: &[f32]) {
        self.network.load_flat(weights);
    }

    /// The action at the index that `pick` names, from the value of each candidate
    /// (`f32::NEG_INFINITY` for masked ones), whatever the base would do.
    pub fn act_by(&mut self, state: &ClusterState, pick: impl FnOnce(&[f32]) -> usize) -> Action {
        let Buffers { observation, q, .. } = self.values(state);
        action(observation, pick(q))
    }

    /// The candidates of highest value, whatever the base would do: at most so many, best first, as
    /// indices into the action space of the cluster's rules.
    pub fn favourites(&mut self, state: &ClusterState, count: usize) -> Vec<usize> {
        let Buffers { q, .. } = self.values(state);
        let mut order: Vec<usize> = (0..q.len()).filter(|&at| q[at] > f32::NEG_INFINITY).collect();
        order.sort_by(|&a, &b| q[b].total_cmp(&q[a]).then(a.cmp(&b)));
        order.truncate(count);
        order
    }

    /// What the base does, if there is one.
    pub fn usual(&mut self, state: &ClusterState) -> Option<Action> {
        self.base.as_mut().map(|base| base.policy().act(state))
    }

    /// Index of the candidate that is taken, or what the base does in its place.
    fn choose(&mut self, state: &ClusterState) -> Result<usize, Action> {
        let Some(base) = &mut self.base else { return Ok(first_best(&self.values(state).q)) };
        let Some(margin) = base.settings.margin else { return Err(base.policy().act(state)) };
        // Where every pair is a candidate, the best of them is never behind what the base would do.
        let every_pair = self.values(state).space.fixed_pairs;
        let usual = if margin == 0.0 && every_pair { None } else { self.usual(state) };
        let Buffers { observation, q, space, .. } =
            self.buffers.as_ref().expect("`values` left them");
        let best = first_best(q);
        let Some(usual) = usual else { return Ok(best) };
        // Where it is no candidate, nothing says whether another action is better.
        match self.list.index_of(space, usual).filter(|&at| observation.mask[at]) {
            Some(at) if q[best] > q[at] + margin => Ok(best),
            _ => Err(usual),
        }
    }

    /// Observes the cluster and values its candidates.
    fn values(&mut self, state: &ClusterState) -> &Buffers {
        let same =
            |b: &Buffers| Arc::ptr_eq(&b.rules, &state.rules) && Arc::ptr_eq(&b.spec, &state.spec);
        let mut buffers = match self.buffers.take() {
            Some(buffers) if same(&buffers) => buffers,
            before => self.buffers_for(state, before),
        };
        observe(state, &mut self.list, &mut buffers);
        self.network.q_values(&buffers.observation, &mut buffers.q);
        self.buffers.insert(buffers)
    }

    /// Buffers for a cluster that is not the last one.
    fn buffers_for(&self, state: &ClusterState, before: Option<Buffers>) -> Buffers {
        let (rules, spec) = (Arc::clone(&state.rules), Arc::clone(&state.spec));
        let space = observation_space(state, self.sections);
        match before {
            // Another cluster that is observed in the same way: of its buffers nothing is read
            // before it is written.
            Some(before) if before.space == space => Buffers { rules, spec, ..before },
            _ => {
                let mut observation = ObservationBuffer::new(&space);
                observation.parts = self.network.spec().reads();
                let q = vec![0.0; space.actions];
                Buffers { rules, spec, space, observation, q }
            }
        }
    }
}

/// Observes a state with the candidates that there are.
fn observe(state: &ClusterState, list: &mut CandidateList, buffers: &mut Buffers) {
    let candidates = if buffers.space.fixed_pairs {
        Candidates::AllPairs
    } else {
        list.fill(state, buffers.space.actions - 1);
        Candidates::Listed(list)
    };
    encode(state, candidates, &mut buffers.observation);
}

/// The action at an index; of a chain, its first move.
fn action(observation: &ObservationBuffer, index: usize) -> Action {
    match index {
        0 => Action::Stay,
        index => Action::Migrate {
            workload: observation.candidate_workload[index] as usize,
            destination: observation.candidate_destination[index] as usize,
        },
    }
}

impl Policy for NetworkPolicy {
    fn name(&self) -> &str {
        &self.name
    }

    fn reset(&mut self, seed: u64) {
        self.begun.forget();
        if let Some(base) = &mut self.base {
            base.policy().reset(seed);
        }
    }

    fn act(&mut self, state: &ClusterState) -> Action {
        if let Some(next) = self.begun.next(state) {
            return next;
        }
        let index = match self.choose(state) {
            Ok(index) => index,
            Err(usual) => return usual,
        };
        let Buffers { observation, space, .. } =
            self.buffers.as_ref().expect("the values were worked out");
        if index > 0
            && !space.fixed_pairs
            && let Some(chain) = self.list.chain(index - 1)
        {
            self.begun.begin(state, *chain);
        }
        action(observation, index)
    }

    fn limit_time(&mut self, limit: Option<Duration>) {
        if let Some(base) = &mut self.base {
            base.policy().limit_time(limit);
        }
    }

    fn sees_health(&self, _rules: &Rules) -> bool {
        self.sections.health
    }

    fn unfamiliar(&mut self, state: &ClusterState) -> Vec<Unfamiliar> {
        let follows = self.base.as_ref().is_none_or(|base| base.settings.margin.is_some());
        let Some(ranges) = self.ranges.clone().filter(|_| follows) else { return Vec::new() };
        let before = self.buffers.take();
        let mut buffers = self.buffers_for(state, before);
        // All of it, whatever the network reads.
        let parts = std::mem::take(&mut buffers.observation.parts);
        observe(state, &mut self.list, &mut buffers);
        buffers.observation.parts = parts;
        let found = ranges.unfamiliar(&buffers.observation, &buffers.space.schema);
        self.buffers = Some(buffers);
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::baselines::{Assignment, baseline};
    use crate::net::{Architecture, NetworkSpec};
    use crate::testing::{cluster, rules};
    use godwit_envs::env::cluster_env::ClusterEnv;
    use godwit_envs::observe::features::schema;
    use godwit_envs::scenario::{Phase, Scenario, WorldTemplate};
    use serde_json::json;

    /// Three nodes, the first of them full.
    fn state(changes: serde_json::Value) -> ClusterState {
        let placed = [(5.0, 0), (3.0, 0), (1.0, 0), (2.0, 1)];
        cluster(rules(changes), (3, 10.0), &placed, |_| {})
    }

    /// Clusters of one size whose rules offer other candidates, in every order.
    #[test]
    fn a_policy_decides_about_each_cluster_as_if_it_had_seen_no_other() {
        let worlds = [
            state(json!({})),
            state(json!({"candidates": {"max": 4}})),
            state(json!({"candidates": {"max": 8}, "limits": {"cooldown_ticks": 1}})),
        ];
        let spec = NetworkSpec::new(Architecture::Candidate, &schema(Sections::default()), None);
        let mut network = Network::new(&spec);
        let weights: Vec<f32> =
            (0..spec.parameter_count()).map(|at| (at as f32 * 0.7).sin() * 0.3).collect();
        network.load_flat(&weights);
        let alone: Vec<(Action, usize)> =
            worlds.iter().map(|world| decide(&mut policy(&network), world)).collect();
        assert!(alone.windows(2).all(|pair| pair[0].1 != pair[1].1), "{alone:?}");
        let mut shared = policy(&network);
        for at in [0, 1, 0, 2, 1, 2, 0, 0] {
            assert_eq!(decide(&mut shared, &worlds[at]), alone[at], "cluster {at}");
        }
    }

    /// A network that knows nothing values all actions alike up to a margin.
    #[test]
    fn within_the_margin_the_base_decides_and_beyond_it_the_network() {
        let world = state(json!({}));
        let spec = NetworkSpec::new(Architecture::Candidate, &schema(Sections::default()), None);
        let usual = baseline("best-single-move").expect("a baseline").act(&world);
        let drawn = (1..40).map(|step| {
            let mut network = Network::new(&spec);
            let weights: Vec<f32> = (0..spec.parameter_count())
                .map(|at| (at as f32 * 0.1 * step as f32).sin() * 0.3)
                .collect();
            network.load_flat(&weights);
            let (own, _) = decide(&mut policy(&network), &world);
            (network, own)
        });
        let differs = |(_, own): &(Network, Action)| *own != usual;
        let (network, own) = drawn.into_iter().find(differs).expect("one that decides otherwise");
        let gap = {
            let mut plain = policy(&network);
            let Buffers { observation, q, .. } = plain.values(&world);
            let at = (0..q.len()).find(|&at| action(observation, at) == usual);
            q[first_best(q)] - q[at.expect("a candidate")]
        };
        let on = |margin: Option<f32>| {
            let base =
                Base { baseline: "best-single-move".into(), parameters: Assignment::new(), margin };
            policy(&network).on_base(Some(&base)).expect("a baseline")
        };
        assert!(gap > 0.0);
        assert_eq!(on(Some(0.99 * gap)).act(&world), own);
        assert_eq!(on(Some(0.0)).act(&world), own);
        assert_eq!(on(Some(1.01 * gap)).act(&world), usual);
        assert_eq!(on(None).act(&world), usual);
        // A copy has a base of its own.
        assert_eq!(on(Some(1.01 * gap)).clone().act(&world), usual);
        let unknown =
            Base { baseline: "no-such".into(), parameters: Assignment::new(), margin: None };
        assert!(policy(&network).on_base(Some(&unknown)).is_err());
    }

    /// Of nodes of 16 cores, `a` has to lose both its workloads for a slot; `b` has 8 free, `c` has 4.
    #[test]
    fn a_policy_makes_all_moves_of_the_chain_that_it_has_chosen() {
        let scenario = Scenario::parse(
            r#"
            name = "test"
            start = { placement = "listed" }
            rules.resources = [{ name = "cpu" }]
            rules.episode = { mode = "rebalance", move_budget = 4 }
            rules.objective = { weights = { fragmentation = 1 }, slot = { resource = "cpu", size = 16 } }
            rules.candidates = { max = 24, chains = 8 }
            nodes = [{ name = "a", supply = { cpu = 16 } }, { name = "b", supply = { cpu = 16 } }, { name = "c", supply = { cpu = 16 } }]
            workloads = [
                { name = "x", demand = { cpu = 8 }, node = "a" },
                { name = "y", demand = { cpu = 4 }, node = "a" },
                { name = "p", demand = { cpu = 8 }, node = "b" },
                { name = "q", demand = { cpu = 12 }, node = "c" },
            ]
            "#,
            "test",
        )
        .expect("a valid scenario");
        let env = ClusterEnv::new(Arc::new(WorldTemplate::new(&scenario)), Phase::Evaluate);
        let start = env.expect("a feasible start").state().clone();
        let sections = scenario.rules.sections();
        let spec = NetworkSpec::new(Architecture::Candidate, &schema(sections), None);
        let to = |workload, destination| Action::Migrate { workload, destination };
        let mut second = start.clone();
        second.migrate(0, 1).expect("a feasible move");
        // One that chooses the chain, and would go on otherwise by itself.
        let mut policy = (1..400)
            .find_map(|step| {
                let mut network = Network::new(&spec);
                let weights: Vec<f32> = (0..spec.parameter_count())
                    .map(|at| (at as f32 * 0.1 * step as f32).sin() * 0.3)
                    .collect();
                network.load_flat(&weights);
                let mut policy = NetworkPolicy::new("policy", network, sections);
                let otherwise = policy.act(&second) != to(1, 2);
                let index = policy.choose(&start).ok()?;
                let chain = policy.list.chain(index.checked_sub(1)?)?;
                (otherwise && chain.moves() == [(0, 1), (1, 2)]).then_some(policy)
            })
            .expect("such a network");
        policy.reset(0);
        assert_eq!(policy.act(&start), to(0, 1));
        assert_eq!(policy.act(&second), to(1, 2));
        // Who was reset, or asked about another state, has begun nothing.
        assert_eq!(policy.act(&start), to(0, 1));
        policy.reset(0);
        assert_ne!(policy.act(&second), to(1, 2));
    }

    fn policy(network: &Network) -> NetworkPolicy {
        NetworkPolicy::new("policy", network.clone(), Sections::default())
    }

    /// The decision, and among how many values it was taken.
    fn decide(policy: &mut NetworkPolicy, state: &ClusterState) -> (Action, usize) {
        let mut values = 0;
        let action = policy.act_by(state, |q| {
            values = q.len();
            first_best(q)
        });
        (action, values)
    }
}
