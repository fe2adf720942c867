//! What was moved before, by name: workloads and nodes have other indices in each snapshot.
//!
//! Ticks are the sender's. One that lies before the latest remembered one, by no more than rules look
//! back, counts as the latest: rests then last longer, not shorter. One that lies further back says
//! that the sender counts anew, or that a tick far in the future was a mistake: what was remembered of
//! later ticks then counts as of this one, so that no rest lasts longer than rules say. Forgetting
//! lags one plan behind the latest tick, so that a tick by mistake forgets nothing.
//!
//! Each migration is remembered with the world in which it was planned
//! ([`ClusterState::fingerprint`](godwit_envs::state::ClusterState::fingerprint)): while that is the
//! same, nothing speaks for moving the workload again, and the moves that were counted on for later
//! ticks are still right.

use crate::plan::{LaterMove, PlannedMove};
use crate::shell::rules::ShellRules;
use godwit_envs::snapshot::{Snapshot, SnapshotWorkload};
use serde::{Deserialize, Serialize};
use std::collections::{HashMap, HashSet};

/// Migrations that still matter: each workload's, with the tick and the node that it left.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Memory {
    moves: HashMap<String, Vec<Departure>>,
    /// Tick of the latest migration.
    latest: u64,
    /// Plans with migrations so far.
    #[serde(default)]
    plans: u64,
    /// Moves that the latest plan with moves counts on in later ticks.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    later: Vec<LaterMove>,
    /// World of the latest plan with moves.
    #[serde(default)]
    world: u64,
}

/// What is remembered of a plan.
#[derive(Debug, Clone, Copy, Default)]
pub struct Carried<'a> {
    /// Its moves.
    pub moves: &'a [PlannedMove],
    /// Moves of later ticks that it counts on.
    pub later: &'a [LaterMove],
    /// The world that it was made in; 0 where nobody says.
    pub world: u64,
}

impl<'a> Carried<'a> {
    /// Moves of a world that nobody compares.
    pub fn of(moves: &'a [PlannedMove]) -> Self {
        Self { moves, ..Self::default() }
    }
}

/// A workload left a node.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Departure {
    tick: u64,
    source: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    destination: String,
    /// Number of the plan, from 1; 0 where plans were not counted.
    #[serde(default)]
    plan: u64,
    /// World that the plan was made in.
    #[serde(default)]
    world: u64,
    #[serde(default, skip_serializing_if = "Sight::is_default")]
    sight: Sight,
}

/// What a snapshot shows of a migration that was planned before.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Sight {
    /// The workload is on its way, or has left.
    #[default]
    Left,
    /// The workload is where it was, in a later tick: it was not moved.
    Stayed,
    /// Nothing: the plan left after the snapshot came.
    Hidden,
}

