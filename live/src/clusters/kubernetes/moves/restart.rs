//! Moves that end a pod and wait for the one that its controller makes in its place: by the eviction
//! API, or by Koordinator, which reserves room on the destination first.

use serde_json::{Value, json};

use super::order_record::{Record, Records, metadata, object_name};
use super::workload::Workload;
use crate::cluster::{CallError, Figures, Handle, Order, Progress, Whereabouts};
use crate::clusters::kubernetes::api::Api;
use crate::clusters::kubernetes::objects::Owner;
use crate::clusters::kubernetes::rights::{EVICTIONS, JOBS, PODS};
use crate::clusters::kubernetes::settings::MoveBy;
use crate::clusters::kubernetes::source::now_s;
use crate::clusters::kubernetes::watching::{Shared, locked};

/// Ends pods and waits for those in their place.
pub(crate) struct Restart {
    pub api: Api,
    pub world: Shared,
    pub records: Records,
    pub by: MoveBy,
    /// Longest until the new pod is ready, seconds.
    pub deadline_s: f64,
}

/// The old pod, as the API server has it now.
enum Old {
    There,
    Leaving,
    Gone,
}

impl Restart {
    pub(super) fn start(&self, workload: &Workload, order: &Order) -> Result<Handle, CallError> {
        let record = self.record(workload, order)?;
        let job = match self.by {
            MoveBy::Koordinator => Some(self.job(order, &record)?),
            MoveBy::Eviction | MoveBy::Kubevirt => None,
        };
        self.records.write(&record)?;
        let began = match &job {
            Some(job) => self.api.call("create", JOBS, None, None, Some(job)),
            None => {
                let body = eviction(&record);
                let (namespace, pod) = (Some(&*record.namespace), Some(&*record.pod));
                self.api.call("create", EVICTIONS, namespace, pod, Some(&body))
            }
        };
        let doing = format!("move {}", order.workload);
        let failure = match began {
            Ok(answer) => match answer.ok() {
                Ok(_) => return Ok(Handle(object_name(&order.id))),
                Err(answer) => answer.failure(&doing),
            },
            Err(silence) => silence.failure(&doing),
        };
        if !matches!(failure, CallError::Unknown(_)) {
            self.records.strike(&order.id);
        }
        Err(failure)
    }

    pub(super) fn watch(&self, workload: &Workload, order: &Order) -> Result<Progress, CallError> {
        let Some(record) = self.records.read(&order.id)? else {
            let reason = format!("expected what was written of order {}, got nothing", order.id);
            return Err(CallError::Refused(reason));
        };
        let age_s = now_s() - record.began_s;
        match self.old(&record)? {
            Old::There => self.not_gone_yet(order, age_s),
            Old::Leaving => Ok(self.until(age_s, "its pod does not end")),
            Old::Gone => self.successor(workload, order, &record, age_s),
        }
    }

    pub(super) fn cancel(&self, order: &Order) -> Result<(), CallError> {
        if self.by != MoveBy::Koordinator {
            let reason = "expected a move that can be given up, got an eviction".to_owned();
            return Err(CallError::Refused(reason));
        }
        self.api.delete(JOBS, None, &object_name(&order.id), "delete the PodMigrationJob")
    }

    pub(super) fn find(
        &self,
        workload: &Workload,
        order: &Order,
    ) -> Result<Whereabouts, CallError> {
        let under_way = || Whereabouts::UnderWay(Handle(object_name(&order.id)));
        let begun = self.records.read(&order.id)?.is_some();
        let over = |progress: Progress| !matches!(progress, Progress::Running { .. });
        if begun && !over(self.watch(workload, order)?) {
            return Ok(under_way());
        }
        let mut world = locked(&self.world);
        world.behind()?;
        let node = workload.pod(&mut world).and_then(|pod| pod.node.clone());
        Ok(node.map_or(Whereabouts::Nowhere, |node| Whereabouts::At(node.into_string())))
    }

    /// What has to be known of the pod before it is touched.
    fn record(&self, workload: &Workload, order: &Order) -> Result<Record, CallError> {
        let refused = |expected: &str, got: String| {
            CallError::Refused(format!("{}: expected {expected}, got {got}", order.workload))
        };
        let mut world = locked(&self.world);
        world.behind()?;
        let Some(pod) = workload.pod(&mut world).cloned() else {
            return Err(refused("a pod", "none of that name".to_owned()));
        };
        let Some(owner) = pod.owner.clone() else {
            return Err(refused("a pod that a controller brings back", pod.name.to_string()));
        };
        match pod.node.as_deref() {
            Some(node) if node == order.source => {}
            node => {
                let expected = format!("it on {}", order.source);
                return Err(refused(&expected, node.unwrap_or("no node").to_owned()));
            }
        }
        if pod.leaving {
            return Err(refused("a pod that runs", "one on its way out".to_owned()));
        }
        let numbers = world.ordinals.of(&pod.namespace, &owner);
        Ok(Record {
            order: order.id.clone(),
            workload: order.workload.clone(),
            namespace: pod.namespace.to_string(),
            pod: pod.name.to_string(),
            uid: pod.uid.to_string(),
            owner_kind: owner.kind.to_string(),
            owner_name: owner.name.to_string(),
            began_s: now_s(),
            numbers: numbers.into_iter().map(|(uid, n)| (uid.to_string(), n)).collect(),
        })
    }

    fn old(&self, record: &Record) -> Result<Old, CallError> {
        let doing = "look at the pod that is moved";
        let Some(pod) = self.api.get(PODS, Some(&record.namespace), &record.pod, doing)? else {
            return Ok(Old::Gone);
        };
        let meta = &pod["metadata"];
        Ok(match (meta["uid"].as_str(), &meta["deletionTimestamp"]) {
            (None, _) => {
                let reason = format!("{doing}: expected a pod, got other text");
                return Err(CallError::Later { reason, after: None });
            }
            (Some(uid), _) if uid != record.uid => Old::Gone,
            (Some(_), Value::Null) => Old::There,
            (Some(_), _) => Old::Leaving,
        })
    }

