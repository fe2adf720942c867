//! The played world, how it is seen and how workloads are moved in it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use godwit_envs::env::cluster_env::ClusterEnv;
use godwit_envs::env::{Env, ResetError};
use godwit_envs::scenario::{Phase, WorldTemplate};
use godwit_envs::state::{Action, NOWHERE};

use crate::clock::Clock;
use crate::cluster::{
    CallError, Executor, Figures, Handle, Order, Progress, Promises, Seen, Source, Whereabouts,
};

/// A scenario's episode that goes on with the clock.
pub struct World {
    env: ClusterEnv,
    clock: Arc<dyn Clock>,
    began_at_s: f64,
    /// Ticks that have passed.
    ticks: u32,
    return_so_far: f64,
    over: bool,
    /// What transfers take as the simulator prices them when they begin, by order: a tick's last move
    /// ends it at once, so that the clock says little of their length.
    begun: HashMap<String, Figures>,
}

/// How an episode stands.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Standing {
    /// Ticks that have passed.
    pub ticks: u32,
    /// Sum of the rewards so far, as `godwit evaluate` counts them.
    pub return_so_far: f64,
    /// Whether the episode is over.
    pub over: bool,
}

impl World {
    /// The episode of a seed, which begins now.
    ///
    /// # Errors
    /// When it has no feasible start.
    pub fn new(
        template: Arc<WorldTemplate>,
        phase: Phase,
        seed: u64,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, ResetError> {
        let mut env = ClusterEnv::new(template, phase)?.without_candidates();
        env.reset(seed)?;
        let began_at_s = clock.now_s();
        Ok(Self {
            env,
            clock,
            began_at_s,
            ticks: 0,
            return_so_far: 0.0,
            over: false,
            begun: HashMap::new(),
        })
    }

    /// How the episode stands.
    pub fn standing(&self) -> Standing {
        Standing { ticks: self.ticks, return_so_far: self.return_so_far, over: self.over }
    }

    /// Lets the ticks pass that the clock says are over.
    fn catch_up(&mut self) {
        let tick_s = f64::from(self.env.state().rules.episode.tick_s);
        // A clock that adds up steps is off by rounding.
        let due = ((self.clock.now_s() - self.began_at_s) / tick_s + 1e-6).floor();
        while f64::from(self.ticks) < due && !self.over {
            self.act(Action::Stay);
        }
    }

    fn act(&mut self, action: Action) -> bool {
        let Ok(step) = self.env.apply(action) else { return false };
        self.return_so_far += f64::from(step.reward);
        self.ticks += step.elapsed_ticks;
        self.over |= step.end.is_some();
        true
    }

    fn ids(&self, order: &Order) -> Option<[usize; 3]> {
        let spec = &self.env.state().spec;
        let node = |name: &str| spec.node_names.iter().position(|known| known == name);
        let workload = spec.workload_names.iter().position(|known| *known == order.workload)?;
        Some([workload, node(&order.source)?, node(&order.destination)?])
    }

    fn is_under_way(&self, workload: usize) -> bool {
        self.env.state().is_in_transfer(workload)
    }

    fn node_of(&self, workload: usize) -> Whereabouts {
        let state = self.env.state();
        match state.placement[workload] {
            NOWHERE => Whereabouts::Nowhere,
            node => Whereabouts::At(state.spec.node_names[node as usize].clone()),
        }
    }
}

/// The world as a source.
pub struct Window(pub Arc<Mutex<World>>);

impl Source for Window {
    fn look(&mut self) -> Result<Seen, CallError> {
        let mut world = lock(&self.0);
        world.catch_up();
        if world.over {
            return Err(CallError::Refused("the episode is over".to_owned()));
        }
        let state = world.env.state();
        let mut snapshot = state.to_snapshot();
        snapshot.tick = Some(u64::from(state.tick));
        snapshot.taken_at_s = Some(world.clock.now_s());
        // Whoever is being transferred still runs on its source.
        for transfer in std::mem::take(&mut snapshot.transfers) {
            let mut all = snapshot.workloads.iter_mut();
            if let Some(workload) = all.find(|workload| workload.name == transfer.workload) {
                workload.node = Some(transfer.source);
            }
        }
        Ok(Seen { snapshot, notes: Vec::new() })
    }
}

/// The world as an executor.
pub struct Hands(pub Arc<Mutex<World>>);

impl Executor for Hands {
    fn promises(&self) -> Promises {
        Promises {
            state_is_kept: true,
            destination_is_kept: true,
            can_be_cancelled: false,
            is_measured: true,
        }
    }

    fn start(&self, order: &Order) -> Result<Handle, CallError> {
        let mut world = lock(&self.0);
        world.catch_up();
        let unknown = || CallError::Refused("there is no such workload or node".to_owned());
        let [workload, source, destination] = world.ids(order).ok_or_else(unknown)?;
        if world.env.state().placement[workload] as usize != source {
            return Err(CallError::Refused(format!("the workload is not on {}", order.source)));
        }
        let refused =
            |reason: godwit_envs::state::Infeasible| CallError::Refused(reason.to_string());
        world.env.state().check(workload, destination).map_err(refused)?;
        let cost = world.env.state().migration_cost(workload, destination);
        if !world.act(Action::Migrate { workload, destination }) {
            return Err(CallError::Refused("the episode is over".to_owned()));
        }
        let figures = Figures {
            transfer_s: Some(cost.transfer_s),
            moved_gib: Some(cost.moved_gib),
            downtime_s: Some(cost.downtime_s),
        };
        world.begun.insert(order.id.clone(), figures);
        Ok(Handle(order.id.clone()))
    }

    fn watch(&self, order: &Order, _: &Handle) -> Result<Progress, CallError> {
        let mut world = lock(&self.0);
        world.catch_up();
        let Some([workload, ..]) = world.ids(order) else {
            return Ok(Progress::Lost("there is no such workload any more".to_owned()));
        };
        if world.is_under_way(workload) {
            return Ok(Progress::Running { share: None, moved_gib: None });
        }
        let begun = world.begun.remove(&order.id);
        Ok(match world.node_of(workload) {
            Whereabouts::At(node) if node == order.destination => {
                Progress::Done(begun.unwrap_or_default())
            }
            Whereabouts::At(node) if node == order.source => {
                Progress::Failed("the transfer was rolled back".to_owned())
            }
            Whereabouts::At(node) => Progress::Elsewhere(node),
            _ => Progress::Lost("it has left, or waits for a place".to_owned()),
        })
    }

    fn cancel(&self, _: &Order, _: &Handle) -> Result<(), CallError> {
        Err(CallError::Refused("a simulated transfer cannot be given up".to_owned()))
    }

    fn find(&self, order: &Order) -> Result<Whereabouts, CallError> {
        let mut world = lock(&self.0);
        world.catch_up();
        let Some([workload, ..]) = world.ids(order) else { return Ok(Whereabouts::Nowhere) };
        match world.is_under_way(workload) {
            true => Ok(Whereabouts::UnderWay(Handle(order.id.clone()))),
            false => Ok(world.node_of(workload)),
        }
    }
}

fn lock(world: &Mutex<World>) -> MutexGuard<'_, World> {
    // What a thread that panicked was changing is a simulated world.
    world.lock().unwrap_or_else(PoisonError::into_inner)
}
