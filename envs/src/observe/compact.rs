//! The replay's form of a state: only what an observation is a function of.
//!
//! Fixed length, little endian: tick, moves left, number of candidates and of transfers (u32
//! each); transfers; placement (indices); cooldowns (u16, where the rules have one); health (u8) and
//! deadlines (u32, where nodes fail); lives (u8, where workloads may wait); the state sizes and
//! base demands that episodes draw (f32); demand factors now and at the forecast's horizons (f32,
//! of the workloads whose demand changes); the candidate list (pairs of indices, where the actions are
//! a list), and of its chains their number (u32) and further moves (pairs of indices). Indices are u16
//! in clusters of up to 65,535 nodes and workloads, else u32. Demands, loads, slots and features are
//! recomputed.

use crate::observe::candidates::CandidateList;
use crate::observe::chains::{Chain, LONGEST};
use crate::state::cluster::Health;
use crate::state::{ClusterState, Life, Transfer, most_transfers};
use std::sync::Arc;

/// Which parts of a state vary in an environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CompactLayout {
    /// Workloads whose demand differs between ticks.
    pub factors: Vec<u32>,
    /// Entries of the base demands, `[K][m]`, that differ between episodes.
    pub base_demand: Vec<u32>,
    /// Workloads whose state size differs between episodes.
    pub state_gib: Vec<u32>,
    /// Nodes change their health.
    pub faults: bool,
    /// Workloads may be on no node.
    pub queue: bool,
    /// Size of the candidate list; 0 where pairs have fixed indices.
    pub candidates: usize,
    /// How many of these may be chains.
    pub chains: usize,
}

/// Stands for the workload of a move that a chain does not have.
const NO_MOVE: u32 = u32::MAX;
/// By discriminant.
const HEALTHS: [Health; 4] = [Health::Healthy, Health::Degraded, Health::Draining, Health::Failed];
/// By discriminant.
const LIVES: [Life; 4] = [Life::Running, Life::Absent, Life::Waiting, Life::Displaced];

impl CompactLayout {
    /// Whether demand differs between states.
    pub fn demand_differs(&self) -> bool {
        !self.factors.is_empty() || !self.base_demand.is_empty()
    }

    /// Bytes of one state.
    pub fn len(&self, state: &ClusterState) -> usize {
        let (k, index) = (state.spec.workloads(), Index::of(state).bytes());
        let floats = self.base_demand.len()
            + self.state_gib.len()
            + self.factors.len() * (1 + state.forecast.len());
        16 + (4 + 2 * index) * most_transfers(&state.rules, k)
            + index * k
            + 2 * k * usize::from(state.rules.limits.cooldown_ticks > 0)
            + usize::from(self.faults) * 5 * state.spec.nodes()
            + usize::from(self.queue) * k
            + 4 * floats
            + 2 * index * self.candidates
            // The first move of a chain is among the candidates.
            + if self.chains > 0 { 4 + 2 * index * (LONGEST - 1) * self.chains } else { 0 }
    }

    /// Writes a state, with its demand factors `[1 + H][K]`; `out` has [`CompactLayout::len`] bytes.
    pub fn write(
        &self,
        state: &ClusterState,
        factors: &[f32],
        list: &CandidateList,
        out: &mut [u8],
    ) {
        out.fill(0);
        let index = Index::of(state);
        let mut w = Writer(out);
        w.u32(state.tick);
        w.u32(state.moves_left);
        w.u32(list.workload.len() as u32);
        w.u32(state.transfers.len() as u32);
        for at in 0..most_transfers(&state.rules, state.spec.workloads()) {
            let transfer = state.transfers.get(at).copied().unwrap_or(Transfer {
                workload: 0,
                source: 0,
                remaining_s: 0.0,
            });
            w.index(index, transfer.workload);
            w.index(index, transfer.source);
            w.f32(transfer.remaining_s);
        }
        state.placement.iter().for_each(|&node| w.index(index, node));
        if state.rules.limits.cooldown_ticks > 0 {
            state.cooldown.iter().for_each(|&ticks| w.u16(ticks));
        }
        if self.faults {
            state.health.iter().for_each(|&health| w.bytes(&[health as u8]));
            state.deadline.iter().for_each(|&tick| w.u32(tick));
        }
        if self.queue {
            state.life.iter().for_each(|&life| w.bytes(&[life as u8]));
        }
        w.gather(&self.state_gib, &state.spec.state_gib);
        w.gather(&self.base_demand, &state.spec.base_demand);
        for row in factors.chunks_exact(state.spec.workloads()) {
            w.gather(&self.factors, row);
        }
        if self.candidates > 0 {
            for (&k, &node) in list.workload.iter().zip(&list.destination) {
                w.index(index, k);
                w.index(index, node);
            }
            let unused = self.candidates - list.workload.len();
            w.skip(2 * index.bytes() * unused);
        }
        if self.chains > 0 {
            w.u32(list.chains.len() as u32);
            for chain in &list.chains {
                for at in 1..LONGEST {
                    let (k, node) = chain.moves().get(at).copied().unwrap_or((NO_MOVE, 0));
                    w.index(index, k);
                    w.index(index, node);
                }
            }
        }
    }

