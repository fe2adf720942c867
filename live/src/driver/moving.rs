//! Moves are begun, watched, given up and ended.

use std::thread;

use super::Driver;
use crate::cluster::{CallError, Executor, Figures, Handle, Order, Progress};
use crate::journal::NotKept;
use crate::ledger::moves::{Move, Outcome, Stage, Why};
use crate::ledger::record::Event;

/// Least change of the share done that is written down.
const NOTED_SHARE: f32 = 0.01;

/// Whether a waiting move may begin.
enum Turn {
    /// It may.
    Ready,
    /// Not yet.
    NotYet,
    /// Never; why.
    Never(String),
}

impl Driver {
    /// Begins every move whose turn it is, as far as the limits allow.
    pub(super) fn start_ready(&mut self, executor: &dyn Executor) -> Result<(), NotKept> {
        let waiting: Vec<Move> =
            self.ledger().moves().filter(|planned| planned.is_waiting()).cloned().collect();
        for planned in waiting {
            let Move { order, stage: Stage::Waiting { tries, .. }, .. } = &planned else {
                continue;
            };
            let (tries, order) = (*tries, order.clone());
            match self.turn_of(&planned) {
                Turn::NotYet => {}
                Turn::Never(reason) => self.end(&order.id, Outcome::Superseded, reason)?,
                Turn::Ready => self.start(executor, &order, tries)?,
            }
        }
        Ok(())
    }

    fn turn_of(&self, of: &Move) -> Turn {
        let Move { order, expires_at_s, stage, .. } = of;
        let now_s = self.clock.now_s();
        if let Some(expires_at_s) = expires_at_s.filter(|expires_at_s| now_s >= *expires_at_s) {
            return Turn::Never(format!("its time was over {:.0} s ago", now_s - expires_at_s));
        }
        for before in self.ledger().before(&order.id) {
            if !before.is_open() && !before.has_succeeded() {
                return Turn::Never(format!(
                    "{}, which it needs, did not come about",
                    before.order.id
                ));
            }
            if before.is_open() {
                return Turn::NotYet;
            }
        }
        let is_early =
            matches!(stage, Stage::Waiting { not_before_s, .. } if now_s < *not_before_s);
        if is_early || self.ledger().halted.is_some() {
            return Turn::NotYet;
        }
        let [of_node, in_all] = self.desk.transfers();
        let limits = &self.pace.moves;
        let under_way = || self.ledger().under_way();
        let busy = |node: &str| under_way().filter(|other| other.touches(node)).count() as u32;
        let per_node = limits.per_node.min(of_node);
        let has_room = (under_way().count() as u32) < limits.in_all.min(in_all)
            && busy(&order.source) < per_node
            && busy(&order.destination) < per_node;
        if has_room { Turn::Ready } else { Turn::NotYet }
    }

    fn start(&mut self, executor: &dyn Executor, order: &Order, tries: u32) -> Result<(), NotKept> {
        self.put(Event::Intended { order: order.id.clone() })?;
        match executor.start(order) {
            Ok(handle) => {
                let Order { id, workload, source, destination, .. } = order;
                tracing::info!(id, workload, source, destination, "a move has begun");
                self.put(Event::Started { order: id.clone(), handle })
            }
            Err(CallError::Refused(reason)) => self.end(&order.id, Outcome::Failed, reason),
            Err(CallError::Later { reason, after }) => {
                self.put_off(order, tries, reason, after.map(|after| after.as_secs_f64()))
            }
            Err(CallError::Unknown(reason)) => {
                // Stays intended: the next turns find out.
                tracing::warn!(
                    order = order.id,
                    reason,
                    "it is not known whether a move has begun"
                );
                Ok(())
            }
        }
    }

    /// A move that the cluster said would not begin now is asked for again later, or has failed.
    fn put_off(
        &mut self,
        order: &Order,
        tries: u32,
        reason: String,
        after_s: Option<f64>,
    ) -> Result<(), NotKept> {
        if tries + 1 >= self.pace.moves.tries {
            let reason = format!("asked for {} times in vain: {reason}", tries + 1);
            return self.end(&order.id, Outcome::Failed, reason);
        }
        let back_off_s = self.pace.moves.back_off_s * f64::from(tries).exp2();
        let again_at_s = self.clock.now_s() + after_s.unwrap_or(0.0).max(back_off_s);
        tracing::info!(order = order.id, reason, "a move is put off");
        self.put(Event::NotStarted { order: order.id.clone(), reason, again_at_s })
    }

    /// Asks how moves are getting on, side by side, and gives up those that take too long.
    pub(super) fn watch(&mut self, executor: &dyn Executor) -> Result<(), NotKept> {
        let running: Vec<(Order, Handle)> = (self.ledger().moves())
            .filter_map(|planned| match &planned.stage {
                Stage::Running { handle, .. } => Some((planned.order.clone(), handle.clone())),
                _ => None,
            })
            .collect();
        let said: Vec<Result<Progress, CallError>> = thread::scope(|scope| {
            let asked: Vec<_> = running
                .iter()
                .map(|(order, handle)| scope.spawn(move || executor.watch(order, handle)))
                .collect();
            let lost = || Err(CallError::Unknown("the question ended by itself".to_owned()));
            asked.into_iter().map(|asked| asked.join().unwrap_or_else(|_| lost())).collect()
        });
        for ((order, _), said) in running.iter().zip(said) {
            match said {
                Ok(progress) => self.progressed(order, progress)?,
                // The cluster does not know it by its handle any more: where is the workload?
                Err(CallError::Refused(reason)) => self.find_again(executor, order, &reason)?,
                Err(error) => {
                    tracing::warn!(order = order.id, %error, "a move cannot be watched now")
                }
            }
            self.check_deadline(executor, order)?;
        }
        Ok(())
    }

