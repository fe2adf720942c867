//! Chains: moves that belong together, offered as one action.
//!
//! Where the objective counts whole slots, often two or three workloads have to leave a node before
//! one more slot is complete. All moves but the last gain nothing by themselves, and nothing tells
//! them from the many that lead nowhere. A chain is such a set of workloads, with the node that each
//! goes to.

use crate::observe::ranking::{EqualRun, Ranked, Rankings};
use crate::state::ClusterState;
use crate::state::objective::Slot;
use crate::state::outlook::whole_slots;

/// Most moves of a chain.
pub const LONGEST: usize = 3;

/// Largest workloads of a node of which sets are made.
const SET_FROM: usize = 8;
/// Sets of a node that are looked at closer: those that exceed what is missing by least.
const PER_NODE: usize = 3;
/// Chains that come to the same and are kept.
const EQUAL: usize = 4;

/// Workloads, each with its destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chain {
    moves: [(u32, u32); LONGEST],
    count: usize,
}

impl Chain {
    /// Of these moves, in the order in which they are made: 1 to [`LONGEST`].
    pub fn new(moves: &[(u32, u32)]) -> Self {
        let mut chain = Self { moves: [(0, 0); LONGEST], count: moves.len() };
        chain.moves[..moves.len()].copy_from_slice(moves);
        chain
    }

    /// Its moves, in the order in which they are made: workload and destination.
    pub fn moves(&self) -> &[(u32, u32)] {
        &self.moves[..self.count]
    }
}

/// Finds the chains of a state. What it holds is of use to it alone.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Finder {
    members: Vec<Member>,
    sets: Vec<Set>,
    ideas: Vec<Idea>,
}

/// A workload that may leave its node.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Member {
    node: u32,
    /// Demand of the slot's resource.
    size: f32,
    workload: u32,
}

/// Workloads of one node that complete a slot by leaving, as indices among its members.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Set {
    members: [usize; LONGEST],
    /// What leaves beyond what was missing.
    excess: f32,
}

#[derive(Debug, Clone, Copy, PartialEq)]
struct Idea {
    chain: Chain,
    /// Slots gained for each of its moves.
    worth: f32,
    excess: f32,
}

impl Finder {
    /// Lists the most promising chains, at most `most`, best first. `rankings` are of this state.
    pub fn find(
        &mut self,
        state: &ClusterState,
        rankings: &mut Rankings,
        most: usize,
        out: &mut Vec<Chain>,
    ) {
        let Some(slot) = state.objective.slot else { return };
        let longest = LONGEST.min(state.moves_left as usize);
        self.list_members(state, slot);
        self.ideas.clear();
        for members in self.members.chunk_by(|a, b| a.node == b.node) {
            let node = members[0].node as usize;
            let removals = state.slots.removals[node] as usize;
            if !(2..=longest).contains(&removals) || state.now.accepting[node] == 0.0 {
                continue;
            }
            let members = &members[..members.len().min(SET_FROM)];
            list_sets(state, slot, members, removals, &mut self.sets);
            for set in &self.sets {
                let leaving = set.members[..removals].iter().map(|&at| members[at]);
                self.ideas.extend(idea(state, slot, leaving, set.excess, rankings));
            }
        }
        self.ideas.sort_by(|a, b| {
            b.worth
                .total_cmp(&a.worth)
                .then(a.excess.total_cmp(&b.excess))
                .then(a.chain.moves.cmp(&b.chain.moves))
        });
        let mut run = EqualRun::default();
        for idea in &self.ideas {
            let looks = Ranked {
                score: idea.worth,
                free: idea.excess,
                size: idea.chain.count as f32,
                id: 0,
            };
            if out.len() == most {
                return;
            }
            if run.count(&looks) < EQUAL {
                run.push(looks);
                out.push(idea.chain);
            }
        }
    }

    /// Who may leave, by node, the largest first.
    fn list_members(&mut self, state: &ClusterState, slot: Slot) {
        self.members.clear();
        for k in 0..state.spec.workloads() {
            let size = state.demand_of(k)[slot.resource];
            if size > 0.0 && state.may_leave(k).is_ok() {
                let node = state.placement[k];
                self.members.push(Member { node, size, workload: k as u32 });
            }
        }
        self.members.sort_unstable_by(|a, b| {
            let by_node = a.node.cmp(&b.node);
            by_node.then(b.size.total_cmp(&a.size)).then(a.workload.cmp(&b.workload))
        });
    }
}