/// A change of a [`Memory`], as it can be written down and made again.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Change {
    /// Plans with migrations so far.
    plans: u64,
    /// Latest tick.
    latest: u64,
    /// Migrations before this tick are forgotten.
    oldest: u64,
    /// Later ticks count as this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    back_to: Option<u64>,
    /// Migrations that were not made.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    dropped: Vec<Dropped>,
    /// Migrations that are going to be made.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    moves: Vec<Made>,
    /// Moves of later ticks that these count on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    later: Vec<LaterMove>,
    /// World of the plan.
    #[serde(default)]
    world: u64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Dropped {
    workload: String,
    plan: u64,
    source: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Made {
    workload: String,
    source: String,
    destination: String,
}

impl Memory {
    /// Keeps migrations that started in this tick, and forgets what no rule asks for any more.
    pub fn record(&mut self, rules: &ShellRules, tick: u64, plan: Carried<'_>) {
        let change = self.change(span(rules), tick, plan, Vec::new());
        self.apply(&change);
    }

    /// What becomes of it when this plan for a snapshot with a tick is carried out; `horizon` is how
    /// many ticks rules look back, and `arrived` the number of plans when the snapshot came.
    ///
    /// What was planned for the same tick before, of the snapshot's workloads, and has not begun in
    /// the snapshot is replaced; a plan without moves replaces nothing. `None` if nothing changes.
    pub fn planned(
        &self,
        horizon: u64,
        snapshot: &Snapshot,
        arrived: u64,
        plan: Carried<'_>,
    ) -> Option<Change> {
        let tick = snapshot.tick?;
        let moves = plan.moves;
        let mut dropped = Vec::new();
        if !self.is_empty() && !moves.is_empty() {
            let look = Look::new(snapshot, tick, arrived);
            for workload in &snapshot.workloads {
                let departures = self.moves.get(&workload.name).map_or(&[][..], Vec::as_slice);
                let replaced = look.replaced(workload, departures);
                dropped.extend(departures.iter().zip(replaced).filter(|(_, gone)| *gone).map(
                    |(departure, _)| Dropped {
                        workload: workload.name.clone(),
                        plan: departure.plan,
                        source: departure.source.clone(),
                    },
                ));
            }
        }
        let change = self.change(horizon, tick, plan, dropped);
        let same = moves.is_empty() && change.back_to.is_none();
        (!same).then_some(change)
    }

    /// What becomes of it when a migration that was planned in this tick was not made; `None` if it
    /// is not remembered.
    pub fn not_made(&self, tick: Option<u64>, planned: &PlannedMove) -> Option<Change> {
        let of_move = |departure: &&Departure| {
            departure.source == planned.source_name
                && departure.destination == planned.destination_name
        };
        let departures = self.moves.get(&planned.workload_name)?;
        let mut found = departures.iter().rev().filter(of_move);
        // A tick that was put back counts as another one.
        let of_tick = found.clone().find(|departure| Some(departure.tick) == tick);
        let Departure { plan, source, .. } = of_tick.or_else(|| found.next())?;
        let dropped = Dropped {
            workload: planned.workload_name.clone(),
            plan: *plan,
            source: source.clone(),
        };
        let (plans, latest) = (self.plans, self.latest);
        Some(Change { plans, latest, dropped: vec![dropped], ..Change::default() })
    }

    fn change(&self, horizon: u64, tick: u64, plan: Carried<'_>, dropped: Vec<Dropped>) -> Change {
        let Carried { moves, later, world } = plan;
        let back_to = self.back_to(horizon, tick);
        let before = back_to.unwrap_or(self.latest);
        Change {
            plans: self.plans + u64::from(!moves.is_empty()),
            latest: before.max(tick),
            oldest: before.saturating_sub(horizon),
            back_to,
            dropped,
            moves: moves
                .iter()
                .map(|planned| Made {
                    workload: planned.workload_name.clone(),
                    source: planned.source_name.clone(),
                    destination: planned.destination_name.clone(),
                })
                .collect(),
            later: later.to_vec(),
            world,
        }
    }

    /// Makes a change.
    pub fn apply(&mut self, change: &Change) {
        if let Some(tick) = change.back_to {
            let departures = self.moves.values_mut().flatten();
            departures.for_each(|departure| departure.tick = departure.tick.min(tick));
        }
        for Dropped { workload, plan, source } in &change.dropped {
            if let Some(departures) = self.moves.get_mut(workload) {
                departures.retain(|d| d.plan != *plan || d.source != *source);
            }
        }
        self.moves.retain(|_, departures| {
            departures.retain(|d| d.tick >= change.oldest || d.is_of(change.world));
            !departures.is_empty()
        });
        (self.latest, self.plans) = (change.latest, change.plans);
        if !change.moves.is_empty() {
            (self.later, self.world) = (change.later.clone(), change.world);
        }
        for Made { workload, source, destination } in &change.moves {
            self.moves.entry(workload.clone()).or_default().push(Departure {
                tick: self.latest,
                source: source.clone(),
                destination: destination.clone(),
                plan: self.plans,
                world: change.world,
                sight: Sight::Left,
            });
        }
    }

    /// The tick as which later ones count, if this one lies too far before the latest.
    fn back_to(&self, horizon: u64, tick: u64) -> Option<u64> {
        (self.latest.saturating_sub(tick) > horizon && !self.is_empty()).then_some(tick)
    }

    /// Forgets a workload: another one of this name was never moved.
    pub fn forget(&mut self, workload: &str) {
        self.moves.remove(workload);
    }

    /// Whether nothing is remembered.
    pub fn is_empty(&self) -> bool {
        self.moves.is_empty()
    }

    /// Plans with migrations so far.
    pub fn plans(&self) -> u64 {
        self.plans
    }

    /// What of it matters for plans about this snapshot, which came after so many plans.
    ///
    /// A migration that was planned for this very tick and that the snapshot does not show is left
    /// out: a plan made now replaces it.
    pub fn about(&self, horizon: u64, snapshot: &Snapshot, arrived: u64) -> Self {
        if self.is_empty() {
            return self.clone();
        }
        let back_to = snapshot.tick.and_then(|tick| self.back_to(horizon, tick));
        let look = Look::new(snapshot, snapshot.tick.unwrap_or(self.latest), arrived);
        let mut moves = HashMap::new();
        for workload in &snapshot.workloads {
            let Some(departures) = self.moves.get(&workload.name) else { continue };
            let seen = look.at(workload, departures, back_to);
            if !seen.is_empty() {
                moves.insert(workload.name.clone(), seen);
            }
        }
        let latest = back_to.unwrap_or(self.latest);
        Self { moves, latest, plans: self.plans, later: self.later.clone(), world: self.world }
    }

    /// Ticks for which the workload still has to rest.
    pub fn rest(&self, rules: &ShellRules, tick: u64, workload: &str) -> u64 {
        let Some(backoff) = &rules.backoff else { return 0 };
        let since = self.latest.max(tick).saturating_sub(u64::from(backoff.forget_ticks));
        let departures = self.of(workload);
        let counted = departures.iter().filter(|departure| departure.tick >= since).count();
        match departures.last() {
            Some(last) if counted > 0 => {
                let passed = self.latest.max(tick).saturating_sub(last.tick);
                backoff.rest(counted).saturating_sub(passed)
            }
            _ => 0,
        }
    }

    /// Ticks for which the workload may not be moved yet, where the rules of the world give each
    /// migration a cool-down of so many.
    pub fn cooldown(&self, ticks: u32, tick: u64, workload: &str) -> u64 {
        let moved = |departure: &&Departure| departure.sight != Sight::Stayed;
        let last = self.of(workload).iter().rev().find(moved);
        let passed = last.map(|last| self.latest.max(tick).saturating_sub(last.tick));
        passed.map_or(0, |passed| u64::from(ticks).saturating_sub(passed))
    }

    /// Whether the workload was moved already, in this very world.
    pub fn is_settled(&self, world: u64, workload: &str) -> bool {
        let moved = |d: &Departure| d.is_of(world) && d.sight != Sight::Stayed;
        self.of(workload).iter().any(moved)
    }

    /// The moves that the latest plan counts on, if it was made in this very world.
    pub fn later(&self, world: u64) -> &[LaterMove] {
        if self.world == world { &self.later } else { &[] }
    }

    /// Nodes that the workload must not return to yet.
    pub fn left_by<'a>(
        &'a self,
        rules: &ShellRules,
        tick: u64,
        workload: &str,
    ) -> impl Iterator<Item = &'a str> {
        self.left_within(rules.hold_down_ticks, tick, workload)
    }

    /// Nodes that the workload has left within so many ticks.
    pub fn left_within(&self, ticks: u32, tick: u64, workload: &str) -> impl Iterator<Item = &str> {
        let (now, ticks) = (self.latest.max(tick), u64::from(ticks));
        let held = self.of(workload).iter().filter(move |d| now.saturating_sub(d.tick) < ticks);
        held.map(|departure| departure.source.as_str())
    }

    /// Both ends of a workload's migrations that the snapshot cannot show yet, as they were planned
    /// meanwhile.
    pub(super) fn hidden(&self, workload: &str) -> impl Iterator<Item = [&str; 2]> {
        let hidden = self.of(workload).iter().filter(|d| d.sight == Sight::Hidden);
        hidden.map(|departure| [departure.source.as_str(), departure.destination.as_str()])
    }

    fn of(&self, workload: &str) -> &[Departure] {
        self.moves.get(workload).map_or(&[], Vec::as_slice)
    }
}

