//! Live migrations of KubeVirt's machines: one VirtualMachineInstanceMigration each, whose node
//! selector leaves the destination alone.

use serde_json::{Value, json};

use super::order_record::{metadata, object_name};
use crate::cluster::{CallError, Figures, Handle, Order, Progress, Whereabouts};
use crate::clusters::kubernetes::api::Api;
use crate::clusters::kubernetes::objects::{HOST, seconds};
use crate::clusters::kubernetes::rights::{MACHINES, MIGRATIONS};
use crate::clusters::kubernetes::watching::{Shared, locked};

/// Migrates machines.
pub(super) struct KubeVirt {
    pub api: Api,
    pub world: Shared,
}

/// A machine, by its namespace and name.
#[derive(Clone, Copy)]
pub(super) struct MachineName<'a> {
    pub namespace: &'a str,
    pub name: &'a str,
}

impl KubeVirt {
    pub(super) fn start(
        &self,
        machine: MachineName<'_>,
        order: &Order,
    ) -> Result<Handle, CallError> {
        let doing = format!("migrate {}", order.workload);
        match self.node(machine)? {
            Some(node) if node == order.source => {}
            node => {
                let got = node.unwrap_or_else(|| "no node".to_owned());
                let expected = format!("expected it on {}, got {got}", order.source);
                return Err(CallError::Refused(format!("{doing}: {expected}")));
            }
        }
        let Some(host) = self.host_label(&order.destination) else {
            let reason = format!("{doing}: expected a node, got {:?}", order.destination);
            return Err(CallError::Refused(reason));
        };
        let body = json!({
            "apiVersion": "kubevirt.io/v1", "kind": "VirtualMachineInstanceMigration",
            "metadata": metadata(&order.id),
            "spec": { "vmiName": machine.name, "addedNodeSelector": { HOST: host } },
        });
        let answer =
            self.api.call("create", MIGRATIONS, Some(machine.namespace), None, Some(&body));
        match answer.map_err(|silence| silence.failure(&doing))?.ok() {
            Ok(_) => Ok(Handle(object_name(&order.id))),
            // KubeVirt's webhook: the machine is in another migration.
            Err(answer) if answer.message().contains("in-flight migration") => {
                Err(CallError::Later { reason: answer.message(), after: None })
            }
            Err(answer) => Err(answer.failure(&doing)),
        }
    }

    pub(super) fn watch(
        &self,
        machine: MachineName<'_>,
        order: &Order,
    ) -> Result<Progress, CallError> {
        let migration = self.migration(machine, order)?;
        let node = self.node(machine)?;
        let Some(node) = node else {
            return Ok(Progress::Lost("its machine does not run any more".to_owned()));
        };
        let Some(migration) = migration else {
            // Whoever deleted it gave it up; what it had come to by then holds.
            return Ok(match node {
                node if node == order.source => Progress::Cancelled,
                node => arrived(order, node, Figures::default()),
            });
        };
        let status = &migration["status"];
        let state = &status["migrationState"];
        Ok(match status["phase"].as_str() {
            // The machine's own status follows.
            Some("Succeeded") if node == order.source => RUNNING,
            Some("Succeeded") => arrived(order, node, figures(state)),
            Some("Failed") if node != order.source => arrived(order, node, figures(state)),
            Some("Failed") if state["abortRequested"] == true => Progress::Cancelled,
            Some("Failed") => {
                let reason = state["failureReason"].as_str().unwrap_or("KubeVirt gives no reason");
                Progress::Failed(reason.to_owned())
            }
            _ => RUNNING,
        })
    }

    pub(super) fn cancel(&self, machine: MachineName<'_>, order: &Order) -> Result<(), CallError> {
        let name = object_name(&order.id);
        self.api.delete(MIGRATIONS, Some(machine.namespace), &name, "give the migration up")
    }

    pub(super) fn find(
        &self,
        machine: MachineName<'_>,
        order: &Order,
    ) -> Result<Whereabouts, CallError> {
        if let Some(migration) = self.migration(machine, order)? {
            let phase = migration["status"]["phase"].as_str();
            if !matches!(phase, Some("Succeeded" | "Failed")) {
                return Ok(Whereabouts::UnderWay(Handle(object_name(&order.id))));
            }
        }
        Ok(self.node(machine)?.map_or(Whereabouts::Nowhere, Whereabouts::At))
    }

    /// The migration of an order; `None` where there is none.
    fn migration(
        &self,
        machine: MachineName<'_>,
        order: &Order,
    ) -> Result<Option<Value>, CallError> {
        let name = object_name(&order.id);
        self.api.get(MIGRATIONS, Some(machine.namespace), &name, "look at the migration")
    }

    /// The node on which a machine runs; `None` where it does not.
    fn node(&self, machine: MachineName<'_>) -> Result<Option<String>, CallError> {
        let namespace = Some(machine.namespace);
        let machine = self.api.get(MACHINES, namespace, machine.name, "look at the machine")?;
        let status = machine.as_ref().map(|machine| &machine["status"]);
        let runs =
            |status: &&Value| !matches!(status["phase"].as_str(), Some("Succeeded" | "Failed"));
        let node = status.filter(runs).and_then(|status| status["nodeName"].as_str());
        Ok(node.filter(|node| !node.is_empty()).map(str::to_owned))
    }

    /// The label by which a node is selected, which need not be its name.
    fn host_label(&self, node: &str) -> Option<String> {
        let world = locked(&self.world);
        world.objects.nodes.get(node)?.labels.get(HOST).cloned()
    }
}

const RUNNING: Progress = Progress::Running { share: None, moved_gib: None };

fn arrived(order: &Order, node: String, figures: Figures) -> Progress {
    match node == order.destination {
        true => Progress::Done(figures),
        false => Progress::Elsewhere(node),
    }
}

fn figures(state: &Value) -> Figures {
    let at = |field: &str| state[field].as_str().and_then(seconds);
    let took = at("startTimestamp").zip(at("endTimestamp")).map(|(start, end)| end - start);
    Figures { transfer_s: took.map(|took| took.max(0) as f32), ..Figures::default() }
}
