//! The cluster as an environment: episodes of a scenario, stepped by migrations.
//!
//! *Rebalance* (static): each move pays the decrease of the weighted objective minus its cost, so
//! that the undiscounted return is exactly initial minus final objective minus costs. `Stay`, or
//! the last move of the budget, terminates the episode.
//!
//! *Online*: moves within a tick pay their flow costs; `Stay`, or the tick's last move, advances
//! the clock and pays minus the weighted level terms held over that tick. The last tick truncates
//! the episode.
//!
//! In both modes `reward = -(sum of weight x term)` over the step's terms.

use crate::candidates::CandidateList;
use crate::compact::CompactLayout;
use crate::constraints::Infeasible;
use crate::encoder;
use crate::env::{ActionError, Env, EpisodeEnd, ResetError, Step};
use crate::objective::{LEVEL_TERMS, TERMS};
use crate::observation::{ObservationBuffer, ObservationSpace};
use crate::scenario::{Episode, Mode, Phase, WorldTemplate};
use crate::state::{Action, ClusterState, Transfer, full_budget};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// An environment over the episodes of one scenario.
#[derive(Debug, Clone)]
pub struct ClusterEnv {
    template: Arc<WorldTemplate>,
    phase: Phase,
    space: ObservationSpace,
    layout: CompactLayout,
    episode: Episode,
    state: ClusterState,
    list: CandidateList,
    seed: u64,
    ended: bool,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Saved {
    seed: u64,
    ended: bool,
    tick: u32,
    moves_left: u32,
    placement: Vec<u32>,
    cooldown: Vec<u16>,
    transfers: Vec<Transfer>,
}

impl ClusterEnv {
    /// An environment that stands at the episode of seed 0; [`Env::reset`] starts another.
    ///
    /// # Errors
    /// When that episode has no feasible start.
    pub fn new(template: Arc<WorldTemplate>, phase: Phase) -> Result<Self, ResetError> {
        let episode = template.draw(0, phase)?;
        let state = ClusterState::new(
            Arc::clone(&template.rules),
            Arc::clone(&episode.spec),
            episode.placement.clone(),
        );
        let space = encoder::observation_space(&state);
        let layout = CompactLayout {
            demand: template.demand_changes() || template.draws_workloads(),
            state_sizes: template.draws_workloads(),
            candidates: if space.fixed_pairs { 0 } else { space.actions - 1 },
        };
        let list = CandidateList::default();
        let mut env =
            Self { template, phase, space, layout, episode, state, list, seed: 0, ended: false };
        env.reset(0)?;
        Ok(env)
    }

    /// The cluster now.
    pub fn state(&self) -> &ClusterState {
        &self.state
    }

    /// Seed of the current episode.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// The scenario's template.
    pub fn template(&self) -> &Arc<WorldTemplate> {
        &self.template
    }

    /// The action that an index stands for in this state, feasible or not.
    pub fn action(&self, index: usize) -> Option<Action> {
        if index == 0 {
            return Some(Action::Stay);
        }
        if !self.space.fixed_pairs {
            return self.list.action(index - 1);
        }
        let n = self.space.nodes;
        let (workload, destination) = ((index - 1) / n, (index - 1) % n);
        (workload < self.space.workloads).then_some(Action::Migrate { workload, destination })
    }

    /// Takes an action, offered or not: baselines may choose any feasible migration.
    ///
    /// # Errors
    /// The constraint that forbids the action; the state is unchanged.
    pub fn apply(&mut self, action: Action) -> Result<Step, Infeasible> {
        if self.ended {
            return Err(Infeasible::Ended);
        }
        match (action, self.template.rules.episode.mode) {
            (Action::Stay, Mode::Rebalance) => {
                self.ended = true;
                let end = Some(EpisodeEnd::Terminated);
                Ok(Step { reward: 0.0, terms: [0.0; TERMS], elapsed_ticks: 1, end })
            }
            (Action::Stay, Mode::Online) => Ok(self.finish_tick([0.0; TERMS])),
            (Action::Migrate { workload, destination }, mode) => {
                let before = self.state.level_terms();
                let cost = self.state.migrate(workload, destination)?;
                let mut terms = self.state.flow_terms(workload, &cost);
                if mode == Mode::Online {
                    if self.state.moves_left == 0 {
                        return Ok(self.finish_tick(terms));
                    }
                    self.refresh_list();
                    let reward = -self.state.objective.value(&terms);
                    return Ok(Step { reward, terms, elapsed_ticks: 0, end: None });
                }
                let after = self.state.level_terms();
                for at in 0..LEVEL_TERMS {
                    terms[at] = after[at] - before[at];
                }
                let moves_left = self.state.moves_left;
                self.state.start_tick();
                self.state.moves_left = moves_left;
                self.ended = moves_left == 0;
                self.refresh_list();
                let end = self.ended.then_some(EpisodeEnd::Terminated);
                let reward = -self.state.objective.value(&terms);
                Ok(Step { reward, terms, elapsed_ticks: 1, end })
            }
        }
    }

