//! Moves of which it is not known how far they are: of an earlier process, or after a call without an
//! answer. The cluster says where the workload is; nothing is begun again blindly.

use super::Driver;
use crate::cluster::{Executor, Figures, Order, Whereabouts};
use crate::journal::NotKept;
use crate::ledger::moves::{Outcome, Stage};
use crate::ledger::record::Event;

impl Driver {
    /// What an earlier process left: moves that had not begun are not begun any more, as the world has
    /// gone on; those that may be under way are looked for.
    pub(super) fn recover(&mut self, executor: &dyn Executor) -> Result<(), NotKept> {
        let open: Vec<(Order, Stage)> = (self.ledger().open())
            .map(|planned| (planned.order.clone(), planned.stage.clone()))
            .collect();
        for (order, stage) in open {
            match stage {
                Stage::Waiting { .. } => {
                    let reason = "it had not begun when the process ended".to_owned();
                    self.end(&order.id, Outcome::Superseded, reason)?;
                }
                Stage::Intended { .. } => self.resolve(executor, &order)?,
                // Its handle is known: watching it tells.
                Stage::Running { .. } | Stage::Ended { .. } => {}
            }
        }
        Ok(())
    }

    /// Looks for moves that were asked for without an answer a while ago.
    pub(super) fn find_unknown(&mut self, executor: &dyn Executor) -> Result<(), NotKept> {
        let (now_s, unknown_s) = (self.clock.now_s(), self.pace.moves.unknown_s);
        let intended: Vec<Order> = (self.ledger().moves())
            .filter(|planned| {
                matches!(planned.stage, Stage::Intended { since_s, .. } if now_s - since_s >= unknown_s)
            })
            .map(|planned| planned.order.clone())
            .collect();
        intended.iter().try_for_each(|order| self.resolve(executor, order))
    }

    /// Settles a move that was asked for without an answer. One that is not under way is over: whether
    /// it ever began cannot be told, and the same order must not begin twice.
    fn resolve(&mut self, executor: &dyn Executor, order: &Order) -> Result<(), NotKept> {
        self.find_again(executor, order, "it was asked for without an answer, and is not under way")
    }

    /// A move that the cluster does not know by its handle, or whose handle is not known.
    pub(super) fn find_again(
        &mut self,
        executor: &dyn Executor,
        order: &Order,
        reason: &str,
    ) -> Result<(), NotKept> {
        match executor.find(order) {
            Err(error) => {
                tracing::warn!(order = order.id, %error, "a move cannot be looked for now");
                Ok(())
            }
            Ok(Whereabouts::UnderWay(handle)) => {
                self.put(Event::Started { order: order.id.clone(), handle })
            }
            Ok(Whereabouts::At(node)) if node == order.source => {
                self.end(&order.id, Outcome::Failed, reason.to_owned())
            }
            Ok(place) => self.found(order, place),
        }
    }

    /// Ends a move whose workload is not on its source and not under way.
    fn found(&mut self, order: &Order, place: Whereabouts) -> Result<(), NotKept> {
        let (outcome, reason) = match place {
            Whereabouts::At(node) if node == order.destination => {
                (Outcome::Succeeded, "found there afterwards; not measured".to_owned())
            }
            Whereabouts::At(node) => {
                (Outcome::Failed, format!("it is on {node}, not on {}", order.destination))
            }
            Whereabouts::Nowhere | Whereabouts::UnderWay(_) => {
                let Order { workload, source, destination, .. } = order;
                self.alert(format!(
                    "{workload} runs nowhere after its move from {source} to {destination}"
                ))?;
                (Outcome::Failed, "the workload runs nowhere".to_owned())
            }
        };
        tracing::warn!(order = order.id, outcome = outcome.name(), reason, "a move was found");
        if outcome == Outcome::Succeeded {
            self.placement.insert(order.workload.clone(), order.destination.clone());
        }
        let measured = Figures::default();
        self.put(Event::Ended { order: order.id.clone(), outcome, reason, measured })
    }
}