    /// Reads what [`CompactLayout::write`] wrote; what is derived is left to the caller.
    pub fn read(
        &self,
        bytes: &[u8],
        state: &mut ClusterState,
        factors: &mut [f32],
        list: &mut CandidateList,
    ) {
        let index = Index::of(state);
        let mut r = Reader(bytes);
        state.tick = r.u32();
        state.moves_left = r.u32();
        let candidates = r.u32() as usize;
        let transfers = r.u32() as usize;
        state.transfers.clear();
        for at in 0..most_transfers(&state.rules, state.spec.workloads()) {
            let transfer =
                Transfer { workload: r.index(index), source: r.index(index), remaining_s: r.f32() };
            if at < transfers {
                state.transfers.push(transfer);
            }
        }
        state.placement.iter_mut().for_each(|node| *node = r.index(index));
        if state.rules.limits.cooldown_ticks > 0 {
            state.cooldown.iter_mut().for_each(|ticks| *ticks = r.u16());
        }
        if self.faults {
            let read = |byte: [u8; 1]| HEALTHS[usize::from(byte[0]) % HEALTHS.len()];
            state.health.iter_mut().for_each(|health| *health = read(r.bytes()));
            state.deadline.iter_mut().for_each(|tick| *tick = r.u32());
        }
        if self.queue {
            state.queue.clear();
            for (k, life) in state.life.iter_mut().enumerate() {
                *life = LIVES[usize::from(r.bytes::<1>()[0]) % LIVES.len()];
                if matches!(life, Life::Waiting | Life::Displaced) {
                    // An observation counts who waits; it does not tell the order.
                    state.queue.push(k as u32);
                }
            }
        }
        if !self.state_gib.is_empty() || !self.base_demand.is_empty() {
            let spec = Arc::make_mut(&mut state.spec);
            r.scatter(&self.state_gib, &mut spec.state_gib);
            r.scatter(&self.base_demand, &mut spec.base_demand);
        }
        for row in factors.chunks_exact_mut(state.spec.workloads()) {
            r.scatter(&self.factors, row);
        }
        list.workload.clear();
        list.destination.clear();
        if self.candidates > 0 {
            for _ in 0..candidates {
                list.workload.push(r.index(index));
                list.destination.push(r.index(index));
            }
            r.skip(2 * index.bytes() * (self.candidates - candidates));
        }
        list.chains.clear();
        if self.chains > 0 {
            let chains = r.u32() as usize;
            for at in candidates - chains..candidates {
                let mut moves = [(list.workload[at], list.destination[at]); LONGEST];
                let mut count = 1;
                for _ in 1..LONGEST {
                    let further = (r.index(index), r.index(index));
                    if further.0 != NO_MOVE {
                        moves[count] = further;
                        count += 1;
                    }
                }
                list.chains.push(Chain::new(&moves[..count]));
            }
        }
    }
}

/// The width of an index of a node or workload. The largest of a width stands for none, as
/// [`NOWHERE`] does.
#[derive(Clone, Copy, PartialEq)]
enum Index {
    Narrow,
    Wide,
}

impl Index {
    fn of(state: &ClusterState) -> Self {
        let most = state.spec.nodes().max(state.spec.workloads());
        if most <= usize::from(u16::MAX) { Self::Narrow } else { Self::Wide }
    }

    fn bytes(self) -> usize {
        match self {
            Self::Narrow => 2,
            Self::Wide => 4,
        }
    }
}