    /// Lets the tick pass; `terms` holds the flow terms of the move that ended it.
    fn finish_tick(&mut self, mut terms: [f32; TERMS]) -> Step {
        let rules = Arc::clone(&self.template.rules);
        let held = self.state.run_transfers(rules.episode.tick_s);
        terms[..LEVEL_TERMS].copy_from_slice(&held);
        self.state.start_tick();
        if self.template.demand_changes() {
            self.load_demand();
            self.state.rebuild();
        }
        self.ended = self.state.tick >= rules.episode.ticks;
        self.refresh_list();
        Step {
            reward: -self.state.objective.value(&terms),
            terms,
            elapsed_ticks: 1,
            end: self.ended.then_some(EpisodeEnd::Truncated),
        }
    }

    fn load_demand(&mut self) {
        let spec = &*self.episode.spec;
        let (state, m) = (&mut self.state, spec.resources);
        let table = &self.episode.demand;
        table.write(i64::from(state.tick), &spec.base_demand, m, &mut state.demand);
        let rules = &*self.template.rules;
        let period = rules.forecast.period_ticks;
        let width = spec.workloads() * m;
        for (&horizon, out) in
            rules.forecast.horizons.iter().zip(state.forecast_demand.chunks_exact_mut(width))
        {
            table.write_forecast(state.tick, horizon, period, &spec.base_demand, m, out);
        }
    }

    fn refresh_list(&mut self) {
        if !self.space.fixed_pairs {
            self.list.fill(&self.state, self.space.actions - 1);
        }
    }

    /// Stands at the start of an episode.
    fn start(&mut self, seed: u64) -> Result<(), ResetError> {
        self.episode = self.template.draw(seed, self.phase)?;
        let state = &mut self.state;
        let rules = &self.template.rules;
        state.spec = Arc::clone(&self.episode.spec);
        state.placement.copy_from_slice(&self.episode.placement);
        state.demand.copy_from_slice(&self.episode.spec.base_demand);
        let width = state.demand.len();
        for forecast in state.forecast_demand.chunks_exact_mut(width) {
            forecast.copy_from_slice(&self.episode.spec.base_demand);
        }
        state.cooldown.fill(0);
        state.transfers.clear();
        state.tick = 0;
        state.moves_left = full_budget(rules);
        self.seed = seed;
        self.ended = false;
        Ok(())
    }

    fn settle(&mut self) {
        if self.template.demand_changes() {
            self.load_demand();
        }
        self.state.rebuild();
        self.refresh_list();
    }
}

impl Env for ClusterEnv {
    fn observation_space(&self) -> &ObservationSpace {
        &self.space
    }

    fn reset(&mut self, seed: u64) -> Result<(), ResetError> {
        self.start(seed)?;
        self.settle();
        Ok(())
    }

    fn step(&mut self, index: usize) -> Result<Step, ActionError> {
        if self.ended {
            return Err(ActionError::Ended);
        }
        let size = self.space.actions;
        if index >= size {
            return Err(ActionError::OutOfRange { index, size });
        }
        let Some(action) = self.action(index) else {
            return Err(ActionError::Masked { index, reason: "this slot offers no action".into() });
        };
        self.apply(action)
            .map_err(|reason| ActionError::Masked { index, reason: reason.to_string() })
    }

    fn observe(&self, out: &mut ObservationBuffer) {
        let list = (!self.space.fixed_pairs).then_some(&self.list);
        encoder::encode(&self.state, list, out);
    }

    fn compact_len(&self) -> usize {
        self.layout.len(&self.state)
    }

    fn write_compact(&self, out: &mut [u8]) {
        self.layout.write(&self.state, &self.list, out);
    }

    fn read_compact(&mut self, bytes: &[u8]) {
        self.layout.read(bytes, &mut self.state, &mut self.list);
    }

    fn save(&self) -> serde_json::Value {
        let state = &self.state;
        let saved = Saved {
            seed: self.seed,
            ended: self.ended,
            tick: state.tick,
            moves_left: state.moves_left,
            placement: state.placement.clone(),
            cooldown: state.cooldown.clone(),
            transfers: state.transfers.clone(),
        };
        serde_json::to_value(saved).unwrap_or_default()
    }

    fn restore(&mut self, saved: &serde_json::Value) -> Result<(), String> {
        let saved =
            Saved::deserialize(saved).map_err(|error| format!("environment state: {error}"))?;
        let (nodes, workloads) = (self.space.nodes, self.space.workloads);
        if saved.placement.len() != workloads
            || saved.cooldown.len() != workloads
            || saved.placement.iter().any(|&node| node as usize >= nodes)
        {
            return Err(format!(
                "environment state: expected {workloads} workloads on {nodes} nodes, got a placement of {}",
                saved.placement.len()
            ));
        }
        let outside = |transfer: &Transfer| {
            transfer.workload as usize >= workloads || transfer.source as usize >= nodes
        };
        if saved.transfers.iter().any(outside) {
            return Err(
                "environment state: expected transfers of known workloads and nodes, got others"
                    .into(),
            );
        }
        let rules = &self.template.rules.episode;
        if rules.mode == Mode::Online && saved.tick > rules.ticks {
            let (ticks, tick) = (rules.ticks, saved.tick);
            return Err(format!("environment state: expected a tick up to {ticks}, got {tick}"));
        }
        self.start(saved.seed).map_err(|error| error.to_string())?;
        self.ended = saved.ended;
        self.state.tick = saved.tick;
        self.state.moves_left = saved.moves_left;
        self.state.placement = saved.placement;
        self.state.cooldown = saved.cooldown;
        self.state.transfers = saved.transfers;
        self.settle();
        Ok(())
    }
}
