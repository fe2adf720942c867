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

mod saved;
mod tick;

use crate::env::{ActionError, Env, EpisodeEnd, ResetError, Step};
use crate::episode::demand::DemandTable;
use crate::observe::candidates::CandidateList;
use crate::observe::chains::Chain;
use crate::observe::compact::CompactLayout;
use crate::observe::encoder::{self, Candidates};
use crate::observe::normalisation::Normalisation;
use crate::observe::{ObservationBuffer, ObservationSpace};
use crate::scenario::{Episode, Mode, Phase, WorldTemplate};
use crate::state::cluster::Health;
use crate::state::event::{Event, EventKind};
use crate::state::term::{LEVEL_TERMS, TERMS, Term};
use crate::state::{Action, ClusterState, Infeasible, Life, NOWHERE, full_budget};
use std::sync::Arc;

/// An environment over the episodes of one scenario.
#[derive(Debug, Clone)]
pub struct ClusterEnv {
    template: Arc<WorldTemplate>,
    phase: Phase,
    space: ObservationSpace,
    layout: CompactLayout,
    episode: Arc<Episode>,
    state: ClusterState,
    /// Demand factors now and at the horizons, `[1 + H][K]`; empty where demand is constant.
    factors: Vec<f32>,
    list: CandidateList,
    /// Whether the list is kept up to date.
    offering: bool,
    seed: u64,
    ended: bool,
    /// Cold restarts in the episode so far.
    restarts: u32,
    /// The episode's events, where they are recorded.
    events: Option<Vec<Event>>,
    /// Scratch: transitions that are about to be carried out.
    pending: Vec<EventKind>,
}

impl ClusterEnv {
    /// An environment that stands at the episode of seed 0; [`Env::reset`] starts another.
    ///
    /// # Errors
    /// When that episode has no feasible start.
    pub fn new(template: Arc<WorldTemplate>, phase: Phase) -> Result<Self, ResetError> {
        let episode = Arc::new(template.draw(0, phase)?);
        let state = ClusterState::new(
            Arc::clone(&template.rules),
            Arc::clone(&episode.spec),
            episode.placement.clone(),
        );
        let space = encoder::observation_space(&state, template.rules.sections());
        let mut layout = template.compact_layout();
        if !space.fixed_pairs {
            layout.candidates = space.actions - 1;
            layout.chains = template.rules.candidates.chains;
        }
        let rows = if template.demand_changes() { 1 + state.forecast.len() } else { 0 };
        let factors = vec![1.0; rows * space.workloads];
        let list = CandidateList::default();
        let mut env = Self {
            template,
            phase,
            space,
            layout,
            episode,
            state,
            factors,
            list,
            offering: true,
            seed: 0,
            ended: false,
            restarts: 0,
            events: None,
            pending: Vec::new(),
        };
        env.reset(0)?;
        Ok(env)
    }

    /// The same with observations that are normalised, or not; the space says which.
    #[must_use]
    pub fn normalised(mut self, normalisation: Option<Arc<Normalisation>>) -> Self {
        self.space.normalisation = normalisation;
        self
    }

    /// Lists no candidates from now on, which in large clusters is most of the work of a step: for
    /// branches that are played by actions alone. Indices and observations mean nothing then.
    #[must_use]
    pub fn without_candidates(mut self) -> Self {
        self.offer_candidates(false);
        self
    }

    /// Lists candidates from this state on, or none any more
    /// ([`without_candidates`](Self::without_candidates)).
    pub fn offer_candidates(&mut self, on: bool) {
        self.offering = on;
        self.refresh_list();
    }

    /// The cluster now.
    pub fn state(&self) -> &ClusterState {
        &self.state
    }

    /// Demand over the current episode.
    pub fn demand(&self) -> &DemandTable {
        &self.episode.demand
    }

    /// Whether the events of each episode are recorded; takes effect at once, for what follows.
    pub fn record_events(&mut self, on: bool) {
        self.events = on.then(Vec::new);
    }