    fn progressed(&mut self, order: &Order, progress: Progress) -> Result<(), NotKept> {
        let Some(Stage::Running { share: told, giving_up, .. }) =
            self.ledger().of_order(&order.id).map(|planned| &planned.stage)
        else {
            return Ok(());
        };
        let given_up = giving_up.as_ref().map(|(why, _)| (why.outcome(), why.to_string()));
        match progress {
            Progress::Running { share, moved_gib } => {
                let change = share.unwrap_or(0.0) - told.unwrap_or(0.0);
                if change.abs() < NOTED_SHARE && (moved_gib.is_none() || told.is_some()) {
                    return Ok(());
                }
                self.put(Event::Progressed { order: order.id.clone(), share, moved_gib })
            }
            Progress::Done(measured) => self.succeeded(order, measured),
            Progress::Elsewhere(node) => {
                let reason = format!("it came to {node}, not to {}", order.destination);
                self.end(&order.id, Outcome::Failed, reason)
            }
            Progress::Failed(reason) => match given_up {
                Some((outcome, why)) => self.end(&order.id, outcome, format!("{why}; {reason}")),
                None => self.end(&order.id, Outcome::Failed, reason),
            },
            Progress::Cancelled => match given_up {
                Some((outcome, why)) => self.end(&order.id, outcome, why),
                None => self.end(&order.id, Outcome::Cancelled, "by another hand".to_owned()),
            },
            Progress::Lost(reason) => {
                let Order { workload, source, destination, .. } = order;
                self.alert(format!(
                    "{workload} runs nowhere after its move from {source} to {destination}: {reason}"
                ))?;
                self.end(&order.id, Outcome::Failed, format!("the workload runs nowhere: {reason}"))
            }
        }
    }

    fn succeeded(&mut self, order: &Order, measured: Figures) -> Result<(), NotKept> {
        self.put(Event::Ended {
            order: order.id.clone(),
            outcome: Outcome::Succeeded,
            reason: String::new(),
            measured,
        })?;
        let Order { id, workload, source, destination, .. } = order;
        tracing::info!(id, workload, source, destination, ?measured, "a move is complete");
        self.placement.insert(workload.clone(), destination.clone());
        self.calibrate(order, measured)
    }

    /// A move is over in any other way than well.
    pub(super) fn end(
        &mut self,
        order: &str,
        outcome: Outcome,
        reason: String,
    ) -> Result<(), NotKept> {
        tracing::warn!(order, outcome = outcome.name(), reason, "a move is over");
        let measured = Figures::default();
        self.put(Event::Ended { order: order.to_owned(), outcome, reason, measured })
    }

    fn check_deadline(&mut self, executor: &dyn Executor, order: &Order) -> Result<(), NotKept> {
        let now_s = self.clock.now_s();
        let Some(planned) = self.ledger().of_order(&order.id) else { return Ok(()) };
        let Stage::Running { since_s, giving_up, handle, .. } = &planned.stage else {
            return Ok(());
        };
        let moves = &self.pace.moves;
        match giving_up {
            None => {
                let predicted_s = f64::from(order.predicted.transfer_s.unwrap_or(0.0));
                let deadline_s = (moves.deadline_factor * predicted_s).max(moves.deadline_least_s);
                if now_s - since_s > deadline_s && executor.promises().can_be_cancelled {
                    return self.give_up(&order.id, Why::Deadline);
                }
                Ok(())
            }
            Some((why, since_s)) if now_s - since_s > moves.give_up_s => {
                if self.stuck.contains(&order.id) {
                    return Ok(());
                }
                let (why, handle) = (why.to_string(), handle.clone());
                self.stuck.push(order.id.clone());
                let again = executor.cancel(order, &handle);
                let said = again.err().map(|error| format!(" ({error})")).unwrap_or_default();
                self.alert(format!(
                    "{} was to be given up as {why}, and is still under way{said}: look at it by hand",
                    order.id
                ))
            }
            Some(_) => Ok(()),
        }
    }

    /// Asks the cluster to give a running move up.
    pub(super) fn give_up(&mut self, order: &str, why: Why) -> Result<(), NotKept> {
        let Some(executor) = self.executor.clone() else { return Ok(()) };
        let Some(planned) = self.ledger().of_order(order) else { return Ok(()) };
        let Stage::Running { handle, .. } = &planned.stage else { return Ok(()) };
        let (of_order, handle) = (planned.order.clone(), handle.clone());
        tracing::warn!(order, %why, "a move is being given up");
        self.put(Event::GivingUp { order: order.to_owned(), why })?;
        if let Err(error) = executor.cancel(&of_order, &handle) {
            tracing::error!(order, %error, "a move could not be given up");
        }
        Ok(())
    }
}
