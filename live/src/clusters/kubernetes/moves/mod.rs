//! Moves workloads: KubeVirt's machines migrate live, other pods start anew.

mod kubevirt;
mod order_record;
mod restart;
mod workload;

use super::settings::MoveBy;
use crate::cluster::{CallError, Executor, Handle, Order, Progress, Promises, Whereabouts};
use kubevirt::{KubeVirt, MachineName};
use workload::Workload;

pub(super) use order_record::Records;
pub(super) use restart::{Restart, restore};

/// Moves workloads of a Kubernetes cluster.
pub(super) struct Moves {
    kubevirt: KubeVirt,
    restart: Restart,
}

impl Moves {
    pub(super) fn new(restart: Restart) -> Self {
        let (api, world) = (restart.api.clone(), restart.world.clone());
        Self { kubevirt: KubeVirt { api, world }, restart }
    }
}

/// The machine of a workload, where it is one.
fn machine(workload: &Workload) -> Option<MachineName<'_>> {
    Some(MachineName { namespace: &workload.namespace, name: workload.machine()? })
}

impl Executor for Moves {
    /// Of the weakest kind of move that is made here.
    fn promises(&self) -> Promises {
        let live = self.restart.by == MoveBy::Kubevirt;
        Promises {
            state_is_kept: live,
            destination_is_kept: live,
            can_be_cancelled: live,
            is_measured: false,
        }
    }

    fn start(&self, order: &Order) -> Result<Handle, CallError> {
        let workload = Workload::parse(&order.workload)?;
        match machine(&workload) {
            Some(machine) => self.kubevirt.start(machine, order),
            None if self.restart.by == MoveBy::Kubevirt => Err(CallError::Refused(format!(
                "{}: expected a virtual machine, as move_by is \"kubevirt\", got a pod",
                order.workload
            ))),
            None => self.restart.start(&workload, order),
        }
    }

    fn watch(&self, order: &Order, _: &Handle) -> Result<Progress, CallError> {
        let workload = Workload::parse(&order.workload)?;
        match machine(&workload) {
            Some(machine) => self.kubevirt.watch(machine, order),
            None => self.restart.watch(&workload, order),
        }
    }

    fn cancel(&self, order: &Order, _: &Handle) -> Result<(), CallError> {
        let workload = Workload::parse(&order.workload)?;
        match machine(&workload) {
            Some(machine) => self.kubevirt.cancel(machine, order),
            None => self.restart.cancel(order),
        }
    }

    fn find(&self, order: &Order) -> Result<Whereabouts, CallError> {
        let workload = Workload::parse(&order.workload)?;
        match machine(&workload) {
            Some(machine) => self.kubevirt.find(machine, order),
            None => self.restart.find(&workload, order),
        }
    }
}