/// Sets of `count` members, the largest first, that complete the node's next slot.
fn list_sets(
    state: &ClusterState,
    slot: Slot,
    members: &[Member],
    count: usize,
    out: &mut Vec<Set>,
) {
    out.clear();
    let node = members[0].node as usize;
    let missing = (state.now.slots[node] + 1.0) * slot.size - state.now.free[node];
    // Of workloads that look alike the first ones stand for all.
    let repeats = |at: usize, from: usize| {
        let alike = |a: &Member, b: &Member| {
            a.size == b.size && state.look_alike(a.workload as usize, b.workload as usize)
        };
        at > from && alike(&members[at - 1], &members[at])
    };
    let mut add = |set: &[usize]| {
        let leaves: f32 = set.iter().map(|&at| members[at].size).sum();
        let excess = leaves - missing;
        if excess < -slot.size * 1e-4 {
            return;
        }
        let place = out.partition_point(|other| other.excess <= excess);
        if place < PER_NODE {
            let mut members = [0; LONGEST];
            members[..set.len()].copy_from_slice(set);
            out.truncate(PER_NODE - 1);
            out.insert(place, Set { members, excess });
        }
    };
    for a in (0..members.len()).filter(|&a| !repeats(a, 0)) {
        for b in (a + 1..members.len()).filter(|&b| !repeats(b, a + 1)) {
            if count == 2 {
                add(&[a, b]);
                continue;
            }
            for c in (b + 1..members.len()).filter(|&c| !repeats(c, b + 1)) {
                add(&[a, b, c]);
            }
        }
    }
}

/// The chain of these workloads, each to the best node that no other of them goes to; none where
/// one finds no node, or no slot is gained.
fn idea(
    state: &ClusterState,
    slot: Slot,
    leaving: impl Iterator<Item = Member>,
    excess: f32,
    rankings: &mut Rankings,
) -> Option<Idea> {
    let mut moves = [(0, 0); LONGEST];
    let (mut count, mut freed, mut gained, mut from) = (0, 0.0, 0.0, 0);
    for Member { node, size, workload } in leaving {
        let taken = &moves[..count];
        let free_of = |ranked: &&Ranked| {
            ranked.id != node && taken.iter().all(|&(_, other)| other != ranked.id)
        };
        let to = rankings.of(state, workload as usize).iter().find(free_of)?.id;
        let free = (state.now.free[to as usize] - size).max(0.0);
        gained += whole_slots(free, slot.size) - state.now.slots[to as usize];
        moves[count] = (workload, to);
        (count, freed, from) = (count + 1, freed + size, node as usize);
    }
    gained += whole_slots(state.now.free[from] + freed, slot.size) - state.now.slots[from];
    let chain = Chain { moves, count };
    (gained > 0.0).then_some(Idea { chain, worth: gained / count as f32, excess })
}

#[cfg(test)]
mod tests {
    use crate::env::Env;
    use crate::env::cluster_env::ClusterEnv;
    use crate::observe::ObservationBuffer;
    use crate::scenario::{Phase, Scenario, WorldTemplate};
    use crate::state::Action;
    use std::sync::Arc;

