//! Anneals the moves of a whole episode that is known beforehand.

use godwit_envs::env::cluster_env::ClusterEnv;
use godwit_envs::rng::{Rng, stream};
use godwit_envs::state::{Action, ClusterState, NOWHERE};
use godwit_models::rollout::Move;
use rand::RngExt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Ticks by which a move is put off or brought forward at most.
const SHIFT: u32 = 8;

/// Changes whose effects tell the first temperature, and what share of their median it is.
const PROBES: usize = 64;
const WARMTH: f64 = 0.1;
/// The last temperature, as a share of the first.
const COOLED: f64 = 0.01;

/// A move of a plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Planned {
    /// Tick in which it begins.
    pub tick: u32,
    /// Workload index.
    pub workload: u32,
    /// Node it goes to.
    pub destination: u32,
}

impl From<&Move> for Planned {
    fn from(made: &Move) -> Self {
        let &Move { tick, workload, destination, .. } = made;
        Self { tick, workload, destination }
    }
}

/// Plays an online episode from where `env` stands at the beginning of a tick: the moves that the
/// plan has from then on, in order of their ticks, but for those that are not allowed. Shows each
/// tick's beginning, with what was earned before it, and returns what is earned in all.
pub fn play(
    env: &mut ClusterEnv,
    plan: &[Planned],
    mut began: impl FnMut(&ClusterEnv, f64),
) -> f64 {
    let mut next = plan.partition_point(|planned| planned.tick < env.state().tick);
    let mut earned = 0.0;
    loop {
        began(env, earned);
        let tick = env.state().tick;
        let end = loop {
            let due = plan.get(next).filter(|planned| planned.tick == tick);
            let action = due.map_or(Action::Stay, |planned| {
                next += 1;
                let (workload, destination) = (planned.workload, planned.destination);
                Action::Migrate { workload: workload as usize, destination: destination as usize }
            });
            // Staying is always allowed, and ends the tick.
            let Ok(step) = env.apply(action) else { continue };
            earned += f64::from(step.reward);
            if step.elapsed_ticks > 0 {
                break step.end;
            }
        };
        if end.is_some() {
            return earned;
        }
        next += plan[next..].partition_point(|planned| planned.tick <= tick);
    }
}

/// The beginning of a tick under the plan, and what was earned before it.
#[derive(Debug)]
struct Point {
    env: ClusterEnv,
    earned: f64,
}

/// A plan on its way to a better one.
#[derive(Debug)]
pub struct Annealer {
    plan: Vec<Planned>,
    /// One for each tick.
    points: Vec<Point>,
    earned: f64,
    rng: Rng,
    scratch: ClusterEnv,
}

impl Annealer {
    /// Begins with a plan of the episode at whose start `env` stands.
    pub fn new(env: &ClusterEnv, plan: Vec<Planned>) -> Self {
        let rng = stream(env.seed(), "hindsight");
        let scratch = env.clone();
        let mut annealer = Self { plan, points: Vec::new(), earned: 0.0, rng, scratch };
        annealer.points.push(Point { env: env.clone(), earned: 0.0 });
        annealer.follow(0);
        annealer
    }

    /// Tries changes of the plan for so long, or until a signal is received; returns the most that was
    /// earned, and how many plans were tried.
    pub fn anneal(&mut self, limit: Duration, received: &AtomicUsize) -> (f64, u64) {
        let (started, mut best, mut tried) = (Instant::now(), self.earned, 0);
        let mut effects = Vec::with_capacity(PROBES);
        let mut warmth = 0.0;
        loop {
            let share = started.elapsed().as_secs_f64() / limit.as_secs_f64().max(1e-9);
            if share >= 1.0 || received.load(Ordering::Relaxed) != 0 {
                return (best, tried);
            }
            let Some((plan, from)) = self.changed() else { continue };
            tried += 1;
            let point = &self.points[from];
            self.scratch.clone_from(&point.env);
            let earned = point.earned + play(&mut self.scratch, &plan, |_, _| {});
            let gain = earned - self.earned;
            if effects.len() < PROBES && gain != 0.0 {
                effects.push(gain.abs());
                effects.sort_unstable_by(f64::total_cmp);
                warmth = WARMTH * effects[effects.len() / 2];
            }
            let temperature = warmth * COOLED.powf(share);
            if gain >= 0.0 || self.rng.random::<f64>() < (gain / temperature).exp() {
                self.plan = plan;
                self.follow(from);
                best = best.max(self.earned);
            }
        }
    }

