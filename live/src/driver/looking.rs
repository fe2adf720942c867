//! The cluster is looked at: what has changed under a plan, who else moves workloads, and what to do
//! next.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use godwit_envs::snapshot::{Snapshot, SnapshotNode, SnapshotTransfer, SnapshotWorkload};
use godwit_envs::state::cluster::Health;
use godwit_models::plan::Method;

use super::Driver;
use crate::config::Mode;
use crate::journal::NotKept;
use crate::ledger::moves::{Move, Outcome, Stage, Why};
use crate::ledger::record::Event;

impl Driver {
    /// Looks, assesses plans that are over, and decides where that is due and no move waits.
    pub(super) fn look(&mut self) -> Result<(), NotKept> {
        let now_s = self.clock.now_s();
        let is_due = now_s >= self.next_look_s;
        // In step with the interval, however long turns take.
        let late = ((now_s - self.next_look_s) / self.pace.interval_s).floor().max(0.0);
        self.next_look_s = match self.next_look_s {
            0.0 => now_s + self.pace.interval_s,
            next_s if next_s > now_s => next_s,
            next_s => next_s + (late + 1.0) * self.pace.interval_s,
        };
        let seen = match self.source.look() {
            Ok(seen) => seen,
            Err(error) => {
                tracing::error!(%error, "the cluster cannot be seen");
                self.unseen = Some(error.to_string());
                return Ok(());
            }
        };
        let mut snapshot = seen.snapshot;
        snapshot.taken_at_s = snapshot.taken_at_s.or(Some(now_s));
        (self.unseen, self.notes, self.seen_at_s) = (None, seen.notes, Some(now_s));
        self.notice_foreign(&snapshot)?;
        self.placement = placement(&snapshot);
        self.seen = Some(Arc::new(snapshot));
        self.check_world()?;
        self.assess()?;
        // A cluster that refuses everything is not asked without a pause.
        let all_begun = !self.ledger().moves().any(Move::is_waiting);
        if is_due && all_begun { self.decide() } else { Ok(()) }
    }

    /// Workloads that have moved since the last look without our doing.
    fn notice_foreign(&mut self, snapshot: &Snapshot) -> Result<(), NotKept> {
        let ledger = self.ledger();
        // Where it comes to by a move that did not go as it should is our own doing, too.
        let since_s = self.clock.now_s() - 2.0 * self.pace.interval_s;
        let mine = |name: &str| {
            let is_ours = |planned: &&Move| match planned.stage {
                Stage::Ended { outcome, at_s, begun, .. } => {
                    begun && outcome != Outcome::Succeeded && at_s >= since_s
                }
                _ => planned.is_under_way(),
            };
            let mut ours = ledger.ended.iter().chain(ledger.moves()).filter(is_ours);
            ours.any(|planned| planned.order.workload == name)
        };
        let now_s = self.clock.now_s();
        let window_s = self.pace.moves.fight_window_s;
        let undoes = |name: &str, from: &str, to: &str| {
            ledger.ended.iter().chain(ledger.moves()).any(|ended| {
                let at_s = match ended.stage {
                    Stage::Ended { at_s, .. } => at_s,
                    _ => 0.0,
                };
                let order = &ended.order;
                ended.has_succeeded()
                    && now_s - at_s <= window_s
                    && (order.workload.as_str(), order.source.as_str()) == (name, to)
                    && order.destination == from
            })
        };
        let mut foreign = Vec::new();
        for workload in &snapshot.workloads {
            let (name, Some(to)) = (&workload.name, &workload.node) else { continue };
            let from = self.placement.get(name).filter(|from| *from != to);
            if let Some(from) = from.filter(|_| !mine(name)) {
                foreign.push(Event::Foreign {
                    workload: name.clone(),
                    source: from.clone(),
                    destination: to.clone(),
                    undoes: undoes(name, from, to),
                });
            }
        }
        let fights =
            foreign.iter().any(|event| matches!(event, Event::Foreign { undoes: true, .. }));
        for event in foreign {
            if let Event::Foreign { workload, source, destination, undoes } = &event {
                tracing::warn!(workload, source, destination, undoes, "moved by another hand");
            }
            self.put(event)?;
        }
        let recent = self.ledger().undone_at_s.iter().filter(|at_s| now_s - **at_s <= window_s);
        if fights && recent.count() >= self.pace.moves.fights && self.ledger().halted.is_none() {
            self.alert(
                "another balancer undoes our moves: halted; switch one of the two off, then resume"
                    .to_owned(),
            )?;
            self.put(Event::Halted { reason: "another balancer undoes our moves".to_owned() })?;
        }
        Ok(())
    }