struct Writer<'a>(&'a mut [u8]);

impl Writer<'_> {
    fn bytes(&mut self, bytes: &[u8]) {
        let (head, tail) = std::mem::take(&mut self.0).split_at_mut(bytes.len());
        head.copy_from_slice(bytes);
        self.0 = tail;
    }
    fn skip(&mut self, bytes: usize) {
        self.0 = &mut std::mem::take(&mut self.0)[bytes..];
    }
    fn u16(&mut self, value: u16) {
        self.bytes(&value.to_le_bytes());
    }
    fn u32(&mut self, value: u32) {
        self.bytes(&value.to_le_bytes());
    }
    fn index(&mut self, index: Index, value: u32) {
        match index {
            // u32::MAX becomes u16::MAX.
            Index::Narrow => self.u16(value as u16),
            Index::Wide => self.u32(value),
        }
    }
    fn f32(&mut self, value: f32) {
        self.bytes(&value.to_le_bytes());
    }
    fn gather(&mut self, indices: &[u32], values: &[f32]) {
        indices.iter().for_each(|&at| self.f32(values[at as usize]));
    }
}

struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn bytes<const L: usize>(&mut self) -> [u8; L] {
        let (head, tail) = self.0.split_at(L);
        self.0 = tail;
        std::array::from_fn(|at| head[at])
    }
    fn skip(&mut self, bytes: usize) {
        self.0 = &self.0[bytes..];
    }
    fn u16(&mut self) -> u16 {
        u16::from_le_bytes(self.bytes())
    }
    fn u32(&mut self) -> u32 {
        u32::from_le_bytes(self.bytes())
    }
    fn index(&mut self, index: Index) -> u32 {
        match index {
            Index::Narrow => match self.u16() {
                u16::MAX => u32::MAX,
                value => value.into(),
            },
            Index::Wide => self.u32(),
        }
    }
    fn f32(&mut self) -> f32 {
        f32::from_le_bytes(self.bytes())
    }
    fn scatter(&mut self, indices: &[u32], out: &mut [f32]) {
        indices.iter().for_each(|&at| out[at as usize] = self.f32());
    }
}

#[cfg(test)]
mod tests {
    use crate::env::Env as _;
    use crate::env::cluster_env::ClusterEnv;
    use crate::scenario::{Phase, Scenario, WorldTemplate};
    use crate::state::Action;
    use std::sync::Arc;

    /// What a replay keeps beside a state: action, reward, discount and kind.
    const BESIDE: usize = 13;

    #[test]
    fn a_million_transitions_of_the_founding_scenario_fit_into_two_gigabytes() {
        let scenario = Scenario::resolve("founding-10x50").expect("an embedded scenario");
        let env = ClusterEnv::new(Arc::new(WorldTemplate::new(&scenario)), Phase::Train)
            .expect("a feasible start");
        let bytes = env.compact_len() + BESIDE;
        assert!(bytes * 1_000_000 < 2_000_000_000, "{bytes} bytes a transition");
    }

    #[test]
    fn indices_beyond_65_535_come_back() {
        let text = r#"
            name = "large"
            rules.resources = [{ name = "cpu" }]
            rules.episode = { mode = "rebalance", move_budget = 9 }
            rules.objective = { weights = { max_load = 1 } }
            rules.candidates = { max = 64 }
            start = { placement = "packed" }
            nodes = [{ name = "n", count = 3, supply = { cpu = 100000 } }]
            workloads = [{ name = "w", count = 65600, demand = { cpu = 1 } }]
        "#;
        let scenario = Scenario::parse(text, "large").expect("a valid scenario");
        let template = Arc::new(WorldTemplate::new(&scenario));
        let mut env = ClusterEnv::new(template, Phase::Train).expect("a feasible start");
        let mut other = env.clone();
        let (workload, source) = (65_599, env.state().placement[65_599]);
        let destination = (source as usize + 1) % 3;
        env.apply(Action::Migrate { workload, destination }).expect("a feasible move");
        let mut bytes = vec![0; env.compact_len()];
        env.write_compact(&mut bytes);
        other.read_compact(&bytes);
        assert_eq!(other.state().placement, env.state().placement);
        let mut again = vec![1; env.compact_len()];
        other.write_compact(&mut again);
        assert!(again == bytes, "other bytes");
    }
}