    /// Plays the plan from a tick on, and keeps where it leads.
    fn follow(&mut self, from: usize) {
        let mut env = self.points[from].env.clone();
        let before = self.points[from].earned;
        self.points.truncate(from);
        let points = &mut self.points;
        let rest = play(&mut env, &self.plan, |env, earned| {
            points.push(Point { env: env.clone(), earned: before + earned });
        });
        self.earned = before + rest;
    }

    /// A plan that differs a little, and the first tick in which it does; nothing where the change
    /// that was drawn cannot be made.
    fn changed(&mut self) -> Option<(Vec<Planned>, usize)> {
        let mut plan = self.plan.clone();
        match self.rng.random_range(0..10) {
            0..4 => {
                let added = self.draw(None)?;
                insert(&mut plan, added);
                Some((plan, added.tick as usize))
            }
            4..6 => {
                let removed = self.remove(&mut plan)?;
                Some((plan, removed.tick as usize))
            }
            6..8 => {
                let moved = self.remove(&mut plan)?;
                let (least, most) = (moved.tick.saturating_sub(SHIFT), moved.tick + SHIFT);
                let most = most.min(self.points.len() as u32 - 1);
                let tick = self.rng.random_range(least..=most);
                insert(&mut plan, Planned { tick, ..moved });
                Some((plan, tick.min(moved.tick) as usize))
            }
            8 => {
                let moved = self.remove(&mut plan)?;
                let nodes = self.scratch.state().spec.nodes() as u32;
                let destination = self.rng.random_range(0..nodes);
                insert(&mut plan, Planned { destination, ..moved });
                Some((plan, moved.tick as usize))
            }
            _ => {
                let removed = self.remove(&mut plan)?;
                let added = self.draw(Some(removed.tick))?;
                insert(&mut plan, added);
                Some((plan, removed.tick.min(added.tick) as usize))
            }
        }
    }

    fn remove(&mut self, plan: &mut Vec<Planned>) -> Option<Planned> {
        (!plan.is_empty()).then(|| plan.remove(self.rng.random_range(0..plan.len())))
    }

    /// A move that is allowed, rather from a loaded node to an idle one: in any tick, or near one.
    fn draw(&mut self, near: Option<u32>) -> Option<Planned> {
        let last = self.points.len() as u32 - 1;
        let (least, most) =
            near.map_or((0, last), |tick| (tick.saturating_sub(SHIFT), (tick + SHIFT).min(last)));
        let tick = self.rng.random_range(least..=most);
        let state = self.points[tick as usize].env.state();
        let (workloads, nodes) = (state.spec.workloads(), state.spec.nodes());
        let mut pick = |most: usize| [0; 2].map(|_| self.rng.random_range(0..most));
        let [one, other] = pick(workloads).map(|workload| (source_load(state, workload), workload));
        let (_, workload) = if one.0 >= other.0 { one } else { other };
        let [one, other] = pick(nodes).map(|node| (state.now.load[node], node));
        let (_, destination) = if one.0 <= other.0 { one } else { other };
        let (workload, destination) = (workload as u32, destination as u32);
        let allowed = state.check(workload as usize, destination as usize).is_ok();
        allowed.then_some(Planned { tick, workload, destination })
    }
}

/// Load of the node that a workload is on; none weighs least.
fn source_load(state: &ClusterState, workload: usize) -> f32 {
    match state.placement[workload] {
        NOWHERE => f32::NEG_INFINITY,
        node => state.now.load[node as usize],
    }
}

/// After those of its tick.
fn insert(plan: &mut Vec<Planned>, added: Planned) {
    let at = plan.partition_point(|planned| planned.tick <= added.tick);
    plan.insert(at, added);
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a failed expectation is the point of a test

    use super::*;
    use godwit_envs::env::Env;
    use godwit_envs::scenario::{Phase, Scenario, WorldTemplate};
    use std::sync::Arc;

    #[test]
    fn plans_only_become_better_and_earn_what_they_say() {
        let mut scenario = Scenario::embedded("founding-10x50").unwrap();
        scenario.rules.episode.ticks = 36;
        let template = Arc::new(WorldTemplate::new(&scenario));
        let mut env = ClusterEnv::new(template, Phase::Evaluate).unwrap().without_candidates();
        env.reset(7).unwrap();
        let mut annealer = Annealer::new(&env, Vec::new());
        let stay = annealer.earned;
        let (best, tried) = annealer.anneal(Duration::from_millis(400), &AtomicUsize::new(0));
        assert!(tried > 100 && best > stay + 1.0, "{best} after {stay} in {tried}");
        let again = play(&mut env, &annealer.plan, |_, _| {});
        assert!((again - annealer.earned).abs() < 1e-9);
    }
}