impl Departure {
    fn is_of(&self, world: u64) -> bool {
        world != 0 && self.world == world
    }
}

impl Sight {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// What a snapshot shows of earlier plans.
struct Look<'a> {
    tick: u64,
    arrived: u64,
    in_transfer: HashSet<&'a str>,
}

impl<'a> Look<'a> {
    fn new(snapshot: &'a Snapshot, tick: u64, arrived: u64) -> Self {
        let transfers = snapshot.transfers.iter();
        let in_transfer = transfers.map(|transfer| transfer.workload.as_str()).collect();
        Self { tick, arrived, in_transfer }
    }

    /// Whether each departure has not begun, as the workload is still where it starts, or where an
    /// earlier one of the same plan does.
    fn not_begun(&self, workload: &SnapshotWorkload, departures: &[Departure]) -> Vec<bool> {
        let mut begun = vec![false; departures.len()];
        if self.in_transfer.contains(workload.name.as_str()) {
            return begun;
        }
        let mut waiting = None;
        for (departure, not_begun) in departures.iter().zip(&mut begun) {
            if departure.plan <= self.arrived && Some(&departure.source) == workload.node.as_ref() {
                waiting = Some((departure.plan, departure.tick));
            }
            *not_begun = waiting == Some((departure.plan, departure.tick));
        }
        begun
    }

    /// Whether each departure is replaced by a plan for this snapshot.
    fn replaced(&self, workload: &SnapshotWorkload, departures: &[Departure]) -> Vec<bool> {
        let mut replaced = self.not_begun(workload, departures);
        for (replaced, departure) in replaced.iter_mut().zip(departures) {
            *replaced &= departure.tick == self.tick;
        }
        replaced
    }

    /// The departures that are not replaced, as the snapshot shows them.
    fn at(
        &self,
        workload: &SnapshotWorkload,
        departures: &[Departure],
        back_to: Option<u64>,
    ) -> Vec<Departure> {
        let mut seen = Vec::new();
        let not_begun = self.not_begun(workload, departures);
        for (departure, not_begun) in departures.iter().zip(not_begun) {
            if not_begun && departure.tick == self.tick {
                continue;
            }
            let mut departure = departure.clone();
            departure.sight = if departure.plan > self.arrived {
                Sight::Hidden
            } else if not_begun && departure.tick < self.tick {
                Sight::Stayed
            } else {
                Sight::Left
            };
            departure.tick = back_to.map_or(departure.tick, |tick| departure.tick.min(tick));
            seen.push(departure);
        }
        seen
    }
}

/// Ticks for which a migration matters.
pub fn span(rules: &ShellRules) -> u64 {
    let backoff = rules.backoff.as_ref();
    let backoff = backoff.map_or(0, |backoff| backoff.forget_ticks.max(backoff.most_ticks));
    u64::from(backoff.max(rules.hold_down_ticks))
}