    /// Nothing has happened to the pod so far: it may still.
    fn not_gone_yet(&self, order: &Order, age_s: f64) -> Result<Progress, CallError> {
        if self.by == MoveBy::Koordinator {
            return self.reserving(order, age_s);
        }
        // By then the server has given the call up, if it ever came there.
        match age_s > 2.0 * self.api.timeout.as_secs_f64() {
            true => Ok(Progress::Failed("the eviction did not come about".to_owned())),
            false => Ok(RUNNING),
        }
    }

    fn reserving(&self, order: &Order, age_s: f64) -> Result<Progress, CallError> {
        let name = object_name(&order.id);
        let Some(job) = self.api.get(JOBS, None, &name, "look at the PodMigrationJob")? else {
            let over = age_s > 2.0 * self.api.timeout.as_secs_f64();
            return Ok(if over { Progress::Cancelled } else { RUNNING });
        };
        let status = &job["status"];
        let reason = [&status["reason"], &status["message"]];
        let reason: Vec<&str> = reason.iter().filter_map(|text| text.as_str()).collect();
        Ok(match status["phase"].as_str() {
            Some("Failed") => Progress::Failed(reason.join(": ")),
            Some("Aborted") => Progress::Cancelled,
            _ => RUNNING,
        })
    }

    fn successor(
        &self,
        workload: &Workload,
        order: &Order,
        record: &Record,
        age_s: f64,
    ) -> Result<Progress, CallError> {
        let mut world = locked(&self.world);
        world.behind()?;
        let new = workload.pod(&mut world).filter(|pod| *pod.uid != *record.uid && !pod.leaving);
        let Some(pod) = new else { return Ok(self.until(age_s, "no pod came in its place")) };
        let Some((node, true)) = pod.node.as_deref().map(|node| (node, pod.ready)) else {
            let reason = match &pod.node {
                Some(node) => format!("the new pod is not ready on {node}"),
                None => "the new pod waits for a node".to_owned(),
            };
            return Ok(self.until(age_s, &reason));
        };
        if node != order.destination {
            return Ok(Progress::Elsewhere(node.to_owned()));
        }
        let ready_s =
            pod.ready_since_s.map(|since| (since as f64 - record.began_s).max(0.0) as f32);
        Ok(Progress::Done(Figures { transfer_s: ready_s, ..Figures::default() }))
    }

    /// It goes on, unless it has taken too long.
    fn until(&self, age_s: f64, reason: &str) -> Progress {
        match age_s > self.deadline_s {
            true => Progress::Lost(format!("{reason}, {} s after the start", self.deadline_s)),
            false => RUNNING,
        }
    }

    /// A PodMigrationJob that reserves the pod's room on the destination.
    fn job(&self, order: &Order, record: &Record) -> Result<Value, CallError> {
        let found = self.api.get(PODS, Some(&record.namespace), &record.pod, "read the pod")?;
        let pod = found.ok_or_else(|| {
            CallError::Refused(format!("expected pod {}, got none of that name", record.pod))
        })?;
        let mut spec = pod["spec"].clone();
        pin(&mut spec, &order.destination);
        let meta = &pod["metadata"];
        Ok(json!({
            "apiVersion": "scheduling.koordinator.sh/v1alpha1", "kind": "PodMigrationJob",
            "metadata": metadata(&order.id),
            "spec": {
                "mode": "ReservationFirst",
                "ttl": format!("{}s", self.deadline_s.ceil()),
                "podRef": {
                    "namespace": record.namespace, "name": record.pod, "uid": record.uid,
                },
                "deleteOptions": { "preconditions": { "uid": record.uid } },
                "reservationOptions": { "template": { "spec": { "template": {
                    "metadata": {
                        "namespace": record.namespace,
                        "labels": meta["labels"], "annotations": meta["annotations"],
                    },
                    "spec": spec,
                } } } },
            },
        }))
    }
}

const RUNNING: Progress = Progress::Running { share: None, moved_gib: None };

/// The eviction of a pod, and of no other of its name.
fn eviction(record: &Record) -> Value {
    json!({
        "apiVersion": "policy/v1", "kind": "Eviction",
        "metadata": { "namespace": record.namespace, "name": record.pod },
        "deleteOptions": { "preconditions": { "uid": record.uid } },
    })
}

/// Makes a pod's rules ask for one node besides what they ask for.
fn pin(spec: &mut Value, node: &str) {
    let test = json!({ "key": "metadata.name", "operator": "In", "values": [node] });
    spec["nodeName"] = Value::Null;
    let required = &mut spec["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
        ["nodeSelectorTerms"];
    match required.as_array_mut() {
        Some(terms) if !terms.is_empty() => {
            for term in terms {
                match term["matchFields"].as_array_mut() {
                    Some(fields) => fields.push(test.clone()),
                    None => term["matchFields"] = json!([test]),
                }
            }
        }
        _ => *required = json!([{ "matchFields": [test] }]),
    }
}

/// Makes numbers known that were written down before a crash.
pub(crate) fn restore(records: &[Record], world: &Shared) {
    let mut world = locked(world);
    for record in records {
        let owner = Owner {
            kind: record.owner_kind.as_str().into(),
            name: record.owner_name.as_str().into(),
        };
        let numbers = record.numbers.iter().map(|(uid, &n)| (uid.as_str().into(), n));
        world.ordinals.restore(&record.namespace, &owner, numbers);
    }
}