    /// Gives up what the world has changed under.
    fn check_world(&mut self) -> Result<(), NotKept> {
        let Some(seen) = self.seen.clone() else { return Ok(()) };
        let health: HashMap<&str, Health> =
            seen.nodes.iter().map(|node| (node.name.as_str(), node.health)).collect();
        let open: Vec<Move> = self.ledger().open().cloned().collect();
        for planned in open {
            let order = &planned.order;
            let closed = match health.get(order.destination.as_str()) {
                None => Some(format!("{} is gone", order.destination)),
                Some(Health::Failed) => Some(format!("{} has failed", order.destination)),
                Some(Health::Draining) => Some(format!("{} is draining", order.destination)),
                Some(Health::Healthy | Health::Degraded) => None,
            };
            match planned.stage {
                Stage::Waiting { .. } => {
                    let source_failed = order.method == Method::Live
                        && health.get(order.source.as_str()) == Some(&Health::Failed);
                    let changed = closed
                        .or_else(|| source_failed.then(|| format!("{} has failed", order.source)))
                        .or_else(|| self.is_elsewhere(&planned));
                    if let Some(changed) = changed {
                        self.end(&order.id, Outcome::Superseded, changed)?;
                    }
                }
                Stage::Running { giving_up: None, .. } => {
                    if let Some(changed) = closed {
                        self.give_up(&order.id, Why::WorldChanged(changed))?;
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Where a workload that waits for its move is, if that is not where the move begins.
    fn is_elsewhere(&self, planned: &Move) -> Option<String> {
        let order = &planned.order;
        // It is still to come there.
        let mut earlier = self.ledger().before(&order.id);
        if earlier.any(|other| other.order.workload == order.workload) {
            return None;
        }
        match self.placement.get(&order.workload) {
            Some(node) if *node == order.source => None,
            Some(node) => Some(format!("the workload is on {node} by now")),
            None => Some("the workload is gone".to_owned()),
        }
    }

    /// Workloads whose moves have failed stay for a while, but for those of nodes that close: what the
    /// cluster refuses would be planned again and again, in place of something else.
    fn let_rest(&self, snapshot: &mut Snapshot) {
        let resting = self.ledger().resting(self.clock.now_s(), self.pace.moves.rest_s);
        if resting.is_empty() {
            return;
        }
        tracing::info!(workloads = resting.len(), "some rest, as their moves have failed");
        let is_closing =
            |node: &&SnapshotNode| matches!(node.health, Health::Draining | Health::Failed);
        let closing: HashSet<&str> =
            snapshot.nodes.iter().filter(is_closing).map(|node| node.name.as_str()).collect();
        for workload in &mut snapshot.workloads {
            let stays = workload.node.as_deref().is_none_or(|node| !closing.contains(node));
            if stays && resting.contains(&workload.name) {
                workload.movable = false;
            }
        }
    }

    /// Moves under way become transfers of the snapshot: both ends hold the demand.
    fn show_under_way(&self, snapshot: &mut Snapshot) {
        let now_s = self.clock.now_s();
        for planned in self.ledger().under_way() {
            let order = &planned.order;
            let (Stage::Running { since_s, .. } | Stage::Intended { since_s, .. }) = planned.stage
            else {
                continue;
            };
            let mut all = snapshot.workloads.iter_mut();
            let workload = all.find(|workload| workload.name == order.workload);
            let both = [&order.source, &order.destination];
            let known = both.iter().all(|name| snapshot.nodes.iter().any(|n| n.name == **name));
            let Some(workload) = workload.filter(|_| known) else { continue };
            // One that has arrived since it was last asked about is on its way for the plan.
            workload.node = Some(order.destination.clone());
            let length_s = order.predicted.transfer_s.unwrap_or(0.0);
            snapshot.transfers.push(SnapshotTransfer {
                workload: order.workload.clone(),
                source: order.source.clone(),
                remaining_s: (length_s - (now_s - since_s) as f32).max(1.0),
            });
        }
    }

    fn decide(&mut self) -> Result<(), NotKept> {
        if self.ledger().halted.is_some() && self.pace.mode == Mode::Active {
            return Ok(());
        }
        let Some(seen) = self.seen.clone() else { return Ok(()) };
        let mut snapshot = (*seen).clone();
        if self.pace.moves.calibrate {
            self.ledger().calibration.correct(&mut snapshot);
        }
        self.let_rest(&mut snapshot);
        self.show_under_way(&mut snapshot);
        let started_s = seen.taken_at_s.unwrap_or_default() as u64;
        let id = format!("d{}-{started_s:x}", self.ledger().decisions + 1);
        let answer = match self.desk.decide(snapshot, id) {
            Ok(answer) => answer,
            Err(error) => {
                tracing::error!(%error, "there is no decision about the cluster as it is");
                return Ok(());
            }
        };
        let (planner, moves) = (&answer.decided.planner, answer.decided.plan.moves.len());
        tracing::info!(planner, moves, reason = answer.document.reason, "decided");
        for planned in &answer.decided.plan.moves {
            let (workload, from) = (&planned.workload_name, &planned.source_name);
            let (to, reason) = (&planned.destination_name, planned.reason);
            tracing::info!(workload, from, to, ?reason, gain = planned.predicted_gain, "planned");
        }
        let decided = answer.decided.clone();
        let is_carried_out = self.pace.mode == Mode::Active && self.executor.is_some() && moves > 0;
        if is_carried_out && self.desk.carried_out(&answer).is_ok() {
            self.put(Event::Decided(decided))?;
        }
        self.decision = Some(Arc::new(answer.document));
        Ok(())
    }
}

/// Node of each workload.
fn placement(snapshot: &Snapshot) -> HashMap<String, String> {
    let of = |workload: &SnapshotWorkload| Some((workload.name.clone(), workload.node.clone()?));
    snapshot.workloads.iter().filter_map(of).collect()
}