    /// Nodes of 16 cores. `a` holds 8 and 4 (4 free): both have to leave for a slot. `b` and `c` have
    /// 8 and 4 free beside what is pinned there. `d` holds four workloads of 4, which is one too many.
    fn env(budget: u32) -> ClusterEnv {
        let scenario = Scenario::parse(
            &format!(
                r#"
                name = "test"
                start = {{ placement = "listed" }}
                rules.resources = [{{ name = "cpu" }}]
                rules.episode = {{ mode = "rebalance", move_budget = {budget} }}
                rules.objective = {{ weights = {{ fragmentation = 1, moved_gib = 0.001 }}, slot = {{ resource = "cpu", size = 16 }}, unit = 0.1 }}
                rules.candidates = {{ max = 24, chains = 8 }}
                nodes = [
                    {{ name = "a", supply = {{ cpu = 16 }} }},
                    {{ name = "b", supply = {{ cpu = 16 }} }},
                    {{ name = "c", supply = {{ cpu = 16 }} }},
                    {{ name = "d", supply = {{ cpu = 16 }} }},
                ]
                workloads = [
                    {{ name = "x", demand = {{ cpu = 8 }}, node = "a" }},
                    {{ name = "y", demand = {{ cpu = 4 }}, node = "a" }},
                    {{ name = "p", demand = {{ cpu = 8 }}, node = "b", movable = false }},
                    {{ name = "q", demand = {{ cpu = 12 }}, node = "c", movable = false }},
                    {{ name = "s", count = 4, demand = {{ cpu = 4 }}, node = "d" }},
                ]
                "#
            ),
            "test",
        )
        .expect("a valid scenario");
        let template = Arc::new(WorldTemplate::new(&scenario));
        ClusterEnv::new(template, Phase::Evaluate).expect("a feasible start")
    }

    /// Index of the only chain that an observation offers.
    fn chain(env: &ClusterEnv, seen: &ObservationBuffer) -> Option<usize> {
        let further =
            env.observation_space().candidate_feature("further_moves").expect("a feature");
        let mut chains = (1..env.action_space())
            .filter(|&action| seen.mask[action] && seen.candidate(action, further) > 0.0);
        let found = chains.next();
        assert_eq!(chains.next(), None);
        found
    }

    fn observed(env: &ClusterEnv) -> ObservationBuffer {
        let mut seen = ObservationBuffer::new(env.observation_space());
        env.observe(&mut seen);
        seen
    }

    #[test]
    fn workloads_that_complete_a_slot_by_leaving_together_are_one_action() {
        let mut env = env(3);
        let seen = observed(&env);
        let index = chain(&env, &seen).expect("a chain");
        let space = env.observation_space().clone();
        let value =
            |name: &str| seen.candidate(index, space.candidate_feature(name).expect("a feature"));
        // Of 16 free cores none is in a whole slot before, all are after: from 1 to 0. The first
        // move alone changes nothing, and costs as much as the second: 0.001 for the 1 GiB of each.
        assert_eq!(value("further_moves"), 0.5);
        assert_eq!(value("objective_change"), 0.0);
        assert!((value("further_change") + 5.0).abs() < 1e-5, "{}", value("further_change"));
        assert!((value("further_cost") - value("cost")).abs() < 1e-6 && value("cost") > 0.0);
        // The 8 goes to where 8 are free, the 4 to where 4 are.
        assert_eq!(env.action(index), Some(Action::Migrate { workload: 0, destination: 1 }));

        // What learning sees of it is the same.
        let mut few = ObservationBuffer::new(env.observation_space());
        env.observe_actions(&[index], &mut few);
        let features = env.observation_space().schema.candidate.len();
        for feature in 0..features {
            assert_eq!(few.candidate(index, feature), seen.candidate(index, feature));
        }
        // And so it is from the replay's form of the state.
        let mut bytes = vec![0; env.compact_len()];
        env.write_compact(&mut bytes);
        let mut other = self::env(3);
        other.step(1).expect("a move");
        other.read_compact(&bytes);
        let again = observed(&other);
        assert_eq!((&again.mask, &again.candidates), (&seen.mask, &seen.candidates));

        let step = env.step(index).expect("an offered action");
        assert_eq!(env.state().placement[..2], [1, 2]);
        assert_eq!((env.state().moves_left, step.elapsed_ticks, step.end), (1, 2, None));
        let costs = 2.0 * 0.1 * value("cost");
        assert!((step.reward - (1.0 - costs)).abs() < 1e-5, "{step:?}");
        assert_eq!(chain(&env, &observed(&env)), None);
    }

    #[test]
    fn no_chain_is_longer_than_the_moves_that_are_left() {
        let mut env = env(2);
        let index = chain(&env, &observed(&env)).expect("a chain");
        let step = env.step(index).expect("an offered action");
        assert!(step.end.is_some() && env.state().moves_left == 0);
        let single = self::env(1);
        assert_eq!(chain(&single, &observed(&single)), None);
    }
}
