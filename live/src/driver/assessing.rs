//! What came of moves: predictions are compared with what was measured, and learnt from.

use super::Driver;
use crate::cluster::{Figures, Order};
use crate::journal::NotKept;
use crate::ledger::OpenPlan;
use crate::ledger::calibration::Measured;
use crate::ledger::record::Event;

impl Driver {
    /// Learns from a move that was measured.
    pub(super) fn calibrate(&mut self, order: &Order, measured: Figures) -> Result<(), NotKept> {
        let (Some(moved_gib), Some(transfer_s)) = (measured.moved_gib, measured.transfer_s) else {
            return Ok(());
        };
        let Some(seen) = self.seen.clone().filter(|_| self.pace.moves.calibrate) else {
            return Ok(());
        };
        let bandwidth = |name: &str| {
            let node = seen.nodes.iter().find(|node| node.name == name);
            node.map(|node| node.bandwidth_gib_s)
        };
        let workload = seen.workloads.iter().find(|workload| workload.name == order.workload);
        let (Some(source), Some(destination), Some(workload)) =
            (bandwidth(&order.source), bandwidth(&order.destination), workload)
        else {
            return Ok(());
        };
        let finding = self.ledger().calibration.learn(Measured {
            order: &order.id,
            workload: &order.workload,
            nodes: [&order.source, &order.destination],
            bandwidth_gib_s: [source, destination],
            state_gib: workload.state_gib,
            moved_gib,
            copy_s: (transfer_s - self.desk.switch_over_s()).max(0.1 * transfer_s),
        });
        finding.map_or(Ok(()), |finding| self.put(Event::Calibrated(finding)))
    }

    /// What the plans came to whose moves are all over.
    pub(super) fn assess(&mut self) -> Result<(), NotKept> {
        let over: Vec<OpenPlan> =
            self.ledger().plans.iter().filter(|plan| plan.is_over()).cloned().collect();
        over.iter().try_for_each(|plan| self.assess_one(plan))
    }

    fn assess_one(&mut self, OpenPlan { decided, moves }: &OpenPlan) -> Result<(), NotKept> {
        let Some(seen) = self.seen.clone() else { return Ok(()) };
        match self.desk.assess((*seen).clone(), decided, moves) {
            Ok(assessed) => {
                if assessed.demoted && !self.ledger().demoted {
                    self.alert(format!(
                        "the policy is demoted: its last plans missed what they predicted; {} plans \
                         from now on",
                        self.desk.fallback()
                    ))?;
                }
                let (made, predicted) = (assessed.made, assessed.predicted_gain);
                let realised = assessed.realised_gain;
                tracing::info!(id = decided.id, made, predicted, realised, "a plan is assessed");
                self.put(Event::Assessed(assessed))
            }
            Err(error) => {
                // The next look may show more.
                tracing::error!(%error, "a plan cannot be assessed on the cluster as it is");
                Ok(())
            }
        }
    }
}