    /// The events of the current episode so far; empty unless they are recorded.
    pub fn events(&self) -> &[Event] {
        self.events.as_deref().unwrap_or_default()
    }

    /// Seed of the current episode.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// Cold restarts of displaced workloads in the current episode so far.
    pub fn restarts(&self) -> u32 {
        self.restarts
    }

    /// How many workloads have left a slot in the current episode so far: who comes later to the same
    /// slot is another.
    pub fn departures(&self, workload: usize) -> u32 {
        let tick = self.state.tick;
        let passages = self.episode.passages.passages.iter().take_while(|p| p.tick <= tick);
        passages.filter(|p| !p.arrives && p.workload as usize == workload).count() as u32
    }

    /// The scenario's template.
    pub fn template(&self) -> &Arc<WorldTemplate> {
        &self.template
    }

    /// The action that an index stands for in this state, feasible or not; of a chain, its first move.
    pub fn action(&self, index: usize) -> Option<Action> {
        self.list.action_at(&self.space, index)
    }

    /// The index that stands for this action in this state, feasible or not; `None` where it is
    /// not offered.
    pub fn index_of(&self, action: Action) -> Option<usize> {
        self.list.index_of(&self.space, action)
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
                Ok(Step { reward: 0.0, luck: 0.0, terms: [0.0; TERMS], elapsed_ticks: 1, end })
            }
            (Action::Stay, Mode::Online) => Ok(self.finish_tick([0.0; TERMS])),
            (Action::Migrate { workload, destination }, mode) => {
                let before = self.state.level_terms();
                let cost_before = self.state.reassignment_cost();
                let source = self.state.placement[workload.min(self.space.workloads - 1)];
                let cost = self.state.migrate(workload, destination)?;
                let (workload, destination) = (workload as u32, destination as u32);
                self.note(EventKind::TransferStarted { workload, source, destination });
                let workload = workload as usize;
                let mut terms = self.state.flow_terms(workload, &cost);
                if mode == Mode::Online {
                    if self.state.moves_left == 0 {
                        return Ok(self.finish_tick(terms));
                    }
                    self.refresh_list();
                    let reward = -self.state.objective.value(&terms);
                    return Ok(Step { reward, luck: 0.0, terms, elapsed_ticks: 0, end: None });
                }
                let after = self.state.level_terms();
                for at in 0..LEVEL_TERMS {
                    terms[at] = after[at] - before[at];
                }
                // Whole numbers of up to 2^63: their difference, and not that of their roundings.
                terms[Term::MachineReassignment as usize] =
                    (self.state.reassignment_cost() - cost_before) as f32;
                let workload = workload as u32;
                self.note(EventKind::TransferEnded { workload, source, destination });
                self.carry_out(EventKind::TickStarted);
                self.ended = self.state.moves_left == 0;
                self.refresh_list();
                let end = self.ended.then_some(EpisodeEnd::Terminated);
                let reward = -self.state.objective.value(&terms);
                Ok(Step { reward, luck: 0.0, terms, elapsed_ticks: 1, end })
            }
        }
    }

    /// Takes all moves of a chain, or as many as the constraints allow, as one step.
    fn apply_chain(&mut self, chain: Chain) -> Result<Step, Infeasible> {
        // The list is needed after the last of them alone.
        let offering = std::mem::replace(&mut self.offering, false);
        let mut whole: Option<Step> = None;
        let mut refused = None;
        for &(workload, destination) in chain.moves() {
            let (workload, destination) = (workload as usize, destination as usize);
            match self.apply(Action::Migrate { workload, destination }) {
                Ok(step) => whole = Some(whole.map_or(step, |whole| whole.followed_by(&step))),
                Err(why) => {
                    refused = Some(why);
                    break;
                }
            }
        }
        self.offering = offering;
        match whole {
            Some(step) => {
                self.refresh_list();
                Ok(step)
            }
            None => Err(refused.unwrap_or(Infeasible::Ended)),
        }
    }

    fn load_demand(&mut self) {
        let (tick, workloads) = (self.state.tick, self.space.workloads);
        let table = &self.episode.demand;
        let forecast = &self.template.rules.forecast;
        let mut rows = self.factors.chunks_exact_mut(workloads);
        if let Some(now) = rows.next() {
            table.write_factors(tick, now);
        }
        for (row, &horizon) in rows.zip(&forecast.horizons) {
            table.write_forecast(tick, horizon, forecast.period_ticks, row);
        }
        self.spread_demand();
    }

    /// Demand now and forecast, from the base demands and the factors on them.
    fn spread_demand(&mut self) {
        let ClusterState { spec, demand, forecast_demand, .. } = &mut self.state;
        let (base, m) = (&spec.base_demand, spec.resources);
        let outs =
            std::iter::once(&mut demand[..]).chain(forecast_demand.chunks_exact_mut(base.len()));
        if self.factors.is_empty() {
            outs.for_each(|out| out.copy_from_slice(base));
            return;
        }
        for (factors, out) in self.factors.chunks_exact(spec.workloads()).zip(outs) {
            self.episode.demand.write(factors, base, m, out);
        }
    }

    fn refresh_list(&mut self) {
        if self.offering && !self.space.fixed_pairs {
            self.list.fill(&self.state, self.space.actions - 1);
        }
    }

    /// Stands at the start of an episode.
    fn start(&mut self, seed: u64) -> Result<(), ResetError> {
        self.episode = Arc::new(self.template.draw(seed, self.phase)?);
        let state = &mut self.state;
        let rules = &self.template.rules;
        state.spec = Arc::clone(&self.episode.spec);
        state.placement.copy_from_slice(&self.episode.placement);
        state.cooldown.fill(0);
        state.transfers.clear();
        state.queue.clear();
        state.health.fill(Health::Healthy);
        state.deadline.fill(0);
        for (life, &node) in state.life.iter_mut().zip(&self.episode.placement) {
            *life = if node == NOWHERE { Life::Absent } else { Life::Running };
        }
        if let Some(events) = &mut self.events {
            events.clear();
        }
        state.tick = 0;
        state.moves_left = full_budget(rules);
        self.seed = seed;
        self.ended = false;
        self.restarts = 0;
        Ok(())
    }

    fn settle(&mut self) {
        self.load_demand();
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
        let chain = if index == 0 { None } else { self.list.chain(index - 1).copied() };
        let step = match chain {
            Some(chain) => self.apply_chain(chain),
            None => self.apply(action),
        };
        step.map_err(|reason| ActionError::Masked { index, reason: reason.to_string() })
    }

    fn observe(&self, out: &mut ObservationBuffer) {
        let candidates = match self.space.fixed_pairs {
            true => Candidates::AllPairs,
            false => Candidates::Listed(&self.list),
        };
        encoder::encode(&self.state, candidates, out);
        if let Some(normalisation) = &self.space.normalisation {
            normalisation.apply(out);
        }
    }

    fn observe_actions(&self, actions: &[usize], out: &mut ObservationBuffer) {
        let mut pairs = actions.iter().filter_map(|&index| match self.action(index)? {
            Action::Migrate { workload, destination } => Some((index, workload, destination)),
            Action::Stay => None,
        });
        let list = (!self.space.fixed_pairs).then_some(&self.list);
        encoder::encode(&self.state, Candidates::Few(&mut pairs, list), out);
        if let Some(normalisation) = &self.space.normalisation {
            normalisation.apply_to(actions, out);
        }
    }

    fn compact_len(&self) -> usize {
        self.layout.len(&self.state)
    }

    fn write_compact(&self, out: &mut [u8]) {
        self.layout.write(&self.state, &self.factors, &self.list, out);
    }

    fn read_compact(&mut self, bytes: &[u8]) {
        self.layout.read(bytes, &mut self.state, &mut self.factors, &mut self.list);
        if self.layout.demand_differs() {
            self.spread_demand();
        }
        self.state.rebuild();
    }

    fn save(&self) -> serde_json::Value {
        self.saved()
    }

    fn restore(&mut self, saved: &serde_json::Value) -> Result<(), String> {
        self.restore_saved(saved)
    }
}
